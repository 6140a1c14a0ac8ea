//! Changes that clients make.

mod body;
mod carry;
mod plan;
mod relation;

pub(crate) use body::PostObject;
pub(super) use carry::carry_out;
pub(super) use plan::{plan_delete, plan_post};

#[cfg(test)]
mod tests;
