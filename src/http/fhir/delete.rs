//! delete, conditional or not: a version of its own, after which reads answer 410
//! (<https://hl7.org/fhir/R4/http.html#delete>).

use axum::response::Response;

use super::call::Call;
use super::condition::Precondition;
use super::requests::{Ask, Request, Target};
use super::written;
use crate::fhir::inbound::{Head, Options, Taken};
use crate::fhir::resource::Resource;
use crate::http::error::Result;

/// Deletes a resource. What is absent or deleted already is no error.
pub async fn delete(resource: &'static Resource, call: &Call, target: Target) -> Result<Response> {
    let precondition = Precondition::of(&call.headers)?;
    let request = Request {
        resource,
        ask: Ask::Delete {
            target,
            precondition,
        },
        head: Head::default(),
        full_url: String::new(),
    };
    let answer = written::perform(call, request, Taken::nothing(Options::default())).await?;
    written::respond(call, answer).await
}
