//! Readiness: whether a write would succeed now.
//!
//! A probe writes to the disk of the database and leaves nothing. That it succeeded holds for a
//! moment, and its verdict for all that ask meanwhile; while somebody else writes, the one
//! before stays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::db::query;
use super::{Error, Result, Store, Writer};

/// How long it holds that writes work.
const FRESH: Duration = Duration::from_millis(100);

type Verdict = std::result::Result<(), Arc<Error>>;

/// The last verdict, and when it was found.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Verdict)>>);

impl Store {
    /// Whether a write would succeed now, by an answer within
    /// [`Options::connect_timeout`](super::Options::connect_timeout); not being told while others write is no failure.
    ///
    /// # Errors
    /// Why it would not.
    pub async fn ready(&self) -> Verdict {
        // Whoever asks meanwhile waits for the same answer.
        let mut last = self.readiness.0.lock().await;
        if let Some((at, Ok(()))) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(());
        }
        let probed = tokio::time::timeout(self.options.connect_timeout, self.probe()).await;
        let silent = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
        let probed = probed.unwrap_or_else(|_| silent());
        let verdict = match probed {
            Ok(Some(())) => Ok(()),
            Err(error) => Err(Arc::new(error)),
            Ok(None) => match &*last {
                Some((_, before)) => before.clone(),
                None => Ok(()),
            },
        };
        *last = Some((Instant::now(), verdict.clone()));
        verdict
    }

    /// Forgets the last verdict: the connections are closed.
    pub(super) fn unready(&self) {
        if let Ok(mut last) = self.readiness.0.try_lock() {
            *last = None;
        }
    }

    async fn probe(&self) -> Result<Option<()>> {
        // The mappings of this program are those that the database is used with.
        let revision = query("SELECT kinds FROM revision WHERE id = 1");
        let revision = revision.fetch_one(&self.read).await?.try_get(0)?;
        self.layout.check(&self.read, revision).await?;
        match &self.write {
            Writer::Sqlite(writer) => writer.probe().await,
            Writer::Postgres(writer) => {
                // The last one got no answer, or not the right to write.
                if writer.is_failing() {
                    writer.begin().await?.rollback().await?;
                }
                writer.probe().await
            }
        }
    }
}
