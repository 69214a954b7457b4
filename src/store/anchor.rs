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
    over: AtomicBool,
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

    /// Gives the snapshot and its connection up, for good.
    pub fn release(&self) {
        let mut connection = self.connection();
        self.over.store(true, Ordering::Relaxed);
        connection.take();
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the newest snapshot; whether it may.
    fn renew(&self, path: &Path) -> rusqlite::Result<bool> {
        let mut slot = self.connection();
        if self.over.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let connection = match slot.take() {
            Some(connection) => connection,
            None => connect(path)?,
        };
        if !connection.is_autocommit() {
            connection.execute_batch("COMMIT")?;
        }
        connection.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")?;
        *slot = Some(connection);
        Ok(true)
    }
}

/// Who holds; gone, nothing is held.
struct Holder(Arc<Anchor>);

impl Holder {
    async fn run(self, path: PathBuf) {
        while self.0.used.swap(false, Ordering::Relaxed) {
            if !matches!(self.0.renew(&path), Ok(true)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with one row, and a snapshot of it.
    fn held() -> (tempfile::TempDir, PathBuf, Connection, Arc<Anchor>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = wal; CREATE TABLE t (n); INSERT INTO t VALUES (1)",
            )
            .unwrap();
        let anchor = Arc::new(Anchor::default());
        anchor.hold(&path);
        (dir, path, writer, anchor)
    }

    /// Whether all of the log could be copied and the file cut, after a write.
    fn is_cut(writer: &Connection) -> bool {
        writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        let busy = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        busy == Ok(0)
    }

    async fn until(true_at_last: impl Fn() -> bool) {
        let waits = async {
            while !true_at_last() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), waits);
        assert!(in_time.await.is_ok());
    }

    #[tokio::test]
    async fn what_is_committed_is_read_while_a_snapshot_is_held() {
        let (_dir, path, writer, anchor) = held();
        let reader = connect(&path).unwrap();
        until(|| anchor.connection().is_some()).await;
        for rows in 2..200 {
            writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            let count = reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
            assert_eq!(count, Ok(rows));
        }
    }

    #[tokio::test]
    async fn a_snapshot_is_given_up_when_nothing_is_read() {
        let (_dir, path, writer, anchor) = held();
        until(|| anchor.connection().is_some()).await;
        assert!(!is_cut(&writer));
        until(|| !anchor.held.load(Ordering::Relaxed)).await;
        assert!(is_cut(&writer));
        // The next reader has it taken again.
        anchor.hold(&path);
        until(|| !is_cut(&writer)).await;
        anchor.release();
        assert!(is_cut(&writer));
        anchor.hold(&path);
        until(|| !anchor.held.load(Ordering::Relaxed)).await;
        assert!(anchor.connection().is_none());
    }

    #[tokio::test]
    async fn a_checkpoint_goes_on_while_everybody_reads() {
        let (_dir, path, writer, anchor) = held();
        let mut cut = 0;
        for _ in 0..40 {
            anchor.hold(&path);
            writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
            let (log, copied): (i64, i64) = writer
                .query_row("PRAGMA wal_checkpoint", [], |row| {
                    Ok((row.get(1)?, row.get(2)?))
                })
                .unwrap();
            cut += i32::from(log == copied);
            tokio::time::sleep(HELD / 4).await;
        }
        assert!(cut > 0);
    }
}
