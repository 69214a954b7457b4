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
//! There is one writer at a time, on SQLite and on PostgreSQL, and a transaction is answered
//! only after it is durable. All statements are one text for both, and run through `db.rs`;
//! how connections are opened differs, in `sqlite.rs` and `postgres.rs`.

mod among;
mod at_once;
mod backup;
mod bulk;
mod by_id;
mod census;
mod change;
mod changes;
mod db;
mod delete;
mod device;
mod dictionary;
mod entries;
mod error;
mod files;
mod folded;
mod gather;
mod group;
mod lanes;
mod layout;
mod maintenance;
mod named;
mod options;
mod postgres;
mod provenance;
mod quarantine;
mod query;
mod read;
mod readers;
mod ready;
mod receipt;
mod referred;
mod registered;
mod registry;
mod residue;
mod rows;
mod schema;
mod search;
mod sql;
mod sqlite;
mod submit;
mod table;
mod tally;
mod test;
mod told;
mod walk;
mod wanted;
mod work;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::fhir::id::ObservationKey;
use crate::kind::Kinds;
use crate::metrics;
use db::{Reads, Transaction};

pub use backup::{Restored, Snapshot, draft, replacement, restore};
pub use census::Census;
pub use change::{
    Change, Changes, Deleted, Deletion, DeviceChange, Done, Held, Precondition, RecordChanges,
    Rule, Versions,
};
pub use changes::ChangeQuery;
pub use device::StoredDevice;
pub use entries::{Entry, Outcome};
pub use error::{Error, Result};
pub use group::{GroupOf, StoredGroup};
pub use options::Options;
pub use provenance::{Delivery, DeliveryKey};
pub use quarantine::{QUARANTINE_TTL, QuarantineRow};
pub use query::{Place, RecordKey, RecordQuery, SORT_KEYS_MAX, SortBy, SortKey, TimeTest};
pub use read::{Person, Records, StoredRecord};
pub use receipt::{Counts, Receipt, ReceiptQuery, Unlisted};
pub use referred::Referred;
pub use registered::{Did, Registered};
pub use registry::{
    Changed, ParticipantChange, ParticipantChanged, ParticipantDeletion, RowChange, RowChangeQuery,
    RowVersion, Stored,
};
pub use residue::{QuantityUnit, Residue, ResiduePlace, ResidueQuantity, ResidueValue};
pub use rows::{RowKey, RowPage, RowQuery, Which};
pub use search::Page;
pub use submit::{Handling, Joined, LateValue, Said, Submit};
pub use table::Table;
pub use test::{
    Amount, Asked, ColumnTest, Compares, Comparison, FieldTest, Holds, Pair, Relation, ResidueTest,
    Test, Within,
};
pub use told::Told;
pub use walk::{Block, Selection, Walk};
pub use wanted::Wanted;

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
    read: Reads,
    write: Writer,
    options: Options,
    kinds: Arc<Kinds>,
    layout: layout::Layout,
    dictionary: dictionary::Dictionary,
    census: census::Cache,
    /// Records asked for by many at once, where that costs less.
    gathered: gather::Gather<ObservationKey, Records>,
    /// Whether a residue is stored, as far as this process knows.
    has_residue: AtomicBool,
    /// How long rows of the quarantine are kept, in milliseconds.
    quarantine_ttl: AtomicI64,
    /// Receipts are numbered in the order in which they are made.
    ids: Mutex<ulid::Generator>,
    readiness: ready::Readiness,
}

/// How long the end of all connections may take.
const TO_CLOSE: Duration = Duration::from_secs(5);

/// Where transactions come from.
enum Writer {
    Sqlite(Box<sqlite::Writer>),
    Postgres(Box<postgres::Writer>),
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// In this file, of SQLite.
    File(PathBuf),
    /// On a PostgreSQL server.
    Server(String),
}

impl Address {
    /// `sqlite://PATH` or `postgres://…`.
    ///
    /// # Errors
    /// [`Error::Address`] for any other.
    pub fn parse(url: &str) -> Result<Address> {
        if url.starts_with("sqlite:") {
            return Ok(Address::File(sqlite::path(url)?));
        }
        if postgres::is_url(url) {
            return Ok(Address::Server(url.to_owned()));
        }
        Err(Error::Address(format!(
            "{}: write sqlite://kenko.db, or postgres://USER:PASSWORD@HOST:5432/DATABASE",
            postgres::shown(url)
        )))
    }

    /// The file of a database that is one, for what only files have.
    ///
    /// # Errors
    /// [`Error::Address`] that names the tool of a server.
    pub fn file(self) -> Result<PathBuf> {
        match self {
            Address::File(path) => Ok(path),
            Address::Server(url) => Err(not_a_file(&postgres::shown(&url))),
        }
    }
}

fn not_a_file(database: &str) -> Error {
    Error::Address(format!(
        "{database} is on a server, which has its own tools: pg_dump --format=custom saves it \
         while it is in use, pg_restore puts it back"
    ))
}

impl Writer {
    async fn begin(&self) -> Result<Transaction> {
        Ok(match self {
            Writer::Sqlite(writer) => Transaction::Sqlite(writer.begin().await?),
            Writer::Postgres(writer) => Transaction::Postgres(writer.begin().await?),
        })
    }

    /// The same, for what may take as long as a migration.
    async fn begin_migration(&self) -> Result<Transaction> {
        match self {
            Writer::Sqlite(_) => self.begin().await,
            Writer::Postgres(writer) => Ok(Transaction::Postgres(writer.begin_migration().await?)),
        }
    }
}

impl Store {
    /// Opens the database at `url`, making and migrating it where needed.
    ///
    /// # Errors
    /// As [`Store::open_with`].
    pub async fn open(url: &str, kinds: Arc<Kinds>) -> Result<Store> {
        Store::open_with(url, kinds, Options::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Foreign`], [`Error::Newer`], [`Error::InUse`],
    /// [`Error::File`], [`Error::Database`], [`Error::Reading`], [`Error::Unreachable`] or
    /// [`Error::Migration`] where it cannot be opened; [`Error::Layout`] where a mapping
    /// contradicts what is stored.
    pub async fn open_with(url: &str, kinds: Arc<Kinds>, options: Options) -> Result<Store> {
        let (read, write) = match Address::parse(url)? {
            Address::File(path) => {
                let (read, write) = sqlite::open(&path, options).await?;
                (Reads::Sqlite(read), Writer::Sqlite(Box::new(write)))
            }
            Address::Server(url) => {
                let (read, write) = postgres::open(&url, options).await?;
                (
                    Reads::Postgres(Box::new(read)),
                    Writer::Postgres(Box::new(write)),
                )
            }
        };
        let mut tx = write.begin_migration().await?;
        folded::complete(&mut tx).await?;
        let has_residue = residue::any(&mut tx).await?;
        let layout = layout::register(tx, &kinds).await?;
        Ok(Store {
            read,
            write,
            options,
            kinds,
            layout,
            dictionary: dictionary::Dictionary::new(),
            census: census::Cache::default(),
            gathered: gather::Gather::new(),
            has_residue,
            quarantine_ttl: AtomicI64::new(QUARANTINE_TTL.as_millis() as i64),
            ids: Mutex::new(ulid::Generator::new()),
            readiness: ready::Readiness::default(),
        })
    }

    /// The record kinds that the store was opened with.
    pub fn kinds(&self) -> &Arc<Kinds> {
        &self.kinds
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
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Outdated`] where another program changed how records are
    /// kept.
    async fn begin(&self) -> Result<Transaction> {
        let waits = metrics::Wait::write_lock();
        let mut tx = self.write.begin().await?;
        drop(waits);
        let next = db::query("UPDATE revision SET data = data + 1 WHERE id = 1 RETURNING kinds");
        let revision = next.fetch_one(&mut tx).await?.try_get(0)?;
        if let Err(error) = self.layout.check(&mut tx, revision).await {
            tx.rollback().await?;
            return Err(error);
        }
        Ok(tx)
    }

    /// The number of the last transaction that wrote: what was read at one number is what is
    /// stored for as long as there is no other.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn revision(&self) -> Result<i64> {
        let row = db::query("SELECT data FROM revision WHERE id = 1");
        row.fetch_one(&self.read).await?.try_get(0)
    }

    /// Measures what changes without a call: the size of SQLite's write-ahead log.
    pub fn measure(&self) {
        if let Reads::Sqlite(readers) = &self.read {
            metrics::wal_bytes(readers.wal_bytes());
        }
    }

    /// Ends all connections, within a few seconds whatever hangs; what was acknowledged is
    /// durable already.
    pub async fn close(&self) {
        let closed = async {
            self.read.close().await;
            match &self.write {
                Writer::Sqlite(writer) => writer.close().await,
                Writer::Postgres(writer) => writer.close().await,
            }
        };
        self.unready();
        if tokio::time::timeout(TO_CLOSE, closed).await.is_err() {
            tracing::warn!("the database did not let go of its connections in time");
        }
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
