mod records;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

/// 130 participants in three consortia over 95 days: four windows, the last one short.
fn cohort() -> Cohort {
    Cohort::new(130, 95, 7)
}

fn all(cohort: Cohort) -> Vec<(String, Vec<u8>)> {
    cohort
        .files()
        .map(|file| (file.path(), file.bytes()))
        .collect()
}

fn registry(cohort: &Cohort, list: &str) -> Vec<Value> {
    let file = cohort
        .files()
        .find(|file| file.list() == Some(list))
        .unwrap();
    serde_json::from_slice(&file.bytes()).unwrap()
}

/// The text of a string member; the number of a number member as it was written.
fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{name} is {other} in {value}"),
    }
}

fn number(value: &Value, name: &str) -> f64 {
    value[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no number {name} in {value}"))
}

/// A record with what stands around it.
struct Record {
    send_time: String,
    consortium: String,
    person: String,
    kind: &'static str,
    value: Value,
}

const KINDS: [(&str, &str, &str); 5] = [
    ("weighing_scale", "healthcare_information", "weighing_scale"),
    (
        "home_blood_pressure",
        "healthcare_information",
        "blood_pressure",
    ),
    (
        "physical_activity",
        "healthcare_information",
        "physical_activity",
    ),
    ("hba1c", "health_checkup_information", "hba1c"),
    (
        "checkup_blood_pressure",
        "health_checkup_information",
        "blood_pressure",
    ),
];

fn records(cohort: &Cohort) -> Vec<Record> {
    let mut records = Vec::new();
    for file in cohort.files().filter(|file| file.list().is_none()) {
        let submission: Value = serde_json::from_slice(&file.bytes()).unwrap();
        assert_eq!(submission["format_version"], "1.0");
        let people = submission["person_information"].as_array().unwrap();
        assert!(!people.is_empty(), "{} is empty", file.path());
        for person in people {
            let before = records.len();
            for (kind, section, array) in KINDS {
                let Some(array) = person[section][array].as_array() else {
                    continue;
                };
                assert!(!array.is_empty());
                records.extend(array.iter().map(|value| Record {
                    send_time: text(&submission, "send_time"),
                    consortium: text(&submission, "consortium_id"),
                    person: text(person, "person_id"),
                    kind,
                    value: value.clone(),
                }));
            }
            assert!(
                records.len() > before,
                "an entry without records in {}",
                file.path()
            );
        }
    }
    records
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    let files = all(cohort());
    assert_eq!(files, all(cohort()));
    let other = all(Cohort::new(130, 95, 8));
    assert_eq!(files.len(), other.len());
    let same = files.iter().zip(&other).filter(|(a, b)| a.1 == b.1).count();
    assert_eq!(
        same, 5,
        "all but the participants do not depend on the seed"
    );
    let later = cohort().starting(NaiveDate::from_ymd_opt(2024, 2, 20).unwrap());
    assert_ne!(files, all(later));
}

#[test]
fn the_bytes_stay_the_same_over_versions() {
    // A change here changes every published benchmark and demo: it belongs in the changelog.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (path, bytes) in all(Cohort::new(60, 35, 1)) {
        for byte in path.bytes().chain(bytes) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(hash, 0x8125_0744_5189_e995, "{hash:#x}");
}

#[test]
fn files_are_named_counted_and_in_order() {
    let paths: Vec<_> = cohort().files().map(|file| file.path()).collect();
    assert_eq!(paths.len() as u64, cohort().file_count());
    assert_eq!(paths[0], "registries/consortia.json");
    assert_eq!(paths[5], "registries/activity-recording-times.json");
    // 130 = 44 + 43 + 43: one chunk in each consortium, four windows.
    assert_eq!(paths.len(), 6 + 3 * 4);
    assert_eq!(paths[6], "submissions/A00001-00000-000.json");
    assert_eq!(paths[17], "submissions/A00003-00000-003.json");
    assert!(paths[6..].is_sorted());
    assert_eq!(Cohort::new(1_000_000, 365, 1).file_count(), 6 + 20_000 * 13);
}

#[test]
fn writing_a_folder_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    cohort()
        .write_to(folder.path(), |_, size| sizes.push(size))
        .unwrap();
    for ((path, bytes), size) in all(cohort()).into_iter().zip(sizes) {
        assert_eq!(fs::read(folder.path().join(path)).unwrap(), bytes);
        assert_eq!(bytes.len() as u64, size);
    }
}

#[test]
fn sizes_at_the_edge_give_whole_cohorts() {
    assert_eq!(Cohort::new(0, 30, 1).file_count(), 6);
    assert_eq!(Cohort::new(3, 0, 1).file_count(), 6);
    for file in Cohort::new(0, 0, 1).files() {
        serde_json::from_slice::<Value>(&file.bytes()).unwrap();
    }
    let kinds: BTreeSet<_> = records(&Cohort::new(20, 1, 1))
        .iter()
        .map(|r| r.kind)
        .collect();
    assert_eq!(kinds.len(), 5, "a single day has every kind");
    let last = Cohort::new(1, 90, 1).starting(NaiveDate::from_ymd_opt(9999, 12, 1).unwrap());
    assert_eq!(last.file_count(), 7);
    assert!(
        records(&last)
            .iter()
            .all(|r| r.send_time.starts_with("99991227"))
    );
}

#[test]
fn every_kind_is_there_as_often_as_people_measure() {
    let mut counts = BTreeMap::new();
    for record in records(&cohort()) {
        *counts.entry(record.kind).or_insert(0) += 1;
    }
    let days = 130 * 95;
    assert!(
        (days * 7 / 10..days).contains(&counts["weighing_scale"]),
        "{counts:?}"
    );
    assert!(
        (days..days * 2).contains(&counts["home_blood_pressure"]),
        "{counts:?}"
    );
    assert!(
        (days * 7 / 10..days).contains(&counts["physical_activity"]),
        "{counts:?}"
    );
    assert!((130 * 3..=130 * 4).contains(&counts["hba1c"]), "{counts:?}");
    assert_eq!(counts["hba1c"], counts["checkup_blood_pressure"]);
}
