//! What every request passes through, beside its route.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use super::App;
use super::error::{Kind, Problem};

/// The header that names a request in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the request and logs how it went. Addresses in logs are templates, never filled in,
/// and without the query: ids and searched values are personal data.
pub async fn log(request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|v| is_plain(v));
    let id = given
        .cloned()
        .or_else(|| HeaderValue::from_str(&ulid::Ulid::generate().to_string()).ok());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("-", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let text = id
        .as_ref()
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let span = tracing::info_span!("request", id = text);
    async move {
        let start = Instant::now();
        let mut response = next.run(request).await;
        if let Some(id) = id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let status = response.status().as_u16();
        let millis = start.elapsed().as_micros() as f64 / 1000.0;
        // A line a request costs as much as a read of an Observation: only what failed is told
        // unless somebody asks (`RUST_LOG=kenko_fhir=debug`).
        if status >= 500 {
            tracing::warn!(%method, route, status, millis, "answered");
        } else {
            tracing::debug!(%method, route, status, millis, "answered");
        }
        response
    }
    .instrument(span)
    .await
}

/// Whether a client's request id may be repeated in logs and answers.
fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'))
}

/// Headers that keep browsers and caches from doing harm.
pub async fn secure(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let personal = path.starts_with("/exchange") || path.starts_with("/fhir");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if personal {
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// Answers 503 when a request takes longer than it may.
pub async fn time_limit(State(app): State<App>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(app.settings().request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::Unavailable)
            .detail(
                "the request took longer than it may",
                "処理が制限時間を超えました",
            )
            .issue_type("timeout")
            .into_response(),
    }
}

/// A panic is an error of ours like any other. (The panic's own message goes to stderr only.)
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Problem::new(Kind::Internal).into_response()
}

/// Browsers of these origins may call; of none when there are none.
pub fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|o| o == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
    };
    let names = |names: &[&'static str]| -> Vec<HeaderName> {
        names.iter().map(|n| HeaderName::from_static(n)).collect()
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        // The headers that are asked for: `Prefer`, `If-Match`, any `X-…` of a proxy.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            [
                vec![
                    header::ETAG,
                    header::LOCATION,
                    header::CONTENT_LOCATION,
                    header::LAST_MODIFIED,
                    header::RETRY_AFTER,
                    header::ALLOW,
                ],
                names(&["x-progress", "x-request-id"]),
            ]
            .concat(),
        )
        .max_age(std::time::Duration::from_secs(600))
}

/// The same request without a slash at the end of its path: both forms answer, without a
/// redirect. (`/docs/` is a folder of files and keeps its slash.)
pub fn without_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let short = path.trim_end_matches('/');
    if short.len() == path.len() || !(short.starts_with("/fhir") || short.starts_with("/exchange"))
    {
        return request;
    }
    let target = match uri.query() {
        Some(query) => format!("{short}?{query}"),
        None => short.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    if let Ok(target) = target.parse() {
        parts.path_and_query = Some(target);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_18_a_slash_at_the_end_is_dropped() {
        let path = |text: &str| {
            let request = Request::builder().uri(text).body(axum::body::Body::empty());
            without_slash(request.unwrap()).uri().to_string()
        };
        assert_eq!(path("/fhir/"), "/fhir");
        assert_eq!(
            path("/fhir/Observation/?code=a/b"),
            "/fhir/Observation?code=a/b"
        );
        assert_eq!(
            path("http://h:1/exchange/schema/"),
            "http://h:1/exchange/schema"
        );
        assert_eq!(path("/docs/"), "/docs/");
        assert_eq!(path("/"), "/");
    }

    #[test]
    fn only_plain_request_ids_are_repeated() {
        assert!(is_plain(&HeaderValue::from_static("a-b.c_1:2")));
        assert!(!is_plain(&HeaderValue::from_static("a b")));
        assert!(!is_plain(&HeaderValue::from_static("")));
    }
}
