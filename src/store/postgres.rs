//! A database on a PostgreSQL server.
//!
//! Several instances may share it: whoever writes holds one lock of the database for the
//! length of the transaction, so that writes are numbered in the order of their times and
//! meet what others wrote as whole. Within an instance writers queue for one connection,
//! in the order in which they came.

use std::fmt::Write as _;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::error::is_lost;
use super::readers::{Readers, connect};
use super::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Reading connections: each is a process of the server.
const READERS: usize = 8;
/// Rows of one statement at most.
pub const BLOCK: usize = 4096;
/// How long a writer waits for those before it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of the lock is "kenko" in ASCII.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(461263235951)";

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

fn options(url: &str) -> Result<PgConnectOptions> {
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
        .statement_cache_capacity(256)
        .options([
            // A statement whose reader is gone does not run on.
            ("client_connection_check_interval", "1s"),
            // That there was nothing to drop is no news.
            ("client_min_messages", "warning"),
        ]))
}

/// Opens the database, migrating it where needed.
///
/// # Errors
/// [`Error::Address`], [`Error::Unreachable`], [`Error::Migration`].
pub async fn open(url: &str) -> Result<(Readers<PgConnection>, Writer)> {
    let options = options(url)?;
    let unreachable = |source| Error::Unreachable {
        database: shown(url),
        source,
    };
    let writing = options.clone().options([
        // Another instance holds the lock; and none holds it while it is stuck.
        ("lock_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "60s"),
        // Records are looked up by their keys, however few there were when a plan was made.
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    let mut connection: PgConnection = connect(&writing).await.map_err(unreachable)?;
    MIGRATIONS.run(&mut connection).await?;
    let reading = options.options([
        ("default_transaction_read_only", "on"),
        // Statements are made for one way through the indexes, whatever values they are given:
        // to plan each anew costs more than to run it, and compiling it a hundred times that.
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
    ]);
    let read = Readers::open(reading, READERS, true)
        .await
        .map_err(unreachable)?;
    let writer = Writer {
        options: writing,
        slot: Arc::new(Mutex::new(Some(connection))),
    };
    Ok((read, writer))
}

/// The connection that writes.
#[derive(Debug)]
pub struct Writer {
    options: PgConnectOptions,
    /// Empty where it was lost, or went with a transaction that was not finished.
    slot: Arc<Mutex<Option<PgConnection>>>,
}

impl Writer {
    /// A transaction, when those before it are done.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin(&self) -> Result<Writing> {
        let queue = tokio::time::timeout(PATIENCE, self.slot.clone().lock_owned());
        let mut slot = queue.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if let Some(mut connection) = slot.take() {
            match begin(&mut connection).await {
                Ok(()) => return Ok(Writing::new(slot, connection)),
                // The server was away in between, and nothing has been done yet.
                Err(error) if is_lost(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut connection: PgConnection = connect(&self.options).await?;
        begin(&mut connection).await?;
        Ok(Writing::new(slot, connection))
    }

    /// Ends the connection.
    pub async fn close(&self) {
        if let Some(connection) = self.slot.lock().await.take() {
            let _ = connection.close().await;
        }
    }
}

async fn begin(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(BEGIN).execute(connection).await?;
    Ok(())
}

/// A transaction and its connection. Dropped without an end, the connection goes with it:
/// the server gives the transaction up and its lock free.
#[derive(Debug)]
pub struct Writing {
    slot: OwnedMutexGuard<Option<PgConnection>>,
    connection: PgConnection,
    /// A statement failed: the server will not commit, and must not be thought to have.
    pub failed: bool,
}

impl Writing {
    fn new(slot: OwnedMutexGuard<Option<PgConnection>>, connection: PgConnection) -> Writing {
        Writing {
            slot,
            connection,
            failed: false,
        }
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn commit(self) -> Result<()> {
        match self.failed {
            true => Err(Error::Damaged("a transaction went on after a fault".into())),
            false => self.end("COMMIT").await,
        }
    }

    /// Gives it up.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rollback(self) -> Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<()> {
        sqlx::raw_sql(how).execute(&mut self.connection).await?;
        *self.slot = Some(self.connection);
        Ok(())
    }
}

impl Deref for Writing {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
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
        let error = options("postgres://u:secret@h:port/d")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("port") && !error.contains("secret"),
            "{error}"
        );
    }
}
