//! Bodies of the requests and answers of a connection.
//!
//! An answer may come before the body of its request was read (404, 405, 415, …). A client that
//! keeps its connections in a pool would then find one closed at random. So the rest of a body is
//! read where it is short, and else the answer says `Connection: close`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::body::SharedReservation;
use super::connection::{Connection, Phase};

/// Bytes of a body that are read for nothing at most.
const DRAINED: u64 = 64 << 10;
/// How long that may take.
const DRAINING: Duration = Duration::from_secs(1);

/// The body of a request, which comes back when its handler drops it unread.
pub struct Received {
    body: Option<Incoming>,
    polled: bool,
    rest: Rest,
}

/// The body that a handler left, and whether it had begun to read it.
#[derive(Clone, Default)]
pub struct Rest(Arc<Mutex<Option<(Incoming, bool)>>>);

impl Received {
    /// A body, and the place for its rest.
    pub fn new(body: Incoming) -> (Received, Rest) {
        let rest = Rest::default();
        let received = Received {
            body: Some(body),
            polled: false,
            rest: rest.clone(),
        };
        (received, rest)
    }
}

impl Rest {
    /// Reads a body to its end that was left unread. False where that would take too long: the
    /// connection serves no further request then. A client that waits for `100 Continue` before it
    /// sends (`expects`) is not told to send.
    pub async fn drain(&self, expects: bool) -> bool {
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut body, polled)) = rest else {
            return true;
        };
        if (expects && !polled) || body.size_hint().lower() > DRAINED {
            return false;
        }
        let drained = tokio::time::timeout(DRAINING, async {
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if read > DRAINED {
                    return false;
                }
            }
            true
        });
        drained.await.unwrap_or(false)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            let mut rest = self.rest.0.lock().unwrap_or_else(PoisonError::into_inner);
            *rest = Some((body, self.polled));
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.polled = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer; with its end the connection is idle.
pub struct Sent {
    body: HttpBody,
    connection: Arc<Connection>,
    /// Of the body of the request: the answer is made of what it counts.
    _reservation: Option<SharedReservation>,
}

impl Sent {
    /// The body of an answer of this connection.
    pub fn new(
        body: HttpBody,
        connection: Arc<Connection>,
        reservation: Option<SharedReservation>,
    ) -> Sent {
        Sent {
            body,
            connection,
            _reservation: reservation,
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.connection.enter(Phase::Idle);
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
