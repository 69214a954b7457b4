//! An Observation shows what was written of it, and is found by that.

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{PERSON, Server, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";
const ORIGINAL: &str = "https://kenko-fhir.example/fhir/StructureDefinition/original-value";
const UCUM: &str = "http://unitsofmeasure.org";

/// Creates an Observation that is written as this text.
async fn created(server: &Server, text: &str) -> Value {
    let headers = [("content-type", "application/fhir+json")];
    let answer = server.send("POST", "/Observation", &headers, text).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let path = format!("/Observation/{}", answer.json()["id"].as_str().unwrap());
    super::written_back(server, &path).await.unwrap();
    server.found(&path).await
}

async fn number(server: &Server, id: &Value, query: &str) -> usize {
    let id = id.as_str().unwrap();
    server
        .number(&format!("/Observation?_id={id}&{query}"))
        .await
}

/// The quantity that was written, beside the one that is shown.
fn original(place: &Value) -> &Value {
    let mut extensions = place["extension"].as_array().unwrap().iter();
    let original = extensions.find(|e| e["url"] == ORIGINAL).unwrap();
    let mut parts = original["extension"].as_array().unwrap().iter();
    &parts.find(|part| part["url"] == "value").unwrap()["valueQuantity"]
}

/// A number of steps, in a unit that is written so.
fn steps(unit: Value) -> Value {
    let mut out = observation("2016-10-01", "1");
    out["code"] = json!({ "coding": [{ "system": "http://loinc.org", "code": "41950-7" }] });
    out["device"]["reference"] = json!(format!(
        "Device/{}",
        id::device("ACME", "AM-500", "AM0009999")
    ));
    out["valueQuantity"] = unit;
    out["component"] = json!([{
        "code": { "coding": [{
            "system": "https://kenko-fhir.example/fhir/CodeSystem/protocol-item",
            "code": "total_active_duration" }] },
        "valueQuantity": { "value": 24, "unit": "hours", "system": UCUM, "code": "h" },
    }]);
    out
}

#[tokio::test]
async fn units_are_shown_as_the_record_has_them() {
    let server = Server::with_example().await.since_new_year().await;
    let written = json!({ "value": 8000, "unit": "paces", "system": UCUM, "code": "{steps}" });
    let read = created(&server, &steps(written.clone()).to_string()).await;
    let own = json!({ "value": 8000, "unit": "steps/day", "system": UCUM, "code": "/d" });
    assert_eq!(read["valueQuantity"], own);
    assert_eq!(original(&read), &written);
    let component = &read["component"][0];
    assert_eq!(component["valueQuantity"]["value"], json!(1440));
    assert_eq!(component["valueQuantity"]["code"], "min");
    assert_eq!(original(component)["code"], "h");
    for query in [
        "value-quantity=8000||/d",
        "value-quantity=8000||steps%2Fday",
        "component-value-quantity=1440||min",
    ] {
        assert_eq!(number(&server, &read["id"], query).await, 1, "{query}");
    }
    let text = observation(AT, "61.5").to_string();
    let unit = r#""unit":"kg","system":"http://unitsofmeasure.org","code":"kg""#;
    assert!(text.contains(unit));
    let read = created(&server, &text.replace(unit, r#""unit":"Kg""#)).await;
    assert_eq!(read["valueQuantity"]["unit"], "kg");
    assert_eq!(original(&read)["unit"], "Kg");
    // Nothing is said beside a unit that is only left out.
    let at = text.replace("07:00", "07:01").replace(unit, &unit[12..]);
    let read = created(&server, &at).await;
    assert_eq!(read["valueQuantity"]["unit"], "kg");
    assert!(!read["extension"].to_string().contains("original-value"));
}

#[tokio::test]
async fn a_component_by_another_code_is_one_component_with_both() {
    let server = Server::with_example().await.since_new_year().await;
    const MEDIS: &str = "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode";
    let part = |code: &str, value: u8| {
        json!({
            "code": { "coding": [{ "system": "urn:oid:1.2.392.200119.4.804", "code": code }] },
            "valueQuantity": { "value": value, "unit": "mmHg" },
        })
    };
    let mut sent = observation(AT, "1");
    sent["code"] =
        json!({ "coding": [{ "system": "urn:oid:1.2.392.200119.4.804", "code": "31002365" }] });
    sent["encounter"] = json!({ "display": "a check-up" });
    for gone in ["device", "valueQuantity"] {
        sent.as_object_mut().unwrap().remove(gone);
    }
    sent["component"] = json!([part("31006130", 82), part("31006129", 128)]);
    let read = created(&server, &sent.to_string()).await;
    let components = read["component"].as_array().unwrap();
    assert_eq!(components.len(), 2, "{read:#}");
    for (component, codes) in components
        .iter()
        .zip([["8480-6", "31006129"], ["8462-4", "31006130"]])
    {
        let text = component["code"].to_string();
        assert!(codes.iter().all(|code| text.contains(code)), "{text}");
    }
    assert!(!read.to_string().contains("urn:oid:1.2.392.200119.4.804"));
    for code in [
        "component-code=8480-6".to_owned(),
        format!("component-code={MEDIS}%7C31006129"),
        "component-code=urn:oid:1.2.392.200119.4.804%7C31006130".to_owned(),
        "component-code-value-quantity=31006129$128".to_owned(),
    ] {
        assert_eq!(number(&server, &read["id"], &code).await, 1, "{code}");
    }
}

#[tokio::test]
async fn numbers_come_back_with_the_digits_that_were_written() {
    let server = Server::with_example().await.since_new_year().await;
    let mut sent = observation(AT, "61.5");
    sent["referenceRange"] = json!([{ "low": { "value": 1234567 } }]);
    let text = sent.to_string();
    let write = |minute: usize, value: &str, low: &str| {
        let at = text.replace("07:00:00", &format!("07:{minute:02}:00"));
        at.replace("61.5", value).replace("1234567", low)
    };
    let zeros = format!("61.5{}", "0".repeat(60));
    for (n, (value, low, shown, low_shown)) in [
        ("6.150e1", "5.00e1", "61.50", "50.0"),
        ("6150e-2", "6.50e0", "61.50", "6.50"),
        ("61.500", "1.0e-7", "61.500", "0.00000010"),
        (zeros.as_str(), "1e3", zeros.as_str(), "1000"),
    ]
    .into_iter()
    .enumerate()
    {
        let read = created(&server, &write(n, value, low)).await;
        assert_eq!(read["valueQuantity"]["value"].to_string(), shown);
        let range = &read["referenceRange"][0]["low"]["value"];
        assert_eq!(range.to_string(), low_shown);
    }
    // Digits beyond are rounded, and stand beside.
    let long = format!("61.4950{}1", "0".repeat(40));
    let read = created(&server, &write(10, &long, "1")).await;
    assert_eq!(read["valueQuantity"]["value"].to_string(), "61.50");
    assert_eq!(original(&read)["value"].to_string(), long);
    let headers = [("content-type", "application/fhir+json")];
    for (value, low) in [("61.5", "1e1000"), ("61.5", "1e-1000"), ("1e-1001", "1")] {
        let sent = write(20, value, low);
        let answer = server.send("POST", "/Observation", &headers, &sent).await;
        assert!(answer.status.is_client_error(), "{}", answer.text);
        assert!(answer.text.contains("digits"), "{}", answer.text);
    }
}

#[tokio::test]
async fn times_are_found_as_they_are_shown() {
    let server = Server::with_example().await.since_new_year().await;
    let text = observation("2016-10-01T07:00:00.250+09:00", "61.5").to_string();
    let read = created(&server, &text).await;
    for (query, found) in [
        ("date=2016-10-01T07:00:00.250%2B09:00", 1),
        ("date=2016-09-30T22:00:00.250Z", 1),
        ("date=2016-10-01T07:00:00.251%2B09:00", 0),
        ("date=gt2016-10-01T07:00:00.250%2B09:00", 0),
        ("date=ge2016-10-01T07:00:00.250%2B09:00", 1),
        ("date=lt2016-10-01T07:00:00.250%2B09:00", 0),
        ("date=ne2016-10-01T07:00:00.250%2B09:00", 0),
        ("date=ne2016-10-01T07:00:00.500%2B09:00", 1),
        ("date=2016-10-01T07:00:00%2B09:00", 1),
        ("date=2016-10-01", 1),
        ("date=ne2016-10-01", 0),
    ] {
        assert_eq!(number(&server, &read["id"], query).await, found, "{query}");
    }
}

#[tokio::test]
async fn elements_of_little_are_there_and_are_found() {
    let server = Server::with_example().await.since_new_year().await;
    let mut sent = observation(AT, "61.5");
    let more = json!({
        "meta": { "profile": ["http://hospital.example/StructureDefinition/weight"] },
        "method": { "text": "standing" },
        "focus": [{ "reference": "Condition/c-1" }],
        "encounter": { "display": "a visit" },
        "specimen": { "extension": [{ "url": "http://hospital.example/x", "valueString": "y" }] },
        "component": [{ "code": { "text": "a score" }, "valueCodeableConcept": {
            "coding": [{ "system": "http://hospital.example/scores", "code": "A" }] } }],
    });
    for (name, value) in more.as_object().unwrap() {
        sent[name] = value.clone();
    }
    sent["code"]["text"] = json!("Weight, in the morning");
    let read = created(&server, &sent.to_string()).await;
    for (query, found) in [
        ("method:missing=false", 1),
        ("method:missing=true", 0),
        ("method:text=stand", 1),
        ("encounter:missing=false", 1),
        ("specimen:missing=false", 1),
        ("focus=c-1", 1),
        ("focus=Condition/c-1", 1),
        ("focus=c-2", 0),
        ("code:text=weight%5C, in", 1),
        (
            "_profile:below=http://hospital.example/StructureDefinition",
            1,
        ),
        ("_profile:below=http://hospital.example/Structure", 0),
        (
            "_profile:above=http://hospital.example/StructureDefinition/weight/x",
            1,
        ),
        ("component-code-value-concept:missing=false", 1),
        ("component-value-concept=A", 1),
        ("code-value-concept:missing=false", 0),
    ] {
        let query = query.replace(' ', "%20");
        assert_eq!(number(&server, &read["id"], &query).await, found, "{query}");
    }
}

#[tokio::test]
async fn the_provenance_of_a_deleted_patient_is_found_by_it() {
    let server = Server::empty().await;
    let person = json!({
        "resourceType": "Patient", "gender": "other", "birthDate": "1990-01",
        "identifier": [{ "system": crate::server::PERSON_SID, "value": "F1" }],
    });
    let created = server.create(&person).await;
    let of = created["id"].as_str().unwrap();
    let before = server
        .number(&format!("/Provenance?target=Patient/{of}"))
        .await;
    let path = format!("/Patient/{of}");
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    let all = server.number("/Provenance?_count=100").await;
    let mut found = Vec::new();
    for query in [
        format!("target=Patient/{of}"),
        format!("target:Patient={of}"),
        format!("patient={of}"),
    ] {
        let number = server.number(&format!("/Provenance?{query}")).await;
        assert_eq!(number, before + 1, "{query}");
        found.push(number);
    }
    let others = server
        .number("/Provenance?patient:missing=true&_count=100")
        .await;
    assert_eq!(others, all - found[0]);
    assert_eq!(server.number("/Provenance?target:missing=true").await, 0);
    let unknown = id::participant("A00001", PERSON);
    let none = server
        .number(&format!("/Provenance?patient={unknown}"))
        .await;
    assert_eq!(none, 0);
}
