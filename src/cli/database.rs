//! What the commands that need the database share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, localized};
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
    let failed =
        |e: std::io::Error| Failure::system(localized!("cannot start: {e}", "開始できません: {e}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let context = runtime.enter();
    survive_large_files().map_err(failed)?;
    drop(context);
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(TO_END);
    done
}

/// From now on a file that would exceed the limit of the process (`ulimit -f`) is an error, which
/// is told as a full disk is, and not the end of the program.
#[cfg(unix)]
fn survive_large_files() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    /// The same number on Linux, macOS and the BSDs.
    const SIGXFSZ: i32 = 25;
    // Once it is listened to, it stays so.
    signal(SignalKind::from_raw(SIGXFSZ)).map(|_| ())
}

#[cfg(not(unix))]
fn survive_large_files() -> std::io::Result<()> {
    Ok(())
}

/// A failure of the store: a wrong address, a file of others or a contradicting mapping is
/// configuration.
pub fn failed(error: store::Error) -> Failure {
    use store::Error::{Address, File, Foreign, Layout};
    let message = error.message(super::language());
    match error {
        _ if error.is_full() => Failure::system(message),
        Address(_) | Layout(_) | Foreign(_) => Failure::usage(message),
        File { path, source } => Failure::path(&path, &source),
        _ => Failure::system(message),
    }
}

/// Refuses a database that is not there, for commands that only read.
pub fn existing(cli: &Cli) -> Result<(), Failure> {
    match Address::parse(&cli.database).map_err(failed)? {
        Address::File(path) if !path.exists() => {
            let path = path.display();
            Err(Failure::usage(localized!(
                "{path}: no such database; name one with --database, or load data with import",
                "{path}: データベースがありません。--database で指定するか、import でデータを読み込んでください"
            )))
        }
        _ => Ok(()),
    }
}
