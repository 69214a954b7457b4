//! What every FHIR interaction knows of its request, and how it answers.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body as HttpBody;
use axum::extract::FromRequestParts;
use axum::http::header::{
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use crate::fault::Lang;
use crate::fhir::search::{Invalid, Scope, form};
use crate::fhir::subset::Subset;
use crate::fhir::{find, id};
use crate::http::App;
use crate::http::body::{Body, SharedReservation};
use crate::http::error::{self, Kind, Problem, Result};
use crate::http::links::Root;
use crate::http::negotiate::{self, FhirFormat};
use crate::http::prefer::Prefer;
use crate::http::query::{self, Plus};
use crate::json;
use crate::store::Handling;
use crate::time;

/// Extension of a request whose search is only to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Checks;

/// A request to the FHIR side.
pub struct Call {
    /// What handlers share.
    pub app: App,
    /// The address of our resources, `https://host/fhir`.
    pub base: String,
    /// How the answer is written.
    pub format: FhirFormat,
    /// The language of messages.
    pub lang: Lang,
    /// Its headers.
    pub headers: HeaderMap,
    /// The query string.
    pub query: String,
    /// Whether a search is only to be checked, because a transaction runs it later.
    pub checks: bool,
    /// Share of its body in the limits.
    reservation: SharedReservation,
}

impl FromRequestParts<App> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Call> {
        let Ok(root) = Root::from_request_parts(parts, app).await;
        let query = parts.uri.query().unwrap_or_default();
        let pairs = query::pairs(query, Plus::Kept)?;
        let format = match negotiate::fhir_format(&pairs, &parts.headers) {
            // The form may say `_format`, which beats `Accept`: whoever reads it decides.
            Err(_) if negotiate::is_form(&parts.headers) => FhirFormat::default(),
            format => format?,
        };
        Ok(Call {
            format,
            lang: error::language(&parts.headers),
            base: root.fhir(),
            query: query.to_owned(),
            // Not taken: what extracts the body after this looks for its encoding and length.
            headers: parts.headers.clone(),
            app: app.clone(),
            checks: parts.extensions.get::<Checks>().is_some(),
            reservation: Arc::default(),
        })
    }
}

/// Version and last update of what is answered.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// `meta.versionId`
    pub number: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
    /// Digest of the resource, where it shows rows of registries whose changes make no version
    /// of it.
    pub digest: Option<u32>,
}

impl Version {
    /// A version whose resource is its own row and no other.
    pub fn new(number: u32, updated_at: i64) -> Version {
        Version {
            number,
            updated_at,
            digest: None,
        }
    }

    /// The same of a resource that shows rows of registries, too.
    #[must_use]
    pub fn showing(self, resource: &[u8]) -> Version {
        let [a, b, c, d, ..] = id::hash96("shown", &[&String::from_utf8_lossy(resource)]);
        Version {
            digest: Some(u32::from_be_bytes([a, b, c, d])),
            ..self
        }
    }

    /// `W/"3"`; `W/"3-5f0c2a91"` with a digest, which `If-Match` passes over.
    pub fn etag(self) -> String {
        match self.digest {
            Some(digest) => format!("W/\"{}-{digest:08x}\"", self.number),
            None => format!("W/\"{}\"", self.number),
        }
    }
}

impl Call {
    /// Runs a parser over the body; the memory of what it gives counts until this request ends.
    ///
    /// # Errors
    /// As [`Body::parse`].
    pub async fn parse<T, F>(&self, body: Body, parser: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Read, u64) -> T + Send + 'static,
    {
        let (parsed, reservation) = body.parse(parser).await?;
        let _ = self.reservation.set(reservation);
        Ok(parsed)
    }

    /// The whole body, which counts until this request ends.
    ///
    /// # Errors
    /// As [`Body::bytes`].
    pub async fn bytes(&self, body: Body) -> Result<Vec<u8>> {
        let (bytes, reservation) = body.bytes().await?;
        let _ = self.reservation.set(reservation);
        Ok(bytes)
    }

    /// Share of the body in the limits, for a task that goes on when the request is given up.
    pub fn reservation(&self) -> SharedReservation {
        self.reservation.clone()
    }

    /// What the meaning of searched values depends on.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            kinds: self.app.kinds(),
            base: &self.base,
            zone: time::JST,
            now: time::now_millis(),
        }
    }

    /// The part of each resource that `_summary` and `_elements` ask for.
    ///
    /// # Errors
    /// 400 where `_summary` is none of its words, or the one that only searches know.
    pub fn subset(&self) -> Result<Subset> {
        Ok(Subset::asked(&form::pairs(&self.query)?)?)
    }

    /// Whether `Prefer: handling=strict` was sent.
    pub fn is_strict(&self) -> bool {
        Prefer::of(&self.headers).handling == Some(Handling::Strict)
    }

    /// An answer with a resource as it was written.
    ///
    /// # Errors
    /// 500 where what was written is not JSON.
    pub fn answer(&self, status: StatusCode, body: Vec<u8>) -> Result<Response> {
        let body = match self.format.pretty {
            true => json::pretty(&body),
            false => body,
        };
        let mut response = Response::new(HttpBody::from(body));
        *response.status_mut() = status;
        let media = HeaderValue::from_static(self.format.content_type);
        response.headers_mut().insert(CONTENT_TYPE, media);
        if self.reservation.get().is_some() {
            response.extensions_mut().insert(self.reservation());
        }
        Ok(response)
    }

    /// An answer with a resource.
    ///
    /// # Errors
    /// 500 where it cannot be written.
    pub fn answer_value(&self, status: StatusCode, value: &Value) -> Result<Response> {
        self.answer(
            status,
            serde_json::to_vec(value).map_err(Problem::internal)?,
        )
    }

    /// 304 where the client has this version already
    /// (<https://hl7.org/fhir/R4/http.html#cread>).
    pub fn not_modified(&self, version: Version) -> Option<Response> {
        let fresh = match self.headers.get(IF_NONE_MATCH) {
            Some(_) => has_etag(&self.headers, IF_NONE_MATCH, &version.etag()),
            // The rows that it shows change without it.
            None if version.digest.is_some() => false,
            None => {
                let since = self.headers.get(IF_MODIFIED_SINCE);
                let since = since.and_then(|v| read_http_date(v.to_str().ok()?));
                since.is_some_and(|since| version.updated_at.div_euclid(1000) <= since)
            }
        };
        fresh.then(|| {
            let mut response = Response::new(HttpBody::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            tell_version(&mut response, version);
            response
        })
    }
}

/// Adds `ETag` and `Last-Modified`.
pub fn tell_version(response: &mut Response, version: Version) {
    let headers = response.headers_mut();
    put(headers, ETAG, &version.etag());
    put(headers, LAST_MODIFIED, &http_date(version.updated_at));
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether a header lists an entity tag (or `*`), compared weakly.
pub fn has_etag(headers: &HeaderMap, name: HeaderName, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    values
        .flat_map(|v| v.split(','))
        .any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

fn http_date(millis: i64) -> String {
    let since = Duration::from_millis(millis.try_into().unwrap_or_default());
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

/// Seconds since the epoch.
pub(super) fn read_http_date(text: &str) -> Option<i64> {
    let at = httpdate::parse_http_date(text.trim()).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Problem {
        let parameter = crate::fault::shorten(&invalid.parameter);
        Problem::new(Kind::Parameter).detail(
            format!("{parameter}: {}", invalid.en),
            format!("{parameter}: {}", invalid.ja),
        )
    }
}

impl From<find::Error> for Problem {
    fn from(error: find::Error) -> Problem {
        match error {
            find::Error::Invalid(invalid) => invalid.into(),
            find::Error::Store(error) => error.into(),
        }
    }
}

/// No resource of this type has this id.
pub fn no_such(resource_type: &str) -> Problem {
    Problem::new(Kind::NotFound).detail(
        format!("no {resource_type} has this id"),
        format!("この id の {resource_type} はありません"),
    )
}

/// Nothing of this type has this id, or what stands for the id is the name of an operation that
/// the type does not have.
pub fn no_such_id(resource_type: &str, id: &str) -> Problem {
    if !id.starts_with('$') {
        return no_such(resource_type);
    }
    let id = crate::fault::shorten(id);
    no_such(resource_type).issue_type("not-supported").detail(
        format!("{resource_type} has no operation {id} here; /fhir/metadata lists those there are"),
        format!(
            "{resource_type} にオペレーション {id} はありません。使えるものは /fhir/metadata にあります"
        ),
    )
}

/// The resource is there, but not in this version.
pub fn no_version(resource_type: &str) -> Problem {
    no_such(resource_type).detail(
        format!("this {resource_type} has no such version; its _history lists those there are"),
        format!("この {resource_type} にその版はありません。ある版は _history にあります"),
    )
}

/// The resource was deleted.
pub fn gone(resource_type: &str) -> Problem {
    Problem::new(Kind::Gone).detail(
        format!("this {resource_type} was deleted"),
        format!("この {resource_type} は削除されています"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_read_back() {
        assert_eq!(http_date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            read_http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(read_http_date("yesterday"), None);
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        let mut headers = HeaderMap::new();
        headers.append(IF_NONE_MATCH, HeaderValue::from_static("\"1\", W/\"2\""));
        for (tag, found) in [("W/\"1\"", true), ("W/\"2\"", true), ("W/\"3\"", false)] {
            assert_eq!(has_etag(&headers, IF_NONE_MATCH, tag), found, "{tag}");
        }
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert!(has_etag(&headers, IF_NONE_MATCH, "W/\"9\""));
    }
}
