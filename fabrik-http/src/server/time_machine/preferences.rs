//! How a user wants the Time Machine to behave.

use fabrik_core::{KeySpec, RetentionPolicy};
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use serde::{Deserialize, Serialize};

use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::state::AppState;

const TABLE: &str = "time_machine_settings";
const COLUMNS: [&str; 3] = ["default_retention_policy", "auto_capture_enabled", "diff_key_strategy"];

/// How long a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Retention {
    // 7 days.
    #[serde(rename = "7d")]
    SevenDays,
    // 30 days.
    #[serde(rename = "30d")]
    ThirtyDays,
    // 90 days.
    #[serde(rename = "90d")]
    NinetyDays,
    // 365 days.
    #[serde(rename = "1y")]
    OneYear,
    // Until it is deleted by hand.
    #[serde(rename = "forever")]
    Forever,
}

impl From<Retention> for RetentionPolicy {
    fn from(retention: Retention) -> Self {
        match retention {
            Retention::SevenDays => Self::SevenDays,
            Retention::ThirtyDays => Self::ThirtyDays,
            Retention::NinetyDays => Self::NinetyDays,
            Retention::OneYear => Self::OneYear,
            Retention::Forever => Self::Forever,
        }
    }
}

/// What rows are matched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyStrategy {
    // The DN; rows without one are counted.
    Dn,
    // The DN where a row has one, else all of it.
    Auto,
    // All of it: rows come or go and never change.
    Hash,
}

impl KeyStrategy {
    fn name(self) -> &'static str {
        match self {
            Self::Dn => "dn",
            Self::Auto => "auto",
            Self::Hash => "hash",
        }
    }

    /// Returns the key of the core; `None` leaves it to the snapshots, which is `auto` but for columns that the query
    /// names.
    pub(crate) fn key(self) -> Option<KeySpec> {
        match self {
            Self::Dn => Some(KeySpec::Dn),
            Self::Auto => None,
            Self::Hash => Some(KeySpec::Hash),
        }
    }
}

/// The settings of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct TimeMachineSettings {
    /// How long snapshots are kept unless the capture says it.
    pub(crate) default_retention_policy: Retention,
    /// Whether new scheduled tasks also capture.
    pub(crate) auto_capture_enabled: bool,
    /// What rows are matched by unless the comparison says it.
    pub(crate) diff_key_strategy: KeyStrategy,
}

/// A change to the settings of a user.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(crate) struct TimeMachineSettingsPatch {
    /// How long snapshots are kept unless the capture says it.
    #[serde(default)]
    default_retention_policy: Option<Retention>,
    /// Whether new scheduled tasks also capture.
    #[serde(default)]
    auto_capture_enabled: Option<bool>,
    /// What rows are matched by unless the comparison says it.
    #[serde(default)]
    diff_key_strategy: Option<KeyStrategy>,
}

impl Default for TimeMachineSettings {
    fn default() -> Self {
        Self {
            default_retention_policy: Retention::ThirtyDays,
            auto_capture_enabled: false,
            diff_key_strategy: KeyStrategy::Auto,
        }
    }
}

impl TimeMachineSettings {
    /// Returns the settings of a user: the defaults where nothing was saved.
    pub(crate) async fn of(state: &AppState, user_id: i64) -> Result<Self, ApiError> {
        let query = Query::select()
            .columns(COLUMNS.map(Alias::new))
            .from(Alias::new(TABLE))
            .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
            .take();
        let Some((retention, auto_capture_enabled, strategy)) =
            state.db().first::<(String, bool, String)>(&query).await?
        else {
            return Ok(Self::default());
        };
        Ok(Self {
            default_retention_policy: stored(&retention)?,
            auto_capture_enabled,
            diff_key_strategy: stored(&strategy)?,
        })
    }

    /// Returns the settings with a change.
    #[must_use]
    pub(crate) fn with(self, patch: TimeMachineSettingsPatch) -> Self {
        Self {
            default_retention_policy: patch.default_retention_policy.unwrap_or(self.default_retention_policy),
            auto_capture_enabled: patch.auto_capture_enabled.unwrap_or(self.auto_capture_enabled),
            diff_key_strategy: patch.diff_key_strategy.unwrap_or(self.diff_key_strategy),
        }
    }

    /// Saves them for a user.
    pub(crate) async fn save(&self, transaction: &mut Transaction, user_id: i64) -> Result<(), DbError> {
        let retention = RetentionPolicy::from(self.default_retention_policy).name();
        let insert = Query::insert()
            .into_table(Alias::new(TABLE))
            .columns(std::iter::once("user_id").chain(COLUMNS).map(Alias::new))
            .values_panic([
                user_id.into(),
                retention.into(),
                self.auto_capture_enabled.into(),
                self.diff_key_strategy.name().into(),
            ])
            .on_conflict(OnConflict::column(Alias::new("user_id")).update_columns(COLUMNS.map(Alias::new)).to_owned())
            .take();
        transaction.run(&insert).await.map(|_| ())
    }
}

/// Reads a choice by its name, as it was saved.
fn stored<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, ApiError> {
    serde_json::from_value(name.into()).map_err(|error| ApiError::Internal(error.into()))
}
