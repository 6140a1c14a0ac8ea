//! The rows of a fabric, as a source and as an APIC answer.

use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use fabrik_core::{Result, RowBatch, RowBatchBuilder, Source, Value, Verdict};

use super::random::Random;
use super::state::State;

/// Rows that travel at once.
const BATCH_ROWS: usize = 4096;

/// The rows of a [`DemoFabric`](super::DemoFabric) at the moment it was asked for them.
///
/// It shares the objects with the fabric and makes rows as they are read. The fabric may go on meanwhile;
/// it then works on a copy.
#[derive(Debug)]
pub struct DemoSource {
    state: Arc<State>,
    /// Object numbers in the order to deliver; `None` for the order they came in.
    order: Option<Vec<u32>>,
    delivered: usize,
    rows: RowBatchBuilder,
}

impl DemoSource {
    pub(super) fn new(state: Arc<State>, order_seed: Option<u64>) -> Self {
        let order = order_seed.map(|seed| shuffled(&state, seed));
        Self { state, order, delivered: 0, rows: RowBatchBuilder::default() }
    }
}

#[async_trait]
impl Source for DemoSource {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let order = self.order.as_deref().unwrap_or(&self.state.live);
        let mut scratch = String::new();
        for &id in order[self.delivered..].iter().take(BATCH_ROWS) {
            self.state.each_attribute(id, &mut scratch, |name, value| self.rows.attribute(name, Value::String(value)));
            self.delivered += 1;
            self.rows.finish_row().map_err(|problem| problem.at(self.delivered as u64))?;
        }
        Ok(if self.rows.is_empty() { None } else { Some(self.rows.take()) })
    }

    fn verdict(&self) -> Verdict {
        Verdict::Complete
    }
}

/// Writes all rows as one answer to a class query, with the class around the attributes.
pub(super) fn write_envelope(state: &State, order_seed: Option<u64>, out: &mut impl Write) -> io::Result<()> {
    let order = order_seed.map(|seed| shuffled(state, seed));
    let order = order.as_deref().unwrap_or(&state.live);
    let (mut scratch, mut line) = (String::new(), Vec::with_capacity(2048));
    write!(out, "{{\"totalCount\":\"{}\",\"imdata\":[", order.len())?;
    for (place, &id) in order.iter().enumerate() {
        line.clear();
        line.extend_from_slice(if place == 0 { b"{\"" } else { b",{\"" });
        line.extend_from_slice(state.object(id).class.name().as_bytes());
        line.extend_from_slice(b"\":{\"attributes\":{");
        let mut first = true;
        let mut written = Ok(());
        state.each_attribute(id, &mut scratch, |name, value| {
            if name == fabrik_core::CLASS_NAME || written.is_err() {
                return;
            }
            line.extend_from_slice(if first { b"\"" } else { b",\"" });
            first = false;
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"\":");
            written = serde_json::to_writer(&mut line, value);
        });
        written?;
        line.extend_from_slice(b"}}}");
        out.write_all(&line)?;
    }
    out.write_all(b"]}")
}

fn shuffled(state: &State, seed: u64) -> Vec<u32> {
    let mut order = state.live.clone();
    Random::new(seed).shuffle(&mut order);
    order
}
