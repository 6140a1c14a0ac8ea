//! Captures two recorded answers and prints what changed between them.
//!
//! `cargo run -p fabrik-examples --bin capture_and_compare`

#![expect(clippy::print_stdout, reason = "the changes are what is to be seen")]

use std::error::Error;

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_apic::RecordedSource;
use fabrik_core::store::MemoryStore;
use fabrik_core::{CaptureOptions, ChangeKind, DiffOptions, SnapshotId, Value, capture, compare};
use uuid::Uuid;

/// The faults of one fabric, and those some time later.
const ANSWERS: [(&str, &[u8]); 2] = [
    ("faultInst-before.json", include_bytes!("../../data/apic/faultInst-before.json")),
    ("faultInst-after.json", include_bytes!("../../data/apic/faultInst-after.json")),
];

fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::default();
    let mut at: DateTime<Utc> = "2026-03-02T02:00:00Z".parse()?;
    let mut taken = Vec::new();
    for (name, answer) in ANSWERS {
        let mut source = RecordedSource::from_reader(name, Box::new(answer), None)?;
        let options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), "faults", at);
        taken.push(capture(&store, &mut source, &options).await?.snapshot);
        at += TimeDelta::hours(1);
    }

    let mut comparison = compare(&store, &taken[0], &taken[1], DiffOptions::default()).await?;
    loop {
        let changes = comparison.next_batch().await?;
        if changes.is_empty() {
            break;
        }
        for change in changes {
            let sign = match change.kind {
                ChangeKind::Added => '+',
                ChangeKind::Removed => '-',
                ChangeKind::Changed => '~',
            };
            println!("{sign} {}", change.row().dn().unwrap_or("a row without a DN"));
            for field in change.fields() {
                let text = |value: Option<Value<'_>>| value.map_or("absent".to_owned(), |value| value.to_string());
                println!("    {}: {} -> {}", field.name, text(field.before), text(field.after));
            }
        }
    }
    let summary = comparison.summary();
    println!("{} added, {} removed, {} changed", summary.added, summary.removed, summary.changed);
    Ok(())
}
