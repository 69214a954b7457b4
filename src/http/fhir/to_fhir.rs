//! `$to-fhir`: a submission in, a `collection` Bundle out; nothing is stored.

use std::io::{self, Read, Write};
use std::sync::Arc;

use axum::body::{Body as HttpBody, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::mpsc;

use super::call::Call;
use crate::exchange::{self, Options, Submission};
use crate::fault::Fault;
use crate::fhir::bundle::{self, Shape};
use crate::http::body::{self, Body};
use crate::http::error::{Kind, Problem, Result};
use crate::http::negotiate::{self, FHIR_JSON, JSON, TEXT_JSON};
use crate::http::prefer::Prefer;
use crate::kind::Kinds;
use crate::registry::Registries;
use crate::store::Handling;

/// Bytes sent at a time.
const BLOCK: usize = 64 << 10;
/// Faults that an answer lists at most.
pub const FAULTS_MAX: usize = 10_000;
/// Records of a submission at most whose Bundle is laid out for people (`_pretty`).
const PRETTY_MAX: usize = 1000;

/// Converts a submission. As with a submission that is to be stored, one refused record
/// refuses it unless `Prefer: handling=lenient` leaves it out.
pub async fn to_fhir(call: Call, body: Body) -> Result<Response> {
    negotiate::content_type(&call.headers, &[JSON, TEXT_JSON, FHIR_JSON])?;
    let handling = Prefer::of(&call.headers).handling.unwrap_or_default();
    let lenient = handling == Handling::Lenient;
    let kinds = call.app.kinds().clone();
    let read = move |source: &mut dyn Read, length| {
        let options = Options {
            lenient,
            faults_max: body::faults_max(FAULTS_MAX, length),
            ..Options::default()
        };
        exchange::read(&kinds, options, source)
    };
    let submission = call.parse(body, read).await??;
    let good = submission.rows.iter().any(|row| !row.refused);
    let nothing = !good && submission.has_errors();
    if submission.broken || nothing || (!lenient && submission.has_errors()) {
        // Each refused record has a fault, beyond the limit of the others.
        let mut faults = submission.all_faults();
        let listed: Vec<Fault> = faults.by_ref().take(FAULTS_MAX).cloned().collect();
        let unlisted = submission.untold + faults.count() as u64;
        return Err(Problem::faults(Kind::Refused, listed).unlisted(unlisted));
    }
    let access = call.app.access();
    let registries = call.app.store().registries_of(&access, &submission).await?;
    if call.format.pretty && submission.rows.len() <= PRETTY_MAX {
        // For people to look at: small, and made at once.
        let mut out = Vec::new();
        let kinds = call.app.kinds();
        write(&mut out, kinds, &submission, &call.base, &registries).map_err(Problem::internal)?;
        return call.answer(StatusCode::OK, out);
    }
    let mut response = Response::new(streamed(&call, submission, registries));
    let media = HeaderValue::from_static(call.format.content_type);
    response.headers_mut().insert(CONTENT_TYPE, media);
    Ok(response)
}

fn write<W: Write>(
    out: W,
    kinds: &Kinds,
    submission: &Submission,
    base_url: &str,
    registries: &Registries,
) -> io::Result<W> {
    let options = bundle::Options {
        shape: Shape::Panel,
        edition: submission.edition,
        base_url,
        registries,
    };
    bundle::write_collection(out, kinds, submission, &options)
}

/// The Bundle is twenty times the submission: it is written while it is sent.
fn streamed(call: &Call, submission: Submission, registries: Registries) -> HttpBody {
    let (sender, receiver) = mpsc::channel(2);
    let kinds: Arc<Kinds> = call.app.kinds().clone();
    let base = call.base.clone();
    let reservation = call.reservation();
    tokio::task::spawn_blocking(move || {
        let _reservation = reservation;
        let mut out = Blocks {
            sender,
            block: Vec::with_capacity(BLOCK),
        };
        // A client that is gone needs no end; the missing end tells any other.
        if write(&mut out, &kinds, &submission, &base, &registries).is_ok() {
            let _ = out.end();
        }
    });
    let blocks = stream::try_unfold(receiver, async |mut receiver| match receiver.recv().await {
        // An empty block says that this was all.
        Some(block) if block.is_empty() => Ok(None),
        Some(block) => Ok(Some((block, receiver))),
        None => Err(io::Error::other("cut short")),
    });
    HttpBody::from_stream(blocks)
}

/// Sends what is written, block by block, and waits for a slow client.
struct Blocks {
    sender: mpsc::Sender<Bytes>,
    block: Vec<u8>,
}

impl Blocks {
    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let sent = self.sender.blocking_send(Bytes::from(full));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn end(mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.send()?;
        }
        self.send()
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(bytes);
        if self.block.len() >= BLOCK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
