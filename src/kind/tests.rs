//! What loads.

mod mistakes;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Kinds, MappingFault, Midnight};
use crate::exchange;
use crate::fault::Code;
use crate::fhir::canonical::Canonical;

fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

/// The faults of these files, each `file: pointer: reason`.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let dir = dir(files);
    let Err(faults) = Kinds::load(Some(dir.path()), Canonical::default()) else {
        return Vec::new();
    };
    let line = |f: &MappingFault| {
        let file = Path::new(&f.file).file_name().expect("a name");
        format!("{}: {}: {}", file.display(), f.pointer, f.reason)
    };
    faults.0.iter().map(line).collect()
}

/// A small check-up kind without a fault.
fn grip() -> Value {
    json!({
        "kind": "grip", "at": "health_checkup_information.grip",
        "title": { "ja": "握力", "en": "Grip strength" },
        "parts": ["laboratory", "entry", "version"], "midnight": "day",
        "fields": {
            "force": { "type": "dec(4,1)", "unit": "kg", "title": { "ja": "握力", "en": "Force" } },
            "hand_code": { "type": "code", "optional": true, "title": { "ja": "手", "en": "Hand" },
                "codes": { "1": { "ja": "右", "en": "Right" }, "2": { "ja": "左", "en": "Left" } } },
            "trials": { "type": "int(2)", "optional": true, "title": { "ja": "回数", "en": "Trials" } }
        },
        "observation": {
            "$frame": "checkup",
            "category": [{ "coding": [{ "system": "urn:c", "code": "exam" }] }],
            "code": { "coding": [{ "system": "urn:x", "code": "grip" }], "text": "握力" },
            "valueQuantity": { "value": "{force}", "unit": "kg",
                "system": "http://unitsofmeasure.org", "code": "kg" },
            "bodySite": { "coding": [{ "system": "{base}/CodeSystem/hand",
                "code": "{hand_code}", "display": "{hand_code.display}" }] },
            "component": [{ "code": { "coding": [{ "system": "urn:x", "code": "trials" }] },
                "valueQuantity": { "value": "{trials}", "unit": "1",
                    "system": "http://unitsofmeasure.org", "code": "1" } }]
        },
        "accepts": { "force": { "units": { "kg": { "text": ["kg"] } } } }
    })
}

#[test]
fn the_embedded_kinds_load() {
    let kinds = Kinds::embedded().unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<&str> = kinds.iter().map(|k| k.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "weighing_scale",
            "home_blood_pressure",
            "physical_activity",
            "hba1c",
            "checkup_blood_pressure"
        ]
    );
    assert_eq!(
        kinds.sections,
        ["healthcare_information", "health_checkup_information"]
    );
    for kind in kinds.iter() {
        assert_eq!(kind.device.is_some(), kind.laboratory.is_none());
        assert_eq!(kinds.at(kind.place).name, kind.name);
        assert_eq!(
            kinds.at_path(&kind.section, &kind.array).map(|k| k.place),
            Some(kind.place)
        );
        assert_eq!(kinds.by_hash(kind.hash).map(|k| k.place), Some(kind.place));
        assert!(kind.mapping.main.is_some() || kind.name.ends_with("blood_pressure"));
    }
}

#[test]
fn the_fields_are_those_of_the_protocol() {
    let kinds = Kinds::embedded().expect("kinds");
    let table = |name: &str| -> String {
        let kind = kinds.get(name).expect("a kind");
        let fields = kind.fields.iter().map(|f| {
            let optional = if f.required { "" } else { "?" };
            format!("{} {}{optional}", f.name, f.ty.name())
        });
        fields.collect::<Vec<_>>().join(", ")
    };
    let device = "model_manufacturer_code str(50), model_number str(50), \
                  production_specification_serial str(50), data_input_code code, \
                  origin_of_time_code code, update_time time17";
    assert_eq!(
        table("weighing_scale"),
        format!("observation_time time14, body_weight dec(6,2), body_fat dec(5,2)?, {device}")
    );
    assert_eq!(
        table("home_blood_pressure"),
        format!(
            "observation_time time14, systolic int(3), diastolic int(3), pulse_rate int(3), \
             measurement_position str(200)?, {device}"
        )
    );
    assert_eq!(
        table("physical_activity"),
        format!(
            "observation_time time14, step int(5), walk_time int(4)?, \
             moderate_intensity_activity int(4)?, calories dec(6,1)?, total_calories dec(6,1)?, \
             distance dec(6,2)?, exercise dec(5,1)?, amount_of_exercise dec(5,1)?, \
             total_active_duration int(4), measurement_position_code code?, {device}"
        )
    );
    assert_eq!(
        table("hba1c"),
        "observation_time time14, hba1c_value dec(4,1), measurement_method_code str(6)?, \
         value_criteria_code code?, test_lab_id str(12), data_input_code code, update_time time17"
    );
    assert_eq!(
        table("checkup_blood_pressure"),
        "observation_time time14, systolic int(3), diastolic int(3), pulse_rate int(3)?, \
         measurement_position str(200)?, test_lab_id str(12)?, data_input_code code, \
         update_time time17"
    );
}

#[test]
fn what_is_implausible_is_warned_about() {
    let kinds = Kinds::embedded().expect("kinds");
    let part = r#""model_manufacturer_code":"A","model_number":"B",
        "production_specification_serial":"C","data_input_code":"0","origin_of_time_code":"0",
        "update_time":"20160902000000000""#;
    let warned = |array: &str, values: &str| -> Vec<String> {
        let text = format!(
            r#"{{"format_version":"1.0","send_time":"20161231000000000","consortium_id":"A00001",
                "person_information":[{{"person_id":"P1","healthcare_information":{{"{array}":[
                {{"observation_time":"20160901000000",{values},{part}}}]}}}}]}}"#
        );
        let read = exchange::read(&kinds, exchange::Options::default(), text.as_bytes());
        let read = read.expect("JSON");
        let field = |f: &crate::fault::Fault| {
            assert_eq!(f.code, Code::Implausible, "{f:?}");
            f.pointer.rsplit('/').next().unwrap_or_default().to_owned()
        };
        read.all_faults().map(field).collect()
    };
    let pressure = |s: u32, d: u32| {
        let values = format!(r#""systolic":{s},"diastolic":{d},"pulse_rate":60"#);
        warned("blood_pressure", &values)
    };
    assert_eq!(pressure(120, 80), [""; 0]);
    assert_eq!(pressure(80, 80), ["systolic"]);
    assert_eq!(pressure(281, 181), ["systolic", "diastolic"]);
    let activity = |step: u32, calories: &str, total: &str, minutes: u32| {
        let values = format!(
            r#""step":{step},"calories":{calories},"total_calories":{total},"total_active_duration":{minutes}"#
        );
        warned("physical_activity", &values)
    };
    assert_eq!(activity(60000, "300", "300.0", 1440), [""; 0]);
    assert_eq!(
        activity(60001, "300.1", "300", 1441),
        ["step", "total_active_duration", "calories"]
    );
}

#[test]
fn a_file_is_all_that_a_kind_takes() {
    let dir = dir(&[("grip.json", &grip().to_string())]);
    let kinds = Kinds::load(Some(dir.path()), Canonical::default()).expect("kinds");
    let kind = kinds.get("grip").expect("the kind");
    assert_eq!(kinds.len(), 6);
    // Without an order it stands last.
    assert_eq!(kind.place, 5);
    assert_eq!(kind.midnight, Midnight::Day);

    let optional = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/optional");
    let kinds = Kinds::load(Some(&optional), Canonical::default()).expect("kinds");
    assert!(kinds.get("blood_glucose").is_some() && kinds.get("urine_glucose").is_some());
}

#[test]
fn a_kind_of_the_directory_replaces_the_embedded_one() {
    // A deployment whose protocol calls the distance otherwise.
    let text = include_str!("../../mappings/physical_activity.json");
    let renamed = text
        .replace("\"distance\"", "\"walk_distance\"")
        .replace("{distance}", "{walk_distance}")
        .replace(
            "healthcare_information.physical_activity",
            "healthcare_information.activity",
        );
    let dir = dir(&[("ours.json", &renamed)]);
    let kinds = Kinds::load(Some(dir.path()), Canonical::default()).expect("kinds");
    assert_eq!(kinds.len(), 5);
    let kind = kinds.get("physical_activity").expect("the kind");
    assert!(kind.field("walk_distance").is_some() && kind.field("distance").is_none());
    assert_eq!(kind.array, "activity");
    // The embedded kind of the same name would have stood there.
    assert!(
        kinds
            .at_path("healthcare_information", "physical_activity")
            .is_none()
    );
}

#[test]
fn the_protocol_file_of_the_directory_replaces_the_embedded_one() {
    let text = include_str!("../../mappings/protocol.json");
    let renamed = text.replace("\"update_time\"", "\"update\"");
    let renamed = renamed.replace("{update_time}", "{update}");
    let dir = dir(&[("protocol.json", &renamed)]);
    let kinds = Kinds::load(Some(dir.path()), Canonical::default()).expect("kinds");
    assert!(kinds.iter().all(|k| k.fields[k.update].name == "update"));
    let told = faults(&[(
        "protocol.json",
        r#"{ "systems": {}, "parts": {}, "frames": {}, "x": 1 }"#,
    )]);
    assert!(
        told.iter().all(|f| f.starts_with("protocol.json: ")),
        "{told:#?}"
    );
    assert!(told.contains(&"protocol.json: /x: no such keyword here".into()));
}

#[test]
fn the_canonical_base_is_written_and_read_everywhere() {
    let kinds = Kinds::load(None, Canonical::new("https://h.example/f/")).expect("kinds");
    assert_eq!(
        kinds.systems.get("item"),
        Some("https://h.example/f/CodeSystem/protocol-item")
    );
    for kind in kinds.iter() {
        let text = format!("{:?}", kind.mapping.panel.root);
        assert!(!text.contains("{base}") && !text.contains("kenko-fhir.example"));
    }
}
