//! Bodies of requests: received as a whole, decompressed, limited, then parsed.
//!
//! A body is received into a [`spool`] before a parser begins, so that a slow sender holds neither
//! a thread nor memory. A parser then runs on a blocking thread when the [`places`] let it: within
//! the memory budget of all, and small bodies apart from large ones. It stops with its client.

mod pace;
mod places;
mod spool;

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use flate2::read::MultiGzDecoder;

use pace::{Pace, Silent};
use places::SMALL;
use spool::{IN_MEMORY, Spool};

use super::App;
use super::error::{Kind, Problem, Result};
use crate::fault::{Code, Fault, Place};
use crate::json;

pub use places::{Limits, Part, Peer, Places, Reservation, SharedReservation};

/// The body of a request, not read yet.
pub struct Body {
    body: HttpBody,
    gzip: bool,
    limit: u64,
    pace: Pace,
    places: Places,
    peer: Option<Peer>,
    is_part: bool,
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
        let extensions = request.extensions();
        Ok(Body {
            gzip,
            limit,
            pace: Pace::new(app.settings().body_rate, app.settings().body_grace),
            places: app.places().clone(),
            peer: extensions.get::<Peer>().copied(),
            is_part: extensions.get::<Part>().is_some(),
            body: request.into_body(),
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

    /// Runs a parser over the body, whose length in bytes it is told, on a blocking thread. The
    /// [`Reservation`] is to be kept until the request is answered.
    ///
    /// # Errors
    /// 400, 408, 413 where the body does not come as it should; 429 and 503 where too many bodies
    /// are open or need memory; 507 where the folder for temporary files is full.
    pub async fn parse<T, F>(self, parser: F) -> Result<(T, Reservation)>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read, u64) -> T + Send + 'static,
    {
        let Body {
            mut body,
            gzip,
            limit,
            mut pace,
            places,
            peer,
            is_part,
        } = self;
        let mut reservation = Reservation::new();
        let mut spool = Spool::new(places.room().clone());
        while let Some(block) = next_block(&mut body, &mut pace).await? {
            let length = spool.len() + block.len() as u64;
            if length > limit {
                return Err(too_large(limit));
            }
            if length > SMALL && !is_part {
                places.open(peer, &mut reservation).await?;
            }
            (spool, reservation) = write(spool, reservation, block).await?;
        }
        if gzip {
            (spool, reservation) = inflate(spool, limit, &places, (peer, reservation)).await?;
        }
        let length = spool.len();
        if length > SMALL && !is_part {
            places.open(peer, &mut reservation).await?;
            places.reserve(&mut reservation, length).await?;
        }
        let turn = places.parse(length).await?;
        let given_up = GivenUp::default();
        let flag = given_up.0.clone();
        let span = tracing::Span::current();
        let parse = tokio::task::spawn_blocking(move || {
            let _in_span = span.enter();
            // Both are held for as long as the thread works, whether its client is there or not.
            let (_turn, reservation) = (turn, reservation);
            let source = spool
                .into_reader()
                .map_err(|error| unspooled(error.into()))?;
            let parsed = parser(&mut Cancellable { source, flag }, length);
            Ok((parsed, reservation))
        });
        parse.await?
    }

    /// The whole body, for what is small.
    ///
    /// # Errors
    /// As [`Body::parse`].
    pub async fn bytes(self) -> Result<(Vec<u8>, Reservation)> {
        let read = |source: &mut dyn Read, _| {
            let mut out = Vec::new();
            source.read_to_end(&mut out).map(|_| out)
        };
        let (bytes, reservation) = self.parse(read).await?;
        Ok((bytes.map_err(|error| unreadable(&error))?, reservation))
    }
}

/// Faults that are listed of a body of so many bytes, of `max` at most: their memory is then no
/// more than a few times that of the body. A record takes more bytes than such a share.
pub fn faults_max(max: usize, length: u64) -> usize {
    max.min(1000 + length as usize / 64)
}

/// The next bytes of a body; `None` at its end.
async fn next_block(body: &mut HttpBody, pace: &mut Pace) -> Result<Option<Bytes>> {
    loop {
        let frame = pace.frame(body).await;
        let frame = frame.map_err(|Silent| Problem::new(Kind::SlowSender))?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let frame = frame.map_err(|error| {
            tracing::debug!(error = %error, source = ?error.source(), "body");
            broken("the whole body")
        })?;
        if let Ok(block) = frame.into_data() {
            return Ok(Some(block));
        }
    }
}

/// Adds bytes to a buffer, on a blocking thread where they go to its file: a file is there for as
/// long as its reservation.
async fn write(
    mut spool: Spool,
    reservation: Reservation,
    block: Bytes,
) -> Result<(Spool, Reservation)> {
    if !spool.blocks(block.len()) {
        spool.write(&block).map_err(unspooled)?;
        return Ok((spool, reservation));
    }
    let written = move || spool.write(&block).map(|()| (spool, reservation));
    tokio::task::spawn_blocking(written)
        .await?
        .map_err(unspooled)
}

/// Decompresses a body. One that turns out to be large waits for its turn among the large ones.
async fn inflate(
    compressed: Spool,
    limit: u64,
    places: &Places,
    (peer, mut reservation): (Option<Peer>, Reservation),
) -> Result<(Spool, Reservation)> {
    let spool = Spool::new(places.room().clone());
    let source = compressed
        .into_reader()
        .map_err(|error| unspooled(error.into()))?;
    let mut inflating = Inflating {
        source: MultiGzDecoder::new(source),
        spool,
        limit,
    };
    let mut ended = false;
    for part in [IN_MEMORY as u64, limit] {
        if !ended {
            if part > IN_MEMORY as u64 {
                // A file of its own takes a place, as that of a body that comes so large.
                places.open(peer, &mut reservation).await?;
            }
            let turn = places.parse(part).await?;
            (inflating, ended) = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                inflating.until(part)
            })
            .await??;
        }
    }
    Ok((inflating.spool, reservation))
}

struct Inflating {
    source: MultiGzDecoder<spool::Reader>,
    spool: Spool,
    limit: u64,
}

impl Inflating {
    /// Goes on until so many bytes or more came out, or there are no more (true).
    fn until(mut self, length: u64) -> Result<(Inflating, bool)> {
        let mut block = vec![0; 64 << 10];
        loop {
            let n = self.source.read(&mut block);
            let n = n.map_err(|_| broken("gzip data as Content-Encoding says"))?;
            if n == 0 {
                return Ok((self, true));
            }
            if self.spool.len() + n as u64 > self.limit {
                return Err(too_large(self.limit));
            }
            self.spool.write(&block[..n]).map_err(unspooled)?;
            if self.spool.len() >= length {
                return Ok((self, false));
            }
        }
    }
}

/// Tells the parser, when it is dropped, that nobody waits for what it gives.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A reader that fails when the request was given up.
struct Cancellable {
    source: spool::Reader,
    flag: Arc<AtomicBool>,
}

impl Read for Cancellable {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.flag.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the client is gone")),
            false => self.source.read(buf),
        }
    }
}

fn broken(expected: &'static str) -> Problem {
    let fault = Fault::new(Code::Json, "", Place::default()).expected(expected);
    Problem::faults(Kind::Malformed, vec![fault])
}

fn unspooled(error: spool::Error) -> Problem {
    match error {
        spool::Error::Full => Problem::new(Kind::Unavailable).detail(
            "the bodies that are being received fill the room for them (--spool-limit); send this one again later",
            "受信中の本文が一時領域の上限（--spool-limit）に達しています。後で送り直してください",
        ),
        spool::Error::File(error) if error.kind() == io::ErrorKind::StorageFull => {
            Problem::new(Kind::StorageFull)
                .detail(
                    "the folder for temporary files (TMPDIR) is full; nothing was stored",
                    "一時ファイル用フォルダー（TMPDIR）の空きがありません。何も保存していません",
                )
                .because(error)
        }
        spool::Error::File(error) => Problem::internal(error),
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::new(Kind::TooLarge).detail(
        format!("the body is larger than {limit} bytes (counted after decompression)"),
        format!("本文が {limit} バイト（展開後）を超えています"),
    )
}

/// A parser's failure to read the body: 400 with a `json` fault.
pub fn unreadable(_: &io::Error) -> Problem {
    Problem::faults(
        Kind::Malformed,
        vec![Fault::new(Code::Json, "", Place::default())],
    )
}

impl From<json::Error> for Problem {
    /// The problem of a text that is not JSON: 400 with one `json` fault that tells the place.
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
