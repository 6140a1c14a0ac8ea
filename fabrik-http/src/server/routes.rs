//! All routes of the server, in the order of their addresses.

mod account;
mod api_keys;
mod apic;
mod audit;
mod auth;
mod dashboard;
mod email;
mod groups;
mod health;
mod ldap;
mod mfa;
mod notifications;
mod oidc;
mod pages;
mod password_reset;
mod permissions;
mod queries;
mod register;
mod schedules;
mod sessions;
mod setup;
mod time_machine;
mod users;
mod webhooks;
mod ws;

use super::registry::Registry;

/// Declares every route there is.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    auth::declare(&mut registry);
    ldap::declare(&mut registry);
    oidc::declare(&mut registry);
    mfa::declare(&mut registry);
    api_keys::declare(&mut registry);
    sessions::declare(&mut registry);
    password_reset::declare(&mut registry);
    email::declare(&mut registry);
    register::declare(&mut registry);
    account::declare(&mut registry);
    users::declare(&mut registry);
    groups::declare(&mut registry);
    permissions::declare(&mut registry);
    apic::declare(&mut registry);
    queries::declare(&mut registry);
    time_machine::declare(&mut registry);
    notifications::declare(&mut registry);
    schedules::declare(&mut registry);
    dashboard::declare(&mut registry);
    webhooks::declare(&mut registry);
    audit::declare(&mut registry);
    setup::declare(&mut registry);
    ws::declare(&mut registry);
    health::declare(&mut registry);
    pages::declare(&mut registry);
    registry
}
