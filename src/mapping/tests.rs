//! Forward against the worked examples in `tests/golden/<kind>/`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Context, Meta, Registered, forward};
use crate::exchange::{self, Submission};
use crate::fhir::id;
use crate::kind::{Kind, Kinds, Type};

/// One method, of class 2 (HPLC).
struct Methods;

impl Registered for Methods {
    fn column(&self, list: &str, key: &str, column: &str) -> Option<&str> {
        ((list, key, column) == ("hba1c-methods", "000001", "method_class_code")).then_some("2")
    }
}

fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn kinds() -> Kinds {
    let optional = manifest("mappings/optional");
    Kinds::load(Some(&optional), Default::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// A submission of one record, given as the protocol writes it.
fn read(kinds: &Kinds, kind: &Kind, record: &str) -> Submission {
    let (section, array) = (&kind.section, &kind.array);
    let text = format!(
        r#"{{"format_version":"1.0","send_time":"20161231000000000","consortium_id":"A00001",
            "person_information":[{{"person_id":"P0000000000000000001",
            "{section}":{{"{array}":[{record}]}}}}]}}"#
    );
    let submission =
        exchange::read(kinds, exchange::Options::default(), text.as_bytes()).expect("JSON");
    let faults: Vec<_> = submission.all_faults().collect();
    assert!(faults.is_empty(), "{faults:?}");
    submission
}

/// What the panel (or the anchor, or a part) of the record reads as.
fn render(kinds: &Kinds, submission: &Submission, shape: &str, like: &Value) -> Value {
    let record = submission.record(kinds, &submission.rows[0]);
    let mapping = &record.kind.mapping;
    let item = shape.strip_prefix("part-");
    let mut key = forward::key(&record, record.kind);
    let program = match (shape, item) {
        ("resource", _) => &mapping.panel.program,
        ("anchor", _) => &mapping.anchor.as_ref().expect("an anchor").program,
        (_, Some(item)) => {
            let place = record.kind.field(item).expect("a field");
            let part = mapping.parts.iter().find(|p| p.field == place);
            let part = part.expect("a part");
            key.kind = part.hash;
            &part.shape.program
        }
        _ => panic!("what is {shape}.json?"),
    };
    let reference = |v: &Value| v["reference"].as_str().unwrap_or_default().to_owned();
    let (subject, device, laboratory) = (
        reference(&like["subject"]),
        reference(&like["device"]),
        reference(&like["performer"][0]),
    );
    let context = Context {
        key: &key,
        meta: None,
        status: "final",
        subject: &subject,
        device: &device,
        laboratory: &laboratory,
        registry: &Methods,
        item,
    };
    let mut out = Vec::new();
    program.write(&mut out, &record, &context);
    let value: Value = serde_json::from_slice(&out)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)));
    assert_eq!(value["id"], key.encode());
    value
}

#[test]
fn the_worked_examples_read_as_specified() {
    let kinds = kinds();
    for kind in kinds.iter() {
        let folder = manifest("tests/golden").join(&kind.name);
        let record = std::fs::read_to_string(folder.join("record.json"))
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let submission = read(&kinds, kind, &record);
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let shape = path.file_stem().and_then(|s| s.to_str()).expect("a name");
            if shape == "record" {
                continue;
            }
            let text = std::fs::read(&path).expect("a file");
            let mut expected: Value = serde_json::from_slice(&text).expect("JSON");
            let found = render(&kinds, &submission, shape, &expected);
            // The examples carry ids of another function.
            expected["id"] = found["id"].clone();
            assert_eq!(found, expected, "{}: found\n{found:#}", path.display());
        }
    }
}

/// A record of the kind with the optional fields whose bits are set.
fn some_record(kind: &Kind, optional: u32) -> Value {
    let mut record = json!({});
    let mut bit = 0;
    for field in &kind.fields {
        if !field.required {
            bit += 1;
            if optional >> (bit - 1) & 1 == 0 {
                continue;
            }
        }
        record[&field.name] = match field.ty {
            Type::Time14 => json!("20160901073015"),
            Type::Time17 => json!("20160901081500123"),
            Type::Number { .. } => {
                // The lower bound would be below another's in a pair.
                let (_, high) = &field.plausible_text;
                serde_json::from_str(if high.is_empty() { "7" } else { high }).expect("a number")
            }
            Type::Text { .. } => json!("000001"),
            Type::Code => json!(field.codes[0].code),
        };
    }
    record
}

fn assert_nothing_empty(value: &Value, all: &Value) {
    match value {
        Value::Object(members) => {
            assert!(!members.is_empty(), "an empty object: {all:#}");
            members.values().for_each(|v| assert_nothing_empty(v, all));
        }
        Value::Array(items) => {
            assert!(!items.is_empty(), "an empty array: {all:#}");
            items.iter().for_each(|v| assert_nothing_empty(v, all));
        }
        Value::String(text) => assert!(!text.is_empty(), "an empty string: {all:#}"),
        other => assert!(!other.is_null(), "null: {all:#}"),
    }
}

#[test]
fn whatever_is_absent_leaves_nothing_empty_behind() {
    let kinds = kinds();
    let like = json!({
        "subject": { "reference": "Patient/p" },
        "device": { "reference": "Device/d" },
        "performer": [{ "reference": "Organization/o" }],
    });
    for kind in kinds.iter() {
        let optional = kind.fields.iter().filter(|f| !f.required).count();
        for bits in 0..1 << optional {
            let record = some_record(kind, bits);
            let submission = read(&kinds, kind, &record.to_string());
            let panel = render(&kinds, &submission, "resource", &like);
            assert_nothing_empty(&panel, &panel);
            let components = panel["component"].as_array().map_or(0, Vec::len);
            let expected = kind.mapping.panel.root.get("component").map_or(0, |c| {
                let is_there = |item: &&super::Node| {
                    (0..kind.fields.len()).any(|i| {
                        item.contains(super::Hole::Field(i))
                            && !record[&kind.fields[i].name].is_null()
                    })
                };
                c.items().iter().filter(is_there).count()
            });
            assert_eq!(components, expected, "{panel:#}");
        }
    }
}

#[test]
fn a_server_adds_version_and_last_update_to_meta() {
    let kinds = kinds();
    for kind in kinds.iter() {
        let submission = read(&kinds, kind, &some_record(kind, 0).to_string());
        let record = submission.record(&kinds, &submission.rows[0]);
        let key = forward::key(&record, kind);
        let context = Context {
            key: &key,
            meta: Some(Meta {
                version: 2,
                updated: 1_475_938_801_000,
            }),
            status: "corrected",
            subject: "Patient/p",
            device: "Device/d",
            laboratory: "Organization/o",
            registry: &super::Unregistered,
            item: None,
        };
        let mut out = Vec::new();
        kind.mapping
            .panel
            .program
            .write(&mut out, &record, &context);
        let value: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(value["meta"]["versionId"], "2");
        assert_eq!(
            value["meta"]["lastUpdated"],
            "2016-10-09T00:00:01.000+09:00"
        );
        assert_eq!(value["status"], "corrected");
    }
}

#[test]
fn the_identity_of_a_record_is_escaped_in_its_identifier() {
    let kinds = kinds();
    let kind = kinds.get("weighing_scale").expect("weights");
    let mut record = some_record(kind, 0);
    record["production_specification_serial"] = json!("a:b%\"\\𠮟");
    let submission = read(&kinds, kind, &record.to_string());
    let panel = render(&kinds, &submission, "resource", &json!({}));
    let identity = panel["identifier"][0]["value"].as_str().expect("a string");
    let record = submission.record(&kinds, &submission.rows[0]);
    assert_eq!(identity, forward::identity(&record));
    assert_eq!(id::split(identity)[4], "a:b%\"\\𠮟");
}

#[test]
fn accepts_holds_what_the_template_says_before_what_the_file_adds() {
    let kinds = kinds();
    let codes = |kind: &str, field: &str| -> Vec<String> {
        let kind = kinds.get(kind).expect("a kind");
        let accepts = &kind.mapping.accepts.fields[&kind.field(field).expect("a field")];
        accepts.codes.iter().map(|c| c.code.clone()).collect()
    };
    let pulse = codes("home_blood_pressure", "pulse_rate");
    assert_eq!(
        pulse,
        [
            "8867-4",
            "31001390",
            "149546",
            "heartRate",
            "31000595",
            "9N121"
        ]
    );
    assert_eq!(codes("physical_activity", "walk_time"), ["walk_time"]);
    let weight = codes("weighing_scale", "body_weight");
    assert!(weight.contains(&"29463-7".into()) && weight.contains(&"3141-9".into()));
    // The unit of the template needs no entry.
    let kind = kinds.get("physical_activity").expect("activity");
    let exercise = kind.field("exercise").expect("a field");
    let units = &kind.mapping.accepts.fields[&exercise].units;
    assert_eq!(units[0].code, "[MET].h");
    assert_eq!(units[0].texts, ["METs·h"]);
}
