//! `serve --demo`: the invented cohort, through the same path as everything else.

use std::io;

use super::Failure;
use crate::exchange::{self, Options};
use crate::registry::{self, List};
use crate::store::{self, Store, Submit};
use crate::synth::Cohort;

/// Participants, days and seed of the cohort.
const COHORT: (u32, u32, u64) = (24, 60, 1);

/// Loads the cohort where the database is empty, and says so where it is not.
///
/// # Errors
/// When the database fails.
pub async fn load(store: &Store) -> Result<(), Failure> {
    let failed = |error: store::Error| Failure::system(format!("--demo: {error}"));
    if !store.is_empty().await.map_err(failed)? {
        tracing::info!("the database is not empty: the demo cohort is not loaded");
        return Ok(());
    }
    let (participants, days, seed) = COHORT;
    let mut records = 0;
    for file in Cohort::new(participants, days, seed).files() {
        let bytes = file.bytes();
        if let Some(list) = file.list().and_then(List::by_name) {
            let read = registry::read_json(list, bytes.as_slice(), &registry::Options::default());
            let rows = read.map_err(|error| broken(&error))?.rows;
            let changed = store.change_registry(list, &rows, false).await;
            if let Err(faults) = changed.map_err(failed)? {
                return Err(broken(&io::Error::other(format!("{faults:?}"))));
            }
        } else {
            let read = exchange::read(store.kinds(), Options::default(), bytes.as_slice());
            let mut submission = read.map_err(|error| broken(&io::Error::other(error)))?;
            let receipt = store.submit(&mut submission, &Submit::default()).await;
            let receipt = receipt.map_err(failed)?;
            if receipt.is_refused() {
                // Mappings of `--mappings` may ask for more than the cohort has.
                tracing::warn!(file = file.path(), "refused by the mappings in use");
            }
            records += receipt.counts.created;
        }
    }
    tracing::info!(participants, records, "the demo cohort is loaded");
    Ok(())
}

fn broken(error: &io::Error) -> Failure {
    Failure::system(format!("--demo: {error}"))
}
