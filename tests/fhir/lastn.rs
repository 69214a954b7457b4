//! `Observation/$lastn`.

use serde_json::{Value, json};

use crate::server::{PERSON, Server, link, matches, weight};

async fn patient(server: &Server) -> String {
    server.id(&format!("/Patient?identifier={PERSON}")).await
}

fn times(bundle: &Value) -> Vec<String> {
    let all = matches(bundle);
    all.iter()
        .map(|o| o["effectiveDateTime"].as_str().unwrap().to_owned())
        .collect()
}

/// With weights of four days, the last two of one instant and two devices.
async fn with_weights() -> Server {
    let server = Server::with_example().await.since_new_year().await;
    for (time, value) in [
        ("20160301070000", "61.0"),
        ("20160302070000", "62.0"),
        ("20160930070000", "63.0"),
    ] {
        let text = weight(PERSON, time, value, "20160930080000000");
        assert_eq!(server.submit(&text).await.status, 201);
    }
    let other = weight(PERSON, "20160930070000", "64.0", "20160930080000000");
    let other = other.replace("WS0001234", "WS0009999");
    assert_eq!(server.submit(&other).await.status, 201);
    server
}

#[tokio::test]
async fn the_newest_of_each_code_and_those_of_one_time_count_as_one() {
    let server = with_weights().await;
    let patient = patient(&server).await;
    let path = format!("/Observation/$lastn?patient={patient}&code=29463-7");
    let newest = server.found(&path).await;
    assert_eq!(newest["type"], "searchset");
    assert_eq!(times(&newest), ["2016-09-30T07:00:00+09:00"; 2]);
    assert_eq!(link(&newest, "self").unwrap(), path);
    let three = times(&server.found(&format!("{path}&max=3")).await);
    assert_eq!(three[..2], ["2016-09-30T07:00:00+09:00"; 2]);
    assert_eq!(three.len(), 4);
    assert!(three.is_sorted_by(|a, b| a >= b), "{three:?}");
    let all = times(&server.found(&format!("{path}&max=1000")).await);
    let sorted = server
        .matches(&format!(
            "/Observation?patient={patient}&code=29463-7&_sort=-date"
        ))
        .await;
    assert_eq!(all.len(), sorted.len());
    let early = server.found(&format!("{path}&date=lt2016-04")).await;
    assert_eq!(times(&early), ["2016-03-02T07:00:00+09:00"]);
}

#[tokio::test]
async fn codes_that_are_the_same_thing_are_one_group() {
    let server = with_weights().await;
    let patient = patient(&server).await;
    let all = server
        .found(&format!("/Observation/$lastn?subject=Patient/{patient}"))
        .await;
    let all = matches(&all);
    let mut codes: Vec<&str> = all
        .iter()
        .map(|o| o["code"]["coding"][0]["code"].as_str().unwrap())
        .collect();
    let groups = {
        codes.dedup();
        codes.len()
    };
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(groups, codes.len(), "each group in one piece: {codes:?}");
    assert!(codes.contains(&"85354-9") && codes.contains(&"29463-7"));
    // At home and at a check-up: the newest of either.
    let pressures = all
        .iter()
        .filter(|o| o["code"]["coding"][0]["code"] == "85354-9");
    let pressures: Vec<&Value> = pressures.collect();
    let sorted = format!("/Observation?patient={patient}&code=85354-9&_sort=-date&_count=1");
    assert_eq!(pressures[0]["id"], server.matches(&sorted).await[0]["id"]);
    let some = format!("/Observation/$lastn?patient={patient}&category=laboratory");
    let some = server.matches(&some).await;
    assert!(
        some.iter()
            .all(|o| o["category"].to_string().contains("laboratory"))
    );
    let two = format!("/Observation/$lastn?patient={patient}&code=http://loinc.org|4548-4,29463-7");
    let two = server.matches(&two.replace('|', "%7C")).await;
    assert_eq!(two.len(), 3);
}

#[tokio::test]
async fn one_person_is_required() {
    let server = Server::with_example().await;
    let patient = patient(&server).await;
    for wrong in [
        "",
        "?code=29463-7",
        &format!("?patient={patient},x"),
        &format!("?patient={patient}&max=0"),
        &format!("?patient={patient}&max=two"),
        &format!("?patient={patient}&max=1&max=2"),
        &format!("?patient={patient}&date=soon"),
    ] {
        let answer = server.get(&format!("/Observation/$lastn{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        answer.issue();
    }
    let nobody = server.found("/Observation/$lastn?patient=unknown").await;
    assert_eq!(nobody.get("entry"), None);
    let by_identifier = format!("/Observation/$lastn?patient.identifier={PERSON}&code=4548-4");
    assert_eq!(server.number(&by_identifier).await, 1);
    let told = server
        .found(&format!("/Observation/$lastn?patient={patient}&no-such=1"))
        .await;
    assert!(told.to_string().contains("no-such"));
    let strict = [("prefer", "handling=strict")];
    let path = format!("/Observation/$lastn?patient={patient}&no-such=1");
    assert_eq!(server.send("GET", &path, &strict, "").await.status, 400);
}

#[tokio::test]
async fn parameters_may_stand_in_a_body() {
    let server = with_weights().await;
    let patient = patient(&server).await;
    let body = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "patient", "valueReference": { "reference": format!("Patient/{patient}") } },
        { "name": "code", "valueCoding": { "system": "http://loinc.org", "code": "29463-7" } },
        { "name": "max", "valuePositiveInt": 2 },
    ] });
    let headers = [("content-type", "application/fhir+json")];
    let answer = server
        .send("POST", "/Observation/$lastn", &headers, &body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let asked = format!(
        "/Observation/$lastn?patient=Patient/{patient}&code=http://loinc.org%7C29463-7&max=2"
    );
    let same = server.found(&asked).await;
    assert_eq!(answer.json()["entry"], same["entry"]);
    let part = server.found(&format!("{asked}&_elements=value")).await;
    assert!(matches(&part).iter().all(|o| o.get("device").is_none()));
}
