//! Saved queries: whose they are, who may see them, and how they become rows.
//!
//! What a query asks is kept as it was written and compiled anew for each run. Its snapshots lie in the series of the
//! store that [`SavedQuery::series`] names.

mod execution;
mod question;
mod results;
mod versions;

use fabrik_apic::graph::{CompileOptions, GraphError, Plan, PlanSource, Question, Variables, Version, compile};
use fabrik_apic::{ApicError, LiveOptions};
use fabrik_core::process::{Pipeline, ProcessLimits, Processed, StepError};
use fabrik_core::{KeySpec, Source};
use sea_query::{Alias, Cond, Expr, ExprTrait, Func, Order, Query, SelectStatement};
use serde_json::Value;
use tokio::runtime::Handle;

use super::caller::Caller;
use super::connections::Connection;
use super::db::{Database, DbError, Transaction};
use super::error::ApiError;
use super::state::AppState;

pub(crate) use execution::{Execution, Outcome, Sink, TABLE as RUNS, purge, read, refuse, sentence};
pub(crate) use question::{show, take_question};
pub(crate) use results::{Keeping, KeptLines, KeptRows, kept};
pub(crate) use versions::{history, keep_version};

/// The table of saved queries.
pub(crate) const TABLE: &str = "saved_query";
/// The table of those that a query is shared with.
pub(crate) const SHARES: &str = "saved_query_share";
/// The table of what users like.
pub(crate) const FAVORITES: &str = "saved_query_favorite";

/// A saved query.
#[derive(Clone, Debug)]
pub(crate) struct SavedQuery {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Nobody, where the account of its owner is gone.
    pub(crate) owner_id: Option<i64>,
    /// The name of the store's series that its snapshots are in.
    pub(crate) series: String,
    /// The connection that it runs on unless told.
    pub(crate) connection_id: Option<i64>,
    /// What its rows are known by.
    pub(crate) key: KeySpec,
    pub(crate) version: Version,
    /// `sha256:` and eight digits.
    pub(crate) version_hash: String,
    pub(crate) enable_time_machine: bool,
    pub(crate) question: Question,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    owner_id: Option<i64>,
    series: Option<String>,
    apic_connection: Option<i64>,
    key_fields: Option<Value>,
    major_version: i64,
    minor_version: i64,
    current_version_hash: String,
    enable_time_machine: bool,
    question: String,
}

const COLUMNS: [&str; 11] = [
    "id",
    "name",
    "owner_id",
    "series",
    "apic_connection",
    "key_fields",
    "major_version",
    "minor_version",
    "current_version_hash",
    "enable_time_machine",
    "question",
];

impl TryFrom<Row> for SavedQuery {
    type Error = ApiError;

    fn try_from(row: Row) -> Result<Self, ApiError> {
        let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Self {
            id: row.id,
            name: row.name,
            owner_id: row.owner_id,
            series: row.series.unwrap_or_else(|| row.id.to_string()),
            connection_id: row.apic_connection,
            key: key_of(row.key_fields.as_ref())?,
            version: Version { major: number(row.major_version), minor: number(row.minor_version) },
            version_hash: row.current_version_hash,
            enable_time_machine: row.enable_time_machine,
            question: serde_json::from_str(&row.question).map_err(|error| ApiError::Internal(error.into()))?,
        })
    }
}

/// Returns what rows are known by where these columns are named; none stand for the DN.
pub(crate) fn key_of(fields: Option<&Value>) -> Result<KeySpec, ApiError> {
    let names: Vec<&str> = fields.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Ok(KeySpec::default());
    }
    KeySpec::fields(names).map_err(|error| ApiError::field("key_fields", error.to_string()))
}

fn select() -> SelectStatement {
    Query::select().columns(COLUMNS.map(|name| (Alias::new(TABLE), Alias::new(name)))).from(Alias::new(TABLE)).take()
}

fn column(name: &str) -> Expr {
    Expr::col((Alias::new(TABLE), Alias::new(name)))
}

/// Narrows a query over the table to what a caller can see: own, shared and public ones; administrators see all.
pub(crate) fn narrow_to_visible(caller: &Caller, query: &mut SelectStatement) {
    if caller.is_admin() {
        return;
    }
    query.cond_where(
        Cond::any()
            .add(column("owner_id").eq(caller.id()))
            .add(column("is_public").eq(true))
            .add(column("id").in_subquery(shared_with(caller.id()))),
    );
}

/// Returns the query for the ids of what is shared with a user.
pub(crate) fn shared_with(user_id: i64) -> SelectStatement {
    Query::select()
        .column(Alias::new("query_id"))
        .from(Alias::new(SHARES))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .take()
}

/// Returns the query for the ids of what a user likes.
pub(crate) fn liked_by(user_id: i64) -> SelectStatement {
    Query::select()
        .column(Alias::new("query_id"))
        .from(Alias::new(FAVORITES))
        .and_where(Expr::col(Alias::new("user_id")).eq(user_id))
        .take()
}

/// Returns a query that the caller can see.
pub(crate) async fn find(state: &AppState, caller: &Caller, id: i64) -> Result<SavedQuery, ApiError> {
    let mut query = select();
    narrow_to_visible(caller, &mut query);
    first(state.db(), query.and_where(column("id").eq(id))).await?.ok_or(ApiError::NotFound)
}

async fn first(db: &Database, query: &SelectStatement) -> Result<Option<SavedQuery>, ApiError> {
    db.first::<Row>(query).await?.map(SavedQuery::try_from).transpose()
}

/// Returns a query within a transaction.
pub(crate) async fn within(transaction: &mut Transaction, id: i64) -> Result<SavedQuery, ApiError> {
    let row = transaction.first::<Row>(select().and_where(column("id").eq(id))).await?;
    row.ok_or(ApiError::NotFound)?.try_into()
}

/// Returns these queries, in order of id.
pub(crate) async fn all(state: &AppState, ids: &[i64]) -> Result<Vec<SavedQuery>, ApiError> {
    let mut query = select();
    query
        .and_where(column("id").is_in(ids.iter().copied()))
        .order_by((Alias::new(TABLE), Alias::new("id")), Order::Asc);
    state.db().all::<Row>(&query).await?.into_iter().map(SavedQuery::try_from).collect()
}

/// Returns the ids of all queries that the caller can see, in order.
pub(crate) async fn visible_ids(state: &AppState, caller: &Caller) -> Result<Vec<i64>, DbError> {
    let mut query = Query::select().expr(column("id")).from(Alias::new(TABLE)).take();
    narrow_to_visible(caller, &mut query);
    query.order_by((Alias::new(TABLE), Alias::new("id")), Order::Asc);
    Ok(state.db().all::<(i64,)>(&query).await?.into_iter().map(|(id,)| id).collect())
}

/// Returns whether the caller may change a query: its owner and administrators.
pub(crate) fn may_edit(caller: &Caller, query: &SavedQuery) -> bool {
    caller.is_admin() || query.owner_id == Some(caller.id())
}

/// A question that is ready to be asked.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) plan: Plan,
    pipeline: Pipeline,
}

impl Compiled {
    /// Compiles a question with all its steps.
    ///
    /// # Errors
    ///
    /// What is wrong, by field.
    pub(crate) fn new(question: &Question, options: &CompileOptions) -> Result<Self, ApiError> {
        let plan = compile(question, options).map_err(|error| refuse_graph(question, &error))?;
        let pipeline =
            Pipeline::compile(&plan.processors, ProcessLimits::default()).map_err(|error| refuse_step(&error))?;
        Ok(Self { plan, pipeline })
    }

    /// Starts to read its rows from a controller.
    pub(crate) fn start(self, state: &AppState, connection: &Connection) -> Result<Box<dyn Source>, ApiError> {
        let client = connection.client(state)?;
        let source = PlanSource::start(&client, self.plan, &LiveOptions::default(), &Handle::current())
            .map_err(|error| refuse_option(&error))?;
        Ok(Box::new(Processed::new(source, self.pipeline)))
    }
}

/// Starts to read the rows of a query: compiled now, from a live controller, after its post-processors.
pub(crate) fn source(
    state: &AppState,
    query: &SavedQuery,
    connection: &Connection,
    variables: &Variables,
) -> Result<Box<dyn Source>, ApiError> {
    let options = CompileOptions::default().with_variables(variables.clone());
    Compiled::new(&query.question, &options)?.start(state, connection)
}

/// Says which field of the API is wrong where a question does not compile.
pub(crate) fn refuse_graph(question: &Question, error: &GraphError) -> ApiError {
    let field = match (question, error.field()) {
        (_, field) if field.starts_with("variables") => "variables",
        (_, "preview_node_id") => "preview_node_id",
        (_, "force_strategy") => "force_strategy",
        (Question::Plain(plain), _) if plain.path.is_some() => "path",
        (Question::Plain(_), "class") => "class_name",
        (Question::Plain(_), "query-target-filter") => "filter",
        (Question::Plain(_), field @ ("filter" | "scope" | "path")) => field,
        (Question::Plain(_), _) => "options",
        (Question::Graph(_), _) => "flow_data",
    };
    ApiError::field(field, format!("{error}."))
}

/// Says that a step cannot run.
pub(crate) fn refuse_step(error: &StepError) -> ApiError {
    ApiError::field("post_processors", format!("{error}."))
}

fn refuse_option(error: &ApicError) -> ApiError {
    ApiError::field("flow_data", format!("{error}."))
}

/// Returns the query that counts the saved queries of these users.
pub(crate) fn counting(owners: &[i64]) -> SelectStatement {
    let own = Expr::col(Alias::new("owner_id")).is_in(owners.iter().copied());
    count_by("owner_id", TABLE).and_where(own).take()
}

/// Returns the query that counts what these users like.
pub(crate) fn counting_favorites(owners: &[i64]) -> SelectStatement {
    let own = Expr::col(Alias::new("user_id")).is_in(owners.iter().copied());
    count_by("user_id", FAVORITES).and_where(own).take()
}

/// Returns the query that counts how many of their queries these users share.
pub(crate) fn counting_shared(owners: &[i64]) -> SelectStatement {
    let shared = Query::select().column(Alias::new("query_id")).from(Alias::new(SHARES)).take();
    count_by("owner_id", TABLE)
        .and_where(Expr::col(Alias::new("owner_id")).is_in(owners.iter().copied()))
        .cond_where(Cond::any().add(column("is_public").eq(true)).add(column("id").in_subquery(shared)))
        .take()
}

fn count_by(owner: &str, table: &str) -> SelectStatement {
    Query::select()
        .column(Alias::new(owner))
        .expr(Func::count(Expr::col(Alias::new(owner))))
        .from(Alias::new(table))
        .group_by_col(Alias::new(owner))
        .take()
}
