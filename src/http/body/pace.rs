//! Time that the sender of a body has.

use std::time::{Duration, Instant};

use axum::body::{Body as HttpBody, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Frame;

/// Credit of a sender in time, which waiting uses up and bytes fill again.
pub struct Pace {
    /// Bytes that are worth a second.
    rate: u64,
    grace: Duration,
    credit: Duration,
}

/// Error of a sender that has used up its time.
pub struct Silent;

impl Pace {
    /// Pace of `rate` bytes per second, behind which a sender may lag by `grace`.
    pub fn new(rate: u64, grace: Duration) -> Pace {
        Pace {
            rate: rate.max(1),
            grace,
            credit: grace,
        }
    }

    /// The next frame of a body; `None` at its end.
    ///
    /// # Errors
    /// [`Silent`] where the frame does not come in time.
    pub async fn frame(
        &mut self,
        body: &mut HttpBody,
    ) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, Silent> {
        let start = Instant::now();
        let frame = tokio::time::timeout(self.credit, body.frame()).await;
        let frame = frame.map_err(|_| Silent)?;
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        let earned = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.credit = (self.credit.saturating_sub(start.elapsed()) + earned).min(self.grace);
        Ok(frame)
    }
}
