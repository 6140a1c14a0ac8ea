//! Reads recorded files and prints how fast: `cargo run --release -p fabrik-apic --example read_rows -- FILE…`

use std::path::Path;
use std::time::Instant;

use fabrik_apic::RecordedSource;
use fabrik_core::{Result, Source};

#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
#[expect(clippy::cast_precision_loss, reason = "a rate needs few digits")]
fn main() -> Result<()> {
    for path in std::env::args().skip(1) {
        let begun = Instant::now();
        let mut source = RecordedSource::open(Path::new(&path), None)?;
        let (mut n_rows, mut n_batches, mut size_bytes) = (0, 0, 0);
        while let Some(batch) = pollster::block_on(source.next_batch())? {
            n_rows += batch.len();
            n_batches += 1;
            size_bytes += batch.size_bytes();
        }

        let seconds = begun.elapsed().as_secs_f64();
        let megabytes = source.progress().read_bytes as f64 / 1e6;
        println!(
            "{path}: {n_rows} rows in {n_batches} batches, {size_bytes} bytes as JSON, {}; \
             {megabytes:.1} MB in {seconds:.3} s: {:.0} MB/s",
            source.verdict().name(),
            megabytes / seconds
        );
    }
    Ok(())
}
