//! The reading connections of a database in a file.
//!
//! Most reads of SQLite are a few microseconds of work. sqlx hands every statement to a thread
//! of its own and every row back, which is several times that; so reads run here, on the
//! thread that asks. A statement that is long at work begins again on a thread for such.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, Row};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::anchor::Anchor;
use super::db::{Bound, Statement};
use super::{Error, Result};

/// How long a statement waits for a connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// Statements of a connection that stay prepared.
const PREPARED: usize = 256;
/// Steps of SQLite's machine after which it is asked whether a statement goes on.
const STEPS: i32 = 10_000;
/// So many times it goes on at once: a few milliseconds.
const TIMES: u32 = 8;

/// Connections that read, a few at most.
#[derive(Debug)]
pub struct AtOnce {
    path: PathBuf,
    free: Semaphore,
    /// The last one that came back goes out first: its caches are warm.
    idle: Mutex<Vec<Reader>>,
    /// Makes the locks of the others cheap.
    anchor: Arc<Anchor>,
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    /// How often the statement that runs may go on; 0 where it must not.
    left: Arc<AtomicU32>,
}

impl AtOnce {
    /// At most `most` connections to the file, of which one is opened now.
    ///
    /// # Errors
    /// [`Error::Reading`](super::Error::Reading) where it cannot be opened.
    pub fn open(path: &Path, most: usize) -> Result<AtOnce> {
        let first = Reader::open(path)?;
        Ok(AtOnce {
            path: path.to_owned(),
            free: Semaphore::new(most),
            idle: Mutex::new(vec![first]),
            anchor: Arc::new(Anchor::default()),
        })
    }

    /// What is made of each row of a statement, of the first `most` of them.
    ///
    /// # Errors
    /// [`Error::Reading`]; where no connection is free for long, [`Error::Database`]; and what
    /// `make` finds wrong.
    pub async fn fetch<T: Send + 'static>(
        &self,
        statement: Statement,
        most: usize,
        make: impl Fn(&Row<'_>) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let permit = self.acquire().await?;
        self.anchor.hold(&self.path);
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path)?,
        };
        reader.left.store(TIMES, Ordering::Relaxed);
        let statement = statement.plain();
        let (reader, done) = match reader.run(&statement, most, &make) {
            Err(error) if is_interrupted(&error) => {
                reader.left.store(u32::MAX, Ordering::Relaxed);
                // Whoever gives up waiting ends the work.
                let given_up = Interrupt(Some(reader.connection.get_interrupt_handle()));
                let work = tokio::task::spawn_blocking(move || {
                    let done = reader.run(&statement, most, &make);
                    (reader, done)
                });
                let done = work.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
                given_up.no_more();
                done
            }
            done => (reader, done),
        };
        if !self.free.is_closed() {
            self.idle().push(reader);
        }
        drop(permit);
        done
    }

    async fn acquire(&self) -> Result<SemaphorePermit<'_>> {
        if let Ok(permit) = self.free.try_acquire() {
            return Ok(permit);
        }
        let permit = Box::pin(tokio::time::timeout(PATIENCE, self.free.acquire()))
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?;
        Ok(permit.map_err(|_| sqlx::Error::PoolClosed)?)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connections; nothing is read any more.
    pub fn close(&self) {
        self.free.close();
        self.anchor.release();
        self.idle().clear();
    }
}

/// Opens the file to read it.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

impl Reader {
    fn open(path: &Path) -> Result<Reader> {
        let connection = connect(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.execute_batch("PRAGMA cache_size = -8192; PRAGMA temp_store = memory")?;
        let left = Arc::new(AtomicU32::new(TIMES));
        let counted = left.clone();
        let is_over = move || {
            let left = counted.load(Ordering::Relaxed);
            counted.store(left.saturating_sub(1), Ordering::Relaxed);
            left == 0
        };
        connection.progress_handler(STEPS, Some(is_over))?;
        Ok(Reader { connection, left })
    }

    fn run<T>(
        &self,
        (sql, values): &(Cow<str>, Vec<Bound>),
        most: usize,
        make: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        for (at, value) in (1..).zip(values) {
            match value {
                Bound::Int(value) => statement.raw_bind_parameter(at, value)?,
                Bound::Bytes(bytes) => statement.raw_bind_parameter(at, bytes)?,
                Bound::Text(text) => statement.raw_bind_parameter(at, text)?,
                Bound::Null(_) => statement.raw_bind_parameter(at, None::<i64>)?,
            }
        }
        let mut rows = statement.raw_query();
        let mut out = Vec::new();
        while out.len() < most
            && let Some(row) = rows.next()?
        {
            out.push(make(row)?);
        }
        Ok(out)
    }
}

/// Whether a statement was at work for longer than it may be.
fn is_interrupted(error: &Error) -> bool {
    let Error::Reading(error) = error else {
        return false;
    };
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Interrupts what runs on a connection, unless it is no longer needed.
struct Interrupt(Option<InterruptHandle>);

impl Interrupt {
    fn no_more(mut self) {
        self.0 = None;
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.interrupt();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::db::query;
    use super::*;

    const LONG: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
         SELECT count(*) FROM n";

    fn one_reader() -> (tempfile::TempDir, AtOnce) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        drop(Connection::open(&path).unwrap());
        (dir, AtOnce::open(&path, 1).unwrap())
    }

    async fn number(readers: &AtOnce, sql: &'static str, of: i64) -> Result<i64> {
        let number = |row: &Row<'_>| Ok(row.get(0)?);
        let rows = readers
            .fetch(query(sql).bind(of), usize::MAX, number)
            .await?;
        Ok(rows[0])
    }

    #[tokio::test]
    async fn short_and_long_work_is_done() {
        let (_dir, readers) = one_reader();
        for _ in 0..1000 {
            assert_eq!(number(&readers, LONG, 10).await.unwrap(), 10);
        }
        assert_eq!(number(&readers, LONG, 300_000).await.unwrap(), 300_000);
        assert_eq!(number(&readers, LONG, 10).await.unwrap(), 10);
        assert!(number(&readers, "SELECT nothing + ?", 1).await.is_err());
        assert_eq!(number(&readers, "SELECT ?", 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_reader_that_is_given_up_holds_up_nobody() {
        let (_dir, readers) = one_reader();
        for _ in 0..3 {
            let long = number(&readers, LONG, 1_000_000_000);
            let given_up = tokio::time::timeout(Duration::from_millis(50), long).await;
            assert!(given_up.is_err());
            assert_eq!(number(&readers, "SELECT ?", 1).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn many_wait_for_one_and_none_after_the_end() {
        let (_dir, readers) = one_reader();
        let all = (0..50).map(|_| number(&readers, LONG, 50_000));
        let all = futures_util::future::join_all(all).await;
        assert!(all.into_iter().all(|n| matches!(n, Ok(50_000))));
        readers.close();
        let over = number(&readers, "SELECT ?", 1).await;
        assert!(matches!(
            over,
            Err(Error::Database(sqlx::Error::PoolClosed))
        ));
    }
}
