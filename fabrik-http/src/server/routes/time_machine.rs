//! The Time Machine: snapshots of saved queries, what changed between them, and how long they are kept.

mod capture;
mod cleanup;
mod compare;
mod detail;
mod dns;
mod document;
mod heatmap;
mod histories;
mod settings;
mod snapshots;
mod timeline;

use crate::server::registry::Registry;

pub(super) fn declare(registry: &mut Registry) {
    capture::declare(registry);
    histories::declare(registry);
    snapshots::declare(registry);
    detail::declare(registry);
    compare::declare(registry);
    heatmap::declare(registry);
    timeline::declare(registry);
    dns::declare(registry);
    settings::declare(registry);
    cleanup::declare(registry);
}
