//! The store: records as rows, the registries, receipts. The only module that names sqlx.
//!
//! In: submissions and registry rows that were read and checked. Out: records, registry
//! rows and receipts, and never without an [`Access`]: there is one place where access is
//! decided and no way around it.
//!
//! A row keeps only what differs between two records of a kind (who, when, from which
//! source, which values, which version); FHIR JSON is rendered from it when asked for. See
//! `migrations/` for the tables and ARCHITECTURE.md, "The store", for their reasons.
//!
//! SQLite has one writer: the write pool is a single connection, and a transaction is
//! answered only after it is durable (`synchronous=FULL`). All statements are plain SQL
//! that PostgreSQL understands too; what differs stands in `sql.rs`.

mod backup;
mod change;
mod changes;
mod db;
mod delete;
mod device;
mod dictionary;
mod entries;
mod layout;
mod named;
mod provenance;
mod query;
mod read;
mod readers;
mod receipt;
mod referred;
mod registry;
mod rows;
mod search;
mod sql;
mod submit;
mod test;
mod walk;
mod walk_column;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::kind::Kinds;
use db::Transaction;
use readers::Readers;

pub use backup::restore;
pub use change::{Change, Changes, Deleted, Deletion, Done, IfMatch, RecordChanges, Rule};
pub use changes::ChangeQuery;
pub use device::{DeviceQuery, StoredDevice};
pub use entries::{Entry, Outcome};
pub use provenance::{Delivery, DeliveryKey, DeliveryQuery};
pub use query::{Place, RecordKey, RecordQuery, SORT_KEYS_MAX, SortBy, SortKey, TimeTest};
pub use read::{Person, Records, StoredRecord};
pub use receipt::{Counts, QuarantineRow, Receipt, ReceiptQuery};
pub use referred::Referred;
pub use registry::{Changed, Stored};
pub use rows::RowQuery;
pub use search::Page;
pub use submit::{Handling, Submit};
pub use test::{ColumnTest, FieldTest, Relation, Table, Test};
pub use walk::{Block, Selection, Walk};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// Its schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The address of the database is not one this program knows.
    #[error("{0}")]
    Address(String),
    /// A mapping contradicts the columns in which its records are kept.
    #[error("{0}")]
    Layout(String),
    /// A file failed.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is stored cannot be read back.
    #[error("stored data: {0}")]
    Damaged(String),
}

impl Error {
    /// Whether the same call may succeed later: the database is locked, or all connections
    /// are in use.
    pub fn is_busy(&self) -> bool {
        const BUSY: &str = "5";
        const LOCKED: &str = "6";
        match self {
            Error::Database(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => true,
            Error::Database(sqlx::Error::Database(error)) => {
                matches!(error.code().as_deref(), Some(BUSY | LOCKED))
            }
            _ => false,
        }
    }
}

/// Result of a call to the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Who reads: every reading function takes one, and filters by it.
///
/// There is only the operator so far, who sees everything.
#[derive(Debug, Clone)]
pub struct Access {
    _who: (),
}

impl Access {
    /// The operator: nothing is hidden.
    pub fn operator() -> Access {
        Access { _who: () }
    }
}

/// The database.
pub struct Store {
    read: Readers,
    write: SqlitePool,
    path: PathBuf,
    kinds: Arc<Kinds>,
    layout: layout::Layout,
    dictionary: dictionary::Dictionary,
    /// Receipts are numbered in the order in which they are made.
    ids: Mutex<ulid::Generator>,
}

/// The path in `sqlite://PATH`.
///
/// # Errors
/// [`Error::Address`] for any other address.
pub fn sqlite_path(url: &str) -> Result<PathBuf> {
    match url.strip_prefix("sqlite:") {
        Some(rest) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path == ":memory:" || path.contains('?') {
                return Err(Error::Address(format!(
                    "{url:?}: write sqlite:// and the path of a file, such as sqlite://kenko.db"
                )));
            }
            Ok(PathBuf::from(path))
        }
        None => Err(Error::Address(format!(
            "{url:?}: this version keeps its data in SQLite; write sqlite://kenko.db"
        ))),
    }
}

/// How a transaction begins that writes: a later change of mind would meet other writers.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Rows that the database's thread reads ahead: a page, so that it stops for nobody.
const ROWS_AHEAD: usize = 1024;

/// Reading connections: each is a thread, and more of them than cores only change places.
fn readers() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    cores.clamp(2, 8)
}

impl Store {
    /// Opens the database at `url`, making and migrating it where needed.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Database`] or [`Error::Migration`] where it cannot be
    /// opened; [`Error::Layout`] where a mapping contradicts what is stored.
    pub async fn open(url: &str, kinds: Arc<Kinds>) -> Result<Store> {
        let path = sqlite_path(url)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(30))
            .statement_cache_capacity(256)
            .pragma("cache_size", "-8192")
            .pragma("temp_store", "memory")
            .pragma("journal_size_limit", "67108864");
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(600))
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&write).await?;
        let tx = Transaction::Sqlite(write.begin_with(BEGIN).await?);
        let layout = layout::register(tx, &kinds).await?;
        let options = options.read_only(true).create_if_missing(false);
        let read = Readers::open(options.row_buffer_size(ROWS_AHEAD), readers()).await?;
        Ok(Store {
            read,
            write,
            path,
            kinds,
            layout,
            dictionary: dictionary::Dictionary::new(),
            ids: Mutex::new(ulid::Generator::new()),
        })
    }

    /// The record kinds that the store was opened with.
    pub fn kinds(&self) -> &Arc<Kinds> {
        &self.kinds
    }

    /// The file of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it says when it does not.
    pub async fn ping(&self) -> Result<()> {
        db::query("SELECT 1").fetch_one(&self.read).await?;
        Ok(())
    }

    /// Whether no record and no participant is stored.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn is_empty(&self) -> Result<bool> {
        let any = db::query(
            "SELECT 1 FROM consortium UNION ALL SELECT 1 FROM participant UNION ALL SELECT 1 FROM record LIMIT 1",
        )
        .fetch_optional(&self.read)
        .await?;
        Ok(any.is_none())
    }

    /// A transaction that writes, alone in doing so.
    async fn begin(&self) -> Result<Transaction> {
        Ok(Transaction::Sqlite(self.write.begin_with(BEGIN).await?))
    }

    /// Ends all connections; what was acknowledged is durable already.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// A new receipt id: a ULID, later ones sort after earlier ones.
    fn new_id(&self) -> String {
        let mut generator = self
            .ids
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // The generator overflows only after 2^80 ids within a millisecond.
        generator
            .generate()
            .unwrap_or_else(|_| ulid::Ulid::generate())
            .to_string()
    }
}
