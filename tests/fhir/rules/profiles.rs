//! What International Patient Access and JP Core expect of a server.

use serde_json::Value;

use crate::server::{PERSON, Server, entries};

const STRICT: [(&str, &str); 1] = [("prefer", "handling=strict")];

/// Checks how many matches a query has, with nothing ignored.
async fn found(server: &Server, queries: &[(String, usize)]) {
    for (query, number) in queries {
        let answer = server.send("GET", &format!("/{query}"), &STRICT, "").await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        let found = crate::server::matches(&answer.json()).len();
        assert_eq!(found, *number, "{query}");
    }
}

async fn patient(server: &Server) -> String {
    server.id(&format!("/Patient?identifier={PERSON}")).await
}

/// The Observation of the example with this code.
async fn observation(server: &Server, code: &str) -> Value {
    let query = format!("/Observation?code={code}&patient.identifier={PERSON}&_sort=date&_count=1");
    server.matches(&query).await[0].clone()
}

/// The codes of a concept under a system.
fn codes<'a>(concept: &'a Value, system: &str) -> Vec<&'a str> {
    let codings = concept["coding"].as_array().into_iter().flatten();
    let of_system = codings.filter(|c| c["system"] == system);
    of_system.map(|c| c["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn c3_01_patients_by_id_and_identifier() {
    let server = Server::with_example().await;
    let id = patient(&server).await;
    let read = server.found(&format!("/Patient/{id}")).await;
    assert_eq!(read["identifier"][0]["value"], PERSON);
    let system = read["identifier"][0]["system"].as_str().unwrap();
    let queries = [
        (format!("Patient?_id={id}"), 1),
        (format!("Patient?identifier={system}|{PERSON}"), 1),
        (format!("Patient?identifier={PERSON}"), 1),
    ];
    found(&server, &queries).await;
}

#[tokio::test]
async fn c3_02_observations_by_patient_with_category_code_and_date() {
    let server = Server::with_example().await;
    let id = patient(&server).await;
    let queries = [
        (format!("Observation?patient={id}&category=vital-signs"), 3),
        (format!("Observation?patient={id}&category=laboratory"), 1),
        (
            format!("Observation?patient={id}&code=http://loinc.org|29463-7"),
            1,
        ),
        (format!("Observation?patient={id}&code=29463-7,4548-4"), 2),
        (
            format!("Observation?patient={id}&category=vital-signs&date=ge2016-10-01"),
            1,
        ),
        (
            format!(
                "Observation?patient={id}&category=vital-signs&date=ge2016-09-01&date=lt2016-09-02"
            ),
            2,
        ),
        (
            format!("Observation?patient={id}&category=vital-signs&status=final"),
            3,
        ),
        (
            format!("Observation?patient={id}&code=29463-7&date=2016-09-01"),
            1,
        ),
    ];
    found(&server, &queries).await;
    let query = format!("/Observation?patient={id}&code=29463-7&_revinclude=Provenance:target");
    let page = server.found(&query).await;
    let included: Vec<Value> = entries(&page)
        .into_iter()
        .filter(|e| e["search"]["mode"] == "include")
        .collect();
    assert_eq!(included.len(), 1, "{page}");
    assert_eq!(included[0]["resource"]["resourceType"], "Provenance");
}

#[tokio::test]
async fn c3_04_refusals_are_json() {
    let server = Server::with_example().await;
    for path in ["/Patient/unknown", "/Observation/unknown", "/Medication/1"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404);
        assert!(
            answer
                .header("content-type")
                .starts_with("application/fhir+json")
        );
        answer.issue();
    }
}

#[tokio::test]
async fn c3_05_patients_by_birthdate_and_gender_and_everything_of_one() {
    let server = Server::with_example().await;
    let queries = [
        ("Patient?birthdate=1961-04".to_owned(), 1),
        ("Patient?birthdate=1961-04&gender=male".into(), 1),
        ("Patient?birthdate=1961-04&gender=female".into(), 0),
    ];
    found(&server, &queries).await;
    let id = patient(&server).await;
    let everything = server.found(&format!("/Patient/{id}/$everything")).await;
    let all = entries(&everything);
    let number = |ty: &str| {
        all.iter()
            .filter(|e| e["resource"]["resourceType"] == ty)
            .count()
    };
    assert_eq!((number("Patient"), number("Observation")), (1, 5));
}

#[tokio::test]
async fn c3_06_observations_by_identifier_value_and_last() {
    let server = Server::with_example().await;
    let id = patient(&server).await;
    let weight = observation(&server, "29463-7").await;
    let identifier = weight["identifier"][0]["value"].as_str().unwrap();
    let queries = [
        (format!("Observation?identifier={identifier}"), 1),
        (
            format!("Observation?patient={id}&code=29463-7&date=2016-09-01"),
            1,
        ),
        (
            format!("Observation?patient={id}&code=29463-7&date=2016-09-01&value-quantity=65.5"),
            1,
        ),
        (
            format!("Observation?patient={id}&code=29463-7&value-quantity=gt65||kg"),
            1,
        ),
        (
            format!("Observation?patient={id}&code=29463-7&value-quantity=gt66||kg"),
            0,
        ),
        (
            format!("Observation?patient={id}&category=vital-signs&code=29463-7"),
            1,
        ),
        (
            format!("Observation?patient={id}&category=vital-signs&code=29463-7&date=2016-09-02"),
            0,
        ),
    ];
    found(&server, &queries).await;
    let last = server
        .found(&format!(
            "/Observation/$lastn?patient={id}&category=vital-signs"
        ))
        .await;
    // The last weight, and the last of the two blood pressures.
    assert_eq!(entries(&last).len(), 2, "{last}");
}

#[tokio::test]
async fn c3_08_a_lab_result_is_one_of_jp_core() {
    let server = Server::with_example().await;
    let result = observation(&server, "4548-4").await;
    let profile = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Observation_LabResult";
    assert!(result["meta"]["profile"].to_string().contains(profile));
    let categories = result["category"].as_array().unwrap();
    let system = "http://jpfhir.jp/fhir/core/CodeSystem/JP_SimpleObservationCategory_CS";
    assert!(
        categories
            .iter()
            .any(|c| codes(c, system) == ["laboratory"])
    );
    assert!(result["code"]["text"].is_string());
    assert_eq!(
        result["subject"]["reference"],
        format!("Patient/{}", patient(&server).await)
    );
    assert_eq!(result["effectiveDateTime"], "2016-10-03");
    assert!(result["specimen"]["display"].is_string(), "{result}");
}

#[tokio::test]
async fn c3_09_hba1c_by_jlac10_with_its_method() {
    let server = Server::with_example().await;
    let result = observation(&server, "4548-4").await;
    let jlac10 = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";
    // 920: the digits of HPLC.
    assert_eq!(codes(&result["code"], jlac10), ["3D046000001920402"]);
}

#[tokio::test]
async fn c3_10_body_weight_is_of_both_categories() {
    let server = Server::with_example().await;
    let weight = observation(&server, "29463-7").await;
    let categories = weight["category"].as_array().unwrap();
    let has =
        |system: &str, code: &str| categories.iter().any(|c| codes(c, system).contains(&code));
    assert!(has(
        "http://terminology.hl7.org/CodeSystem/observation-category",
        "vital-signs"
    ));
    let simple = "http://jpfhir.jp/fhir/core/CodeSystem/JP_SimpleObservationCategory_CS";
    assert!(has(simple, "body-measurement"));
    assert_eq!(codes(&weight["code"], "http://loinc.org"), ["29463-7"]);
}

#[tokio::test]
async fn c3_11_blood_pressure_is_a_panel_with_both_codes() {
    let server = Server::with_example().await;
    let pressure = observation(&server, "85354-9").await;
    let nursing = "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode";
    assert!(!codes(&pressure["code"], nursing).is_empty(), "{pressure}");
    let components = pressure["component"].as_array().unwrap();
    for (loinc, value) in [("8480-6", 128), ("8462-4", 82)] {
        let component = components
            .iter()
            .find(|c| codes(&c["code"], "http://loinc.org").contains(&loinc))
            .unwrap();
        assert_eq!(component["valueQuantity"]["value"], value);
        assert!(
            !codes(&component["code"], nursing).is_empty(),
            "{component}"
        );
    }
}
