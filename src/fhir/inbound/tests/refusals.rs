//! What is refused (mapping specification §5.3).

use super::build::*;
use super::*;

/// A weight with another element.
fn with(name: &str, value: Value) -> Value {
    let mut out = weight(quantity("65.5", "kg"));
    out[name] = value;
    out
}

/// A weight without an element.
fn without(name: &str) -> Value {
    let mut out = weight(quantity("65.5", "kg"));
    out.as_object_mut().unwrap().shift_remove(name);
    out
}

#[test]
fn a_status_that_is_not_final() {
    for status in ["registered", "preliminary", "cancelled", "unknown"] {
        refused(
            with("status", json!(status)),
            Code::StatusNotFinal,
            ".status",
        );
    }
    refused(
        with("status", json!("entered-in-error")),
        Code::StatusWithdrawn,
        ".status",
    );
    for status in ["final", "amended", "corrected"] {
        one(with("status", json!(status)));
    }
}

#[test]
fn no_value_or_a_reason_why_there_is_none() {
    refused(without("valueQuantity"), Code::RequiredMissing, ".value");
    let mut none = without("valueQuantity");
    none["dataAbsentReason"] = json!({"text": "unknown"});
    refused(none, Code::RequiredMissing, ".value");
    let mut part = pressure((LOINC, "85354-9"));
    let component = &mut part["component"][2];
    component
        .as_object_mut()
        .unwrap()
        .shift_remove("valueQuantity");
    component["dataAbsentReason"] = json!({"text": "not measured"});
    refused(part, Code::RequiredMissing, ".component");
}

#[test]
fn what_is_not_one_plain_number() {
    let value = |value: Value| weight(value);
    let kilograms = |value: Value| json!({"value": value, "system": UCUM, "code": "kg"});
    let mut compared = kilograms(json!(65.5));
    compared["comparator"] = json!("<");
    refused(value(compared), Code::ValueNotNumeric, ".value.comparator");
    for (name, text) in [
        ("valueString", json!("65.5")),
        ("valueInteger", json!(65)),
        ("valueRange", json!({"low": {"value": 65}})),
        (
            "valueSampledData",
            json!({"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": "65"}),
        ),
    ] {
        let mut out = without("valueQuantity");
        out[name] = text;
        refused(out, Code::ValueNotNumeric, ".value");
    }
    // A text where R4 has a number is no FHIR at all.
    refused(value(kilograms(json!("65.5"))), Code::Type, ".value.value");
    refused(value(quantity("-1", "kg")), Code::Range, ".value.value");
}

#[test]
fn more_digits_than_the_field_after_rounding() {
    for kilograms in ["12345.5", "9999.995", "1e9"] {
        refused(
            weight(quantity(kilograms, "kg")),
            Code::Digits,
            ".value.value",
        );
    }
    assert_eq!(
        field(&one(weight(quantity("999.994", "kg"))), "body_weight"),
        "999.99"
    );
    let mut high = pressure((LOINC, "85354-9"));
    high["component"][2]["valueQuantity"] = quantity("999.5", "mm[Hg]");
    refused(high, Code::Digits, ".component[2].value.value");
}

#[test]
fn a_unit_that_is_not_listed_for_the_code() {
    refused(
        weight(json!({"value": 65.5, "unit": "stone"})),
        Code::UnitUnknown,
        ".value.unit",
    );
    refused(
        hba1c(&[(LOINC, "59261-8")], quantity("6.1", "%")),
        Code::UnitUnknown,
        ".value.code",
    );
}

#[test]
fn a_time_that_is_no_day_and_no_instant() {
    refused(
        without("effectiveDateTime"),
        Code::TimePrecision,
        ".effective",
    );
    for time in ["2016", "2016-09"] {
        refused(
            with("effectiveDateTime", json!(time)),
            Code::TimePrecision,
            ".effective",
        );
    }
    let mut timing = without("effectiveDateTime");
    timing["effectiveTiming"] = json!({"event": ["2016-09-01T07:30:15+09:00"]});
    refused(timing, Code::TimePrecision, ".effective");
    for time in [
        "2016-09-01T07:30:61+09:00",
        "2016-09-01T07:30:00-14:30",
        "2016-09-01T07:30:15",
        "2016-02-30",
        "yesterday",
    ] {
        refused(
            with("effectiveDateTime", json!(time)),
            Code::TimeInvalid,
            ".effective",
        );
    }
}

#[test]
fn an_element_that_changes_the_meaning() {
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
}

#[test]
fn a_code_of_no_kind_or_one_that_is_refused() {
    let plainly = |code, value| observation(concept(&[(LOINC, code)]), value);
    refused(
        plainly("8341-0", quantity("65", "kg")),
        Code::CodeUnsupported,
        ".code",
    );
    refused(
        plainly("8867-4", quantity("68", "/min")),
        Code::CodeUnsupported,
        ".code",
    );
    refused(
        plainly("41982-0", quantity("18", "%")),
        Code::RequiredMissing,
        "",
    );
    // Of no kind at all: not ours, which refuses nothing where something else is.
    let other = plainly("1-1", quantity("65", "kg"));
    let (submissions, outcome) =
        read(&bundle(vec![other, weight(quantity("65", "kg"))]).to_string());
    assert_eq!(errors(&outcome), []);
    assert_eq!(records(&submissions).len(), 1);
    let told = (Code::CodeUnsupported, "Bundle.entry[3].resource".to_owned());
    assert!(of(&outcome, Severity::Information).contains(&told));
}

#[test]
fn nobody_and_no_laboratory() {
    let nobody = with("subject", json!({"reference": "Patient/nobody"}));
    refused(nobody, Code::ParticipantUnknown, ".subject");
    refused(without("subject"), Code::ParticipantUnknown, ".subject");
    let mut lost = hba1c(&[(LOINC, "4548-4")], quantity("6.1", "%"));
    lost["performer"] = json!([{"reference": "Practitioner/x"}]);
    refused(lost, Code::LaboratoryUnknown, ".performer");
}

#[test]
fn what_r4_does_not_have() {
    refused(
        with("effectivDateTime", json!("2016-09-01")),
        Code::UnknownField,
        ".effectivDateTime",
    );
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
fn a_laboratory_in_an_identifier_fits_its_field() {
    for (source, code) in [
        ("0000000000001", Code::Digits),
        ("000\u{7}00000001", Code::Type),
        ("000\u{fffd}000000001", Code::Digits),
    ] {
        let mut out = hba1c(&[(LOINC, "4548-4")], quantity("6.5", "%"));
        out["performer"] = json!([{"reference": "Organization/elsewhere"}]);
        out["identifier"] = json!([{"system": "https://kenko-fhir.example/fhir/sid/record",
            "value": format!("A00001:P0000000000000000001:hba1c:20161003000000:{source}")}]);
        refused(out, code, ".identifier");
    }
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
