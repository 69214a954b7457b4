//! What every request passes through, beside its route.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    self, CACHE_CONTROL, CONTENT_LENGTH, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tracing::{Instrument as _, Level};

use super::App;
use super::error::{self, Kind, Problem};
use crate::metrics;

/// The header that names a request in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The templates of the routes: what of an address may be logged and measured.
#[derive(Debug, Clone)]
pub struct Templates(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The words that stand between the variable parts.
    words: HashSet<String>,
    /// The routes by their templates without the names of variables.
    routes: HashMap<String, Arc<str>>,
    /// The label of every address that no route has.
    none: Arc<str>,
}

impl Templates {
    /// Those of these routes, such as `/fhir/Observation/{id}`.
    pub fn of<'a>(routes: impl Iterator<Item = &'a str> + Clone) -> Templates {
        let words = routes.clone().flat_map(|route| route.split('/'));
        let words = words.filter(|word| !word.starts_with('{'));
        let words: HashSet<String> = words.map(str::to_owned).collect();
        let routes = routes.map(|route| (plain(route, &words), Arc::from(route)));
        Templates(Arc::new(Inner {
            routes: routes.collect(),
            words,
            none: Arc::from("none"),
        }))
    }

    /// The template of an address: its words, `{}` for whatever was filled in.
    fn template(&self, path: &str) -> String {
        plain(path, &self.0.words)
    }

    /// The route with this template. There are as many as the program has, whatever is asked for.
    fn route(&self, template: &str) -> Arc<str> {
        self.0.routes.get(template).unwrap_or(&self.0.none).clone()
    }
}

/// An address with `{}` in place of all that is none of the words.
fn plain(path: &str, words: &HashSet<String>) -> String {
    let mut out = String::with_capacity(path.len());
    for (n, word) in path.split('/').enumerate() {
        if n > 0 {
            out.push('/');
        }
        out.push_str(if words.contains(word) { word } else { "{}" });
    }
    out
}

/// A method as a label: one of those that routes have.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Names the request, judges its host, limits its time, gives what failed its body, keeps browsers
/// and caches from doing harm, measures it and logs how it went: one layer, for each costs every
/// request what a few tests of its headers cost.
///
/// Everything that is logged meanwhile stands in the span `request` with the id of the request and
/// the template of its address, which is never filled in and has no query: ids and searched
/// values are personal data.
pub async fn around(
    State((app, templates)): State<(App, Templates)>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|v| is_plain(v));
    let id = given.cloned().unwrap_or_else(new_id);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let template = templates.template(uri.path());
    let name = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", id = name, %method, route = template);
    let answered = async {
        let start = Instant::now();
        let in_flight = metrics::Present::request();
        let lang = error::language(request.headers());
        let (version, headers) = (request.version(), request.headers());
        let response = match app.hosts().check(&method, &uri, version, headers) {
            Ok(()) => in_time(&app, next.run(request)).await,
            Err(problem) => problem.into_response(),
        };
        let mut response = error::render(&app, &uri, lang, response);
        if method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        secure(uri.path(), response.headers_mut());
        let (status, elapsed) = (response.status().as_u16(), start.elapsed());
        drop(in_flight);
        metrics::request(label(&method), templates.route(&template), status, elapsed);
        // A line a request costs as much as a read of an Observation: only what failed is told
        // unless somebody asks (`RUST_LOG=kenko_fhir=debug`).
        if status >= 500 || tracing::enabled!(Level::DEBUG) {
            let millis = elapsed.as_micros() as f64 / 1000.0;
            if status >= 500 {
                tracing::warn!(status, millis, "answered");
            } else {
                tracing::debug!(status, millis, "answered");
            }
        }
        response
    };
    let mut response = answered.instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// An id for a request that brings none.
fn new_id() -> HeaderValue {
    let id = ulid::Ulid::generate().to_string();
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"))
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
fn secure(path: &str, headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if path.starts_with("/exchange") || path.starts_with("/fhir") {
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
}

/// Answers 503 when a request takes longer than it may.
async fn in_time(app: &App, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(app.settings().request_timeout, answer).await {
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

/// Gzip for what is worth it. What `HEAD` answers has lost its body by now, so the length that
/// is told decides.
pub fn gzip() -> CompressionLayer<impl Predicate> {
    let is_long = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let length = headers.get(CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        length.is_none_or(|length| length > 32)
    };
    let images = NotForContentType::IMAGES;
    CompressionLayer::new().compress_when(is_long.and(images).and(NotForContentType::SSE))
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
    fn what_was_filled_in_is_not_logged() {
        let routes = ["/", "/fhir/Observation/{id}", "/fhir/_history"];
        let templates = Templates::of(routes.into_iter());
        for (path, logged) in [
            ("/fhir/Observation/P1", "/fhir/Observation/{}"),
            ("/fhir/_history", "/fhir/_history"),
            ("/fhir/P1/Observation/", "/fhir/{}/Observation/"),
            ("/", "/"),
        ] {
            assert_eq!(templates.template(path), logged);
        }
        let route = |path| templates.route(&templates.template(path));
        assert_eq!(&*route("/fhir/Observation/P1"), "/fhir/Observation/{id}");
        assert_eq!(&*route("/fhir/_history"), "/fhir/_history");
        assert_eq!(&*route("/fhir/_history/_history"), "none");
    }

    #[test]
    fn only_plain_request_ids_are_repeated() {
        assert!(is_plain(&HeaderValue::from_static("a-b.c_1:2")));
        assert!(!is_plain(&HeaderValue::from_static("a b")));
        assert!(!is_plain(&HeaderValue::from_static("")));
    }
}
