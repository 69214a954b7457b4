//! What searches find that is written of Observations beyond their records: quantities with
//! their codes, and codes of value sets.

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{PERSON, Server};

const HOSPITAL: &str = "http://hospital.example/codes";

/// A check-up blood pressure with its mean, and a code of the hospital beside that of the
/// systolic pressure.
fn pressure(mean: &str, unit: &str) -> Value {
    let quantity = |value: &str, unit: &str| {
        let value: Value = serde_json::from_str(value).unwrap();
        json!({ "value": value, "system": "http://unitsofmeasure.org", "code": unit })
    };
    let component = |code: &str, value: Value| {
        json!({
            "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
            "valueQuantity": value,
        })
    };
    let mut systolic = component("8480-6", quantity("128", "mm[Hg]"));
    let codings = systolic["code"]["coding"].as_array_mut().unwrap();
    codings.push(json!({ "system": HOSPITAL, "code": "sys" }));
    json!({
        "resourceType": "Observation", "status": "final",
        "category": [{ "coding": [{ "system": HOSPITAL, "code": "ward" }] }],
        "code": { "coding": [
            { "system": "http://loinc.org", "code": "85354-9" },
            { "system": HOSPITAL, "code": "bp" } ] },
        "subject": { "reference": format!("Patient/{}", id::participant("A00001", PERSON)) },
        "encounter": { "display": "a check-up" },
        "effectiveDateTime": "2016-11-01T09:30:00+09:00",
        "issued": "2016-11-02T00:00:00.000+09:00",
        "component": [
            systolic,
            component("8462-4", quantity("82", "mm[Hg]")),
            component("8478-0", quantity(mean, unit)) ],
    })
}

async fn number(server: &Server, query: &str) -> usize {
    let count = server
        .found(&format!("/Observation?{query}&_summary=count"))
        .await;
    let number = server.number(&format!("/Observation?{query}")).await;
    assert_eq!(count["total"], number, "{query}");
    number
}

#[tokio::test]
async fn quantities_are_found_by_number_unit_and_code() {
    let server = Server::with_example().await;
    server.create(&pressure("97.3", "mm[Hg]")).await;
    for (query, found) in [
        ("component-code-value-quantity=8478-0$97.3", 1),
        // As precise as it is asked.
        ("component-code-value-quantity=8478-0$97", 1),
        ("component-code-value-quantity=8478-0$97.30", 1),
        ("component-code-value-quantity=8478-0$97.31", 0),
        ("component-code-value-quantity=8478-0$98", 0),
        (
            "component-code-value-quantity=http://loinc.org|8478-0$ge97.3||mm[Hg]",
            1,
        ),
        (
            "component-code-value-quantity=http://loinc.org|8478-0$gt97.3||mm[Hg]",
            0,
        ),
        ("component-code-value-quantity=8478-0$lt97.3", 0),
        ("component-code-value-quantity=8478-0$ne97", 0),
        ("component-code-value-quantity=8478-0$ne90", 1),
        // In another unit of the same dimension: 97.3 mmHg is 12.9722… kPa.
        (
            "component-code-value-quantity=8478-0$12.97|http://unitsofmeasure.org|kPa",
            1,
        ),
        (
            "component-code-value-quantity=8478-0$gt12.973|http://unitsofmeasure.org|kPa",
            0,
        ),
        (
            "component-code-value-quantity=8478-0$97.3|http://unitsofmeasure.org|kg",
            0,
        ),
        ("combo-code-value-quantity=8478-0$97.3,8478-0$1", 1),
        ("code-value-quantity=8478-0$97.3", 0),
        ("component-code-value-quantity=8462-4$97.3", 0),
        ("component-value-quantity=97.3", 1),
        (
            "combo-value-quantity=97.3|http://unitsofmeasure.org|mm[Hg]",
            1,
        ),
        ("value-quantity=97.3", 0),
        // A further code beside a value of the record.
        (
            "component-code-value-quantity=http://hospital.example/codes|sys$128",
            1,
        ),
        ("component-code-value-quantity=sys$82", 0),
        ("combo-code-value-quantity=bp$97.3", 0),
        (
            "code=bp&component-code-value-quantity=8478-0$gt90&date=2016-11-01",
            1,
        ),
    ] {
        assert_eq!(number(&server, query).await, found, "{query}");
    }
    let person = id::participant("A00001", PERSON);
    let has = "/Patient?_has:Observation:patient:component-code-value-quantity=8478-0$gt97";
    assert_eq!(server.id(has).await, person);
}

#[tokio::test]
async fn a_correction_by_the_protocol_changes_what_is_found_with_a_further_code() {
    let server = Server::with_example().await;
    server.create(&pressure("97", "mm[Hg]")).await;
    let corrected = json!({
        "format_version": "1.0", "send_time": "20161110000000000", "consortium_id": "A00001",
        "person_information": [{ "person_id": PERSON, "health_checkup_information": {
            "blood_pressure": [{
                "observation_time": "20161101093000", "systolic": 138, "diastolic": 82,
                "data_input_code": "0", "update_time": "20161109000000000",
            }] } }],
    });
    let receipt = server.submit(&corrected.to_string()).await;
    assert_eq!(receipt.counts.updated, 1, "{receipt:?}");
    for (query, found) in [
        ("component-code-value-quantity=sys$128", 0),
        ("component-code-value-quantity=sys$138", 1),
        ("component-code-value-quantity=8478-0$97", 1),
    ] {
        assert_eq!(number(&server, query).await, found, "{query}");
    }
}

#[tokio::test]
async fn only_the_current_version_is_found() {
    let server = Server::with_example().await;
    let created = server.create(&pressure("97", "mm[Hg]")).await;
    let path = format!("/Observation/{}", created["id"].as_str().unwrap());
    let mut next = pressure("13.1", "kPa");
    next["id"] = created["id"].clone();
    let answer = server.write("PUT", &path, &[], &next).await;
    assert_eq!(answer.header("etag"), "W/\"2\"", "{}", answer.text);
    let of = "component-code-value-quantity=8478-0$";
    assert_eq!(number(&server, &format!("{of}97||mm[Hg]")).await, 0);
    assert_eq!(number(&server, &format!("{of}13.1||kPa")).await, 1);
    // 13.1 kPa is 98.26 mmHg.
    assert_eq!(number(&server, &format!("{of}98||mm[Hg]")).await, 1);
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    assert_eq!(number(&server, &format!("{of}13.1||kPa")).await, 0);
}

#[tokio::test]
async fn bounds_and_other_numbers_are_no_quantities() {
    let server = Server::with_example().await;
    let mut sent = pressure("97", "mm[Hg]");
    sent["component"][2]["valueQuantity"]["comparator"] = json!("<");
    sent["component"].as_array_mut().unwrap().push(json!({
        "code": { "text": "a score" }, "valueQuantity": { "value": 3, "unit": "points" },
    }));
    server.create(&sent).await;
    assert_eq!(
        number(&server, "component-code-value-quantity=8478-0$97").await,
        0
    );
    // A place without a code has a value all the same.
    assert_eq!(
        number(&server, "component-value-quantity=3||points").await,
        1
    );
    assert_eq!(
        number(&server, "component-value-quantity=3||steps").await,
        0
    );
}

#[tokio::test]
async fn value_sets_are_looked_for_in_further_codes() {
    let server = Server::with_example().await;
    let mut sent = pressure("97", "mm[Hg]");
    let exam = json!({ "coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "exam" }] });
    sent["category"].as_array_mut().unwrap().push(exam);
    sent["component"][2]["code"]["coding"][0]["code"] = json!("2708-6");
    sent["method"] = json!({ "coding": [{ "system": "http://loinc.org", "code": "LA1-0" }] });
    server.create(&sent).await;
    let all = server.number("/Observation?_count=1000").await;
    // No method of ours is one of LOINC.
    assert_eq!(number(&server, "method:in=http://loinc.org/vs").await, 1);
    let others = "method:not-in=http://loinc.org/vs&_count=1000";
    assert_eq!(number(&server, others).await, all - 1);
    let vital = "http://hl7.org/fhir/ValueSet/observation-vitalsignresult";
    let of = format!("component-code:in={vital}&component-code=2708-6");
    assert_eq!(number(&server, &of).await, 1);
    let unknown = server
        .get("/Observation?method:in=http://other.example/vs")
        .await;
    assert_eq!(unknown.status, 400, "{}", unknown.text);
}
