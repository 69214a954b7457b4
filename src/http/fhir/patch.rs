//! patch by JSON Patch, conditional or not (<https://hl7.org/fhir/R4/http.html#patch>,
//! RFC 6902).

use axum::response::Response;
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::call::{Call, no_such};
use super::condition::{self, Found, Precondition};
use super::read::{self, Current};
use super::requests::{Ask, Request, Target, other_id};
use super::written;
use crate::fault::{Code, Fault, Place};
use crate::fhir::patch::{Failure, Work};
use crate::fhir::resource::Resource;
use crate::http::body::Body;
use crate::http::error::{Kind, Problem, Result};
use crate::http::negotiate;
use crate::json::DEPTH_MAX;

/// The media type of JSON Patch.
pub const JSON_PATCH: &str = "application/json-patch+json";

/// How often a patch without a condition is tried again when others write meanwhile.
const TRIES: usize = 5;

/// Changes parts of the resource that the address names.
pub async fn patch(
    resource: &'static Resource,
    call: &Call,
    target: Target,
    body: Body,
) -> Result<Response> {
    let precondition = Precondition::of(&call.headers)?;
    negotiate::content_type(&call.headers, &[JSON_PATCH])?;
    let limit = call.app.settings().patch_limit;
    let patch = read_patch(&call.bytes(body.limit(limit)).await?)?;
    let id = named(resource, call, target).await?;
    for attempt in 1.. {
        let mut work = Work::new(limit as usize);
        let patched = patched(resource, call, &id, &precondition, (&patch, &mut work));
        let (request, text) = patched.await?;
        let (head, taken) = written::take(call, text).await?;
        let request = Request { head, ..request };
        match written::perform(call, request, taken).await {
            Err(problem)
                if problem.kind == Kind::Precondition
                    && precondition == Precondition::default()
                    && attempt < TRIES => {}
            answer => return written::respond(call, answer?).await,
        }
    }
    Err(condition::failed())
}

/// The id of what is to be patched.
///
/// # Errors
/// 404 where a search finds nothing, 412 where it finds several.
pub async fn named(resource: &'static Resource, call: &Call, target: Target) -> Result<String> {
    let query = match target {
        Target::Id(id) => return Ok(id),
        Target::Query(query) => query,
    };
    match condition::find(call, resource, &query).await? {
        Found::One(id) => Ok(id),
        Found::Several => Err(condition::several()),
        Found::None => Err(no_such(resource.name()).detail(
            "the condition matches nothing",
            "条件に一致するリソースがありません",
        )),
    }
}

/// Reads a patch.
///
/// # Errors
/// 400 where it is no JSON Patch.
pub fn read_patch(bytes: &[u8]) -> Result<Patch> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = Place {
            line: error.line() as u32,
            column: error.column() as u32,
        };
        let code = match error.is_data() {
            true => Code::Type,
            false => Code::Json,
        };
        let fault = Fault::new(code, "", place).expected("a JSON Patch (RFC 6902)");
        Problem::faults(Kind::Malformed, vec![fault])
    })
}

/// The resource as the patch makes it, and the update that writes it: only to the version
/// that was patched.
pub async fn patched(
    resource: &'static Resource,
    call: &Call,
    id: &str,
    precondition: &Precondition,
    (patch, work): (&Patch, &mut Work),
) -> Result<(Request, Vec<u8>)> {
    let Current { mut body, version } = read::current(resource, call, id).await?;
    if !precondition.holds(version) {
        return Err(condition::failed());
    }
    let narrative = body.get("text").cloned();
    apply(&mut body, patch, work)?;
    if narrative.is_some() && body.get("text") == narrative.as_ref() {
        // It was made for what the resource said before
        // (<https://hl7.org/fhir/R4/http.html#patch>).
        body.as_object_mut()
            .map(|members| members.shift_remove("text"));
    }
    if body["resourceType"] != resource.name() || body["id"] != id {
        return Err(other_id(id));
    }
    let request = Request {
        resource,
        ask: Ask::Update {
            target: Target::Id(id.to_owned()),
            precondition: Precondition::version(version.number),
        },
        head: Default::default(),
        full_url: String::new(),
    };
    let text = serde_json::to_vec(&body).map_err(Problem::internal)?;
    Ok((request, text))
}

/// Applies the operations; the one that fails is told.
fn apply(body: &mut Value, patch: &Patch, work: &mut Work) -> Result<()> {
    let (at, problem, en, ja) = match work.apply(body, patch) {
        Ok(()) => return Ok(()),
        Err(Failure::Refused { at, why }) => {
            (at, Kind::Refused, why.clone(), format!("適用できません（{why}）"))
        }
        Err(Failure::TooCostly { at }) => (
            at,
            Kind::TooCostly,
            "the patch copies and moves more than --patch-limit allows; send the resource whole (PUT)"
                .to_owned(),
            "パッチが複製・移動する量が --patch-limit を超えます。リソース全体を PUT で送ってください"
                .to_owned(),
        ),
        Err(Failure::TooDeep { at }) => (
            at,
            Kind::TooCostly,
            format!("the resource would be nested deeper than {DEPTH_MAX} levels"),
            format!("リソースの入れ子が {DEPTH_MAX} 段を超えます"),
        ),
    };
    let operation = patch.0.get(at);
    let name = operation.map_or("", name);
    let path = operation.map_or_else(String::new, |operation| operation.path().to_string());
    let path = crate::fault::shorten(&path);
    Err(Problem::new(problem).detail(
        format!("operation {at} of the patch, {name} {path}: {en}"),
        format!("パッチの操作 {at}（{name} {path}）: {ja}"),
    ))
}

fn name(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(patch: Value) -> std::result::Result<Value, String> {
        let mut body: Value =
            serde_json::from_str(r#"{"a":{"b":[1,2]},"value":65.50,"n":null}"#).unwrap();
        let patch = read_patch(patch.to_string().as_bytes()).unwrap();
        match apply(&mut body, &patch, &mut Work::new(1 << 20)) {
            Ok(()) => Ok(body),
            Err(problem) => Err(problem.text(crate::fault::Lang::En)),
        }
    }

    #[test]
    fn numbers_are_tested_by_value_and_keep_their_digits() {
        let patch: Value = serde_json::from_str(
            r#"[{"op":"test","path":"/value","value":65.5},{"op":"add","path":"/a/b/-","value":7.0}]"#,
        )
        .unwrap();
        let body = applied(patch).unwrap();
        assert_eq!(
            body.to_string(),
            r#"{"a":{"b":[1,2,7.0]},"value":65.50,"n":null}"#
        );
    }

    #[test]
    fn the_operation_that_fails_is_told() {
        let test = json!({"op": "test", "path": "/a/b/0", "value": 1});
        for (operation, told) in [
            (
                json!({"op": "test", "path": "/value", "value": 65.6}),
                "test /value",
            ),
            (json!({"op": "remove", "path": "/a/x"}), "remove /a/x"),
            (
                json!({"op": "replace", "path": "/x", "value": 1}),
                "replace /x",
            ),
        ] {
            let why = applied(json!([test, operation])).unwrap_err();
            assert!(why.contains(told) && why.contains("operation 1"), "{why}");
        }
    }

    #[test]
    fn what_is_no_patch_is_told_with_its_place() {
        for text in [
            "{",
            "{}",
            r#"[{"op":"add"}]"#,
            r#"[{"op":"x","path":"/a"}]"#,
        ] {
            let problem = read_patch(text.as_bytes()).unwrap_err();
            assert_eq!(problem.kind, Kind::Malformed, "{text}");
            assert_eq!(problem.faults.len(), 1, "{text}");
        }
    }
}
