//! Attempts to log in: rows of the log, seen as what they are.

use sea_query::{ExprTrait, SelectStatement};

use super::{TABLE, column, filters, hide_forgotten};
use crate::server::audit::Category;
use crate::server::caller::Caller;
use crate::server::listing::Filter;
use crate::server::model::{Field, Kind, Model, Verb};
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Resource, list_route};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        list_route::<LoginAttempts>("/api/audit/login-attempts/")
            .about("Lists attempts to log in, the newest first, whether they succeeded or not."),
    );
}

/// Attempts to log in.
struct LoginAttempts;

static LOGIN_ATTEMPT: Model = Model {
    app: "audit",
    name: "login_attempt",
    title: "LoginAttempt",
    table: TABLE,
    default_order: "-sequence",
    fields: &[
        Field::new("id", Kind::Uuid, "the id of the row in the log"),
        Field::new("sequence", Kind::Integer, "its place in the chain").hidden().order(),
        Field::new("timestamp", Kind::Moment, "when it was tried").order(),
        Field::new("username", Kind::Text { least: 0, most: 254 }, "the name that was given").filter().search().order(),
        Field::new("user", Kind::Integer, "the id of the user, where it is known who it was").nullable().filter(),
        Field::new("ip_address", Kind::Text { least: 0, most: 45 }, "the address that it was tried from").filter(),
        Field::new("user_agent", Kind::Text { least: 0, most: 200 }, "what the client said it is"),
        Field::new("action", Kind::Text { least: 0, most: 100 }, "how it was tried").filter(),
        Field::new("success", Kind::Boolean, "whether it succeeded").filter(),
        Field::new("error_message", Kind::Text { least: 0, most: 2000 }, "why it did not"),
    ],
};

impl Resource for LoginAttempts {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &LOGIN_ATTEMPT
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    fn visible(_caller: &Caller, query: &mut SelectStatement) {
        hide_forgotten(query);
        // `login_success`, `login_failed`, `mfa_login` and the others; not `logout`.
        query
            .and_where(column("category").eq(Category::LoginLogout.name()))
            .and_where(column("action").like("%login%"));
    }

    fn filters() -> &'static [Filter] {
        filters::OF_ATTEMPTS
    }
}
