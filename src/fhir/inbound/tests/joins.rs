//! Several Observations, one record (mapping specification §2.6, §5.5).

use super::build::*;
use super::*;

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

const TOKUTEI: &str = "urn:oid:1.2.392.200119.6.1005";

/// A value by itself, of the check-up of one day.
fn at_checkup(code: (&str, &str), value: Value) -> Value {
    let mut out = observation(concept(&[code]), value);
    out["effectiveDateTime"] = json!("2016-10-03");
    out["issued"] = json!("2016-10-05T12:00:00.000+09:00");
    out.as_object_mut().unwrap().shift_remove("device");
    out
}

fn mmhg(code: (&str, &str), value: &str) -> Value {
    at_checkup(code, quantity(value, "mm[Hg]"))
}

fn systolic(value: &str) -> Value {
    mmhg((LOINC, "8480-6"), value)
}

fn diastolic(value: &str) -> Value {
    mmhg((LOINC, "8462-4"), value)
}

fn pulse(value: &str) -> Value {
    at_checkup((LOINC, "8867-4"), quantity(value, "/min"))
}

/// A panel of a check-up, without a pulse.
fn panel(systolic: &str, diastolic: &str) -> Value {
    let mut out = at_checkup((LOINC, "85354-9"), json!(null));
    out.as_object_mut().unwrap().shift_remove("valueQuantity");
    out["component"] = json!([
        component(concept(&[(LOINC, "8480-6")]), quantity(systolic, "mm[Hg]")),
        component(concept(&[(LOINC, "8462-4")]), quantity(diastolic, "mm[Hg]")),
    ]);
    out
}

fn changed(mut observation: Value, name: &str, value: Value) -> Value {
    observation[name] = value;
    observation
}

/// The pressures that come of Observations: systolic, diastolic, pulse; and the errors, by
/// the places of the Observations.
fn pressures(observations: Vec<Value>) -> (Vec<String>, Vec<(Code, usize)>) {
    let (submissions, outcome) = read(&bundle(observations).to_string());
    let value = |record: &Value, name: &str| record.get(name).map_or("-".into(), Value::to_string);
    let records = records(&submissions);
    let records = records.iter().map(|record| {
        let values = ["systolic", "diastolic", "pulse_rate"].map(|name| value(record, name));
        values.join("/")
    });
    let records = records.collect();
    let place = |pointer: &str| {
        let place = pointer.split(['[', ']']).nth(1).unwrap();
        place.parse::<usize>().unwrap() - 3
    };
    let errors = errors(&outcome);
    let errors = errors.iter().map(|(code, pointer)| (*code, place(pointer)));
    (records, errors.collect())
}

#[test]
fn halves_of_one_subject_time_and_source_are_one_record() {
    let none: Vec<(Code, usize)> = Vec::new();
    assert_eq!(
        pressures(vec![systolic("128"), diastolic("82")]),
        (vec!["128/82/-".into()], none)
    );
    let alone = |place| (Code::RequiredMissing, place);
    for (name, other) in [
        (
            "subject",
            json!({"identifier": {"system": "http://ehr/mrn", "value": "2"}}),
        ),
        ("effectiveDateTime", json!("2016-10-04")),
        ("device", json!({"reference": "Device/d"})),
        ("performer", json!([{"reference": "Organization/o"}])),
        ("encounter", json!({"reference": "Encounter/e"})),
    ] {
        let halves = vec![systolic("128"), changed(diastolic("82"), name, other)];
        let (records, errors) = pressures(halves);
        assert!(records.is_empty(), "{name}");
        assert_eq!(errors, [alone(0), alone(1)], "{name}");
    }
    let (records, errors) = pressures(vec![systolic("128")]);
    assert_eq!((records.len(), errors), (0, vec![alone(0)]));
    // With a device they are of home, and need a pulse.
    let home = |o: Value| changed(o, "device", json!({"reference": "Device/d"}));
    let both = vec![home(systolic("128")), home(diastolic("82"))];
    let (records, errors) = pressures(both.clone());
    assert_eq!((records.len(), errors), (0, vec![alone(0)]));
    let all = [both, vec![pulse("68")]].concat();
    assert_eq!(pressures(all).0, ["128/82/68"]);
}

#[test]
fn the_later_time_of_change_and_status_are_those_of_the_record() {
    let late = changed(
        diastolic("82"),
        "issued",
        json!("2016-10-05T13:00:00.000+09:00"),
    );
    let late = changed(late, "status", json!("corrected"));
    let (submissions, outcome) = read(&bundle(vec![systolic("128"), late]).to_string());
    assert_eq!(errors(&outcome), []);
    assert_eq!(records(&submissions)[0]["update_time"], "20161005130000000");
}

#[test]
fn a_panel_and_its_members_are_one_record() {
    let panel = |members: &[&str]| {
        let mut out = at_checkup((LOINC, "85354-9"), json!(null));
        out.as_object_mut().unwrap().shift_remove("valueQuantity");
        out["hasMember"] = members.iter().map(|m| json!({"reference": m})).collect();
        out
    };
    let whole = panel(&["Observation/1", "http://ehr/Observation/2", "Observation/3"]);
    let parts = || vec![systolic("128"), diastolic("82"), pulse("70")];
    let (records, errors) = pressures([vec![whole.clone()], parts()].concat());
    assert_eq!((records, errors), (vec!["128/82/70".to_owned()], vec![]));
    // What a member leaves out is that of the panel; what it says otherwise is not of it.
    let of_device = |o: Value| changed(o, "device", json!({"reference": "Device/d"}));
    let (records, errors) = pressures([vec![of_device(whole.clone())], parts()].concat());
    assert_eq!((records, errors), (vec!["128/82/70".to_owned()], vec![]));
    let mut other = parts();
    other[0] = changed(other[0].clone(), "effectiveDateTime", json!("2016-10-04"));
    let (records, errors) = pressures([vec![whole], other].concat());
    assert!(records.is_empty());
    assert_eq!(
        errors,
        [(Code::RequiredMissing, 0), (Code::RequiredMissing, 1)]
    );
    // Two pairs of one time are told apart by their panels.
    let two = vec![
        panel(&["Observation/2", "Observation/3"]),
        changed(
            panel(&["Observation/4", "Observation/5"]),
            "performer",
            json!([{"reference": "Organization/o"}]),
        ),
        systolic("128"),
        diastolic("82"),
        systolic("130"),
        diastolic("84"),
    ];
    assert_eq!(pressures(two).0, ["128/82/-", "130/84/-"]);
    // A member that the panel itself says otherwise refuses both.
    let mut wrong = self::panel("120", "80");
    wrong["hasMember"] = json!([{"reference": "Observation/1"}]);
    let (records, errors) = pressures(vec![wrong, systolic("128")]);
    assert!(records.is_empty());
    assert_eq!(
        errors,
        [(Code::RecordInconsistent, 1), (Code::RecordInconsistent, 0)]
    );
}

#[test]
fn readings_of_a_checkup_pair_by_their_number_and_the_first_is_kept() {
    let reading = |code: &'static str, value: &str| mmhg((TOKUTEI, code), value);
    let first = || {
        vec![
            reading("9A751000000000001", "134"),
            reading("9A761000000000001", "86"),
        ]
    };
    let second = || {
        vec![
            reading("9A752000000000001", "128"),
            reading("9A762000000000001", "80"),
        ]
    };
    let other = || {
        vec![
            reading("9A755000000000001", "130"),
            reading("9A765000000000001", "82"),
        ]
    };
    for (halves, expected) in [
        (first(), "134/86/-"),
        ([second(), first()].concat(), "134/86/-"),
        ([other(), second(), first()].concat(), "134/86/-"),
        ([other(), second()].concat(), "128/80/-"),
        (other(), "130/82/-"),
    ] {
        let dropped = halves.len() - 2;
        let text = bundle(halves.clone()).to_string();
        assert_eq!(pressures(halves), (vec![expected.to_owned()], vec![]));
        let told = of(&read(&text).1, Severity::Information);
        let told = told
            .iter()
            .filter(|(code, _)| *code == Code::DuplicateIdentity);
        assert_eq!(told.count(), dropped, "each that is not taken says so");
    }
    // A systolic of the first and a diastolic of the second are no pair.
    let mixed = vec![first().remove(0), second().remove(1)];
    let (records, errors) = pressures(mixed);
    assert!(records.is_empty());
    assert_eq!(
        errors,
        [(Code::RequiredMissing, 0), (Code::RequiredMissing, 1)]
    );
    // At different times they are different records.
    let later = second().into_iter();
    let later = later.map(|o| changed(o, "effectiveDateTime", json!("2016-10-03T10:00:00+09:00")));
    let both = first().into_iter().chain(later).collect();
    assert_eq!(pressures(both).0, ["134/86/-", "128/80/-"]);
}

#[test]
fn halves_that_cannot_be_told_apart_are_refused() {
    let twice = (Code::DuplicateIdentity, 0);
    let halves = vec![systolic("128"), diastolic("82"), systolic("130")];
    let (records, errors) = pressures(halves);
    assert!(records.is_empty());
    assert_eq!(errors, [twice, (twice.0, 1), (twice.0, 2)]);
    // The same one twice is one.
    let halves = vec![systolic("128"), diastolic("82"), systolic("128.0")];
    assert_eq!(pressures(halves), (vec!["128/82/-".into()], vec![]));
}

#[test]
fn a_pulse_joins_the_pressure_of_its_subject_and_instant() {
    let none: Vec<(Code, usize)> = Vec::new();
    let joined = |records: &[&str]| {
        (
            records.iter().map(|r| (*r).to_owned()).collect(),
            none.clone(),
        )
    };
    assert_eq!(
        pressures(vec![pulse("68"), panel("128", "82")]),
        joined(&["128/82/68"])
    );
    let medis = at_checkup((MEDIS, "31000595"), json!({"value": 68, "unit": "拍/分"}));
    assert_eq!(
        pressures(vec![panel("128", "82"), medis]),
        joined(&["128/82/68"])
    );
    let tokutei = at_checkup(
        (TOKUTEI, "9N121000000000001"),
        json!({"value": 68, "unit": "回/分"}),
    );
    let halves = vec![systolic("128"), tokutei, diastolic("82")];
    assert_eq!(pressures(halves), joined(&["128/82/68"]));
    // Home: with its device, and where the pulse names none.
    let home = |o: Value| changed(o, "device", json!({"reference": "Device/d"}));
    let other = |o: Value| {
        let device = json!({"identifier":
            {"system": "https://kenko-fhir.example/fhir/sid/device", "value": "M:N:S"}});
        changed(o, "device", device)
    };
    for beside in [home(pulse("68")), pulse("68")] {
        assert_eq!(
            pressures(vec![home(panel("128", "82")), beside]),
            joined(&["128/82/68"])
        );
    }
    let (records, errors) = pressures(vec![home(panel("128", "82")), other(pulse("68"))]);
    assert!(records.is_empty());
    assert_eq!(
        errors,
        [(Code::RequiredMissing, 0), (Code::CodeUnsupported, 1)]
    );
    // Another instant, another subject.
    for (name, value) in [
        ("effectiveDateTime", json!("2016-10-03T00:00:01+09:00")),
        (
            "subject",
            json!({"identifier": {"system": "http://ehr/mrn", "value": "2"}}),
        ),
    ] {
        let (records, errors) =
            pressures(vec![panel("128", "82"), changed(pulse("68"), name, value)]);
        assert_eq!(records, ["128/82/-"], "{name}");
        assert_eq!(errors, [(Code::CodeUnsupported, 1)], "{name}");
    }
    // Said twice alike it is one, said otherwise the pressure stands without it.
    let mut with = panel("128", "82");
    let pulse_of = |value| component(concept(&[(LOINC, "8867-4")]), quantity(value, "/min"));
    with["component"]
        .as_array_mut()
        .unwrap()
        .push(pulse_of("68"));
    assert_eq!(
        pressures(vec![with.clone(), pulse("68")]),
        joined(&["128/82/68"])
    );
    let (records, errors) = pressures(vec![with, pulse("70")]);
    assert_eq!(records, ["128/82/68"]);
    assert_eq!(errors, [(Code::RecordInconsistent, 1)]);
    // One of home and one of a check-up at the same instant: the device tells.
    let both = vec![
        home(panel("128", "82")),
        panel("130", "84"),
        home(pulse("68")),
    ];
    assert_eq!(pressures(both), joined(&["128/82/68", "130/84/-"]));
    let (_, errors) = pressures(vec![
        home(panel("128", "82")),
        panel("130", "84"),
        pulse("68"),
    ]);
    assert!(
        errors.contains(&(Code::RecordInconsistent, 2)),
        "{errors:?}"
    );
}

#[test]
fn body_fat_joins_the_weight_of_its_subject_instant_and_device() {
    let fat = || observation(concept(&[(LOINC, "41982-0")]), quantity("18.2", "%"));
    let scale = || weight(quantity("65.5", "kg"));
    let text = bundle(vec![fat(), scale()]).to_string();
    let (submissions, outcome) = read(&text);
    assert_eq!(errors(&outcome), []);
    assert_eq!(field(&records(&submissions)[0], "body_fat"), "18.2");
    for (name, value) in [
        (
            "device",
            json!({"identifier":
            {"system": "https://kenko-fhir.example/fhir/sid/device", "value": "M:N:S"}}),
        ),
        ("effectiveDateTime", json!("2016-09-01T07:30:16+09:00")),
    ] {
        let (submissions, outcome) =
            read(&bundle(vec![scale(), changed(fat(), name, value)]).to_string());
        assert_eq!(records(&submissions)[0].get("body_fat"), None, "{name}");
        let expected = "Bundle.entry[4].resource".to_owned();
        assert_eq!(
            errors(&outcome),
            [(Code::RequiredMissing, expected)],
            "{name}"
        );
    }
}

#[test]
fn parts_of_a_day_of_activity_join_its_steps() {
    let part = |code: (&str, &str), value: Value| {
        let mut out = observation(concept(&[code]), value);
        out["effectiveDateTime"] = json!("2016-09-01");
        out
    };
    let mut walk = part((LOINC, "55411-3"), quantity("1.5", "h"));
    walk["component"] = json!([{"code": concept(&[(LOINC, "73985-4")]),
        "valueCodeableConcept": concept(&[(LOINC, "LA11834-1")])}]);
    let observations = vec![
        part((LOINC, "41979-6"), quantity("2105.8", "kcal/d")),
        steps("41950-7", quantity("8523", "/d")),
        walk,
    ];
    let (submissions, outcome) = read(&bundle(observations).to_string());
    assert_eq!(errors(&outcome), []);
    let record = &records(&submissions)[0];
    assert_eq!(field(record, "total_calories"), "2105.8");
    assert_eq!(field(record, "walk_time"), "90");
    let (submissions, outcome) =
        read(&bundle(vec![part((LOINC, "41979-6"), quantity("2105.8", "kcal/d"))]).to_string());
    assert!(records(&submissions).is_empty());
    assert_eq!(errors(&outcome)[0].0, Code::RequiredMissing);
}

#[test]
fn what_is_put_together_is_judged_together() {
    let (_, outcome) = read(&bundle(vec![systolic("80"), diastolic("120")]).to_string());
    let warned = of(&outcome, Severity::Warning);
    assert!(
        warned.iter().any(|(code, _)| *code == Code::Implausible),
        "{warned:?}"
    );
}

#[test]
fn many_that_would_join_take_no_longer_than_as_many_that_do_not() {
    let start = std::time::Instant::now();
    let n = 4000;
    let at = |o: Value, i: usize| {
        let (minute, second) = (i / 60 % 60, i % 60);
        let time = format!("2016-10-03T{:02}:{minute:02}:{second:02}+09:00", i / 3600);
        changed(o, "effectiveDateTime", json!(time))
    };
    let mut all: Vec<Value> = (0..n)
        .flat_map(|i| [at(systolic("128"), i), at(diastolic("82"), i)])
        .collect();
    all.extend((0..n).map(|_| pulse("68")));
    let (records, _) = pressures(all);
    assert_eq!(records.len(), n);
    assert!(start.elapsed().as_secs() < 60);
}
