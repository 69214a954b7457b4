//! read: the current version (<https://hl7.org/fhir/R4/http.html#read>).

use axum::http::StatusCode;
use axum::response::Response;

use super::call::{Call, Version, gone, no_such, tell_version};
use crate::fhir::id::ObservationKey;
use crate::fhir::instance::{self, Origin};
use crate::fhir::render::Renderer;
use crate::fhir::resource::{Resource, Source};
use crate::http::error::{Problem, Result};
use crate::store::{Records, StoredRecord};

/// Answers with the current version.
pub async fn read(resource: &'static Resource, call: &Call, id: &str) -> Result<Response> {
    if !matches!(resource.sources, [Source::Record]) {
        return instance(resource, call, id, None).await;
    }
    let key = ObservationKey::decode(id).ok_or_else(|| no_such(resource.name()))?;
    let records = call.app.store().current(&call.app.access(), &key).await?;
    let row = records
        .rows
        .first()
        .ok_or_else(|| no_such(resource.name()))?;
    record(resource, call, &records, row).await
}

/// Answers with a version of a record.
pub async fn record(
    resource: &'static Resource,
    call: &Call,
    records: &Records,
    row: &StoredRecord,
) -> Result<Response> {
    if row.deleted {
        return Err(gone(resource.name()));
    }
    let version = Version {
        number: row.version,
        updated_at: row.last_updated,
    };
    if let Some(response) = call.not_modified(version) {
        return Ok(response);
    }
    let mut renderer = Renderer::new(call.app.store(), records).await?;
    let mut body = Vec::with_capacity(4096);
    renderer.write(row, &mut body);
    let body = call.subset()?.applied(body).map_err(Problem::internal)?;
    let mut response = call.answer(StatusCode::OK, body)?;
    tell_version(&mut response, version);
    Ok(response)
}

/// Answers with an instance that has one version only, the current one.
pub async fn instance(
    resource: &'static Resource,
    call: &Call,
    id: &str,
    version: Option<u32>,
) -> Result<Response> {
    let access = call.app.access();
    let origin = Origin {
        store: call.app.store(),
        access: &access,
    };
    let found = instance::by_id(origin, resource, id).await?;
    let mut found = found
        .filter(|i| version.is_none_or(|version| i.version == version))
        .ok_or_else(|| no_such(resource.name()))?;
    let version = Version {
        number: found.version,
        updated_at: found.updated_at,
    };
    if let Some(response) = call.not_modified(version) {
        return Ok(response);
    }
    call.subset()?.apply(&mut found.body);
    let mut response = call.answer_value(StatusCode::OK, &found.body)?;
    tell_version(&mut response, version);
    Ok(response)
}
