//! The JSON Schema of the protocol, generated from the mappings.

use serde_json::{Map, Value, json};

use crate::kind::{Field, Kind, Kinds, Type};

/// What the reader refuses and a JSON Schema cannot say; the differential test holds the
/// reader and the schema together but for these.
pub const NOT_SAID: [&str; 7] = [
    "the decimals that were written, exponents and a minus sign before zero",
    "times that no calendar has",
    "the same key twice in one object, a field together with its alias",
    "a null is an absent field",
    "observation_time later than send_time by more than a day",
    "the same identity twice with different content",
    "lengths of strings before and after normalisation to NFC",
];

/// The schema (draft 2020-12) of a submission, both editions and all aliases accepted.
pub fn submission(kinds: &Kinds) -> Value {
    let mut person = Map::new();
    person.insert("person_id".into(), id(20));
    let mut defs = Map::new();
    for section in &kinds.sections {
        let mut arrays = Map::new();
        for kind in kinds.iter().filter(|k| &k.section == section) {
            defs.insert(kind.name.clone(), record(kind));
            let items = json!({ "$ref": format!("#/$defs/{}", kind.name) });
            arrays.insert(
                kind.array.clone(),
                json!({ "type": ["array", "null"], "items": items }),
            );
        }
        let object =
            json!({ "type": "object", "properties": arrays, "additionalProperties": false });
        defs.insert(section.clone(), object);
        let one = json!({ "$ref": format!("#/$defs/{section}") });
        person.insert(
            section.clone(),
            json!({ "anyOf": [one, { "type": "array", "items": one }, { "type": "null" }] }),
        );
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "健康情報等交換規約: a submission",
        "$comment": format!("What this schema cannot say: {}.", NOT_SAID.join("; ")),
        "type": "object",
        "required": ["format_version", "send_time", "consortium_id", "person_information"],
        "additionalProperties": false,
        "properties": {
            "format_version": { "type": "string", "pattern": "^1\\.[0-9]+$" },
            "send_time": { "type": "string", "pattern": "^[0-9]{17}$" },
            "consortium_id": id(6),
            "person_information": {
                "type": "array",
                "items": {
                    "type": "object", "required": ["person_id"], "additionalProperties": false,
                    "properties": person
                }
            }
        },
        "$defs": defs
    })
}

fn id(max: u32) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9A-Za-z]{{1,{max}}}$") })
}

fn record(kind: &Kind) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut one_of = Vec::new();
    for field in &kind.fields {
        let names: Vec<&String> = std::iter::once(&field.name)
            .chain(&field.name_2016)
            .chain(&field.aliases)
            .collect();
        for name in &names {
            properties.insert((*name).clone(), value(field));
        }
        match &names[..] {
            [name] if field.required => required.push((*name).clone()),
            [_] => {}
            names => {
                let given = |n: &&String| json!({ "required": [n] });
                if field.required {
                    one_of.push(json!({ "oneOf": names.iter().map(given).collect::<Vec<_>>() }));
                }
            }
        }
    }
    let mut schema = json!({
        "title": kind.title.ja,
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties
    });
    if !one_of.is_empty() {
        schema["allOf"] = Value::Array(one_of);
    }
    schema
}

fn value(field: &Field) -> Value {
    let or_null = |name: &str| {
        if field.required {
            json!(name)
        } else {
            json!([name, "null"])
        }
    };
    let mut schema = match field.ty {
        Type::Time14 => json!({ "type": or_null("string"), "pattern": "^[0-9]{14}$" }),
        Type::Time17 => json!({ "type": or_null("string"), "pattern": "^[0-9]{17}$" }),
        Type::Number {
            digits, integer, ..
        } => {
            let name = if integer { "integer" } else { "number" };
            let most = 10_u64.pow(u32::from(digits)) - 1;
            json!({ "type": or_null(name), "minimum": 0, "maximum": most })
        }
        Type::Text { max } => json!({
            "type": or_null("string"), "minLength": 1, "maxLength": max,
            "pattern": "^[^\\u0000-\\u001F\\u007F-\\u009F]*$"
        }),
        Type::Code => {
            let mut codes: Vec<Value> = field.codes.iter().map(|c| json!(c.code)).collect();
            if !field.required {
                codes.push(Value::Null);
            }
            json!({ "enum": codes })
        }
    };
    schema["title"] = json!(field.title.ja);
    if !field.unit.is_empty() {
        schema["$comment"] = json!(field.unit);
    }
    schema
}
