//! Answers of real controllers, as the demo's first data. Where they are from: `examples/data/apic/README.md`.

use std::io::Cursor;

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_apic::RecordedSource;
use fabrik_core::capture;
use fabrik_core::store::Store;

use crate::cli::capture::capture_options;
use crate::cli::exit::Failure;

/// Includes files by name.
macro_rules! recorded {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../../examples/data/apic/", $name, ".json")).as_slice())),+]
    };
}

/// The answers, each with the name of its file; pairs are in order.
static RECORDED: [(&str, &[u8]); 12] = recorded![
    "access-policy-25-classes",
    "eqptSupC-before",
    "eqptSupC-after",
    "faultInst-before",
    "faultInst-after",
    "fvAEPg-with-children",
    "fvIfConn",
    "l3extOut-tree",
    "lldpAdjEp-newline-in-value",
    "topSystem-before",
    "topSystem-after",
    "vzRtAny-duplicate-dn",
];

/// Captures every answer, those before a change as of an hour ago; returns how many there are.
pub(super) async fn capture_all(store: &dyn Store, now: DateTime<Utc>) -> Result<u64, Failure> {
    let mut captured = 0;
    for (name, bytes) in RECORDED {
        let (query, label, at) = match name.rsplit_once('-') {
            Some((query, "before")) => (query, Some("before"), now - TimeDelta::hours(1)),
            Some((query, "after")) => (query, Some("after"), now),
            _ => (name, None, now),
        };
        let mut options = capture_options(query, at);
        options.label = label.map(str::to_owned);
        options.annotation = Some(format!("recorded answer {name}.json"));
        let mut source = RecordedSource::from_reader(name, Box::new(Cursor::new(bytes)), None)?;
        capture(store, &mut source, &options).await?;
        captured += 1;
    }
    Ok(captured)
}
