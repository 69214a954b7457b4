//! `Observation/$stats`.

use serde_json::{Value, json};

use crate::server::{PERSON, Server, weight};

const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

/// The example with weights of four days; the person.
async fn with_weights() -> (Server, String) {
    let server = Server::with_example().await.since_new_year().await;
    for (day, value) in [("01", "60.0"), ("02", "60.5"), ("03", "61"), ("04", "62.5")] {
        let time = format!("201603{day}070000");
        let text = weight(PERSON, &time, value, "20160930080000000");
        assert_eq!(server.submit(&text).await.status, 201);
    }
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    (server, patient)
}

/// The Observations of an answer.
fn observations<'a>(parameters: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = parameters["parameter"].as_array().unwrap();
    all.iter()
        .filter(|p| p["name"] == name)
        .map(|p| &p["resource"])
        .collect()
}

/// The number of a statistic, as it is written.
fn number(observation: &Value, code: &str) -> String {
    let all = observation["component"].as_array().unwrap();
    let found = all.iter().find(|c| c["code"]["coding"][0]["code"] == code);
    found.unwrap()["valueQuantity"]["value"].to_string()
}

#[tokio::test]
async fn statistics_of_a_code_are_one_observation() {
    let (server, patient) = with_weights().await;
    let parameters = json!({ "resourceType": "Parameters", "parameter": [
        { "name": "subject", "valueUri": format!("Patient/{patient}") },
        { "name": "coding", "valueCoding": { "system": "http://loinc.org", "code": "29463-7" } },
        { "name": "period", "valuePeriod": { "start": "2016-03-01", "end": "2016-03-31" } },
        { "name": "statistic", "valueCode": "average" },
        { "name": "statistic", "valueCode": "count" },
        { "name": "statistic", "valueCode": "maximum" },
        { "name": "statistic", "valueCode": "regression" },
    ] });
    let answer = server
        .send(
            "POST",
            "/Observation/$stats",
            &[FHIR],
            &parameters.to_string(),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(kenko_fhir::fhir::check::check(&answer), Ok(()));
    let [observation] = observations(&answer, "statistics")[..] else {
        panic!("{answer}");
    };
    assert_eq!(observation["status"], "final");
    assert_eq!(
        observation["subject"]["reference"],
        format!("Patient/{patient}")
    );
    assert_eq!(observation["code"]["coding"][0]["code"], "29463-7");
    assert_eq!(
        observation["effectivePeriod"],
        json!({ "start": "2016-03-01", "end": "2016-03-31" })
    );
    assert_eq!(number(observation, "average"), "61");
    assert_eq!(number(observation, "count"), "4");
    assert_eq!(number(observation, "maximum"), "62.5");
    assert_eq!(number(observation, "regression"), "0.8");
    let first = &observation["component"][0]["valueQuantity"];
    assert_eq!(
        (&first["unit"], &first["code"]),
        (&json!("kg"), &json!("kg"))
    );
    let slope = &observation["component"][3]["valueQuantity"];
    assert_eq!(slope["code"], "kg/d");
    // The statistics are an Observation as R4 has it.
    let told = server
        .send(
            "POST",
            "/Observation/$validate",
            &[FHIR],
            &observation.to_string(),
        )
        .await;
    assert!(!told.text.contains("\"invariant\""), "{}", told.text);
}

#[tokio::test]
async fn codes_of_components_and_panels_count() {
    let (server, patient) = with_weights().await;
    let path = format!("/Observation/$stats?subject=Patient/{patient}&system=http://loinc.org");
    let one = server
        .found(&format!(
            "{path}&code=8480-6&statistic=count,total-count,average"
        ))
        .await;
    let [systolic] = observations(&one, "statistics")[..] else {
        panic!("{one}");
    };
    let own: Vec<f64> = server
        .matches(&format!("/Observation?patient={patient}&code=85354-9"))
        .await
        .iter()
        .flat_map(|o| o["component"].as_array().unwrap().clone())
        .filter(|c| c["code"]["coding"][0]["code"] == "8480-6")
        .map(|c| c["valueQuantity"]["value"].to_string().parse().unwrap())
        .collect();
    assert_eq!(number(systolic, "count"), own.len().to_string());
    let average: f64 = number(systolic, "average").parse().unwrap();
    assert!((average - own.iter().sum::<f64>() / own.len() as f64).abs() < 1e-4);
    let panel = server
        .found(&format!("{path}&code=85354-9&statistic=minimum"))
        .await;
    let codes: Vec<&Value> = observations(&panel, "statistics")
        .iter()
        .map(|o| &o["code"]["coding"][0]["code"])
        .collect();
    assert!(
        codes.contains(&&json!("8480-6")) && codes.contains(&&json!("8462-4")),
        "{codes:?}"
    );
    let two = server
        .found(&format!("{path}&code=8480-6&code=29463-7&statistic=median"))
        .await;
    assert_eq!(observations(&two, "statistics").len(), 2);
}

#[tokio::test]
async fn sources_come_along_where_asked_for_and_nothing_is_no_number() {
    let (server, patient) = with_weights().await;
    let path =
        format!("/Observation/$stats?subject=Patient/{patient}&code=29463-7&statistic=average");
    assert_eq!(observations(&server.found(&path).await, "source").len(), 0);
    let all = server.found(&format!("{path}&include=true")).await;
    let number_of = server
        .number(&format!("/Observation?patient={patient}&code=29463-7"))
        .await;
    assert_eq!(observations(&all, "source").len(), number_of);
    let some = server.found(&format!("{path}&include=true&limit=2")).await;
    assert_eq!(observations(&some, "source").len(), 2);
    // Of the last hour there is none.
    let none = server
        .found(&format!("{path}&statistic=count&duration=1"))
        .await;
    let observation = observations(&none, "statistics")[0];
    assert_eq!(number(observation, "count"), "0");
    assert_eq!(
        observation["component"][0]["dataAbsentReason"]["coding"][0]["code"],
        "not-applicable"
    );
    assert!(observation["effectivePeriod"]["start"].is_string());
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let (server, patient) = with_weights().await;
    let subject = format!("subject=Patient/{patient}");
    for (query, named) in [
        ("code=29463-7&statistic=average".to_owned(), "subject"),
        (format!("{subject}&statistic=average"), "code"),
        (format!("{subject}&code=29463-7"), "statistic"),
        (
            format!("{subject}&code=29463-7&statistic=mean"),
            "statistic",
        ),
        (format!("{subject}&code=no-such&statistic=average"), "code"),
        (
            format!("{subject}&code=29463-7&statistic=average&duration=x"),
            "duration",
        ),
        (
            format!("{subject}&code=29463-7&statistic=average&duration=-1"),
            "duration",
        ),
        (
            format!("{subject}&code=29463-7&statistic=average&period=2016"),
            "period",
        ),
        (
            format!("{subject}&code=29463-7&statistic=average&include=maybe"),
            "include",
        ),
        (
            format!("{subject}&code=29463-7&statistic=average&limit=0"),
            "limit",
        ),
        (
            format!("{subject}&code=29463-7&statistic=average&duration=1&duration=2"),
            "duration",
        ),
    ] {
        let answer = server.get(&format!("/Observation/$stats?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        assert!(
            answer.issue().starts_with(named),
            "{query}: {}",
            answer.text
        );
    }
    for unknown in [
        "Patient/AAAAAAAAAAAAAAAA",
        "Device/x",
        "http://other/Patient/x",
    ] {
        let path = format!("/Observation/$stats?subject={unknown}&code=29463-7&statistic=average");
        assert_eq!(server.get(&path).await.status, 404, "{unknown}");
    }
    let path = format!("/Observation/$stats?{subject}&code=29463-7&statistic=average&no-such=1");
    let told = server.found(&path).await;
    assert_eq!(observations(&told, "outcome").len(), 1);
    let strict = [("prefer", "handling=strict")];
    assert_eq!(server.send("GET", &path, &strict, "").await.status, 400);
}
