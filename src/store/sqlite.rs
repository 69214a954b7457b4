//! A database in a file.
//!
//! Writers queue for one connection. It comes back only from a transaction that ended as it was
//! told to; any other takes its connection with it, whatever state that is in, and the next
//! writer opens a new one.
//!
//! SQLite begins its write-ahead log anew only when nobody reads from it, which among steady
//! readers never happens by itself. So when a transaction leaves more in it than a third of
//! the limit, the log is emptied before the next one begins. This waits for statements that
//! still read an older state; at the limit, statements of this process that take long are ended.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::at_once::AtOnce;
use super::files::Files;
use super::maintenance::Maintenance;
use super::{Error, Options, Result, schema};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How a transaction begins that writes: a later change of mind would meet other writers.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// How long the next writer waits, at most, for readers that keep the log from being emptied.
const BRIEF: Duration = Duration::from_secs(1);
/// The same, when the log has reached its limit.
const LONG: Duration = Duration::from_secs(10);
/// Pause after an attempt of no use, in multiples of the time that the attempt took.
const PAUSE: u32 = 9;

/// The path in `sqlite://PATH`.
///
/// # Errors
/// [`Error::Address`] where there is none.
pub fn path(url: &str) -> Result<PathBuf> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path == ":memory:" || path.contains('?') {
        return Err(Error::Address(format!(
            "{url:?}: write sqlite:// and the path of a file, such as sqlite://kenko.db"
        )));
    }
    Ok(PathBuf::from(path))
}

/// Opens the file, making and migrating it where needed.
///
/// # Errors
/// [`Error::Foreign`], [`Error::Newer`], [`Error::InUse`], [`Error::File`],
/// [`Error::Database`], [`Error::Reading`], [`Error::Migration`].
pub async fn open(path: &Path, limits: Options) -> Result<(Arc<AtOnce>, Writer)> {
    schema::check(path)?;
    let files = Arc::new(Files::open(path)?);
    let maintenance = Maintenance::open(path).map_err(|error| files.classified(error))?;
    files.remember();
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(limits.lock_timeout)
        .statement_cache_capacity(256)
        // Statements are logged by `db.rs`, by their shape.
        .disable_statement_logging()
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "memory");
    let connected = SqliteConnection::connect_with(&options).await;
    let mut connection = connected.map_err(|error| files.classified(error.into()))?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(version) => Error::Newer {
                database: path.display().to_string(),
                version,
                known: MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0),
            },
            other => Error::Migration(other),
        })?;
    let read = Arc::new(AtOnce::open(files.clone(), &limits)?);
    let writer = Writer {
        options,
        slot: Arc::new(Mutex::new(Some(connection))),
        shared: Arc::new(Shared {
            files,
            maintenance,
            read: read.clone(),
            limits,
            retry: std::sync::Mutex::new(None),
            is_closed: AtomicBool::new(false),
        }),
    };
    Ok((read, writer))
}

/// The connection that writes.
#[derive(Debug)]
pub struct Writer {
    options: SqliteConnectOptions,
    /// Empty where it went with a transaction that did not end well.
    slot: Arc<Mutex<Option<SqliteConnection>>>,
    shared: Arc<Shared>,
}

/// State that outlives the transactions.
#[derive(Debug)]
struct Shared {
    files: Arc<Files>,
    maintenance: Maintenance,
    read: Arc<AtOnce>,
    limits: Options,
    /// When emptying the log is tried again after an attempt that was of no use.
    retry: std::sync::Mutex<Option<Retry>>,
    is_closed: AtomicBool,
}

impl Writer {
    /// A transaction, when those before it are done.
    ///
    /// # Errors
    /// [`Error::Moved`], [`Error::Database`].
    pub async fn begin(&self) -> Result<Writing> {
        let queue = self.slot.clone().lock_owned();
        let queue = tokio::time::timeout(self.shared.limits.queue_timeout, queue);
        let mut slot = queue.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if self.shared.is_closed.load(Ordering::Relaxed) {
            return Err(sqlx::Error::PoolClosed.into());
        }
        self.shared.files.check()?;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options)
                .await
                .map_err(|error| self.shared.files.classified(error.into()))?,
        };
        let mut writing = Writing {
            slot,
            connection,
            shared: self.shared.clone(),
            failed: false,
        };
        writing.run(BEGIN).await?;
        Ok(writing)
    }

    /// Tries whether a write would succeed; nothing is told while somebody writes.
    ///
    /// # Errors
    /// Why it would not.
    pub async fn probe(&self) -> Result<Option<()>> {
        self.shared.files.check()?;
        let shared = self.shared.clone();
        let probed = tokio::task::spawn_blocking(move || {
            let probed = shared.maintenance.probe();
            probed.map_err(|error| shared.files.classified(error))
        });
        probed.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// The path of the database.
    pub fn path(&self) -> &Path {
        self.shared.files.path()
    }

    /// Ends the connections.
    pub async fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        if let Some(connection) = self.slot.lock().await.take() {
            let _ = connection.close().await;
        }
        self.shared.maintenance.close();
        self.shared.files.close();
    }
}

/// Size of the log or time, whichever is reached first, at which emptying it is tried again. The
/// size alone would not do: SQLite starts a log anew at its front where all of it was copied, and
/// its file stays as long as it was.
#[derive(Debug, Clone, Copy)]
struct Retry {
    size: u64,
    time: Instant,
}

impl Shared {
    /// Whether so much stands in the log that it is to be emptied.
    fn is_log_full(&self, size: u64) -> bool {
        let retry = *self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        size > self.limits.wal_limit / 3
            && retry.is_none_or(|retry| size > retry.size || Instant::now() >= retry.time)
    }

    /// Empties the log; nobody of this process writes meanwhile.
    fn empty_log(&self) {
        let size = self.files.log_size();
        let started = Instant::now();
        let is_over = size > self.limits.wal_limit;
        let mut emptied = self
            .maintenance
            .empty_log(if is_over { LONG } else { BRIEF });
        if is_over && matches!(emptied, Ok(false)) {
            self.read.interrupt_long();
            emptied = self.maintenance.empty_log(BRIEF);
        }
        let ended = Instant::now();
        *self.retry.lock().unwrap_or_else(PoisonError::into_inner) = match emptied {
            Ok(true) => None,
            _ => Some(Retry {
                size: size + self.limits.wal_limit / 12,
                time: ended + (ended - started) * PAUSE,
            }),
        };
        match emptied {
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be emptied"),
            Ok(false) if is_over && !self.is_closed.load(Ordering::Relaxed) => tracing::warn!(
                bytes = size,
                "the write-ahead log is over its limit: another program has been reading the \
                 database for long"
            ),
            Ok(_) => {}
        }
    }
}

/// A transaction and its connection. Dropped without an end, the connection goes with it, and
/// SQLite gives the transaction up.
#[derive(Debug)]
pub struct Writing {
    slot: OwnedMutexGuard<Option<SqliteConnection>>,
    connection: SqliteConnection,
    shared: Arc<Shared>,
    failed: bool,
}

impl Writing {
    /// Result of a statement: after one that failed nothing is committed any more.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::File`] where the disk is full.
    pub fn checked<T>(&mut self, done: sqlx::Result<T>) -> Result<T> {
        self.failed |= done.is_err();
        done.map_err(|error| self.shared.files.classified(error.into()))
    }

    async fn run(&mut self, sql: &'static str) -> Result<()> {
        let done = self.connection.execute(sqlx::raw_sql(sql)).await;
        self.checked(done).map(|_| ())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Moved`] where it would be durable in a file that is gone.
    pub async fn commit(mut self) -> Result<()> {
        if self.failed {
            return Err(Error::Damaged("a transaction went on after a fault".into()));
        }
        self.shared.files.check()?;
        self.run("COMMIT").await?;
        self.shared.files.check()?;
        self.end();
        Ok(())
    }

    /// Gives it up.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rollback(mut self) -> Result<()> {
        self.run("ROLLBACK").await?;
        self.end();
        Ok(())
    }

    /// The connection is free for the next writer, as soon as the log is short.
    fn end(mut self) {
        *self.slot = Some(self.connection);
        if self.shared.is_log_full(self.shared.files.log_size()) {
            let (slot, shared) = (self.slot, self.shared);
            tokio::task::spawn_blocking(move || {
                shared.empty_log();
                drop(slot);
            });
        }
    }
}

impl Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}
