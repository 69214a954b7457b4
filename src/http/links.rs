//! Absolute links to ourselves.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;

use super::App;

/// The outer root of the server, without a slash at its end: `--base-url`, else
/// `http://` and the `Host` header. The FHIR base is it and `/fhir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(pub String);

impl Root {
    /// The FHIR base.
    pub fn fhir(&self) -> String {
        format!("{}/fhir", self.0)
    }
}

impl FromRequestParts<App> for Root {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Root, Infallible> {
        if let Some(base) = &app.settings().base_url {
            return Ok(Root(base.trim_end_matches('/').to_owned()));
        }
        let host = parts.headers.get(HOST).and_then(|v| v.to_str().ok());
        let authority = parts.uri.authority().map(|a| a.as_str());
        let host = host.or(authority).filter(|h| is_host(h));
        Ok(Root(format!("http://{}", host.unwrap_or("localhost"))))
    }
}

/// Whether a `Host` header is a name or address with a port and nothing that would change
/// the meaning of a link.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_a_port() {
        assert!(is_host("127.0.0.1:8080"));
        assert!(is_host("[::1]:8080"));
        for wrong in ["", "a/b", "a@b", "a b", "a\"b", "例.jp"] {
            assert!(!is_host(wrong), "{wrong}");
        }
    }
}
