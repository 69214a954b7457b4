//! create, update, delete, and what they answer.

use kenko_fhir::fhir::resource::{Interaction, RESOURCES};
use serde_json::{Value, json};

use crate::server::{Answer, BASE, PERSON, Server, entries};

pub const FHIR: (&str, &str) = ("content-type", "application/fhir+json");
pub const PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
pub const PERSONS: &str = "https://kenko-fhir.example/fhir/sid/consortium/A00001/person";

/// A server, and what a weight refers to.
pub struct Scale {
    pub server: Server,
    pub patient: String,
    device: String,
}

impl Scale {
    pub async fn new() -> Scale {
        let server = Server::with_example().await;
        let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
        let device = server.id("/Device?identifier=ACME:WS-100:WS0001234").await;
        Scale {
            server,
            patient,
            device,
        }
    }

    /// A weight as any client would write it; the value keeps its digits.
    pub fn weight(&self, time: &str, value: &str) -> String {
        format!(
            r#"{{"resourceType":"Observation","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}]}},"subject":{{"reference":"Patient/{}"}},"device":{{"reference":"Device/{}"}},"effectiveDateTime":"{time}","valueQuantity":{{"value":{value},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#,
            self.patient, self.device
        )
    }

    pub async fn write(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let headers = [&[FHIR], more].concat();
        self.server.send(method, path, &headers, body).await
    }

    /// A weight that was created, as it is read.
    pub async fn created(&self, time: &str, value: &str) -> Value {
        let answer = self
            .write("POST", "/Observation", &[], &self.weight(time, value))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    pub async fn number(&self) -> usize {
        self.server.number("/Observation?_count=1000").await
    }
}

/// A resource with the members of another object in it.
pub fn with(resource: &Value, members: Value) -> String {
    let mut resource = resource.clone();
    for (name, value) in members.as_object().unwrap() {
        resource[name] = value.clone();
    }
    resource.to_string()
}

pub fn path_of(resource: &Value) -> String {
    let (ty, id) = (&resource["resourceType"], &resource["id"]);
    format!("/{}/{}", ty.as_str().unwrap(), id.as_str().unwrap())
}

pub fn participant(number: u32) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{ "system": PERSONS, "value": format!("P{number:019}") }],
        "gender": "female", "birthDate": "1970-02",
    })
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text);
    answer.issue();
    answer.json()["issue"][0].clone()
}

#[tokio::test]
async fn c1_03_create_answers_201_and_where() {
    let scale = Scale::new().await;
    let sent: Value =
        serde_json::from_str(&scale.weight("2016-11-01T07:00:00+09:00", "61.50")).unwrap();
    let own = json!({ "id": "mine", "meta": { "versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z" } });
    for (path, sent) in [("/Observation", sent), ("/Patient", participant(11))] {
        let answer = scale
            .write("POST", path, &[], &with(&sent, own.clone()))
            .await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text);
        let made = answer.json();
        let id = made["id"].as_str().unwrap();
        assert_ne!(id, "mine");
        assert_eq!(
            answer.header("location"),
            format!("{BASE}{path}/{id}/_history/1")
        );
        assert_eq!(answer.header("etag"), "W/\"1\"");
        assert!(answer.header("last-modified").ends_with(" GMT"));
        assert_eq!(made["meta"]["versionId"], "1");
        assert!(made["meta"]["lastUpdated"].as_str() > Some("2020"));
        assert_eq!(scale.server.found(&format!("{path}/{id}")).await, made);
        assert_eq!(
            scale.server.found(&format!("{path}/{id}/_history/1")).await,
            made
        );
        assert_eq!(scale.server.number(&format!("{path}?_id={id}")).await, 1);
        assert_eq!(scale.server.get(&format!("{path}/mine")).await.status, 404);
    }
    let written = scale.server.get("/Observation?date=2016-11-01").await.text;
    assert!(written.contains("\"value\":61.50,"), "{written}");
}

#[tokio::test]
async fn c1_04_update_checks_the_id_and_makes_a_version() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let path = path_of(&made);
    let mut without = made.clone();
    without.as_object_mut().unwrap().remove("id");
    for wrong in [
        without.to_string(),
        with(&made, json!({ "id": "other" })),
        with(&made, json!({ "id": "" })),
        with(&made, json!({ "resourceType": "Patient" })),
    ] {
        refused(&scale.write("PUT", &path, &[], &wrong).await, 400);
    }
    assert_eq!(scale.server.found(&path).await, made);

    let text = made.to_string().replace("61.5,", "61.70,");
    // What the client says of versions does not count.
    let text = text.replace("\"versionId\":\"1\"", "\"versionId\":\"8\"");
    let answer = scale.write("PUT", &path, &[], &text).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"2\"")
    );
    assert!(answer.header("last-modified").ends_with(" GMT"));
    assert!(answer.text.contains("\"value\":61.70,"), "{}", answer.text);
    assert_eq!(answer.json()["meta"]["versionId"], "2");
    assert_eq!(scale.server.found(&path).await, answer.json());
    assert_eq!(
        scale.server.found(&format!("{path}/_history/1")).await,
        made
    );

    let patient = scale
        .write("POST", "/Patient", &[], &participant(11).to_string())
        .await
        .json();
    let changed = with(&patient, json!({ "gender": "male" }));
    let answer = scale.write("PUT", &path_of(&patient), &[], &changed).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"2\"")
    );
    assert_eq!(
        scale.server.found(&path_of(&patient)).await["gender"],
        "male"
    );
}

#[tokio::test]
async fn c1_05_put_creates_what_has_the_resources_own_id() {
    // Ids follow from what a resource is about: another server knows them before.
    let other = Scale::new().await;
    let made = other.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let patient = other
        .write("POST", "/Patient", &[], &participant(11).to_string())
        .await
        .json();
    let scale = Scale::new().await;
    for resource in [&made, &patient] {
        let path = path_of(resource);
        assert_eq!(scale.server.get(&path).await.status, 404);
        let answer = scale.write("PUT", &path, &[], &resource.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(
            answer.header("location"),
            format!("{BASE}{path}/_history/1")
        );
        assert_eq!(scale.server.found(&path).await["meta"]["versionId"], "1");
    }
    // The id of something else.
    for resource in [&made, &patient] {
        let sent = with(resource, json!({ "id": "mine" }));
        let path = format!("/{}/mine", resource["resourceType"].as_str().unwrap());
        let issue = refused(&scale.write("PUT", &path, &[], &sent).await, 422);
        assert_eq!(issue["details"]["coding"][0]["code"], "identity");
        let text = issue.to_string();
        assert!(
            text.contains(resource["id"].as_str().unwrap()),
            "the right id: {text}"
        );
    }
    for resource in RESOURCES {
        if !resource.has(Interaction::Update) {
            let path = format!("/{}/x", resource.name());
            let sent = json!({ "resourceType": resource.name(), "id": "x" }).to_string();
            refused(&scale.write("PUT", &path, &[], &sent).await, 405);
        }
    }
}

#[tokio::test]
async fn c1_10_delete_is_idempotent() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let path = path_of(&made);
    let before = scale.number().await;
    let absent = format!("/Observation/{}", "A".repeat(43));
    for path in [&absent, "/Observation/unknown", &path, &path, &absent] {
        let answer = scale.server.send("DELETE", path, &[], "").await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 204),
            "{path}: {}",
            answer.text
        );
    }
    assert_eq!(scale.number().await, before - 1);
    assert_eq!(scale.server.get(&path).await.status, 410);
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        scale.server.number(&format!("/Observation?_id={id}")).await,
        0
    );
    assert_eq!(scale.server.number("/Observation?date=2016-11-01").await, 0);
    let count = scale.server.found("/Observation?_summary=count").await;
    assert_eq!(count["total"], before - 1);
    let history = entries(&scale.server.found(&format!("{path}/_history")).await);
    let methods: Vec<&Value> = history.iter().map(|e| &e["request"]["method"]).collect();
    assert_eq!(methods, ["DELETE", "POST"]);
    assert_eq!(
        scale.server.found(&format!("{path}/_history/1")).await,
        made
    );
    // It may come back.
    let answer = scale.write("PUT", &path, &[], &made.to_string()).await;
    assert!(
        matches!(answer.status.as_u16(), 200 | 201),
        "{}",
        answer.text
    );
    assert_eq!(scale.server.found(&path).await["meta"]["versionId"], "3");
    assert_eq!(scale.number().await, before);
}

#[tokio::test]
async fn c1_12_prefer_return_is_honoured() {
    let scale = Scale::new().await;
    let mut made = Value::Null;
    for (n, (prefer, body)) in [
        ("return=minimal", ""),
        ("return=representation", "Observation"),
        ("return=OperationOutcome", "OperationOutcome"),
        ("return=presentation", "Observation"),
        ("", "Observation"),
    ]
    .into_iter()
    .enumerate()
    {
        let time = format!("2016-11-0{}T07:00:00+09:00", n + 1);
        let headers = [("prefer", prefer)];
        let created = scale
            .write(
                "POST",
                "/Observation",
                &headers,
                &scale.weight(&time, "61.5"),
            )
            .await;
        assert_eq!(created.status, 201, "{prefer}: {}", created.text);
        let location = created.header("location").to_owned();
        assert!(location.ends_with("/_history/1"), "{location}");
        assert_eq!(created.header("etag"), "W/\"1\"");
        let path = location[BASE.len()..]
            .trim_end_matches("/_history/1")
            .to_owned();
        made = scale.server.found(&path).await;
        let text = made.to_string().replace("61.5,", "62.5,");
        let updated = scale.write("PUT", &path, &headers, &text).await;
        let patch = r#"[{"op":"replace","path":"/valueQuantity/value","value":63}]"#;
        let patched = scale
            .server
            .send("PATCH", &path, &[PATCH, headers[0]], patch)
            .await;
        for answer in [&created, &updated, &patched] {
            assert!(answer.status.is_success(), "{prefer}: {}", answer.text);
            match body {
                "" => assert_eq!(answer.text, "", "{prefer}"),
                ty => assert_eq!(answer.json()["resourceType"], ty, "{prefer}"),
            }
        }
        if body == "OperationOutcome" {
            let severity = &updated.json()["issue"][0]["severity"];
            assert_eq!(severity, "information");
        }
        assert_eq!(scale.server.found(&path).await["meta"]["versionId"], "3");
    }
    // An error is told whatever was preferred.
    let minimal = [("prefer", "return=minimal")];
    refused(
        &scale.write("POST", "/Observation", &minimal, "{").await,
        400,
    );
    let other = with(&made, json!({ "id": "other" }));
    refused(
        &scale.write("PUT", &path_of(&made), &minimal, &other).await,
        400,
    );
}

#[tokio::test]
async fn c1_14_what_is_wrong_is_400_and_what_breaks_a_rule_422() {
    let scale = Scale::new().await;
    let good = scale.weight("2016-11-01T07:00:00+09:00", "61.5");
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let cases = [
        // Not JSON, not FHIR, not an Observation.
        (400, "{".to_owned(), None),
        (400, String::new(), None),
        (400, "[]".into(), None),
        (400, "null".into(), None),
        (400, r#"{"status":"final"}"#.into(), None),
        (400, r#"{"resourceType":"Patient"}"#.into(), None),
        (
            400,
            changed("\"status\":\"final\",", ""),
            Some("Observation.status"),
        ),
        (
            400,
            changed("\"status\":\"final\"", "\"status\":\"finished\""),
            Some("Observation.status"),
        ),
        (
            400,
            changed("\"status\":\"final\"", "\"status\":1"),
            Some("Observation.status"),
        ),
        (
            400,
            changed("\"status\":\"final\"", "\"status\":\"final\",\"colour\":1"),
            Some("Observation.colour"),
        ),
        (400, changed("61.5", "\"61.5\""), Some("Observation.value")),
        (
            400,
            changed("2016-11-01T07:00:00+09:00", "yesterday"),
            Some("Observation.effective"),
        ),
        (
            400,
            changed("2016-11-01T07:00:00+09:00", "2016-11-01T07:00:00"),
            Some("Observation.effective"),
        ),
        // Sound, but against a rule of the records.
        (
            422,
            changed("\"code\":\"kg\"", "\"code\":\"[stone_av]\""),
            Some("Observation.value"),
        ),
        (422, changed("61.5", "-61.5"), Some("Observation.value")),
        (422, changed("61.5", "6100000"), Some("Observation.value")),
        (
            422,
            changed("2016-11-01", "2999-11-01"),
            Some("Observation.effective"),
        ),
        (
            422,
            changed("\"status\":\"final\"", "\"status\":\"preliminary\""),
            Some("Observation.status"),
        ),
        (
            422,
            changed("\"code\":\"29463-7\"", "\"code\":\"8302-2\""),
            Some("Observation.code"),
        ),
        (
            422,
            changed(&format!("Patient/{}", scale.patient), "Patient/unknown"),
            Some("Observation.subject"),
        ),
        (
            422,
            changed("Device/", "Device/A"),
            Some("Observation.device"),
        ),
    ];
    let before = scale.number().await;
    let mut wrong = Vec::new();
    for (status, body, place) in cases {
        let answer = scale.write("POST", "/Observation", &[], &body).await;
        answer.issue();
        let issue = &answer.json()["issue"][0];
        let expression = issue["expression"][0].as_str().unwrap_or_default();
        if answer.status != status || !expression.starts_with(place.unwrap_or_default()) {
            wrong.push(format!(
                "{status} {place:?} {body}\n{} {issue}",
                answer.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(scale.number().await, before);
    assert_eq!(
        scale.write("POST", "/Observation", &[], &good).await.status,
        201
    );
}
