//! Saved queries: kept, shared, run and carried elsewhere.

mod actions;
mod build;
mod categories;
mod exchange;
mod execute;
mod logs;
mod saved;

use crate::server::registry::Registry;

/// Where saved queries are.
const PATH: &str = "/api/queries/saved-queries/";
/// Who may look at queries may run them, as that changes nothing here.
const VIEW: &str = "queries.view_saved_query";

pub(super) fn declare(registry: &mut Registry) {
    categories::declare(registry);
    saved::declare(registry);
    actions::declare(registry);
    execute::declare(registry);
    build::declare(registry);
    exchange::declare(registry);
    logs::declare(registry);
}
