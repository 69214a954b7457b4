//! create (<https://hl7.org/fhir/R4/http.html#create>).

use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderValue};
use axum::response::Response;

use super::call::Call;
use super::condition::{self, Found};
use super::requests::{Answer, Ask, Request};
use super::written;
use crate::fhir::resource::Resource;
use crate::http::body::Body;
use crate::http::error::{Kind, Problem, Result};

/// Creates the resource of the body, unless `If-None-Exist` finds one.
pub async fn create(resource: &'static Resource, call: &Call, body: Body) -> Result<Response> {
    let if_none_exist = condition::if_none_exist(&call.headers)?;
    let (head, taken) = written::read(resource, call, body).await?;
    let request = Request {
        resource,
        ask: Ask::Create { if_none_exist },
        head,
        full_url: String::new(),
    };
    let answer = written::perform(call, request, taken).await?;
    written::respond(call, answer).await
}

/// A conditional create of what registries write: it answers with what it finds.
///
/// # Errors
/// 405 where it finds nothing, or has no condition; 412 where it finds several.
pub async fn find(resource: &'static Resource, call: &Call) -> Result<Response> {
    let Some(query) = condition::if_none_exist(&call.headers)? else {
        return Err(not_created(resource));
    };
    match condition::find(call, resource, &query).await? {
        Found::One(id) => written::respond(call, Answer::of(resource, StatusCode::OK, id)).await,
        Found::Several => Err(condition::several()),
        Found::None => Err(not_created(resource)),
    }
}

/// A type that is written by the registries alone.
pub fn not_created(resource: &Resource) -> Problem {
    let name = resource.name();
    Problem::new(Kind::Method)
        .detail(
            format!("{name} is written by the registries (/exchange/registries)"),
            format!("{name} はレジストリ（/exchange/registries）で登録してください"),
        )
        .header(ALLOW, HeaderValue::from_static("GET,HEAD"))
}
