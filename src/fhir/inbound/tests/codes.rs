//! Codes, units and conversions (mapping specification §5.4).

use super::build::*;
use super::*;

#[test]
fn check_values_of_hba1c() {
    let ngsp = (LOINC, "4548-4");
    let jlac = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";
    for (code, value, expected) in [
        (ngsp, quantity("48", "mmol/mol"), "6.5"),
        ((LOINC, "59261-8"), quantity("53", "mmol/mol"), "7.0"),
        (ngsp, quantity("42", "mmol/mol"), "6.0"),
        ((LOINC, "62388-4"), quantity("6.1", "%"), "6.5"),
        ((jlac, "3D045000001920402"), quantity("5.2", "%"), "5.6"),
        ((jlac, "3D046000001920402"), quantity("5.59", "%"), "5.6"),
        (
            ("urn:oid:1.2.392.200119.4.504", "3D046000001906202"),
            quantity("7.0", "%"),
            "7.0",
        ),
    ] {
        let record = one(hba1c(&[code], value));
        assert_eq!(field(&record, "hba1c_value"), expected);
        assert_eq!(record["test_lab_id"], "000000000001");
        assert_eq!(record["observation_time"], "20161003000000");
    }
}

#[test]
fn a_rounded_value_is_told_and_zeros_are_not() {
    let told = |value: &str| {
        let (_, outcome) = read(&bundle(vec![weight(quantity(value, "kg"))]).to_string());
        let issues = outcome.issues.iter();
        issues.filter(|i| i.fault.code == Code::Converted).count()
    };
    assert_eq!(told("65.505"), 1);
    assert_eq!(told("65.500"), 0);
    assert_eq!(told("65.5"), 0);
    let (_, outcome) =
        read(&bundle(vec![hba1c(&[(LOINC, "62388-4")], quantity("6.1", "%"))]).to_string());
    assert_eq!(
        of(&outcome, Severity::Warning),
        [(
            Code::ConvertedFromJds,
            "Bundle.entry[3].resource.value.value".into()
        )]
    );
}

#[test]
fn a_foreign_blood_pressure_panel_is_read_by_its_codes() {
    let record = one(pressure((LOINC, "55284-4")));
    assert_eq!(field(&record, "systolic"), "128");
    assert_eq!(field(&record, "diastolic"), "82");
    assert_eq!(field(&record, "pulse_rate"), "68");
    assert_eq!(record["production_specification_serial"], "S:1");
    // A mean beside it is residue.
    let mut extra = pressure((LOINC, "85354-9"));
    let components = extra["component"].as_array_mut().unwrap();
    components.push(component(
        concept(&[(LOINC, "8478-0")]),
        quantity("97", "mm[Hg]"),
    ));
    let (submissions, outcome) = read(&bundle(vec![extra]).to_string());
    assert_eq!(records(&submissions).len(), 1);
    assert!(of(&outcome, Severity::Information).contains(&(
        Code::NotExpressible,
        "Bundle.entry[3].resource.component[3]".into()
    )));
}

#[test]
fn a_unit_decides_what_a_component_is() {
    let mut wrong = pressure((LOINC, "85354-9"));
    wrong["component"][0]["valueQuantity"] = quantity("82", "mm[Hg]");
    let expected = vec![(
        Code::UnitUnknown,
        "Bundle.entry[3].resource.component[0].value.code".to_owned(),
    )];
    let (_, outcome) = read(&bundle(vec![wrong]).to_string());
    assert_eq!(errors(&outcome), expected);
    let mut sampled = pressure((LOINC, "85354-9"));
    sampled["component"][0] = json!({"code": concept(&[(LOINC, "8867-4")]),
        "valueSampledData": {"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": "68"}});
    refused(sampled, Code::ValueNotNumeric, ".component[0].value");
}

#[test]
fn steps_of_unspecified_time_need_a_whole_day() {
    let record = one(steps("55423-8", json!({"value": 8523})));
    assert_eq!(field(&record, "step"), "8523");
    let mut instant = steps("55423-8", json!({"value": 8523, "unit": "歩"}));
    instant["effectiveDateTime"] = json!("2016-09-01T07:30:15+09:00");
    refused(instant, Code::TimePrecision, ".effective");
}

#[test]
fn the_share_of_recorded_time_is_told_as_a_fallback() {
    let mut out = steps("41950-7", quantity("8523", "/d"));
    out["component"] = json!([component(
        concept(&[(
            "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes",
            "DeviceActivePercentage"
        )]),
        quantity("50", "%")
    )]);
    // The minutes themselves come first, wherever they stand.
    for minutes in [false, true] {
        let mut out = out.clone();
        if minutes {
            let of_day = component(
                concept(&[(
                    "https://kenko-fhir.example/fhir/CodeSystem/protocol-item",
                    "total_active_duration",
                )]),
                quantity("700", "min"),
            );
            out["component"].as_array_mut().unwrap().push(of_day);
        }
        let (submissions, outcome) = read(&bundle(vec![out]).to_string());
        let expected = if minutes { "700" } else { "720" };
        let record = &records(&submissions)[0];
        assert_eq!(field(record, "total_active_duration"), expected);
        let told = of(&outcome, Severity::Information);
        let told = told
            .iter()
            .any(|(code, pointer)| *code == Code::FallbackUsed && pointer.contains("component[0]"));
        assert!(told || minutes);
    }
}
