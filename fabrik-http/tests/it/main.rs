//! The command as its users run it: arguments in, output and exit codes out.
#![expect(clippy::unwrap_used, reason = "a failing test panics")]

mod apic_sim;
mod audit;
mod capture;
mod cleanup;
mod compare;
mod damage;
mod demo;
mod folder;
mod history;
mod kill;
mod lacking;
mod live;
mod pipe;
mod postgres;
mod refusal;
mod show;
