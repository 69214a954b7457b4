//! Long answers, written while they are read: bounded, with back-pressure.

use std::future::Future;
use std::io;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::error::{Problem, Result};

/// Bytes that make a block worth sending.
const BLOCK: usize = 64 << 10;

/// The end of a long answer that its writer holds.
pub struct Out {
    sender: mpsc::Sender<Result<Bytes>>,
    buf: Vec<u8>,
}

/// Why a writer stops early: nobody reads any more, or its source failed.
#[derive(Debug)]
pub enum Stop {
    /// The client is gone.
    Gone,
    /// What the answer is made from failed. Before the first block it is the answer; after it
    /// the connection is cut, so that nobody takes a part for the whole.
    Failed(Problem),
}

impl<E: Into<Problem>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Failed(error.into())
    }
}

impl Out {
    /// The bytes to be sent; to be written to.
    pub fn buf(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Sends what was written once it is worth it; waits while the client is slow.
    ///
    /// # Errors
    /// [`Stop::Gone`].
    pub async fn flow(&mut self) -> std::result::Result<(), Stop> {
        if self.buf.len() >= BLOCK {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> std::result::Result<(), Stop> {
        if self.buf.is_empty() {
            return Ok(());
        }
        let block = Bytes::from(std::mem::take(&mut self.buf));
        self.sender.send(Ok(block)).await.map_err(|_| Stop::Gone)
    }
}

/// A body that `write` writes, in a task of its own. It comes once its first block is there.
///
/// # Errors
/// What failed before the first block.
pub async fn body<F, Fut>(write: F) -> Result<Body>
where
    F: FnOnce(Out) -> Fut,
    Fut: Future<Output = std::result::Result<Out, Stop>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(2);
    let writing = write(Out {
        sender: sender.clone(),
        buf: Vec::with_capacity(BLOCK),
    });
    let send = async move {
        // Nothing is read for a client that is gone.
        let written = tokio::select! {
            written = writing => written,
            () = sender.closed() => return,
        };
        let end = match written {
            Ok(mut out) => match out.flush().await {
                // An empty block says that this was all.
                Ok(()) => Ok(Bytes::new()),
                Err(_) => return,
            },
            Err(Stop::Failed(problem)) => Err(problem),
            Err(Stop::Gone) => return,
        };
        let _ = sender.send(end).await;
    };
    tokio::spawn(send.in_current_span());
    let first = match receiver.recv().await {
        Some(first) => first?,
        None => {
            return Err(Problem::internal(io::Error::other(
                "an answer without an end",
            )));
        }
    };
    if first.is_empty() {
        return Ok(Body::empty());
    }
    let state = (Some(first), receiver);
    let blocks = stream::try_unfold(state, async |(first, mut receiver)| {
        let next = match first {
            Some(block) => Some(Ok(block)),
            None => receiver.recv().await,
        };
        match next {
            Some(Ok(block)) if block.is_empty() => Ok(None),
            Some(Ok(block)) => Ok(Some((block, (None, receiver)))),
            Some(Err(problem)) => {
                problem.log();
                Err(io::Error::other("the answer ends early"))
            }
            None => Err(io::Error::other("the answer ends early")),
        }
    });
    Ok(Body::from_stream(blocks))
}
