//! The way of a result from a hospital to the person it is about, as a clinician's system goes
//! it: register who is who, find the person, write, read in both languages of codes, correct,
//! and hand on by the protocol.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::server::{Answer, Server, entries};

/// The hospital's patient numbers, and its own number among medical institutions.
const NUMBERS: &str = "urn:oid:1.2.392.100495.20.3.51.11310000001";
const INSTITUTIONS: &str = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no";
const JLAC10: &str = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";

/// An HbA1c as the hospital knows it: its own number of the patient, the code of the test in
/// JLAC10, the institution, and a note.
fn result(number: &str, institution: &str) -> Value {
    json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": JLAC10, "code": "3D046000001920402" }] },
        "subject": { "identifier": { "system": NUMBERS, "value": number } },
        "performer": [
            { "reference": "Practitioner/p1", "display": "Dr. A" },
            { "identifier": { "system": INSTITUTIONS, "value": institution } } ],
        "effectiveDateTime": "2016-11-01",
        "issued": "2016-11-02T10:00:00.000+09:00",
        "valueQuantity": { "value": 6.1, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%" },
        "note": [{ "text": "fasting" }],
    })
}

async fn exchange(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/exchange/{path}"))
        .header("host", "h.example")
        .header("content-type", "application/json");
    server
        .call(request.body(Body::from(body.to_owned())).unwrap())
        .await
}

async fn register(server: &Server, list: &str, row: Value) {
    let rows = json!([row]).to_string();
    let answer = exchange(server, "PATCH", &format!("registries/{list}"), &rows).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["created"], 1, "{}", answer.text);
}

async fn post(server: &Server, resource: &Value) -> Answer {
    server.write("POST", "/Observation", &[], resource).await
}

#[tokio::test]
async fn a_result_of_a_hospital_reaches_its_person_and_the_protocol() {
    let server = Server::with_example().await;
    // Who is who: the patient number, and the institution as the laboratory.
    register(
        &server,
        "participants",
        json!({
            "consortium_id": "A00001", "person_id": "P0000000000000000003",
            "birth_year_month": "195507", "sex_code": "2", "participation_start_date": "20160901",
            "external_identifiers": [format!("{NUMBERS}|0042")],
        }),
    )
    .await;
    register(
        &server,
        "laboratories",
        json!({
            "consortium_id": "A00001", "test_lab_id": "000000000003", "test_lab_name": "Hospital",
            "prefecture_code": "13", "institution_code": "1310000001",
        }),
    )
    .await;

    // The person is found by the number, and by $match.
    let person = server
        .id(&format!("/Patient?identifier={NUMBERS}|0042"))
        .await;
    let known = json!({
        "resourceType": "Patient", "identifier": [{ "system": NUMBERS, "value": "0042" }],
    });
    let answer = server.write("POST", "/Patient/$match", &[], &known).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let found = entries(&answer.json());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["resource"]["id"], person.as_str());
    assert_eq!(found[0]["search"]["extension"][0]["valueCode"], "certain");

    // The result is written as the hospital has it.
    let sent = result("0042", "1310000001");
    let answer = post(&server, &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let created = answer.json();
    let id = created["id"].as_str().unwrap().to_owned();
    let path = format!("/Observation/{id}");
    assert_eq!(created["subject"]["reference"], format!("Patient/{person}"));
    assert_eq!(created["note"], sent["note"]);
    let laboratory = server.id("/Organization?identifier=1310000001").await;
    let performers = created["performer"].to_string();
    assert!(
        performers.contains(&format!("\"Organization/{laboratory}\"")),
        "{performers}"
    );
    assert!(performers.contains("Practitioner/p1"), "{performers}");

    // It is there in both languages of codes.
    for code in [
        "http://loinc.org|4548-4".to_owned(),
        format!("{JLAC10}|3D046000001920402"),
        "urn:oid:1.2.392.200119.4.504|3D046000001920402".into(),
    ] {
        for query in [
            format!("/Observation?patient={person}&code={code}"),
            format!("/Observation/$lastn?patient={person}&code={code}"),
            format!(
                "/Observation?patient.identifier={NUMBERS}|0042&code={code}&code-value-quantity={code}$6.1"
            ),
        ] {
            assert_eq!(server.id(&query).await, id, "{query}");
        }
    }
    let all = server
        .found(&format!("/Patient/{person}/$everything"))
        .await;
    let ids: Vec<Value> = entries(&all)
        .iter()
        .map(|e| e["resource"]["id"].clone())
        .collect();
    for wanted in [&person, &id, &laboratory] {
        assert!(ids.contains(&json!(wanted)), "{wanted}: {ids:?}");
    }

    // The same again is no second one.
    let again = post(&server, &sent).await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (200, "W/\"1\"")
    );
    assert_eq!(again.json()["id"], id.as_str());
    let of_person = format!("/Observation?patient={person}");
    assert_eq!(server.number(&of_person).await, 1);

    // A correction is its next version.
    let mut corrected = sent.clone();
    corrected["valueQuantity"]["value"] = json!(6.3);
    corrected["issued"] = json!("2016-11-03T10:00:00.000+09:00");
    let answer = post(&server, &corrected).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"2\""),
        "{}",
        answer.text
    );
    let history = entries(&server.found(&format!("{path}/_history")).await);
    let values: Vec<String> = history
        .iter()
        .map(|e| e["resource"]["valueQuantity"]["value"].to_string())
        .collect();
    assert_eq!(values, ["6.3", "6.1"]);
    assert_eq!(server.number(&of_person).await, 1);

    // The protocol has it, without what it cannot say.
    let exported = exchange(&server, "GET", "records?consortium_id=A00001", "").await;
    assert_eq!(exported.status, 200);
    let persons = exported.json()["person_information"].clone();
    let own = persons.as_array().unwrap().iter();
    let own: Vec<&Value> = own
        .filter(|p| p["person_id"] == "P0000000000000000003")
        .collect();
    assert_eq!(own.len(), 1, "{persons}");
    let record = &own[0]["health_checkup_information"]["hba1c"][0];
    assert_eq!(record["observation_time"], "20161101000000");
    assert_eq!(record["hba1c_value"].to_string(), "6.3");
    assert_eq!(record["test_lab_id"], "000000000003");
    assert_eq!(record["measurement_method_code"], "000001");
    assert_eq!(record["update_time"], "20161103100000000");
    assert!(!exported.text.contains("fasting") && !exported.text.contains("0042"));

    // And what the protocol has changes nothing when it comes back.
    let before = server.found(&path).await;
    let receipt = exchange(&server, "POST", "submissions", &exported.text).await;
    assert_eq!(receipt.status, 200, "{}", receipt.text);
    let counts = receipt.json()["counts"].clone();
    assert_eq!(counts["unchanged"], counts["received"], "{counts}");
    assert_eq!(server.found(&path).await, before);
}

#[tokio::test]
async fn who_is_not_registered_is_named_with_what_to_register() {
    let server = Server::with_example().await;
    // A person of the example, and an institution that no laboratory has; and the other way.
    let mrn = "urn:oid:1.2.392.100495.20.3.51.12312345678";
    let mut sent = result("00012345", "1310000001");
    sent["subject"]["identifier"]["system"] = json!(mrn);
    let answer = post(&server, &sent).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let issue = answer.issue();
    assert!(issue.contains("laboratory-unknown"), "{issue}");
    assert!(
        issue.contains("institution_code") && issue.contains("laboratories"),
        "{issue}"
    );
    let answer = post(&server, &result("0042", "2312345678")).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let issue = answer.issue();
    assert!(issue.contains("participant-unknown"), "{issue}");
    assert!(
        issue.contains("participants.external_identifiers"),
        "{issue}"
    );
    assert!(issue.contains(NUMBERS), "{issue}");
    assert_eq!(server.number("/Observation?date=2016-11-01").await, 0);
}
