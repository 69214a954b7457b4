//! What others write: codes, units, times, devices, refusals (mapping specification §5).

use super::*;

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const MEDIS: &str = "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode";

fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

fn concept(codes: &[(&str, &str)]) -> Value {
    let codings: Vec<_> = codes.iter().map(|(s, c)| coding(s, c)).collect();
    json!({ "coding": codings })
}

fn quantity(value: &str, code: &str) -> Value {
    let value: serde_json::Number = value.parse().unwrap();
    json!({"value": value, "system": UCUM, "code": code})
}

/// An Observation of the device `d`.
fn observation(code: Value, value: Value) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": code,
        "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2016-09-01T07:30:15+09:00",
        "issued": "2016-09-01T08:15:00.123+09:00", "device": {"reference": "Device/d"},
        "valueQuantity": value})
}

fn weight(value: Value) -> Value {
    observation(concept(&[(LOINC, "29463-7")]), value)
}

fn hba1c(codes: &[(&str, &str)], value: Value) -> Value {
    let mut out = observation(concept(codes), value);
    out["performer"] = json!([{"reference": "Organization/o"}]);
    out["effectiveDateTime"] = json!("2016-10-03");
    out["issued"] = json!("2016-10-05T12:00:00.000+09:00");
    out
}

fn steps(code: &str, value: Value) -> Value {
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

fn component(code: Value, value: Value) -> Value {
    json!({"code": code, "valueQuantity": value})
}

fn pressure(code: (&str, &str)) -> Value {
    let mut out = observation(concept(&[code]), json!(null));
    out.as_object_mut().unwrap().shift_remove("valueQuantity");
    out["component"] = json!([
        component(concept(&[(LOINC, "8867-4")]), quantity("68", "/min")),
        component(concept(&[(LOINC, "8462-4")]), quantity("82.4", "mm[Hg]")),
        component(concept(&[(MEDIS, "31001848")]), quantity("128", "mm[Hg]")),
    ]);
    out
}

fn one(observation: Value) -> Value {
    let (submissions, outcome) = read(&bundle(vec![observation]).to_string());
    assert_eq!(errors(&outcome), []);
    let mut records = records(&submissions);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[track_caller]
fn refused(observation: Value, code: Code, below: &str) {
    let (submissions, outcome) = read(&bundle(vec![observation]).to_string());
    let expected = (code, format!("Bundle.entry[3].resource{below}"));
    assert_eq!(errors(&outcome), [expected]);
    assert!(records(&submissions).is_empty());
}

fn field(record: &Value, name: &str) -> String {
    record[name].to_string()
}

#[test]
fn codes_and_units_of_a_weight() {
    for (codes, value, expected) in [
        (vec![(LOINC, "29463-7")], quantity("65.5", "kg"), "65.5"),
        (vec![(LOINC, "3141-9")], quantity("65.50", "kg"), "65.50"),
        (
            vec![(
                "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationBodyMeasurementCode_CS",
                "31000297",
            )],
            quantity("65500", "g"),
            "65.50",
        ),
        (
            vec![("urn:oid:1.2.392.200119.6.1005", "9N006000000000001")],
            json!({"value": 65.5, "unit": "Kg"}),
            "65.5",
        ),
        (
            vec![
                ("urn:oid:2.16.840.1.113883.6.1", "29463-7"),
                ("http://else", "x"),
            ],
            quantity("150", "[lb_av]"),
            "68.04",
        ),
        (vec![(LOINC, "29463-7")], quantity("6.55e1", "kg"), "65.5"),
    ] {
        let record = one(observation(concept(&codes), value));
        assert_eq!(field(&record, "body_weight"), expected);
    }
}

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
    refused(
        hba1c(&[(LOINC, "59261-8")], quantity("6.1", "%")),
        Code::UnitUnknown,
        ".value.code",
    );
    refused(
        hba1c(&[ngsp, (LOINC, "62388-4")], quantity("6.1", "%")),
        Code::CodeAmbiguous,
        ".code",
    );
    refused(
        hba1c(&[ngsp, (LOINC, "41995-2")], quantity("6.1", "%")),
        Code::CodeAmbiguous,
        ".code",
    );
    refused(
        hba1c(&[(LOINC, "17855-8")], quantity("6.1", "%")),
        Code::CodeUnsupported,
        ".code",
    );
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
fn home_or_checkup() {
    let is_home = |mut observation: Value, change: &dyn Fn(&mut Value)| {
        change(&mut observation);
        let (submissions, outcome) = read(&bundle(vec![observation]).to_string());
        assert_eq!(errors(&outcome), []);
        let text = written(&submissions[0]);
        text.contains("healthcare_information")
    };
    let panel = || pressure((LOINC, "85354-9"));
    let drop_device = |o: &mut Value| {
        o.as_object_mut().unwrap().shift_remove("device");
    };
    assert!(is_home(panel(), &|_| {}));
    assert!(!is_home(panel(), &drop_device));
    assert!(!is_home(panel(), &|o| {
        o["encounter"] = json!({"reference": "Encounter/e"});
    }));
    assert!(!is_home(panel(), &|o| {
        o["device"] = json!({"display": "a cuff"});
        o["performer"] = json!([{"reference": "Organization/o"}]);
    }));
    // A person without a device: home, but the device cannot be told.
    let mut alone = panel();
    drop_device(&mut alone);
    alone["performer"] = json!([{"reference": "Patient/p"}]);
    refused(alone, Code::DeviceUnidentified, ".device");
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
fn times_of_any_zone_are_times_in_japan() {
    let at = |time: &str| {
        let mut out = weight(quantity("65.5", "kg"));
        out["effectiveDateTime"] = json!(time);
        field(&one(out), "observation_time")
    };
    assert_eq!(at("2016-08-31T22:30:15Z"), "\"20160901073015\"");
    assert_eq!(at("2016-08-31T22:30:15.750Z"), "\"20160901073015\"");
    assert_eq!(at("2016-09-01"), "\"20160901000000\"");
    let mut instant = weight(quantity("65.5", "kg"));
    let members = instant.as_object_mut().unwrap();
    members.shift_remove("effectiveDateTime");
    members.insert("effectiveInstant".into(), json!("2016-08-31T22:30:15Z"));
    assert_eq!(
        field(&one(instant), "observation_time"),
        "\"20160901073015\""
    );
}

#[test]
fn a_period_is_a_day_of_activity_or_one_instant() {
    let period = |mut observation: Value, start: &str, end: &str| {
        let members = observation.as_object_mut().unwrap();
        members.shift_remove("effectiveDateTime");
        members.insert(
            "effectivePeriod".into(),
            json!({"start": start, "end": end}),
        );
        observation
    };
    let day = || steps("41950-7", quantity("8523", "{steps}"));
    for (start, end) in [
        ("2016-09-01T00:00:00+09:00", "2016-09-01T23:59:59+09:00"),
        ("2016-08-31T15:00:00Z", "2016-09-01T15:00:00Z"),
        ("2016-09-01", "2016-09-01"),
    ] {
        let record = one(period(day(), start, end));
        assert_eq!(record["observation_time"], "20160901000000");
        assert_eq!(field(&record, "total_active_duration"), "1440");
    }
    for (start, end) in [
        ("2016-09-01T00:00:00+09:00", "2016-09-01T12:00:00+09:00"),
        ("2016-09-01", "2016-09-02"),
        ("2016-09-01T01:00:00+09:00", "2016-09-02T01:00:00+09:00"),
    ] {
        refused(period(day(), start, end), Code::TimePrecision, ".effective");
    }
    let now = "2016-09-01T07:30:15+09:00";
    one(period(weight(quantity("65.5", "kg")), now, now));
    refused(
        period(
            weight(quantity("65.5", "kg")),
            now,
            "2016-09-01T07:31:15+09:00",
        ),
        Code::TimePrecision,
        ".effective",
    );
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
fn the_share_of_recorded_time_stands_in_for_the_recording_time() {
    let mut out = steps("41950-7", quantity("8523", "/d"));
    out["component"] = json!([component(
        concept(&[(
            "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes",
            "DeviceActivePercentage"
        )]),
        quantity("50", "%")
    )]);
    let (submissions, outcome) = read(&bundle(vec![out]).to_string());
    assert_eq!(
        field(&records(&submissions)[0], "total_active_duration"),
        "720"
    );
    let told = of(&outcome, Severity::Information);
    assert!(
        told.iter()
            .any(|(code, pointer)| *code == Code::FallbackUsed && pointer.contains("component[0]"))
    );
}

#[test]
fn fallbacks_are_told_once_with_a_count() {
    let mut a = weight(quantity("65.5", "kg"));
    a.as_object_mut().unwrap().shift_remove("issued");
    let mut b = a.clone();
    b["effectiveDateTime"] = json!("2016-09-02T07:30:15+09:00");
    b["meta"] = json!({"lastUpdated": "2016-09-03T00:00:00Z"});
    b["extension"] = json!([{"url": "http://hl7.org/fhir/uv/phd/StructureDefinition/CoincidentTimeStampReference",
        "valueReference": {"reference": "Observation/t"}}]);
    let (submissions, outcome) = read(&bundle(vec![a, b]).to_string());
    let records = records(&submissions);
    assert_eq!(records[0]["update_time"], "20161005120005123");
    assert_eq!(records[1]["update_time"], "20160903090000000");
    assert_eq!(records[0]["data_input_code"], "0");
    assert_eq!(records[0]["origin_of_time_code"], "0");
    assert_eq!(records[1]["origin_of_time_code"], "1");
    let entry = outcome
        .issues
        .iter()
        .find(|i| i.fault.expected == "data_input_code")
        .unwrap();
    assert_eq!((entry.count, entry.expressions.len()), (2, 2));
    assert_eq!(entry.fault.severity, Severity::Information);
}

#[test]
fn devices_are_told_from_wherever_they_say_it() {
    let with = |device: Value| {
        let mut out = weight(quantity("65.5", "kg"));
        out["device"] = json!({"reference": "#x"});
        let mut device = device;
        device["resourceType"] = json!("Device");
        device["id"] = json!("x");
        out["contained"] = json!([device]);
        one(out)
    };
    let record = with(
        json!({"manufacturer": "M", "deviceName": [{"name": "N", "type": "model-name"}],
        "identifier": [{"value": "1"}, {"value": "2", "type": concept(&[("urn:iso:std:iso:11073:10101", "SYSID")])}]}),
    );
    assert_eq!(record["model_number"], "N");
    assert_eq!(record["production_specification_serial"], "2");
    let record = with(
        json!({"manufacturer": "M", "modelNumber": "N", "udiCarrier": [{"deviceIdentifier": "udi"}]}),
    );
    assert_eq!(record["production_specification_serial"], "udi");
    let mut logical = weight(quantity("65.5", "kg"));
    logical["device"] = json!({"identifier":
        {"system": "https://kenko-fhir.example/fhir/sid/device", "value": "M:N%3A1:S"}});
    logical["subject"] = json!({"identifier": {"system": "http://ehr/mrn", "value": "1"}});
    let record = one(logical);
    assert_eq!(record["model_number"], "N:1");
    let mut missing = weight(quantity("65.5", "kg"));
    missing["device"] = json!({"reference": "Device/none"});
    refused(missing, Code::DeviceUnidentified, ".device");
}

#[test]
fn what_is_not_ours_is_counted() {
    let other = |code: &str| observation(concept(&[(LOINC, code)]), quantity("1", "kg"));
    let mut entries = vec![weight(quantity("65.5", "kg"))];
    entries.extend((0..1200).map(|_| other("1-1")));
    entries.push(other("2-2"));
    entries.push(json!({"resourceType": "Encounter", "id": "e"}));
    let (submissions, outcome) = read(&bundle(entries).to_string());
    assert_eq!(records(&submissions).len(), 1);
    assert_eq!(errors(&outcome), []);
    let not_ours: Vec<_> = outcome
        .issues
        .iter()
        .filter(|i| i.not_ours)
        .map(|i| (i.fault.found.as_str(), i.count, i.expressions.len()))
        .collect();
    assert_eq!(
        not_ours,
        [
            ("http://loinc.org|1-1", 1200, 1000),
            ("http://loinc.org|2-2", 1, 1),
            ("Encounter", 1, 1)
        ]
    );
    // Where nothing else came, that is why nothing was converted.
    let (_, outcome) = read(&bundle(vec![other("1-1")]).to_string());
    assert!(outcome.has_errors());
}

#[test]
fn two_records_of_one_identity_are_both_refused() {
    let (submissions, outcome) = read(
        &bundle(vec![
            weight(quantity("65.5", "kg")),
            weight(quantity("66.5", "kg")),
            weight(quantity("66.5", "kg")),
        ])
        .to_string(),
    );
    assert!(records(&submissions).is_empty());
    let told = errors(&outcome);
    assert_eq!(told.len(), 3);
    assert_eq!(
        told[0],
        (
            Code::DuplicateIdentity,
            "Bundle.entry[3].resource".to_owned()
        )
    );
}

#[test]
fn parts_that_do_not_agree_are_refused() {
    let file = |name: &str| -> Value {
        let text = std::fs::read_to_string(format!("tests/golden/weighing_scale/{name}.json"));
        serde_json::from_str(&text.unwrap()).unwrap()
    };
    let panel = {
        let mut panel = file("resource");
        panel.as_object_mut().unwrap().shift_remove("component");
        panel
    };
    let part = file("part-body_fat");
    let reference = panel["device"]["reference"].as_str().unwrap();
    let device = json!({"resourceType": "Device", "id": reference.split('/').nth(1),
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "WS0001234"});
    let together = |part: &Value| {
        let lines = [part, &device, &panel].map(Value::to_string).join("\n");
        read(&lines)
    };
    let (submissions, outcome) = together(&part);
    assert_eq!(outcome.issues, []);
    assert_eq!(field(&records(&submissions)[0], "body_fat"), "18.2");
    let mut other = part.clone();
    other["issued"] = json!("2016-09-01T08:15:00.124+09:00");
    let (submissions, outcome) = together(&other);
    assert!(records(&submissions).is_empty());
    assert_eq!(
        errors(&outcome),
        [(Code::RecordInconsistent, "Observation".to_owned())]
    );
    let mut broken = part;
    broken["valueQuantity"]["code"] = json!("1");
    let (submissions, outcome) = together(&broken);
    assert!(records(&submissions).is_empty());
    assert_eq!(errors(&outcome)[0].0, Code::UnitUnknown);
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
fn consortia_give_a_submission_each() {
    let mut text = bundle(vec![weight(quantity("65.5", "kg"))]);
    let mut second = weight(quantity("70", "kg"));
    second["subject"] = json!({"reference": "Patient/q"});
    let entries = text["entry"].as_array_mut().unwrap();
    entries.push(json!({"fullUrl": "http://ehr/Observation/9", "resource": second}));
    entries.push(json!({"fullUrl": "http://ehr/Patient/q", "resource": {"resourceType": "Patient",
        "id": "q", "identifier": [{"system": "https://kenko-fhir.example/fhir/sid/consortium/A00000/person",
            "value": "Q1"}]}}));
    let (submissions, outcome) = read(&text.to_string());
    assert_eq!(errors(&outcome), []);
    let names: Vec<_> = submissions
        .iter()
        .map(|s| s.consortium_id.as_str())
        .collect();
    assert_eq!(names, ["A00000", "A00001"]);
    assert_eq!(records(&submissions).len(), 2);
    assert!(written(&submissions[0]).contains("ACME"));
}

#[test]
fn broken_input_is_told_and_never_stops_the_rest() {
    let (submissions, outcome) = read(
        r#"[1]
{"resourceType":"Patient","id":"x","id":"y"}
{"resourceType":"Patient","name":"x"}
{"status":"final"}
{"resourceType":"Observation","code":{}}
{"resourceType":"Bundle","entry":7,"timestamp":"x"}"#,
    );
    assert!(submissions.is_empty());
    let codes: Vec<_> = outcome.issues.iter().map(|i| i.fault.code).collect();
    assert_eq!(
        codes,
        [
            Code::Type,
            Code::DuplicateKey,
            Code::Type,
            Code::Type,
            Code::CodeUnsupported,
            Code::Type,
            Code::TimeInvalid
        ]
    );
    assert!(read_any(kinds(), options(), &b"{\"resourceType\":"[..]).is_err());
    let (none, outcome) = read("");
    assert!(none.is_empty() && outcome.issues.is_empty());
}

#[test]
fn measured_after_it_was_sent_is_told_where_it_stands() {
    let mut out = weight(quantity("65.5", "kg"));
    out["effectiveDateTime"] = json!("2016-10-07T00:00:00+09:00");
    out["issued"] = json!("2016-10-07T00:00:00+09:00");
    refused(out, Code::FutureTime, ".effective");
}

#[test]
fn an_early_issued_time_and_odd_values_are_warned_about() {
    let mut out = weight(quantity("400", "kg"));
    out["issued"] = json!("1970-01-18T00:00:00Z");
    let (submissions, outcome) = read(&bundle(vec![out]).to_string());
    assert_eq!(records(&submissions).len(), 1);
    assert_eq!(
        of(&outcome, Severity::Warning),
        [
            (
                Code::Implausible,
                "Bundle.entry[3].resource.value.value".to_owned()
            ),
            (
                Code::Implausible,
                "Bundle.entry[3].resource.issued".to_owned()
            )
        ]
    );
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

#[test]
fn a_resource_made_to_be_slow_is_not() {
    let start = std::time::Instant::now();
    let n = 50_000;
    let repeated = vec!["\"x\":1"; n].join(",");
    let (_, outcome) = read(&format!("{{\"resourceType\":\"Observation\",{repeated}}}"));
    assert_eq!(outcome.issues[0].fault.code, Code::DuplicateKey);
    let mut out = weight(quantity("65.5", "kg"));
    out["performer"] = (0..n).map(|_| json!({"reference": "#x"})).collect();
    out["contained"] = (0..n)
        .map(|i| json!({"resourceType": "Organization", "id": i.to_string()}))
        .collect();
    out["component"] = (0..n)
        .map(|_| json!({"code": concept(&[(LOINC, "41982-0")]), "valueString": "x"}))
        .collect();
    let (_, outcome) = read(&out.to_string());
    assert!(outcome.has_errors());
    assert!(outcome.issues.len() < 300);
    // Far from any limit when it is linear, hopeless when it is not.
    assert!(start.elapsed().as_secs() < 60);
}
