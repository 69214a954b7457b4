//! Pages for people: `/` and the documentation at `/docs`. Nothing is loaded from elsewhere.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION,
    VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::App;
use super::error::{self, Kind, Problem, Result};
use super::links::Root;
use super::negotiate::JSON;
use crate::fault::Lang;

const HOME_EN: &str = include_str!("../../assets/home.en.html");
const HOME_JA: &str = include_str!("../../assets/home.ja.html");

/// The landing page has a style of its own and nothing else.
const HOME_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
/// The documentation runs its own scripts and calls this server. (It sets styles inline.)
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(document))
        .route("/", get(home))
        .route("/docs", get(to_docs))
        .route(
            "/docs/",
            get(async |app: State<App>| docs(app, Path("index.html".into())).await),
        )
        .route("/docs/{*file}", get(docs))
}

/// The landing page, whose commands have the address of this server.
async fn home(root: Root, headers: HeaderMap) -> Response {
    let lang = error::language(&headers);
    let page = match lang {
        Lang::En => HOME_EN,
        Lang::Ja => HOME_JA,
    };
    let page = page.replace("{root}", &quoted(&root.0));
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (CONTENT_LANGUAGE, error::language_tag(lang)),
        (VARY, HeaderValue::from_static("accept-language")),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(HOME_POLICY),
        ),
    ];
    (headers, page).into_response()
}

/// An address within quotes of a shell, in HTML.
fn quoted(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("%27"),
            '"' => out.push_str("%22"),
            c => out.push(c),
        }
    }
    out
}

/// Reads this document
#[utoipa::path(get, path = "/openapi.json", operation_id = "read_openapi", tag = "operation", responses((status = 200, description = "The OpenAPI document", body = Object)))]
async fn document(State(app): State<App>) -> Response {
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, "no-cache")];
    (headers, app.document().to_owned()).into_response()
}

/// The documentation is a folder, and its links are relative to it.
async fn to_docs() -> (StatusCode, [(axum::http::HeaderName, &'static str); 1]) {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "docs/")])
}

/// A file of the documentation.
async fn docs(State(_): State<App>, Path(file): Path<String>) -> Result<Response> {
    // The service that would check the document at another server is switched off.
    let config = Config::from("../openapi.json")
        .validator_url("none")
        .try_it_out_enabled(true)
        .display_request_duration(true);
    let found = utoipa_swagger_ui::serve(&file, Arc::new(config))
        .map_err(|error| Problem::internal(std::io::Error::other(error.to_string())))?
        .ok_or_else(|| Problem::new(Kind::NotFound))?;
    let headers = [
        (CONTENT_TYPE, found.content_type),
        (CONTENT_SECURITY_POLICY, DOCS_POLICY.to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, found.bytes.into_owned()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_no_quotes_and_no_element() {
        assert_eq!(
            quoted("http://h/a'b\"<c>&d"),
            "http://h/a%27b%22&lt;c&gt;&amp;d"
        );
    }
}
