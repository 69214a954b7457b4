//! What the commands that need the database share.

use std::future::Future;
use std::sync::Arc;

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
    runtime()?.block_on(async {
        let store = Arc::new(
            Store::open(&cli.database, Arc::new(kinds))
                .await
                .map_err(failed)?,
        );
        let done = work(store.clone()).await;
        store.close().await;
        done
    })
}

/// The runtime of a command.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::system(format!("cannot start: {e}")))
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
