//! Attacks by what a body says.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::attacker::Attacker;

const FHIR: (&str, &str) = ("Content-Type", "application/fhir+json");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");
/// Bytes below the limit of a body.
const LARGE: usize = 60 << 20;

/// So many bytes of a repeated text between two others, compressed.
fn gzipped(start: &str, unit: &str, end: &str, bytes: usize) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    let block = unit.repeat((1 << 16) / unit.len() + 1);
    let mut write = |text: &str| out.write_all(text.as_bytes()).expect("memory");
    write(start);
    for _ in 0..bytes / block.len() {
        write(&block);
    }
    write(end);
    out.finish().expect("memory")
}

fn patch(attacker: &mut Attacker<'_>, operations: Vec<Value>) {
    let id = attacker.random.pick(attacker.target.observations).clone();
    let body = Value::Array(operations).to_string();
    let headers = [("Content-Type", "application/json-patch+json")];
    attacker.send(
        "PATCH",
        &format!("/fhir/Observation/{id}"),
        &headers,
        body.as_bytes(),
    );
}

/// Copies that double a document, of a note or of everything.
pub fn patch_copies(attacker: &mut Attacker<'_>) {
    let note = json!({ "op": "add", "path": "/note", "value": [{ "text": "x".repeat(700) }] });
    let copies = [
        json!({ "op": "copy", "from": "/note", "path": "/note/-" }),
        json!({ "op": "copy", "from": "/note", "path": "/note/0" }),
        json!({ "op": "copy", "from": "", "path": "/note/-" }),
        json!({ "op": "copy", "from": "", "path": "/x" }),
    ];
    let copy = attacker.random.pick(&copies).clone();
    let times = 10 + attacker.random.below(40);
    patch(attacker, [vec![note], vec![copy; times]].concat());
}

/// Moves and insertions at the front of a long array, and tests of it.
pub fn patch_shifts(attacker: &mut Attacker<'_>) {
    let long = json!({ "op": "add", "path": "/note", "value": vec![0; 100_000] });
    let shifts = [
        json!({ "op": "add", "path": "/note/0", "value": 1 }),
        json!({ "op": "move", "from": "/note/99999", "path": "/note/0" }),
        json!({ "op": "remove", "path": "/note/0" }),
        json!({ "op": "test", "path": "/note/99999", "value": 0 }),
    ];
    let shift = attacker.random.pick(&shifts).clone();
    patch(attacker, [vec![long], vec![shift; 10_000]].concat());
}

/// Paths of many steps, and values that are nested deep.
pub fn patch_depth(attacker: &mut Attacker<'_>) {
    let steps = 1 + attacker.random.below(20_000);
    let path = "/x".repeat(steps);
    let depth = 1 + attacker.random.below(120);
    let value = (0..depth).fold(json!(1), |value, _| json!([value]));
    let deep = vec![json!({ "op": "add", "path": path, "value": 1 })];
    patch(attacker, deep);
    let nested = json!({ "op": "add", "path": "/note", "value": value });
    let into = json!({ "op": "copy", "from": "/note", "path": "/note/0/0" });
    patch(attacker, [vec![nested], vec![into; 500]].concat());
}

/// Sends a compressed body to one of the routes that parse.
fn to_a_parser(attacker: &mut Attacker<'_>, body: &[u8]) {
    let path = *attacker.random.pick(&[
        "/fhir",
        "/fhir/$to-exchange",
        "/fhir/Observation",
        "/exchange/submissions",
    ]);
    let content = if path.starts_with("/fhir") {
        FHIR
    } else {
        JSON
    };
    attacker.send("POST", path, &[content, GZIP], body);
}

/// 60 MB of the same key, of 90 KB.
pub fn repeated_keys(attacker: &mut Attacker<'_>) {
    let key =
        *attacker
            .random
            .pick(&["\"a\":1,", "\"resourceType\":\"Patient\",", "\"entry\":[],"]);
    let body = gzipped("{\"resourceType\":\"Bundle\",", key, "\"b\":1}", LARGE);
    to_a_parser(attacker, &body);
}

/// Brackets and braces without end.
pub fn deep_nesting(attacker: &mut Attacker<'_>) {
    let unit = *attacker.random.pick(&[
        "[",
        "{\"a\":",
        "{\"extension\":[",
        "{\"contained\":[{\"a\":",
    ]);
    let body = gzipped(
        "{\"resourceType\":\"Bundle\",\"entry\":",
        unit,
        "",
        LARGE / 4,
    );
    to_a_parser(attacker, &body);
}

/// Lines of Bundles, or of resources, in which is nothing.
pub fn empty_bundles(attacker: &mut Attacker<'_>) {
    let line = *attacker.random.pick(&[
        "{\"resourceType\":\"Bundle\",\"entry\":[{}]}\n",
        "{\"resourceType\":\"Bundle\"}\n",
        "{\"resourceType\":\"Bundle\",\"entry\":[]}\n",
        "{}\n",
    ]);
    let body = gzipped("", line, "", LARGE);
    let headers = [("Content-Type", "application/fhir+ndjson"), GZIP];
    attacker.send("POST", "/fhir/$to-exchange", &headers, &body);
}

/// A body far above the limit.
pub fn gzip_bomb(attacker: &mut Attacker<'_>) {
    let unit = *attacker.random.pick(&[" ", "0", "[]", "\u{0}"]);
    let body = gzipped("", unit, "", 256 << 20);
    for (path, content) in [("/fhir", FHIR), ("/exchange/submissions", JSON)] {
        attacker.send("POST", path, &[content, GZIP], &body);
    }
}

/// A valid transaction of many megabytes.
pub fn large_transaction(attacker: &mut Attacker<'_>) {
    let patient = attacker.random.pick(attacker.target.patients).clone();
    let note = "n".repeat(10_000);
    let number = 200 + attacker.random.below(2000);
    let entries = (0..number).map(|n| {
        json!({
            "resource": {
                "resourceType": "Observation", "status": "final",
                "code": { "coding": [{ "system": "http://loinc.org", "code": "29463-7" }] },
                "subject": { "reference": format!("Patient/{patient}") },
                "effectiveDateTime": format!("2025-04-02T{:02}:{:02}:00+09:00", n / 60 % 24, n % 60),
                "valueQuantity": { "value": 60, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg" },
                "note": [{ "text": note }],
            },
            "request": { "method": "POST", "url": "Observation" },
        })
    });
    let kind = *attacker.random.pick(&["transaction", "batch"]);
    let body =
        json!({ "resourceType": "Bundle", "type": kind, "entry": entries.collect::<Vec<_>>() });
    attacker.send("POST", "/fhir", &[FHIR], body.to_string().as_bytes());
}

/// Thousands of searches in one Bundle.
pub fn batch_of_searches(attacker: &mut Attacker<'_>) {
    let url = *attacker.random.pick(&[
        "Observation?_count=1000",
        "Observation?_count=1000&_include=*",
        "Patient?_count=1000&_revinclude=Observation:subject",
    ]);
    let entry = json!({ "request": { "method": "GET", "url": url } });
    let kind = *attacker.random.pick(&["transaction", "batch"]);
    let entries = vec![entry; 5000];
    let body = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
    attacker.send("POST", "/fhir", &[FHIR], body.to_string().as_bytes());
}

/// Lists and submissions of rows without sense.
pub fn junk(attacker: &mut Attacker<'_>) {
    let unit = *attacker.random.pick(&[
        "{},",
        "[],",
        "1,",
        "{\"a\":{}},",
        "{\"consortium_id\":\"x\"},",
    ]);
    let list = *attacker
        .random
        .pick(&["participants", "devices", "consortia", "laboratories"]);
    let body = gzipped("[", unit, "{}]", LARGE);
    attacker.send(
        "PUT",
        &format!("/exchange/registries/{list}"),
        &[JSON, GZIP],
        &body,
    );
    let start = "{\"format_version\":\"1.0\",\"person_information\":[";
    let body = gzipped(start, unit, "{}]}", LARGE);
    attacker.send("POST", "/exchange/submissions", &[JSON, GZIP], &body);
}

/// A conditional create whose condition is expensive.
pub fn if_none_exist(attacker: &mut Attacker<'_>) {
    let patient = attacker.random.pick(attacker.target.patients).clone();
    let condition = crate::searches::expensive(attacker);
    let condition = condition.split_once('?').map_or("", |(_, query)| query);
    let body = json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "29463-7" }] },
        "subject": { "reference": format!("Patient/{patient}") },
    });
    let headers = [FHIR, ("If-None-Exist", condition)];
    attacker.send(
        "POST",
        "/fhir/Observation",
        &headers,
        body.to_string().as_bytes(),
    );
}
