//! Records against registries, and the effect that the trial shows.

use super::*;

#[test]
fn references_resolve_and_participation_is_kept() {
    let cohort = Cohort::new(420, 33, 5);
    let keys = |list: &str, names: &[&str]| -> BTreeSet<String> {
        let rows = registry(&cohort, list);
        let keys: BTreeSet<_> = rows
            .iter()
            .map(|row| {
                names
                    .iter()
                    .map(|name| text(row, name))
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect();
        assert_eq!(keys.len(), rows.len(), "a key of {list} is there twice");
        keys
    };
    let consortia = keys("consortia", &["consortium_id"]);
    assert_eq!(consortia.len(), 8);
    let people = keys("participants", &["consortium_id", "person_id"]);
    assert_eq!(people.len(), 420);
    let laboratories = keys("laboratories", &["consortium_id", "test_lab_id"]);
    let devices = keys("devices", &["model_manufacturer_code", "model_number"]);
    let methods = keys("hba1c-methods", &["measurement_method_code"]);
    let counted = keys(
        "activity-recording-times",
        &["model_manufacturer_code", "model_number"],
    );
    assert!(counted.is_subset(&devices));

    let mut periods = BTreeMap::new();
    let mut identifiers = BTreeSet::new();
    for row in registry(&cohort, "participants") {
        let key = (text(&row, "consortium_id"), text(&row, "person_id"));
        assert!(consortia.contains(&key.0));
        let end = row["participation_end_date"]
            .as_str()
            .unwrap_or("99991231")
            .to_owned();
        periods.insert(key.clone(), (text(&row, "participation_start_date"), end));
        for identifier in row["external_identifiers"].as_array().into_iter().flatten() {
            assert!(identifiers.insert((key.0.clone(), identifier.to_string())));
        }
    }
    let ended = periods
        .values()
        .filter(|(_, end)| end != "99991231")
        .count();
    assert!((5..42).contains(&ended), "{ended} ended early");

    let mut identities = BTreeSet::new();
    let mut serials = BTreeMap::new();
    for Record {
        consortium,
        person,
        kind,
        value,
        ..
    } in records(&cohort)
    {
        assert!(consortia.contains(&consortium));
        let (start, end) = &periods[&(consortium.clone(), person.clone())];
        let observed = text(&value, "observation_time");
        assert!(
            **start <= observed[..8] && observed[..8] <= **end,
            "{value} until {end}"
        );
        let mut source = String::new();
        if value.get("test_lab_id").is_some() {
            source = text(&value, "test_lab_id");
            assert!(laboratories.contains(&format!("{consortium}/{source}")));
        }
        if value.get("measurement_method_code").is_some() {
            assert!(methods.contains(&text(&value, "measurement_method_code")));
        }
        if value.get("model_number").is_some() {
            source = text(&value, "production_specification_serial");
            let (maker, number) = (
                text(&value, "model_manufacturer_code"),
                text(&value, "model_number"),
            );
            assert!(devices.contains(&format!("{maker}/{number}")));
            let owner = (consortium.clone(), person.clone());
            assert_eq!(
                serials.entry(source.clone()).or_insert(owner.clone()),
                &owner
            );
        }
        assert!(
            identities.insert((consortium, person, kind, observed, source)),
            "{value} twice"
        );
    }
}

#[test]
fn registry_rows_are_complete_and_varied() {
    let rows = registry(&cohort(), "participants");
    for (name, codes) in [
        ("sex_code", &["0", "1", "2", "9"][..]),
        ("commute_code", &["0", "1", "2", "3", "4", "9"]),
        ("study_arm_code", &["1", "2"]),
        ("consent_code", &["0", "1", "2", "3"]),
    ] {
        assert!(
            rows.iter()
                .all(|row| codes.contains(&text(row, name).as_str())),
            "{name}"
        );
    }
    for sex in ["1", "2"] {
        assert!(rows.iter().filter(|row| row["sex_code"] == sex).count() > 40);
    }
    for row in &rows {
        let month: u32 = text(row, "birth_year_month")[4..].parse().unwrap();
        let prefecture: u32 = text(row, "residence_prefecture_code").parse().unwrap();
        assert!(
            (1..=12).contains(&month) && (1..=47).contains(&prefecture),
            "{row}"
        );
        let medications: BTreeSet<_> = row["medication_codes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(Value::to_string)
            .collect();
        assert!(
            !medications.contains("\"0\"") || medications.len() == 1,
            "{row}"
        );
    }
    for row in registry(&cohort(), "laboratories") {
        assert_eq!(text(&row, "institution_code").len(), 10);
    }
}

#[test]
fn the_intervention_shows() {
    let cohort = Cohort::new(240, 152, 2);
    let arms: BTreeMap<_, _> = registry(&cohort, "participants")
        .iter()
        .map(|row| {
            let key = (text(row, "consortium_id"), text(row, "person_id"));
            (key, text(row, "study_arm_code"))
        })
        .collect();
    // Per arm and field: sum and count in the first and in the last thirty days.
    let mut sums: BTreeMap<(String, &str, bool), (f64, f64)> = BTreeMap::new();
    let late = String::from_utf8(cohort.date(120).to_vec()).unwrap();
    let early = String::from_utf8(cohort.date(10).to_vec()).unwrap();
    for Record {
        consortium,
        person,
        value,
        ..
    } in records(&cohort)
    {
        let observed = text(&value, "observation_time");
        let is_late = observed >= late;
        if !is_late && observed >= early {
            continue;
        }
        for name in ["hba1c_value", "step", "body_weight"] {
            if value.get(name).is_some() {
                let arm = arms[&(consortium.clone(), person.clone())].clone();
                let sum = sums.entry((arm, name, is_late)).or_default();
                *sum = (sum.0 + number(&value, name), sum.1 + 1.0);
            }
        }
    }
    let change = |arm: &str, name| {
        let mean = |late| {
            let (sum, count) = sums[&(arm.to_owned(), name, late)];
            sum / count
        };
        mean(true) - mean(false)
    };
    assert!(change("1", "step") > 1000.0, "{}", change("1", "step"));
    assert!(change("2", "step").abs() < 300.0, "{}", change("2", "step"));
    assert!(
        change("1", "hba1c_value") < -0.2,
        "{}",
        change("1", "hba1c_value")
    );
    assert!(
        change("2", "hba1c_value").abs() < 0.1,
        "{}",
        change("2", "hba1c_value")
    );
    assert!(change("1", "body_weight") < change("2", "body_weight") - 0.5);
}
