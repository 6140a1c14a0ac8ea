//! What can go wrong, as situations a caller can tell apart.

use std::error::Error as StdError;

use crate::id::{ChunkId, SnapshotId};

/// The error of a layer below, kept as the cause.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of everything fallible in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. Match on [`Error::kind`]; print the whole source chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter or option has a value that is not allowed.
    #[error("{field} {value:?} is not valid: expected {expected}")]
    InvalidArgument {
        /// The parameter, as the caller knows it.
        field: &'static str,
        /// What was given, shortened when long.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A row could not be read from its text.
    #[error("row {row} is not valid: {problem}")]
    InvalidRow {
        /// Position in the input, counted from 1.
        row: u64,
        /// What is wrong with it, naming the member where one is at fault.
        problem: String,
    },
    /// A table of rules cannot be used.
    #[error("{table}: {}{field} {value:?} is not valid: expected {expected}", place(rule))]
    InvalidTable {
        /// The table, as the caller named it.
        table: String,
        /// The rule at fault: its id, or its number where it has none; empty when it is the table as a whole.
        rule: String,
        /// The field of the rule.
        field: String,
        /// What it holds, shortened when long.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// The source could not deliver its rows; nothing was stored.
    #[error("{origin} cannot be captured: {problem}")]
    Source {
        /// The file, address or stream that was read.
        origin: String,
        /// What is wrong with it.
        problem: String,
        /// The layer below, when it has more to say.
        #[source]
        source: Option<BoxError>,
    },
    /// A step that works on rows cannot run, or failed at a row; nothing was stored.
    #[cfg(feature = "process")]
    #[error(transparent)]
    Step(crate::process::StepError),
    /// No query of this name has snapshots.
    #[error("query {name:?} not found{hint}")]
    QueryNotFound {
        /// The name asked for.
        name: String,
        /// Empty, or what the caller may have meant.
        hint: String,
    },
    /// No snapshot answers to this reference.
    #[error("snapshot {reference:?} not found{hint}")]
    SnapshotNotFound {
        /// The reference asked for.
        reference: String,
        /// Empty, or what the caller may have meant.
        hint: String,
    },
    /// More than one snapshot or series answers to this reference.
    #[error("{reference:?} is ambiguous: it may be {}", candidates.join(", "))]
    Ambiguous {
        /// The reference asked for.
        reference: String,
        /// References that would be unambiguous, at most a handful.
        candidates: Vec<String>,
    },
    /// The store has no chunk with this id.
    #[error("chunk {id} is missing from the store{}", hurts(snapshots))]
    ChunkNotFound {
        /// The chunk.
        id: ChunkId,
        /// The snapshots that cannot be read without it; empty until looked up.
        snapshots: Vec<SnapshotId>,
    },
    /// A stored chunk does not hold what its id promises.
    #[error("chunk {id} is damaged: {problem}{}", hurts(snapshots))]
    ChunkDamaged {
        /// The chunk.
        id: ChunkId,
        /// What is wrong with its bytes.
        problem: String,
        /// The snapshots that cannot be read without it; empty until looked up.
        snapshots: Vec<SnapshotId>,
    },
    /// A stored snapshot record cannot be read.
    #[error("the record of snapshot {snapshot} is damaged: {problem}")]
    RecordDamaged {
        /// The snapshot as far as it is known.
        snapshot: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file or database is not a store this version can use. It was not changed.
    #[error("{location} cannot be opened as a Fabrik store: {problem}")]
    NotAStore {
        /// Where the store was looked for.
        location: String,
        /// Why it cannot be used.
        problem: String,
    },
    /// Somebody else is writing to the store.
    #[error("the store {location} is locked by {holder}; waited {waited_seconds} s")]
    Locked {
        /// The store.
        location: String,
        /// Who holds the lock, as far as the system tells.
        holder: String,
        /// How long this call waited.
        waited_seconds: u64,
    },
    /// The storage below has no room left. Nothing was changed.
    #[error("no space left while {operation} in {location}")]
    StorageFull {
        /// What was being done.
        operation: &'static str,
        /// The store.
        location: String,
        /// The layer below.
        #[source]
        source: Option<BoxError>,
    },
    /// The storage below failed; `source` says how.
    #[error("{operation} failed in {location}")]
    Storage {
        /// What was being done.
        operation: &'static str,
        /// The store.
        location: String,
        /// The layer below.
        source: BoxError,
    },
    /// Rows could not be set aside on disk while sorting.
    #[error("cannot set rows aside in {location}")]
    Spill {
        /// The folder.
        location: String,
        /// The layer below.
        source: std::io::Error,
    },
    /// Output could not be written.
    #[error("cannot write the result")]
    Output(#[source] std::io::Error),
    /// This store cannot do that.
    #[error("{operation} is not supported by the {store} store")]
    Unsupported {
        /// What was asked for.
        operation: &'static str,
        /// The store.
        store: &'static str,
    },
    /// The caller called it off. Nothing was changed.
    #[error("it was cancelled")]
    Cancelled,
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Correct the input and call again.
    InvalidInput,
    /// Ask for something that exists.
    NotFound,
    /// Be more precise.
    Ambiguous,
    /// Stored bytes are not what was written: run `verify`, restore from a copy.
    Damaged,
    /// Wait and call again.
    Locked,
    /// Free some space and call again.
    StorageFull,
    /// The storage or the output failed.
    Storage,
    /// Use another store.
    Unsupported,
    /// Nothing: the caller wanted it so.
    Cancelled,
}

impl Error {
    /// Returns the situation that this error belongs to.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidArgument { .. }
            | Self::InvalidRow { .. }
            | Self::InvalidTable { .. }
            | Self::Source { .. }
            | Self::NotAStore { .. } => ErrorKind::InvalidInput,
            #[cfg(feature = "process")]
            Self::Step(_) => ErrorKind::InvalidInput,
            Self::QueryNotFound { .. } | Self::SnapshotNotFound { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } => ErrorKind::Ambiguous,
            Self::ChunkNotFound { .. } | Self::ChunkDamaged { .. } | Self::RecordDamaged { .. } => ErrorKind::Damaged,
            Self::Locked { .. } => ErrorKind::Locked,
            Self::StorageFull { .. } => ErrorKind::StorageFull,
            Self::Storage { .. } | Self::Spill { .. } | Self::Output(_) => ErrorKind::Storage,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    pub(crate) fn invalid(field: &'static str, value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::InvalidArgument { field, value: shorten(&value.into()), expected: expected.into() }
    }

    pub(crate) fn damaged(id: ChunkId, problem: impl Into<String>) -> Self {
        Self::ChunkDamaged { id, problem: problem.into(), snapshots: Vec::new() }
    }
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Ambiguous,
        Self::Damaged,
        Self::Locked,
        Self::StorageFull,
        Self::Storage,
        Self::Unsupported,
        Self::Cancelled,
    ];

    /// Returns the stable name that Python and HTTP show.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::Damaged => "damaged",
            Self::Locked => "locked",
            Self::StorageFull => "storage_full",
            Self::Storage => "storage",
            Self::Unsupported => "unsupported",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Cuts a value that would drown the sentence it stands in.
pub(crate) fn shorten(value: &str) -> String {
    const LONGEST: usize = 120;
    if value.chars().count() <= LONGEST {
        return value.to_owned();
    }
    let mut short: String = value.chars().take(LONGEST).collect();
    short.push('…');
    short
}

fn place(rule: &str) -> String {
    if rule.is_empty() { String::new() } else { format!("{rule}: ") }
}

fn hurts(snapshots: &[SnapshotId]) -> String {
    match snapshots {
        [] => String::new(),
        [one] => format!("; it hurts snapshot {one}"),
        many => {
            let names: Vec<String> = many.iter().take(8).map(ToString::to_string).collect();
            let more = if many.len() > 8 { format!(" and {} more", many.len() - 8) } else { String::new() };
            format!("; it hurts {} snapshots: {}{more}", many.len(), names.join(", "))
        }
    }
}
