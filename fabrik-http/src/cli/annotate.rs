//! `fabrik annotate`: what people say about a snapshot.

use clap::Args;
use fabrik_core::{Annotate as Change, annotate, resolve, view};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::session::Session;
use super::show::print_head;

/// Set the annotation, label or pin of a snapshot. Its rows never change.
#[derive(Debug, Args)]
#[command(after_help = super::REFERENCES)]
pub(super) struct Annotate {
    /// The snapshot.
    snapshot: String,
    /// The annotation; an empty text takes it away.
    text: Option<String>,
    /// A short tag, such as baseline; an empty one takes it away.
    #[arg(long)]
    label: Option<String>,
    /// Keep the snapshot whatever its retention policy says.
    #[arg(long, conflicts_with = "unpin")]
    pin: bool,
    /// Let the retention policy decide again.
    #[arg(long)]
    unpin: bool,
    #[command(flatten)]
    format: FormatOption,
}

impl Annotate {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let change = Change {
            annotation: self.text.clone().map(Some),
            label: self.label.clone().map(Some),
            pinned: (self.pin || self.unpin).then_some(self.pin),
        };
        if change == Change::default() {
            return Err(Failure::Usage("nothing to change: give a text, `--label`, `--pin` or `--unpin`".into()));
        }
        let store = session.open()?;
        let snapshot = resolve(&*store, &self.snapshot, session.now).await?;
        let snapshot = annotate(&*store, snapshot.id, &change).await?;
        if self.format.is_table(&session.out) {
            print_head(&snapshot, &mut session.out)?;
        } else {
            session.out.json(&view::snapshot(&snapshot))?;
        }
        Ok(Exit::Done)
    }
}
