//! The API as its clients use it: requests in, answers out.
#![expect(clippy::unwrap_used, reason = "a failing test panics")]
#![expect(clippy::print_stdout, reason = "tests tell what they measured and why they were skipped")]

mod account;
mod actions;
mod api_keys;
mod apic;
mod audit;
mod browser;
mod contract;
mod dashboard;
#[allow(dead_code, reason = "not every test needs Python")]
#[path = "../../../fabrik-apic/tests/clients/environment.rs"]
mod environment;
mod errors;
mod groups;
mod headers;
mod last_admin;
mod ldap;
mod limits;
mod login;
mod matrix;
mod mfa;
mod migrations;
mod notifications;
mod oidc;
mod postgres;
mod process;
mod queries;
mod quotas;
mod register;
mod schedules;
mod schema;
mod secrecy;
mod served;
mod server;
mod sessions;
mod setup;
mod smtp;
mod telemetry;
mod throttles;
mod time_machine;
mod tokens;
mod users;
mod webhooks;
