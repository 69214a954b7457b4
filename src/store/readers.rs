//! The reading connections.
//!
//! A pool of our own, because sqlx's tests a connection whenever it comes back: that sends
//! every statement twice to SQLite's thread, which is most of what a read costs, and twice
//! over the wire to PostgreSQL. Connections are opened when they are needed, and one that
//! was lost takes those that wait with it: they lead to the same server. A connection whose
//! answer does not come in time is lost.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::{Connection, Error};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::is_lost;
use super::options::{Options, deadline, within};
use super::postgres::TO_CLOSE;
use crate::metrics;

/// A connection that was idle for longer is asked whether it still stands.
const TRUSTED: Duration = Duration::from_secs(1);

/// Connections that read, a few at most.
#[derive(Debug)]
pub struct Readers<C: Connection> {
    options: C::Options,
    free: Semaphore,
    /// The last one that came back goes out first: its caches are warm.
    idle: Mutex<Vec<(C, Instant)>>,
    limits: Options,
}

/// Opens a connection, or says in time that it cannot.
pub(super) async fn connect<C: Connection>(
    options: &C::Options,
    timeout: Duration,
) -> Result<C, Error> {
    within(timeout, C::connect_with(options)).await
}

impl<C: Connection> Readers<C> {
    /// At most `most` connections to a server, of which one is opened now.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn open(options: C::Options, most: usize, limits: Options) -> Result<Self, Error> {
        let first = connect(&options, limits.connect_timeout).await?;
        Ok(Readers {
            options,
            free: Semaphore::new(most),
            idle: Mutex::new(vec![(first, Instant::now())]),
            limits,
        })
    }

    /// Runs statements on a connection.
    ///
    /// # Errors
    /// Theirs; where no connection is free in time, [`Error::PoolTimedOut`]; where no answer
    /// comes, [`Error::Io`].
    pub async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut C) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut connection, permit) = self.acquire().await?;
        // It comes back only when the work is done: whoever is given up in the middle
        // leaves a connection that others would have to wait for.
        let limit = deadline(self.limits.statement_timeout);
        let done = within(limit, work(&mut connection)).await;
        match &done {
            Err(error) if is_lost(error) => self.idle().clear(),
            _ if self.free.is_closed() => {}
            _ => self.idle().push((connection, Instant::now())),
        }
        drop(permit);
        done
    }

    async fn acquire(&self) -> Result<(C, SemaphorePermit<'_>), Error> {
        let permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let _waits = metrics::Wait::pool();
                tokio::time::timeout(self.limits.queue_timeout, self.free.acquire())
                    .await
                    .map_err(|_| Error::PoolTimedOut)?
                    .map_err(|_| Error::PoolClosed)?
            }
        };
        let idle = self.idle().pop();
        if let Some((mut connection, since)) = idle {
            if since.elapsed() < TRUSTED || stands(&mut connection).await {
                return Ok((connection, permit));
            }
            self.idle().clear();
        }
        let connection = connect(&self.options, self.limits.connect_timeout).await?;
        Ok((connection, permit))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(C, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connections; nothing is read any more.
    pub async fn close(&self) {
        self.free.close();
        let idle = std::mem::take(&mut *self.idle());
        let all = idle.into_iter().map(|(connection, _)| connection.close());
        let _ = tokio::time::timeout(TO_CLOSE, join_all(all)).await;
    }
}

async fn stands(connection: &mut impl Connection) -> bool {
    let answer = tokio::time::timeout(TRUSTED, connection.ping()).await;
    matches!(answer, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

    use super::*;

    async fn one_reader() -> (tempfile::TempDir, Readers<SqliteConnection>) {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("a.db"))
            .create_if_missing(true);
        (
            dir,
            Readers::open(options, 1, Options::default()).await.unwrap(),
        )
    }

    async fn one(readers: &Readers<SqliteConnection>) -> Result<i64, Error> {
        let query = sqlx::query_scalar("SELECT 1");
        readers.run(async |c| query.fetch_one(c).await).await
    }

    #[tokio::test]
    async fn a_reader_that_is_given_up_holds_up_nobody() {
        let (_dir, readers) = one_reader().await;
        let long = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000) SELECT i FROM n";
        for _ in 0..3 {
            let rows = readers.run(async |c| sqlx::query(long).fetch_all(c).await);
            let given_up = tokio::time::timeout(Duration::from_millis(2), rows).await;
            assert!(given_up.is_err());
            assert_eq!(one(&readers).await.unwrap(), 1);
        }
        let wrong = readers.run(async |c| sqlx::query("SELECT nothing").execute(c).await);
        assert!(wrong.await.is_err());
        assert_eq!(one(&readers).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_lost_connection_takes_the_idle_ones_with_it() {
        let (_dir, readers) = one_reader().await;
        let lost = Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let done = readers.run(async |_| Err::<(), _>(lost)).await;
        assert!(done.is_err());
        assert!(readers.idle().is_empty());
        assert_eq!(one(&readers).await.unwrap(), 1);
        assert_eq!(readers.idle().len(), 1);
    }

    #[tokio::test]
    async fn many_wait_for_one_and_none_after_the_end() {
        let (_dir, readers) = one_reader().await;
        let all = (0..50).map(|_| one(&readers));
        let all = futures_util::future::join_all(all).await;
        assert!(all.into_iter().all(|n| matches!(n, Ok(1))));
        readers.close().await;
        assert!(matches!(one(&readers).await, Err(Error::PoolClosed)));
    }
}
