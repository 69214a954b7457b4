//! `$to-fhir` and `$to-exchange`.

use kenko_fhir::fhir::check;
use serde_json::{Value, json};

use crate::server::{Answer, Server, entries};

const JSON: (&str, &str) = ("content-type", "application/json");
const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

fn example() -> String {
    std::fs::read_to_string("examples/first.json").unwrap()
}

async fn post(server: &Server, operation: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    server
        .send("POST", &format!("/${operation}"), headers, body)
        .await
}

#[tokio::test]
async fn a_submission_becomes_a_collection_and_comes_back() {
    let server = Server::empty().await;
    let answer = post(&server, "to-fhir", &[JSON], &example()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let bundle = answer.json();
    assert_eq!(bundle["type"], "collection");
    assert_eq!(check::check(&bundle), Ok(()));
    let kinds: Vec<&str> = bundle["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["resource"]["resourceType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|k| **k == "Observation").count(), 11);
    let patient = entries(&bundle)
        .into_iter()
        .find(|e| e["resource"]["resourceType"] == "Patient");
    assert_eq!(patient.unwrap()["resource"]["birthDate"], "1961-04");
    assert_eq!(server.number("/Observation").await, 0);

    let back = post(&server, "to-exchange", &[FHIR], &answer.text).await;
    assert_eq!(back.status, 200, "{}", back.text);
    let parameters = back.json();
    assert_eq!(check::check(&parameters), Ok(()));
    let parts = parameters["parameter"].as_array().unwrap();
    assert_eq!(parts[0]["name"], "submission");
    assert_eq!(parts[0]["resource"]["contentType"], "application/json");
    let submission = decode(parts[0]["resource"]["data"].as_str().unwrap());
    let submission: Value = serde_json::from_str(&submission).unwrap();
    assert_eq!(submission["consortium_id"], "A00001");
    assert_eq!(parts.last().unwrap()["name"], "outcome");
    assert_eq!(
        parts.last().unwrap()["resource"]["resourceType"],
        "OperationOutcome"
    );
    let again = post(&server, "to-fhir", &[JSON], &submission.to_string())
        .await
        .json();
    assert_eq!(again["entry"], bundle["entry"]);
    let pretty = post(&server, "to-fhir?_pretty=true", &[JSON], &example()).await;
    assert_eq!(pretty.json(), bundle);
}

#[tokio::test]
async fn faults_of_a_submission_refuse_it_or_its_records() {
    let server = Server::empty().await;
    let wrong = example().replacen("65.5", "65.505", 1);
    let answer = post(&server, "to-fhir", &[JSON], &wrong).await;
    assert_eq!(answer.status, 422);
    assert!(answer.issue().contains("decimals"), "{}", answer.text);
    let lenient = post(
        &server,
        "to-fhir",
        &[JSON, ("prefer", "handling=lenient")],
        &wrong,
    )
    .await;
    assert_eq!(lenient.status, 200);
    assert_eq!(post(&server, "to-fhir", &[JSON], "{").await.status, 400);
    assert_eq!(
        post(&server, "to-fhir", &[("content-type", "text/plain")], "{}")
            .await
            .status,
        415
    );
    assert_eq!(post(&server, "to-fhir", &[JSON], "{}").await.status, 422);
}

#[tokio::test]
async fn what_is_not_ours_is_told_and_nothing_at_all_is_422() {
    let server = Server::with_example().await;
    let weight = server
        .matches("/Observation?code=29463-7&_count=1")
        .await
        .remove(0);
    let patient = server.id("/Patient?identifier=P0000000000000000001").await;
    let patient = server.found(&format!("/Patient/{patient}")).await;
    let mut resources = server.matches("/Observation?code=29463-7").await;
    resources.extend(server.matches("/Patient").await);
    resources.extend(server.matches("/Device").await);
    let other =
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" } });
    let bundle = |resources: &[Value]| {
        let entries: Vec<Value> = resources
            .iter()
            .map(|r| {
                let address = format!(
                    "http://h.example/fhir/{}/{}",
                    r["resourceType"].as_str().unwrap(),
                    r["id"].as_str().unwrap_or("x")
                );
                json!({ "fullUrl": address, "resource": r })
            })
            .collect();
        json!({ "resourceType": "Bundle", "type": "collection", "entry": entries }).to_string()
    };
    let mut mixed = resources.clone();
    mixed.push(other.clone());
    mixed.push(json!({ "resourceType": "Medication" }));
    let answer = post(&server, "to-exchange", &[FHIR], &bundle(&mixed)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let outcome = &answer["parameter"].as_array().unwrap().last().unwrap()["resource"];
    let severities: Vec<&str> = outcome["issue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["severity"].as_str().unwrap())
        .collect();
    assert!(severities.contains(&"information"), "{outcome}");
    assert!(!severities.contains(&"error"), "{outcome}");
    let strict = [FHIR, ("prefer", "handling=strict")];
    assert_eq!(
        post(&server, "to-exchange", &strict, &bundle(&mixed))
            .await
            .status,
        200
    );

    let nothing = post(&server, "to-exchange", &[FHIR], &bundle(&[other])).await;
    assert_eq!(nothing.status, 422);
    assert_eq!(nothing.json()["issue"][0]["severity"], "error");

    // Something of ours that is refused.
    let mut wrong = weight;
    wrong["id"] = json!("wrong");
    wrong["status"] = json!("preliminary");
    let mut with_wrong = resources;
    with_wrong.push(wrong);
    with_wrong.push(patient);
    let lenient = post(&server, "to-exchange", &[FHIR], &bundle(&with_wrong)).await;
    assert_eq!(lenient.status, 200, "{}", lenient.text);
    let refused = post(&server, "to-exchange", &strict, &bundle(&with_wrong)).await;
    assert_eq!(refused.status, 422);
    refused.issue();
    assert_eq!(post(&server, "to-exchange", &[FHIR], "{").await.status, 400);
}

pub fn decode(text: &str) -> String {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    let (mut word, mut bits) = (0u32, 0);
    for c in text.bytes().filter(|&c| c != b'=') {
        word = word << 6 | u32::from(digit(c));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    String::from_utf8(out).unwrap()
}
