//! What a resource is made of: its fields, each declared once.
//!
//! Filters, ordering, search, validation, JSON and the OpenAPI schemas are all read off the same list.

mod field;
mod record;
mod schema;

use sea_query::{Alias, Expr, ExprTrait, IntoIden, Order};

pub(crate) use field::{Field, Kind};
pub(crate) use record::{Record, Values, db_value};

/// A table that the API shows.
#[derive(Debug)]
pub(crate) struct Model {
    /// The app it belongs to: the first part of its codenames.
    pub(crate) app: &'static str,
    /// Its name in codenames and messages: `user`.
    pub(crate) name: &'static str,
    /// Its name in the OpenAPI document: `User`.
    pub(crate) title: &'static str,
    /// Its table.
    pub(crate) table: &'static str,
    /// Its fields; the one called `id` is the key.
    pub(crate) fields: &'static [Field],
    /// The order of a list unless told, written as in a query: `-date_joined`.
    pub(crate) default_order: &'static str,
}

/// What somebody wants to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    View,
    Add,
    Change,
    Delete,
}

impl Verb {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::View, Self::Add, Self::Change, Self::Delete];

    /// Returns the word in codenames.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Add => "add",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }
}

impl Model {
    /// Returns the codename of a permission: `auth.view_user`.
    pub(crate) fn codename(&self, verb: Verb) -> String {
        format!("{}.{}_{}", self.app, verb.word(), self.name)
    }

    /// Returns the field with this name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the key.
    pub(crate) fn id(&self) -> &'static Field {
        self.field("id").expect("every model has a field called id")
    }

    /// Returns the column of the key, qualified by the table so that joins do not confuse it.
    pub(crate) fn id_column(&self) -> Expr {
        Expr::col((Alias::new(self.table), Alias::new("id")))
    }

    /// Returns the fields that are columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().filter(|field| field.is_column)
    }

    /// Returns a query for all columns, of all records, that may be shown.
    pub(crate) fn select(&self) -> sea_query::SelectStatement {
        let table = Alias::new(self.table).into_iden();
        let mut query = sea_query::Query::select();
        query.from(table.clone());
        for field in self.columns().filter(|field| field.is_readable) {
            query.column((table.clone(), Alias::new(field.name)));
        }
        query
    }

    /// Reads an ordering as it is written in a query. Fields that cannot be ordered by are passed over.
    pub(crate) fn ordering(&self, text: &str) -> Vec<(&'static Field, Order)> {
        let mut order = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, direction) = part.strip_prefix('-').map_or((part, Order::Asc), |name| (name, Order::Desc));
            let known = self.field(name).filter(|field| field.is_orderable && field.is_column);
            if let Some(field) =
                known.filter(|field| order.iter().all(|(other, _): &(&Field, _)| other.name != field.name))
            {
                order.push((field, direction));
            }
        }
        order
    }

    /// Returns the condition that a field equals a value that was checked.
    pub(crate) fn equals(&self, field: &Field, value: &serde_json::Value) -> Expr {
        Expr::col((Alias::new(self.table), Alias::new(field.name))).eq(db_value(&field.kind, value))
    }
}
