//! Documents of other systems: what is ours is taken, the rest is listed.

use serde_json::{Value, json};

use crate::run::{Ended, Place, repository};

fn convert(place: &Place, document: &Value) -> Ended {
    let lists = repository("tests/data/documents/registries");
    let args = ["convert", "--to", "exchange", "--registries", &lists, "-"];
    place.feed(document.to_string().as_bytes(), &args)
}

fn document(name: &str) -> Value {
    let text = std::fs::read_to_string(repository(&format!("tests/data/documents/{name}.json")));
    serde_json::from_str(&text.unwrap()).unwrap()
}

/// Code and count of each issue, by severity.
fn issues(outcome: &str, severity: &str) -> Vec<String> {
    let outcome: Value = serde_json::from_str(outcome).unwrap();
    let issues = outcome["issue"].as_array().unwrap().iter();
    let issues = issues.filter(|i| i["severity"] == severity);
    let told = |issue: &Value| {
        let code = issue["details"]["coding"][0]["code"].as_str().unwrap();
        let text = issue["diagnostics"].as_str().unwrap();
        let found = text
            .split("found ")
            .nth(1)
            .map(|t| t.split(';').next().unwrap());
        let places = issue["expression"].as_array().map_or(0, Vec::len);
        format!("{code} {} x{places}", found.unwrap_or_default())
    };
    issues.map(told).collect()
}

#[test]
fn a_specific_health_checkup_gives_pressure_and_hba1c() {
    let place = Place::new();
    let ended = convert(&place, &document("echeckup")).exits(1);
    let submission: Value = serde_json::from_str(&ended.out).unwrap();
    let expected = json!({
        "format_version": "1.0",
        "send_time": "20161007132817239",
        "consortium_id": "A00001",
        "person_information": [{
            "person_id": "P0000000000000000001",
            "health_checkup_information": {
                "hba1c": [{
                    "observation_time": "20161003000000",
                    "hba1c_value": 5.9,
                    "measurement_method_code": "000002",
                    "test_lab_id": "000000000001",
                    "data_input_code": "0",
                    "update_time": "20161007132817239",
                }],
                "blood_pressure": [{
                    "observation_time": "20161003000000",
                    "systolic": 134,
                    "diastolic": 86,
                    "pulse_rate": 72,
                    "test_lab_id": "000000000001",
                    "data_input_code": "0",
                    "update_time": "20161007132817239",
                }],
            },
        }],
    });
    assert_eq!(submission, expected);
    // A check-up's weight has no device, and none stands in for it.
    let errors = issues(&ended.err, "error");
    assert_eq!(errors, ["device-unidentified  x1"]);
    let told = issues(&ended.err, "information");
    for expected in [
        // The second reading of the pressure.
        "duplicate-identity  x1",
        "fallback-used participants.external_identifiers x3",
        "fallback-used Composition.custodian x2",
        "fallback-used codes of the method x1",
        "fallback-used meta.lastUpdated x2",
        // What is not ours, by type and code.
        "not-expressible Composition x1",
        "not-expressible Coverage x2",
        "not-expressible Encounter x1",
        "not-expressible Practitioner x1",
        "code-unsupported urn:oid:1.2.392.200119.6.1005|9N001000000000001 x1",
        "code-unsupported urn:oid:1.2.392.200119.6.1005|3F070000002327101 x1",
        "code-unsupported urn:oid:1.2.392.200119.6.1005|9N701000000000011 x1",
    ] {
        assert!(told.iter().any(|t| t == expected), "{expected}: {told:#?}");
    }
}

#[test]
fn results_without_a_time_are_refused_each() {
    let place = Place::new();
    let mut document = document("echeckup");
    for entry in document["entry"].as_array_mut().unwrap() {
        let resource = entry["resource"].as_object_mut().unwrap();
        resource.shift_remove("effectiveDateTime");
    }
    let ended = convert(&place, &document).exits(1);
    assert_eq!(ended.out, "");
    let errors = issues(&ended.err, "error");
    let untimed = errors.iter().filter(|e| e.starts_with("time-precision"));
    // Weight, two readings of the pressure, pulse, HbA1c.
    assert_eq!(untimed.count(), 7, "{errors:#?}");
}

#[test]
fn a_bundle_of_jp_clins_gives_the_hba1c() {
    let place = Place::new();
    let ended = convert(&place, &document("clins")).exits(0);
    let submission: Value = serde_json::from_str(&ended.out).unwrap();
    let person = &submission["person_information"][0];
    assert_eq!(person["person_id"], "P0000000000000000001");
    let records = &person["health_checkup_information"]["hba1c"];
    assert_eq!(
        *records,
        json!([{
            "observation_time": "20161008111941",
            "hba1c_value": 7.2,
            "measurement_method_code": "000001",
            "test_lab_id": "000000000001",
            "data_input_code": "0",
            "update_time": "20161008153859000",
        }])
    );
    let told = issues(&ended.err, "information");
    let clins = "http://jpfhir.jp/fhir/clins/CodeSystem";
    for expected in [
        "fallback-used JP_eCS_InstitutionNumber x1".to_owned(),
        "fallback-used codes of the method x1".into(),
    ] {
        assert!(told.contains(&expected), "{expected}: {told:#?}");
    }
    let others = told
        .iter()
        .filter(|t| t.starts_with(&format!("code-unsupported {clins}")));
    assert_eq!(others.count(), 2, "{told:#?}");
}
