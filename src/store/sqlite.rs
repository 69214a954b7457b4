//! A database in a file.

use std::path::{Path, PathBuf};

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::at_once::AtOnce;
use super::{Error, Options, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How a transaction begins that writes: a later change of mind would meet other writers.
pub const BEGIN: &str = "BEGIN IMMEDIATE";

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

/// Reading connections: more of them than cores only change places.
fn readers() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    cores.clamp(2, 8)
}

/// Opens the file, making and migrating it where needed.
///
/// # Errors
/// [`Error::Database`], [`Error::Migration`].
pub async fn open(path: &Path, limits: Options) -> Result<(AtOnce, SqlitePool)> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(limits.lock_timeout)
        .statement_cache_capacity(256)
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "memory")
        .pragma("journal_size_limit", "67108864");
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .acquire_timeout(limits.queue_timeout)
        .connect_with(options)
        .await?;
    MIGRATIONS.run(&write).await?;
    Ok((AtOnce::open(path, readers())?, write))
}
