//! One field of a model.

use serde_json::{Value, json};

/// A field: its name, its type, and what may be done with it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
    /// Whether it is a column of the table; others are completed by the resource.
    pub(crate) is_column: bool,
    pub(crate) is_readable: bool,
    /// Whether it may be given when a record is made.
    pub(crate) is_creatable: bool,
    /// Whether it may be given when a record is changed.
    pub(crate) is_changeable: bool,
    /// Whether it must be given when a record is made or replaced.
    pub(crate) is_required: bool,
    /// Whether a record that is replaced keeps it where it is not given.
    pub(crate) is_kept: bool,
    pub(crate) is_nullable: bool,
    /// Whether no two records may have the same, upper or lower case.
    pub(crate) is_unique: bool,
    pub(crate) is_filterable: bool,
    pub(crate) is_orderable: bool,
    pub(crate) is_searchable: bool,
}

/// The type of a field.
#[derive(Debug)]
pub(crate) enum Kind {
    Integer,
    /// A whole number from the least to the most.
    Range {
        least: i64,
        most: i64,
    },
    Boolean,
    /// Text of at least and at most so many characters.
    Text {
        least: u32,
        most: u32,
    },
    /// An address for mail; may be empty.
    Email,
    Choice(&'static [&'static str]),
    /// A day; filters take a moment, too.
    Day,
    Moment,
    Uuid,
    /// Any JSON.
    Json,
    /// A JSON object that is kept as text, to the letter.
    ObjectText,
    /// Ids of other records.
    Ids,
    /// Something that the resource completes; the function gives its schema.
    Other(fn() -> Value),
}

impl Field {
    /// Declares a column that can be read.
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            is_column: true,
            is_readable: true,
            is_creatable: false,
            is_changeable: false,
            is_required: false,
            is_kept: false,
            is_nullable: false,
            is_unique: false,
            is_filterable: false,
            is_orderable: false,
            is_searchable: false,
        }
    }

    /// It is no column: the resource completes it, or takes it out of what is written.
    pub(crate) const fn computed(mut self) -> Self {
        self.is_column = false;
        self
    }

    /// It must be given when a record is made, and may be changed.
    pub(crate) const fn required(mut self) -> Self {
        self.is_required = true;
        self.writable()
    }

    /// It stays as it is where a record is replaced without it.
    pub(crate) const fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    /// It may be given when a record is made, and may be changed.
    pub(crate) const fn writable(mut self) -> Self {
        self.is_creatable = true;
        self.is_changeable = true;
        self
    }

    /// It is given when a record is made, and stays.
    pub(crate) const fn fixed(mut self) -> Self {
        self.is_changeable = false;
        self
    }

    /// It may be changed, not given when a record is made.
    pub(crate) const fn changeable(mut self) -> Self {
        self.is_changeable = true;
        self
    }

    /// It is never shown.
    pub(crate) const fn hidden(mut self) -> Self {
        self.is_readable = false;
        self
    }

    /// It may be null.
    pub(crate) const fn nullable(mut self) -> Self {
        self.is_nullable = true;
        self
    }

    /// No two records have the same text, whatever its case; the table has a column beside it that ends in `_key`, with a
    /// unique index, for what is compared.
    pub(crate) const fn unique(mut self) -> Self {
        self.is_unique = true;
        self
    }

    /// Lists can be filtered by its exact value.
    pub(crate) const fn filter(mut self) -> Self {
        self.is_filterable = true;
        self
    }

    /// Lists can be ordered by it.
    pub(crate) const fn order(mut self) -> Self {
        self.is_orderable = true;
        self
    }

    /// The search looks into it.
    pub(crate) const fn search(mut self) -> Self {
        self.is_searchable = true;
        self
    }

    /// Returns the schema of its values.
    pub(crate) fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        schema["description"] = self.about.into();
        if self.is_nullable {
            schema["nullable"] = true.into();
        }
        schema
    }
}

impl Kind {
    /// Returns the schema of the type.
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::Integer => json!({ "type": "integer", "format": "int64" }),
            Self::Range { least, most } => {
                json!({ "type": "integer", "format": "int64", "minimum": least, "maximum": most })
            }
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Text { least: 0, most } => json!({ "type": "string", "maxLength": most }),
            Self::Text { least, most } => json!({ "type": "string", "minLength": least, "maxLength": most }),
            Self::Email => json!({ "type": "string", "format": "email", "maxLength": 254 }),
            Self::Choice(choices) => json!({ "type": "string", "enum": choices }),
            Self::Day => json!({ "type": "string", "format": "date" }),
            Self::Moment => json!({ "type": "string", "format": "date-time" }),
            Self::Uuid => json!({ "type": "string", "format": "uuid" }),
            Self::Json => json!({}),
            Self::ObjectText => json!({ "type": "object", "additionalProperties": true }),
            Self::Ids => {
                json!({ "type": "array", "items": { "type": "integer", "format": "int64" }, "maxItems": 1000 })
            }
            Self::Other(schema) => schema(),
        }
    }
}
