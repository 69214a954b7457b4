//! FHIR in, against FHIR out and against the examples of the mapping specification.

mod build;
mod codes;
mod crosswalk;
mod fallbacks;
mod input;
mod joins;
mod pitfalls;
mod refusals;
mod round_trip;
mod stand_in;
mod times;
mod units;
mod units_activity;

use serde_json::{Value, json};

use super::{Known, Options, Outcome, read_any};
use crate::exchange::{self, Submission};
use crate::fault::{Code, Severity};
use crate::kind::{Edition, Kinds};
use crate::registry::{self, List, Registries, Row};

fn kinds() -> &'static Kinds {
    static KINDS: std::sync::OnceLock<Kinds> = std::sync::OnceLock::new();
    KINDS.get_or_init(|| Kinds::embedded().unwrap())
}

fn options() -> Options {
    Options {
        now: 1_475_636_400_000,
        ..Options::default()
    }
}

fn read(text: &str) -> (Vec<Submission>, Outcome) {
    read_by(&Registries::new(), text)
}

fn read_by(lists: &Registries, text: &str) -> (Vec<Submission>, Outcome) {
    let input = read_any(kinds(), options(), text.as_bytes()).unwrap();
    input.finish(kinds(), Known::of(lists))
}

/// Lists of one row each: list, and field with value.
fn lists(rows: &[(&'static List, &[(&str, &str)])]) -> Registries {
    let mut out = Registries::new();
    for (list, fields) in rows {
        let mut row = Row::new(list);
        for (field, value) in *fields {
            row.put(field, value).unwrap();
        }
        out.insert(row);
    }
    out
}

/// A submission in normal form.
fn written(submission: &Submission) -> String {
    let out = exchange::write(Vec::new(), kinds(), submission, Edition::E2017).unwrap();
    String::from_utf8(out).unwrap()
}

/// The records of a submission, as (kind's array, record).
fn records(submissions: &[Submission]) -> Vec<Value> {
    let mut out = Vec::new();
    for submission in submissions {
        let value: Value = serde_json::from_str(&written(submission)).unwrap();
        for person in value["person_information"].as_array().unwrap() {
            for section in person.as_object().unwrap().values() {
                for array in section.as_object().into_iter().flat_map(|s| s.values()) {
                    out.extend(array.as_array().unwrap().iter().cloned());
                }
            }
        }
    }
    out
}

/// A Patient, a Device and an Organization, and the Observations that refer to them.
fn bundle(observations: Vec<Value>) -> Value {
    let base = "https://kenko-fhir.example/fhir";
    let mut entries = vec![
        json!({"fullUrl": "http://ehr/Patient/p", "resource": {"resourceType": "Patient", "id": "p",
            "identifier": [{"system": "http://ehr/mrn", "value": "1"},
                {"system": format!("{base}/sid/consortium/A00001/person"), "value": "P0000000000000000001"}]}}),
        json!({"fullUrl": "http://ehr/Device/d", "resource": {"resourceType": "Device", "id": "d",
            "manufacturer": "ACME", "modelNumber": "X-1", "serialNumber": "S:1"}}),
        json!({"fullUrl": "http://ehr/Organization/o", "resource": {"resourceType": "Organization", "id": "o",
            "identifier": [{"system": format!("{base}/sid/consortium/A00001/test-lab"), "value": "000000000001"}]}}),
    ];
    for (i, observation) in observations.into_iter().enumerate() {
        entries.push(
            json!({"fullUrl": format!("http://ehr/Observation/{i}"), "resource": observation}),
        );
    }
    json!({"resourceType": "Bundle", "type": "collection",
        "timestamp": "2016-10-05T12:00:05.123+09:00", "entry": entries})
}

/// What is told as an error: code and expression.
fn errors(outcome: &Outcome) -> Vec<(Code, String)> {
    of(outcome, Severity::Error)
}

fn of(outcome: &Outcome, severity: Severity) -> Vec<(Code, String)> {
    let issues = outcome.issues.iter();
    issues
        .filter(|i| i.fault.severity == severity)
        .map(|i| (i.fault.code, i.fault.pointer.clone()))
        .collect()
}
