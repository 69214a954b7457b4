//! What the commands that need the database share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use crate::config::Cli;
use crate::kind::Kinds;
use crate::store::{self, Address, Store};

/// Opens the database and runs `work` on it, on a runtime of its own.
pub fn with_store<T, F>(
    cli: &Cli,
    kinds: Kinds,
    work: impl FnOnce(Arc<Store>) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    block_on(async {
        let options = cli.timeouts.options();
        let store = Store::open_with(&cli.database, Arc::new(kinds), options).await;
        let store = Arc::new(store.map_err(failed)?);
        let done = work(store.clone()).await;
        store.close().await;
        done
    })
}

/// How long threads may go on with what nobody waits for any more.
const TO_END: Duration = Duration::from_secs(1);

/// Runs the work of a command on a runtime of its own, which ends with it whatever hangs.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::system(format!("cannot start: {e}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(TO_END);
    done
}

/// A failure of the store: a wrong address or a contradicting mapping is configuration.
pub fn failed(error: store::Error) -> Failure {
    match error {
        store::Error::Address(_) | store::Error::Layout(_) => Failure::usage(error.to_string()),
        store::Error::File { path, source } => Failure::path(&path, &source),
        other => Failure::system(other.to_string()),
    }
}

/// Refuses a database that is not there, for commands that only read.
pub fn existing(cli: &Cli) -> Result<(), Failure> {
    match Address::parse(&cli.database).map_err(failed)? {
        Address::File(path) if !path.exists() => Err(Failure::usage(format!(
            "{}: no such database",
            path.display()
        ))),
        _ => Ok(()),
    }
}
