//! The tour: commands, and what they print.

use std::io::Write;

use chrono::{DateTime, Days, NaiveTime, SecondsFormat, Utc};
use fabrik_apic::demo::Chapter;

use super::QUERY;
use crate::cli::cleanup::Cleanup;
use crate::cli::compare::Compare;
use crate::cli::exit::Failure;
use crate::cli::heatmap::Heatmap;
use crate::cli::output::Ink;
use crate::cli::session::Session;
use crate::cli::text::quoted;
use crate::cli::timeline::Timeline;

/// Runs each command of the tour below the line that would start it.
pub(super) async fn guide(session: &mut Session, chapters: &[Chapter]) -> Result<(), Failure> {
    let global = match session.place().to_string() {
        default if default == "sqlite:fabrik.db" => String::new(),
        place => format!("--store {} ", quoted(&place)),
    };
    let at = |label: &str| chapters.iter().find(|chapter| chapter.label.as_deref() == Some(label));
    let (Some(before), Some(incident)) = (at("before-maintenance"), at("incident")) else {
        return Err(Failure::Refused("the story has no incident to show".to_owned()));
    };

    let mut compare = Compare::table(reference(before.at), reference(incident.at));
    compare.ignore = vec!["modTs".to_owned()];
    let line = format!("compare {} {} --ignore modTs", compare.before, compare.after);
    heading(session, "What did the maintenance change? (Hosts cannot reach their gateway.)", &global, &line)?;
    session.out.limit_lines(24);
    compare.run(session).await?;
    held_back(session)?;

    let dn = bridge_domain(incident);
    let from = before.at.date_naive() - Days::new(2);
    let line = format!("timeline --query {QUERY} --dn {dn} --from-date {from}");
    heading(session, "When did one of those bridge domains change, and was it put right?", &global, &line)?;
    Timeline::table(QUERY, dn, from.and_time(NaiveTime::MIN).and_utc()).run(session).await?;

    heading(session, "Which days were busy?", &global, &format!("heatmap --query {QUERY}"))?;
    Heatmap::table(QUERY).run(session).await?;

    heading(session, "What would be forgotten by now?", &global, "cleanup")?;
    session.out.limit_lines(8);
    Cleanup::table().run(session).await?;
    held_back(session)?;

    hints(session, &global)
}

/// Names the snapshot of a moment in the way a person would.
fn reference(at: DateTime<Utc>) -> String {
    format!("{QUERY}@{}", at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Picks a bridge domain that the incident broke.
fn bridge_domain(incident: &Chapter) -> &str {
    let is_bridge_domain = |dn: &&String| dn.rsplit('/').next().is_some_and(|rn| rn.starts_with("BD-"));
    let changed = &incident.step.changed;
    changed.iter().find(is_bridge_domain).or(changed.first()).map_or("uni", String::as_str)
}

fn heading(session: &mut Session, question: &str, global: &str, line: &str) -> Result<(), Failure> {
    let out = &mut session.out;
    let command = out.paint.with(Ink::Cyan, &format!("$ fabrik {global}{line}"));
    let question = out.paint.with(Ink::Bold, question);
    Ok(writeln!(out, "\n{question}\n{command}")?)
}

fn held_back(session: &mut Session) -> Result<(), Failure> {
    let lines = session.out.lift_limit();
    if lines > 0 {
        let note = session.out.paint.with(Ink::Dim, &format!("… {lines} more lines"));
        writeln!(session.out, "{note}")?;
    }
    Ok(())
}

fn hints(session: &mut Session, global: &str) -> Result<(), Failure> {
    let title = session.out.paint.with(Ink::Bold, "Go on from here:");
    writeln!(session.out, "\n{title}")?;
    for (line, meaning) in [
        ("queries", "what there are snapshots of"),
        ("snapshots --query fabric", "the month, with what each capture changed"),
        ("compare fabric@-7d fabric@latest --format markdown", "the last week, for a change ticket"),
        ("compare topSystem@latest~1 topSystem@latest", "the same of a real controller's answer"),
        ("dns --query fabric --q BD-", "objects by a part of their DN"),
        ("capture --query mine --from answer.json", "answers of your own controller"),
    ] {
        let command = session.out.paint.with(Ink::Cyan, &format!("fabrik {global}{line}"));
        writeln!(session.out, "  {command}\n      {meaning}")?;
    }
    Ok(())
}
