//! Where required fields come from when they are not told (mapping specification §5.1, §5.2).

use super::build::*;
use super::*;

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
