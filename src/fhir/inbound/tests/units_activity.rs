//! Every code and every unit of a day of activity (mapping specification §5.4).

use super::build::*;
use super::units::{Coded, PGHD, all_taken, none_taken};
use super::*;

const ITEM: &str = "https://kenko-fhir.example/fhir/CodeSystem/protocol-item";

/// A day of activity with one more component.
fn activity_with(code: Coded, value: Value) -> Value {
    let mut out = steps("41950-7", quantity("8523", "/d"));
    let components = out["component"].as_array_mut().unwrap();
    components.push(component(concept(&[code]), value));
    out
}

#[test]
fn step() {
    let make = |(system, code): Coded, value: Value| {
        let mut out = steps("41950-7", value);
        out["code"] = concept(&[(system, code)]);
        out
    };
    let codes = [(LOINC, "41950-7"), (LOINC, "55423-8"), (PGHD, "stepCount")];
    let units = [
        ("/d", "8523", "8523"),
        ("{steps}/d", "8523", "8523"),
        ("{steps}", "8523", "8523"),
        ("{count}", "8523", "8523"),
        ("1", "8523", "8523"),
        ("", "8523", "8523"),
        ("text steps", "8523", "8523"),
        ("text 歩", "8523", "8523"),
        ("text 歩/日", "8523", "8523"),
        ("text steps/day", "8523", "8523"),
    ];
    all_taken("step", make, &codes, &units);
    none_taken(
        make,
        &codes,
        &[("/wk", "8523"), ("km", "5")],
        Code::UnitUnknown,
    );
}

#[test]
fn minutes() {
    let units = [
        ("min", "32", "32"),
        ("h", "1.5", "90"),
        ("s", "90", "2"),
        ("text min", "32", "32"),
    ];
    let moderate = [
        (LOINC, "77592-4"),
        (PGHD, "moderateActivity"),
        (ITEM, "moderate_intensity_activity"),
    ];
    all_taken(
        "moderate_intensity_activity",
        activity_with,
        &moderate,
        &units,
    );
    all_taken("walk_time", activity_with, &[(ITEM, "walk_time")], &units);
    none_taken(
        activity_with,
        &moderate,
        &[("d", "1"), ("", "32")],
        Code::UnitUnknown,
    );
    // The duration of an exercise is one of walking only where it says so.
    let exercise = |activity: Option<&str>| {
        let mut out = observation(concept(&[(LOINC, "55411-3")]), quantity("32", "min"));
        out["effectiveDateTime"] = json!("2016-09-01");
        if let Some(activity) = activity {
            out["component"] = json!([{"code": concept(&[(LOINC, "73985-4")]),
                "valueCodeableConcept": concept(&[(LOINC, activity)])}]);
        }
        let day = steps("41950-7", quantity("8523", "/d"));
        read(&bundle(vec![day, out]).to_string())
    };
    let (submissions, _) = exercise(Some("LA11834-1"));
    assert_eq!(field(&records(&submissions)[0], "walk_time"), "32");
    for other in [None, Some("LA11837-4")] {
        let (submissions, outcome) = exercise(other);
        assert_eq!(records(&submissions)[0].get("walk_time"), None);
        let expected = "Bundle.entry[4].resource.code".to_owned();
        assert_eq!(errors(&outcome), [(Code::CodeUnsupported, expected)]);
    }
}

#[test]
fn energy() {
    let units = [
        ("kcal", "312.4", "312.4"),
        ("kcal/d", "312.44", "312.4"),
        ("kJ", "1000", "239.0"),
        ("text kcal", "312.4", "312.4"),
    ];
    let active = [
        (LOINC, "93819-1"),
        (LOINC, "55424-6"),
        (PGHD, "activeEnergyBurned"),
        (ITEM, "calories"),
    ];
    all_taken("calories", activity_with, &active, &units);
    let total = [
        (LOINC, "41979-6"),
        (PGHD, "totalEnergyBurned"),
        (ITEM, "total_calories"),
    ];
    all_taken("total_calories", activity_with, &total, &units);
    none_taken(
        activity_with,
        &active,
        &[("cal", "1"), ("", "312")],
        Code::UnitUnknown,
    );
    // Burned, of which energy? Only a second code tells.
    let burned = |second: Option<&'static str>| {
        let mut codes = vec![(LOINC, "41981-2")];
        codes.extend(second.map(|code| (PGHD, code)));
        let mut out = steps("41950-7", quantity("8523", "/d"));
        let components = out["component"].as_array_mut().unwrap();
        components.push(component(concept(&codes), quantity("300", "kcal")));
        one(out)
    };
    assert_eq!(
        field(&burned(Some("activeEnergyBurned")), "calories"),
        "300"
    );
    assert_eq!(
        field(&burned(Some("totalEnergyBurned")), "total_calories"),
        "300"
    );
    let unqualified = burned(None);
    assert_eq!(unqualified.get("calories"), None);
    assert_eq!(unqualified.get("total_calories"), None);
}

#[test]
fn distance() {
    let codes = [
        (LOINC, "55430-3"),
        (LOINC, "41953-1"),
        (LOINC, "103208-5"),
        (PGHD, "distance"),
        (PGHD, "distanceWalkingRunning"),
        (ITEM, "distance"),
    ];
    let units = [
        ("km", "5.97", "5.97"),
        ("m", "5970", "5.97"),
        ("km/d", "5.975", "5.98"),
        ("m/d", "5970", "5.97"),
        ("text m", "5970", "5.97"),
    ];
    all_taken("distance", activity_with, &codes, &units);
    none_taken(
        activity_with,
        &codes,
        &[("[mi_i]", "3"), ("", "5")],
        Code::UnitUnknown,
    );
}

#[test]
fn recording_time() {
    let make = |code, value| {
        let mut out = steps("41950-7", quantity("8523", "/d"));
        out["component"] = json!([component(concept(&[code]), value)]);
        out
    };
    let percent = (
        "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes",
        "DeviceActivePercentage",
    );
    let units = [
        ("%", "100", "1440"),
        ("%", "8.33", "120"),
        ("%", "50.01", "720"),
        ("text %", "50", "720"),
    ];
    all_taken("total_active_duration", make, &[percent], &units);
    let units = [("min", "1440", "1440"), ("h", "24", "1440")];
    all_taken(
        "total_active_duration",
        make,
        &[(ITEM, "total_active_duration")],
        &units,
    );
    none_taken(
        make,
        &[percent],
        &[("min", "1440"), ("1", "0.5")],
        Code::UnitUnknown,
    );
}
