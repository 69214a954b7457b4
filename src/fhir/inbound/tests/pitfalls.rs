//! What peers stumble over (mapping specification §6), each row a test.

use super::build::*;
use super::*;

#[test]
fn the_examples_of_jp_core_write_units_as_texts() {
    let mut out = weight(json!({"value": 65.5, "unit": "kg"}));
    out["code"] = concept(&[(
        "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationBodyMeasurementCode_CS",
        "31000296",
    )]);
    assert_eq!(field(&one(out), "body_weight"), "65.5");
}

#[test]
fn categories_say_nothing_but_ours() {
    const HL7: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
    const SIMPLE: &str = "http://jpfhir.jp/fhir/core/CodeSystem/JP_SimpleObservationCategory_CS";
    for categories in [
        // Both in one concept, one of another quantity, a misspelt system, none at all.
        json!([concept(&[
            (HL7, "vital-signs"),
            (SIMPLE, "body-measurement")
        ])]),
        json!([concept(&[(HL7, "laboratory")])]),
        json!([concept(&[(
            "http://hl7.org/observation-categry",
            "vital-signs"
        )])]),
        json!([{"text": "vital signs"}]),
    ] {
        let mut out = weight(quantity("65.5", "kg"));
        out["category"] = categories;
        one(out);
    }
}

#[test]
fn a_value_out_of_range_is_warned_about() {
    let mut out = pressure((LOINC, "85354-9"));
    out["component"][0]["valueQuantity"] = json!({"value": 400, "unit": "回/分"});
    let (submissions, outcome) = read(&bundle(vec![out]).to_string());
    assert_eq!(records(&submissions).len(), 1);
    let warned = of(&outcome, Severity::Warning);
    assert_eq!(warned[0].0, Code::Implausible);
    assert!(warned[0].1.contains("component[0]"));
}

#[test]
fn a_status_that_is_unknown_and_a_time_of_1970() {
    let mut out = steps("41950-7", json!({"value": 8523, "unit": "steps"}));
    out["status"] = json!("unknown");
    out["issued"] = json!("1970-01-18T09:51:00Z");
    out["component"] = json!([{"code": {"coding": [{"code": "maximum"}]},
        "valueQuantity": {"value": 8523, "system": UCUM, "code": "{steps}/{tot}"}}]);
    refused(out.clone(), Code::StatusNotFinal, ".status");
    out["status"] = json!("final");
    let (_, outcome) = read(&bundle(vec![out]).to_string());
    let warned = of(&outcome, Severity::Warning);
    let issued = (
        Code::Implausible,
        "Bundle.entry[3].resource.issued".to_owned(),
    );
    assert!(warned.contains(&issued), "{warned:?}");
}

#[test]
fn the_day_is_that_of_japan_whatever_the_zone_of_the_phone() {
    for (written, expected) in [
        ("2016-08-31T17:30:15-05:00", "20160901073015"),
        ("2016-09-01T00:30:15+02:00", "20160901073015"),
        ("2016-08-31T15:00:00Z", "20160901000000"),
    ] {
        let mut out = weight(quantity("65.5", "kg"));
        out["effectiveDateTime"] = json!(written);
        assert_eq!(one(out)["observation_time"], expected, "{written}");
    }
}

#[test]
fn a_diastolic_pressure_under_the_code_of_a_pulse_is_not_guessed() {
    let mut out = pressure((LOINC, "85354-9"));
    out["component"] = json!([
        component(concept(&[(LOINC, "8480-6")]), quantity("128", "mm[Hg]")),
        component(concept(&[(LOINC, "8867-4")]), quantity("82", "mm[Hg]")),
    ]);
    let (submissions, outcome) = read(&bundle(vec![out]).to_string());
    assert!(records(&submissions).is_empty());
    let at = "Bundle.entry[3].resource.component[1].value.code".to_owned();
    assert!(errors(&outcome).contains(&(Code::UnitUnknown, at)));
}

#[test]
fn numbers_with_many_decimals_are_rounded_once() {
    for (written, expected) in [
        ("5.59", "5.6"),
        ("5.549999", "5.5"),
        ("5.55", "5.6"),
        ("6.0", "6.0"),
    ] {
        let out = hba1c(&[(LOINC, "4548-4")], quantity(written, "%"));
        assert_eq!(field(&one(out), "hba1c_value"), expected, "{written}");
    }
}

#[test]
fn a_day_without_its_recording_time_is_refused() {
    let mut out = steps("41950-7", quantity("300", "/d"));
    out.as_object_mut().unwrap().shift_remove("component");
    refused(out, Code::RequiredMissing, ".component");
}

#[test]
fn a_weight_of_a_checkup_has_no_device() {
    let mut out = weight(quantity("65.5", "kg"));
    out["code"] = concept(&[("urn:oid:1.2.392.200119.6.1005", "9N006000000000001")]);
    out.as_object_mut().unwrap().shift_remove("device");
    refused(out, Code::DeviceUnidentified, ".device");
}
