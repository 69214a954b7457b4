//! The part of the OpenAPI document that the table of resources gives.

mod writing;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::super::negotiate::FHIR_JSON;
use crate::fhir::capability::{includes, reverse_includes};
use crate::fhir::compartment::{self, Member};
use crate::fhir::operation::{OPERATIONS, Operation, Place, Takes};
use crate::fhir::resource::{Interaction, RESOURCES, Resource, SystemInteraction, by_name};
use crate::fhir::search::Parameter;

/// The paths under the FHIR base.
pub fn document() -> OpenApi {
    let paths = paths();
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "", "version": "" },
        "paths": paths,
    });
    // A test holds that it can be read.
    serde_json::from_value(document).unwrap_or_default()
}

fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |path: String, method: &str, operation: Value| {
        let path = format!("/fhir{path}");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    };
    add("/metadata".into(), "get", metadata());
    for interaction in SystemInteraction::ALL {
        match interaction {
            SystemInteraction::History => add("/_history".into(), "get", history_system()),
            // One address for both.
            SystemInteraction::Batch => add(String::new(), "post", writing::bundle()),
            SystemInteraction::Transaction => {}
        }
    }
    for operation in OPERATIONS {
        for place in operation.places() {
            let path = place.path(operation);
            if operation.by_get() {
                add(path.clone(), "get", called(operation, place, false));
            }
            add(path, "post", called(operation, place, true));
        }
    }
    for member in compartment::members() {
        let (of, name) = (member.of.name(), member.resource.name());
        let path = format!("/{of}/{{id}}/{name}");
        add(path.clone(), "get", within(member, false));
        add(format!("{path}/_search"), "post", within(member, true));
    }
    for resource in RESOURCES {
        let name = resource.name();
        for interaction in resource.interactions {
            let (path, method) = match interaction {
                Interaction::Create
                | Interaction::ConditionalCreate
                | Interaction::Update
                | Interaction::Patch
                | Interaction::Delete => {
                    for (path, method, operation) in writing::operations(resource, *interaction) {
                        add(path, method, operation);
                    }
                    continue;
                }
                Interaction::Read => (format!("/{name}/{{id}}"), "get"),
                Interaction::Vread => (format!("/{name}/{{id}}/_history/{{vid}}"), "get"),
                Interaction::HistoryInstance => (format!("/{name}/{{id}}/_history"), "get"),
                Interaction::HistoryType => (format!("/{name}/_history"), "get"),
                Interaction::Search => {
                    add(format!("/{name}/_search"), "post", form_search(resource));
                    (format!("/{name}"), "get")
                }
            };
            add(path, method, interaction_of(resource, *interaction));
        }
    }
    paths
}

fn interaction_of(resource: &Resource, interaction: Interaction) -> Value {
    let name = resource.name();
    let (summary, parameters, responses) = match interaction {
        Interaction::Read => (
            format!("Reads a {name}"),
            vec![
                path("id"),
                header("If-None-Match"),
                header("If-Modified-Since"),
                query("_summary", SUMMARY),
                query("_elements", ELEMENTS),
            ],
            responses(&[200, 304, 400, 404, 406, 410]),
        ),
        Interaction::Vread => (
            format!("Reads a version of a {name}"),
            vec![
                path("id"),
                path("vid"),
                query("_summary", SUMMARY),
                query("_elements", ELEMENTS),
            ],
            responses(&[200, 304, 400, 404, 406, 410]),
        ),
        Interaction::HistoryInstance => (
            format!("Lists the versions of a {name}, the newest first"),
            vec![
                path("id"),
                query("_count", "versions on a page"),
                query("_since", SINCE),
                query("_summary", SUMMARY),
                query("_elements", ELEMENTS),
            ],
            responses(&[200, 400, 404, 406]),
        ),
        Interaction::HistoryType => (
            format!("Lists the versions of all {name}s, the newest first"),
            vec![
                query("_count", "versions on a page"),
                query("_since", SINCE),
                query("_summary", SUMMARY),
                query("_elements", ELEMENTS),
            ],
            responses(&[200, 400, 406]),
        ),
        _ => (
            format!("Searches {name}s"),
            search_parameters(resource),
            responses(&[200, 400, 406]),
        ),
    };
    json!({
        "tags": ["fhir"],
        "summary": summary,
        "description": resource.about,
        "operationId": format!("{name}-{}", interaction.code().unwrap_or_default()),
        "parameters": with_format(parameters),
        "responses": responses,
    })
}

const SUMMARY: &str = "`true`, `text`, `data` or `false`; of a search also `count`: only the \
    number of matches";
const ELEMENTS: &str = "names of elements, separated by commas; what is mandatory or modifies \
    the meaning comes in any case";
const SINCE: &str = "stored then or later: an instant with a zone";

fn form_search(resource: &Resource) -> Value {
    let name = resource.name();
    json!({
        "tags": ["fhir"],
        "summary": format!("Searches {name}s; the parameters stand in a form"),
        "description": "The parameters of address and form add up.",
        "operationId": format!("{name}-search-form"),
        "requestBody": {
            "content": { "application/x-www-form-urlencoded": { "schema": { "type": "object" } } },
        },
        "parameters": with_format(Vec::new()),
        "responses": responses(&[200, 400, 406, 413, 415]),
    })
}

/// A search in a compartment.
fn within(member: Member, form: bool) -> Value {
    let (of, name) = (member.of.name(), member.resource.name());
    let mut out = if form {
        form_search(member.resource)
    } else {
        interaction_of(member.resource, Interaction::Search)
    };
    let own = if form { "-form" } else { "" };
    out["summary"] = format!("Searches the {name}s of a {of}").into();
    out["operationId"] = format!("{of}-{name}-search{own}").into();
    if let Some(parameters) = out["parameters"].as_array_mut() {
        parameters.insert(0, path("id"));
    }
    if let Some(told) = out["responses"].as_object_mut() {
        told.extend(responses(&[404]));
    }
    out
}

fn history_system() -> Value {
    json!({
        "tags": ["fhir"],
        "summary": "Lists the versions of all resources, the newest first",
        "description": SystemInteraction::History.about(),
        "operationId": SystemInteraction::History.code(),
        "parameters": with_format(vec![
            query("_count", "versions on a page"),
            query("_since", SINCE),
            query("_summary", SUMMARY),
            query("_elements", ELEMENTS),
        ]),
        "responses": responses(&[200, 400, 406]),
    })
}

fn metadata() -> Value {
    json!({
        "tags": ["fhir"],
        "summary": "What this server does: the CapabilityStatement",
        "operationId": "capabilities",
        "parameters": with_format(vec![query("mode", "`full` (default), `normative` or `terminology`")]),
        "responses": responses(&[200, 304, 400, 406]),
    })
}

/// An operation at one of its places, by POST or by GET.
fn called(operation: &Operation, place: Place, by_post: bool) -> Value {
    let name = operation.name;
    let mut parameters = Vec::new();
    let (at, instance) = match place {
        Place::System => ("system", false),
        Place::Type(resource) => (resource.name(), false),
        Place::Instance(resource) => (resource.name(), true),
    };
    if instance {
        parameters.push(path("id"));
    }
    let sayable = operation.parameters.iter().filter(|p| p.is_primitive());
    parameters.extend(sayable.map(|p| query(p.name, &format!("{}: {}", p.ty, p.about))));
    if let Some(searched) = operation.searches.and_then(by_name) {
        let own = searched.searchable.parameters.iter();
        parameters.extend(own.map(|p| query(p.name, &told(p))));
    }
    parameters.push(header("Prefer"));
    let document = matches!(operation.takes, Takes::Document(_));
    let mut statuses = vec![200, 400, 406];
    // Of what an instance, or a parameter, names.
    statuses.extend((!document).then_some(404));
    statuses.extend(instance.then_some(410));
    if by_post {
        statuses.extend([408, 413, 415]);
    }
    statuses.extend(document.then_some(422));
    statuses.sort_unstable();
    let mut out = json!({
        "tags": ["fhir"],
        "summary": format!("${name}"),
        "description": operation.about,
        "operationId": match (by_post, at, instance) {
            (true, "system", _) => name.to_owned(),
            (true, at, false) => format!("{at}-{name}"),
            (true, at, true) => format!("{at}-instance-{name}"),
            (false, at, false) => format!("{at}-{name}-get"),
            (false, at, true) => format!("{at}-instance-{name}-get"),
        },
        "parameters": with_format(parameters),
        "responses": responses(&statuses),
    });
    if by_post {
        let any = json!({ "schema": { "type": "object" } });
        let (media, required) = match operation.takes {
            Takes::Document(media) => (media, true),
            Takes::Parameters | Takes::Resource => {
                (FHIR_JSON, operation.parameters.iter().any(|p| p.required))
            }
        };
        out["requestBody"] = json!({ "content": { media: any }, "required": required });
    }
    out
}

fn search_parameters(resource: &Resource) -> Vec<Value> {
    let mut out = Vec::new();
    for own in resource.searchable.parameters {
        out.push(query(own.name, &told(own)));
        let chained = own.links.iter().flat_map(|link| link.resource.parameters);
        for chained in chained {
            let name = format!("{}.{}", own.name, chained.name);
            let known = out.iter().any(|parameter| parameter["name"] == name);
            if !known {
                out.push(query(&name, &told(chained)));
            }
        }
    }
    let keys = resource.searchable.sort_keys();
    if !keys.is_empty() {
        let keys = keys.join("`, `");
        out.push(query("_sort", &format!("`{keys}`; descending with `-`")));
    }
    out.push(query(
        "_count",
        "matches on a page, 0 to 1000; 50 by default; 0: only their number",
    ));
    out.push(query(
        "_total",
        "`none` (default), `estimate` or `accurate`",
    ));
    let mut listed = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            let values = values.join("`, `");
            let told = format!("`{values}`; with `:iterate` also of what was included");
            out.push(query(name, &told));
        }
    };
    listed("_include", includes(resource));
    listed("_revinclude", reverse_includes(resource));
    out.push(query("_summary", SUMMARY));
    out.push(query("_elements", ELEMENTS));
    out.push(header("Prefer"));
    out
}

fn told(parameter: &Parameter) -> String {
    format!("{}: `{}`", parameter.ty.as_str(), parameter.reads)
}

fn with_format(mut parameters: Vec<Value>) -> Vec<Value> {
    parameters.push(query(
        "_format",
        "beats `Accept`: `json`, `application/fhir+json` …",
    ));
    parameters.push(query("_pretty", "`true`: indented"));
    parameters
}

fn parameter(name: &str, place: &str, description: &str) -> Value {
    json!({
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": { "type": "string" },
    })
}

fn query(name: &str, description: &str) -> Value {
    parameter(name, "query", description)
}

fn path(name: &str) -> Value {
    let description = match name {
        "vid" => "the version, such as `1`",
        _ => "the logical id",
    };
    parameter(name, "path", description)
}

fn header(name: &str) -> Value {
    let description = match name {
        "Prefer" => "`handling=strict` or `handling=lenient`",
        "If-Match" => "only if this is the current version: `W/\"3\"`",
        "If-Unmodified-Since" => "only if it was not modified since this HTTP date",
        "If-None-Exist" => "only if this search matches nothing: `identifier=…`",
        "If-None-Match" => {
            "not if this is the current version: `W/\"3\"` (304 on a read, 412 on a write)"
        }
        _ => "304 if nothing changed since then",
    };
    parameter(name, "header", description)
}

fn responses(statuses: &[u16]) -> Map<String, Value> {
    let resource = json!({ FHIR_JSON: { "schema": { "type": "object" } } });
    let mut out = Map::new();
    for status in statuses {
        let (description, content) = match status {
            200 => ("The resource", Some(&resource)),
            201 => ("The resource, which was created", Some(&resource)),
            204 => ("It is not there, or not any more", None),
            304 => ("Not modified", None),
            400 => ("The request is wrong (OperationOutcome)", Some(&resource)),
            404 => ("Not found (OperationOutcome)", Some(&resource)),
            406 => ("Only JSON can be given (OperationOutcome)", Some(&resource)),
            408 => (
                "The body did not come in time (OperationOutcome)",
                Some(&resource),
            ),
            405 => (
                "Written by the registries alone (OperationOutcome)",
                Some(&resource),
            ),
            409 => (
                "In conflict with what is stored (OperationOutcome)",
                Some(&resource),
            ),
            410 => ("Deleted (OperationOutcome)", Some(&resource)),
            412 => (
                "The condition does not hold (OperationOutcome)",
                Some(&resource),
            ),
            413 => ("The body is too large (OperationOutcome)", Some(&resource)),
            415 => (
                "The body is in another media type (OperationOutcome)",
                Some(&resource),
            ),
            _ => ("Refused by a rule (OperationOutcome)", Some(&resource)),
        };
        let mut told = json!({ "description": description });
        if let Some(content) = content {
            told["content"] = content.clone();
        }
        out.insert(status.to_string(), told);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_those_of_the_table() {
        let document = document();
        assert_eq!(document.paths.paths.len(), paths().len());
        assert!(
            document
                .paths
                .paths
                .contains_key("/fhir/Observation/{id}/_history/{vid}")
        );
        assert!(
            !document
                .paths
                .paths
                .contains_key("/fhir/Device/{id}/_history")
        );
    }
}
