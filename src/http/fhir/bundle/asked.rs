//! The request that an entry of a Bundle is.

use serde_json::Value;

use super::Bundle;
use crate::fault::shorten;
use crate::fhir::base64;
use crate::fhir::inbound::Entry;
use crate::fhir::resource::{self, Interaction, Resource};
use crate::http::error::{Kind, Problem, Result};
use crate::http::fhir::condition::Precondition;
use crate::http::fhir::patch::{self, JSON_PATCH};
use crate::http::fhir::requests::{Ask, Request, Target, other_id};
use crate::http::fhir::{create, written};
use crate::store::Handling;

/// Request of an entry.
pub(super) enum Asked {
    /// To write.
    Write(Request),
    /// To change parts: the resource by its id or by a search, and the patch.
    Patch(&'static Resource, Target, json_patch::Patch),
    /// Something that the other routes answer.
    Other,
}

impl Bundle<'_> {
    /// The request of an entry.
    pub(super) fn ask(&self, entry: &Entry) -> Result<Asked> {
        if entry.method.is_empty() || entry.url.is_empty() {
            return Err(Problem::new(Kind::Malformed).issue_type("required").detail(
                "an entry needs a request with method and url",
                "エントリーには method と url のある request が必要です",
            ));
        }
        let (path, query) = self.path(&entry.url);
        let is_plain = !path.contains(['$', '_']);
        let mut segments = path.split('/');
        let name = segments.next().unwrap_or_default();
        let id = segments.next();
        let is_read = matches!(entry.method.as_str(), "GET" | "HEAD");
        if is_read || (entry.method == "POST" && !is_plain) {
            return match self.handling == Handling::Strict && !is_read {
                true => Err(method(&entry.method)),
                false => Ok(Asked::Other),
            };
        }
        let resource = resource::by_name(name).ok_or_else(|| {
            let name = shorten(name);
            Problem::new(Kind::NotFound)
                .issue_type("not-supported")
                .detail(
                    format!("{name:?} is no resource type of this server"),
                    format!("「{name}」というリソースタイプはありません"),
                )
        })?;
        let precondition = Precondition::of_entry(entry)?;
        let target = match (id, query) {
            (Some(id), None) => Some(Target::Id(id.to_owned())),
            (None, Some(query)) => Some(Target::Query(query.to_owned())),
            _ => None,
        };
        let target = target.filter(|_| segments.next().is_none());
        let has = |interaction| match resource.has(interaction) {
            true => Ok(()),
            false => Err(not_here(resource, &entry.method)),
        };
        let no_target = || {
            Problem::new(Kind::Parameter).detail(
                format!("{}: the url names no resource", entry.method),
                format!("{}: url がリソースを特定していません", entry.method),
            )
        };
        let ask = match entry.method.as_str() {
            "POST" => {
                if id.is_some() || query.is_some() {
                    return Err(method("POST"));
                }
                let if_none_exist = entry.if_none_exist.clone();
                let finds = resource.has(Interaction::ConditionalCreate) && if_none_exist.is_some();
                if !(finds || resource.has(Interaction::Create)) {
                    return Err(create::not_created(resource));
                }
                self.has_body(resource, entry)?;
                Ask::Create { if_none_exist }
            }
            "PUT" => {
                has(Interaction::Update)?;
                let target = target.ok_or_else(no_target)?;
                self.has_body(resource, entry)?;
                if let Target::Id(id) = &target
                    && entry.head.id.as_ref() != Some(id)
                {
                    return Err(other_id(id));
                }
                Ask::Update {
                    target,
                    precondition,
                }
            }
            "DELETE" => {
                has(Interaction::Delete)?;
                let target = target.ok_or_else(no_target)?;
                Ask::Delete {
                    target,
                    precondition,
                }
            }
            "PATCH" => {
                has(Interaction::Patch)?;
                let target = target.ok_or_else(no_target)?;
                return Ok(Asked::Patch(
                    resource,
                    target,
                    patch_of(entry, self.call.app.settings().patch_limit)?,
                ));
            }
            other => return Err(method(other)),
        };
        Ok(Asked::Write(Request {
            resource,
            ask,
            head: entry.head.clone(),
            full_url: entry.full_url.clone(),
        }))
    }

    /// Path and query of a url, relative to the base.
    pub(super) fn path<'u>(&self, url: &'u str) -> (&'u str, Option<&'u str>) {
        let below = url.strip_prefix(self.call.base.as_str()).unwrap_or(url);
        let below = below.trim_start_matches('/');
        match below.split_once('?') {
            Some((path, query)) => (path.trim_end_matches('/'), Some(query)),
            None => (below.trim_end_matches('/'), None),
        }
    }

    fn has_body(&self, resource: &Resource, entry: &Entry) -> Result<()> {
        if entry.head.resource_type == resource.name() {
            return Ok(());
        }
        Err(written::other_type(resource, &entry.head.resource_type))
    }
}

/// The JSON Patch of an entry: a Binary of that media type
/// (<https://hl7.org/fhir/R4/http.html#patch>).
fn patch_of(entry: &Entry, limit: u64) -> Result<json_patch::Patch> {
    let bytes = entry.resource.as_deref().unwrap_or_default();
    let resource: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
    let is_patch = text("contentType").split(';').next() == Some(JSON_PATCH);
    if text("resourceType") != "Binary" || !is_patch {
        return Err(Problem::new(Kind::MediaType).detail(
            format!("a patch in a Bundle is a Binary with contentType {JSON_PATCH}"),
            format!("Bundle 内のパッチは contentType が {JSON_PATCH} の Binary としてください"),
        ));
    }
    let data = base64::decode(&text("data")).ok_or_else(|| {
        Problem::new(Kind::Malformed).detail(
            "Binary.data is no base64",
            "Binary.data が base64 ではありません",
        )
    })?;
    if data.len() as u64 > limit {
        return Err(Problem::new(Kind::TooLarge).detail(
            format!("a patch has at most {limit} bytes here (--patch-limit)"),
            format!("パッチは {limit} バイトまでです（--patch-limit）"),
        ));
    }
    patch::read_patch(&data)
}

fn method(name: &str) -> Problem {
    let name = shorten(name);
    Problem::new(Kind::Method).detail(
        format!("{name} is not supported at this url"),
        format!("この url では {name} に対応していません"),
    )
}

fn not_here(resource: &Resource, method: &str) -> Problem {
    let (name, method) = (resource.name(), shorten(method));
    Problem::new(Kind::Method).detail(
        format!("{method} is not supported for {name}"),
        format!("{name} は {method} に対応していません"),
    )
}
