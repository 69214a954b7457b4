//! How fast the mapper is: `cargo run --release --example speed -- submission.json`
//!
//! Prints megabytes a second of CPU time for FHIR out and in, beside parsing the same
//! bytes into `serde_json::Value`.

use std::time::Instant;

use kenko_fhir::exchange;
use kenko_fhir::fhir::{bundle, inbound};
use kenko_fhir::kind::{Edition, Kinds};
use kenko_fhir::registry::Registries;

fn best<T>(bytes: usize, mut run: impl FnMut() -> T) -> (f64, T) {
    let mut fastest = f64::MAX;
    let mut last = run();
    for _ in 0..5 {
        let start = Instant::now();
        last = run();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    (bytes as f64 / fastest / 1e6, last)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("a submission to convert")?;
    let text = std::fs::read(path)?;
    let kinds = Kinds::embedded()?;
    let submission = exchange::read(&kinds, exchange::Options::default(), &text[..])?;
    let registries = Registries::new();
    for shape in [bundle::Shape::Panel, bundle::Shape::Split] {
        let options = bundle::Options {
            shape,
            edition: Edition::E2017,
            base_url: "",
            registries: &registries,
        };
        let write = || bundle::write_collection(Vec::new(), &kinds, &submission, &options);
        let size = write()?.len();
        let (out, written) = best(size, || {
            bundle::write_collection(Vec::with_capacity(size), &kinds, &submission, &options)
        });
        let written = written?;
        let (transaction, _) = best(size, || {
            bundle::write_transaction(Vec::with_capacity(size), &kinds, &submission, &options)
        });
        let (value, _) = best(size, || {
            serde_json::from_slice::<serde_json::Value>(&written)
        });
        let (back, read) = best(size, || {
            inbound::read_any(&kinds, inbound::Options::default(), &written[..])
        });
        let (submissions, outcome) = read?;
        println!(
            "{shape:?}: {} records, {} MB, {} issues; out {out:.0} MB/s (transaction {transaction:.0}), \
             in {back:.0} MB/s, Value {value:.0} MB/s, ratio {:.2}",
            submissions.iter().map(|s| s.rows.len()).sum::<usize>(),
            size / 1_000_000,
            outcome.issues.len(),
            back / value,
        );
    }
    Ok(())
}
