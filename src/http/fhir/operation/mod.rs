//! Operations (<https://hl7.org/fhir/R4/operations.html>): one file each, routed by the
//! table ([`OPERATIONS`]).

mod everything;
mod lastn;
mod matching;
mod meta;
mod stats;
mod validate;

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use serde_json::{Value, json};

use super::call::Call;
use super::entries;
use super::{to_exchange, to_fhir};
use crate::fault::{Code as FaultCode, Fault};
use crate::fhir::check::check_view;
use crate::fhir::operation::{Code, OPERATIONS, Operation, Place, Takes};
use crate::fhir::outcome::outcome;
use crate::fhir::parameters::Arguments;
use crate::fhir::search::form;
use crate::http::App;
use crate::http::body::Body;
use crate::http::error::{Kind, Problem, Result};
use crate::http::negotiate::{self, FHIR_JSON, JSON, TEXT_JSON};
use crate::json::{Event, Reader};
use crate::tape::Tape;

/// The addresses of all operations, and what answers there.
pub fn routes() -> Vec<(String, MethodRouter<App>)> {
    let mut out = Vec::new();
    for operation in OPERATIONS {
        for place in operation.places() {
            out.push((place.path(operation), route(operation, place)));
        }
    }
    out
}

fn route(operation: &'static Operation, place: Place) -> MethodRouter<App> {
    match operation.code {
        Code::ToFhir => return post(to_fhir::to_fhir),
        Code::ToExchange => return post(to_exchange::to_exchange),
        _ => {}
    }
    let by_post = post(
        move |path: Option<Path<String>>, call: Call, body: Body| async move {
            let called = Called::new(operation, place, path);
            let arguments = by_post(operation, &call, body).await?;
            called.run(call, arguments).await
        },
    );
    if !operation.by_get() {
        return by_post;
    }
    by_post.merge(get(
        move |path: Option<Path<String>>, call: Call| async move {
            let called = Called::new(operation, place, path);
            let arguments = Arguments::read(operation, &form::pairs(&call.query)?, None)?;
            called.run(call, arguments).await
        },
    ))
}

/// What was called, and where.
struct Called {
    operation: &'static Operation,
    place: Place,
    /// The logical id, at an instance.
    id: String,
}

impl Called {
    fn new(operation: &'static Operation, place: Place, path: Option<Path<String>>) -> Called {
        Called {
            operation,
            place,
            id: path.map(|Path(id)| id).unwrap_or_default(),
        }
    }

    async fn run(self, call: Call, arguments: Arguments) -> Result<Response> {
        if let (Some(ignored), true) = (arguments.ignored.first(), call.is_strict()) {
            let name = crate::fault::shorten(&ignored.name);
            return Err(Problem::new(Kind::Parameter)
                .issue_type("not-supported")
                .detail(
                    format!("{name} {}", ignored.en),
                    format!("{name}: {}", ignored.ja),
                ));
        }
        match (self.operation.code, self.place) {
            (Code::Everything, Place::Instance(patient)) => {
                everything::everything(&call, patient, &self.id, &arguments).await
            }
            (Code::LastN, Place::Type(observation)) => {
                lastn::lastn(&call, observation, arguments).await
            }
            (Code::Match, Place::Type(patient)) => {
                matching::matching(&call, patient, &arguments).await
            }
            (Code::Meta, place) => meta::meta(&call, place, &self.id, &arguments).await,
            (Code::Stats, Place::Type(observation)) => {
                stats::stats(&call, observation, &arguments).await
            }
            (Code::Validate, place) => validate::validate(&call, place, &self.id, &arguments).await,
            // The table has no such place.
            _ => Err(Problem::new(Kind::NotFound)),
        }
    }
}

/// What was passed over, as a parameter of an answer.
fn told(call: &Call, arguments: &Arguments) -> Option<Value> {
    let issues = entries::ignored(&arguments.ignored, call.lang);
    if issues.is_empty() {
        return None;
    }
    let told = outcome(&issues, &call.app.kinds().canonical, call.lang);
    Some(json!({ "name": "outcome", "resource": told }))
}

/// Bytes of the body of an operation at most.
const BODY_MAX: u64 = 8 << 20;

/// What a call by POST is given.
async fn by_post(operation: &Operation, call: &Call, body: Body) -> Result<Arguments> {
    let pairs = form::pairs(&call.query)?;
    let bytes = call.bytes(body.limit(BODY_MAX)).await?;
    if bytes.is_empty() {
        return Ok(Arguments::read(operation, &pairs, None)?);
    }
    negotiate::content_type(&call.headers, &[FHIR_JSON, JSON, TEXT_JSON])?;
    let resource = resource(&bytes)?;
    // What is to be validated may be wrong; everything else has the structure of R4.
    if operation.takes != Takes::Resource {
        structure(&bytes)?;
    }
    Ok(Arguments::read(operation, &pairs, Some(resource))?)
}

/// A body as a resource: JSON, each key once.
fn resource(bytes: &[u8]) -> Result<Value> {
    let tape = tape(bytes)?;
    if let Some(again) = tape.repeated().next() {
        let fault = Fault::new(FaultCode::DuplicateKey, "", again.place());
        return Err(Problem::faults(Kind::Malformed, vec![fault]));
    }
    serde_json::from_slice(bytes).map_err(Problem::internal)
}

fn tape(bytes: &[u8]) -> Result<Tape> {
    let mut reader = Reader::new(bytes);
    let mut tape = Tape::new();
    let first = reader.next()?;
    tape.read(&mut reader, first, usize::MAX)?;
    match reader.next()? {
        Event::End => Ok(tape),
        _ => Err(Problem::faults(
            Kind::Malformed,
            vec![Fault::new(FaultCode::Json, "", reader.place())],
        )),
    }
}

/// Refuses what has not the structure of R4.
fn structure(bytes: &[u8]) -> Result<()> {
    let tape = tape(bytes)?;
    let Some(root) = tape.root() else {
        return Ok(());
    };
    check_view(root).map_err(|misfit| {
        let place = root.at(misfit.node).place();
        let fault = Fault::new(misfit.code, misfit.path, place)
            .expected(misfit.expected)
            .found(&misfit.found);
        Problem::faults(Kind::Malformed, vec![fault])
    })
}
