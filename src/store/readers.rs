//! The reading connections of a server.
//!
//! A pool of our own, because sqlx's tests a connection whenever it comes back: that sends
//! every statement twice to SQLite's thread, which is most of what a read costs, and twice
//! over the wire to PostgreSQL. Connections are opened when they are needed, and one that
//! was lost takes those that wait with it: they lead to the same server. A connection whose
//! answer does not come in time is lost.
//!
//! A statement begins on a connection for short ones; ended by the server at the limit of those, it
//! begins again on one for slow statements. Where the server has no more connections to give,
//! those that are open are queued for.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::{Connection, Error};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::{is_cancelled, is_lost, is_refused};
use super::lanes::Lane;
use super::options::{Options, deadline, within};
use super::postgres::TO_CLOSE;
use crate::metrics;

/// A connection that was idle for longer is asked whether it still stands.
const TRUSTED: Duration = Duration::from_secs(1);
/// Pause before a server that had no more connections to give is asked for one again.
const RETRY: Duration = Duration::from_millis(500);
/// How long a statement may go on at the server after its connection was closed
/// (`client_connection_check_interval`).
pub(super) const UNNOTICED: Duration = Duration::from_secs(1);

/// Connections that read, a few at most.
#[derive(Debug)]
pub struct Readers<C: Connection> {
    short: Pool<C>,
    slow: Pool<C>,
}

/// Opens a connection, or says in time that it cannot.
pub(super) async fn connect<C: Connection>(
    options: &C::Options,
    timeout: Duration,
) -> Result<C, Error> {
    within(timeout, C::connect_with(options)).await
}

/// The same; where the server has no more connections to give, it is asked until
/// [`Options::queue_timeout`].
pub(super) async fn connect_queued<C: Connection>(
    options: &C::Options,
    limits: &Options,
) -> Result<C, Error> {
    let since = Instant::now();
    loop {
        match connect(options, limits.connect_timeout).await {
            Err(error) if is_refused(&error) && since.elapsed() < limits.queue_timeout => {
                tokio::time::sleep(RETRY).await;
            }
            connected => return connected,
        }
    }
}

impl<C: Connection> Readers<C> {
    /// Connections to a server, of which one for short and one for slow statements is opened now.
    /// The options are those of both, whose statements the server ends at the limits.
    ///
    /// # Errors
    /// Where they cannot be opened.
    pub async fn open(short: C::Options, slow: C::Options, limits: Options) -> Result<Self, Error> {
        let slow_after = limits.slow_after.min(limits.statement_timeout);
        Ok(Readers {
            short: Pool::open(short, limits.readers, slow_after, limits).await?,
            slow: Pool::open(slow, limits.slow_readers, limits.statement_timeout, limits).await?,
        })
    }

    /// Runs a statement that may be short; nothing where it is not, and [`Readers::slow`] is for it.
    ///
    /// # Errors
    /// Its own; where no connection is free in time, [`Error::PoolTimedOut`]; where no answer
    /// comes, [`Error::Io`].
    pub async fn short<T>(
        &self,
        work: impl AsyncFnOnce(&mut C) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.run(&self.short, &self.slow, work).await
    }

    /// Runs a statement that is slow.
    ///
    /// # Errors
    /// The same, and [`Error::TooCostly`](super::Error::TooCostly) at its limit.
    pub async fn slow<T>(
        &self,
        work: impl AsyncFnOnce(&mut C) -> Result<T, Error>,
    ) -> super::Result<T> {
        let done = self.run(&self.slow, &self.short, work).await?;
        done.ok_or(super::Error::TooCostly)
    }

    /// Answer of a statement; nothing where it was at work for as long as it may be here.
    async fn run<T>(
        &self,
        pool: &Pool<C>,
        other: &Pool<C>,
        work: impl AsyncFnOnce(&mut C) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let (connection, permit) = pool.acquire(other).await?;
        let mut lease = Lease {
            connection: Some(connection),
            permit: Some(permit),
        };
        let Some(connection) = &mut lease.connection else {
            return Err(Error::PoolClosed);
        };
        let since = Instant::now();
        let limit = deadline(pool.limits.statement_timeout);
        let done = within(limit, work(connection)).await;
        let elapsed = since.elapsed();
        let (connection, permit) = (lease.connection.take(), lease.permit.take());
        match &done {
            Err(error) if is_lost(error) => {
                self.short.idle().free.clear();
                self.slow.idle().free.clear();
            }
            _ => connection.into_iter().for_each(|c| pool.give(c)),
        }
        drop(permit);
        match done {
            Err(error) if is_cancelled(&error) && elapsed >= pool.lane.limit => Ok(None),
            done => done.map(Some),
        }
    }

    /// Ends the connections; nothing is read any more.
    pub async fn close(&self) {
        let mut idle = Vec::new();
        for pool in [&self.short, &self.slow] {
            pool.lane.close();
            let mut of = pool.idle();
            of.waiting.clear();
            idle.append(&mut of.free);
        }
        let all = idle.into_iter().map(|(connection, _)| connection.close());
        let _ = tokio::time::timeout(TO_CLOSE, join_all(all)).await;
    }
}

/// Connections of a lane.
#[derive(Debug)]
struct Pool<C: Connection> {
    options: C::Options,
    lane: Lane,
    idle: Mutex<Idle<C>>,
    limits: Options,
}

#[derive(Debug)]
struct Idle<C> {
    /// The last one that came back goes out first: its caches are warm.
    free: Vec<(C, Instant)>,
    /// Those that the server had no connection for, in the order in which they came.
    waiting: VecDeque<oneshot::Sender<C>>,
    /// When the server last had none.
    refused: Option<Instant>,
}

/// A connection at work. Dropped in the middle of that, the connection is closed, and its place is
/// free when the server has noticed: until then the statement goes on.
struct Lease<C> {
    connection: Option<C>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<C> Drop for Lease<C> {
    fn drop(&mut self) {
        self.connection = None;
        if let Some(permit) = self.permit.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tokio::time::sleep(UNNOTICED).await;
                drop(permit);
            });
        }
    }
}

impl<C: Connection> Pool<C> {
    async fn open(
        options: C::Options,
        places: usize,
        limit: Duration,
        limits: Options,
    ) -> Result<Pool<C>, Error> {
        let first = connect(&options, limits.connect_timeout).await?;
        let idle = Idle {
            free: vec![(first, Instant::now())],
            waiting: VecDeque::new(),
            refused: None,
        };
        Ok(Pool {
            options,
            lane: Lane::new(places, limit, limits.queue_timeout),
            idle: Mutex::new(idle),
            limits,
        })
    }

    async fn acquire(&self, other: &Pool<C>) -> Result<(C, OwnedSemaphorePermit), Error> {
        let permit = self.lane.enter().await?;
        let idle = self.idle().free.pop();
        if let Some((mut connection, since)) = idle {
            if since.elapsed() < TRUSTED || stands(&mut connection).await {
                return Ok((connection, permit));
            }
            self.idle().free.clear();
        }
        let refused = self.idle().refused;
        if refused.is_none_or(|at| at.elapsed() >= RETRY) {
            match connect(&self.options, self.limits.connect_timeout).await {
                Err(error) if is_refused(&error) => self.idle().refused = Some(Instant::now()),
                connected => return Ok((connected?, permit)),
            }
        }
        Ok((Box::pin(self.queue(other)).await?, permit))
    }

    /// A connection that comes back, or one that the server has again. One that is idle in the
    /// other lane is closed for it.
    async fn queue(&self, other: &Pool<C>) -> Result<C, Error> {
        let _waits = metrics::Wait::pool();
        let since = Instant::now();
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut idle = self.idle();
            // It may have come back in between.
            if let Some((connection, _)) = idle.free.pop() {
                return Ok(connection);
            }
            idle.waiting.push_back(sender);
        }
        loop {
            let spare = other.idle().free.pop();
            let pause = match spare {
                // The server takes a moment to see it gone.
                Some((spare, _)) => {
                    let _ = tokio::time::timeout(TO_CLOSE, spare.close()).await;
                    RETRY / 10
                }
                None => RETRY,
            };
            if let Ok(given) = tokio::time::timeout(pause, &mut receiver).await {
                return given.map_err(|_| Error::PoolClosed);
            }
            let connected = connect(&self.options, self.limits.connect_timeout).await;
            let waits = since.elapsed() < self.limits.queue_timeout;
            match connected {
                Err(error) if is_refused(&error) && waits => {
                    self.idle().refused = Some(Instant::now());
                }
                Err(error) if is_refused(&error) => return Err(Error::PoolTimedOut),
                connected => {
                    receiver.close();
                    match receiver.try_recv() {
                        // Two at once.
                        Ok(given) => self.give(given),
                        Err(_) => self.idle().refused = None,
                    }
                    return connected;
                }
            }
        }
    }

    /// Takes a connection back, for whoever waits for one.
    fn give(&self, mut connection: C) {
        if self.lane.is_closed() {
            return;
        }
        let mut idle = self.idle();
        while let Some(waiting) = idle.waiting.pop_front() {
            match waiting.send(connection) {
                Ok(()) => return,
                // Gone by now.
                Err(back) => connection = back,
            }
        }
        idle.free.push((connection, Instant::now()));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
        let limits = Options {
            readers: 1,
            slow_readers: 1,
            ..Options::default()
        };
        let readers = Readers::open(options.clone(), options, limits).await;
        (dir, readers.unwrap())
    }

    async fn one(readers: &Readers<SqliteConnection>) -> Result<i64, Error> {
        let query = sqlx::query_scalar("SELECT 1");
        let done = readers.short(async |c| query.fetch_one(c).await).await?;
        done.ok_or(Error::RowNotFound)
    }

    #[tokio::test]
    async fn a_reader_that_is_given_up_holds_up_nobody() {
        let (_dir, readers) = one_reader().await;
        let long = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000) SELECT i FROM n";
        for _ in 0..3 {
            let rows = readers.short(async |c| sqlx::query(long).fetch_all(c).await);
            let given_up = tokio::time::timeout(Duration::from_millis(2), rows).await;
            assert!(given_up.is_err());
            assert_eq!(one(&readers).await.unwrap(), 1);
        }
        let wrong = readers.short(async |c| sqlx::query("SELECT nothing").execute(c).await);
        assert!(wrong.await.is_err());
        assert_eq!(one(&readers).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_lost_connection_takes_the_idle_ones_with_it() {
        let (_dir, readers) = one_reader().await;
        let lost = Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let done = readers.short(async |_| Err::<(), _>(lost)).await;
        assert!(done.is_err());
        assert!(readers.short.idle().free.is_empty());
        assert!(readers.slow.idle().free.is_empty());
        assert_eq!(one(&readers).await.unwrap(), 1);
        assert_eq!(readers.short.idle().free.len(), 1);
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
