//! update, conditional or not (<https://hl7.org/fhir/R4/http.html#update>).

use axum::response::Response;

use super::call::Call;
use super::condition::Precondition;
use super::requests::{Ask, Request, Target, other_id};
use super::written;
use crate::fhir::resource::Resource;
use crate::http::body::Body;
use crate::http::error::Result;

/// Replaces the resource that the address names, or creates it.
pub async fn update(
    resource: &'static Resource,
    call: &Call,
    target: Target,
    body: Body,
) -> Result<Response> {
    let precondition = Precondition::of(&call.headers)?;
    let (head, taken) = written::read(resource, call, body).await?;
    if let Target::Id(id) = &target
        && head.id.as_ref() != Some(id)
    {
        return Err(other_id(id));
    }
    let request = Request {
        resource,
        ask: Ask::Update {
            target,
            precondition,
        },
        head,
        full_url: String::new(),
    };
    let answer = written::perform(call, request, taken).await?;
    written::respond(call, answer).await
}
