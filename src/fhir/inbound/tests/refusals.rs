//! What is refused (mapping specification §5.3).

use super::build::*;
use super::*;

#[test]
fn what_is_refused_outright() {
    let with = |name: &str, value: Value| {
        let mut out = weight(quantity("65.5", "kg"));
        out[name] = value;
        out
    };
    for (status, code) in [
        ("preliminary", Code::StatusNotFinal),
        ("unknown", Code::StatusNotFinal),
        ("entered-in-error", Code::StatusWithdrawn),
    ] {
        refused(with("status", json!(status)), code, ".status");
    }
    for time in ["2016", "2016-09"] {
        refused(
            with("effectiveDateTime", json!(time)),
            Code::TimePrecision,
            ".effective",
        );
    }
    for time in [
        "2016-09-01T07:30:60+09:00",
        "2016-09-01T07:30:15",
        "yesterday",
    ] {
        refused(
            with("effectiveDateTime", json!(time)),
            Code::TimeInvalid,
            ".effective",
        );
    }
    refused(
        with(
            "modifierExtension",
            json!([{"url": "x", "valueBoolean": true}]),
        ),
        Code::Modifier,
        ".modifierExtension",
    );
    refused(
        with("implicitRules", json!("http://rules")),
        Code::Modifier,
        ".implicitRules",
    );
    let value = |value: Value| weight(value);
    refused(value(quantity("-1", "kg")), Code::Range, ".value.value");
    refused(
        value(quantity("12345.5", "kg")),
        Code::Digits,
        ".value.value",
    );
    refused(
        value(json!({"value": "65.5", "system": UCUM, "code": "kg"})),
        Code::Type,
        ".value.value",
    );
    refused(
        value(json!({"value": 65.5, "comparator": "<", "system": UCUM, "code": "kg"})),
        Code::ValueNotNumeric,
        ".value.comparator",
    );
    refused(
        value(json!({"value": 65.5, "unit": "stone"})),
        Code::UnitUnknown,
        ".value.unit",
    );
    let mut text = weight(json!(null));
    text.as_object_mut().unwrap().shift_remove("valueQuantity");
    let mut none = text.clone();
    text["valueString"] = json!("65.5");
    refused(text, Code::ValueNotNumeric, ".value");
    none["dataAbsentReason"] = json!({"text": "unknown"});
    refused(none, Code::RequiredMissing, "");
    let mut nobody = weight(quantity("65.5", "kg"));
    nobody["subject"] = json!({"reference": "Patient/nobody"});
    refused(nobody, Code::ParticipantUnknown, ".subject");
    let mut lost = hba1c(&[(LOINC, "4548-4")], quantity("6.1", "%"));
    lost["performer"] = json!([{"reference": "Practitioner/x"}]);
    refused(lost, Code::LaboratoryUnknown, ".performer");
    refused(
        observation(concept(&[(LOINC, "8867-4")]), quantity("68", "/min")),
        Code::CodeUnsupported,
        ".code",
    );
    refused(
        observation(concept(&[(LOINC, "41982-0")]), quantity("18", "%")),
        Code::RequiredMissing,
        "",
    );
    refused(
        observation(concept(&[(LOINC, "8341-0")]), quantity("65", "kg")),
        Code::CodeUnsupported,
        ".code",
    );
    let mut misspelt = weight(quantity("65.5", "kg"));
    misspelt["effectivDateTime"] = json!("2016-09-01");
    refused(misspelt, Code::UnknownField, ".effectivDateTime");
}

#[test]
fn an_identifier_of_another_record_is_refused() {
    let mut out = weight(quantity("65.5", "kg"));
    out["category"] = json!([concept(&[(
        "https://kenko-fhir.example/fhir/CodeSystem/record-kind",
        "weighing_scale"
    )])]);
    out["identifier"] = json!([{"system": "https://kenko-fhir.example/fhir/sid/record",
        "value": "A00001:P0000000000000000001:weighing_scale:20160901073016:S%3A1"}]);
    refused(out.clone(), Code::Identity, "");
    out["identifier"][0]["value"] =
        json!("A00001:P0000000000000000001:weighing_scale:20160901073015:S%3A1");
    one(out);
}

#[test]
fn an_element_of_several_types_has_one() {
    let mut out = weight(quantity("65.5", "kg"));
    out["effectiveInstant"] = json!("2016-09-01T07:30:16+09:00");
    refused(out, Code::Type, ".effective");
    let mut out = weight(quantity("65.5", "kg"));
    out["component"] = json!({"code": {}});
    refused(out, Code::Type, ".component");
    let mut out = weight(quantity("65.5", "kg"));
    out["performer"] = json!({"reference": "Patient/p"});
    refused(out, Code::Type, ".performer");
}
