//! The Time Machine as users see it: the store's snapshots with the ids and names of the server's queries and
//! connections, for those who may see the query.
//!
//! The store knows queries and connections by names: a series is a saved query's `series`, a connection its id as text.

mod access;
pub(crate) mod cleanup;
pub(crate) mod global;
mod key_indexes;
mod preferences;
mod reference;
mod risks;
mod shown;

pub(crate) use access::{Permitted, visible_by_series};
pub(crate) use key_indexes::KeyIndexes;
pub(crate) use preferences::{KeyStrategy, Retention, TimeMachineSettings, TimeMachineSettingsPatch};
pub(crate) use reference::{Found, Reference, find, history_filter};
pub(crate) use risks::worst_by_day;
pub(crate) use shown::SnapshotShown;
