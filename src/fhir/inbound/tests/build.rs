//! Resources as others write them, for the tests.

use serde_json::{Value, json};

use super::{bundle, errors, read, records};
use crate::fault::Code;

pub const LOINC: &str = "http://loinc.org";
pub const UCUM: &str = "http://unitsofmeasure.org";
pub const MEDIS: &str = "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode";

pub fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

pub fn concept(codes: &[(&str, &str)]) -> Value {
    let codings: Vec<_> = codes.iter().map(|(s, c)| coding(s, c)).collect();
    json!({ "coding": codings })
}

pub fn quantity(value: &str, code: &str) -> Value {
    let value: serde_json::Number = value.parse().unwrap();
    json!({"value": value, "system": UCUM, "code": code})
}

/// An Observation of the device `d`.
pub fn observation(code: Value, value: Value) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": code,
        "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2016-09-01T07:30:15+09:00",
        "issued": "2016-09-01T08:15:00.123+09:00", "device": {"reference": "Device/d"},
        "valueQuantity": value})
}

pub fn weight(value: Value) -> Value {
    observation(concept(&[(LOINC, "29463-7")]), value)
}

pub fn hba1c(codes: &[(&str, &str)], value: Value) -> Value {
    let mut out = observation(concept(codes), value);
    out["performer"] = json!([{"reference": "Organization/o"}]);
    out["effectiveDateTime"] = json!("2016-10-03");
    out["issued"] = json!("2016-10-05T12:00:00.000+09:00");
    out
}

pub fn steps(code: &str, value: Value) -> Value {
    let mut out = observation(concept(&[(LOINC, code)]), value);
    out["effectiveDateTime"] = json!("2016-09-01");
    out["component"] = json!([component(
        concept(&[(
            "https://kenko-fhir.example/fhir/CodeSystem/protocol-item",
            "total_active_duration"
        )]),
        quantity("24", "h")
    )]);
    out
}

pub fn component(code: Value, value: Value) -> Value {
    json!({"code": code, "valueQuantity": value})
}

pub fn pressure(code: (&str, &str)) -> Value {
    let mut out = observation(concept(&[code]), json!(null));
    out.as_object_mut().unwrap().shift_remove("valueQuantity");
    out["component"] = json!([
        component(concept(&[(LOINC, "8867-4")]), quantity("68", "/min")),
        component(concept(&[(LOINC, "8462-4")]), quantity("82.4", "mm[Hg]")),
        component(concept(&[(MEDIS, "31001848")]), quantity("128", "mm[Hg]")),
    ]);
    out
}

pub fn one(observation: Value) -> Value {
    let (submissions, outcome) = read(&bundle(vec![observation]).to_string());
    assert_eq!(errors(&outcome), []);
    let mut records = records(&submissions);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[track_caller]
pub fn refused(observation: Value, code: Code, below: &str) {
    let (submissions, outcome) = read(&bundle(vec![observation]).to_string());
    let expected = (code, format!("Bundle.entry[3].resource{below}"));
    assert_eq!(errors(&outcome), [expected]);
    assert!(records(&submissions).is_empty());
}

pub fn field(record: &Value, name: &str) -> String {
    record[name].to_string()
}
