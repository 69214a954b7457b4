//! What the writing interactions have in common: the body in, one request, the answer out.

use std::io::Read;

use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, LOCATION, WARNING};
use axum::response::{IntoResponse, Response};

use super::call::{Call, Version, tell_version};
use super::read;
use super::requests::{Answer, Request, Requests};
use crate::fhir::inbound::{self, Head, Options, Taken, read_resource};
use crate::fhir::outcome::outcome;
use crate::fhir::resource::Resource;
use crate::http::body::Body;
use crate::http::error::{Kind, Problem, Result};
use crate::http::negotiate::{self, FHIR_JSON, JSON, TEXT_JSON};
use crate::http::prefer::{Prefer, Return};
use crate::store::Handling;

/// The media types of resources.
pub const TAKEN: [&str; 3] = [FHIR_JSON, JSON, TEXT_JSON];

/// How resources are read that are written here.
pub fn options() -> Options {
    Options {
        write: true,
        ..Options::default()
    }
}

/// The most that is told of one entry of a Bundle.
const ENTRY_FAULTS_MAX: usize = 20;

/// How the resources of a Bundle are read that is written here.
pub fn bundle_options() -> Options {
    Options {
        faults_max: ENTRY_FAULTS_MAX,
        ..options()
    }
}

/// Reads the resource of a body.
///
/// # Errors
/// 415 for another media type; 400 where it is no resource of the type of the address.
pub async fn read(resource: &'static Resource, call: &Call, body: Body) -> Result<(Head, Taken)> {
    negotiate::content_type(&call.headers, &TAKEN)?;
    let kinds = call.app.kinds().clone();
    let read = move |source: &mut dyn Read, _| read_resource(&kinds, options(), source);
    let (head, taken) = call.parse(body, read).await??;
    if head.resource_type != resource.name() {
        return Err(other_type(resource, &head.resource_type));
    }
    Ok((head, taken))
}

/// Reads a resource that is at hand.
///
/// # Errors
/// 400 where it is none.
pub async fn take(call: &Call, text: Vec<u8>) -> Result<(Head, Taken)> {
    let kinds = call.app.kinds().clone();
    let read = move || read_resource(&kinds, options(), &text[..]);
    Ok(tokio::task::spawn_blocking(read).await??)
}

/// The body is not what the address says.
pub fn other_type(resource: &Resource, found: &str) -> Problem {
    let (name, found) = (resource.name(), crate::fault::shorten(found));
    Problem::new(Kind::Malformed)
        .detail(
            format!("a {name} is expected here, found {found:?}"),
            format!("{name} が必要です（実際: {found}）"),
        )
        .at("Resource.resourceType")
}

/// Does one request.
///
/// # Errors
/// What is wrong with it.
pub async fn perform(call: &Call, request: Request, taken: Taken) -> Result<Answer> {
    let requests = Requests::new(call, vec![Some(request)], Handling::Strict);
    let performed = requests.perform(taken).await?;
    let answer = performed.answers.into_iter().next().flatten();
    answer.unwrap_or_else(|| Err(Problem::new(Kind::Internal)))
}

/// The answer to a write: what `Prefer: return` asks for, else the resource.
///
/// # Errors
/// 500 where it cannot be read back.
pub async fn respond(call: &Call, answer: Answer) -> Result<Response> {
    let Some(id) = &answer.id else {
        return Ok(answer.status.into_response());
    };
    let prefer = Prefer::of(&call.headers).answer;
    let body = prefer.unwrap_or(Return::Representation);
    let known = answer.number.zip(answer.at);
    let (version, text) = match (known, body) {
        (Some((number, updated_at)), Return::Minimal | Return::Outcome) => {
            (Version::new(number, updated_at), Vec::new())
        }
        _ => read::version(answer.resource, call, id, answer.number).await?,
    };
    let mut response = match body {
        Return::Minimal => answer.status.into_response(),
        Return::Representation => call.answer(answer.status, text)?,
        Return::Outcome => {
            let issues: Vec<_> = answer.notices.iter().map(|n| n.told(call.lang)).collect();
            let canonical = &call.app.kinds().canonical;
            call.answer_value(answer.status, &outcome(&issues, canonical, call.lang))?
        }
    };
    tell_version(&mut response, version);
    let headers = response.headers_mut();
    locate(headers, call, &answer, id, version);
    if body != Return::Outcome {
        warn(headers, &answer.notices);
    }
    Ok(response)
}

fn locate(headers: &mut HeaderMap, call: &Call, answer: &Answer, id: &str, version: Version) {
    let address = location(call, answer.resource, id, version);
    if let Ok(address) = HeaderValue::from_str(&address) {
        headers.insert(LOCATION, address);
    }
}

/// The address of a version.
pub fn location(call: &Call, resource: &Resource, id: &str, version: Version) -> String {
    let name = resource.name();
    format!("{}/{name}/{id}/_history/{}", call.base, version.number)
}

/// The most `Warning` headers of an answer.
const WARNINGS_MAX: usize = 20;

/// What there is to say beside a resource: an OperationOutcome tells the whole of it
/// (`Prefer: return=OperationOutcome`).
fn warn(headers: &mut HeaderMap, notices: &[inbound::Issue]) {
    for notice in notices.iter().take(WARNINGS_MAX) {
        let at = notice.expressions.join(", ");
        let text = format!("199 kenko-fhir \"{}: {at}\"", notice.fault.code);
        let plain = |c: char| c.is_ascii_graphic() || c == ' ';
        if text.chars().all(plain)
            && let Ok(value) = HeaderValue::from_str(&text)
        {
            headers.append(WARNING, value);
        }
    }
}
