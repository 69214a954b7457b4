//! The OpenAPI document: from the routes, with the schema of submissions from the mappings.

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use super::App;
use super::exchange::receipt;
use crate::exchange::schema;
use crate::kind::Kinds;
use crate::registry::{self, List, Options, write};

/// A submission to try.
const SUBMISSION: &str = include_str!("../../examples/first.json");

/// Registry rows to try; the submission names them.
const REGISTRIES: [(&str, &str); 6] = [
    (
        "consortia",
        include_str!("../../examples/registries/consortia.json"),
    ),
    (
        "participants",
        include_str!("../../examples/registries/participants.json"),
    ),
    (
        "laboratories",
        include_str!("../../examples/registries/laboratories.json"),
    ),
    (
        "devices",
        include_str!("../../examples/registries/devices.json"),
    ),
    (
        "hba1c-methods",
        include_str!("../../examples/registries/hba1c-methods.json"),
    ),
    (
        "activity-recording-times",
        include_str!("../../examples/registries/activity-recording-times.json"),
    ),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "kenko-fhir",
        description = "Bridge between Japan's health information exchange protocol \
            (健康情報等交換規約) and HL7 FHIR R4.\n\n\
            To try it on an empty database: send each example of `PATCH /exchange/registries/{list}`, \
            then the example of `POST /exchange/submissions`, then read it back from \
            `GET /exchange/records` and from `/fhir/Observation`.\n\n\
            Messages are in English or Japanese, by `Accept-Language`. Every answer carries \
            `X-Request-Id`; one that is sent is kept."
    ),
    tags(
        (name = "exchange", description = "The protocol: submissions, receipts, records"),
        (name = "registries", description = "The six lists that are registered before data flows"),
        (name = "fhir", description = "FHIR R4"),
        (name = "operation", description = "Probes and pages"),
    )
)]
struct Document;

/// A router that begins the document.
pub fn begin() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// The document of a running program: of its routes and its record kinds.
pub fn document(api: utoipa::openapi::OpenApi, kinds: &Kinds) -> String {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    add_submission(&mut document, kinds);
    add_examples(&mut document);
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// The JSON Schema of a submission as components: each kind has one, with references that
/// hold in this document.
fn add_submission(document: &mut Value, kinds: &Kinds) {
    let mut submission = schema::submission(kinds);
    let Some(object) = submission.as_object_mut() else {
        return;
    };
    object.remove("$schema");
    let parts = object.remove("$defs");
    let Some(components) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if let Some(Value::Object(parts)) = parts {
        for (name, mut part) in parts {
            point_to_components(&mut part);
            components.insert(component(&name), part);
        }
    }
    point_to_components(&mut submission);
    components.insert("Submission".into(), submission);
    sort(components);
}

fn component(name: &str) -> String {
    format!("Submission.{name}")
}

fn point_to_components(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{}", component(name));
            }
            object.values_mut().for_each(point_to_components);
        }
        Value::Array(items) => items.iter_mut().for_each(point_to_components),
        _ => {}
    }
}

fn sort(object: &mut Map<String, Value>) {
    object.sort_keys();
}

fn add_examples(document: &mut Value) {
    let submission: Value = serde_json::from_str(SUBMISSION).unwrap_or_default();
    let one = json!({ "first": { "summary": "Two participants, every record kind", "value": submission } });
    for path in ["exchange~1submissions", "fhir~1$to-fhir"] {
        let media = format!("/paths/~1{path}/post/requestBody/content/application~1json");
        set(document, &media, "examples", one.clone());
    }
    for status in ["200", "201"] {
        let media = format!(
            "/paths/~1exchange~1submissions/post/responses/{status}/content/application~1json"
        );
        let receipt = serde_json::to_value(receipt::example()).unwrap_or_default();
        set(document, &media, "example", receipt);
    }
    let mut rows = Map::new();
    let mut tables = Map::new();
    for (name, text) in REGISTRIES {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        rows.insert(name.into(), json!({ "summary": name, "value": value }));
        if let Some(table) = table(name, text) {
            tables.insert(name.into(), json!({ "summary": name, "value": table }));
        }
    }
    let lists: Vec<&str> = List::ALL.iter().map(|list| list.name).collect();
    for method in ["get", "put", "patch"] {
        let operation = format!("/paths/~1exchange~1registries~1{{list}}/{method}");
        let schema = format!("{operation}/parameters/0/schema");
        set(document, &schema, "enum", json!(lists));
        let content = format!("{operation}/requestBody/content");
        for (media, examples) in [("application~1json", &rows), ("text~1csv", &tables)] {
            let examples = Value::Object(examples.clone());
            set(
                document,
                &format!("{content}/{media}"),
                "examples",
                examples,
            );
        }
    }
}

/// An example as CSV.
fn table(list: &str, text: &str) -> Option<String> {
    let list = List::by_name(list)?;
    let read = registry::read_json(list, text.as_bytes(), &Options::default()).ok()?;
    let mut out = Vec::new();
    write::write_csv(list, &read.rows, &mut out).ok()?;
    String::from_utf8(out).ok()
}

/// Sets a member of the object at a pointer, where there is one.
fn set(document: &mut Value, pointer: &str, name: &str, value: Value) {
    if let Some(Value::Object(object)) = document.pointer_mut(pointer) {
        object.insert(name.into(), value);
    }
}
