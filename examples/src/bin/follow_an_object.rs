//! Lets a week pass in a made-up fabric with a snapshot each day, and follows one object through it.
//!
//! `cargo run -p fabrik-examples --bin follow_an_object`

#![expect(clippy::print_stdout, reason = "the history is what is to be seen")]

use std::error::Error;

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_apic::demo::{Churn, DemoFabric, DemoOptions};
use fabrik_core::store::MemoryStore;
use fabrik_core::{CaptureOptions, SnapshotId, TimelineOptions, Value, capture, timeline};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::default();
    let start: DateTime<Utc> = "2026-03-02T02:00:00Z".parse()?;
    let mut fabric = DemoFabric::new(DemoOptions { seed: 7, objects: 2000, start });
    let mut followed = String::new();
    for day in 0..7 {
        if day > 0 {
            let churn = Churn { changed: 20, added: 5, removed: 5, touched: 10 };
            let step = fabric.advance(start + TimeDelta::days(day), &churn);
            followed = step.changed.into_iter().next().unwrap_or(followed);
        }
        let options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), "fabric", fabric.now());
        capture(&store, &mut fabric.rows(None), &options).await?;
    }

    let history = timeline(&store, "fabric", &followed, &TimelineOptions::default()).await?;
    println!("{followed}, in {} snapshots", history.snapshot_count);
    for attribute in history.attribute_evolution.iter().filter(|attribute| !attribute.is_stable) {
        println!("  {}", attribute.attribute);
        for (i, point) in attribute.values.iter().enumerate() {
            if i == 0 || point.changed {
                let value = point.value.get();
                let text = value.as_ref().map_or("absent".to_owned(), Value::to_string);
                println!("    {}  {text}", point.executed_at.format("%Y-%m-%d"));
            }
        }
    }
    for event in &history.lifecycle {
        println!("  {:?} at {}", event.event, event.executed_at);
    }
    Ok(())
}
