//! Values by name and where each came from, before they are typed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Setting;

/// Where a value came from. Later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was said.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(variable) => write!(f, "{variable}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// Why settings make no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("the configuration file {path} is not valid: {problem}")]
    Syntax {
        /// Which file.
        path: String,
        /// Where and why, without the line itself, which may hold a secret.
        problem: String,
    },
    /// There is no such setting.
    #[error("{origin} sets {key}, which is no setting")]
    Unknown {
        /// What was set.
        key: String,
        /// Where.
        origin: Origin,
    },
    /// The value of a setting makes no sense.
    #[error("{key} from {origin} is {value}: expected {expected}")]
    Invalid {
        /// Which setting.
        key: String,
        /// Its value, masked where it is a secret.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What would be right.
        expected: String,
    },
}

/// The value of one setting as it may be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Which setting.
    pub setting: Setting,
    /// Its key, with the name that the file chose.
    pub key: String,
    /// Its value; masked where it is a secret, empty where it is not set.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The values of all settings with their origins.
#[derive(Clone, Default)]
pub struct Layers {
    values: BTreeMap<String, (String, Origin)>,
}

/// Values may be secrets.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Layers {
    /// Returns the defaults.
    #[must_use]
    pub fn defaults() -> Self {
        let values = Setting::all()
            .filter(|setting| !setting.is_family())
            .filter_map(|setting| Some((setting.key.to_owned(), (setting.default?.to_owned(), Origin::Default))))
            .collect();
        Self { values }
    }

    /// Reads a TOML file over what is there.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no TOML, or sets what is no setting.
    pub fn read_file(&mut self, path: &Path) -> Result<(), SettingError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingError::Unreadable { path: path.display().to_string(), source })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            let problem = format!("line {line}: {}", error.message());
            SettingError::Syntax { path: path.display().to_string(), problem }
        })?;
        self.read_table(&table, "", &Origin::File(path.to_owned()))
    }

    fn read_table(&mut self, table: &toml::Table, prefix: &str, origin: &Origin) -> Result<(), SettingError> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                toml::Value::Table(inner) => self.read_table(inner, &format!("{key}."), origin)?,
                toml::Value::Array(items) => {
                    let items: Vec<_> = items.iter().map(plain).collect();
                    self.set(&key, &items.join(","), origin.clone())?;
                }
                other => self.set(&key, &plain(other), origin.clone())?,
            }
        }
        Ok(())
    }

    /// Reads variables of the environment over what is there; those that name no setting are not ours.
    pub fn read_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let variables: BTreeMap<_, _> = variables.into_iter().collect();
        for setting in Setting::all() {
            let names = setting.also.map(str::to_owned).into_iter().chain([setting.variable()]);
            for name in names {
                if let Some(value) = variables.get(&name).filter(|value| !value.is_empty()) {
                    self.values.insert(setting.key.to_owned(), (value.clone(), Origin::Environment(name)));
                }
            }
            for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
                if let Some(key) = setting.key_of(name) {
                    self.values.insert(key, (value.clone(), Origin::Environment(name.clone())));
                }
            }
        }
    }

    /// Sets one value over what is there.
    ///
    /// # Errors
    ///
    /// A key that is no setting.
    pub fn set(&mut self, key: &str, value: &str, origin: Origin) -> Result<(), SettingError> {
        if Setting::named(key).is_none() {
            return Err(SettingError::Unknown { key: key.to_owned(), origin });
        }
        self.values.insert(key.to_owned(), (value.to_owned(), origin));
        Ok(())
    }

    /// Returns all settings as they may be shown, in the order of their declaration.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let mut shown = Vec::new();
        for setting in Setting::all() {
            let unset = (String::new(), Origin::Default);
            let mut set: Vec<_> = match self.values.get(setting.key) {
                Some(value) => vec![(setting.key.to_owned(), value.clone())],
                None if setting.is_family() => {
                    let given = self.values.iter().filter(|(key, _)| setting.covers(key));
                    given.map(|(key, value)| (key.clone(), value.clone())).collect()
                }
                None => Vec::new(),
            };
            if set.is_empty() {
                set.push((setting.shown_key(), unset));
            }
            for (key, (value, origin)) in set {
                let value =
                    if hides_something(&setting, &value) && !value.is_empty() { "********".to_owned() } else { value };
                shown.push(Shown { setting, key, value, origin });
            }
        }
        shown
    }

    /// Returns the names that the settings below `prefix` chose: `corp` of `oidc.corp.issuer`.
    pub(super) fn names(&self, prefix: &str) -> Vec<String> {
        let below = self.values.keys().filter_map(|key| key.strip_prefix(prefix)?.split_once('.'));
        let mut names: Vec<_> = below.map(|(name, _)| name.to_owned()).collect();
        names.dedup();
        names
    }

    /// Returns the value of a setting, unless it is not set or empty.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        let given = self.values.get(key).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty());
        // What stands once for each name has its default where the name is, not before.
        given.or_else(|| Setting::named(key).filter(Setting::is_family)?.default)
    }

    pub(super) fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, SettingError> {
        self.text(key).and_then(|text| text.parse().ok()).ok_or_else(|| self.refuse(key, expected))
    }

    pub(super) fn list<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SettingError> {
        let items = self.text(key).unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| parse(item).ok_or_else(|| self.refuse(key, expected))).collect()
    }

    pub(super) fn refuse(&self, key: &str, expected: &str) -> SettingError {
        let (value, origin) = self.values.get(key).cloned().unwrap_or((String::new(), Origin::Default));
        let is_secret = Setting::named(key).is_some_and(|setting| hides_something(&setting, &value));
        let value = match value.as_str() {
            "" => "not set".to_owned(),
            _ if is_secret => "not valid".to_owned(),
            text => format!("{text:?}"),
        };
        SettingError::Invalid { key: key.to_owned(), value, origin, expected: expected.to_owned() }
    }
}

/// Says whether a value must not be shown. The store may be an address with a password in it.
fn hides_something(setting: &Setting, value: &str) -> bool {
    setting.is_secret || (setting.key == "store" && value.contains("://"))
}

/// Writes a value as it would stand in the environment.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        // No setting is made of these; what is typed refuses the text.
        toml::Value::Array(_) | toml::Value::Table(_) => "[nested]".to_owned(),
    }
}
