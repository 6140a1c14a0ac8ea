//! `fabrik demo`: something to look at without a controller.

mod recorded;
mod tour;

use std::io::Write;

use chrono::{DateTime, Days, NaiveTime, Timelike, Utc};
use clap::Args;
use fabrik_apic::demo::{Chapter, story};
use fabrik_core::store::{SnapshotFilter, Store};
use fabrik_core::{RetentionPolicy, capture};

use super::capture::capture_options;
use super::exit::{Exit, Failure};
use super::output::Ink;
use super::progress::Progress;
use super::session::Session;
use super::text::counted;

/// The query that the made-up fabric answers.
const QUERY: &str = "fabric";
/// Which of the made-up fabrics.
const SEED: u64 = 2026;
/// How many days the story goes back.
const DAYS_BACK: u64 = 29;

/// Fill an empty store with recorded answers and a month of a made-up fabric, and show what can be asked of it.
#[derive(Debug, Args)]
pub(super) struct Demo {}

impl Demo {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open_or_create()?;
        if !store.snapshots(&SnapshotFilter::default().with_page(0, 1)).await?.is_empty() {
            return Err(Failure::Refused(format!(
                "the store at {} has snapshots already and the demo does not mix with them; \
                 run it in an empty folder or with `--store sqlite:demo.db`",
                session.place()
            )));
        }
        let now = session.now.with_nanosecond(0).unwrap_or(session.now);
        let progress = Progress::of_unknown("capturing");
        let files = recorded::capture_all(&*store, now).await?;
        let chapters = capture_story(&*store, now).await?;
        drop(progress);

        let heading = session.out.paint.with(Ink::Bold, "Captured");
        let store_is = session.place().to_string();
        writeln!(
            session.out,
            "{heading} into {store_is}: {} of real controllers, and {} of a made-up fabric over 30 days.",
            counted(files, "recorded answer", "recorded answers"),
            counted(u64::try_from(chapters.len()).unwrap_or(u64::MAX), "snapshot", "snapshots"),
        )?;
        tour::guide(session, &chapters).await?;
        Ok(Exit::Done)
    }
}

/// Captures the story, whose last day is today or, before two in the morning, yesterday.
async fn capture_story(store: &dyn Store, now: DateTime<Utc>) -> Result<Vec<Chapter>, Failure> {
    // At two in the morning, when a nightly capture would run.
    let nightly = NaiveTime::from_hms_opt(2, 0, 0).unwrap_or_default();
    let today = if now.time() < nightly { now.date_naive() - Days::new(1) } else { now.date_naive() };
    let start = (today - Days::new(DAYS_BACK)).and_time(nightly).and_utc();
    let mut chapters = Vec::new();
    for chapter in story(SEED, start) {
        let mut options = capture_options(QUERY, chapter.at);
        options.captured_by = "demo".to_owned();
        options.annotation.clone_from(&chapter.annotation);
        options.label.clone_from(&chapter.label);
        options.retention_policy = match chapter.label.as_deref() {
            None => RetentionPolicy::SevenDays,
            Some("baseline") => RetentionPolicy::Forever,
            Some(_) => RetentionPolicy::NinetyDays,
        };
        // Shuffled, as a controller gives no order.
        let mut source = chapter.fabric.rows(Some(chapters.len() as u64));
        capture(store, &mut source, &options).await?;
        chapters.push(chapter);
    }
    Ok(chapters)
}
