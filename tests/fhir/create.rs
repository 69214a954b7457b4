//! create: <https://hl7.org/fhir/R4/http.html#create>.

use serde_json::{Value, json};

use crate::server::{BASE, Server, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";

#[tokio::test]
async fn c1_3_a_create_tells_where_the_resource_is_and_passes_over_the_sender_s_id() {
    let server = Server::with_example().await;
    let mut sent = observation(AT, "61.50");
    sent["id"] = json!("mine");
    sent["meta"] = json!({ "versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z" });
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let body = answer.json();
    let id = body["id"].as_str().unwrap();
    assert_ne!(id, "mine");
    assert_eq!(body["meta"]["versionId"], "1");
    assert_eq!(answer.header("etag"), "W/\"1\"");
    assert!(answer.header("last-modified").ends_with(" GMT"));
    let location = format!("{BASE}/Observation/{id}/_history/1");
    assert_eq!(answer.header("location"), location);
    assert!(answer.text.contains("\"value\":61.50"), "{}", answer.text);
    let read = server.found(&format!("/Observation/{id}")).await;
    assert_eq!(read, body);
    assert_ne!(body["meta"]["lastUpdated"], "2001-01-01T00:00:00Z");
}

#[tokio::test]
async fn c1_12_the_answer_to_a_write_is_what_prefer_asks_for() {
    let server = Server::with_example().await;
    for (prefer, minute, resource_type) in [
        ("return=representation", "01", Some("Observation")),
        ("return=OperationOutcome", "02", Some("OperationOutcome")),
        ("return=minimal", "03", None),
    ] {
        let sent = observation(&format!("2016-10-01T07:{minute}:00+09:00"), "61.5");
        for status in [201, 200] {
            let headers = [("prefer", prefer)];
            let answer = server.write("POST", "/Observation", &headers, &sent).await;
            assert_eq!(answer.status, status, "{prefer}: {}", answer.text);
            assert_eq!(answer.header("etag"), "W/\"1\"");
            assert!(answer.header("location").ends_with("/_history/1"));
            match resource_type {
                Some(name) => assert_eq!(answer.json()["resourceType"], name),
                None => assert_eq!(answer.text, ""),
            }
        }
        let refused = json!({ "resourceType": "Observation" });
        let answer = server
            .write("POST", "/Observation", &[("prefer", prefer)], &refused)
            .await;
        assert_eq!(answer.status, 422);
        answer.issue();
    }
}

#[tokio::test]
async fn c1_14_what_is_no_fhir_is_400_and_what_a_rule_refuses_is_422() {
    let server = Server::with_example().await;
    let with = |name: &str, value| {
        let mut sent = observation(AT, "61.5");
        sent[name] = value;
        sent.to_string()
    };
    let mut text_value = observation(AT, "61.5");
    text_value["valueQuantity"]["value"] = json!("61.5");
    for (body, status, expression) in [
        ("{".to_owned(), 400, None),
        (String::new(), 400, None),
        ("[]".into(), 400, None),
        ("{} {}".into(), 400, None),
        (json!({ "resourceType": "Patient" }).to_string(), 400, None),
        (
            with("nonsense", json!(1)),
            400,
            Some("Observation.nonsense"),
        ),
        (text_value.to_string(), 400, Some("Observation.value.value")),
        (
            with("status", json!("preliminary")),
            422,
            Some("Observation.status"),
        ),
        (
            with("subject", json!({ "reference": "Patient/unknown" })),
            422,
            Some("Observation.subject"),
        ),
        (
            with("device", json!({ "reference": "Device/unknown" })),
            422,
            Some("Observation.device"),
        ),
        (
            with(
                "code",
                json!({ "coding": [{ "system": "http://loinc.org", "code": "1-8" }] }),
            ),
            422,
            Some("Observation.code"),
        ),
        (
            with("effectiveDateTime", json!("2015-01-01T00:00:00+09:00")),
            422,
            Some("Observation.effective"),
        ),
        (
            with("derivedFrom", json!([{ "reference": "Observation/none" }])),
            422,
            Some("Observation.derivedFrom[0].reference"),
        ),
    ] {
        let headers = [("content-type", "application/fhir+json")];
        let answer = server.send("POST", "/Observation", &headers, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        answer.issue();
        if let Some(expression) = expression {
            let issue = &answer.json()["issue"][0];
            assert_eq!(issue["expression"][0], expression, "{issue}");
        }
    }
    assert_eq!(
        server
            .number("/Observation?date=2016-10-01&code=29463-7")
            .await,
        0
    );
}

#[tokio::test]
async fn c1_15_a_body_in_another_media_type_is_415() {
    let server = Server::with_example().await;
    let body = observation(AT, "61.5").to_string();
    for (media, status) in [
        ("application/fhir+json", 201),
        ("application/json", 200),
        ("text/json; charset=utf-8", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("application/fhir+json; fhirVersion=3.0", 415),
        ("application/fhir+xml", 415),
        ("application/json-patch+json", 415),
    ] {
        let headers = [("content-type", media)];
        let answer = server.send("POST", "/Observation", &headers, &body).await;
        assert_eq!(answer.status, status, "{media}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_create_of_what_exists_follows_the_resend_rule() {
    let server = Server::with_example().await;
    let first = server.create(&observation(AT, "61.5")).await;
    let path = format!("/Observation/{}", first["id"].as_str().unwrap());
    let with = |issued: &str, value: &str| {
        let mut sent = observation(AT, value);
        sent["issued"] = json!(issued);
        sent
    };
    let same = "2016-10-05T12:00:00.000+09:00";
    let newer = "2016-10-06T12:00:00.000+09:00";
    let older = "2016-10-04T12:00:00.000+09:00";
    for (sent, status, code, version) in [
        (with(same, "61.50"), 200, "", "1"),
        (with(same, "62"), 409, "conflict", "1"),
        (with(older, "62"), 409, "stale", "1"),
        (with(newer, "62"), 200, "", "2"),
    ] {
        let answer = server.write("POST", "/Observation", &[], &sent).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 409 {
            let issue = answer.json()["issue"][0].clone();
            assert_eq!(issue["details"]["coding"][0]["code"], code);
            assert_eq!(issue["severity"], "error");
        } else {
            assert_eq!(answer.json()["meta"]["versionId"], version);
        }
        let read = server.found(&path).await;
        assert_eq!(read["meta"]["versionId"], version);
    }
}

#[tokio::test]
async fn what_the_protocol_cannot_say_is_told() {
    let server = Server::with_example().await;
    let mut sent = observation(AT, "61.5");
    sent["note"] = json!([{ "text": "after breakfast" }]);
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 201);
    assert!(answer.header("warning").contains("Observation.note"));
    assert_eq!(answer.json()["note"], sent["note"]);
    let headers = [("prefer", "return=OperationOutcome")];
    let answer = server.write("POST", "/Observation", &headers, &sent).await;
    let issue = answer.json()["issue"][0].clone();
    assert_eq!(issue["details"]["coding"][0]["code"], "not-expressible");
    assert_eq!(issue["expression"][0], "Observation.note");
}

#[tokio::test]
async fn a_write_has_its_provenance() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.5")).await;
    let target = format!("Observation/{}", made["id"].as_str().unwrap());
    let all = server.matches("/Provenance?_count=100").await;
    let of_it: Vec<_> = all
        .iter()
        .filter(|p| p["target"][0]["reference"].as_str() == Some(&target))
        .collect();
    assert_eq!(of_it.len(), 1, "{all:?}");
    assert_eq!(of_it[0]["activity"]["coding"][0]["code"], "CREATE");
}

#[tokio::test]
async fn types_that_registries_write_are_405_with_allow() {
    let server = Server::with_example().await;
    for name in ["Organization", "DeviceDefinition", "ResearchStudy"] {
        let body = json!({ "resourceType": name });
        let answer = server.write("POST", &format!("/{name}"), &[], &body).await;
        assert_eq!(answer.status, 405, "{name}");
        assert!(answer.header("allow").contains("GET"), "{name}");
        answer.issue();
        for method in ["PUT", "PATCH", "DELETE"] {
            let answer = server
                .write(method, &format!("/{name}/x"), &[], &body)
                .await;
            assert_eq!(answer.status, 405, "{method} {name}");
            assert!(answer.header("allow").contains("GET"), "{name}");
            answer.issue();
        }
    }
}

#[tokio::test]
async fn amended_and_corrected_are_kept() {
    let server = Server::with_example().await;
    for (minute, status) in [("01", "amended"), ("02", "corrected"), ("03", "final")] {
        let at = format!("2016-10-01T07:{minute}:00+09:00");
        let mut sent = observation(&at, "61.5");
        sent["status"] = json!(status);
        let made = server.create(&sent).await;
        assert_eq!(made["status"], status);
        // Another version is a corrected one.
        let path = format!("/Observation/{}", made["id"].as_str().unwrap());
        let mut next = observation(&at, "62.5");
        next["id"] = made["id"].clone();
        let answer = server.write("PUT", &path, &[], &next).await;
        assert_eq!(answer.json()["status"], "corrected");
    }
}

#[tokio::test]
async fn what_is_no_fhir_is_400_with_its_place() {
    let server = Server::with_example().await;
    let set = |name: &str, value: Value| {
        let mut sent = observation("2016-10-01T07:00:00+09:00", "61.5");
        sent[name] = value;
        sent
    };
    for (name, value, at) in [
        ("code", json!("x"), "Observation.code"),
        ("code", json!([{ "text": "x" }]), "Observation.code"),
        ("code", Value::Null, "Observation.code"),
        ("code", json!({ "coding": {} }), "Observation.code.coding"),
        ("code", json!({ "coding": [] }), "Observation.code.coding"),
        ("subject", json!("Patient/1"), "Observation.subject"),
        ("subject", json!([]), "Observation.subject"),
        ("subject", json!({}), "Observation.subject"),
        (
            "subject",
            json!({ "reference": 1 }),
            "Observation.subject.reference",
        ),
        ("category", json!([]), "Observation.category"),
        ("component", json!([]), "Observation.component"),
        ("extension", json!([]), "Observation.extension"),
        ("performer", json!([null]), "Observation.performer[0]"),
        ("status", json!(["final"]), "Observation.status"),
        ("status", json!(1), "Observation.status"),
        ("valueQuantity", json!({}), "Observation.value"),
        ("valueQuantity", json!([]), "Observation.value"),
        ("valueString", json!("x"), "Observation.value"),
        (
            "effectivePeriod",
            json!({ "start": "2016-10-01" }),
            "Observation.effective",
        ),
        ("id", json!(7), "Observation.id"),
        ("meta", json!({}), "Observation.meta"),
        (
            "_status",
            json!({ "extension": [] }),
            "Observation._status.extension",
        ),
        (
            "contained",
            json!([{ "resourceType": "Patient", "nam": 1 }]),
            "Observation.contained[0].nam",
        ),
    ] {
        let answer = server
            .write("POST", "/Observation", &[], &set(name, value.clone()))
            .await;
        assert_eq!(answer.status, 400, "{name} {value}: {}", answer.text);
        let expression = answer.json()["issue"][0]["expression"][0].clone();
        assert_eq!(expression, at, "{name} {value}: {}", answer.text);
    }
    for (name, value) in [
        ("effectiveDateTime", json!("2016-10-01T07:00:60+09:00")),
        ("effectiveDateTime", json!("2016-10-02T07:00:00+14:00")),
        ("note", json!([{ "text": "a\nb" }])),
    ] {
        let answer = server
            .write("POST", "/Observation", &[], &set(name, value.clone()))
            .await;
        assert!(
            answer.status.is_success(),
            "{name} {value}: {}",
            answer.text
        );
    }
    for offset in ["+14:01", "-14:30", "+15:00"] {
        let time = json!(format!("2016-10-01T07:00:00{offset}"));
        let answer = server
            .write("POST", "/Observation", &[], &set("effectiveDateTime", time))
            .await;
        assert_eq!(answer.status, 400, "{offset}");
    }
}

#[tokio::test]
async fn a_refused_value_is_named_with_its_place() {
    let server = Server::with_example().await;
    let mut none = observation("2016-10-01T07:00:00+09:00", "61.5");
    none.as_object_mut().unwrap().remove("valueQuantity");
    let mut pressure = none.clone();
    pressure["code"] = json!({ "coding": [{ "system": "http://loinc.org", "code": "85354-9" }] });
    let mut unit = observation("2016-10-01T07:00:00+09:00", "61.5");
    unit["valueQuantity"]["system"] = json!("http://example.org/units");
    for (sent, at, told) in [
        (none, "Observation.value", "body_weight"),
        (pressure, "Observation.component", "systolic"),
        (unit, "Observation.value.system", "http://example.org/units"),
    ] {
        let answer = server.write("POST", "/Observation", &[], &sent).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        let issue = &answer.json()["issue"][0];
        assert_eq!(issue["expression"][0], at, "{issue}");
        assert!(
            issue["diagnostics"].as_str().unwrap().contains(told),
            "{issue}"
        );
    }
}
