//! What a verification of the log can find.

use std::str::FromStr;

use serde::Serialize;

/// What a verification of the audit log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// How many rows were read.
    pub rows: u64,
    /// The sequence that the log begins with.
    pub first_sequence: i64,
    /// The sequence that the log ends with.
    pub last_sequence: i64,
    /// The hash of the last row, in hex: noted elsewhere, it shows when all of the log is written anew.
    pub last_hash: String,
    /// What is wrong, by place, and then what retention did not say; empty where nothing is.
    pub damage: Vec<AuditDamage>,
}

/// One place where the log does not say what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditDamage {
    /// Where.
    pub sequence: i64,
    /// What is wrong there.
    pub kind: AuditDamageKind,
}

/// What can be wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditDamageKind {
    /// What it says was changed.
    ContentChanged,
    /// It is not the one that was appended here: it, or the one before it, was changed or moved.
    LinkBroken,
    /// It is missing, and those after it may be.
    RowMissing,
    /// It was inserted outside the ends of the log.
    RowInserted,
    /// It cannot be read.
    RowUnreadable,
    /// It was emptied, and retention never said so.
    ForgottenUnannounced,
    /// The log begins here, and retention never said so.
    BeginningUnannounced,
    /// The last row is not the one that the log ends with.
    HeadMismatch,
    /// It is not the row that was noted.
    NotAsNoted,
}

impl AuditDamageKind {
    /// Returns what is wrong, for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ContentChanged => "what it says was changed",
            Self::LinkBroken => "it, or the row before it, was changed or moved",
            Self::RowMissing => "it is missing",
            Self::RowInserted => "it was inserted",
            Self::RowUnreadable => "it cannot be read",
            Self::ForgottenUnannounced => "it was emptied, and not by retention",
            Self::BeginningUnannounced => "the log begins here, and not by retention",
            Self::HeadMismatch => "it is not the row that the log ends with",
            Self::NotAsNoted => "it is not the row that was noted",
        }
    }
}

impl AuditReport {
    /// Returns whether the log says what was appended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

/// The last row of the log as somebody noted it: `17:` and the hash in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The sequence of the row.
    pub sequence: i64,
    /// Its hash, in hex.
    pub hash: String,
}

/// Why a text is no noted row.
#[derive(Debug, thiserror::Error)]
#[error("expected SEQUENCE:HASH, as a verification tells them")]
pub struct AuditHeadError;

impl FromStr for AuditHead {
    type Err = AuditHeadError;

    fn from_str(text: &str) -> Result<Self, AuditHeadError> {
        let (sequence, hash) = text.split_once(':').ok_or(AuditHeadError)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match sequence.parse() {
            Ok(sequence) if is_hash && sequence > 0 => Ok(Self { sequence, hash: hash.to_ascii_lowercase() }),
            _ => Err(AuditHeadError),
        }
    }
}
