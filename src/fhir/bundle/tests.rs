//! What the Bundles look like to those who take them.

use super::*;
use crate::exchange;
use crate::registry::Registries;

const SUBMISSION: &str = r#"{"format_version":"1.0","send_time":"20160901120000000","consortium_id":"A00001",
    "person_information":[{"person_id":"P1","healthcare_information":{
    "weighing_scale":[{"observation_time":"20160901073015","body_weight":65.50,"body_fat":18.2,
      "model_manufacturer_code":"AC:ME","model_number":"WS-100","production_specification_serial":"50%,a|b",
      "data_input_code":"0","origin_of_time_code":"1","update_time":"20160901081500123"}]},
    "health_checkup_information":{"hba1c":[{"observation_time":"20160801000000","hba1c_value":7.0,
      "data_input_code":"0","test_lab_id":"L1","update_time":"20160901081500123"}]}}]}"#;

fn written(form: Form, shape: Shape) -> String {
    let kinds = Kinds::embedded().unwrap();
    let read = exchange::read(&kinds, exchange::Options::default(), SUBMISSION.as_bytes());
    let submission = read.unwrap();
    assert!(!submission.has_errors(), "{:?}", submission.faults);
    let registries = Registries::new();
    let options = Options {
        shape,
        edition: Edition::E2017,
        base_url: "",
        registries: &registries,
    };
    let out = Writer::new(Vec::new(), &kinds, &submission, &options, form).write();
    String::from_utf8(out.unwrap()).unwrap()
}

fn types(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap().iter();
    entries
        .map(|e| e["resource"]["resourceType"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_collection_begins_with_what_its_observations_refer_to() {
    let text = written(Form::Collection, Shape::Panel);
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let expected = [
        "Organization",
        "Organization",
        "Patient",
        "Device",
        "Observation",
        "Observation",
    ];
    assert_eq!(types(&bundle["entry"]), expected);
    assert_eq!(
        bundle["identifier"]["value"],
        "A00001:20160901120000000".to_owned()
    );
    for entry in bundle["entry"].as_array().unwrap() {
        let (kind, id) = (&entry["resource"]["resourceType"], &entry["resource"]["id"]);
        let (kind, id) = (kind.as_str().unwrap(), id.as_str().unwrap());
        let url = entry["fullUrl"].as_str().unwrap();
        assert_eq!(url, format!("https://kenko-fhir.example/fhir/{kind}/{id}"));
    }
    let subject = &bundle["entry"][4]["resource"]["subject"]["reference"];
    let patient = &bundle["entry"][2]["resource"]["id"];
    assert_eq!(
        subject.as_str().unwrap(),
        format!("Patient/{}", patient.as_str().unwrap())
    );
}

#[test]
fn the_split_shape_has_an_observation_more() {
    let text = written(Form::Collection, Shape::Split);
    let bundle: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 7);
}

#[test]
fn ndjson_begins_with_the_envelope() {
    let text = written(Form::Ndjson, Shape::Panel);
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[0]["type"], "collection");
    assert!(lines[0].get("entry").is_none());
}

#[test]
fn a_transaction_has_no_ids_and_resolves_in_itself() {
    let text = written(Form::Transaction, Shape::Panel);
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let entries = bundle["entry"].as_array().unwrap();
    let urls: Vec<_> = entries.iter().map(|e| e["fullUrl"].clone()).collect();
    for entry in entries {
        assert!(entry["resource"].get("id").is_none());
    }
    let scale = &entries[4]["resource"];
    for reference in [
        &scale["subject"],
        &scale["device"],
        &scale["performer"][0],
        &entries[2]["resource"]["managingOrganization"],
    ] {
        assert!(urls.contains(&reference["reference"]), "{reference}");
    }
    assert_eq!(entries[2]["request"]["method"], "POST");
    assert_eq!(
        entries[2]["request"]["ifNoneExist"],
        "identifier=https://kenko-fhir.example/fhir/sid/consortium/A00001/person%7CP1"
    );
    assert_eq!(
        entries[4]["request"]["url"],
        "Observation?identifier=https://kenko-fhir.example/fhir/sid/record%7C\
         A00001:P1:weighing_scale:20160901073015:50%2525%5C%2Ca%5C%7Cb"
    );
}
