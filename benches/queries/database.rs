//! Databases of a size.

use std::sync::Arc;
use std::time::Instant;

use kenko_fhir::exchange::{self, Options};
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::{Store, Submit};
use kenko_fhir::synth::Cohort;

use crate::backend::{Backend, Database, run_sql};
use crate::workload::{DAYS, Workload};

/// About so many observations in an empty database.
pub fn filled(backend: &Backend, observations: u64) -> (Database, Workload) {
    let database = Database::empty(backend, &format!("kenko_{observations}"));
    let url = &database.url;
    let kinds = Arc::new(Kinds::embedded().expect("the embedded mappings"));
    // Records of one participant over all days, from a small cohort.
    let each = records(&kinds, &Cohort::new(50, DAYS, 1)) / 50;
    let cohort = Cohort::new((observations / each) as u32, DAYS, 1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let start = Instant::now();
    let stored = runtime.block_on(async {
        let store = Store::open(url, kinds.clone()).await.expect("a database");
        let stored = load(&store, &kinds, &cohort).await;
        store.close().await;
        stored
    });
    if let Backend::Postgres(_) = backend {
        // It would come to it in the midst of what is measured.
        run_sql(url, "VACUUM (ANALYZE)");
    }
    println!(
        "{url}: {stored} observations of {} people in {:.0} s",
        cohort.participants,
        start.elapsed().as_secs_f64()
    );
    (database, Workload::of(&cohort, stored))
}

fn records(kinds: &Kinds, cohort: &Cohort) -> u64 {
    let submissions = cohort.files().filter(|file| file.list().is_none());
    let rows = submissions.map(|file| {
        let read = exchange::read(kinds, Options::default(), &file.bytes()[..]);
        read.expect("a valid submission").rows.len() as u64
    });
    rows.sum()
}

async fn load(store: &Store, kinds: &Kinds, cohort: &Cohort) -> u64 {
    let mut stored = 0;
    for file in cohort.files() {
        let bytes = file.bytes();
        let Some(list) = file.list() else {
            let mut submission =
                exchange::read(kinds, Options::default(), &bytes[..]).expect("valid");
            let receipt = store.submit(&mut submission, &Submit::default()).await;
            stored += receipt.expect("stored").counts.created;
            continue;
        };
        let list = List::by_name(list).expect("a list");
        let rows = registry::read_json(list, &bytes[..], &registry::Options::default());
        let rows = rows.expect("readable").rows;
        let done = store.change_registry(list, &rows, false).await;
        done.expect("stored").expect("valid");
    }
    stored
}
