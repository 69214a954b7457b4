//! What peers stumble over, as a server (mapping specification §6), and rows of §5.2 to §5.5
//! that only a server shows. What a reading alone shows stands in `src/fhir/inbound/tests/`.

use serde_json::{Value, json};

use crate::server::{Answer, PERSON, Server, entries, observation, weight};

const AT: &str = "2016-10-01T07:00:00+09:00";
const HL7: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const SIMPLE: &str = "http://jpfhir.jp/fhir/core/CodeSystem/JP_SimpleObservationCategory_CS";

fn with(name: &str, value: Value) -> Value {
    let mut out = observation(AT, "61.50");
    out[name] = value;
    out
}

async fn post(server: &Server, resource: &Value) -> Answer {
    server.write("POST", "/Observation", &[], resource).await
}

/// The path of the weight that was created.
async fn created(server: &Server, resource: &Value) -> String {
    let created = server.create(resource).await;
    format!("/Observation/{}", created["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_measurement_of_the_body_is_found_by_both_categories() {
    let server = Server::with_example().await;
    let weights = server.number("/Observation?code=29463-7").await;
    assert!(weights > 0);
    for category in [
        "vital-signs".to_owned(),
        "body-measurement".into(),
        format!("{HL7}|vital-signs"),
        format!("{SIMPLE}|body-measurement"),
    ] {
        let query = format!("/Observation?code=29463-7&category={category}");
        assert_eq!(server.number(&query).await, weights, "{query}");
        let both = format!("{query}&category=vital-signs,body-measurement");
        assert_eq!(server.number(&both).await, weights, "{both}");
    }
    // Each in its own system: JP Core says of no weight that it is one of the vital signs.
    let other = format!("/Observation?code=29463-7&category={SIMPLE}|vital-signs");
    assert_eq!(server.number(&other).await, 0);
    // The two stand in two concepts, as both profiles want it.
    let read = &server.matches("/Observation?code=29463-7&_count=1").await[0];
    let of = |system: &str| {
        let categories = read["category"].as_array().unwrap().iter();
        categories
            .filter(|c| c["coding"].as_array().unwrap().len() == 1)
            .position(|c| c["coding"][0]["system"] == system)
    };
    assert!(of(HL7).is_some() && of(SIMPLE).is_some() && of(HL7) != of(SIMPLE));
}

#[tokio::test]
async fn a_resend_is_a_version_and_never_a_silent_overwrite() {
    let server = Server::with_example().await;
    let path = created(&server, &observation(AT, "61.50")).await;
    let send = |value: &str, update: &str| weight(PERSON, "20161001070000", value, update);
    let now = async || {
        let read = server.found(&path).await;
        let version = read["meta"]["versionId"].as_str().unwrap().to_owned();
        (version, read["valueQuantity"]["value"].to_string())
    };
    // By the protocol as over FHIR, the rule is one: newer is a version, ...
    let receipt = server.submit(&send("62.00", "20161006120000000")).await;
    assert_eq!(receipt.counts.updated, 1, "{receipt:?}");
    let mut third = observation(AT, "62.50");
    third["issued"] = json!("2016-10-07T12:00:00+09:00");
    assert_eq!(post(&server, &third).await.status, 200);
    assert_eq!(now().await, ("3".into(), "62.50".into()));
    // ... as old and not the same is told and changes nothing, ...
    let receipt = server.submit(&send("70.00", "20161007120000000")).await;
    assert_eq!(
        (receipt.counts.conflict, receipt.status),
        (1, 422),
        "{receipt:?}"
    );
    third["valueQuantity"]["value"] = json!(70);
    assert_eq!(post(&server, &third).await.status, 409);
    // ... and so is what is older.
    let receipt = server.submit(&send("70.00", "20161002120000000")).await;
    assert_eq!(receipt.counts.stale, 1, "{receipt:?}");
    assert_eq!(post(&server, &observation(AT, "70.00")).await.status, 409);
    assert_eq!(now().await, ("3".into(), "62.50".into()));
    let history = entries(&server.found(&format!("{path}/_history")).await);
    let values: Vec<String> = history
        .iter()
        .map(|entry| entry["resource"]["valueQuantity"]["value"].to_string())
        .collect();
    assert_eq!(values, ["62.50", "62.00", "61.50"]);
    assert_eq!(
        server
            .number(&format!("/Observation?date={}", &AT[..10]))
            .await,
        1
    );
}

#[tokio::test]
async fn the_identifier_of_a_record_is_the_same_whatever_is_sent_again() {
    let server = Server::with_example().await;
    let path = created(&server, &observation(AT, "61.50")).await;
    let first = server.found(&path).await;
    let identifier = first["identifier"][0].clone();
    let value = |name: &str| identifier[name].as_str().unwrap().to_owned();
    let condition = format!("identifier={}|{}", value("system"), value("value"));
    let once = [("if-none-exist", condition.as_str())];
    let again = observation(AT, "70.00");
    let answer = server.write("POST", "/Observation", &once, &again).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"1\"")
    );
    let newer = weight(PERSON, "20161001070000", "62.00", "20161006120000000");
    server.submit(&newer).await;
    let read = server.found(&path).await;
    assert_eq!(read["identifier"], first["identifier"]);
    assert_eq!(
        server.id(&format!("/Observation?{condition}")).await,
        first["id"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_unit_as_a_text_is_written_in_full() {
    let server = Server::with_example().await;
    let path = created(
        &server,
        &with("valueQuantity", json!({ "value": 61.5, "unit": "㎏" })),
    )
    .await;
    let value = server.found(&path).await["valueQuantity"].clone();
    assert_eq!(value["system"], "http://unitsofmeasure.org");
    assert_eq!(value["code"], "kg");
    assert_eq!(value["value"].to_string(), "61.5");
}

#[tokio::test]
async fn references_to_what_is_not_served_here_are_kept_and_those_to_nothing_of_ours_refused() {
    let server = Server::with_example().await;
    let kept = [
        (
            "encounter",
            json!({ "reference": "http://ehr.example/fhir/Encounter/1" }),
        ),
        ("basedOn", json!([{ "reference": "ServiceRequest/1" }])),
        ("partOf", json!([{ "display": "the morning round" }])),
        (
            "focus",
            json!([{ "reference": "http://ehr.example/fhir/Patient/1" }]),
        ),
        (
            "performer",
            json!([{ "reference": "PractitionerRole/1" }, { "type": "Practitioner",
            "identifier": { "system": "http://hospital.example/staff", "value": "7" } }]),
        ),
    ];
    let mut sent = observation(AT, "61.50");
    for (name, value) in &kept {
        sent[*name] = value.clone();
    }
    let path = created(&server, &sent).await;
    let read = server.found(&path).await;
    for (name, value) in &kept {
        // The Patient is a performer by the record.
        let own = read[*name].as_array().filter(|_| *name == "performer");
        let all = value.as_array().into_iter().flatten();
        match own {
            Some(own) => all.for_each(|v| assert!(own.contains(v), "{v}")),
            None => assert_eq!(read[*name], *value, "{name}"),
        }
    }
    for (name, value) in [
        ("subject", json!({ "reference": "Patient/nobody" })),
        ("focus", json!([{ "reference": "Patient/nobody" }])),
        (
            "derivedFrom",
            json!([{ "reference": "http://h.example/fhir/Observation/none" }]),
        ),
    ] {
        let answer = post(&server, &with(name, value)).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_a_server_says_of_a_resource_is_no_time_of_change() {
    let server = Server::with_example().await;
    let mut sent = observation(AT, "61.50");
    sent.as_object_mut().unwrap().shift_remove("issued");
    sent["meta"] = json!({ "lastUpdated": "2016-10-02T00:00:00Z" });
    let path = created(&server, &sent).await;
    let read = server.found(&path).await;
    // It is the time of receipt, which comes a little before it is stored.
    let at = |value: &Value| value.as_str().unwrap().to_owned();
    let (issued, stored) = (at(&read["issued"]), at(&read["meta"]["lastUpdated"]));
    assert!(
        issued.as_str() > "2020" && issued <= stored,
        "{issued} {stored}"
    );
}

#[tokio::test]
async fn components_that_no_field_means_are_kept_and_no_part_of_the_protocol() {
    let server = Server::with_example().await;
    let steps = server.matches("/Observation?code=41950-7&_count=1").await;
    let mut sent = steps[0].clone();
    let component = |code: &str, value: Value| {
        let mut out =
            json!({ "code": { "coding": [{ "system": "http://loinc.org", "code": code }] } });
        for (name, value) in value.as_object().unwrap() {
            out[name] = value.clone();
        }
        out
    };
    let quantity = |value: u32, unit: &str| {
        json!({ "valueQuantity": {
        "value": value, "system": "http://unitsofmeasure.org", "code": unit } })
    };
    // Active or total energy, of what exercise: nothing here says so.
    let others = [
        component("41981-2", quantity(300, "kcal")),
        component("55411-3", quantity(30, "min")),
        component(
            "73985-4",
            json!({ "valueCodeableConcept": { "coding": [
            { "system": "http://loinc.org", "code": "LA11837-4" }] } }),
        ),
    ];
    let components = sent["component"].as_array_mut().unwrap();
    components.extend(others.iter().cloned());
    let path = format!("/Observation/{}", sent["id"].as_str().unwrap());
    let answer = server.write("PUT", &path, &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        answer.header("warning").contains("not-expressible"),
        "{}",
        answer.header("warning")
    );
    let read = server.found(&path).await;
    for other in &others {
        assert!(
            read["component"].as_array().unwrap().contains(other),
            "{other}"
        );
    }
    let former = server.found(&format!("{path}/_history/1")).await;
    for (name, value) in former.as_object().unwrap() {
        if !["meta", "component", "status", "issued"].contains(&name.as_str()) {
            assert_eq!(read[name], *value, "{name}");
        }
    }
}
