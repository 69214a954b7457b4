//! What can go wrong in the store.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};

use crate::fault::Lang;

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
    /// A statement that reads reached its limit of time or of work.
    #[error(
        "a statement took longer, or more steps, than one may; ask for less (fewer people, a \
         shorter period), or raise --statement-timeout or --statement-steps"
    )]
    TooCostly,
    /// A page cursor that this program did not make for this query.
    #[error("a page cursor of another query")]
    Cursor,
    /// A walk through pages that cannot go on, because the record kinds are others than when
    /// it began.
    #[error("the record kinds changed since the first page")]
    WalkEnded,
    /// Another program has the database open, or is replacing it.
    #[error(
        "{0}: in use by another program; end what uses the database (a server, an import) and \
         run the command again"
    )]
    InUse(PathBuf),
    /// The files of the database are no longer those that were opened.
    #[error(
        "{0}: the database, or its -wal or -shm, was moved, deleted or replaced while in use; put \
         the same file back, or start again with what stands there now"
    )]
    Moved(PathBuf),
    /// A file that is no database of this program.
    #[error("{0}: not a database of kenko-fhir; name another file, or one that is not there yet")]
    Foreign(PathBuf),
    /// A database that a newer version of the program has changed.
    #[error(
        "{database}: its schema is version {version}, and this program knows {known}; use the \
         version of kenko-fhir that wrote it, or a newer one"
    )]
    Newer {
        /// Which.
        database: String,
        /// The version of its schema.
        version: i64,
        /// The newest that is known.
        known: i64,
    },
    /// What is stored cannot be read back.
    #[error("stored data: {0}")]
    Damaged(String),
}

impl Error {
    /// Whether the server that keeps the database is away, or was when it was needed.
    pub fn is_away(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            Error::Database(error) => is_gone(error),
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
                use ErrorCode::{DatabaseBusy, DatabaseLocked, OperationInterrupted};
                matches!(code, DatabaseBusy | DatabaseLocked | OperationInterrupted)
            }),
            _ => false,
        }
    }

    /// Whether the disk, or what may be used of it, is full.
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            Error::File { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
            }
            Error::Reading(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Error::Database(error) | Error::Unreachable { source: error, .. } => is_full(error),
            Error::Migration(Execute(error) | ExecuteMigration(error, _)) => is_full(error),
            _ => false,
        }
    }

    /// Whether the files of the database are no longer those that were opened.
    pub fn is_moved(&self) -> bool {
        // SQLite notices it by itself where it has not begun to write.
        const SQLITE_READONLY_DBMOVED: u32 = 1032;
        match self {
            Error::Moved(_) => true,
            Error::Database(error) => sqlite_code(error) == Some(SQLITE_READONLY_DBMOVED),
            _ => false,
        }
    }

    /// Whether the database may be read only.
    pub fn is_read_only(&self) -> bool {
        const SQLITE_READONLY: u32 = 8;
        match self {
            Error::File { source, .. } => source.kind() == std::io::ErrorKind::ReadOnlyFilesystem,
            Error::Reading(error) => error.sqlite_error_code() == Some(ErrorCode::ReadOnly),
            Error::Database(error) => {
                has_state(error, "25006")
                    || sqlite_code(error).is_some_and(|code| code & 0xFF == SQLITE_READONLY)
            }
            _ => false,
        }
    }

    /// Whether SQLite met a fault of the disk.
    pub(super) fn is_io(&self) -> bool {
        const SQLITE_IOERR: u32 = 10;
        const SQLITE_CANTOPEN: u32 = 14;
        match self {
            Error::Database(error) => sqlite_code(error)
                .is_some_and(|code| matches!(code & 0xFF, SQLITE_IOERR | SQLITE_CANTOPEN)),
            Error::Reading(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
            ),
            _ => false,
        }
    }

    /// Message with its remedy, for the command line.
    pub fn message(&self, lang: Lang) -> String {
        if self.is_full() {
            return match lang {
                Lang::En => format!(
                    "{self}: no room is left for the database; free some on its disk (or raise \
                     the quota) and run the command again"
                ),
                Lang::Ja => format!(
                    "{self}: データベースを書き込む空き容量がありません。ディスクの空きを増やして\
                     （またはクォータを上げて）、コマンドをもう一度実行してください"
                ),
            };
        }
        match (self, lang) {
            (Error::TooCostly, Lang::Ja) => {
                "データベースの処理が、時間または処理量の上限に達しました。\
                 対象を絞り込む（人数を減らす、期間を短くする）か、--statement-timeout または \
                 --statement-steps の値を大きくしてください"
                    .to_owned()
            }
            (Error::InUse(path), Lang::Ja) => format!(
                "{}: ほかのプログラムが使用中です。データベースを使っているもの（サーバー、\
                 インポート）を終了してから、コマンドをもう一度実行してください",
                path.display()
            ),
            (Error::Moved(path), Lang::Ja) => format!(
                "{}: 使用中にデータベース（またはその -wal、-shm）が移動、削除、または置き換え\
                 られました。同じファイルを元に戻すか、今あるファイルで起動し直してください",
                path.display()
            ),
            (Error::Foreign(path), Lang::Ja) => format!(
                "{}: kenko-fhir のデータベースではありません。別のファイルか、まだ存在しない\
                 ファイルを指定してください",
                path.display()
            ),
            (
                Error::Newer {
                    database,
                    version,
                    known,
                },
                Lang::Ja,
            ) => format!(
                "{database}: スキーマのバージョン {version} は、このプログラムが扱える {known} \
                 より新しいものです。これを書き込んだ版以降の kenko-fhir を使用してください"
            ),
            _ => self.to_string(),
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
            // Somebody has to act.
            Some(DISK_FULL) => false,
            // Unique violation, cancelled, no lock, and a server that only reads, as one that
            // takes over does at first; classes 40 (rollback) and 53 (resources).
            Some(state) => {
                matches!(state, "23505" | "57014" | "55P03" | "25006")
                    || ["40", "53"].iter().any(|class| state.starts_with(class))
                    || (is_intervention(state) && state != PROTOCOL_VIOLATION)
            }
            // SQLITE_BUSY and SQLITE_LOCKED, whatever they say in the upper bits.
            None => code.parse().is_ok_and(|n: u32| matches!(n & 0xFF, 5 | 6)),
        }),
        other => is_gone(other),
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

/// Whether a server ended a statement before it was done.
pub(super) fn is_cancelled(error: &sqlx::Error) -> bool {
    has_state(error, "57014")
}

/// Whether a server has no more connections to give.
pub(super) fn is_refused(error: &sqlx::Error) -> bool {
    has_state(error, "53300")
}

/// Whether a server, or the way to it, went away. A connection on which client and server do not
/// understand each other ([`is_lost`]) is of no more use either, but a statement is to blame, one
/// of too many values say: it would fail again.
fn is_gone(error: &sqlx::Error) -> bool {
    is_lost(error)
        && !matches!(error, sqlx::Error::Protocol(_))
        && !has_state(error, PROTOCOL_VIOLATION)
}

/// PostgreSQL's `protocol_violation`.
const PROTOCOL_VIOLATION: &str = "08P01";

/// PostgreSQL's `disk_full`.
const DISK_FULL: &str = "53100";

fn is_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: u32 = 13;
    has_state(error, DISK_FULL) || sqlite_code(error).is_some_and(|code| code & 0xFF == SQLITE_FULL)
}

fn has_state(error: &sqlx::Error, state: &str) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == state)
}

/// The extended result code of SQLite.
fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    match sql_state(&code) {
        Some(_) => None,
        None => code.parse().ok(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_fails_is_no_loss_of_a_connection() {
        let of = |error| Error::Database(error);
        let wrong = [
            sqlx::Error::Protocol("too many arguments for query: 70000".into()),
            sqlx::Error::Encode("too long".into()),
            sqlx::Error::RowNotFound,
        ];
        for error in wrong.map(of) {
            assert!(!error.is_away() && !error.is_busy(), "{error}");
        }
        let gone = [
            sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
            sqlx::Error::WorkerCrashed,
        ];
        for error in gone.map(of) {
            assert!(error.is_away() && error.is_busy(), "{error}");
        }
    }
}
