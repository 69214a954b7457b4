//! A snapshot of a database in a file that is held open while others are read.
//!
//! For every statement SQLite locks a byte of the `-shm` file and unlocks it again: two system
//! calls, behind one mutex for all connections of the process, where readers queue and are put
//! to sleep. While one connection has the lock, those of the others are a count. This
//! connection has it: whoever reads still sees what is committed by then, for the snapshots of
//! the others are their own.
//!
//! What is held keeps a checkpoint from going past it, so it is taken anew all the time, and
//! given up when nothing was read meanwhile.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::at_once::connect;

/// How long a snapshot is held.
const HELD: Duration = Duration::from_millis(50);

/// Whether a snapshot is held, and whether it is of use.
#[derive(Debug, Default)]
pub(super) struct Anchor {
    held: AtomicBool,
    used: AtomicBool,
    connection: Mutex<Option<Connection>>,
}

impl Anchor {
    /// Holds a snapshot of the file for the next while.
    pub fn hold(self: &Arc<Self>, path: &Path) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        if !self.held.load(Ordering::Relaxed) && !self.held.swap(true, Ordering::Relaxed) {
            tokio::spawn(Holder(self.clone()).run(path.to_owned()));
        }
    }

    /// Gives the snapshot and its connection up.
    pub fn release(&self) {
        self.connection().take();
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the newest snapshot.
    fn renew(&self, path: &Path) -> rusqlite::Result<()> {
        let mut slot = self.connection();
        let connection = match slot.take() {
            Some(connection) => connection,
            None => connect(path)?,
        };
        if !connection.is_autocommit() {
            connection.execute_batch("COMMIT")?;
        }
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")?;
        *slot = Some(connection);
        Ok(())
    }
}

/// Who holds; gone, nothing is held.
struct Holder(Arc<Anchor>);

impl Holder {
    async fn run(self, path: PathBuf) {
        while self.0.used.swap(false, Ordering::Relaxed) {
            if self.0.renew(&path).is_err() {
                return;
            }
            tokio::time::sleep(HELD).await;
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(connection) = &*self.0.connection() {
            let _ = connection.execute_batch("COMMIT");
        }
        self.0.held.store(false, Ordering::Relaxed);
    }
}
