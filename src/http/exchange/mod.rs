//! Everything under `/exchange`: the protocol side over HTTP.
//!
//! What is asked for wrongly is told: an unknown parameter, or a value that is none, is 400.

mod quarantine;
pub mod receipt;
mod records;
pub mod registries;
mod schema;
mod submissions;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::App;
use super::error::{Kind, Problem, Result};
use super::links::Root;
use super::negotiate::JSON;
use super::query::{self, Query};

/// The routes, relative to `/exchange`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(submissions::router())
        .merge(quarantine::router())
        .merge(records::router())
        .merge(registries::router())
        .merge(schema::router())
        .fallback(async || Problem::new(Kind::NotFound))
}

/// A submission. Its schema is that of `GET /exchange/schema`: it comes from the mappings, so
/// it is put into the document when the document is made.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "stands for the schema")]
struct Submission(serde_json::Value);

/// What a `page` parameter should be.
const PAGE_EXPECTED: (&str, &str) = ("the page of a next link", "next リンクの page");

/// A small JSON answer.
fn json(value: &impl Serialize) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, JSON)], body).into_response())
}

/// The link to the page that follows, and the end of a listing.
struct Next {
    link: String,
}

impl Next {
    /// A listing at `/exchange/{path}` whose pages keep these parameters of the query.
    fn new(root: &Root, path: &str, query: &Query, kept: &[&str]) -> Next {
        let mut link = format!("{}/exchange/{path}", root.0);
        for name in kept {
            if let Some(value) = query.text(name) {
                query::push(&mut link, name, value);
            }
        }
        Next { link }
    }

    /// Ends `…:[…`: with the link to what comes after the entry `last`, where more follow.
    fn end(mut self, out: &mut Vec<u8>, last: Option<&str>) {
        out.extend_from_slice(b"],\"next\":");
        match last {
            Some(last) => {
                query::push(&mut self.link, "page", last);
                crate::json::string_into(out, &self.link);
            }
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}
