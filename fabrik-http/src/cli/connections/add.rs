//! `fabrik connections add`.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use clap::Args;
use fabrik_apic::{ConnectionOptions, Credentials, SavedConnection, Secret, Verification, saved};

use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::cli::{keys, live};

/// Save a connection to a controller. Its password is asked for, unless a variable or a file has it.
#[derive(Debug, Args)]
#[command(after_help = "\
Passwords and private keys are stored encrypted. The key to them is FABRIK_SECRET_KEY, 64 hexadecimal digits, or
else the file that FABRIK_SECRET_KEY_FILE names, or ~/.config/fabrik/secret.key, which is made when it is not there.")]
pub(super) struct Add {
    /// The name of the connection.
    name: String,
    /// The address of the controller: `https://apic1.example.net`.
    #[arg(long)]
    url: String,
    /// Who logs in. A user who can read is enough.
    #[arg(long)]
    username: String,
    /// The login domain, where it is not the controller's default.
    #[arg(long, conflicts_with = "certificate")]
    domain: Option<String>,
    /// The environment variable that has the password.
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["password_file", "certificate"])]
    password_env: Option<String>,
    /// The file that has the password.
    #[arg(long, value_name = "FILE", conflicts_with = "certificate")]
    password_file: Option<PathBuf>,
    /// Sign requests in place of a password: the name of the user's certificate on the controller.
    #[arg(long, value_name = "NAME", requires = "key_file")]
    certificate: Option<String>,
    /// The private key of the certificate, an RSA key in PEM form.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key_file: Option<PathBuf>,
    /// The authorities that may have signed the controller's certificate, in PEM form.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca_file: Option<PathBuf>,
    /// Do not check the controller's certificate: whoever answers gets the password.
    #[arg(long)]
    insecure: bool,
    /// How many requests the controller gets a second at most.
    #[arg(long, value_name = "N", default_value = "30")]
    requests_per_second: NonZeroU32,
    /// How many seconds an answer may take.
    #[arg(long, value_name = "SECONDS", default_value = "100")]
    timeout: NonZeroU64,
    /// Replace a connection of the same name.
    #[arg(long)]
    replace: bool,
}

impl Add {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let options = self.options()?;
        let credentials = self.credentials()?;
        let vault = keys::vault_or_new()?;
        let connection = SavedConnection::seal(&self.name, &options, &credentials, &vault)?;
        live::warn_about(&connection);
        let store = session.open_or_create()?;
        saved::save_connection(&*store, &connection, self.replace).await?;
        writeln!(session.out, "saved connection {}; `fabrik connections test {}` tries it", self.name, self.name)?;
        Ok(Exit::Done)
    }

    fn options(&self) -> Result<ConnectionOptions, Failure> {
        let mut options = ConnectionOptions::new(&self.url);
        options.requests_per_second = self.requests_per_second;
        options.timeout_seconds = self.timeout;
        options.verification = match (&self.ca_file, self.insecure) {
            (Some(file), _) => Verification::Authority(read(file)?),
            (None, true) => Verification::Off,
            (None, false) => Verification::System,
        };
        Ok(options)
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let username = self.username.clone();
        Ok(match (&self.certificate, &self.key_file) {
            (Some(certificate), Some(file)) => {
                Credentials::Certificate { username, certificate: certificate.clone(), key: read(file)?.into() }
            }
            _ => Credentials::Password { username, domain: self.domain.clone(), password: self.password()? },
        })
    }

    fn password(&self) -> Result<Secret, Failure> {
        let (text, origin) = if let Some(name) = &self.password_env {
            let text = env::var(name).map_err(|_| Failure::Refused(format!("the variable {name} is not set")))?;
            (text, format!("the variable {name}"))
        } else if let Some(file) = &self.password_file {
            (read(file)?.trim_end_matches(['\r', '\n']).to_owned(), format!("the file {}", file.display()))
        } else if io::stdin().is_terminal() {
            let asked = rpassword::prompt_password(format!("Password of {} at {}: ", self.username, self.url));
            let problem = |error| Failure::Refused(format!("the password cannot be read from the terminal: {error}"));
            (asked.map_err(problem)?, "the password".to_owned())
        } else {
            let sentence = "no password: there is no terminal to ask on; use --password-env or --password-file";
            return Err(Failure::Usage(sentence.to_owned()));
        };
        if text.is_empty() { Err(Failure::Refused(format!("{origin} is empty"))) } else { Ok(text.into()) }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::Refused(format!("{} cannot be read: {error}", file.display())))
}
