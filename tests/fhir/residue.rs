//! What EHRs write beyond the fields of a record: it is kept, found, and no part of the
//! protocol (mapping specification §5.2, §5.4, §5.5).

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{PERSON, Server, observation, weight};

const AT: &str = "2016-10-01T07:00:00+09:00";

/// A weight with much that the protocol cannot say.
fn rich() -> Value {
    let mut sent = observation(AT, "61.50");
    let digits: serde_json::Number = "70.00".parse().unwrap();
    let more = json!({
        "meta": {
            "profile": ["http://hospital.example/StructureDefinition/weight"],
            "tag": [{ "system": "http://hospital.example/tags", "code": "ward-3" }],
        },
        "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">61.5 kg</div>" },
        "identifier": [{ "system": "http://hospital.example/observations", "value": "4711" }],
        "encounter": { "reference": "Encounter/e1", "display": "Outpatient visit" },
        "performer": [{ "reference": "Practitioner/p1" }, { "display": "Dr. A" }],
        "interpretation": [{ "text": "normal" }],
        "note": [{ "text": "after breakfast" }],
        "referenceRange": [{ "high": { "value": digits, "unit": "kg" } }],
        "effectiveDateTime": "2016-09-30T22:00:00Z",
    });
    for (name, value) in more.as_object().unwrap() {
        sent[name] = value.clone();
    }
    sent["code"]["coding"].as_array_mut().unwrap().push(json!({
        "system": "http://hospital.example/codes", "code": "BW", "display": "Körpergewicht",
    }));
    sent["code"]["text"] = json!("Weight at admission");
    sent["subject"]["display"] = json!("Participant 1");
    sent["extension"] = json!([{ "url": "http://hospital.example/bed", "valueString": "7" }]);
    sent
}

/// Everything of `b` is in `a`.
fn holds(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut members = b.iter();
            members.all(|(name, v)| a.get(name).is_some_and(|own| holds(own, v)))
        }
        (Value::Array(a), Value::Array(b)) => b.iter().all(|v| a.iter().any(|own| holds(own, v))),
        _ => a == b,
    }
}

#[tokio::test]
async fn what_the_protocol_cannot_say_comes_back_as_it_was_written() {
    let server = Server::with_example().await;
    let sent = rich();
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert!(answer.header("warning").contains("not-expressible"));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let read = server.found(&format!("/Observation/{id}")).await;
    assert!(holds(&read, &sent), "{read:#}");
    assert!(
        server
            .get(&format!("/Observation/{id}"))
            .await
            .text
            .contains("70.00")
    );
    // It is there in every answer with the Observation.
    for path in [
        format!("/Observation?_id={id}"),
        format!("/Observation/{id}/_history"),
        format!("/Patient/{}/$everything", id::participant("A00001", PERSON)),
        format!(
            "/Observation/$lastn?patient={}&code=29463-7",
            id::participant("A00001", PERSON)
        ),
    ] {
        let text = server.get(&path).await.text;
        assert!(text.contains("after breakfast"), "{path}: {text}");
    }
}

#[tokio::test]
async fn searches_find_it() {
    let server = Server::with_example().await;
    let id = server.create(&rich()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for query in [
        "code=BW",
        "code=http://hospital.example/codes|BW",
        "code:text=korper",
        "combo-code=http://hospital.example/codes|",
        "_tag=ward-3",
        "_profile=http://hospital.example/StructureDefinition/weight",
        "identifier=4711",
        "identifier=http://hospital.example/observations|4711",
        "encounter=e1",
        "encounter=Encounter/e1",
        "encounter:missing=false",
        "performer=Practitioner/p1",
        "performer:Practitioner=p1",
        "code=BW&date=2016-10-01&status=final",
    ] {
        let found = server.matches(&format!("/Observation?{query}")).await;
        let ids: Vec<&str> = found.iter().map(|o| o["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [id.as_str()], "{query}");
        let counted = server
            .found(&format!("/Observation?{query}&_summary=count"))
            .await;
        assert_eq!(counted["total"], 1, "{query}");
    }
    for query in [
        "code=http://other.example|BW",
        "code=bw",
        "identifier=http://other.example|4711",
        "encounter=e2",
        "performer=Organization/p1",
    ] {
        assert_eq!(
            server.number(&format!("/Observation?{query}")).await,
            0,
            "{query}"
        );
    }
    let all = server.number("/Observation?_count=1000").await;
    for query in ["encounter:missing=true", "code:not=BW"] {
        let others = server
            .number(&format!("/Observation?_count=1000&{query}"))
            .await;
        assert_eq!(others, all - 1, "{query}");
    }
    // Former versions are not found.
    let plain = observation(AT, "61.50");
    let mut next = plain.clone();
    next["id"] = json!(id);
    let answer = server
        .write("PUT", &format!("/Observation/{id}"), &[], &next)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(server.number("/Observation?code=BW").await, 0);
    assert_eq!(
        server.number("/Observation?encounter:missing=false").await,
        0
    );
}

#[tokio::test]
async fn an_update_that_changes_it_alone_is_a_new_version() {
    let server = Server::with_example().await;
    let sent = rich();
    let id = server.create(&sent).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/Observation/{id}");
    let put = async |change: &dyn Fn(&mut Value)| {
        let mut body = sent.clone();
        body["id"] = json!(id);
        change(&mut body);
        let answer = server.write("PUT", &path, &[], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["meta"]["versionId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(put(&|_| {}).await, "1");
    // These alone change nothing.
    assert_eq!(
        put(&|body| {
            body["issued"] = json!("2016-10-06T12:00:00+09:00");
            body.as_object_mut().unwrap().remove("meta");
            body.as_object_mut().unwrap().remove("text");
        })
        .await,
        "1"
    );
    assert_eq!(
        put(&|body| body["note"] = json!([{ "text": "fasting" }])).await,
        "2"
    );
    assert_eq!(
        put(&|body| body["note"] = json!([{ "text": "fasting" }])).await,
        "2"
    );
    let former = server.found(&format!("{path}/_history/1")).await;
    assert_eq!(former["note"], json!([{ "text": "after breakfast" }]));
    assert_eq!(
        server.found(&path).await["note"],
        json!([{ "text": "fasting" }])
    );
    // So is one that takes all of it away.
    let mut plain = observation(AT, "61.50");
    plain["id"] = json!(id);
    let answer = server.write("PUT", &path, &[], &plain).await;
    let body = answer.json();
    assert_eq!(body["meta"]["versionId"], "3");
    assert_eq!(body.get("note"), None);
}

#[tokio::test]
async fn the_same_again_is_unchanged_and_something_else_at_the_same_time_a_conflict() {
    let server = Server::with_example().await;
    let sent = rich();
    server.create(&sent).await;
    let again = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!(again.header("etag"), "W/\"1\"");
    let mut other = sent.clone();
    other["note"][0]["text"] = json!("fasting");
    let refused = server.write("POST", "/Observation", &[], &other).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(
        refused.issue().contains("beyond the fields"),
        "{}",
        refused.text
    );
    other["issued"] = json!("2016-10-06T12:00:00+09:00");
    let newer = server.write("POST", "/Observation", &[], &other).await;
    assert_eq!(
        (newer.status.as_u16(), newer.header("etag")),
        (200, "W/\"2\"")
    );
}

#[tokio::test]
async fn it_outlives_a_correction_by_the_protocol() {
    let server = Server::with_example().await;
    let id = server.create(&rich()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let correction = weight(PERSON, "20161001070000", "62.00", "20161006120000000");
    let receipt = server.submit(&correction).await;
    assert_eq!(receipt.counts.updated, 1);
    let read = server.found(&format!("/Observation/{id}")).await;
    assert_eq!(read["meta"]["versionId"], "2");
    assert_eq!(read["valueQuantity"]["value"].to_string(), "62.00");
    assert_eq!(read["note"][0]["text"], "after breakfast");
    // It was about the former value.
    assert_eq!(read.get("interpretation"), None);
    assert_eq!(server.number("/Observation?code=BW").await, 1);
    let former = server.found(&format!("/Observation/{id}/_history/1")).await;
    assert_eq!(former["interpretation"][0]["text"], "normal");
    // A deletion ends it.
    server
        .send("DELETE", &format!("/Observation/{id}"), &[], "")
        .await;
    let revived = weight(PERSON, "20161001070000", "62.50", "20361006120000000");
    server
        .submit(&revived.replace("20161005120005123", "20361006120000001"))
        .await;
    let read = server.get(&format!("/Observation/{id}")).await;
    if read.status == 200 {
        assert_eq!(read.json().get("note"), None);
    }
}

#[tokio::test]
async fn a_patch_keeps_what_it_does_not_name() {
    let server = Server::with_example().await;
    let id = server.create(&rich()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let patch = json!([{ "op": "replace", "path": "/valueQuantity/value", "value": 61.0 }]);
    let headers = [("content-type", "application/json-patch+json")];
    let path = format!("/Observation/{id}");
    let answer = server
        .send("PATCH", &path, &headers, &patch.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["note"][0]["text"], "after breakfast");
    assert_eq!(body["valueQuantity"]["value"].to_string(), "61.0");
}

#[tokio::test]
async fn a_converted_value_keeps_its_original() {
    let server = Server::with_example().await;
    let mut sent = observation(AT, "61500");
    sent["valueQuantity"]["unit"] = json!("g");
    sent["valueQuantity"]["code"] = json!("g");
    let answer = server.create(&sent).await;
    assert_eq!(answer["valueQuantity"]["value"].to_string(), "61.50");
    assert_eq!(answer["valueQuantity"]["unit"], "kg");
    let original = |o: &Value, name: &str| {
        let extensions = o["extension"].as_array().unwrap();
        let found = extensions.iter().find(|e| {
            e["url"] == "https://kenko-fhir.example/fhir/StructureDefinition/original-value"
        });
        let parts = found.unwrap()["extension"].as_array().unwrap();
        parts.iter().find(|p| p["url"] == name).unwrap().clone()
    };
    assert_eq!(
        original(&answer, "value")["valueQuantity"],
        sent["valueQuantity"]
    );
    assert_eq!(
        original(&answer, "code")["valueCodeableConcept"],
        sent["code"]
    );

    // HbA1c by IFCC: its code does not stand beside a value by NGSP.
    let laboratory = id::laboratory("A00001", "000000000001");
    let ifcc = json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "59261-8" }], "text": "HbA1c (IFCC)" },
        "subject": sent["subject"],
        "performer": [{ "reference": format!("Organization/{laboratory}") }],
        "effectiveDateTime": "2016-10-01",
        "issued": "2016-10-05T12:00:00.000+09:00",
        "valueQuantity": { "value": 48, "unit": "mmol/mol", "system": "http://unitsofmeasure.org", "code": "mmol/mol" },
    });
    let answer = server.create(&ifcc).await;
    assert_eq!(answer["valueQuantity"]["value"].to_string(), "6.5");
    let codes = answer["code"].to_string();
    assert!(
        !codes.contains("59261-8") && codes.contains("4548-4"),
        "{codes}"
    );
    assert_eq!(
        original(&answer, "code")["valueCodeableConcept"],
        ifcc["code"]
    );
    assert_eq!(original(&answer, "value")["valueQuantity"]["value"], 48);
    // What was read can be written: nothing changes.
    let id = answer["id"].as_str().unwrap();
    let put = server
        .write("PUT", &format!("/Observation/{id}"), &[], &answer)
        .await;
    assert_eq!((put.status.as_u16(), put.header("etag")), (200, "W/\"1\""));
}

#[tokio::test]
async fn a_period_of_no_length_comes_back_as_the_time_that_it_is() {
    let server = Server::with_example().await;
    let at = "2016-09-30T22:00:00Z";
    let mut sent = observation(AT, "61.50");
    sent.as_object_mut()
        .unwrap()
        .shift_remove("effectiveDateTime");
    sent["effectivePeriod"] = json!({ "start": at, "end": AT });
    let read = server.create(&sent).await;
    assert_eq!(read.get("effectivePeriod"), None);
    assert_eq!(read["effectiveDateTime"], at);
    // One that says more stays one.
    sent["effectivePeriod"]["extension"] =
        json!([{ "url": "http://hospital.example/clock", "valueString": "ward" }]);
    sent["issued"] = json!("2016-10-06T12:00:00+09:00");
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["effectivePeriod"], sent["effectivePeriod"]);
}

#[tokio::test]
async fn contained_resources_come_back_and_are_referred_to() {
    let server = Server::with_example().await;
    let mut sent = observation(AT, "61.50");
    sent["contained"] = json!([{
        "resourceType": "Device", "id": "d", "manufacturer": "ACME",
        "modelNumber": "WS-100", "serialNumber": "WS0001234",
        "note": [{ "text": "in the bathroom" }],
    }]);
    sent["device"] = json!({ "reference": "#d", "display": "Scale" });
    let answer = server.create(&sent).await;
    let device = format!("Device/{}", id::device("ACME", "WS-100", "WS0001234"));
    assert_eq!(answer["device"]["reference"], device);
    assert_eq!(answer["device"]["display"], "Scale");
    assert_eq!(answer["contained"], sent["contained"]);
    assert!(
        answer["device"].to_string().contains("\"#d\""),
        "{answer:#}"
    );
}

#[tokio::test]
async fn the_protocol_export_is_without_it() {
    let server = Server::with_example().await;
    server.create(&rich()).await;
    let request = axum::http::Request::builder()
        .uri("/exchange/records?consortium_id=A00001")
        .header("host", "h.example")
        .body(axum::body::Body::empty());
    let exported = server.call(request.unwrap()).await;
    assert_eq!(exported.status, 200);
    assert!(exported.text.contains("61.50"));
    for word in ["breakfast", "hospital", "4711"] {
        assert!(!exported.text.contains(word), "{word}");
    }
    let receipt = server.submit(&exported.text).await;
    assert_eq!(
        receipt.counts.unchanged, receipt.counts.received,
        "{receipt:?}"
    );
}

#[tokio::test]
async fn what_we_wrote_ourselves_changes_nothing_when_it_comes_back() {
    let server = Server::with_example().await;
    let all = server.matches("/Observation?_count=1000").await;
    assert!(all.len() > 5);
    for resource in all {
        let id = resource["id"].as_str().unwrap();
        let path = format!("/Observation/{id}");
        let answer = server.write("PUT", &path, &[], &resource).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json(), resource);
        assert_eq!(answer.header("warning"), "", "{path}");
        // A difference makes a version, which is then all that there is.
        let mut noted = resource.clone();
        noted["note"] = json!([{ "text": "checked" }]);
        let answer = server.write("PUT", &path, &[], &noted).await.json();
        let mut expected = noted;
        for name in ["versionId", "lastUpdated"] {
            expected["meta"][name] = answer["meta"][name].clone();
        }
        expected["status"] = json!("corrected");
        expected["issued"] = answer["issued"].clone();
        assert_eq!(answer, expected);
    }
}
