//! Fields, values and times of single records.

use super::*;

/// Number fields with the most characters and decimals they may have.
const NUMBERS: [(&str, usize, usize); 15] = [
    ("body_weight", 6, 2),
    ("body_fat", 5, 2),
    ("systolic", 3, 0),
    ("diastolic", 3, 0),
    ("pulse_rate", 3, 0),
    ("step", 5, 0),
    ("walk_time", 4, 0),
    ("moderate_intensity_activity", 4, 0),
    ("calories", 6, 1),
    ("total_calories", 6, 1),
    ("distance", 6, 2),
    ("exercise", 5, 1),
    ("amount_of_exercise", 5, 1),
    ("total_active_duration", 4, 0),
    ("hba1c_value", 4, 1),
];

fn required(kind: &str) -> &'static [&'static str] {
    match kind {
        "weighing_scale" => &["body_weight"],
        "home_blood_pressure" => &["systolic", "diastolic", "pulse_rate"],
        "physical_activity" => &["step", "total_active_duration"],
        "hba1c" => &["hba1c_value", "test_lab_id"],
        _ => &["systolic", "diastolic"],
    }
}

fn optional(kind: &str) -> &'static [&'static str] {
    match kind {
        "weighing_scale" => &["body_fat"],
        "home_blood_pressure" => &["measurement_position"],
        "physical_activity" => &[
            "walk_time",
            "moderate_intensity_activity",
            "calories",
            "total_calories",
            "distance",
            "exercise",
            "amount_of_exercise",
            "measurement_position_code",
        ],
        "hba1c" => &["measurement_method_code", "value_criteria_code"],
        _ => &["pulse_rate", "measurement_position", "test_lab_id"],
    }
}

const DEVICE: [&str; 4] = [
    "model_manufacturer_code",
    "model_number",
    "production_specification_serial",
    "origin_of_time_code",
];

#[test]
fn records_have_the_fields_of_their_kind_and_no_other() {
    let mut seen = BTreeMap::new();
    for Record { kind, value, .. } in records(&cohort()) {
        let device: &[&str] = if kind.ends_with("checkup_blood_pressure") || kind == "hba1c" {
            &[]
        } else {
            &DEVICE
        };
        let always = ["observation_time", "data_input_code", "update_time"];
        for name in always.iter().chain(required(kind)).chain(device) {
            assert!(value.get(name).is_some(), "{name} is missing in {value}");
        }
        for (name, value) in value.as_object().unwrap() {
            let name = name.as_str();
            let known = [&always, required(kind), optional(kind), device].concat();
            assert!(known.contains(&name), "{kind} has {name}");
            if let Some((_, characters, decimals)) = NUMBERS.iter().find(|n| n.0 == name) {
                let written = value.as_number().unwrap().to_string();
                let fraction = written
                    .split_once('.')
                    .map_or(0, |(_, fraction)| fraction.len());
                assert!(
                    written.len() <= *characters && fraction <= *decimals,
                    "{name}: {written}"
                );
                *seen
                    .entry((kind, name.to_owned(), fraction.to_string()))
                    .or_insert(0) += 1;
            } else {
                let characters = value.as_str().unwrap().chars().count();
                assert!((1..=50).contains(&characters), "{name}: {value}");
                if name.ends_with("_code") || name == "test_lab_id" {
                    let value = value.as_str().unwrap().to_owned();
                    *seen.entry((kind, name.to_owned(), value)).or_insert(0) += 1;
                }
            }
        }
        for name in optional(kind) {
            let there = value.get(name).map_or("absent", |_| "there").to_owned();
            *seen.entry((kind, (*name).to_owned(), there)).or_insert(0) += 1;
        }
    }
    for (kind, ..) in KINDS {
        for name in optional(kind) {
            for there in ["absent", "there"] {
                let key = (kind, (*name).to_owned(), there.to_owned());
                assert!(seen.contains_key(&key), "{key:?} never happens");
            }
        }
    }
    for (kind, name, value) in [
        ("weighing_scale", "body_weight", "0"),
        ("weighing_scale", "body_weight", "1"),
        ("weighing_scale", "body_weight", "2"),
        ("weighing_scale", "body_fat", "2"),
        ("weighing_scale", "data_input_code", "0"),
        ("home_blood_pressure", "data_input_code", "1"),
        ("physical_activity", "data_input_code", "2"),
        ("physical_activity", "model_manufacturer_code", "KUMONOUE"),
        ("physical_activity", "distance", "1"),
        ("hba1c", "value_criteria_code", "1"),
    ] {
        let key = (kind, name.to_owned(), value.to_owned());
        assert!(seen.contains_key(&key), "{key:?} never happens");
    }
}

#[test]
fn values_are_plausible() {
    for record in records(&Cohort::new(250, 64, 3)) {
        let value = &record.value;
        let within = |name: &str, low: f64, high: f64| {
            if value.get(name).is_some() {
                let number = number(value, name);
                assert!((low..=high).contains(&number), "{name} in {value}");
            }
        };
        within("body_weight", 20.0, 300.0);
        within("body_fat", 3.0, 75.0);
        within("systolic", 50.0, 280.0);
        within("diastolic", 30.0, 180.0);
        within("pulse_rate", 30.0, 220.0);
        within("hba1c_value", 3.0, 20.0);
        within("step", 0.0, 60_000.0);
        within("total_active_duration", 0.0, 1440.0);
        if value.get("systolic").is_some() {
            assert!(
                number(value, "systolic") > number(value, "diastolic"),
                "{value}"
            );
        }
        if value.get("total_calories").is_some() {
            assert!(
                number(value, "calories") <= number(value, "total_calories"),
                "{value}"
            );
        }
        if value.get("walk_time").is_some() {
            let (walked, covered) = (
                number(value, "walk_time"),
                number(value, "total_active_duration"),
            );
            assert!(walked <= covered && number(value, "moderate_intensity_activity") <= walked);
        }
    }
    for model in registry(&cohort(), "devices") {
        if model.get("mean_error_percent").is_some() {
            assert!(number(&model, "mean_error_percent").abs() <= 3.0);
        }
    }
}

#[test]
fn times_run_from_observation_over_update_to_sending() {
    for Record {
        send_time,
        kind,
        value,
        ..
    } in records(&cohort())
    {
        let (observed, updated) = (
            text(&value, "observation_time"),
            text(&value, "update_time"),
        );
        assert_eq!(
            (observed.len(), updated.len(), send_time.len()),
            (14, 17, 17)
        );
        let format = "%Y%m%d%H%M%S";
        for time in [&observed, &updated[..14], &send_time[..14]] {
            chrono::NaiveDateTime::parse_from_str(time, format).unwrap();
        }
        assert!(
            *observed < *updated && updated < send_time,
            "{value} sent {send_time}"
        );
        let midnight = observed.ends_with("000000");
        match kind {
            "physical_activity" | "hba1c" => assert!(midnight),
            "checkup_blood_pressure" => {}
            _ => assert!(!midnight),
        }
    }
}
