//! `Patient/$match`.

use serde_json::{Value, json};

use crate::server::{Answer, PERSON, Server, entries};

const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    server.send("POST", path, &[FHIR], &body.to_string()).await
}

/// Id, grade and score of what was found.
async fn found(server: &Server, body: &Value) -> Vec<(String, String, String)> {
    let answer = post(server, "/Patient/$match", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let bundle = answer.json();
    assert_eq!(kenko_fhir::fhir::check::check(&bundle), Ok(()));
    assert_eq!(bundle["type"], "searchset");
    entries(&bundle)
        .iter()
        .map(|entry| {
            assert_eq!(entry["search"]["mode"], "match");
            let grade = &entry["search"]["extension"][0];
            assert_eq!(
                grade["url"],
                "http://hl7.org/fhir/StructureDefinition/match-grade"
            );
            (
                entry["resource"]["id"].as_str().unwrap().to_owned(),
                grade["valueCode"].as_str().unwrap().to_owned(),
                entry["search"]["score"].to_string(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_person_is_found_by_what_is_known() {
    let server = Server::with_example().await;
    let known = server
        .matches(&format!("/Patient?identifier={PERSON}"))
        .await
        .remove(0);
    let id = known["id"].as_str().unwrap();
    let whole = found(&server, &known).await;
    assert_eq!(
        whole[0],
        (id.to_owned(), "certain".to_owned(), "1.00".to_owned())
    );
    let identifier = json!({ "resourceType": "Patient", "identifier": known["identifier"] });
    assert_eq!(found(&server, &identifier).await[0].1, "certain");
    let born = json!({
        "resourceType": "Patient", "birthDate": known["birthDate"], "gender": known["gender"],
    });
    let possible = found(&server, &born).await;
    assert!(
        possible
            .iter()
            .any(|(found, grade, _)| found == id && grade == "possible")
    );
    assert!(possible.is_sorted_by(|a, b| a.2 >= b.2));
    let other = if known["gender"] == "male" {
        "female"
    } else {
        "male"
    };
    let mut differs = known.clone();
    differs["gender"] = json!(other);
    assert_eq!(found(&server, &differs).await[0].1, "probable");
    let nobody = json!({ "resourceType": "Patient", "identifier": [{ "value": "nobody" }] });
    assert_eq!(found(&server, &nobody).await, []);
    assert_eq!(
        found(
            &server,
            &json!({ "resourceType": "Patient", "active": true })
        )
        .await,
        []
    );
}

#[tokio::test]
async fn only_certain_ones_and_so_many() {
    let server = Server::with_example().await;
    let known = server
        .matches(&format!("/Patient?identifier={PERSON}"))
        .await
        .remove(0);
    let born = json!({
        "resourceType": "Patient", "birthDate": known["birthDate"], "gender": known["gender"],
    });
    let asked = |resource: &Value, name: &str, value: Value| {
        let mut given = json!({ "name": name });
        let key = if value.is_boolean() {
            "valueBoolean"
        } else {
            "valueInteger"
        };
        given[key] = value;
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": "resource", "resource": resource }, given,
        ] })
    };
    let certain = |resource: &Value| asked(resource, "onlyCertainMatches", json!(true));
    assert_eq!(found(&server, &certain(&born)).await, []);
    assert_eq!(found(&server, &certain(&known)).await.len(), 1);
    assert_eq!(
        found(&server, &asked(&known, "count", json!(1)))
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn matches_are_given_in_part() {
    let server = Server::with_example().await;
    let known = server.matches("/Patient").await[0].clone();
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "resource", "resource": known },
        { "name": "_elements", "valueString": "gender" },
    ] });
    let answer = post(&server, "/Patient/$match", &body).await.json();
    let part = &answer["entry"][0]["resource"];
    assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(
        part.get("gender").is_some() && part.get("birthDate").is_none(),
        "{part}"
    );
}

#[tokio::test]
async fn what_cannot_be_matched_is_refused() {
    let server = Server::with_example().await;
    for (body, status) in [
        (json!({ "resourceType": "Observation" }), 400),
        (json!({ "resourceType": "Patient", "nam": [] }), 400),
        (json!({ "resourceType": "Parameters" }), 400),
        (json!([]), 400),
    ] {
        let answer = post(&server, "/Patient/$match", &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        answer.issue();
    }
    let answer = server.get("/Patient/$match").await;
    assert_eq!(answer.status, 405);
    let count = json!({ "resourceType": "Patient", "active": true });
    assert_eq!(
        post(&server, "/Patient/$match?count=0", &count)
            .await
            .status,
        400
    );
}
