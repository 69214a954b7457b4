//! A database on a PostgreSQL server.
//!
//! Several instances may share it: whoever writes holds one lock of the database for the
//! length of the transaction, so that writes are numbered in the order of their times and
//! meet what others wrote as whole. Within an instance writers queue for one connection,
//! in the order in which they came.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::is_lost;
use super::options::{Options, deadline, within};
use super::readers::{Readers, UNNOTICED, connect, connect_queued};
use super::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Rows of one statement at most.
pub const BLOCK: usize = 4096;

/// How long the end of a connection may take: the server learns of it anyhow.
pub(super) const TO_CLOSE: Duration = Duration::from_secs(1);

/// Begins a transaction that writes, in which a statement may take so many milliseconds. The
/// wait for the lock has a limit of its own. The number of the lock is "kenko" in ASCII.
fn begin_text(limit: Duration) -> String {
    format!(
        "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(461263235951); \
         SET LOCAL statement_timeout = {}",
        limit.as_millis()
    )
}

/// A server that gave up waiting for its standbys would take that for durable.
const COMMIT: &str = "SET LOCAL statement_timeout = 0; COMMIT";

/// Writes some pages, which the disk must have room for, to a table of the session alone, that
/// loses them with the commit; and asks for a lock on no row, which a server refuses that only
/// reads. Several statements that are sent together are one transaction.
const PROBE: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS kenko_write_probe (n BIGINT) ON COMMIT \
    DELETE ROWS; INSERT INTO kenko_write_probe SELECT generate_series(1, 2000); \
    SELECT 1 FROM kind WHERE false FOR UPDATE";

/// Whether temporary tables are not for this user, so that nothing could be tried.
fn is_not_permitted(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "42501")
}

/// Both schemes that PostgreSQL's own tools know.
pub fn is_url(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// An address without what may be secret in it: the password, and parameters.
pub fn shown(url: &str) -> String {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => address.to_owned(),
    }
}

fn millis(timeout: Duration) -> String {
    timeout.as_millis().to_string()
}

fn connect_options(url: &str) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| {
        let why = match error {
            sqlx::Error::Configuration(why) => why.to_string(),
            other => other.to_string(),
        };
        Error::Address(format!(
            "{}: {why}; write postgres://USER:PASSWORD@HOST:5432/DATABASE",
            shown(url)
        ))
    })?;
    Ok(options
        .application_name("kenko-fhir")
        // A prepared search of many units takes a megabyte of the server, for each connection.
        .statement_cache_capacity(64)
        // Statements are logged by `db.rs`, by their shape.
        .disable_statement_logging()
        .options([
            // A statement whose reader is gone does not run on.
            (
                "client_connection_check_interval",
                millis(UNNOTICED).as_str(),
            ),
            // Nor does a transaction stay open, and its lock held, whose writer is gone without
            // a word.
            ("tcp_keepalives_idle", "10s"),
            ("tcp_keepalives_interval", "5s"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "30s"),
            // That there was nothing to drop is no news.
            ("client_min_messages", "warning"),
        ]))
}

/// Opens the database, migrating it where needed.
///
/// # Errors
/// [`Error::Address`], [`Error::Unreachable`], [`Error::Migration`].
pub async fn open(url: &str, limits: Options) -> Result<(Readers<PgConnection>, Writer)> {
    let options = connect_options(url)?;
    let unreachable = |source| Error::Unreachable {
        database: shown(url),
        source,
    };
    let writing = options.clone().options([
        // Another instance holds the lock; and none holds it while it is stuck.
        ("lock_timeout", millis(limits.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            millis(limits.idle_transaction_timeout),
        ),
        // Records are looked up by their keys, however few there were when a plan was made.
        ("enable_seqscan", "off".into()),
        // A scan that is needed all the same counts as dear then, and would be compiled for.
        ("jit", "off".into()),
        ("enable_hashjoin", "off".into()),
        ("enable_mergejoin", "off".into()),
    ]);
    let mut connection: PgConnection = connect(&writing, limits.connect_timeout)
        .await
        .map_err(unreachable)?;
    let migrated = MIGRATIONS.run(&mut connection);
    tokio::time::timeout(deadline(limits.migration_timeout), migrated)
        .await
        .map_err(|_| unreachable(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))??;
    let reading = |limit: Duration| {
        options.clone().options([
            ("default_transaction_read_only", "on".into()),
            ("statement_timeout", millis(limit)),
            // Waiting for a table that a migration holds is no work of the statement.
            (
                "lock_timeout",
                millis(limits.lock_timeout.min(limits.statement_timeout / 2)),
            ),
            // Statements are made for one way through the indexes, whatever values they are given:
            // to plan each anew costs more than to run it, and compiling it a hundred times that.
            ("plan_cache_mode", "force_generic_plan".into()),
            ("jit", "off".into()),
        ])
    };
    let short = reading(limits.slow_after.min(limits.statement_timeout));
    let read = Readers::open(short, reading(limits.statement_timeout), limits)
        .await
        .map_err(unreachable)?;
    let writer = Writer {
        options: writing,
        limits,
        slot: Arc::new(Mutex::new(Some(connection))),
        failing: Arc::default(),
    };
    Ok((read, writer))
}

/// The connection that writes.
#[derive(Debug)]
pub struct Writer {
    options: PgConnectOptions,
    limits: Options,
    /// Empty where it was lost, or went with a transaction that was not finished.
    slot: Arc<Mutex<Option<PgConnection>>>,
    /// The last transaction got no answer, or no lock.
    failing: Arc<AtomicBool>,
}

impl Writer {
    /// A transaction, when those before it are done.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin(&self) -> Result<Writing> {
        self.begin_within(self.limits.statement_timeout).await
    }

    /// Tries whether a write would succeed; nothing is told while somebody writes.
    ///
    /// # Errors
    /// Why it would not.
    pub async fn probe(&self) -> Result<Option<()>> {
        let Ok(mut slot) = self.slot.clone().try_lock_owned() else {
            return Ok(None);
        };
        let limit = self.limits.connect_timeout;
        let mut probed = Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into()));
        // Whatever becomes of a probe, its connection is not left in the middle of it.
        if let Some(mut connection) = slot.take() {
            probed = within(limit, sqlx::raw_sql(PROBE).execute(&mut connection)).await;
            if !matches!(&probed, Err(error) if is_lost(error)) {
                *slot = Some(connection);
            }
        }
        if matches!(&probed, Err(error) if is_lost(error) && !is_timeout(error)) {
            let mut connection = connect(&self.options, limit).await?;
            probed = within(limit, sqlx::raw_sql(PROBE).execute(&mut connection)).await;
            if !matches!(&probed, Err(error) if is_lost(error)) {
                *slot = Some(connection);
            }
        }
        match probed {
            Err(error) if !is_not_permitted(&error) => Err(error.into()),
            _ => Ok(Some(())),
        }
    }

    /// The same, for what may take as long as a migration.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin_migration(&self) -> Result<Writing> {
        self.begin_within(self.limits.migration_timeout).await
    }

    /// A transaction in which each statement may take so long.
    async fn begin_within(&self, limit: Duration) -> Result<Writing> {
        let queue = tokio::time::timeout(self.limits.queue_timeout, self.slot.clone().lock_owned());
        let mut slot = queue.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let begun = self.connection(slot.take(), limit).await;
        self.failing.store(begun.is_err(), Ordering::Relaxed);
        Ok(Writing {
            slot,
            connection: begun?,
            limit: deadline(limit),
            state: State::Sound,
            failing: self.failing.clone(),
        })
    }

    /// A connection on which a transaction has begun: this one, or another where it was lost.
    async fn connection(
        &self,
        last: Option<PgConnection>,
        limit: Duration,
    ) -> sqlx::Result<PgConnection> {
        let text = begin_text(limit);
        let begin = async |mut connection: PgConnection| {
            let begun = sqlx::raw_sql(AssertSqlSafe(text.as_str())).execute(&mut connection);
            within(deadline(self.limits.lock_timeout), begun).await?;
            Ok(connection)
        };
        if let Some(connection) = last {
            match begin(connection).await {
                // The server was away in between, and nothing has been done yet.
                Err(error) if is_lost(&error) && !is_timeout(&error) => {}
                begun => return begun,
            }
        }
        begin(connect_queued(&self.options, &self.limits).await?).await
    }

    /// Whether the last transaction that was to write could not begin, or was lost.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Ends the connection, unless it is in use.
    pub async fn close(&self) {
        let closed = async {
            if let Some(connection) = self.slot.lock().await.take() {
                let _ = connection.close().await;
            }
        };
        let _ = tokio::time::timeout(TO_CLOSE, closed).await;
    }
}

fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// A transaction and its connection. Dropped without an end, the connection goes with it:
/// the server gives the transaction up and its lock free.
#[derive(Debug)]
pub struct Writing {
    slot: OwnedMutexGuard<Option<PgConnection>>,
    connection: PgConnection,
    /// How long an answer may take.
    limit: Duration,
    state: State,
    failing: Arc<AtomicBool>,
}

/// State of a transaction so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All its statements succeeded.
    Sound,
    /// A statement failed: the server will not commit, and must not be thought to have.
    Failed,
    /// The server does not answer: nothing more can be said to it.
    Lost,
}

impl Writing {
    /// Runs a statement, for as long as one may take.
    ///
    /// # Errors
    /// Its own, and [`sqlx::Error::Io`] where no answer comes.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        if self.state == State::Lost {
            return Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into()));
        }
        let done = within(self.limit, work(&mut self.connection)).await;
        if let Err(error) = &done {
            self.state = match is_lost(error) {
                true => State::Lost,
                false => State::Failed,
            };
        }
        if self.state == State::Lost {
            self.failing.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn commit(self) -> Result<()> {
        match self.state {
            State::Sound => self.end(COMMIT).await,
            State::Failed => Err(Error::Damaged("a transaction went on after a fault".into())),
            State::Lost => Err(sqlx::Error::Io(std::io::ErrorKind::NotConnected.into()).into()),
        }
    }

    /// Gives it up.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rollback(self) -> Result<()> {
        match self.state {
            // Without its connection it is given up already.
            State::Lost => Ok(()),
            State::Sound | State::Failed => self.end("ROLLBACK").await,
        }
    }

    async fn end(mut self, how: &'static str) -> Result<()> {
        self.run(async |connection| sqlx::raw_sql(how).execute(connection).await)
            .await?;
        *self.slot = Some(self.connection);
        Ok(())
    }
}

/// A statement's text as PostgreSQL takes it: `?` is `$1`, `$2`, …
pub fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + sql.len() / 8);
    for (n, part) in sql.split('?').enumerate() {
        if n > 0 {
            let _ = write!(out, "${n}");
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered() {
        let sql = "SELECT a FROM b WHERE c = ? AND (d, e) > (?, ?)";
        assert_eq!(
            numbered(sql),
            "SELECT a FROM b WHERE c = $1 AND (d, e) > ($2, $3)"
        );
        assert!(numbered(&"?,".repeat(123)).ends_with("$122,$123,"));
        assert_eq!(numbered(""), "");
    }

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        for (url, plain) in [
            ("postgres://u:secret@h:5432/d", "postgres://u@h:5432/d"),
            (
                "postgres://u:se@cret@h/d?password=secret",
                "postgres://u@h/d",
            ),
            ("postgresql:///d?user=u&password=secret", "postgresql:///d"),
            ("mysql://u:secret@h", "mysql://u@h"),
            ("kenko.db", "kenko.db"),
        ] {
            assert_eq!(shown(url), plain);
        }
        let error = connect_options("postgres://u:secret@h:port/d")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("port") && !error.contains("secret"),
            "{error}"
        );
    }
}
