//! The reading connections of a database in a file.
//!
//! Most reads of SQLite are a few microseconds of work. sqlx hands every statement to a thread
//! of its own and every row back, which is several times that; so reads run here, on the
//! thread that asks. A statement that is still at work after a few milliseconds begins again on a
//! thread for such, in a lane of its own; at the limit of that, in the lane of the slow ones.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

use super::db::{Bound, Statement};
use super::files::Files;
use super::lanes::Lane;
use super::options::Options;
use super::{Error, Result};

/// How long a statement waits for another program that has the file for itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// Statements of a connection that stay prepared.
const PREPARED: usize = 256;
/// Steps of SQLite's machine after which it is asked whether a statement goes on.
const STEPS: u64 = 10_000;
/// So many times it goes on where it began: a few milliseconds.
const TIMES: u64 = 8;

/// Connections that read, a few at most.
#[derive(Debug)]
pub struct AtOnce {
    idle: Arc<Idle>,
    /// For statements that run on the thread that asks.
    first: Lane,
    /// For those that run on threads of their own: the short ones, then the slow ones.
    long: [Lane; 2],
    /// How often a statement may go on at most.
    times: u64,
    /// The runs in the lanes of the long ones.
    running: Mutex<Vec<(Arc<Budget>, u64)>>,
}

/// Connections without work.
#[derive(Debug)]
struct Idle {
    files: Arc<Files>,
    /// The last one that came back goes out first: its caches are warm. None where no more are
    /// taken back.
    readers: Mutex<Option<Vec<Reader>>>,
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    budget: Arc<Budget>,
}

/// Time and steps that the statement on a connection has left.
#[derive(Debug)]
struct Budget {
    /// The number of the run.
    run: AtomicU64,
    /// The last run that was told to end.
    ended: AtomicU64,
    /// How often it may still go on.
    left: AtomicU64,
    until: Mutex<Option<Instant>>,
}

impl Budget {
    fn new() -> Budget {
        Budget {
            run: AtomicU64::new(1),
            ended: AtomicU64::new(0),
            left: AtomicU64::new(0),
            until: Mutex::new(None),
        }
    }

    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new run that may go on so often; its number.
    fn begin(&self, times: u64) -> u64 {
        self.left.store(times, Ordering::Relaxed);
        *self.until() = None;
        self.run.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends a run, if it is not over: it fails as one that may be tried again.
    fn end(&self, run: u64) {
        self.ended.fetch_max(run, Ordering::Relaxed);
    }

    /// Whether a run was told to end.
    fn is_ended(&self, run: u64) -> bool {
        self.ended.load(Ordering::Relaxed) == run
    }

    /// Whether the statement that runs must not go on.
    fn is_over(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.is_ended(self.run.load(Ordering::Relaxed))
            || self.left.fetch_update(set, fetch, less).is_err()
            || self.until().is_some_and(|until| Instant::now() >= until)
    }
}

impl AtOnce {
    /// Connections to the file, of which one is opened now.
    ///
    /// # Errors
    /// [`Error::Reading`](super::Error::Reading) where it cannot be opened.
    pub fn open(files: Arc<Files>, limits: &Options) -> Result<AtOnce> {
        let first = Reader::open(&files)?;
        let idle = Idle {
            files,
            readers: Mutex::new(Some(vec![first])),
        };
        // More than there are cores only change places.
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let readers = limits.readers.min(cores.max(2));
        let lane = |places, limit| Lane::new(places, limit, limits.queue_timeout);
        Ok(AtOnce {
            idle: Arc::new(idle),
            first: lane(readers, Duration::MAX),
            long: [
                lane(readers, limits.slow_after.min(limits.statement_timeout)),
                lane(limits.slow_readers, limits.statement_timeout),
            ],
            times: limits.statement_steps / STEPS,
            running: Mutex::default(),
        })
    }

    /// What is made of each row of a statement, of the first `most` of them.
    ///
    /// # Errors
    /// [`Error::Reading`]; [`Error::TooCostly`]; where no connection is free for long,
    /// [`Error::Database`]; and what `make` finds wrong.
    pub async fn fetch<T: Send + 'static>(
        &self,
        statement: Statement,
        most: usize,
        make: impl Fn(&Row<'_>) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let permit = self.first.enter().await?;
        let reader = self.idle.take()?;
        reader.budget.begin(TIMES.min(self.times));
        let statement = statement.plain();
        let done = reader.run(&statement, most, &make);
        self.idle.keep(reader);
        drop(permit);
        match done {
            Err(error) if is_interrupted(&error) => {
                Box::pin(self.fetch_long(statement, most, make)).await
            }
            done => done,
        }
    }

    /// The same, on threads of their own.
    async fn fetch_long<T: Send + 'static>(
        &self,
        statement: (Cow<'static, str>, Vec<Bound>),
        most: usize,
        make: impl Fn(&Row<'_>) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let statement = Arc::new(statement);
        for lane in &self.long {
            let permit = lane.enter().await?;
            let reader = self.idle.take()?;
            let run = Running::begin(self, &reader);
            let (statement, make) = (statement.clone(), make.clone());
            let (idle, limit) = (self.idle.clone(), lane.limit);
            // Its place is free when it has ended, whoever waits for it.
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                *reader.budget.until() = Instant::now().checked_add(limit);
                let done = reader.run(&statement, most, &make);
                idle.keep(reader);
                done
            });
            match work.await.map_err(|_| sqlx::Error::WorkerCrashed)? {
                Err(error) if is_interrupted(&error) && !run.is_ended() => {}
                done => return done,
            }
        }
        Err(Error::TooCostly)
    }

    /// Bytes of the write-ahead log beside the file.
    pub fn wal_bytes(&self) -> u64 {
        self.idle.files.log_size()
    }

    fn running(&self) -> MutexGuard<'_, Vec<(Arc<Budget>, u64)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the statements that are long at work; they fail as those that may be tried again.
    pub fn interrupt_long(&self) {
        for (budget, run) in self.running().iter() {
            budget.end(*run);
        }
    }

    /// Ends the connections; nothing is read any more.
    pub fn close(&self) {
        self.first.close();
        self.long.iter().for_each(Lane::close);
        self.interrupt_long();
        *self.idle.readers() = None;
    }
}

impl Idle {
    fn readers(&self) -> MutexGuard<'_, Option<Vec<Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, opened where none is idle.
    fn take(&self) -> Result<Reader> {
        let idle = self.readers().as_mut().and_then(Vec::pop);
        match idle {
            Some(reader) => Ok(reader),
            None => Reader::open(&self.files),
        }
    }

    fn keep(&self, reader: Reader) {
        if let Some(readers) = self.readers().as_mut() {
            readers.push(reader);
        }
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
        let budget = Arc::new(Budget::new());
        let asked = budget.clone();
        connection.progress_handler(STEPS as i32, Some(move || asked.is_over()))?;
        Ok(Reader { connection, budget })
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

/// A statement that is long at work, and is ended when nobody waits for it any more.
struct Running<'a> {
    readers: &'a AtOnce,
    budget: Arc<Budget>,
    run: u64,
}

impl<'a> Running<'a> {
    fn begin(readers: &'a AtOnce, reader: &Reader) -> Running<'a> {
        let budget = reader.budget.clone();
        let run = budget.begin(readers.times);
        readers.running().push((budget.clone(), run));
        Running {
            readers,
            budget,
            run,
        }
    }

    fn is_ended(&self) -> bool {
        self.budget.is_ended(self.run)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let is_this = |(budget, run): &(Arc<Budget>, u64)| {
            Arc::ptr_eq(budget, &self.budget) && *run == self.run
        };
        self.readers.running().retain(|running| !is_this(running));
        self.budget.end(self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::super::db::query;
    use super::*;

    const LONG: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
         SELECT count(*) FROM n";

    /// So long that it never ends by itself.
    const ENDLESS: i64 = 1_000_000_000_000;

    fn one_reader() -> (tempfile::TempDir, AtOnce) {
        with(|_| {})
    }

    /// One reader of each lane, with other limits.
    fn with(limits: impl FnOnce(&mut Options)) -> (tempfile::TempDir, AtOnce) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let files = Arc::new(Files::open(&path).unwrap());
        let mut options = Options {
            readers: 1,
            slow_readers: 1,
            ..Options::default()
        };
        limits(&mut options);
        (dir, AtOnce::open(files, &options).unwrap())
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
            let long = number(&readers, LONG, ENDLESS);
            let given_up = tokio::time::timeout(Duration::from_millis(50), long).await;
            assert!(given_up.is_err());
            assert_eq!(number(&readers, "SELECT ?", 1).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn long_work_can_be_ended_and_may_be_tried_again() {
        let (_dir, readers) = one_reader();
        let ended = async {
            while readers.running().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            readers.interrupt_long();
        };
        let (done, ()) = tokio::join!(number(&readers, LONG, ENDLESS), ended);
        assert!(done.unwrap_err().is_busy());
        assert!(readers.running().is_empty());
        assert_eq!(number(&readers, LONG, 300_000).await.unwrap(), 300_000);
    }

    #[tokio::test]
    async fn slow_work_waits_for_slow_work_only() {
        let (_dir, readers) = with(|limits| limits.slow_after = Duration::from_millis(500));
        let slow = async {
            tokio::join!(
                number(&readers, LONG, ENDLESS),
                number(&readers, LONG, ENDLESS),
                number(&readers, LONG, ENDLESS),
            )
        };
        let short = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            for _ in 0..10 {
                assert_eq!(number(&readers, LONG, 10).await.unwrap(), 10);
                // Too long for the thread that asks, and not slow.
                assert_eq!(number(&readers, LONG, 30_000).await.unwrap(), 30_000);
            }
        };
        tokio::select! {
            _ = slow => panic!("it never ends"),
            () = short => {}
        }
        // Those that were given up have left their places.
        assert_eq!(number(&readers, LONG, 9_000_000).await.unwrap(), 9_000_000);
    }

    #[tokio::test]
    async fn a_statement_ends_at_its_limits() {
        let (_dir, readers) = with(|limits| limits.statement_steps = 1_000_000);
        let done = number(&readers, LONG, ENDLESS).await;
        assert!(matches!(done, Err(Error::TooCostly)), "{done:?}");
        assert_eq!(number(&readers, LONG, 30_000).await.unwrap(), 30_000);
        let (_dir, readers) = with(|limits| limits.statement_timeout = Duration::from_millis(50));
        let done = number(&readers, LONG, ENDLESS).await;
        assert!(matches!(done, Err(Error::TooCostly)), "{done:?}");
        assert_eq!(number(&readers, LONG, 10).await.unwrap(), 10);
    }

    #[tokio::test]
    async fn a_place_in_the_queue_is_given_up_in_time() {
        let (_dir, readers) = with(|limits| {
            limits.slow_after = Duration::from_millis(20);
            limits.queue_timeout = Duration::from_millis(100);
        });
        let slow = || number(&readers, LONG, ENDLESS);
        let done = futures_util::future::select(Box::pin(slow()), Box::pin(slow())).await;
        let (done, _) = done.factor_first();
        assert!(done.unwrap_err().is_busy());
    }

    #[tokio::test]
    async fn an_error_does_not_show_the_statement() {
        let (_dir, readers) = one_reader();
        let error = number(&readers, "SELECT nothing + ?", 1).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("SELECT"), "{text}");
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
