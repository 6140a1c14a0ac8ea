//! What was run.

use sea_query::{Alias, Cond, Expr, ExprTrait, Query, SelectStatement};

use super::VIEW;
use crate::server::caller::Caller;
use crate::server::model::{Field, Kind, Model, Verb};
use crate::server::queries::TABLE as QUERIES;
use crate::server::registry::{Access, Registry};
use crate::server::resource::Resource;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Logs>("/api/queries/execution-logs/");
}

/// Own runs, and those of own queries; administrators see all.
struct Logs;

static LOG: Model = Model {
    app: "queries",
    name: "execution_log",
    title: "QueryExecutionLog",
    table: "query_execution",
    default_order: "-executed_at",
    fields: &[
        Field::new("id", Kind::Uuid, "the id of the run"),
        Field::new("query", Kind::Integer, "the saved query, while it is there").nullable().filter(),
        Field::new("query_name", Kind::Text { least: 0, most: 200 }, "its name then").search().order(),
        Field::new("query_version", Kind::Text { least: 0, most: 30 }, "its version then, such as 1.2"),
        Field::new("query_url", Kind::Text { least: 0, most: 100_000 }, "what the controller was asked"),
        Field::new(
            "strategy",
            Kind::Text { least: 0, most: 30 },
            "how it was asked: mo, mo_partial, class, node_class",
        ),
        Field::new("apic_connection", Kind::Integer, "the connection").nullable().filter(),
        Field::new("apic_connection_name", Kind::Text { least: 0, most: 200 }, "its name then"),
        Field::new("executed_by", Kind::Integer, "who ran it, while the account is there").nullable().filter(),
        Field::new("executed_by_username", Kind::Text { least: 0, most: 150 }, "the name of who ran it"),
        Field::new("executed_at", Kind::Moment, "when it began").order(),
        Field::new("finished_at", Kind::Moment, "when it ended; null while it runs").nullable().order(),
        Field::new("execution_time_ms", Kind::Integer, "how long it took").order(),
        Field::new("result_count", Kind::Integer, "how many rows came").order(),
        Field::new("success", Kind::Boolean, "whether all went well").filter(),
        Field::new("error_message", Kind::Text { least: 0, most: 100_000 }, "what went wrong"),
    ],
};

impl Resource for Logs {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &LOG
    }

    fn access(_verb: Verb) -> Access {
        Access::Permission(VIEW.into())
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        if caller.is_admin() {
            return;
        }
        let own = Query::select()
            .column(Alias::new("id"))
            .from(Alias::new(QUERIES))
            .and_where(Expr::col(Alias::new("owner_id")).eq(caller.id()))
            .take();
        let column = |name: &str| Expr::col((Alias::new(LOG.table), Alias::new(name)));
        query.cond_where(Cond::any().add(column("executed_by").eq(caller.id())).add(column("query").in_subquery(own)));
    }
}
