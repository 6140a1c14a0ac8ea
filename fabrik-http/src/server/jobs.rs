//! What the server does by itself, again and again.
//!
//! Every server on a database runs every job, so each job is right when two do it at the same time.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::error::{ApiError, chain};
use super::state::AppState;
use super::{
    audit, captures, connections, events, lockout, mail, mail_tokens, notifications, oidc, password_reset, queries,
    quotas, reset_codes, schedules, sessions, spent_tokens, throttle, tickets, users, webhooks,
};

/// One job.
struct Job {
    name: &'static str,
    every: Duration,
    run: fn(AppState) -> BoxFuture<'static, Result<(), ApiError>>,
}

/// Soon enough for who waits for a mail.
const SECONDS: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// All jobs there are.
const JOBS: &[Job] = &[
    Job { name: "forget what is over in memory", every: MINUTE, run: |state| Box::pin(forget(state)) },
    Job { name: "forget users whose time is over", every: MINUTE, run: |state| Box::pin(forget_users(state)) },
    Job { name: "forget lockouts", every: MINUTE, run: |state| Box::pin(async move { lockout::purge(&state).await }) },
    Job {
        name: "clean up the audit log",
        every: MINUTE,
        run: |state| Box::pin(async move { Ok(audit::clean_up(&state).await?) }),
    },
    Job { name: "forget old events", every: MINUTE, run: |state| Box::pin(async move { events::purge(&state).await }) },
    Job { name: "forget rates", every: MINUTE, run: |state| Box::pin(async move { throttle::purge(&state).await }) },
    Job { name: "forget tickets", every: MINUTE, run: |state| Box::pin(async move { tickets::purge(&state).await }) },
    Job { name: "forget sessions", every: MINUTE, run: |state| Box::pin(async move { sessions::purge(&state).await }) },
    Job {
        name: "forget logins under way",
        every: MINUTE,
        run: |state| Box::pin(async move { oidc::purge(&state).await }),
    },
    Job {
        name: "escalate",
        every: MINUTE,
        run: |state| Box::pin(async move { notifications::escalate(&state).await }),
    },
    // Before notifications and mail, which runs that are over ask for.
    Job {
        name: "run scheduled tasks",
        every: SECONDS,
        run: |state| Box::pin(async move { schedules::run_due(&state).await }),
    },
    Job {
        name: "take up what was left of scheduled tasks",
        every: MINUTE,
        run: |state| Box::pin(async move { schedules::recover(&state).await }),
    },
    Job {
        name: "forget scheduled executions",
        every: HOUR,
        run: |state| Box::pin(async move { schedules::purge(&state).await }),
    },
    // Before mail is sent, so that what is told now is sent now.
    Job {
        name: "hand notifications to the post",
        every: SECONDS,
        run: |state| Box::pin(async move { notifications::hand_over(&state).await }),
    },
    Job { name: "send mail", every: SECONDS, run: |state| Box::pin(async move { mail::send_due(&state).await }) },
    Job {
        name: "call webhooks",
        every: SECONDS,
        run: |state| Box::pin(async move { webhooks::deliver_due(&state).await }),
    },
    Job {
        name: "forget notifications",
        every: HOUR,
        run: |state| Box::pin(async move { notifications::purge(&state).await }),
    },
    Job {
        name: "forget captures that are gone",
        every: HOUR,
        run: |state| Box::pin(async move { captures::purge(&state).await }),
    },
    Job {
        name: "forget runs of queries",
        every: HOUR,
        run: |state| Box::pin(async move { queries::purge(&state).await }),
    },
    Job { name: "forget mail", every: HOUR, run: |state| Box::pin(async move { mail::purge(&state).await }) },
    Job { name: "forget deliveries", every: HOUR, run: |state| Box::pin(async move { webhooks::purge(&state).await }) },
    Job { name: "answer password resets", every: SECONDS, run: |state| Box::pin(answer_resets(state)) },
    Job { name: "forget tokens", every: MINUTE, run: |state| Box::pin(forget_tokens(state)) },
    Job { name: "forget codes", every: MINUTE, run: |state| Box::pin(async move { reset_codes::purge(&state).await }) },
    Job {
        name: "forget used quotas",
        every: MINUTE,
        run: |state| Box::pin(async move { quotas::purge(&state).await }),
    },
];

async fn answer_resets(state: AppState) -> Result<(), ApiError> {
    password_reset::answer(&state).await
}

async fn forget_tokens(state: AppState) -> Result<(), ApiError> {
    mail_tokens::purge(&state).await?;
    Ok(spent_tokens::purge(&state).await?)
}

async fn forget(state: AppState) -> Result<(), ApiError> {
    state.throttles().forget_full();
    state.events().forget_unheard();
    connections::tidy(&state);
    state.metrics().upkeep();
    Ok(())
}

async fn forget_users(state: AppState) -> Result<(), ApiError> {
    Ok(users::purge(state.db(), state.clock().now()).await?)
}

/// Does every job in its rhythm, until dropped.
pub(crate) fn start(state: &AppState) -> tokio::task::JoinSet<()> {
    let mut running = tokio::task::JoinSet::new();
    for job in JOBS {
        let state = state.clone();
        running.spawn(async move {
            let mut ticks = tokio::time::interval(job.every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                run(job, &state).await;
            }
        });
    }
    running
}

/// Does every job once, now.
pub async fn run_jobs(state: &AppState) {
    for job in JOBS {
        run(job, state).await;
        // Scheduled tasks go on by themselves.
        state.runner().settled().await;
    }
}

async fn run(job: &Job, state: &AppState) {
    if let Err(error) = (job.run)(state.clone()).await {
        let error = match error {
            ApiError::Internal(error) => chain(&*error),
            other => format!("{other:?}"),
        };
        tracing::warn!(job = job.name, error, "a job failed");
    }
}
