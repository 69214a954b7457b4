//! Absolute links to ourselves.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{App, host};

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
        let host = host::authority(&parts.uri, &parts.headers).filter(|h| host::is_authority(h));
        Ok(Root(format!("http://{}", host.unwrap_or("localhost"))))
    }
}
