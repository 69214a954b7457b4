//! vread: one version (<https://hl7.org/fhir/R4/http.html#vread>).

use axum::response::Response;

use super::call::{Call, no_such_id, no_version};
use super::read;
use crate::fhir::id::ObservationKey;
use crate::fhir::resource::{Resource, Source};
use crate::http::error::Result;

/// Answers with a version; that of a deletion is 410.
pub async fn vread(
    resource: &'static Resource,
    call: &Call,
    id: &str,
    version: &str,
) -> Result<Response> {
    let number: u32 = number(version).ok_or_else(|| no_version(resource.name()))?;
    if !matches!(resource.sources, [Source::Record]) {
        return read::instance(resource, call, id, Some(number)).await;
    }
    let key = ObservationKey::decode(id).ok_or_else(|| no_such_id(resource.name(), id))?;
    let versions = call.app.store().history(&call.app.access(), &key).await?;
    if versions.rows.is_empty() {
        return Err(no_such_id(resource.name(), id));
    }
    let row = versions.rows.iter().find(|row| row.version == number);
    let row = row.ok_or_else(|| no_version(resource.name()))?;
    read::record(resource, call, &versions, row).await
}

/// A version has one spelling.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n: &u32| n.to_string() == text)
}
