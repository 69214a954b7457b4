//! What went wrong in earlier converters. Two of these are about the program as a whole and
//! stand in `tests/cli/`.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::server::{Answer, PERSON, Server, entries, link, matches, weight};

async fn exchange(server: &Server, path: &str, body: Option<&str>) -> Answer {
    let request = match body {
        Some(_) => Request::post(path).header("content-type", "application/json"),
        None => Request::get(path),
    };
    let body = Body::from(body.unwrap_or_default().to_owned());
    let request = request.header("host", "h.example");
    server.call(request.body(body).unwrap()).await
}

fn example() -> String {
    std::fs::read_to_string("examples/first.json").unwrap()
}

/// The records of a person in the protocol's form.
async fn records(server: &Server) -> Value {
    let path = format!("/exchange/records?consortium_id=A00001&person_id={PERSON}");
    exchange(server, &path, None).await.json()["person_information"][0].clone()
}

#[tokio::test]
async fn a3_01_every_kind_goes_out_and_comes_back() {
    let server = Server::with_example().await;
    let sent: Value = serde_json::from_str(&example()).unwrap();
    for kind in [
        "weighing_scale",
        "home_blood_pressure",
        "checkup_blood_pressure",
        "physical_activity",
        "hba1c",
    ] {
        let category = "https://kenko-fhir.example/fhir/CodeSystem/record-kind";
        let path = format!("/Observation?category={category}|{kind}");
        assert!(server.number(&path).await > 0, "{kind}");
    }
    // Out as FHIR, back as the protocol: number for number, text for text.
    let page = server.found("/Observation?_count=1000").await;
    let patients = server.found("/Patient").await;
    let devices = server.found("/Device").await;
    let organizations = server.found("/Organization").await;
    let all: Vec<Value> = [page, patients, devices, organizations]
        .iter()
        .flat_map(entries)
        .map(|e| json!({ "fullUrl": e["fullUrl"], "resource": e["resource"] }))
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": all });
    let fhir = [("content-type", "application/fhir+json")];
    let answer = server
        .send("POST", "/$to-exchange", &fhir, &bundle.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let parts = answer.json()["parameter"].clone();
    let data = parts[0]["resource"]["data"].as_str().unwrap();
    let back: Value = serde_json::from_str(&crate::operations::decode(data)).unwrap();
    assert_eq!(
        sorted(&back["person_information"]),
        sorted(&sent["person_information"])
    );
}

/// The same whatever the order of members and entries.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(n, v)| (n.clone(), sorted(v)))
                .collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.into_iter().collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn a3_02_codes_are_those_of_the_record() {
    let server = Server::with_example().await;
    let mut seen = std::collections::BTreeSet::new();
    let sent: Value = serde_json::from_str(&example()).unwrap();
    for person in sent["person_information"].as_array().unwrap() {
        let id = person["person_id"].as_str().unwrap();
        let path = format!("/exchange/records?consortium_id=A00001&person_id={id}");
        let got = exchange(&server, &path, None).await.json();
        assert_eq!(
            (&got["consortium_id"], &got["format_version"]),
            (&sent["consortium_id"], &sent["format_version"])
        );
        assert_eq!(sorted(&got["person_information"][0]), sorted(person));
        let text = person.to_string();
        for field in [
            "data_input_code",
            "origin_of_time_code",
            "test_lab_id",
            "measurement_method_code",
        ] {
            for rest in text.split(&format!("\"{field}\":\"")).skip(1) {
                seen.insert(format!("{field} {}", rest.split('"').next().unwrap()));
            }
        }
    }
    // The example would not show a constant otherwise.
    assert!(seen.len() > 6, "{seen:?}");
    // And on the FHIR side.
    let found = server.matches("/Observation").await;
    for code in ["0", "1", "2"] {
        let has = |observation: &Value| {
            let extensions = observation["extension"].as_array().into_iter().flatten();
            extensions.into_iter().any(|e| {
                let url = e["url"].as_str().unwrap();
                url.ends_with("/data-input") && e["valueCoding"]["code"] == code
            })
        };
        assert!(found.iter().any(has), "{code}");
    }
}

#[tokio::test]
async fn a3_03_the_update_time_keeps_its_milliseconds() {
    let server = Server::empty().await;
    server
        .submit(&weight(
            PERSON,
            "20160901073015",
            "65.5",
            "20160905081500123",
        ))
        .await;
    let record = &records(&server).await["healthcare_information"]["weighing_scale"][0];
    assert_eq!(record["update_time"], "20160905081500123");
    assert_eq!(record["observation_time"], "20160901073015");
    let found = &server.matches("/Observation").await[0];
    assert_eq!(found["issued"], "2016-09-05T08:15:00.123+09:00");
    assert_eq!(found["effectiveDateTime"], "2016-09-01T07:30:15+09:00");
    // 14 digits are not enough.
    let short = weight(PERSON, "20160901073015", "65.5", "20160905081500");
    let answer = exchange(&server, "/exchange/submissions", Some(&short)).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("/update_time\""), "{}", answer.text);
}

#[tokio::test]
async fn a3_05_zero_is_a_value() {
    let server = Server::empty().await;
    let sent = json!({
        "format_version": "1.0", "send_time": "20161005120005123", "consortium_id": "A00001",
        "person_information": [{
            "person_id": PERSON,
            "healthcare_information": { "physical_activity": [{
                "observation_time": "20160901000000", "step": 0, "walk_time": 0,
                "moderate_intensity_activity": 0, "calories": 0.0, "distance": 0.00, "exercise": 0.0,
                "model_manufacturer_code": "ACME", "model_number": "AM-500",
                "production_specification_serial": "0", "total_active_duration": 0,
                "data_input_code": "0", "measurement_position_code": "21",
                "origin_of_time_code": "0", "update_time": "20160902010203004"
            }] },
        }],
    });
    let receipt = server.submit(&sent.to_string()).await;
    assert_eq!(receipt.counts.created, 1);
    let record = &records(&server).await["healthcare_information"]["physical_activity"][0];
    let sent = &sent["person_information"][0]["healthcare_information"]["physical_activity"][0];
    assert_eq!(sorted(record), sorted(sent));
    let found = &server.matches("/Observation").await[0];
    let zeros = found.to_string().matches("\"value\":0").count();
    assert_eq!(zeros, 7, "{found}");
}

#[tokio::test]
async fn a3_06_misspellings_are_read_and_told() {
    let server = Server::empty().await;
    let plain = weight(PERSON, "20160901073015", "65.5", "20160905081500123");
    let misspelt = plain.replace("observation_time", "ovservation_time");
    let answer = exchange(&server, "/exchange/submissions", Some(&misspelt)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let receipt = answer.json();
    assert_eq!(receipt["counts"]["warned"], 1);
    assert_eq!(receipt["entries"][0]["faults"][0]["code"], "alias-used");
    // The edition of 2016 names the input code otherwise.
    let former = weight(PERSON, "20160902073015", "65.5", "20160905081500123")
        .replace("data_input_code", "input_method_code");
    let answer = exchange(&server, "/exchange/submissions", Some(&former)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);

    // 128 over 82 stays that way round, in both directions.
    let server = Server::with_example().await;
    let record = &records(&server).await["healthcare_information"]["blood_pressure"][0];
    assert_eq!(
        (&record["systolic"], &record["diastolic"]),
        (&json!(128), &json!(82))
    );
    let query = "/Observation?component-code-value-quantity=8480-6$128";
    let found = &server.matches(query).await[0];
    for component in found["component"].as_array().unwrap() {
        let value = match component["code"]["coding"][0]["code"].as_str().unwrap() {
            "8480-6" => 128,
            "8462-4" => 82,
            _ => continue,
        };
        assert_eq!(component["valueQuantity"]["value"], value);
    }
}

#[tokio::test]
async fn a3_07_two_devices_in_one_second_are_two_records() {
    let server = Server::empty().await;
    let first = weight(PERSON, "20160901073015", "65.5", "20160905081500123");
    let second = first
        .replace("WS0001234", "WS0009999")
        .replace("65.5", "66");
    for text in [&first, &second] {
        assert_eq!(server.submit(text).await.counts.created, 1);
    }
    // And another kind in that second.
    let pressure = first
        .replace("weighing_scale", "blood_pressure")
        .replace(
            "\"body_weight\":65.5",
            "\"systolic\":128,\"diastolic\":82,\"pulse_rate\":68",
        )
        .replace("WS-100", "BP-200");
    assert_eq!(server.submit(&pressure).await.counts.created, 1);
    let found = server
        .matches("/Observation?date=2016-09-01T07:30:15")
        .await;
    assert_eq!(found.len(), 3);
    let ids: std::collections::BTreeSet<String> =
        found.iter().map(|o| o["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a3_08_a_checkup_pressure_lacks_nothing() {
    let server = Server::empty().await;
    let whole: Value = serde_json::from_str(&example()).unwrap();
    for field in [
        "data_input_code",
        "update_time",
        "systolic",
        "diastolic",
        "observation_time",
    ] {
        let mut sent = whole.clone();
        let record =
            &mut sent["person_information"][0]["health_checkup_information"]["blood_pressure"][0];
        record.as_object_mut().unwrap().remove(field).unwrap();
        let answer = exchange(&server, "/exchange/submissions", Some(&sent.to_string())).await;
        assert_eq!(answer.status, 422, "{field}");
        let fault = &answer.json()["entries"][0]["faults"][0];
        assert_eq!(fault["code"], "required-missing", "{fault}");
        assert!(fault["message"].as_str().unwrap().len() > 10);
    }
    assert_eq!(server.number("/Observation").await, 0);
}

#[tokio::test]
async fn a3_09_pages_are_cut_by_key_and_as_long_as_documented() {
    let server = Server::with_example().await;
    let page = server.found("/Observation?_count=2").await;
    let next = link(&page, "next").unwrap();
    assert!(
        !next.contains("offset") && !next.contains("page="),
        "{next}"
    );
    // What comes before the place in the walk does not move it.
    let rest = ids(&server.found(&next).await);
    server
        .submit(&weight(PERSON, "20160901000001", "60", "20180101000000000"))
        .await;
    assert_eq!(ids(&server.found(&next).await), rest);
    // The documented limit is the one that holds.
    let document = std::fs::read_to_string("openapi/openapi.json").unwrap();
    assert!(document.contains("50"), "the default of _count");
    let capped = server.found("/Observation?_count=1001").await;
    assert_eq!(link(&capped, "self").unwrap(), "/Observation?_count=1000");
}

fn ids(page: &Value) -> Vec<String> {
    matches(page).iter().map(|m| m["id"].to_string()).collect()
}
