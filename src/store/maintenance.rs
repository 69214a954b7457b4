//! The maintenance connection to a database in a file: it empties the write-ahead log, probes
//! whether writes work, and keeps the log's file from being removed while others reconnect.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::Result;
use super::schema;

/// How long one attempt waits for the locks of others.
const ATTEMPT: Duration = Duration::from_millis(50);
/// Bytes that a probe writes.
const PROBE: usize = 256 << 10;

/// The connection; gone after the end.
#[derive(Debug)]
pub(super) struct Maintenance(Mutex<Option<Connection>>);

impl Maintenance {
    /// Opens a database whose file is there, and makes it one of this program where it is empty.
    ///
    /// # Errors
    /// [`Error::Reading`].
    pub fn open(path: &Path) -> Result<Maintenance> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        schema::mark(&connection)?;
        // Few pages are kept, so that a probe has to write to the log.
        connection.execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cache_size = 16",
        )?;
        // From here on its log is open, too.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(Maintenance(Mutex::new(Some(connection))))
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies all of the log into the database and cuts it. Readers of older states are waited
    /// for, those that come meanwhile read the database alone; nobody of this process may write.
    /// Whether it was done in time.
    ///
    /// # Errors
    /// [`Error::Reading`] where the disk fails.
    pub fn empty_log(&self, wait: Duration) -> Result<bool> {
        let until = Instant::now() + wait;
        loop {
            // Taken anew each time, so that the end does not wait.
            let guard = self.connection();
            let Some(connection) = &*guard else {
                return Ok(false);
            };
            connection.busy_timeout(ATTEMPT)?;
            let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
            match busy {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// Writes some pages to the log in a transaction that is given up: where this works, a write
    /// does. Nothing is told while somebody else writes.
    ///
    /// # Errors
    /// [`Error::Reading`] where writing fails.
    pub fn probe(&self) -> Result<Option<()>> {
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let Some(connection) = &*guard else {
            return Err(sqlx::Error::PoolClosed.into());
        };
        connection.busy_timeout(Duration::ZERO)?;
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Err(error) if is_busy(&error) => return Ok(None),
            begun => begun?,
        }
        let written = connection.execute_batch(&format!(
            "CREATE TABLE write_probe (content BLOB); \
             INSERT INTO write_probe VALUES (zeroblob({PROBE}))"
        ));
        // A full disk may have ended it already.
        let undone = match connection.is_autocommit() {
            true => Ok(()),
            false => connection.execute_batch("ROLLBACK"),
        };
        written?;
        undone?;
        Ok(Some(()))
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.connection().take();
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maintained() -> (tempfile::TempDir, std::path::PathBuf, Maintenance) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let maintenance = Maintenance::open(&path).unwrap();
        (folder, path, maintenance)
    }

    fn log(path: &Path) -> u64 {
        std::fs::metadata(super::super::files::beside(path, "-wal"))
            .unwrap()
            .len()
    }

    #[test]
    fn the_log_is_emptied_unless_somebody_reads_an_older_state() {
        let (_folder, path, maintenance) = maintained();
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("CREATE TABLE t (n)").unwrap();
        let reader = Connection::open(&path).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM t")
            .unwrap();
        writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(!maintenance.empty_log(Duration::ZERO).unwrap());
        assert!(log(&path) > 0);
        reader.execute_batch("COMMIT").unwrap();
        assert!(maintenance.empty_log(Duration::ZERO).unwrap());
        assert_eq!(log(&path), 0);
    }

    #[test]
    fn a_probe_leaves_nothing_and_tells_busy_from_broken() {
        let (_folder, path, maintenance) = maintained();
        assert_eq!(maintenance.probe().unwrap(), Some(()));
        let other = Connection::open(&path).unwrap();
        let tables = "SELECT count(*) FROM sqlite_schema";
        assert_eq!(other.query_row(tables, [], |row| row.get(0)), Ok(0));
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(maintenance.probe().unwrap(), None);
        other.execute_batch("ROLLBACK").unwrap();
        let limit = |pages: u32| {
            let guard = maintenance.connection();
            let sql = format!("PRAGMA max_page_count = {pages}");
            guard
                .as_ref()
                .unwrap()
                .query_row(&sql, [], |_| Ok(()))
                .unwrap();
        };
        limit(20);
        assert!(maintenance.probe().unwrap_err().is_full());
        limit(10_000);
        assert_eq!(maintenance.probe().unwrap(), Some(()));
    }
}
