//! All routes of the server, in the order of their addresses.

mod account;
mod auth;
mod groups;
mod health;
mod pages;
mod permissions;
mod setup;
mod users;

use super::registry::Registry;

/// Declares every route there is.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    auth::declare(&mut registry);
    account::declare(&mut registry);
    users::declare(&mut registry);
    groups::declare(&mut registry);
    permissions::declare(&mut registry);
    setup::declare(&mut registry);
    health::declare(&mut registry);
    pages::declare(&mut registry);
    registry
}
