//! Lists of records: filters, search, ordering and pages, all read off the model.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sea_query::{Alias, CaseStatement, Condition, Expr, ExprTrait, Func, LikeExpr, Order, Query, SelectStatement};
use serde_json::{Value, json};

use super::describe::{Describe, Operation};
use super::error::{ApiError, FieldErrors};
use super::model::{Field, Kind, Model};
use super::page::{self, Page};
use super::peer::Peer;
use super::resource::Resource;
use super::state::AppState;
use super::validate::{Components, check};

/// How many words a search looks for at most, as each is a pass over the table.
const MAX_WORDS: usize = 16;

/// What a caller wants of a list.
#[derive(Debug)]
pub(crate) struct Listing<R> {
    page: Page,
    conditions: Condition,
    order: Vec<(&'static Field, Order)>,
    /// Filters that are no columns, by their place among those of the resource.
    joined: Vec<(usize, Value)>,
    peer: Peer,
    path: String,
    query: Vec<(String, String)>,
    resource: std::marker::PhantomData<fn() -> R>,
}

/// A filter that is no column of the model: what it does to the query, given its checked value.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    pub(crate) kind: super::model::Kind,
    pub(crate) about: &'static str,
    pub(crate) apply: fn(&mut SelectStatement, &Value),
}

impl<R: Resource> Listing<R> {
    /// Narrows a query to what matches.
    pub(crate) fn narrow(&self, query: &mut SelectStatement) {
        query.cond_where(self.conditions.clone());
        for (index, value) in &self.joined {
            (R::filters()[*index].apply)(query, value);
        }
    }

    /// Returns the query that counts what `query` would list.
    pub(crate) fn counting(query: &SelectStatement) -> SelectStatement {
        let mut ids = query.clone();
        ids.clear_selects().expr(R::model().id_column());
        Query::select()
            .expr(Func::count(Expr::col(sea_query::Asterisk)))
            .from_subquery(ids, Alias::new("listed"))
            .take()
    }

    /// Orders a query and cuts the page out of it.
    pub(crate) fn cut(&self, query: &mut SelectStatement) {
        self.order(query);
        query.limit(self.page.limit()).offset(self.page.offset());
    }

    /// Orders a query.
    pub(crate) fn order(&self, query: &mut SelectStatement) {
        let table = Alias::new(R::model().table);
        for (field, direction) in &self.order {
            match field.kind {
                Kind::Choice(choices) => query.order_by_expr(rank(&table, field, choices), direction.clone()),
                _ => query.order_by((table.clone(), Alias::new(field.name)), direction.clone()),
            };
        }
        // The key comes last, so that equal values do not move between pages.
        query.order_by((table, Alias::new("id")), Order::Asc);
    }

    /// Fails where there is no such page.
    pub(crate) fn check(&self, count: u64) -> Result<(), ApiError> {
        self.page.check(count)
    }

    /// Puts the records of the page into their envelope.
    pub(crate) fn envelope(&self, count: u64, results: Value) -> Value {
        self.page.envelope(count, results, &self.peer, &self.path, &self.query)
    }
}

impl<R: Resource> FromRequestParts<AppState> for Listing<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let Ok(peer) = Peer::from_request_parts(parts, state).await;
        let uri = &parts.uri;
        let query: Vec<_> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let model = R::model();
        let value = |name: &str| query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let mut errors = FieldErrors::default();
        let mut checked = |name: &str, schema: &Value, text: &str| {
            let mut value = Value::from(text);
            check(schema, &Components::new(), &mut value)
                .map_err(|sentence| errors.add(name, sentence))
                .ok()
                .map(|()| value)
        };
        let mut conditions = Condition::all();
        for field in model.fields.iter().filter(|field| field.is_filterable) {
            // An empty value is a form that was not filled in.
            let Some(text) = value(field.name).filter(|text| !text.is_empty()) else { continue };
            if let Some(value) = checked(field.name, &exact(field), text) {
                conditions = conditions.add(model.equals(field, &value));
            }
        }
        let mut joined = Vec::new();
        for (index, filter) in R::filters().iter().enumerate() {
            let Some(text) = value(filter.name).filter(|text| !text.is_empty()) else { continue };
            joined.extend(checked(filter.name, &filter.kind.schema(), text).map(|value| (index, value)));
        }
        let search = checked("search", &json!({ "type": "string" }), value("search").unwrap_or_default());
        errors.into_result()?;
        conditions = conditions.add(searching(model, search.as_ref().and_then(Value::as_str).unwrap_or_default()));
        let mut order = model.ordering(value("ordering").unwrap_or_default());
        if order.is_empty() {
            order = model.ordering(model.default_order);
        }
        let page = Page::of(&query)?;
        let path = uri.path().to_owned();
        Ok(Self { page, conditions, order, joined, peer, path, query, resource: std::marker::PhantomData })
    }
}

/// Choices are ordered as they are declared, not by their letters: `low` is less than `high`.
fn rank(table: &Alias, field: &Field, choices: &[&str]) -> Expr {
    let mut rank = CaseStatement::new();
    for (place, choice) in (0_i64..).zip(choices) {
        rank = rank.case(Expr::col((table.clone(), Alias::new(field.name))).eq(*choice), place);
    }
    rank.into()
}

/// A filter compares with any value of the type, whether a record may have it or not.
fn exact(field: &Field) -> Value {
    let mut schema = field.kind.schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("minLength");
        schema.remove("maxLength");
        if schema.get("format").is_some_and(|format| format == "email") {
            schema.remove("format");
        }
    }
    schema
}

/// Every word must be in some field, upper or lower case.
fn searching(model: &Model, text: &str) -> Condition {
    let mut all = Condition::all();
    for word in text.split_whitespace().take(MAX_WORDS) {
        // SQLite lowers ASCII only and PostgreSQL all letters, so a word is looked for in both forms.
        let forms = [word.to_ascii_lowercase(), word.to_lowercase()].map(|form| escaped(&form));
        let forms = if forms[0] == forms[1] { &forms[..1] } else { &forms[..] };
        let mut any = Condition::any();
        for field in model.fields.iter().filter(|field| field.is_searchable) {
            let column = Expr::col((Alias::new(model.table), Alias::new(field.name)));
            for form in forms {
                let pattern = LikeExpr::new(format!("%{form}%")).escape('\\');
                any = any.add(Expr::expr(Func::lower(column.clone())).like(pattern));
            }
        }
        all = all.add(any);
    }
    all
}

/// A word is what it is: its characters mean nothing in a pattern.
fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

impl<R: Resource> Describe for Listing<R> {
    fn describe(operation: &mut Operation<'_>) {
        for parameter in page::parameters() {
            operation.parameter(parameter);
        }
        Selection::<R>::describe(operation);
        operation.error(404);
    }
}

/// What a caller wants of a list that has no pages.
#[derive(Debug)]
pub(crate) struct Selection<R>(Listing<R>);

impl<R: Resource> Selection<R> {
    /// Narrows a query to what matches.
    pub(crate) fn narrow(&self, query: &mut SelectStatement) {
        self.0.narrow(query);
    }

    /// Orders a query.
    pub(crate) fn order(&self, query: &mut SelectStatement) {
        self.0.order(query);
    }
}

impl<R: Resource> FromRequestParts<AppState> for Selection<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Listing::from_request_parts(parts, state).await.map(Self)
    }
}

impl<R: Resource> Describe for Selection<R> {
    fn describe(operation: &mut Operation<'_>) {
        let model = R::model();
        let names = |has: fn(&Field) -> bool| -> Vec<_> {
            model.fields.iter().filter(|field| has(field)).map(|field| field.name).collect()
        };
        let searched = names(|field| field.is_searchable);
        if !searched.is_empty() {
            let about = format!("words that must all be found, in {}", searched.join(", "));
            operation.parameter(
                json!({ "name": "search", "in": "query", "description": about, "schema": { "type": "string" } }),
            );
        }
        let about =
            format!("fields divided by commas, descending after `-`: {}", names(|field| field.is_orderable).join(", "));
        operation.parameter(
            json!({ "name": "ordering", "in": "query", "description": about, "schema": { "type": "string" } }),
        );
        for field in model.fields.iter().filter(|field| field.is_filterable) {
            operation.parameter(
                json!({ "name": field.name, "in": "query", "description": field.about, "schema": exact(field) }),
            );
        }
        for filter in R::filters() {
            let schema = filter.kind.schema();
            operation.parameter(
                json!({ "name": filter.name, "in": "query", "description": filter.about, "schema": schema }),
            );
        }
        operation.error(400);
    }
}
