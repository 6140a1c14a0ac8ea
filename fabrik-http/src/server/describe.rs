//! What handlers take and give, told by their types.
//!
//! Every extractor and answer describes itself, so the OpenAPI document cannot drift from the handlers.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use axum::extract::State;
use axum::handler::Handler;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::Transform};
use serde_json::{Value, json};

use super::error::ApiError;
use super::state::AppState;
use super::validate::Components;

/// One operation of the document while it is written.
pub(crate) struct Operation<'a> {
    pub(crate) schemas: &'a mut Schemas,
    pub(crate) parameters: Vec<Value>,
    pub(crate) body: Option<Value>,
    pub(crate) responses: BTreeMap<u16, Value>,
    pub(crate) errors: BTreeSet<u16>,
    /// The names in the path, in order.
    pub(crate) path_names: Vec<String>,
}

impl Operation<'_> {
    /// Adds a parameter.
    pub(crate) fn parameter(&mut self, parameter: Value) {
        self.parameters.push(parameter);
    }

    /// Says that the operation takes a JSON body, and what can be wrong with one.
    pub(crate) fn json_body(&mut self, schema: &Value) {
        self.body = Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
        for status in [400, 408, 413, 415] {
            self.error(status);
        }
    }

    /// Says that the operation answers with JSON.
    pub(crate) fn json_response(&mut self, status: u16, schema: &Value) {
        let response =
            json!({ "description": reason(status), "content": { "application/json": { "schema": schema } } });
        self.responses.insert(status, response);
    }

    /// Says that the operation answers with something else than JSON, or nothing.
    pub(crate) fn response(&mut self, status: u16, response: Value) {
        self.responses.insert(status, response);
    }

    /// Says that the operation may fail with a status.
    pub(crate) fn error(&mut self, status: u16) {
        self.errors.insert(status);
    }
}

/// What a status means, in the words of HTTP.
pub(crate) fn reason(status: u16) -> &'static str {
    axum::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

/// An extractor or answer that says what it takes or gives; most say nothing.
pub(crate) trait Describe {
    /// Writes what it takes or gives.
    fn describe(_operation: &mut Operation<'_>) {}
}

impl<T> Describe for State<T> {}

impl<T: Describe> Describe for Result<T, ApiError> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

/// A handler whose arguments and answer describe themselves.
pub(crate) trait DescribedHandler<T>: Handler<T, AppState> {
    /// Writes what the handler takes and gives.
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! described_handlers {
    ($($argument:ident),*) => {
        impl<F, Fut, Out, Via, $($argument,)*> DescribedHandler<(Via, $($argument,)*)> for F
        where
            F: Handler<(Via, $($argument,)*), AppState> + FnOnce($($argument),*) -> Fut,
            Fut: Future<Output = Out>,
            Out: Describe,
            $($argument: Describe,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)*
                Out::describe(operation);
            }
        }
    };
}

impl<F, Fut, Out> DescribedHandler<((),)> for F
where
    F: Handler<((),), AppState> + FnOnce() -> Fut,
    Fut: Future<Output = Out>,
    Out: Describe,
{
    fn describe(operation: &mut Operation<'_>) {
        Out::describe(operation);
    }
}

described_handlers!(A);
described_handlers!(A, B);
described_handlers!(A, B, C);
described_handlers!(A, B, C, D);
described_handlers!(A, B, C, D, E);

/// The schemas of the document, by name.
pub(crate) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
    /// Schemas that the models wrote, or that parameters are checked against.
    written: Components,
    hidden: BTreeSet<String>,
    types: BTreeMap<String, TypeId>,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let settings = || SchemaSettings::openapi3().with_transform(NullableReference);
        Self {
            taken: settings().for_deserialize().into_generator(),
            given: settings().for_serialize().into_generator(),
            written: Components::new(),
            hidden: BTreeSet::new(),
            types: BTreeMap::new(),
        }
    }

    /// Returns the schema of what a request holds.
    pub(crate) fn taken<T: JsonSchema>(&mut self) -> Value {
        subschema::<T>(&mut self.taken)
    }

    /// Returns the schema of what an answer holds.
    pub(crate) fn given<T: JsonSchema>(&mut self) -> Value {
        subschema::<T>(&mut self.given)
    }

    /// Adds a schema by its name and returns the reference to it.
    pub(crate) fn write(&mut self, (name, schema): (String, Value)) -> Value {
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        let before = self.written.insert(name.clone(), schema.clone());
        assert!(before.is_none_or(|before| before == schema), "two schemas are called {name}");
        reference
    }

    /// Adds the schema that parameters are checked against, and returns it in full; the document shows the parameters.
    pub(crate) fn hide<T: JsonSchema + 'static>(&mut self) -> Value {
        let name = T::schema_name().into_owned();
        let other = self.types.insert(name.clone(), TypeId::of::<T>());
        assert!(other.is_none_or(|other| other == TypeId::of::<T>()), "two queries are called {name}");
        let mut generator = SchemaSettings::openapi3()
            .for_deserialize()
            .with_transform(NullableReference)
            .with(|settings| settings.inline_subschemas = true)
            .into_generator();
        let schema = subschema::<T>(&mut generator);
        self.hidden.insert(name.clone());
        self.write((name, schema.clone()));
        schema
    }

    /// Returns all schemas: those to check against, and of these the ones that the document shows.
    ///
    /// # Panics
    ///
    /// When a type is taken and given and the two differ: they need two names.
    pub(crate) fn finish(mut self) -> (Components, Components) {
        let mut all = self.taken.take_definitions(true);
        for (name, schema) in self.given.take_definitions(true).into_iter().chain(self.written) {
            let before = all.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two different schemas are called {name}");
        }
        let shown = all.iter().filter(|(name, _)| !self.hidden.contains(*name));
        let shown = shown.map(|(name, schema)| (name.clone(), schema.clone())).collect();
        (all, shown)
    }
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let mut schema = generator.subschema_for::<T>();
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.to_value()
}

/// Writes an optional struct as client generators understand it: `allOf` with one reference, and `nullable`.
///
/// schemars writes `anyOf: [{$ref}, {nullable, enum: [null]}]`, which is valid and which some turn into broken code:
/// <https://github.com/GREsau/schemars/issues/460>.
#[derive(Clone, Copy, Debug)]
struct NullableReference;

impl Transform for NullableReference {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut()
            && let Some(Value::Array(parts)) = object.get("anyOf")
            && let [reference, null] = &parts[..]
            && reference.get("$ref").is_some()
            && null["enum"] == json!([null])
        {
            let all_of = json!([reference]);
            object.remove("anyOf");
            object.insert("allOf".into(), all_of);
            object.insert("nullable".into(), true.into());
        }
        schemars::transform::transform_subschemas(self, schema);
    }
}
