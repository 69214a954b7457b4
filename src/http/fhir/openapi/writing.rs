//! The operations that write.

use serde_json::{Value, json};

use super::super::patch::JSON_PATCH;
use super::{header, parameter, path, query, responses, with_format};
use crate::fhir::resource::{Interaction, Resource, SystemInteraction};
use crate::http::negotiate::FHIR_JSON;

/// Headers with the preconditions of a write.
fn preconditions() -> Vec<Value> {
    ["If-Match", "If-None-Match", "If-Unmodified-Since"]
        .map(header)
        .to_vec()
}

/// The operations of an interaction that writes: path, method, operation.
pub fn operations(
    resource: &Resource,
    interaction: Interaction,
) -> Vec<(String, &'static str, Value)> {
    let name = resource.name();
    let by_id = || {
        (
            format!("/{name}/{{id}}"),
            [vec![path("id")], preconditions()].concat(),
        )
    };
    let by_search = || {
        let searched = "the search that names it: `identifier=…`; any of the search parameters";
        let parameters = [vec![query("identifier", searched)], preconditions()].concat();
        (format!("/{name}"), parameters)
    };
    let (method, verb, body, statuses): (_, _, _, &[u16]) = match interaction {
        Interaction::Create | Interaction::ConditionalCreate => {
            let creates = interaction == Interaction::Create;
            let statuses: &[u16] = match creates {
                true => &[200, 201, 400, 406, 408, 409, 412, 413, 415, 422],
                false => &[200, 400, 405, 406, 412],
            };
            let operation = json!({
                "tags": ["fhir"],
                "summary": match creates {
                    true => format!("Creates a {name}"),
                    false => format!("Finds a {name} in place of creating it"),
                },
                "description": resource.about,
                "operationId": match creates {
                    true => format!("{name}-create"),
                    false => format!("{name}-conditional-create"),
                },
                "requestBody": content(FHIR_JSON, creates),
                "parameters": with_format(vec![header("If-None-Exist"), returns()]),
                "responses": responses(statuses),
            });
            return vec![(format!("/{name}"), "post", operation)];
        }
        Interaction::Update => (
            "put",
            "Replaces",
            Some(FHIR_JSON),
            &[200, 201, 400, 406, 408, 409, 412, 413, 415, 422],
        ),
        Interaction::Patch => (
            "patch",
            "Changes parts of",
            Some(JSON_PATCH),
            &[200, 400, 404, 406, 408, 409, 410, 412, 413, 415, 422],
        ),
        _ => ("delete", "Deletes", None, &[204, 400, 406, 409, 412]),
    };
    let code = interaction.code().unwrap_or_default();
    let both = [
        (by_id(), "", format!("{name}-{code}")),
        (
            by_search(),
            " that a search names",
            format!("{name}-conditional-{code}"),
        ),
    ];
    both.into_iter()
        .map(|((path, mut parameters), which, id)| {
            if body.is_some() {
                parameters.push(returns());
            }
            let mut operation = json!({
                "tags": ["fhir"],
                "summary": format!("{verb} a {name}{which}"),
                "description": resource.about,
                "operationId": id,
                "parameters": with_format(parameters),
                "responses": responses(statuses),
            });
            if let Some(media) = body {
                operation["requestBody"] = content(media, true);
            }
            (path, method, operation)
        })
        .collect()
}

/// A Bundle of requests.
pub fn bundle() -> Value {
    let kinds = [SystemInteraction::Batch, SystemInteraction::Transaction];
    let about: Vec<String> = kinds
        .iter()
        .map(|kind| format!("`{}`: {}", kind.code(), kind.about()))
        .collect();
    json!({
        "tags": ["fhir"],
        "summary": "Does what the entries of a Bundle ask for",
        "description": about.join("\n\n"),
        "operationId": "bundle",
        "requestBody": content(FHIR_JSON, true),
        "parameters": with_format(vec![returns()]),
        "responses": responses(&[200, 400, 404, 405, 406, 408, 409, 412, 413, 415, 422]),
    })
}

fn returns() -> Value {
    parameter(
        "Prefer",
        "header",
        "`return=minimal`, `representation` (default) or `OperationOutcome`",
    )
}

fn content(media: &str, required: bool) -> Value {
    let schema = match media {
        JSON_PATCH => json!({ "type": "array", "items": { "type": "object" } }),
        _ => json!({ "type": "object" }),
    };
    json!({ "content": { media: { "schema": schema } }, "required": required })
}
