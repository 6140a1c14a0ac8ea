//! `fabrik verify`: are the store and the audit log what they say they are?

use std::io::Write;

use clap::Args;
use fabrik_core::{Verification, verify};
use fabrik_http::server::settings::Origin;
use fabrik_http::server::{AuditHead, AuditReport, DatabasePlace, Settings, verify_audit_at};
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::{Ink, Output};
use super::progress::Progress;
use super::server_options::{ServerOptions, block_on, usage};
use super::session::Session;
use super::text::{counted, visible};

/// Read everything in the store, and the server's audit log where there is one, and check it; exit code 4 says that
/// something is damaged.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    format: FormatOption,
    /// Where the server keeps its state: sqlite:PATH or postgres://USER@HOST/DATABASE. [default: as for `fabrik serve`]
    #[arg(long, value_name = "DATABASE")]
    server_database: Option<DatabasePlace>,
    /// The last row of the audit log as an earlier verification told it; it must still be there.
    #[arg(long, value_name = "SEQUENCE:HASH")]
    audit_head: Option<AuditHead>,
    #[command(flatten)]
    options: ServerOptions,
}

/// What was found, in one document.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    store: &'a Verification,
    /// Null where there is no database of a server.
    audit: Option<&'a AuditReport>,
}

impl Verify {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let place = self.place(session)?;
        let noted = self.audit_head.as_ref();
        let store = session.open()?;
        let progress = Progress::of_unknown("checking");
        let found = verify(&*store).await?;
        let audit = block_on(async { verify_audit_at(&place, noted).await.map_err(|error| Failure::refused(&error)) })?;
        drop(progress);
        if let Some(noted) = noted {
            refuse_unknown(noted, audit.as_ref())?;
        }
        if self.format.is_table(&session.out) {
            print_table(&found, &mut session.out)?;
            print_audit(audit.as_ref(), &place, &mut session.out)?;
        } else {
            session.out.json(&Found { store: &found, audit: audit.as_ref() })?;
        }
        let is_clean = found.is_clean() && audit.is_none_or(|audit| audit.is_clean());
        Ok(if is_clean { Exit::Done } else { Exit::Damaged })
    }

    /// Returns where the server's state is: as told, or as the server would be, on the store that is checked.
    fn place(&self, session: &Session) -> Result<DatabasePlace, Failure> {
        if let Some(place) = &self.server_database {
            return Ok(place.clone());
        }
        let mut layers = self.options.layers(session)?;
        // A file may name another store than the one that is checked.
        if layers.text("store").is_none_or(|told| told.parse().is_ok_and(|place| *session.place() != place)) {
            layers.set("store", &session.place().to_string(), Origin::Default).map_err(usage)?;
        }
        Ok(Settings::from_layers(&layers).map_err(usage)?.database)
    }
}

/// Fails where a noted row can be compared with nothing.
fn refuse_unknown(noted: &AuditHead, audit: Option<&AuditReport>) -> Result<(), Failure> {
    let sequence = noted.sequence;
    match audit {
        None => Err(Failure::Refused(format!("row {sequence} cannot be compared: there is no audit log"))),
        Some(audit) if sequence + 1 < audit.first_sequence => {
            let first = audit.first_sequence;
            Err(Failure::Refused(format!(
                "row {sequence} cannot be compared: the audit log begins with row {first} now"
            )))
        }
        Some(_) => Ok(()),
    }
}

fn print_table(found: &Verification, out: &mut Output) -> Result<(), Failure> {
    let verdict = if found.is_clean() {
        out.paint.with(Ink::Green, "the store is whole")
    } else {
        let places = u64::try_from(found.damage.len()).unwrap_or(u64::MAX);
        out.paint.with(Ink::Red, &format!("the store is damaged in {}", counted(places, "place", "places")))
    };
    writeln!(
        out,
        "{verdict}: {}, {} and {} checked",
        counted(found.snapshots, "snapshot", "snapshots"),
        counted(found.chunks, "chunk", "chunks"),
        counted(found.rows, "row", "rows"),
    )?;
    if found.unreferenced_chunks > 0 {
        let chunks = counted(found.unreferenced_chunks, "chunk is", "chunks are");
        writeln!(out, "{chunks} needed by no snapshot; a cleanup that deletes something takes them along")?;
    }
    for damage in &found.damage {
        let place = damage.chunk.as_ref().map_or_else(String::new, |chunk| format!("chunk {chunk}: "));
        writeln!(out, "- {place}{}", visible(&damage.problem))?;
        for snapshot in &damage.snapshots {
            writeln!(out, "    hurts snapshot {snapshot}")?;
        }
    }
    Ok(())
}

fn print_audit(audit: Option<&AuditReport>, place: &DatabasePlace, out: &mut Output) -> Result<(), Failure> {
    let Some(audit) = audit else {
        writeln!(out, "no audit log: no server keeps its state in {place}")?;
        return Ok(());
    };
    let verdict = if audit.is_clean() {
        out.paint.with(Ink::Green, "the audit log is whole")
    } else {
        let places = u64::try_from(audit.damage.len()).unwrap_or(u64::MAX);
        out.paint.with(Ink::Red, &format!("the audit log is damaged in {}", counted(places, "place", "places")))
    };
    writeln!(out, "{verdict}: {} checked", counted(audit.rows, "row", "rows"))?;
    if audit.last_sequence > 0 {
        let (sequence, hash) = (audit.last_sequence, &audit.last_hash);
        writeln!(
            out,
            "noted elsewhere, this shows later that nothing was written anew: --audit-head {sequence}:{hash}"
        )?;
    }
    for damage in &audit.damage {
        writeln!(out, "- row {}: {}", damage.sequence, damage.kind.sentence())?;
    }
    Ok(())
}
