//! Lanes: places for statements that read, by how long they are at work.
//!
//! A statement begins in the first lane; at the limit of a lane it gives its place back and begins
//! again in the next one, whose places are others. So short statements only ever wait for
//! short ones, and the slow ones wait for each other.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics;

/// Places for statements that are at work for a time at most.
#[derive(Debug)]
pub struct Lane {
    places: Arc<Semaphore>,
    /// Longest time of a statement here.
    pub limit: Duration,
    queue_timeout: Duration,
}

impl Lane {
    /// So many places, for statements of `limit` at most; whoever finds none waits for
    /// `queue_timeout` at most.
    pub fn new(places: usize, limit: Duration, queue_timeout: Duration) -> Lane {
        Lane {
            places: Arc::new(Semaphore::new(places)),
            limit,
            queue_timeout,
        }
    }

    /// A place, behind those who wait for one already.
    ///
    /// # Errors
    /// [`Error::PoolTimedOut`] where none is free in time, [`Error::PoolClosed`] at the end.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waits = metrics::Wait::pool();
        let permit = self.places.clone().acquire_owned();
        Box::pin(tokio::time::timeout(self.queue_timeout, permit))
            .await
            .map_err(|_| Error::PoolTimedOut)?
            .map_err(|_| Error::PoolClosed)
    }

    /// Nobody enters any more.
    pub fn close(&self) {
        self.places.close();
    }

    /// Whether nobody enters any more.
    pub fn is_closed(&self) -> bool {
        self.places.is_closed()
    }
}
