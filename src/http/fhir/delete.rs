//! delete: a version of its own, after which reads answer 410
//! (<https://hl7.org/fhir/R4/http.html#delete>).

use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::call::Call;
use crate::fhir::id::ObservationKey;
use crate::http::error::{Kind, Problem, Result};
use crate::store::Deleted;

/// Deletes a record. What is absent or deleted already is no error.
pub async fn delete(call: &Call, id: &str) -> Result<Response> {
    let condition = if_match(&call.headers)?;
    let versions = match &condition {
        Some(Condition::Versions(versions)) => Some(versions.as_slice()),
        _ => None,
    };
    let done = match ObservationKey::decode(id) {
        Some(key) => {
            let (store, access) = (call.app.store(), call.app.access());
            store.delete(&access, &key, versions, None).await?
        }
        None => Deleted::Absent,
    };
    match done {
        Deleted::Now(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Deleted::Before | Deleted::Absent if condition.is_none() => {
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Deleted::Before | Deleted::Absent | Deleted::Otherwise => Err(failed()),
    }
}

/// What `If-Match` asks for.
enum Condition {
    /// `*`: that it is there.
    Present,
    /// That its current version is one of these.
    Versions(Vec<u32>),
}

fn if_match(headers: &HeaderMap) -> Result<Option<Condition>> {
    let mut versions = Vec::new();
    let mut any = false;
    for value in headers.get_all(IF_MATCH) {
        let text = value.to_str().map_err(|_| malformed())?;
        for tag in text.split(',').map(str::trim) {
            any = true;
            if tag == "*" {
                return Ok(Some(Condition::Present));
            }
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let opaque = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
            // A tag that is no version of ours is well-formed and matches nothing.
            versions.extend(opaque.ok_or_else(malformed)?.parse::<u32>());
        }
    }
    Ok(any.then_some(Condition::Versions(versions)))
}

fn malformed() -> Problem {
    Problem::new(Kind::Parameter).detail(
        "If-Match: an entity tag such as W/\"3\" is expected",
        "If-Match には W/\"3\" のようなエンティティタグを指定してください",
    )
}

fn failed() -> Problem {
    Problem::new(Kind::Precondition).detail(
        "If-Match: the current version is another one",
        "If-Match: 現在の版が異なります",
    )
}
