//! The reading connections.
//!
//! A pool of our own, because sqlx's tests a connection whenever it comes back: that sends
//! every statement twice to the database's thread, which is most of what a read costs.
//! Statements run on it as on sqlx's pool. Connections are opened when they are needed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteQueryResult, SqliteRow, SqliteStatement,
    SqliteTypeInfo,
};
use sqlx::{Connection as _, Either, Error, Execute, Executor, SqlStr, Sqlite};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a statement waits for a connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that read, a few at most.
#[derive(Debug)]
pub struct Readers {
    options: SqliteConnectOptions,
    free: Semaphore,
    /// The last one that came back goes out first: its caches are warm.
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    /// At most `most` connections, of which one is opened now.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn open(options: SqliteConnectOptions, most: usize) -> Result<Readers, Error> {
        let first = SqliteConnection::connect_with(&options).await?;
        Ok(Readers {
            options,
            free: Semaphore::new(most),
            idle: Mutex::new(vec![first]),
        })
    }

    async fn acquire(&self) -> Result<Reader<'_>, Error> {
        let permit = match self.free.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(PATIENCE, self.free.acquire())
                .await
                .map_err(|_| Error::PoolTimedOut)?
                .map_err(|_| Error::PoolClosed)?,
        };
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        Ok(Reader {
            readers: self,
            connection: Some(connection),
            _permit: permit,
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connections; nothing is read any more.
    pub async fn close(&self) {
        self.free.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            let _ = connection.close().await;
        }
    }
}

/// A connection that is out; it comes back when this is dropped, whatever happened: the
/// database's thread finishes or gives up a statement whose reader is gone before it takes
/// the next one.
struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<SqliteConnection>,
    _permit: SemaphorePermit<'a>,
}

impl Reader<'_> {
    /// Runs statements on the connection; one whose thread has died does not come back.
    async fn run<T>(
        mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(connection) = &mut self.connection else {
            return Err(Error::WorkerCrashed);
        };
        let done = work(connection).await;
        if matches!(done, Err(Error::WorkerCrashed | Error::Io(_))) {
            self.connection = None;
        }
        done
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.readers.free.is_closed()
        {
            self.readers.idle().push(connection);
        }
    }
}

impl<'c> Executor<'c> for &'c Readers {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<SqliteQueryResult, SqliteRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        // Pages are bounded, so they are taken whole: the connection is free the sooner.
        let all = async move {
            let reader = self.acquire().await?;
            let rows: Vec<_> = reader
                .run(async |c| c.fetch_many(query).try_collect().await)
                .await?;
            Ok(stream::iter(rows.into_iter().map(Ok)))
        };
        all.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<SqliteRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        Box::pin(async move {
            let reader = self.acquire().await?;
            reader.run(async |c| c.fetch_optional(query).await).await
        })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<SqliteRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        Box::pin(async move {
            let reader = self.acquire().await?;
            reader.run(async |c| c.fetch_all(query).await).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let reader = self.acquire().await?;
            reader
                .run(async |c| c.prepare_with(sql, parameters).await)
                .await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Sqlite>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let reader = self.acquire().await?;
            reader.run(async |c| c.describe(sql).await).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn one_reader() -> (tempfile::TempDir, Readers) {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("a.db"))
            .create_if_missing(true);
        (dir, Readers::open(options, 1).await.unwrap())
    }

    async fn one(readers: &Readers) -> Result<i64, Error> {
        sqlx::query_scalar("SELECT 1").fetch_one(readers).await
    }

    #[tokio::test]
    async fn a_reader_that_is_given_up_serves_the_next() {
        let (_dir, readers) = one_reader().await;
        let long = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000) SELECT i FROM n";
        for _ in 0..3 {
            let rows = sqlx::query(long).fetch_all(&readers);
            let given_up = tokio::time::timeout(Duration::from_millis(2), rows).await;
            assert!(given_up.is_err());
            assert_eq!(one(&readers).await.unwrap(), 1);
        }
        assert!(
            sqlx::query("SELECT nothing")
                .execute(&readers)
                .await
                .is_err()
        );
        assert_eq!(one(&readers).await.unwrap(), 1);
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
