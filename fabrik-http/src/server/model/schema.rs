//! The schemas of a model in the OpenAPI document.

use serde_json::{Map, Value, json};

use super::{Field, Kind, Model};

impl Model {
    /// Returns the fields that may be given when a record is made.
    pub(crate) fn creatable(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().filter(|field| field.is_creatable)
    }

    /// Returns the fields that may be given when a record is changed.
    pub(crate) fn changeable(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().filter(|field| field.is_changeable)
    }

    /// Returns the name and schema of a record that is read.
    pub(crate) fn read_schema(&self) -> (String, Value) {
        let readable = || self.fields.iter().filter(|field| field.is_readable);
        let mut schema = object(readable(), readable().map(|field| field.name));
        // A user made at the command line may have no address, which is an empty text and no address.
        for field in readable().filter(|field| matches!(field.kind, Kind::Email)) {
            if let Some(property) = schema["properties"][field.name].as_object_mut() {
                property.remove("format");
            }
        }
        (self.title.to_owned(), schema)
    }

    /// Returns the name and schema of a record that is made.
    pub(crate) fn create_schema(&self) -> (String, Value) {
        let required = self.creatable().filter(|field| field.is_required).map(|field| field.name);
        (format!("{}Create", self.title), object(self.creatable(), required))
    }

    /// Returns the name and schema of a record that is replaced.
    pub(crate) fn replace_schema(&self) -> (String, Value) {
        let required = self.changeable().filter(|field| field.is_required && !field.is_kept).map(|field| field.name);
        (format!("{}Replace", self.title), object(self.changeable(), required))
    }

    /// Returns the name and schema of a record that is changed in part.
    pub(crate) fn patch_schema(&self) -> (String, Value) {
        (format!("{}Patch", self.title), object(self.changeable(), std::iter::empty()))
    }

    /// Returns the name and schema of a page of records.
    pub(crate) fn page_schema(&self) -> (String, Value) {
        let item = json!({ "$ref": format!("#/components/schemas/{}", self.title) });
        (format!("{}Page", self.title), crate::server::page::envelope_schema(&item))
    }
}

fn object(fields: impl Iterator<Item = &'static Field>, required: impl Iterator<Item = &'static str>) -> Value {
    let properties: Map<_, _> = fields.map(|field| (field.name.to_owned(), field.schema())).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    let required: Vec<_> = required.collect();
    // An empty list is not valid in OpenAPI 3.0.
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
