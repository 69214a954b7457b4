//! Several Observations, one record, as they are written to a server (mapping specification
//! §5.5).

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{Answer, BASE, PERSON, Server, entries};

const DAY: &str = "2016-11-01T09:30:00+09:00";
const ISSUED: &str = "2016-11-02T00:00:00.000+09:00";

fn vital(code: &str, value: u32, unit: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
        "subject": { "reference": format!("Patient/{}", id::participant("A00001", PERSON)) },
        "encounter": { "display": "a check-up" },
        "effectiveDateTime": DAY,
        "issued": ISSUED,
        "valueQuantity": { "value": value, "system": "http://unitsofmeasure.org", "code": unit },
    })
}

pub fn systolic(value: u32) -> Value {
    vital("8480-6", value, "mm[Hg]")
}

pub fn diastolic(value: u32) -> Value {
    vital("8462-4", value, "mm[Hg]")
}

pub fn pulse(value: u32) -> Value {
    vital("8867-4", value, "/min")
}

pub fn bundle(bundle_type: &str, resources: &[Value]) -> Value {
    let entry = |resource: &Value| {
        json!({ "resource": resource,
            "request": { "method": "POST", "url": resource["resourceType"] } })
    };
    let entries: Vec<Value> = resources.iter().map(entry).collect();
    json!({ "resourceType": "Bundle", "type": bundle_type, "entry": entries })
}

pub async fn post(server: &Server, resource: &Value) -> Answer {
    server.write("POST", "/Observation", &[], resource).await
}

/// Status and record of each entry.
pub fn answers(answer: &Answer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let each = |entry: &Value| {
        let response = &entry["response"];
        let location = text(&response["location"]);
        (text(&response["status"])[..3].to_owned(), location)
    };
    entries(&answer.json()).iter().map(each).collect()
}

/// The pressures that are stored of that time, with their versions.
async fn stored(server: &Server) -> Vec<String> {
    let found = server
        .matches("/Observation?code=85354-9&date=2016-11-01")
        .await;
    let value = |resource: &Value, code: &str| {
        let components = resource["component"].as_array().unwrap().iter();
        let mut found = components.filter(|c| c["code"]["coding"][0]["code"] == code);
        let value = found
            .next()
            .map(|c| c["valueQuantity"]["value"].to_string());
        value.unwrap_or("-".into())
    };
    let told = |resource: &Value| {
        let values = ["8480-6", "8462-4", "8867-4"].map(|code| value(resource, code));
        let version = resource["meta"]["versionId"].as_str().unwrap();
        format!(
            "{} v{version} {}",
            values.join("/"),
            resource["issued"].as_str().unwrap()
        )
    };
    found.iter().map(told).collect()
}

#[tokio::test]
async fn halves_in_a_transaction_are_answered_each_with_their_record() {
    let server = Server::with_example().await;
    let sent = bundle("transaction", &[systolic(128), pulse(68), diastolic(82)]);
    let answer = server.write("POST", "", &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answers = answers(&answer);
    let location = &answers[0].1;
    assert!(
        location.starts_with(&format!("{BASE}/Observation/")),
        "{location}"
    );
    assert!(
        answers
            .iter()
            .all(|a| *a == ("201".into(), location.clone())),
        "{answers:?}"
    );
    assert_eq!(
        stored(&server).await,
        ["128/82/68 v1 2016-11-02T00:00:00.000+09:00"]
    );
    // The same again is the same.
    let answer = server.write("POST", "", &[], &sent).await;
    assert!(
        self::answers(&answer).iter().all(|a| a.0 == "200"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn in_a_batch_a_half_alone_is_refused_by_itself() {
    let server = Server::with_example().await;
    let mut broken = diastolic(82);
    broken["valueQuantity"]["code"] = json!("kPa");
    let mut other = diastolic(84);
    other["effectiveDateTime"] = json!("2016-11-01T10:00:00+09:00");
    let mut pair = systolic(130);
    pair["effectiveDateTime"] = other["effectiveDateTime"].clone();
    let sent = bundle("batch", &[systolic(128), broken, other, pair]);
    let answer = server.write("POST", "", &[], &sent).await;
    let statuses: Vec<String> = answers(&answer).into_iter().map(|a| a.0).collect();
    assert_eq!(statuses, ["422", "422", "201", "201"], "{}", answer.text);
    let issue = |n: usize| {
        let outcome = &entries(&answer.json())[n]["response"]["outcome"];
        outcome["issue"][0]["details"]["coding"][0]["code"].clone()
    };
    assert_eq!(
        (issue(0), issue(1)),
        (json!("required-missing"), json!("unit-unknown"))
    );
    // In a transaction, one is enough to refuse all of it.
    let sent = bundle("transaction", &[systolic(128), pulse(70)]);
    let answer = server.write("POST", "", &[], &sent).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
}

#[tokio::test]
async fn of_two_readings_the_first_is_stored_and_the_other_says_so() {
    let server = Server::with_example().await;
    let reading = |code: &str, value| {
        let mut out = vital(code, value, "mm[Hg]");
        out["code"]["coding"][0]["system"] = json!("urn:oid:1.2.392.200119.6.1005");
        out
    };
    let sent = bundle(
        "transaction",
        &[
            reading("9A752000000000001", 128),
            reading("9A751000000000001", 134),
            reading("9A762000000000001", 80),
            reading("9A761000000000001", 86),
        ],
    );
    let answer = server.write("POST", "", &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answers = answers(&answer);
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    for (n, entry) in entries(&answer.json()).iter().enumerate() {
        let told = entry["response"]["outcome"].to_string();
        assert_eq!(
            told.contains("duplicate-identity"),
            n % 2 == 0,
            "{n}: {told}"
        );
    }
    assert_eq!(
        stored(&server).await,
        ["134/86/- v1 2016-11-02T00:00:00.000+09:00"]
    );
}

#[tokio::test]
async fn a_pulse_that_comes_late_joins_the_stored_check_up() {
    let server = Server::with_example().await;
    let refused = post(&server, &pulse(68)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.issue().contains("code-unsupported"),
        "{}",
        refused.text
    );
    let sent = bundle("transaction", &[systolic(128), diastolic(82)]);
    assert_eq!(server.write("POST", "", &[], &sent).await.status, 200);
    // Older than what is stored: it joins all the same, and the later time stays.
    let mut early = pulse(68);
    early["issued"] = json!("2016-11-01T12:00:00.000+09:00");
    let answer = post(&server, &early).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let record = answer.json();
    assert_eq!(record["status"], "corrected");
    assert_eq!(answer.header("etag"), "W/\"2\"");
    assert_eq!(
        stored(&server).await,
        ["128/82/68 v2 2016-11-02T00:00:00.000+09:00"]
    );
    let history = format!("/Observation/{}/_history", record["id"].as_str().unwrap());
    assert_eq!(entries(&server.found(&history).await).len(), 2);
    let first = format!("{history}/1");
    assert!(!server.found(&first).await.to_string().contains("8867-4"));
    // Again the same is nothing new; another is refused.
    let answer = post(&server, &pulse(68)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "W/\"2\"")
    );
    assert_eq!(post(&server, &pulse(70)).await.status, 422);
    assert_eq!(
        stored(&server).await,
        ["128/82/68 v2 2016-11-02T00:00:00.000+09:00"]
    );
}

#[tokio::test]
async fn a_late_pulse_takes_the_later_time_and_shares_the_fate_of_its_transaction() {
    let server = Server::with_example().await;
    let sent = bundle("transaction", &[systolic(128), diastolic(82)]);
    assert_eq!(server.write("POST", "", &[], &sent).await.status, 200);
    let mut late = pulse(68);
    late["issued"] = json!("2016-11-03T00:00:00.000+09:00");
    let mut lost = pulse(70);
    lost["effectiveDateTime"] = json!("2016-11-01T11:00:00+09:00");
    // One has a record and the other none: nothing is written.
    let both = [late.clone(), lost];
    let answer = server
        .write("POST", "", &[], &bundle("transaction", &both))
        .await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(
        stored(&server).await,
        ["128/82/- v1 2016-11-02T00:00:00.000+09:00"]
    );
    let answer = server.write("POST", "", &[], &bundle("batch", &both)).await;
    let statuses: Vec<String> = answers(&answer).into_iter().map(|a| a.0).collect();
    assert_eq!(statuses, ["200", "422"], "{}", answer.text);
    assert_eq!(
        stored(&server).await,
        ["128/82/68 v2 2016-11-03T00:00:00.000+09:00"]
    );
    // What protocol and search say of it.
    let found = "/Observation?component-code-value-quantity=8867-4$68&date=2016-11-01";
    assert_eq!(server.number(found).await, 1);
}

#[tokio::test]
async fn a_pulse_joins_no_deleted_record_and_no_other_person_s() {
    let server = Server::with_example().await;
    let sent = bundle("transaction", &[systolic(128), diastolic(82)]);
    assert_eq!(server.write("POST", "", &[], &sent).await.status, 200);
    let mut other = pulse(68);
    let second = id::participant("A00001", "P0000000000000000002");
    other["subject"]["reference"] = json!(format!("Patient/{second}"));
    assert_eq!(post(&server, &other).await.status, 422);
    let record = server.id("/Observation?code=85354-9&date=2016-11-01").await;
    let path = format!("/Observation/{record}");
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(post(&server, &pulse(68)).await.status, 422);
    // An update is of a whole record.
    let mut sent = pulse(68);
    sent["id"] = json!(record);
    let answer = server.write("PUT", &path, &[], &sent).await;
    assert_eq!(answer.status, 422);
}
