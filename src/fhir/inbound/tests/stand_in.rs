//! What stands in by the registries for what is not told: devices, recording times, methods
//! (mapping specification §5.2).

use super::build::*;
use super::crosswalk::{MRN, collection, fallbacks, identifier, known, resource};
use super::registry::{ACTIVITY_RECORDING_TIMES, DEVICES, HBA1C_METHODS};
use super::*;

#[test]
fn a_device_that_is_not_told_is_the_one_that_stands_in() {
    let mut lists = known();
    let mut scale = Row::new(&DEVICES);
    for (field, value) in [
        ("model_manufacturer_code", "ACME"),
        ("model_number", "WS-0"),
        ("device_name", "Scale"),
        ("fallback_for", "weighing_scale"),
        ("ledger_number", "-0042"),
    ] {
        scale.put(field, value).unwrap();
    }
    lists.insert(scale);
    let with = |device: Option<Value>| {
        let mut out = weight(quantity("65.5", "kg"));
        out["subject"] = json!({"identifier": identifier(MRN, "42")});
        match device {
            None => {
                out.as_object_mut().unwrap().shift_remove("device");
            }
            Some(device) if device.get("resourceType").is_some() => {
                out["device"] = json!({"reference": "#d"});
                out["contained"] = json!([device]);
            }
            Some(device) => out["device"] = device,
        }
        collection(vec![out])
    };
    let device = |more: Value| Some(resource("Device", "d", more));
    for text in [
        with(None),
        with(Some(json!({"display": "the scale at the entrance"}))),
        with(Some(
            json!({"identifier": identifier("http://ehr/device", "1")}),
        )),
        with(device(json!({"manufacturer": "M", "modelNumber": "N"}))),
        with(device(json!({"modelNumber": "N", "serialNumber": "S"}))),
        with(device(
            json!({"deviceName": [{"name": "a scale", "type": "other"}]}),
        )),
    ] {
        let (submissions, outcome) = read_by(&lists, &text);
        assert_eq!(errors(&outcome), [], "{text}");
        let record = &records(&submissions)[0];
        assert_eq!(record["model_number"], "WS-0");
        assert_eq!(record["production_specification_serial"], "A00001-0042");
        // It does not count as resolving.
        assert_eq!(record["data_input_code"], "0");
        let told = fallbacks(&outcome);
        assert!(
            told.iter()
                .any(|(field, source)| source == "devices.fallback_for"
                    && field.contains("production_specification_serial"))
        );
        assert!(told.contains(&("data_input_code".into(), "default".into())));
    }
    // Where only the model is missing, nothing stands in; nor where no model is configured.
    let model = with(device(json!({"manufacturer": "M", "serialNumber": "S"})));
    for (lists, text) in [(&lists, model), (&known(), with(None))] {
        let (_, outcome) = read_by(lists, &text);
        let expected = "Bundle.entry[0].resource.device".to_owned();
        assert_eq!(errors(&outcome), [(Code::DeviceUnidentified, expected)]);
    }
}

#[test]
fn a_device_that_stands_in_does_not_make_a_pressure_one_of_home() {
    let mut lists = known();
    let mut cuff = Row::new(&DEVICES);
    for (field, value) in [
        ("model_manufacturer_code", "ACME"),
        ("model_number", "BP-0"),
        ("device_name", "Cuff"),
        ("fallback_for", "home_blood_pressure"),
        ("ledger_number", "1"),
    ] {
        cuff.put(field, value).unwrap();
    }
    lists.insert(cuff);
    let mut out = pressure((LOINC, "85354-9"));
    out["subject"] = json!({"identifier": identifier(MRN, "42")});
    out.as_object_mut().unwrap().shift_remove("device");
    let (submissions, _) = read_by(&lists, &collection(vec![out.clone()]));
    assert!(written(&submissions[0]).contains("health_checkup_information"));
    // A person at home without a device is at home, and typed it in.
    out["performer"] = json!([{"type": "Patient", "display": "the person"}]);
    let (submissions, outcome) = read_by(&lists, &collection(vec![out]));
    assert_eq!(errors(&outcome), []);
    let record = &records(&submissions)[0];
    assert_eq!(record["production_specification_serial"], "A000011");
    assert_eq!(record["data_input_code"], "1");
}

#[test]
fn a_definition_gives_maker_and_model() {
    let model = json!({"identifier": [{"system": "https://kenko-fhir.example/fhir/sid/device-model",
        "value": "ACME:WS%3A1"}]});
    let mut out = weight(quantity("65.5", "kg"));
    out["subject"] = json!({"identifier": identifier(MRN, "42")});
    out["device"] = json!({"reference": "#d"});
    out["contained"] = json!([
        resource(
            "Device",
            "d",
            json!({"serialNumber": "S", "definition": {"reference": "#m"}})
        ),
        resource("DeviceDefinition", "m", model)
    ]);
    let (submissions, outcome) = read_by(&known(), &collection(vec![out]));
    assert_eq!(errors(&outcome), []);
    let record = &records(&submissions)[0];
    assert_eq!(record["model_manufacturer_code"], "ACME");
    assert_eq!(record["model_number"], "WS:1");
    assert!(fallbacks(&outcome).contains(&("model_number".into(), "Device.definition".into())));
}

#[test]
fn the_recording_time_of_the_model_stands_in_for_that_of_the_day() {
    let mut lists = known();
    for minutes in ["1380"] {
        let mut row = Row::new(&ACTIVITY_RECORDING_TIMES);
        for (field, value) in [
            ("model_manufacturer_code", "ACME"),
            ("model_number", "X-1"),
            ("recorded_minutes", minutes),
            ("aggregation", "a day"),
        ] {
            row.put(field, value).unwrap();
        }
        lists.insert(row);
    }
    let mut out = steps("41950-7", quantity("8523", "/d"));
    out.as_object_mut().unwrap().shift_remove("component");
    let text = bundle(vec![out]).to_string();
    let (submissions, outcome) = read_by(&lists, &text);
    assert_eq!(errors(&outcome), []);
    assert_eq!(
        field(&records(&submissions)[0], "total_active_duration"),
        "1380"
    );
    let source = "activity-recording-times.recorded_minutes";
    assert!(fallbacks(&outcome).contains(&("total_active_duration".into(), source.into())));
    let (_, outcome) = read_by(&known(), &text);
    let expected = "Bundle.entry[3].resource.component".to_owned();
    assert_eq!(errors(&outcome), [(Code::RequiredMissing, expected)]);
}

#[test]
fn a_method_is_told_by_the_codes_of_its_class() {
    let method = |code: &'static str, class: &'static str| -> (&'static List, Vec<(&str, &str)>) {
        let fields = vec![
            ("measurement_method_code", code),
            ("method_class_code", class),
            ("method_name", "a method"),
        ];
        (&HBA1C_METHODS, fields)
    };
    let rows = [
        method("000001", "2"),
        method("000002", "1"),
        method("000003", "1"),
    ];
    let rows: Vec<(&List, &[(&str, &str)])> = rows.iter().map(|(l, f)| (*l, &f[..])).collect();
    let lists = lists(&rows);
    const JLAC10: &str = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";
    const CLINS: &str =
        "http://jpfhir.jp/fhir/clins/CodeSystem/JLAC11/JP_CLINS_ObsLabResult_CoreLabo_CS";
    const TOKUTEI: &str = "urn:oid:1.2.392.200119.6.1005";
    const METHOD: &str = "urn:oid:1.2.392.200119.6.1007";
    let hplc = "3D046000001920402";
    for (codes, method, expected) in [
        (vec![(JLAC10, hplc)], None, Some("000001")),
        (
            vec![("urn:oid:1.2.392.200119.4.504", hplc)],
            None,
            Some("000001"),
        ),
        (vec![(CLINS, hplc)], None, Some("000001")),
        (vec![(TOKUTEI, hplc)], None, Some("000001")),
        (vec![(LOINC, "17856-6")], None, Some("000001")),
        (vec![(LOINC, "4548-4")], Some("3D04620000"), Some("000001")),
        (vec![(LOINC, "4548-4")], None, None),
        // Two methods are of this class, none of that one, and those do not agree.
        (vec![(JLAC10, "3D046000001906202")], None, None),
        (vec![(JLAC10, "3D046000001927102")], None, None),
        (vec![(JLAC10, hplc)], Some("3D04630000"), None),
        // A code of a method that the list does not tell.
        (vec![(JLAC10, "3D046000001920401")], None, None),
    ] {
        let mut out = hba1c(&codes, quantity("6.1", "%"));
        if let Some(code) = method {
            out["method"] = concept(&[(METHOD, code)]);
        }
        let (submissions, outcome) = read_by(&lists, &bundle(vec![out]).to_string());
        assert_eq!(errors(&outcome), []);
        let record = &records(&submissions)[0];
        let found = record
            .get("measurement_method_code")
            .and_then(Value::as_str);
        assert_eq!(found, expected, "{codes:?} {method:?}");
        let told = fallbacks(&outcome);
        let told = told
            .iter()
            .any(|(field, _)| field == "measurement_method_code");
        assert_eq!(told, expected.is_some());
    }
    // The protocol's own code needs no other.
    let mut own = hba1c(&[(JLAC10, hplc)], quantity("6.1", "%"));
    own["method"] = concept(&[(
        "https://kenko-fhir.example/fhir/CodeSystem/hba1c-method",
        "000009",
    )]);
    let (submissions, _) = read_by(&lists, &bundle(vec![own]).to_string());
    assert_eq!(
        records(&submissions)[0]["measurement_method_code"],
        "000009"
    );
}
