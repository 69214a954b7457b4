//! read: the current version (<https://hl7.org/fhir/R4/http.html#read>).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::call::{Call, Version, gone, no_such_id, no_version, tell_version};
use crate::fhir::id::ObservationKey;
use crate::fhir::instance::{self, Origin};
use crate::fhir::render::Renderer;
use crate::fhir::resource::{self, Resource, Source};
use crate::http::error::{Kind, Problem, Result};
use crate::store::{Records, StoredRecord};

/// Answers with the current version.
pub async fn read(resource: &'static Resource, call: &Call, id: &str) -> Result<Response> {
    if !matches!(resource.sources, [Source::Record]) {
        return instance(resource, call, id, None).await;
    }
    let key = ObservationKey::decode(id).ok_or_else(|| no_such_id(resource.name(), id))?;
    let records = call.app.store().current(&call.app.access(), &key).await?;
    let row = records
        .rows
        .first()
        .ok_or_else(|| no_such_id(resource.name(), id))?;
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
    let mut renderer = Renderer::new(call.app.store(), records).await?;
    let mut version = Version::new(row.version, row.last_updated);
    let mut body = Vec::new();
    if renderer.shows_registry(row) {
        renderer.write(row, &mut body);
        version = version.showing(&body);
    }
    if let Some(response) = call.not_modified(version) {
        return Ok(response);
    }
    if body.is_empty() {
        body.reserve(4096);
        renderer.write(row, &mut body);
    }
    let body = call.subset()?.applied(body).map_err(Problem::internal)?;
    let mut response = call.answer(StatusCode::OK, body)?;
    tell_version(&mut response, version);
    Ok(response)
}

/// A resource as it is now.
pub struct Current {
    /// The resource.
    pub body: Value,
    /// Its version.
    pub version: Version,
}

/// The current version of a resource.
///
/// # Errors
/// 404 where there is none, 410 where it was deleted.
pub async fn current(resource: &'static Resource, call: &Call, id: &str) -> Result<Current> {
    let (version, text) = version(resource, call, id, None).await?;
    let body = serde_json::from_slice(&text).map_err(Problem::internal)?;
    Ok(Current { body, version })
}

/// A version of a resource, or the current one, as it is written.
///
/// # Errors
/// 404 where there is none, 410 where it was deleted.
pub async fn version(
    resource: &'static Resource,
    call: &Call,
    id: &str,
    number: Option<u32>,
) -> Result<(Version, Vec<u8>)> {
    let (store, access) = (call.app.store(), call.app.access());
    if !matches!(resource.sources, [Source::Record]) {
        let (version, body) = instance_version(resource, call, id, number).await?;
        let text = serde_json::to_vec(&body).map_err(Problem::internal)?;
        return Ok((version, text));
    }
    let key = ObservationKey::decode(id).ok_or_else(|| no_such_id(resource.name(), id))?;
    let mut records = store.current(&access, &key).await?;
    let is_it = |row: &StoredRecord| number.is_none_or(|number| row.version == number);
    if !records.rows.first().is_some_and(is_it) {
        // Written over meanwhile.
        records = store.history(&access, &key).await?;
    }
    let row = records.rows.iter().find(|row| is_it(row));
    let row = row.ok_or_else(|| no_such_id(resource.name(), id))?;
    if row.deleted {
        return Err(gone(resource.name()));
    }
    let mut text = Vec::with_capacity(4096);
    Renderer::new(store, &records).await?.write(row, &mut text);
    Ok((Version::new(row.version, row.last_updated), text))
}

/// Whether there is a resource of this type and id.
///
/// # Errors
/// 503 and 500.
pub async fn exists(call: &Call, resource_type: &str, id: &str) -> Result<bool> {
    let Some(resource) = resource::by_name(resource_type) else {
        return Ok(false);
    };
    match version(resource, call, id, None).await {
        Ok(_) => Ok(true),
        Err(problem) if matches!(problem.kind, Kind::NotFound | Kind::Gone) => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// A version of what comes from registries and devices, or the current one.
async fn instance_version(
    resource: &'static Resource,
    call: &Call,
    id: &str,
    number: Option<u32>,
) -> Result<(Version, Value)> {
    let access = call.app.access();
    let origin = Origin {
        store: call.app.store(),
        access: &access,
    };
    let found = instance::by_id(origin, resource, id).await?;
    if let Some(found) = found.filter(|i| number.is_none_or(|number| i.version == number)) {
        let version = Version::new(found.version, found.updated_at);
        return Ok((version, found.body));
    }
    let versions = instance::versions(origin, resource, id).await?;
    let any = !versions.is_empty();
    let mut versions = versions.into_iter();
    let found = match number {
        Some(number) => versions.find(|version| version.number == number),
        None => versions.next(),
    };
    let found = found.ok_or_else(|| match any {
        true => no_version(resource.name()),
        false => no_such_id(resource.name(), id),
    })?;
    let version = Version::new(found.number, found.updated_at);
    let body = found.body.ok_or_else(|| gone(resource.name()))?;
    Ok((version, body))
}

/// Answers with what comes from registries and devices.
pub async fn instance(
    resource: &'static Resource,
    call: &Call,
    id: &str,
    number: Option<u32>,
) -> Result<Response> {
    let (version, mut body) = instance_version(resource, call, id, number).await?;
    if let Some(response) = call.not_modified(version) {
        return Ok(response);
    }
    call.subset()?.apply(&mut body);
    let mut response = call.answer_value(StatusCode::OK, &body)?;
    tell_version(&mut response, version);
    Ok(response)
}
