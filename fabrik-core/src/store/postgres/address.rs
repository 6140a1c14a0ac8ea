//! Where a database is, with the password kept to itself.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::error::Error;

/// The schema of a store whose address names none.
const DEFAULT_SCHEMA: &str = "fabrik";
/// What an address looks like.
const EXPECTED: &str = "postgres://USER@HOST/DATABASE, with ?schema=NAME for another schema than fabrik";
/// PostgreSQL cuts longer names off.
const LONGEST_SCHEMA: usize = 63;

/// What may follow the `?`, beside `schema`. Others are refused: a misspelt `sslmode` would otherwise pass unseen.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// The address of a PostgreSQL database and of the schema in it that holds a store.
///
/// Read from a URL: `postgres://mara@db.example.org/network?sslmode=verify-full`. A folder in place of the host, such as
/// `?host=/run/postgresql`, names a Unix socket. What the URL leaves out comes from where every PostgreSQL client has it
/// from: `PGPASSWORD` and the like, and the password file `~/.pgpass`. So a password need not stand in a URL.
///
/// Written out or debugged it leaves the password away.
#[derive(Clone)]
pub struct PostgresAddress {
    options: PgConnectOptions,
    schema: String,
}

impl PostgresAddress {
    /// Returns the schema that holds the store.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Selects another schema of the same database.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when PostgreSQL would have to be told the name in
    /// quotes, or would cut it off.
    pub fn with_schema(mut self, schema: &str) -> Result<Self, Error> {
        let mut characters = schema.chars();
        let starts_well = characters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_');
        let goes_on = characters.all(|other| other.is_ascii_lowercase() || other.is_ascii_digit() || other == '_');
        if !starts_well || !goes_on || schema.len() > LONGEST_SCHEMA {
            let expected = format!("1 to {LONGEST_SCHEMA} of a to z, 0 to 9 and _, with no digit first");
            return Err(Error::invalid("schema", schema, expected));
        }
        schema.clone_into(&mut self.schema);
        Ok(self)
    }

    /// Returns how to connect, for other parts of a program that keep tables of their own in the same database.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl PartialEq for PostgresAddress {
    /// Compares where they lead, as whom; not the passwords.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for PostgresAddress {}

impl FromStr for PostgresAddress {
    type Err = Error;

    /// Takes a URL. What is wrong with one is told without repeating it, since it may hold a password.
    fn from_str(text: &str) -> Result<Self, Error> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let Some(scheme @ ("postgres" | "postgresql")) = scheme else {
            let shown = scheme.map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…"));
            return Err(Error::invalid("store", shown, EXPECTED));
        };
        let refused = |problem: &dyn fmt::Display| {
            Error::invalid("store", format!("{scheme}://…"), format!("{EXPECTED} ({problem})"))
        };
        let mut url = parse_url(text).map_err(|error| refused(&error))?;
        if url.fragment().is_some() {
            return Err(refused(&"a # must be written as %23"));
        }
        let mut schema = DEFAULT_SCHEMA.to_owned();
        let mut others: Vec<(String, String)> = Vec::new();
        for (name, value) in url.query_pairs() {
            match &*name {
                "schema" => schema = value.into_owned(),
                name if PARAMETERS.contains(&name) => others.push((name.to_owned(), value.into_owned())),
                name => return Err(refused(&format_args!("the parameter {name:?} is not known"))),
            }
        }
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
        let mut options = PgConnectOptions::from_url(&url)
            .map_err(|_| refused(&"a parameter has a value that PostgreSQL's clients do not take"))?
            // Texts of statements belong to no log of a library; their values are never logged.
            .disable_statement_logging();
        if options.get_application_name().is_none() {
            options = options.application_name(&format!("fabrik {}", std::process::id()));
        }
        Self { options, schema: String::new() }.with_schema(&schema)
    }
}

/// Reads a URL. One that names a user and no host, since a parameter does, is common with PostgreSQL and no URL: there the
/// user and the password become parameters, too.
fn parse_url(text: &str) -> Result<Url, url::ParseError> {
    let parsed = Url::parse(text);
    let Some((before, after)) = text.split_once("@/").filter(|_| parsed == Err(url::ParseError::EmptyHost)) else {
        return parsed;
    };
    let named = Url::parse(&format!("{before}@host/{after}"))?;
    let mut url = Url::parse(&format!("{}:///{after}", named.scheme()))?;
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    url.query_pairs_mut().append_pair("user", &decoded(named.username()));
    if let Some(password) = named.password() {
        url.query_pairs_mut().append_pair("password", &decoded(password));
    }
    Ok(url)
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        write!(f, "postgres://{}@", options.get_username())?;
        // A host with a slash is the folder of a socket, as it also comes from the environment.
        let socket = options.get_socket().map(|socket| socket.display().to_string());
        let socket = socket.or_else(|| options.get_host().starts_with('/').then(|| options.get_host().to_owned()));
        if socket.is_none() {
            f.write_str(options.get_host())?;
        }
        if options.get_port() != 5432 {
            write!(f, ":{}", options.get_port())?;
        }
        write!(f, "/{}", options.get_database().unwrap_or(options.get_username()))?;
        let mut separator = '?';
        if let Some(socket) = socket {
            write!(f, "?host={socket}")?;
            separator = '&';
        }
        if self.schema != DEFAULT_SCHEMA {
            write!(f, "{separator}schema={}", self.schema)?;
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PostgresAddress, Error> {
        text.parse()
    }

    #[test]
    fn addresses_are_shown_without_their_password() {
        for (text, shown) in [
            ("postgres://mara:s3cret@db/network", "postgres://mara@db/network"),
            ("postgresql://mara:s3cret@db:6000/network?sslmode=require", "postgres://mara@db:6000/network"),
            ("postgres://mara@db/network?password=s3cret&schema=other", "postgres://mara@db/network?schema=other"),
            ("postgres://mara:s3cret@/network?host=/run/pg", "postgres://mara@/network?host=/run/pg"),
            ("postgres://mara:s%33cret@db/a?schema=fabrik", "postgres://mara@db/a"),
            ("postgres://mara:s3cret@db/a?host=/s&schema=b", "postgres://mara@/a?host=/s&schema=b"),
        ] {
            let address = parse(text).unwrap();

            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), format!("PostgresAddress({shown})"));
            assert_eq!(parse(shown).unwrap(), address);
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_address() {
        for (text, problem) in [
            ("postgres://mara:s3cret@db:port/a", "invalid port"),
            ("postgres://mara:s3cret@db/a?sslmod=require", "\"sslmod\" is not known"),
            ("postgres://mara:s3cret@db/a?sslmode=s3cret", "a value"),
            ("postgres://mara:s3#cret@db/a", "s3"),
            ("postgres://mara:s3cret@db/a#s3cret", "%23"),
            ("mysql://mara:s3cret@db/a", "mysql://…"),
            ("s3cret", "…"),
        ] {
            let error = parse(text).unwrap_err();

            let sentence = format!("{error} {error:?}");
            assert!(!sentence.contains("s3cret") && !sentence.contains("cret@"), "{sentence}");
            assert!(sentence.contains(problem) || problem == "s3", "{sentence}");
        }
    }

    #[test]
    fn schemas_are_plain_names() {
        for name in ["", "A", "1a", "a-b", "a\"b", "ä", "a b", &"a".repeat(64)] {
            let error = parse("postgres://db/a").unwrap().with_schema(name).unwrap_err();

            assert!(error.to_string().starts_with("schema "), "{error}");
        }
        for name in ["a", "_1", "fabrik_2", "user", &"a".repeat(63)] {
            assert_eq!(parse("postgres://db/a").unwrap().with_schema(name).unwrap().schema(), name);
        }
    }
}
