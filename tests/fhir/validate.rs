//! `$validate`.

use serde_json::{Value, json};

use crate::server::{Answer, PERSON, Server};

const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    server.send("POST", path, &[FHIR], &body.to_string()).await
}

/// Severity, code and first expression of the issues; the answer is always 200.
async fn issues(server: &Server, path: &str, body: &Value) -> Vec<(String, String, String)> {
    let answer = post(server, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.issue();
    let outcome = answer.json();
    let issues = outcome["issue"].as_array().unwrap();
    issues
        .iter()
        .map(|issue| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (
                text(&issue["severity"]),
                text(&issue["code"]),
                text(&issue["expression"][0]),
            )
        })
        .collect()
}

/// The errors among them: code and expression.
async fn errors(server: &Server, path: &str, body: &Value) -> Vec<(String, String)> {
    let issues = issues(server, path, body).await.into_iter();
    let errors = issues.filter(|(severity, ..)| severity == "error");
    errors.map(|(_, code, at)| (code, at)).collect()
}

fn error(code: &str, at: &str) -> (String, String) {
    (code.to_owned(), at.to_owned())
}

#[tokio::test]
async fn what_the_server_gives_is_valid() {
    let server = Server::with_example().await;
    for name in [
        "Device",
        "DeviceDefinition",
        "Observation",
        "Organization",
        "Patient",
        "Provenance",
        "ResearchStudy",
        "ResearchSubject",
    ] {
        for resource in server.matches(&format!("/{name}")).await {
            let path = format!("/{name}/$validate");
            assert_eq!(errors(&server, &path, &resource).await, [], "{resource}");
            let id = resource["id"].as_str().unwrap();
            let stored = server.found(&format!("/{name}/{id}/$validate")).await;
            assert_eq!(stored["resourceType"], "OperationOutcome");
            assert!(!stored.to_string().contains("\"error\""), "{stored}");
        }
    }
}

#[tokio::test]
async fn all_mistakes_are_told_with_their_places() {
    let server = Server::with_example().await;
    let patient = json!({
        "resourceType": "Patient", "nam": [], "gender": "male",
        "birthDate": 1961, "contact": [{ "gender": "male" }],
    });
    assert_eq!(
        errors(&server, "/Patient/$validate", &patient).await,
        [
            error("structure", "Patient.nam"),
            error("value", "Patient.birthDate")
        ]
    );
    let patient = json!({
        "resourceType": "Patient", "gender": "m", "birthDate": "61-04",
        "contact": [{ "gender": "male" }], "communication": [{ "preferred": true }],
    });
    assert_eq!(
        errors(&server, "/Patient/$validate", &patient).await,
        [
            error("required", "Patient.communication[0].language"),
            error("code-invalid", "Patient.gender"),
            error("value", "Patient.birthDate"),
            error("invariant", "Patient.contact[0]"),
            error("not-found", "Patient.identifier"),
        ]
    );
    let answer = server
        .send(
            "POST",
            "/Patient/$validate",
            &[FHIR, ("accept-language", "ja")],
            &patient.to_string(),
        )
        .await;
    assert!(answer.text.contains("必須"), "{}", answer.text);
}

#[tokio::test]
async fn an_observation_is_judged_as_it_would_be_stored() {
    let server = Server::with_example().await;
    let weight = server
        .matches("/Observation?code=29463-7&_count=1")
        .await
        .remove(0);
    let path = "/Observation/$validate";
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = weight.clone();
        change(&mut changed);
        changed
    };
    let unit = changed(&|o| o["valueQuantity"]["code"] = json!("m"));
    let told = errors(&server, path, &unit).await;
    assert!(
        told.iter()
            .any(|(_, at)| at.starts_with("Observation.value")),
        "{told:?}"
    );
    let dangling = changed(&|o| o["subject"]["reference"] = json!("Patient/AAAAAAAAAAAAAAAA"));
    assert!(!errors(&server, path, &dangling).await.is_empty());
    let claimed = changed(&|o| {
        o["meta"]["profile"] = json!(["http://hl7.org/fhir/StructureDefinition/heartrate"]);
    });
    let told = errors(&server, path, &claimed).await;
    assert!(
        told.contains(&error("required", "Observation.code")),
        "{told:?}"
    );
    let asked = "/Observation/$validate?profile=http://hl7.org/fhir/StructureDefinition/bp";
    let told = errors(&server, asked, &weight).await;
    assert!(
        told.contains(&error("required", "Observation.component")),
        "{told:?}"
    );
    let unknown = "/Observation/$validate?profile=http://example.org/p";
    assert!(
        errors(&server, unknown, &weight)
            .await
            .contains(&error("not-supported", "Observation"))
    );
    // Nothing was stored.
    assert_eq!(server.number("/Observation").await, 11);
}

#[tokio::test]
async fn modes_ask_what_could_be_done() {
    let server = Server::with_example().await;
    let weight = server
        .matches("/Observation?code=29463-7&_count=1")
        .await
        .remove(0);
    let id = weight["id"].as_str().unwrap();
    let own = format!("/Observation/{id}/$validate");
    assert_eq!(
        errors(&server, &format!("{own}?mode=update"), &weight).await,
        []
    );
    let mut other = weight.clone();
    other["id"] = json!("other");
    let told = errors(&server, &format!("{own}?mode=update"), &other).await;
    assert!(
        told.contains(&error("invalid", "Observation.id")),
        "{told:?}"
    );
    assert_eq!(server.get(&format!("{own}?mode=delete")).await.status, 200);
    let organization = server.matches("/Organization?_count=1").await.remove(0);
    let told = issues(
        &server,
        "/Organization/$validate?mode=create",
        &organization,
    )
    .await;
    assert!(
        told.contains(&("error".into(), "not-supported".into(), String::new())),
        "{told:?}"
    );
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "mode", "valueCode": "create" },
        { "name": "resource", "resource": weight },
    ] });
    assert_eq!(
        errors(&server, "/Observation/$validate", &parameters).await,
        []
    );
    for (path, body, status) in [
        ("/Observation/$validate?mode=maybe", &weight, 400),
        ("/Observation/$validate?mode=profile", &weight, 400),
        ("/Patient/$validate", &weight, 400),
        ("/Observation/x/$validate?mode=delete", &weight, 404),
        ("/Observation/$validate", &json!([]), 400),
        (
            "/Observation/$validate",
            &json!({ "resourceType": "Parameters" }),
            400,
        ),
    ] {
        let answer = post(&server, path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        answer.issue();
    }
    for path in ["/Patient/x/$validate", "/Observation/AAAA/$validate"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/Observation/$validate").await.status, 400);
    let broken = server
        .send("POST", "/Patient/$validate", &[FHIR], "{")
        .await;
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn labels_are_told_by_meta() {
    let server = Server::with_example().await;
    let patient = server
        .matches(&format!("/Patient?identifier={PERSON}"))
        .await
        .remove(0);
    let id = patient["id"].as_str().unwrap();
    let told = server.found(&format!("/Patient/{id}/$meta")).await;
    assert_eq!(told["parameter"][0]["name"], "return");
    assert_eq!(told["parameter"][0]["valueMeta"], patient["meta"]);
    let of_type = server.found("/Patient/$meta").await;
    assert_eq!(
        of_type["parameter"][0]["valueMeta"]["profile"],
        patient["meta"]["profile"]
    );
    let all = server.found("/$meta").await;
    let profiles = all["parameter"][0]["valueMeta"]["profile"]
        .as_array()
        .unwrap();
    for resource in server.matches("/Observation").await {
        for profile in resource["meta"]["profile"].as_array().unwrap() {
            assert!(profiles.contains(profile), "{profile}");
        }
    }
    assert_eq!(server.get("/Patient/x/$meta").await.status, 404);
    assert_eq!(server.get("/$meta-add").await.status, 404);
    let told = server.found("/$meta?no-such=1").await;
    assert_eq!(told["parameter"][1]["name"], "outcome");
}

#[tokio::test]
async fn every_type_is_judged_as_it_would_be_written() {
    let server = Server::with_example().await;
    for (resource, code) in [
        (json!({ "resourceType": "Patient" }), "not-found"),
        (
            json!({ "resourceType": "Patient", "gender": "male" }),
            "not-found",
        ),
        (json!({ "resourceType": "Device" }), "required"),
        (
            json!({ "resourceType": "Device", "modelNumber": "HEM-7600T" }),
            "required",
        ),
    ] {
        let name = resource["resourceType"].as_str().unwrap();
        let refused = post(&server, &format!("/{name}"), &resource).await;
        assert!(
            [404, 405, 422].contains(&refused.status.as_u16()),
            "{}",
            refused.text
        );
        for mode in ["", "?mode=create", "?mode=update"] {
            let path = format!("/{name}/$validate{mode}");
            let errors = errors(&server, &path, &resource).await;
            assert!(
                errors.iter().any(|(met, _)| met == code),
                "{path} {resource}: {errors:?}"
            );
        }
    }
}
