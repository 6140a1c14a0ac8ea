//! What the commands of the server share: where its settings come from.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use fabrik_core::store::MemoryStore;
use fabrik_http::server::settings::{Layers, Origin};
use fabrik_http::server::{AppState, Clock, Settings};

use super::exit::Failure;
use super::session::Session;

/// The file that is read where no other is named.
const FILE: &str = "fabrik.toml";

/// Where settings come from.
#[derive(Debug, Args)]
pub(super) struct ServerOptions {
    /// The file with settings. [default: fabrik.toml, where there is one]
    #[arg(long, env = "FABRIK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set anything that the file can, like rate_limit.login=20/min; wins over file and environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<Assignment>,
}

/// One setting on the command line.
#[derive(Clone, Debug)]
struct Assignment {
    key: String,
    value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) =
            text.split_once('=').ok_or_else(|| format!("--set {text} is not valid: expected KEY=VALUE"))?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

impl ServerOptions {
    /// Reads all layers: defaults, file, environment, flags.
    pub(super) fn layers(&self, session: &Session) -> Result<Layers, Failure> {
        let mut layers = Layers::defaults();
        match &self.config {
            Some(path) => layers.read_file(path).map_err(usage)?,
            None if Path::new(FILE).exists() => layers.read_file(Path::new(FILE)).map_err(usage)?,
            None => {}
        }
        // A variable that is no text names no setting of ours.
        let variables =
            std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        layers.read_environment(variables);
        if let Some(store) = session.store_flag() {
            layers.set("store", store, Origin::Flag("--store".to_owned())).map_err(usage)?;
        }
        for Assignment { key, value } in &self.assignments {
            layers.set(key, value, Origin::Flag("--set".to_owned())).map_err(usage)?;
        }
        Ok(layers)
    }

    /// Opens the server's own state, for commands that change it beside a running server or without one.
    pub(super) async fn open_state(&self, session: &Session) -> Result<AppState, Failure> {
        let settings = Settings::from_layers(&self.layers(session)?).map_err(usage)?;
        let state = AppState::open(settings, std::sync::Arc::new(MemoryStore::default()), Clock::system()).await;
        state.map_err(|error| Failure::refused(&error))
    }
}

/// Says that a setting makes no sense.
pub(super) fn usage(error: impl std::error::Error + 'static) -> Failure {
    Failure::Usage(super::exit::chain(&error))
}

/// Runs work that needs timers and sockets.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Refused(format!("cannot start threads: {error}")))?.block_on(work)
}
