//! The reading connections of a database in a file.
//!
//! Most reads of SQLite are a few microseconds of work. sqlx hands every statement to a thread
//! of its own and every row back, which is several times that; so reads run here, on the
//! thread that asks. A statement that is long at work begins again on a thread for such.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, Row};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::db::{Bound, Statement};
use super::files::Files;
use super::{Error, Result};
use crate::metrics;

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
    files: Arc<Files>,
    free: Semaphore,
    /// The last one that came back goes out first: its caches are warm.
    idle: Mutex<Vec<Reader>>,
    /// Of the statements that are long at work, how often each may still go on.
    long: Mutex<Vec<Arc<AtomicU32>>>,
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
    pub fn open(files: Arc<Files>, most: usize) -> Result<AtOnce> {
        let first = Reader::open(&files)?;
        Ok(AtOnce {
            files,
            free: Semaphore::new(most),
            idle: Mutex::new(vec![first]),
            long: Mutex::default(),
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
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.files)?,
        };
        reader.left.store(TIMES, Ordering::Relaxed);
        let statement = statement.plain();
        let (reader, done) = match reader.run(&statement, most, &make) {
            Err(error) if is_interrupted(&error) => {
                reader.left.store(u32::MAX, Ordering::Relaxed);
                let long = Long::begin(self, &reader);
                let work = tokio::task::spawn_blocking(move || {
                    let done = reader.run(&statement, most, &make);
                    (reader, done)
                });
                let done = work.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
                long.done();
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

    /// Bytes of the write-ahead log beside the file.
    pub fn wal_bytes(&self) -> u64 {
        self.files.log_size()
    }

    async fn acquire(&self) -> Result<SemaphorePermit<'_>> {
        if let Ok(permit) = self.free.try_acquire() {
            return Ok(permit);
        }
        let _waits = metrics::Wait::pool();
        let permit = Box::pin(tokio::time::timeout(PATIENCE, self.free.acquire()))
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?;
        Ok(permit.map_err(|_| sqlx::Error::PoolClosed)?)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn long(&self) -> std::sync::MutexGuard<'_, Vec<Arc<AtomicU32>>> {
        self.long.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the statements that are long at work; they fail as those that may be tried again.
    pub fn interrupt_long(&self) {
        for left in self.long().iter() {
            left.store(0, Ordering::Relaxed);
        }
    }

    /// Ends the connections; nothing is read any more.
    pub fn close(&self) {
        self.free.close();
        self.interrupt_long();
        self.idle().clear();
    }
}

/// Opens the file to read it.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

impl Reader {
    fn open(files: &Files) -> Result<Reader> {
        // Another file in the place of the one that was opened is not read.
        files.check()?;
        let connection = connect(files.path())?;
        files.check()?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.execute_batch("PRAGMA cache_size = -8192; PRAGMA temp_store = memory")?;
        let left = Arc::new(AtomicU32::new(TIMES));
        let counted = left.clone();
        let is_over = move || {
            let less = |left: u32| left.checked_sub(1);
            counted
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                .is_err()
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

/// A statement that is long at work, and is interrupted by whoever gives up waiting for it.
struct Long<'a> {
    readers: &'a AtOnce,
    left: Arc<AtomicU32>,
    handle: Option<InterruptHandle>,
}

impl<'a> Long<'a> {
    fn begin(readers: &'a AtOnce, reader: &Reader) -> Long<'a> {
        let left = reader.left.clone();
        readers.long().push(left.clone());
        Long {
            readers,
            left,
            handle: Some(reader.connection.get_interrupt_handle()),
        }
    }

    fn done(mut self) {
        self.handle = None;
    }
}

impl Drop for Long<'_> {
    fn drop(&mut self) {
        self.readers
            .long()
            .retain(|left| !Arc::ptr_eq(left, &self.left));
        if let Some(handle) = &self.handle {
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
        let files = Arc::new(Files::open(&path).unwrap());
        (dir, AtOnce::open(files, 1).unwrap())
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
    async fn long_work_can_be_ended_and_may_be_tried_again() {
        let (_dir, readers) = one_reader();
        let ended = async {
            while readers.long().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            readers.interrupt_long();
        };
        let (done, ()) = tokio::join!(number(&readers, LONG, 1_000_000_000), ended);
        assert!(done.unwrap_err().is_busy());
        assert!(readers.long().is_empty());
        assert_eq!(number(&readers, LONG, 300_000).await.unwrap(), 300_000);
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
