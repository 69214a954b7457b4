//! `Patient/$everything`.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::server::{PERSON, Server, entries, link, matches, weight};

const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

async fn path(server: &Server) -> String {
    let id = server.id(&format!("/Patient?identifier={PERSON}")).await;
    format!("/Patient/{id}/$everything")
}

fn of(bundle: &Value, mode: &str) -> Vec<String> {
    let all = entries(bundle);
    let some = all.iter().filter(|e| e["search"]["mode"] == mode);
    some.map(|e| {
        let (resource, id) = (&e["resource"]["resourceType"], &e["resource"]["id"]);
        let reference = format!("{}/{}", resource.as_str().unwrap(), id.as_str().unwrap());
        assert_eq!(e["fullUrl"], format!("http://h.example/fhir/{reference}"));
        reference
    })
    .collect()
}

fn types(references: &[String]) -> Vec<&str> {
    let mut out: Vec<&str> = references
        .iter()
        .map(|r| r.split('/').next().unwrap())
        .collect();
    out.dedup();
    out
}

/// All references in a resource.
fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(text) if name == "reference" => out.push(text.clone()),
            _ => references(value, out),
        }),
        Value::Array(items) => items.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

#[tokio::test]
async fn everything_about_a_person_and_what_it_refers_to_is_one_bundle() {
    let server = Server::with_example().await;
    let path = path(&server).await;
    let bundle = server.found(&path).await;
    assert_eq!(bundle["type"], "searchset");
    assert_eq!(link(&bundle, "self").unwrap(), path);
    assert_eq!(link(&bundle, "next"), None);
    let found = of(&bundle, "match");
    assert_eq!(
        types(&found)[..3],
        ["Patient", "ResearchSubject", "Observation"]
    );
    assert_eq!(types(&found).last(), Some(&"Provenance"));
    let patient = path.split('/').nth(2).unwrap();
    let own = server
        .number(&format!("/Observation?patient={patient}&_count=1000"))
        .await;
    assert_eq!(
        found
            .iter()
            .filter(|r| r.starts_with("Observation/"))
            .count(),
        own
    );
    let included = of(&bundle, "include");
    for name in [
        "Device",
        "DeviceDefinition",
        "Organization",
        "ResearchStudy",
    ] {
        assert!(types(&included).contains(&name), "{name}: {included:?}");
    }
    // Each once, and whatever is referred to is there.
    let all: HashSet<&String> = found.iter().chain(&included).collect();
    assert_eq!(all.len(), found.len() + included.len());
    let mut referred = Vec::new();
    references(&bundle, &mut referred);
    for reference in referred {
        assert!(all.contains(&reference), "{reference}");
    }
}

#[tokio::test]
async fn pages_give_each_member_once() {
    let server = Server::with_example().await;
    let path = path(&server).await;
    let whole: Vec<String> = of(&server.found(&path).await, "match");
    for count in [1, 2, 3, 7, 1000] {
        let mut next = Some(format!("{path}?_count={count}"));
        let mut walked = Vec::new();
        while let Some(at) = next {
            let page = server.found(&at).await;
            let found = of(&page, "match");
            assert!(found.len() <= count, "{at}");
            walked.extend(found);
            next = link(&page, "next");
        }
        assert_eq!(walked, whole, "{count}");
    }
    let wrong = server.get(&format!("{path}?_count=2&_cursor=abc")).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn times_and_types_narrow_it() {
    let server = Server::with_example().await.since_new_year().await;
    let text = weight(PERSON, "20160601070000", "60.0", "20160601070500000");
    assert_eq!(server.submit(&text).await.status, 201);
    let path = path(&server).await;
    let observed = |bundle: &Value| {
        let found = of(bundle, "match");
        found
            .iter()
            .filter(|r| r.starts_with("Observation/"))
            .count()
    };
    let early = server
        .found(&format!("{path}?start=2016-06&end=2016-06-30"))
        .await;
    assert_eq!(observed(&early), 1);
    // Who it is about is told whenever it was measured.
    assert!(of(&early, "match")[0].starts_with("Patient/"));
    let none = server.found(&format!("{path}?end=2015")).await;
    assert_eq!(observed(&none), 0);
    let devices = server
        .found(&format!("{path}?_type=Device&_type=Patient"))
        .await;
    assert_eq!(types(&of(&devices, "match")), ["Patient"]);
    let some = server
        .found(&format!("{path}?_type=Observation,Device"))
        .await;
    assert_eq!(types(&of(&some, "include")), ["Device"]);
    let since = server
        .found(&format!("{path}?_since=2999-01-01T00:00:00%2B09:00"))
        .await;
    assert_eq!(matches(&since).len(), 0);
    for wrong in [
        "start=soon",
        "_since=2016-01-01",
        "_type=Nothing",
        "_count=0",
        "_count=1&_count=2",
        "_summary=count",
    ] {
        let answer = server.get(&format!("{path}?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
        answer.issue();
    }
}

#[tokio::test]
async fn it_can_be_asked_for_by_post_and_in_part() {
    let server = Server::with_example().await;
    let path = path(&server).await;
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "_type", "valueCode": "Observation" },
        { "name": "_count", "valueInteger": 2 },
    ] });
    let answer = server.send("POST", &path, &[FHIR], &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let page = answer.json();
    assert_eq!(of(&page, "match").len(), 2);
    // Links are followed by GET.
    let next = link(&page, "next").unwrap();
    assert_eq!(of(&server.found(&next).await, "match").len(), 2);
    let empty = server.send("POST", &path, &[], "").await;
    assert_eq!(empty.json()["entry"], server.found(&path).await["entry"]);
    let part = server
        .found(&format!("{path}?_elements=birthDate,code"))
        .await;
    for resource in matches(&part) {
        assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED");
    }
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "_elements", "valueString": "birthDate" },
        { "name": "_elements", "valueString": "code" },
        { "name": "_count", "valueInteger": 2 },
    ] });
    let answer = server.send("POST", &path, &[FHIR], &body.to_string()).await;
    let mut page = answer.json();
    for _ in 0..2 {
        let found = matches(&page);
        assert_eq!(found.len(), 2);
        for resource in found {
            assert_eq!(resource["meta"]["tag"][0]["code"], "SUBSETTED");
            assert_eq!(resource.get("valueQuantity"), None);
        }
        page = server.found(&link(&page, "next").unwrap()).await;
    }
    for (headers, body, status) in [
        (
            &[FHIR][..],
            "{\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":\"_summary\",\"valueCode\":\"count\"}]}",
            400,
        ),
        (&[FHIR][..], "{", 400),
        (&[FHIR], "[]", 400),
        (&[FHIR], "{\"resourceType\":\"Patient\"}", 400),
        (
            &[FHIR],
            "{\"resourceType\":\"Parameters\",\"parameter\":[{\"name\":1}]}",
            400,
        ),
        (
            &[FHIR],
            "{\"resourceType\":\"Parameters\",\"resourceType\":\"Parameters\"}",
            400,
        ),
        (&[("content-type", "text/plain")], "x", 415),
    ] {
        let answer = server.send("POST", &path, headers, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        answer.issue();
    }
}

#[tokio::test]
async fn unknown_people_and_parameters() {
    let server = Server::with_example().await;
    for id in ["x", "AAAAAAAAAAAAAAAA"] {
        let answer = server.get(&format!("/Patient/{id}/$everything")).await;
        assert_eq!(answer.status, 404);
        answer.issue();
    }
    let path = path(&server).await;
    let lenient = server.found(&format!("{path}?no-such=1")).await;
    assert_eq!(of_outcomes(&lenient), 1);
    assert!(!link(&lenient, "self").unwrap().contains("no-such"));
    let strict = [("prefer", "handling=strict")];
    let answer = server
        .send("GET", &format!("{path}?no-such=1"), &strict, "")
        .await;
    assert_eq!(answer.status, 400);
    assert!(answer.issue().contains("no-such"));
    let answer = server.send("DELETE", &path, &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, "POST,GET,HEAD")
    );
    assert_eq!(server.get("/Patient/$everything").await.status, 404);
}

fn of_outcomes(bundle: &Value) -> usize {
    let all = entries(bundle);
    all.iter()
        .filter(|e| e["search"]["mode"] == "outcome")
        .count()
}
