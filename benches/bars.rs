//! The bars of the project, each beside its floor: `cargo bench --bench bars`.
//!
//! CPU is user and system time of this whole process (database threads included), which
//! is steady where wall time is not.

use std::sync::Arc;
use std::time::Instant;

use kenko_fhir::exchange::{self, Options};
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::{Store, Submit};
use kenko_fhir::synth::Cohort;

/// User and system time of this process in seconds (Linux; 10 ms steps).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rfind(')').map_or("", |i| &stat[i + 2..]);
    let fields: Vec<f64> = after.split(' ').map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

/// CPU seconds of `work`, repeated until half a second has passed, for one run.
fn measure(mut work: impl FnMut()) -> f64 {
    work();
    let (start, from) = (Instant::now(), cpu());
    let mut runs = 0;
    while start.elapsed().as_secs_f64() < 1.0 {
        work();
        runs += 1;
    }
    (cpu() - from) / f64::from(runs)
}

fn main() {
    let kinds = Arc::new(Kinds::embedded().expect("the embedded mappings"));
    let cohort = Cohort::new(200, 90, 1);
    let mut registries = Vec::new();
    let mut submissions = Vec::new();
    for file in cohort.files() {
        match file.list() {
            Some(list) => registries.push((list, file.bytes())),
            None => submissions.push(file.bytes()),
        }
    }
    let bytes: usize = submissions.iter().map(Vec::len).sum();
    let records: usize = submissions
        .iter()
        .map(|s| {
            exchange::read(&kinds, Options::default(), s.as_slice())
                .expect("valid")
                .rows
                .len()
        })
        .sum();
    println!(
        "{} submissions, {records} records, {bytes} bytes",
        submissions.len()
    );

    let parse = measure(|| {
        for s in &submissions {
            let read = exchange::read(&kinds, Options::default(), s.as_slice());
            std::hint::black_box(read.expect("valid").rows.len());
        }
    });
    let floor = measure(|| {
        for s in &submissions {
            let value: serde_json::Value = serde_json::from_slice(s).expect("valid");
            std::hint::black_box(value.is_object());
        }
    });
    let per = |seconds: f64| seconds / records as f64 * 1e6;
    println!(
        "protocol parse: {:.2} us a record, {:.0} MB per CPU s; serde_json::Value {:.2} us",
        per(parse),
        bytes as f64 / parse / 1e6,
        per(floor)
    );

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("kenko.db");
        let url = format!("sqlite://{}", path.display());
        let store = Store::open(&url, kinds.clone()).await.expect("a database");
        for (list, bytes) in &registries {
            let list = List::by_name(list).expect("a list");
            let rows = registry::read_json(list, bytes.as_slice(), &registry::Options::default());
            let rows = rows.expect("readable").rows;
            store.change_registry(list, &rows, false).await.expect("stored").expect("valid");
        }
        for round in ["first", "again"] {
            let (start, from) = (Instant::now(), cpu());
            let mut counts = (0, 0);
            for s in &submissions {
                let mut read = exchange::read(&kinds, Options::default(), s.as_slice()).expect("valid");
                let receipt = store.submit(&mut read, &Submit::default()).await.expect("stored");
                counts.0 += receipt.counts.created;
                counts.1 += receipt.counts.unchanged;
            }
            println!(
                "store {round}: {:.2} us CPU a record, {:.0} records a second; created {} unchanged {}",
                per(cpu() - from),
                records as f64 / start.elapsed().as_secs_f64(),
                counts.0,
                counts.1
            );
        }
        store.close().await;
        let size = std::fs::metadata(&path).map_or(0, |m| m.len());
        println!("database: {:.1} bytes a record", size as f64 / records as f64);
        let keep = std::env::var("KEEP").ok();
        if let Some(keep) = keep {
            let _ = std::fs::copy(&path, keep);
        }
    });
}
