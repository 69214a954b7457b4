//! How long the store waits for a database, and how much of a disk it takes.

use std::time::Duration;

/// The client waits so much longer for an answer than the server works on it: a server that
/// answers says itself that the time is over, one that hangs says nothing.
const GRACE: Duration = Duration::from_secs(2);

/// Bounds of each wait for a database, of the work of a statement, and of its log. Work that takes longer fails with an error for
/// which [`Error::is_busy`](super::Error::is_busy) holds, and nothing of it is stored; a statement
/// that reads fails with [`Error::TooCostly`](super::Error::TooCostly).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// To connect to a server; also how long [`Store::ready`](super::Store::ready) waits.
    pub connect_timeout: Duration,
    /// A statement that reads, and every statement on a server.
    pub statement_timeout: Duration,
    /// Steps of SQLite's virtual machine of a statement that reads a file.
    pub statement_steps: u64,
    /// Time of a statement that reads after which it begins again among the slow ones.
    pub slow_after: Duration,
    /// Statements at a time that read and are not slow.
    pub readers: usize,
    /// Slow statements at a time.
    pub slow_readers: usize,
    /// The right to write while another process has it.
    pub lock_timeout: Duration,
    /// A transaction on a server in which no statement runs.
    pub idle_transaction_timeout: Duration,
    /// A free connection, behind others of this process that wait for one.
    pub queue_timeout: Duration,
    /// A statement that brings the schema up to date on a server: an index over all records.
    pub migration_timeout: Duration,
    /// Bytes of the write-ahead log of a SQLite file at which writes wait until it is emptied. One
    /// transaction may exceed it by what it writes.
    pub wal_limit: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            statement_steps: 10_000_000_000,
            slow_after: Duration::from_millis(200),
            readers: 8,
            slow_readers: 2,
            lock_timeout: Duration::from_secs(30),
            idle_transaction_timeout: Duration::from_secs(60),
            queue_timeout: Duration::from_secs(60),
            migration_timeout: Duration::from_secs(3600),
            wal_limit: 48 << 20,
        }
    }
}

/// The deadline of a client for what a server bounds by `timeout`.
pub(super) fn deadline(timeout: Duration) -> Duration {
    timeout.saturating_add(GRACE)
}

/// The work, or [`sqlx::Error::Io`] of a wait that took too long: its connection is in the middle
/// of an answer then and must not be used again.
///
/// # Errors
/// Those of the work.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
