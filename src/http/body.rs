//! Bodies as blocking readers for the parsers: streamed, decompressed, limited.
//!
//! A parser runs on a blocking thread and reads through a small channel that an async task
//! fills, so a body is never held whole. Three limits keep this small: the bytes of a body,
//! counted before and after decompression; the bodies that are open at once; and the parsers
//! that work at once, where one that waits for its sender does not count. So a slow sender
//! holds up nobody, and one that falls behind its rate is cut off.

use std::error::Error as _;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::App;
use super::error::{Kind, Problem, Result};
use crate::fault::{Code, Fault, Place};
use crate::json;
use crate::metrics;

/// Blocks of a body that wait for their parser.
const BLOCKS: usize = 4;
/// How long a request waits for its turn before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places for bodies: how many are open, how many are parsed at the same time.
#[derive(Debug, Clone)]
pub struct Places {
    open: Arc<Semaphore>,
    parsing: Arc<Semaphore>,
}

impl Places {
    /// Places for `open` bodies of which `parsing` are parsed at a time.
    pub fn new(open: usize, parsing: usize) -> Places {
        Places {
            open: Arc::new(Semaphore::new(open)),
            parsing: Arc::new(Semaphore::new(parsing)),
        }
    }
}

/// Why a body could not be read. It travels through the parser inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// More than the limit, after decompression.
    TooLarge(u64),
    /// Too little came in its time.
    Silent,
    /// The connection ended before the body did.
    CutOff,
    /// Not gzip, or damaged.
    Gzip,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::TooLarge(_) => "the body is too large",
            Broken::Silent => "the sender fell silent",
            Broken::CutOff => "the body ended early",
            Broken::Gzip => "the gzip data is broken",
        })
    }
}

impl std::error::Error for Broken {}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> io::Error {
        io::Error::other(broken)
    }
}

/// The body of a request, not read yet.
pub struct Body {
    body: HttpBody,
    gzip: bool,
    limit: u64,
    pace: Pace,
    places: Places,
}

impl FromRequest<App> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Body> {
        let gzip = is_gzip(request.headers())?;
        let limit = app.settings().body_limit;
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        Ok(Body {
            body: request.into_body(),
            gzip,
            limit,
            pace: Pace::new(app.settings().body_rate, app.settings().body_grace),
            places: app.places().clone(),
        })
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool> {
    let mut gzip = false;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in value.to_str().unwrap_or("?").split(',') {
            match coding.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if !gzip => gzip = true,
                _ => {
                    return Err(Problem::new(Kind::MediaType).detail(
                        "the only Content-Encoding read here is gzip, once",
                        "Content-Encoding は gzip（一回）のみ対応しています",
                    ));
                }
            }
        }
    }
    Ok(gzip)
}

impl Body {
    /// The same body with another limit, such as that of a single resource.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Body {
        self.limit = self.limit.min(limit);
        self
    }

    /// Runs a parser over the body on a blocking thread. What it gives must not depend on
    /// what follows the body: a parser that stops early has read enough.
    ///
    /// # Errors
    /// 503 where too many bodies are open. A parser that meets a failure of the body gives
    /// it back as [`io::Error`]; [`unreadable`] tells what it was.
    pub async fn parse<T, F>(self, parser: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read) -> T + Send + 'static,
    {
        let Places { open, parsing } = self.places;
        let waits = metrics::Wait::body();
        let _open = tokio::time::timeout(PATIENCE, open.acquire_owned())
            .await
            .ok()
            .and_then(std::result::Result::ok)
            .ok_or_else(|| Problem::new(Kind::Unavailable))?;
        drop(waits);
        let _present = metrics::Present::body();
        let (sender, receiver) = mpsc::channel(BLOCKS);
        let pump = pump(self.body, sender, self.pace, self.limit);
        let blocks = Blocks {
            receiver,
            block: Bytes::new(),
            parsing,
            permit: None,
            handle: Handle::current(),
        };
        let (gzip, limit) = (self.gzip, self.limit);
        let span = tracing::Span::current();
        let parse = tokio::task::spawn_blocking(move || {
            let _in_span = span.enter();
            if gzip {
                parser(&mut Limited::new(
                    Gunzip(MultiGzDecoder::new(blocks)),
                    limit,
                ))
            } else {
                parser(&mut Limited::new(blocks, limit))
            }
        });
        // The pump ends when the parser has what it wants, or this request is given up.
        let ((), parsed) = tokio::join!(pump, parse);
        Ok(parsed?)
    }

    /// The whole body, for what is small.
    ///
    /// # Errors
    /// 503, 413, 408, 400 as for [`Body::parse`] and [`unreadable`].
    pub async fn bytes(self) -> Result<Vec<u8>> {
        self.parse(|source| {
            let mut out = Vec::new();
            source.read_to_end(&mut out).map(|_| out)
        })
        .await?
        .map_err(|e| unreadable(&e))
    }
}

/// The time that a sender has: a credit, which waiting uses up and bytes fill again.
struct Pace {
    /// Bytes that are worth a second.
    rate: u64,
    grace: Duration,
    credit: Duration,
}

/// A sender has used up its time.
struct Silent;

impl Pace {
    fn new(rate: u64, grace: Duration) -> Pace {
        Pace {
            rate: rate.max(1),
            grace,
            credit: grace,
        }
    }

    /// The next frame of a body.
    async fn frame(
        &mut self,
        body: &mut HttpBody,
    ) -> std::result::Result<Option<std::result::Result<Frame<Bytes>, axum::Error>>, Silent> {
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

/// Feeds the parser until the body ends or the parser does.
async fn pump(
    mut body: HttpBody,
    sender: mpsc::Sender<io::Result<Bytes>>,
    mut pace: Pace,
    limit: u64,
) {
    let mut total = 0_u64;
    loop {
        let frame = tokio::select! {
            frame = pace.frame(&mut body) => frame,
            () = sender.closed() => return,
        };
        let block = match frame {
            Err(Silent) => Err(Broken::Silent.into()),
            Ok(None) => return,
            Ok(Some(Err(error))) => {
                tracing::debug!(error = %error, source = ?error.source(), "body");
                Err(Broken::CutOff.into())
            }
            Ok(Some(Ok(frame))) => {
                let Ok(block) = frame.into_data() else {
                    continue;
                };
                total += block.len() as u64;
                if total > limit {
                    Err(Broken::TooLarge(limit).into())
                } else {
                    Ok(block)
                }
            }
        };
        let ends = block.is_err();
        if sender.send(block).await.is_err() || ends {
            return;
        }
    }
}

/// The receiving end of the pump as a reader.
struct Blocks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    block: Bytes,
    parsing: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    handle: Handle,
}

impl Read for Blocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            let next = match self.receiver.try_recv() {
                Ok(next) => Some(next),
                // While it waits for its sender it makes room for others.
                Err(_) => {
                    self.permit = None;
                    self.receiver.blocking_recv()
                }
            };
            if self.permit.is_none() {
                let permit = self.handle.block_on(self.parsing.clone().acquire_owned());
                self.permit = permit.ok();
            }
            match next {
                Some(block) => self.block = block?,
                None => return Ok(0),
            }
        }
        let n = buf.len().min(self.block.len());
        buf[..n].copy_from_slice(&self.block.split_to(n));
        Ok(n)
    }
}

/// A gzip decoder whose own errors are told from those of the body.
struct Gunzip<R: Read>(MultiGzDecoder<R>);

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|error| {
            if broken(&error).is_some() {
                error
            } else {
                Broken::Gzip.into()
            }
        })
    }
}

/// A reader that fails beyond a number of bytes.
struct Limited<R> {
    source: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Limited<R> {
    fn new(source: R, limit: u64) -> Limited<R> {
        Limited {
            source,
            left: limit,
            limit,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buf)? as u64;
        if n > self.left {
            return Err(Broken::TooLarge(self.limit).into());
        }
        self.left -= n;
        Ok(n as usize)
    }
}

fn broken(error: &io::Error) -> Option<Broken> {
    error.get_ref()?.downcast_ref::<Broken>().copied()
}

fn too_large(limit: u64) -> Problem {
    Problem::new(Kind::TooLarge).detail(
        format!("the body is larger than {limit} bytes (counted after decompression)"),
        format!("本文が {limit} バイト（展開後）を超えています"),
    )
}

/// What a parser's failure to read the body is: 413, 408, or 400 with a `json` fault.
pub fn unreadable(error: &io::Error) -> Problem {
    match broken(error) {
        Some(Broken::TooLarge(limit)) => too_large(limit),
        Some(Broken::Silent) => Problem::new(Kind::SlowSender),
        Some(broken) => {
            let fault = Fault::new(Code::Json, "", Place::default()).expected(match broken {
                Broken::Gzip => "gzip data as Content-Encoding says",
                _ => "the whole body",
            });
            Problem::faults(Kind::Malformed, vec![fault])
        }
        None => Problem::faults(
            Kind::Malformed,
            vec![Fault::new(Code::Json, "", Place::default())],
        ),
    }
}

impl From<json::Error> for Problem {
    /// What is not JSON: 400 with one `json` fault that tells the place.
    fn from(error: json::Error) -> Problem {
        match error {
            json::Error::Io(error) => unreadable(&error),
            json::Error::Syntax { place, reason } => {
                let fault = Fault::syntax("", place, reason);
                Problem::faults(Kind::Malformed, vec![fault])
            }
        }
    }
}
