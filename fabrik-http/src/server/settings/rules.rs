//! The tables of rules that comparisons are read with, where a site has its own.

use std::fs;
use std::sync::Arc;

use fabrik_core::noise::Table;
use fabrik_core::severity::Model;

use super::layers::{Layers, SettingError};

/// Returns what says how much a change matters.
pub(super) fn severity(layers: &Layers) -> Result<Arc<Model>, SettingError> {
    let Some((path, text)) = read(layers, "severity_table")? else { return Ok(Arc::new(Model::standard())) };
    let own = Model::standard().overridden_by(&path, &text);
    own.map(Arc::new).map_err(|error| layers.refuse("severity_table", &format!("a table of rules: {error}")))
}

/// Returns what changes by itself.
pub(super) fn noise(layers: &Layers) -> Result<Arc<Table>, SettingError> {
    let Some((path, text)) = read(layers, "noise_table")? else { return Ok(Arc::new(Table::standard())) };
    let own = Table::standard().overridden_by(&path, &text);
    own.map(Arc::new).map_err(|error| layers.refuse("noise_table", &format!("a table of rules: {error}")))
}

/// Reads the file that a setting names, if it names one.
fn read(layers: &Layers, key: &'static str) -> Result<Option<(String, String)>, SettingError> {
    let Some(path) = layers.text(key) else { return Ok(None) };
    let text = fs::read_to_string(path).map_err(|error| layers.refuse(key, &format!("a file to read: {error}")))?;
    Ok(Some((path.to_owned(), text)))
}
