//! Times: any zone, days and Periods (mapping specification §5.4).

use super::build::*;
use super::*;

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
