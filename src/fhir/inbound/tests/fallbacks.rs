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

#[test]
fn a_serial_is_read_in_the_order_of_its_places() {
    let typed = |code: &str, value: &str| json!({"value": value, "type": concept(&[("urn:iso:std:iso:11073:10101", code)])});
    let ours = json!({"system": "https://kenko-fhir.example/fhir/sid/device", "value": "M:N:own"});
    let mut device = json!({"resourceType": "Device", "id": "x", "manufacturer": "M",
        "modelNumber": "N", "serialNumber": "plain",
        "identifier": [{"value": "first"}, typed("BTMAC", "mac"), typed("SYSID", "sysid"), ours],
        "distinctIdentifier": "distinct", "udiCarrier": [{"deviceIdentifier": "udi"}]});
    let read_of = |device: &Value| {
        let mut out = weight(quantity("65.5", "kg"));
        out["device"] = json!({"reference": "#x"});
        out["contained"] = json!([device]);
        let (submissions, outcome) = read(&bundle(vec![out]).to_string());
        let told = outcome.issues.iter().map(|i| &i.fault);
        let mut told = told.filter(|f| f.expected == "production_specification_serial");
        let source = told.next().map_or("", |f| f.found.as_str()).to_owned();
        let serial = records(&submissions)[0]["production_specification_serial"].clone();
        (serial.as_str().unwrap().to_owned(), source)
    };
    for (expected, source) in [
        ("plain", ""),
        ("own", "Device.identifier"),
        ("sysid", "Device.identifier"),
        ("mac", "Device.identifier"),
        ("first", "Device.identifier"),
        ("distinct", "Device.distinctIdentifier"),
        ("udi", "Device.udiCarrier"),
    ] {
        assert_eq!(read_of(&device), (expected.to_owned(), source.to_owned()));
        // The next place is asked where this one is empty.
        let members = device.as_object_mut().unwrap();
        match expected {
            "plain" => drop(members.shift_remove("serialNumber")),
            "distinct" => drop(members.shift_remove("distinctIdentifier")),
            "first" => drop(members.shift_remove("identifier")),
            "own" | "sysid" | "mac" => drop(members["identifier"].as_array_mut().unwrap().pop()),
            _ => {}
        }
    }
}

#[test]
fn a_model_is_its_number_or_a_name() {
    for (device, expected) in [
        (
            json!({"modelNumber": "N", "deviceName": [{"name": "x", "type": "model-name"}]}),
            "N",
        ),
        (
            json!({"deviceName": [{"name": "a", "type": "user-friendly-name"},
                {"name": "b", "type": "model-name"}]}),
            "b",
        ),
        (
            json!({"deviceName": [{"name": "a", "type": "user-friendly-name"}]}),
            "a",
        ),
    ] {
        let mut device = device;
        for (name, value) in [
            ("resourceType", "Device"),
            ("id", "x"),
            ("manufacturer", "M"),
            ("serialNumber", "S"),
        ] {
            device[name] = json!(value);
        }
        let mut out = weight(quantity("65.5", "kg"));
        out["device"] = json!({"reference": "#x"});
        out["contained"] = json!([device]);
        assert_eq!(one(out)["model_number"], expected);
    }
}

#[test]
fn how_a_value_was_entered_is_told_by_device_and_performer() {
    let entered = |change: &dyn Fn(&mut Value)| {
        let mut out = pressure((LOINC, "85354-9"));
        change(&mut out);
        one(out)["data_input_code"].clone()
    };
    let extension = json!([{"url": "https://kenko-fhir.example/fhir/StructureDefinition/data-input",
        "valueCoding": {"system": "https://kenko-fhir.example/fhir/CodeSystem/data-input", "code": "2"}}]);
    assert_eq!(entered(&|o| o["extension"] = extension.clone()), "2");
    assert_eq!(entered(&|_| {}), "0");
    let person = json!([{"reference": "Patient/p"}]);
    assert_eq!(
        entered(&|o| o["performer"] = person.clone()),
        "0",
        "the device counts first"
    );
    // Of a check-up: no device, performed by the person or by others.
    let checkup = |o: &mut Value, performer: Value| {
        o.as_object_mut().unwrap().shift_remove("device");
        o["encounter"] = json!({"display": "a check-up"});
        o["performer"] = performer;
    };
    assert_eq!(entered(&|o| checkup(o, person.clone())), "1");
    assert_eq!(
        entered(&|o| checkup(o, json!([{"reference": "RelatedPerson/r"}]))),
        "1"
    );
    assert_eq!(
        entered(&|o| checkup(o, json!([{"reference": "Practitioner/d"}]))),
        "0"
    );
}

#[test]
fn the_last_change_is_told_by_the_first_of_four() {
    let mut out = weight(quantity("65.5", "kg"));
    out["meta"] = json!({"lastUpdated": "2016-09-03T00:00:00Z"});
    let mut input = bundle(vec![out]);
    for (expected, gone) in [
        ("20160901081500123", "issued"),
        ("20160903090000000", "meta"),
        ("20161005120005123", "timestamp"),
        ("20161005120000000", ""),
    ] {
        let (submissions, _) = read(&input.to_string());
        assert_eq!(records(&submissions)[0]["update_time"], expected);
        let members = match gone {
            "timestamp" => input.as_object_mut().unwrap(),
            _ => input["entry"][3]["resource"].as_object_mut().unwrap(),
        };
        members.shift_remove(gone);
    }
}
