//! What can go wrong in the store.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A database in a file could not be read.
    #[error("database: {0}")]
    Reading(#[from] rusqlite::Error),
    /// A server that keeps the database cannot be reached.
    #[error("cannot open {database}: {source}")]
    Unreachable {
        /// Which, without its password.
        database: String,
        /// Why.
        source: sqlx::Error,
    },
    /// Its schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The address of the database is not one this program knows, or does not do here.
    #[error("{0}")]
    Address(String),
    /// A mapping contradicts the columns in which its records are kept.
    #[error("{0}")]
    Layout(String),
    /// Another program was started on the database with another mapping of this kind.
    #[error(
        "the mapping of {0} is not the one that the database is used with any more; start this \
         program again with the same mappings as the others"
    )]
    Outdated(String),
    /// A file failed.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A page cursor that this program did not make for this query.
    #[error("a page cursor of another query")]
    Cursor,
    /// A walk through pages that cannot go on, because the record kinds are others than when
    /// it began.
    #[error("the record kinds changed since the first page")]
    WalkEnded,
    /// What is stored cannot be read back.
    #[error("stored data: {0}")]
    Damaged(String),
}

impl Error {
    /// Whether the server that keeps the database is away, or was when it was needed.
    pub fn is_away(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            Error::Database(error) => is_lost(error),
            _ => false,
        }
    }

    /// Whether the same call may succeed later: the database is locked or away, all
    /// connections are in use, or another program changed the same at the same time, or is used
    /// with other mappings.
    pub fn is_busy(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Outdated(_) => true,
            Error::Database(error) => is_busy(error),
            Error::Reading(error) => error.sqlite_error_code().is_some_and(|code| {
                matches!(code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            }),
            _ => false,
        }
    }
}

/// Result of a call to the store.
pub type Result<T> = std::result::Result<T, Error>;

fn is_busy(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, PoolClosed, PoolTimedOut};
    match error {
        PoolTimedOut | PoolClosed => true,
        Database(error) => error.code().is_some_and(|code| match sql_state(&code) {
            // Unique violation, cancelled, no lock, and a server that only reads, as one that
            // takes over does at first; classes 40 (rollback) and 53 (resources).
            Some(state) => {
                matches!(state, "23505" | "57014" | "55P03" | "25006")
                    || ["40", "53"].iter().any(|class| state.starts_with(class))
                    || is_intervention(state)
            }
            // SQLITE_BUSY and SQLITE_LOCKED, whatever they say in the upper bits.
            None => code.parse().is_ok_and(|n: u32| matches!(n & 0xFF, 5 | 6)),
        }),
        other => is_lost(other),
    }
}

/// Whether a connection can no longer be used after this.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Database, Io, Protocol, Tls, WorkerCrashed};
    match error {
        Io(_) | Tls(_) | Protocol(_) | WorkerCrashed => true,
        Database(error) => error
            .code()
            .is_some_and(|code| sql_state(&code).is_some_and(is_intervention)),
        _ => false,
    }
}

/// An error code of PostgreSQL (documentation, appendix A) has five characters; one of
/// SQLite is a shorter number.
fn sql_state(code: &str) -> Option<&str> {
    (code.len() == 5).then_some(code)
}

/// Class 08, connections, of class 57 what an operator does to a server, and what ends a
/// connection that was idle in a transaction, or had one for too long.
fn is_intervention(state: &str) -> bool {
    state.starts_with("08") || state.starts_with("57P") || matches!(state, "25P03" | "25P04")
}
