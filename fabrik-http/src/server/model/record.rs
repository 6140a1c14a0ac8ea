//! Values of a record, between JSON and the database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Field, Kind, Model};
use crate::server::db::{DbError, Row};
use crate::server::folding::{fold, key_column};
use crate::server::moment::Moment;

/// A record as the API shows it.
pub(crate) type Record = Map<String, Value>;

/// What a caller wrote, by field, checked against the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Keeps of a checked object what the model lets be written.
    pub(crate) fn of(mut object: Map<String, Value>, fields: impl Iterator<Item = &'static Field>) -> Self {
        Self(fields.filter_map(|field| Some((field.name, object.remove(field.name)?))).collect())
    }

    /// Returns the fields that were written.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// Returns the value of a field that was written.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the text of a field that was written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Takes out what is no column, or is written otherwise.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes out a list of ids.
    pub(crate) fn take_ids(&mut self, name: &str) -> Option<Vec<i64>> {
        let ids = self.take(name)?;
        Some(ids.as_array().into_iter().flatten().filter_map(Value::as_i64).collect())
    }

    /// Writes a value beside what the caller wrote.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.insert(name, value.into());
    }

    /// Returns the columns of the model and what to write into them.
    ///
    /// Unique names come with the column that they are compared by.
    pub(crate) fn columns(&self, model: &Model) -> Vec<(String, sea_query::Value)> {
        let mut columns = Vec::new();
        for field in model.columns() {
            let Some(value) = self.get(field.name) else { continue };
            if field.is_unique {
                columns.push((key_column(field.name), value.as_str().map(fold).into()));
            }
            columns.push((field.name.to_owned(), db_value(&field.kind, value)));
        }
        columns
    }
}

impl Model {
    /// Reads a row of [`Model::select`].
    pub(crate) fn record(&self, row: &Row) -> Result<Record, DbError> {
        let shown = self.columns().filter(|field| field.is_readable);
        shown.map(|field| Ok((field.name.to_owned(), json_value(field, row)?))).collect()
    }
}

fn json_value(field: &Field, row: &Row) -> Result<Value, DbError> {
    let column = field.name;
    Ok(match field.kind {
        Kind::Integer | Kind::Range { .. } => row.get::<i64>(column)?.into(),
        Kind::Boolean => row.get::<bool>(column)?.into(),
        Kind::Text { .. } | Kind::Email | Kind::Choice(_) | Kind::Day => row.get::<String>(column)?.into(),
        Kind::ObjectText => {
            let text = row.get::<String>(column)?.unwrap_or_default();
            serde_json::from_str(&text).unwrap_or_else(|_| Value::Object(Map::new()))
        }
        Kind::Moment => row.get::<DateTime<Utc>>(column)?.map(|time| Moment(time).to_string()).into(),
        Kind::Uuid => row.get::<uuid::Uuid>(column)?.map(|id| id.to_string()).into(),
        Kind::Json | Kind::Ids | Kind::Other(_) => row.get::<Value>(column)?.unwrap_or_default(),
    })
}

/// Turns a value that was checked into one for the database.
pub(crate) fn db_value(kind: &Kind, value: &Value) -> sea_query::Value {
    match kind {
        Kind::Integer | Kind::Range { .. } => value.as_i64().into(),
        Kind::Boolean => value.as_bool().into(),
        Kind::Text { .. } | Kind::Email | Kind::Choice(_) | Kind::Day => value.as_str().map(str::to_owned).into(),
        Kind::ObjectText => value.to_string().into(),
        Kind::Moment => value
            .as_str()
            .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
            .map(|time| chrono::SubsecRound::trunc_subsecs(time.to_utc(), 6))
            .into(),
        Kind::Uuid => value.as_str().and_then(|text| uuid::Uuid::try_parse(text).ok()).into(),
        Kind::Json | Kind::Ids | Kind::Other(_) => (!value.is_null()).then(|| value.clone()).into(),
    }
}
