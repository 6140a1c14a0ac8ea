//! Records over HTTP: list, read, make, replace, change, delete, all from one declaration of the model.

use std::future::Future;
use std::marker::PhantomData;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use sea_query::{Alias, Cond, Expr, ExprTrait, Query, SelectStatement};
use serde_json::{Value, json};

use super::audit::{Actor, Category, Entry};
use super::caller::Caller;
use super::db::{DbError, Transaction};
use super::describe::{Describe, Operation};
use super::error::{ApiError, FieldErrors, NON_FIELD};
use super::extract::{NoContent, PathValue, describe_path_value, json_object, path_value};
use super::folding::{fold, key_column};
use super::listing::{Filter, Listing};
use super::model::{Kind, Model, Record, Values, Verb};
use super::registry::{Access, Route};
use super::state::AppState;
use super::throttle::Scope;

/// A model with its rules. What is not said is the plain case: every record is visible, nothing is completed.
pub(crate) trait Resource: Sized + Send + Sync + 'static {
    /// Which verbs there are; without `Add` there is no POST, and so on.
    const VERBS: &'static [Verb] = &Verb::ALL;
    /// How often records may be written, beside the general rates.
    const WRITE_SCOPE: Option<Scope> = None;
    /// How writes are told in the audit log; unless said, they are not.
    const AUDIT: Option<Audited> = None;

    /// Returns the fields and where they are.
    fn model() -> &'static Model;

    /// Returns who may do what; unless told, who has the permission of the model.
    fn access(verb: Verb) -> Access {
        Access::Permission(Self::model().codename(verb).into())
    }

    /// Narrows what the caller can see. What is not seen is not found, for every verb.
    fn visible(_caller: &Caller, _query: &mut SelectStatement) {}

    /// Makes what a list must show, before it is looked for.
    fn before_list(_state: &AppState, _caller: &Caller) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Returns the filters that are no columns.
    fn filters() -> &'static [Filter] {
        &[]
    }

    /// Completes records with what is no column.
    fn complete(_state: &AppState, _records: &mut [Record]) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Completes records with what depends on who looks at them.
    fn complete_for(_caller: &Caller, _records: &mut [Record]) {}

    /// Does what takes time before the write begins, such as hashing; `key` is that of a record to change.
    fn prepare(
        _state: &AppState,
        _caller: &Caller,
        _values: &mut Values,
        _key: Option<Key>,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Checks what is about to be written and changes it where needed; `key` is that of a record that is there.
    fn before_write(_write: &mut Write<'_>, _key: Option<Key>) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Writes what is no column, after the columns.
    fn after_write(_write: &mut Write<'_>, _key: Key) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Checks whether a record may go.
    fn before_delete(_write: &mut Write<'_>, _key: Key) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }
}

/// How writes of a resource are told in the audit log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audited {
    pub(crate) category: Category,
    pub(crate) created: &'static str,
    pub(crate) updated: &'static str,
    pub(crate) deleted: &'static str,
    /// The field that people know a record by, or nothing.
    pub(crate) name: &'static str,
}

impl Audited {
    /// Appends what happened to a record that is there, as the last thing in its transaction.
    async fn append<R: Resource>(
        self,
        action: &'static str,
        write: &mut Write<'_>,
        key: Key,
        record: &Record,
        metadata: Value,
    ) -> Result<(), ApiError> {
        let name = record.get(self.name).and_then(Value::as_str).unwrap_or_default();
        let entry = Entry::new(self.category, action, sentence(action)).on(R::model().name, key, name).with(metadata);
        Ok(entry.append(write.transaction, write.state, &Actor::of(write.caller)).await?)
    }
}

/// Turns `user_created` into `User created`.
pub(crate) fn sentence(action: &str) -> String {
    let mut sentence = action.replace('_', " ");
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}

/// Returns what a write changed in the columns that are shown: what is secret is in none of them.
fn changes(before: &Record, after: &Record) -> Value {
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    changed.map(|(name, value)| (name.clone(), json!({ "before": before.get(name), "after": value }))).collect()
}

/// A write under way: all of it happens in one transaction, or nothing.
pub(crate) struct Write<'a> {
    pub(crate) state: &'a AppState,
    pub(crate) caller: &'a Caller,
    pub(crate) transaction: &'a mut Transaction,
    pub(crate) values: Values,
}

/// What identifies a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Number(i64),
    Uuid(uuid::Uuid),
}

impl Key {
    /// Returns the number of a record that has one.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Number(number) => number,
            Self::Uuid(_) => unreachable!("the model says that its id is a number"),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(id) => id.fmt(f),
        }
    }
}

impl From<Key> for sea_query::Value {
    fn from(key: Key) -> Self {
        match key {
            Key::Number(number) => number.into(),
            Key::Uuid(id) => id.into(),
        }
    }
}

/// Returns the routes of a resource.
pub(super) fn routes<R: Resource>(path: &str) -> Vec<Route> {
    let model = R::model();
    let one = format!("{path}{{id}}/");
    let name = model.name.replace('_', " ");
    let id = |what: &str| format!("{}_{}_{what}", model.app, model.name);
    let limited = |route: Route| if let Some(scope) = R::WRITE_SCOPE { route.throttle(scope) } else { route };
    let mut routes = Vec::new();
    for verb in R::VERBS {
        let access = R::access(*verb);
        match verb {
            Verb::View => {
                routes.push(list_route::<R>(path));
                routes.push(retrieve_route::<R>(path));
            }
            Verb::Add => routes.push(
                limited(Route::post(path, id("create"), access, create::<R>)).about(format!("Makes a new {name}.")),
            ),
            Verb::Change => {
                routes.push(
                    limited(Route::put(&one, id("replace"), access.clone(), replace::<R>))
                        .about(format!("Replaces one {name}.")),
                );
                routes.push(
                    limited(Route::patch(&one, id("update"), access, change::<R>))
                        .about(format!("Changes fields of one {name}.")),
                );
            }
            Verb::Delete => routes.push(
                limited(Route::delete(&one, id("delete"), access, remove::<R>))
                    .about(format!("Deletes one {name}."))
                    .errors(&[400]),
            ),
        }
    }
    routes
}

/// Returns the route that lists a resource.
pub(crate) fn list_route<R: Resource>(path: &str) -> Route {
    let model = R::model();
    let name = model.name.replace('_', " ");
    Route::get(path, format!("{}_{}_list", model.app, model.name), R::access(Verb::View), list::<R>)
        .about(format!("Lists each {name} the caller can see."))
}

/// Returns the route that reads one record of a resource.
pub(crate) fn retrieve_route<R: Resource>(path: &str) -> Route {
    let model = R::model();
    let name = model.name.replace('_', " ");
    let id = format!("{}_{}_retrieve", model.app, model.name);
    Route::get(&format!("{path}{{id}}/"), id, R::access(Verb::View), retrieve::<R>)
        .about(format!("Returns one {name}."))
}

async fn list<R: Resource>(
    State(state): State<AppState>,
    caller: Caller,
    listing: Listing<R>,
) -> Result<Shown<R, true>, ApiError> {
    R::before_list(&state, &caller).await?;
    list_among(&state, &caller, &listing, |_| ()).await
}

/// Lists what the caller can see and what `narrow` leaves of it.
pub(crate) async fn list_among<R: Resource>(
    state: &AppState,
    caller: &Caller,
    listing: &Listing<R>,
    narrow: impl FnOnce(&mut SelectStatement),
) -> Result<Shown<R, true>, ApiError> {
    let mut query = R::model().select();
    R::visible(caller, &mut query);
    narrow(&mut query);
    listing.narrow(&mut query);
    let count = u64::try_from(state.db().number(&Listing::<R>::counting(&query)).await?).unwrap_or(0);
    listing.check(count)?;
    listing.cut(&mut query);
    let mut records = read::<R>(state, &query).await?;
    R::complete_for(caller, &mut records);
    let records = records.into_iter().map(Value::Object).collect();
    Ok(Shown::ok(listing.envelope(count, records)))
}

async fn retrieve<R: Resource>(
    State(state): State<AppState>,
    caller: Caller,
    id: RecordId<R>,
) -> Result<Shown<R>, ApiError> {
    show(&state, &caller, id.key).await
}

async fn create<R: Resource>(
    State(state): State<AppState>,
    caller: Caller,
    body: NewRecord<R>,
) -> Result<Shown<R, false, 201>, ApiError> {
    let key = write::<R>(&state, &caller, None, body.values).await?;
    Ok(Shown::ok(show::<R>(&state, &caller, key).await?.value))
}

async fn replace<R: Resource>(
    State(state): State<AppState>,
    caller: Caller,
    id: RecordId<R>,
    body: ChangedRecord<R, true>,
) -> Result<Shown<R>, ApiError> {
    write::<R>(&state, &caller, Some(id.key), body.values).await?;
    show(&state, &caller, id.key).await
}

async fn change<R: Resource>(
    State(state): State<AppState>,
    caller: Caller,
    id: RecordId<R>,
    body: ChangedRecord<R, false>,
) -> Result<Shown<R>, ApiError> {
    write::<R>(&state, &caller, Some(id.key), body.values).await?;
    show(&state, &caller, id.key).await
}

async fn remove<R: Resource>(
    State(state): State<AppState>,
    caller: Caller,
    id: RecordId<R>,
) -> Result<NoContent, ApiError> {
    delete::<R>(&state, &caller, id.key, Values::default()).await
}

/// Deletes a record. `values` are for [`Resource::before_delete`], where a route takes more than the key.
pub(crate) async fn delete<R: Resource>(
    state: &AppState,
    caller: &Caller,
    key: Key,
    values: Values,
) -> Result<NoContent, ApiError> {
    let mut transaction = state.db().begin().await?;
    find::<R>(&mut transaction, caller, key).await?;
    let mut write = Write { state, caller, transaction: &mut transaction, values };
    R::before_delete(&mut write, key).await?;
    if let Some(audited) = R::AUDIT {
        let record = stored::<R>(write.transaction, key).await?;
        let metadata = json!({ "values": record });
        audited.append::<R>(audited.deleted, &mut write, key, &record, metadata).await?;
    }
    let gone =
        Query::delete().from_table(Alias::new(R::model().table)).and_where(R::model().id_column().eq(key)).take();
    transaction.run(&gone).await?;
    transaction.commit().await?;
    state.callers().forget_all();
    Ok(NoContent)
}

/// Reads the columns of a record as they are now.
async fn stored<R: Resource>(transaction: &mut Transaction, key: Key) -> Result<Record, ApiError> {
    let query = R::model().select().and_where(R::model().id_column().eq(key)).take();
    let rows = transaction.rows(&query).await?;
    Ok(rows.first().map(|row| R::model().record(row)).transpose()?.unwrap_or_default())
}

/// Reads and completes what a query finds.
pub(crate) async fn read<R: Resource>(state: &AppState, query: &SelectStatement) -> Result<Vec<Record>, ApiError> {
    let rows = state.db().rows(query).await?;
    let mut records = rows.iter().map(|row| R::model().record(row)).collect::<Result<Vec<_>, DbError>>()?;
    R::complete(state, &mut records).await?;
    Ok(records)
}

/// Reads one record that the caller can see.
pub(crate) async fn show<R: Resource>(state: &AppState, caller: &Caller, key: Key) -> Result<Shown<R>, ApiError> {
    let mut query = R::model().select();
    R::visible(caller, &mut query);
    query.and_where(R::model().id_column().eq(key));
    let mut records = read::<R>(state, &query).await?;
    R::complete_for(caller, &mut records);
    let record = records.pop().ok_or(ApiError::NotFound)?;
    Ok(Shown::ok(Value::Object(record)))
}

/// Fails where there is no such record that the caller can see.
async fn find<R: Resource>(transaction: &mut Transaction, caller: &Caller, key: Key) -> Result<(), ApiError> {
    let mut query = Query::select().expr(R::model().id_column()).from(Alias::new(R::model().table)).take();
    R::visible(caller, &mut query);
    query.and_where(R::model().id_column().eq(key));
    if transaction.rows(&query).await?.is_empty() { Err(ApiError::NotFound) } else { Ok(()) }
}

/// Makes or changes a record and returns its key.
pub(crate) async fn write<R: Resource>(
    state: &AppState,
    caller: &Caller,
    key: Option<Key>,
    mut values: Values,
) -> Result<Key, ApiError> {
    let model = R::model();
    let is_new = key.is_none();
    let fields = values.names();
    R::prepare(state, caller, &mut values, key).await?;
    let mut transaction = state.db().begin().await?;
    if let Some(key) = key {
        find::<R>(&mut transaction, caller, key).await?;
    }
    refuse_duplicates(model, &mut transaction, key, &values).await?;
    let before = match (R::AUDIT, key) {
        (Some(_), Some(key)) => stored::<R>(&mut transaction, key).await?,
        _ => Record::new(),
    };
    let mut write = Write { state, caller, transaction: &mut transaction, values };
    R::before_write(&mut write, key).await?;
    let written = match key {
        Some(key) => update(model, &mut write, key).await.map(|()| key),
        None => insert(model, &mut write).await,
    };
    // Another server wrote the same in between.
    let key = written.map_err(|error| match error {
        error if error.is_duplicate() => ApiError::field(NON_FIELD, format!("This {} already exists.", model.name)),
        error => error.into(),
    })?;
    R::after_write(&mut write, key).await?;
    if let Some(audited) = R::AUDIT {
        let after = stored::<R>(write.transaction, key).await?;
        let (action, metadata) = if is_new {
            (audited.created, json!({ "fields": fields, "values": after }))
        } else {
            (audited.updated, json!({ "fields": fields, "changes": changes(&before, &after) }))
        };
        audited.append::<R>(action, &mut write, key, &after, metadata).await?;
    }
    transaction.commit().await?;
    // A write may change who may do what.
    state.callers().forget_all();
    Ok(key)
}

async fn update(model: &'static Model, write: &mut Write<'_>, key: Key) -> Result<(), DbError> {
    let columns = write.values.columns(model);
    if columns.is_empty() {
        return Ok(());
    }
    let mut update = Query::update().table(Alias::new(model.table)).and_where(model.id_column().eq(key)).take();
    update.values(columns.into_iter().map(|(name, value)| (Alias::new(name), value.into())));
    write.transaction.run(&update).await?;
    Ok(())
}

async fn insert(model: &'static Model, write: &mut Write<'_>) -> Result<Key, DbError> {
    let new = match model.id().kind {
        Kind::Uuid => Some(uuid::Uuid::now_v7()),
        _ => None,
    };
    if let Some(id) = new {
        write.values.set("id", id.to_string());
    }
    let columns = write.values.columns(model);
    let (names, values): (Vec<_>, Vec<Expr>) =
        columns.into_iter().map(|(name, value)| (Alias::new(name), Expr::from(value))).unzip();
    let mut insert = Query::insert().into_table(Alias::new(model.table)).columns(names).values_panic(values).take();
    match new {
        Some(id) => write.transaction.run(&insert).await.map(|_| Key::Uuid(id)),
        None => write.transaction.number(insert.returning_col(Alias::new("id"))).await.map(Key::Number),
    }
}

/// Fails where another record has the same value in a field that must be unique.
async fn refuse_duplicates(
    model: &'static Model,
    transaction: &mut Transaction,
    key: Option<Key>,
    values: &Values,
) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    for field in model.columns().filter(|field| field.is_unique) {
        let Some(text) = values.text(field.name).filter(|text| !text.is_empty()) else { continue };
        let mut others = Cond::all().add(Expr::col(Alias::new(key_column(field.name))).eq(fold(text)));
        if let Some(key) = key {
            others = others.add(model.id_column().ne(key));
        }
        let query =
            Query::select().expr(model.id_column()).from(Alias::new(model.table)).cond_where(others).limit(1).take();
        if !transaction.rows(&query).await?.is_empty() {
            errors
                .add(field.name, format!("{} with this {} already exists.", model.name.replace('_', " "), field.name));
        }
    }
    errors.into_result()
}

/// The id in the path.
#[derive(Debug)]
struct RecordId<R> {
    key: Key,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> FromRequestParts<AppState> for RecordId<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let key = match R::model().id().kind {
            Kind::Uuid => Key::Uuid(path_value(parts, state, 0).await?),
            _ => Key::Number(path_value(parts, state, 0).await?),
        };
        Ok(Self { key, resource: PhantomData })
    }
}

impl<R: Resource> Describe for RecordId<R> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = match R::model().id().kind {
            Kind::Uuid => uuid::Uuid::schema(),
            _ => i64::schema(),
        };
        describe_path_value(operation, 0, &schema);
    }
}

/// The body that makes a record.
#[derive(Debug)]
pub(crate) struct NewRecord<R> {
    pub(crate) values: Values,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> FromRequest<AppState> for NewRecord<R> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let model = R::model();
        let object = json_object(request, state, &model.create_schema().0).await?;
        Ok(Self { values: Values::of(object, model.creatable()), resource: PhantomData })
    }
}

impl<R: Resource> Describe for NewRecord<R> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.write(R::model().create_schema());
        operation.json_body(&schema);
    }
}

/// The body that replaces a record (all required fields) or changes it in part.
#[derive(Debug)]
pub(crate) struct ChangedRecord<R, const WHOLE: bool> {
    pub(crate) values: Values,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource, const WHOLE: bool> ChangedRecord<R, WHOLE> {
    fn schema() -> (String, Value) {
        if WHOLE { R::model().replace_schema() } else { R::model().patch_schema() }
    }
}

impl<R: Resource, const WHOLE: bool> FromRequest<AppState> for ChangedRecord<R, WHOLE> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let object = json_object(request, state, &Self::schema().0).await?;
        Ok(Self { values: Values::of(object, R::model().changeable()), resource: PhantomData })
    }
}

impl<R: Resource, const WHOLE: bool> Describe for ChangedRecord<R, WHOLE> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.write(Self::schema());
        operation.json_body(&schema);
    }
}

/// A record or a page of them.
#[derive(Debug)]
pub(crate) struct Shown<R, const PAGE: bool = false, const STATUS: u16 = 200> {
    pub(crate) value: Value,
    resource: PhantomData<fn() -> R>,
}

impl<R, const PAGE: bool, const STATUS: u16> Shown<R, PAGE, STATUS> {
    /// Shows a record that was completed.
    pub(crate) fn ok(value: Value) -> Self {
        Self { value, resource: PhantomData }
    }

    /// Answers with another status, as an action that makes a record does.
    pub(crate) fn with_status<const OTHER: u16>(self) -> Shown<R, PAGE, OTHER> {
        Shown::ok(self.value)
    }
}

impl<R, const PAGE: bool, const STATUS: u16> IntoResponse for Shown<R, PAGE, STATUS> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(STATUS).expect("statuses are written in the code");
        (status, axum::Json(self.value)).into_response()
    }
}

impl<R: Resource, const PAGE: bool, const STATUS: u16> Describe for Shown<R, PAGE, STATUS> {
    fn describe(operation: &mut Operation<'_>) {
        let model = R::model();
        let mut schema = operation.schemas.write(model.read_schema());
        if PAGE {
            schema = operation.schemas.write(model.page_schema());
        }
        operation.json_response(STATUS, &schema);
    }
}

/// Says that ids name no records.
pub(crate) fn unknown_ids(field: &str, ids: &[i64]) -> ApiError {
    let list = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    ApiError::field(field, format!("Invalid pk \"{list}\" - object does not exist."))
}
