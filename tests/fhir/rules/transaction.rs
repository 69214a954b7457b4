//! Batches and transactions (<https://hl7.org/fhir/R4/http.html#transaction>).

use serde_json::{Value, json};

use super::write::Scale;
use crate::server::{Answer, BASE, PERSON, entries};

const PERSONS: &str = "https://kenko-fhir.example/fhir/sid/consortium/A00001/person";
const URN: &str = "urn:uuid:11111111-2222-4333-8444-555555555555";

fn bundle(ty: &str, entries: &[Value]) -> String {
    json!({ "resourceType": "Bundle", "type": ty, "entry": entries }).to_string()
}

fn entry(method: &str, url: &str, resource: Option<&str>) -> Value {
    let request = json!({ "method": method, "url": url });
    match resource {
        Some(text) => {
            let resource: Value = serde_json::from_str(text).unwrap();
            json!({ "resource": resource, "request": request })
        }
        None => json!({ "request": request }),
    }
}

async fn post(scale: &Scale, body: &str) -> Answer {
    scale.write("POST", "", &[], body).await
}

fn statuses(answer: &Answer) -> Vec<String> {
    let all = entries(&answer.json());
    let status = |e: &Value| e["response"]["status"].as_str().unwrap()[..3].to_owned();
    all.iter().map(status).collect()
}

#[tokio::test]
async fn c1_38_a_batch_answers_each_request_for_itself() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let id = made["id"].as_str().unwrap();
    let read = format!("Observation/{id}");
    let changed = made.to_string().replace("61.5,", "62.50,");
    let new = scale.weight("2016-11-02T07:00:00+09:00", "70.10");
    let wrong = scale.weight("2016-11-03T07:00:00+09:00", "-1");
    let mut conditional = entry("POST", "Observation", Some(&new));
    conditional["request"]["ifNoneExist"] = format!("_id={id}").into();
    let sent = bundle(
        "batch",
        &[
            entry("GET", &read, None),
            entry("GET", "Observation/unknown", None),
            entry("POST", "Observation", Some(&new)),
            entry("POST", "Observation", Some(&wrong)),
            entry("PUT", &read, Some(&changed)),
            entry("GET", "Observation?code=29463-7&_count=1", None),
            entry("GET", "Medication/1", None),
            entry("DELETE", "Observation/unknown", None),
            conditional,
            entry("GET", "metadata", None),
        ],
    );
    let answer = post(&scale, &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answered = answer.json();
    assert_eq!(answered["type"], "batch-response");
    let expected = [
        "200", "404", "201", "422", "200", "200", "404", "204", "200", "200",
    ];
    assert_eq!(statuses(&answer), expected);
    let all = entries(&answered);
    assert_eq!(all[0]["resource"]["id"], id);
    for wrong in [1, 3, 6] {
        let outcome = &all[wrong]["response"]["outcome"];
        assert_eq!(
            outcome["resourceType"], "OperationOutcome",
            "{}",
            all[wrong]
        );
    }
    let location = all[2]["response"]["location"].as_str().unwrap();
    assert!(location.ends_with("/_history/1"), "{location}");
    assert_eq!(all[2]["response"]["etag"], "W/\"1\"");
    assert!(all[2]["response"]["lastModified"].is_string());
    assert_eq!(all[5]["resource"]["type"], "searchset");
    assert_eq!(all[9]["resource"]["resourceType"], "CapabilityStatement");
    // Nothing of an entry that failed, all of the others.
    assert_eq!(scale.server.number("/Observation?date=2016-11-03").await, 0);
    let stored = scale.server.get("/Observation?date=2016-11-02").await.text;
    assert!(stored.contains("\"value\":70.10,"), "{stored}");
}

#[tokio::test]
async fn c1_38_a_transaction_is_all_or_nothing() {
    let scale = Scale::new().await;
    let before = scale.number().await;
    let days = ["01", "02", "03"].map(|day| {
        let time = format!("2016-11-{day}T07:00:00+09:00");
        let text = scale.weight(&time, "61.5");
        entry("POST", "Observation", Some(&text))
    });
    let wrong = scale.weight("2016-11-04T07:00:00+09:00", "-1");
    let known = &scale.server.matches("/Observation?code=29463-7").await[0];
    let delete = format!("Observation/{}", known["id"].as_str().unwrap());
    let mut failing = days.to_vec();
    failing.push(entry("DELETE", &delete, None));
    failing.push(entry("POST", "Observation", Some(&wrong)));
    let answer = post(&scale, &bundle("transaction", &failing)).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    answer.issue();
    // It says which entry.
    let expression = answer.json()["issue"][0]["expression"][0].to_string();
    assert!(expression.contains("entry[4]"), "{expression}");
    assert_eq!(scale.number().await, before);

    let answer = post(&scale, &bundle("transaction", &days)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["type"], "transaction-response");
    assert_eq!(statuses(&answer), ["201", "201", "201"]);
    assert_eq!(scale.number().await, before + 3);

    for wrong in [
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{}]}"#,
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Observation"}}]}"#,
        r#"{"resourceType":"Bundle","type":"collection"}"#,
        r#"{"resourceType":"Bundle"}"#,
        r#"{"resourceType":"Observation"}"#,
        "{",
    ] {
        let answer = post(&scale, wrong).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 422),
            "{wrong}: {}",
            answer.text
        );
        answer.issue();
    }
}

#[tokio::test]
async fn c1_38_the_order_of_entries_does_not_matter() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let path = format!("Observation/{}", made["id"].as_str().unwrap());
    // The search sees what is created, and not what is deleted, wherever it stands.
    let search = format!(
        "Observation?patient={}&date=ge2016-11-01&_total=accurate",
        scale.patient
    );
    let new = scale.weight("2016-11-02T07:00:00+09:00", "62");
    let create = entry("POST", "Observation", Some(&new));
    let sent = [
        entry("GET", &search, None),
        create,
        entry("DELETE", &path, None),
    ];
    let answer = post(&scale, &bundle("transaction", &sent)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(statuses(&answer), ["200", "201", "204"]);
    let found = &answer.json()["entry"][0]["resource"];
    assert_eq!(found["total"], 1, "{found}");
    assert_eq!(scale.server.get(&format!("/{path}")).await.status, 410);
}

#[tokio::test]
async fn c1_38_a_target_may_be_there_once() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let path = format!("Observation/{}", made["id"].as_str().unwrap());
    let changed = made.to_string().replace("61.5,", "62,");
    let update = entry("PUT", &path, Some(&changed));
    let by = format!("Observation?_id={}", made["id"].as_str().unwrap());
    let new = scale.weight("2016-11-02T07:00:00+09:00", "62");
    let create = entry("POST", "Observation", Some(&new));
    for twice in [
        [update.clone(), update.clone()],
        [update.clone(), entry("DELETE", &path, None)],
        [update.clone(), entry("PUT", &by, Some(&changed))],
        [create.clone(), create.clone()],
    ] {
        let answer = post(&scale, &bundle("transaction", &twice)).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 409 | 412 | 422),
            "{}",
            answer.text
        );
        answer.issue();
    }
    let read = scale.server.found(&format!("/{path}")).await;
    assert_eq!(read["meta"]["versionId"], "1");
    assert_eq!(scale.server.number("/Observation?date=2016-11-02").await, 0);
}

#[tokio::test]
async fn c1_38_references_within_are_rewritten() {
    let scale = Scale::new().await;
    let patient = json!({
        "resourceType": "Patient",
        "identifier": [{ "system": PERSONS, "value": format!("P{:019}", 11) }],
        "gender": "female", "birthDate": "1970-02",
    });
    // From today on, which is when its participation begins.
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let own = format!("Patient/{}", scale.patient);
    let of_new = scale.weight(&now, "50").replace(&own, URN);
    let by = format!("Patient?identifier={PERSONS}|{PERSON}");
    let of_known = scale
        .weight("2016-11-02T07:00:00+09:00", "62")
        .replace(&own, &by);
    let mut create = entry("POST", "Patient", Some(&patient.to_string()));
    create["fullUrl"] = URN.into();
    create["request"]["ifNoneExist"] = format!("identifier={PERSONS}|P{:019}", 11).into();
    let sent = [
        entry("POST", "Observation", Some(&of_new)),
        entry("POST", "Observation", Some(&of_known)),
        create,
    ];
    let answer = post(&scale, &bundle("transaction", &sent)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(statuses(&answer), ["201", "201", "201"]);
    let location = |n: usize| {
        let location = answer.json()["entry"][n]["response"]["location"].clone();
        let location = location
            .as_str()
            .unwrap()
            .trim_start_matches(&format!("{BASE}/"));
        location.split("/_history").next().unwrap().to_owned()
    };
    let read = async |n: usize| scale.server.found(&format!("/{}", location(n))).await;
    assert_eq!(read(0).await["subject"]["reference"], location(2));
    assert_eq!(read(1).await["subject"]["reference"], own);

    // A condition that finds none or several, and a `urn` that nothing has.
    for reference in [
        format!("Patient?identifier={PERSONS}|nobody"),
        "Patient?gender=male,female".to_owned(),
        "urn:uuid:99999999-2222-4333-8444-555555555555".to_owned(),
    ] {
        let text = scale
            .weight("2016-11-03T07:00:00+09:00", "62")
            .replace(&own, &reference);
        let sent = [entry("POST", "Observation", Some(&text))];
        let answer = post(&scale, &bundle("transaction", &sent)).await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 404 | 412 | 422),
            "{reference}: {}",
            answer.text
        );
        answer.issue();
    }
    assert_eq!(scale.server.number("/Observation?date=2016-11-03").await, 0);
}

#[tokio::test]
async fn c1_06_a_stale_if_match_is_412_in_entries_too() {
    let scale = Scale::new().await;
    let made = scale.created("2016-11-01T07:00:00+09:00", "61.5").await;
    let path = format!("Observation/{}", made["id"].as_str().unwrap());
    let changed = made.to_string().replace("61.5,", "99,");
    let entries = |tag: &str| {
        let mut entries = [
            entry("PUT", &path, Some(&changed)),
            entry("DELETE", &path, None),
        ];
        for entry in &mut entries {
            entry["request"]["ifMatch"] = tag.into();
        }
        entries
    };
    for tag in ["W/\"2\"", "\"0\"", "W/\"x\"", "1", "W/1", "x"] {
        for entry in entries(tag) {
            let batch = post(&scale, &bundle("batch", std::slice::from_ref(&entry))).await;
            assert_eq!(batch.status, 200, "{}", batch.text);
            let status = statuses(&batch).remove(0);
            assert!(
                matches!(status.as_str(), "400" | "412"),
                "{tag}: {}",
                batch.text
            );
            let transaction = post(&scale, &bundle("transaction", &[entry])).await;
            let status = transaction.status.as_u16();
            assert!(matches!(status, 400 | 412), "{tag}: {}", transaction.text);
            transaction.issue();
        }
    }
    assert_eq!(scale.server.found(&format!("/{path}")).await, made);
    let [update, _] = entries("W/\"1\"");
    let answer = post(&scale, &bundle("transaction", &[update])).await;
    assert_eq!(statuses(&answer), ["200"], "{}", answer.text);
}
