//! Data from electronic health records, which know our participants, laboratories and devices
//! by names of their own (mapping specification §5.2).

use kenko_fhir::fhir::base64;
use kenko_fhir::registry::{DEVICES, LABORATORIES, List, PARTICIPANTS, Row};
use serde_json::{Value, json};

use crate::server::{Answer, PERSON, Server};

/// What a hospital calls the first person of the example, and what it is called itself.
const MRN: &str = "urn:oid:1.2.392.100495.20.3.51.12312345678";
const INSTITUTION: &str = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no";
const OUTCOME: &[(&str, &str)] = &[("prefer", "return=OperationOutcome")];

/// An HbA1c as a hospital writes it.
fn result(day: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": { "coding": [{ "system": "urn:oid:1.2.392.200119.4.504", "code": "3D046000001920402" }] },
        "subject": { "identifier": { "system": MRN, "value": "00012345" } },
        "performer": [{ "identifier": { "system": INSTITUTION, "value": "2312345678" } }],
        "effectiveDateTime": day,
        "issued": "2016-10-05T12:00:00.000+09:00",
        "valueQuantity": { "value": 6.1, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%" },
    })
}

async fn register(server: &Server, list: &'static List, fields: &[(&str, &str)]) {
    let mut row = Row::new(list);
    for (field, value) in fields {
        row.put(field, value).unwrap();
    }
    let done = server.store.change_registry(list, &[row], false).await;
    done.unwrap().unwrap();
}

/// The fields that fallbacks filled, as the diagnostics name them.
fn fallbacks(outcome: &Answer) -> Vec<String> {
    let outcome = outcome.json();
    let issues = outcome["issue"].as_array().unwrap().iter();
    let fallbacks = issues.filter(|i| i["details"]["coding"][0]["code"] == "fallback-used");
    fallbacks
        .map(|i| i["diagnostics"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_result_of_a_hospital_finds_person_laboratory_and_method() {
    let server = Server::with_example().await;
    let answer = server
        .write("POST", "/Observation", OUTCOME, &result("2016-11-01"))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let told = fallbacks(&answer);
    for field in [
        "person_id",
        "test_lab_id",
        "measurement_method_code",
        "data_input_code",
    ] {
        assert!(
            told.iter().any(|text| text.contains(field)),
            "{field}: {told:?}"
        );
    }
    let stored = &server
        .matches("/Observation?code=4548-4&date=2016-11-01")
        .await[0];
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    assert_eq!(stored["subject"]["reference"], format!("Patient/{patient}"));
    let identity = stored["identifier"][0]["value"].as_str().unwrap();
    assert!(
        identity.ends_with(":20161101000000:000000000001"),
        "{identity}"
    );
    assert_eq!(stored["method"]["coding"][0]["code"], "000001");
    // The same again changes nothing.
    let again = server
        .write("POST", "/Observation", &[], &result("2016-11-01"))
        .await;
    assert_eq!(again.status, 200, "{}", again.text);
}

#[tokio::test]
async fn a_person_nobody_registered_is_refused_with_what_to_register() {
    let server = Server::with_example().await;
    let mut sent = result("2016-11-01");
    sent["subject"]["identifier"]["value"] = json!("99999");
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 422);
    let issue = answer.issue();
    assert!(
        issue.contains("participants.external_identifiers"),
        "{issue}"
    );
    assert!(issue.contains(&format!("{MRN}|99999")[..40]), "{issue}");
    // Once registered, it is taken.
    register(
        &server,
        &PARTICIPANTS,
        &[
            ("consortium_id", "A00001"),
            ("person_id", "P0000000000000000009"),
            ("birth_year_month", "197001"),
            ("sex_code", "2"),
            ("participation_start_date", "20160901"),
            ("external_identifiers", &format!("{MRN}|99999")),
        ],
    )
    .await;
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn a_person_of_two_consortia_is_ambiguous() {
    let server = Server::with_example().await;
    register(
        &server,
        &kenko_fhir::registry::CONSORTIA,
        &[("consortium_id", "B00001"), ("consortium_name", "B")],
    )
    .await;
    register(
        &server,
        &PARTICIPANTS,
        &[
            ("consortium_id", "B00001"),
            ("person_id", "Q1"),
            ("birth_year_month", "196104"),
            ("sex_code", "1"),
            ("participation_start_date", "20160901"),
            ("external_identifiers", &format!("{MRN}|00012345")),
        ],
    )
    .await;
    let answer = server
        .write("POST", "/Observation", &[], &result("2016-11-01"))
        .await;
    assert_eq!(answer.status, 422);
    assert!(answer.issue().contains("participant-ambiguous"));
}

#[tokio::test]
async fn a_laboratory_that_stands_in_is_that_of_the_person_s_consortium() {
    let server = Server::with_example().await;
    let mut sent = result("2016-11-01");
    sent["performer"] = json!([{ "display": "the laboratory" }]);
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 422);
    assert!(answer.issue().contains("laboratory-unknown"));
    register(
        &server,
        &LABORATORIES,
        &[
            ("consortium_id", "A00001"),
            ("test_lab_id", "000000000002"),
            ("test_lab_name", "Clinic"),
            ("prefecture_code", "14"),
            ("default_for", "*"),
        ],
    )
    .await;
    let answer = server.write("POST", "/Observation", OUTCOME, &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert!(answer.header("location").contains("/Observation/"));
    assert!(
        fallbacks(&answer)
            .iter()
            .any(|t| t.contains("laboratories.default_for"))
    );
}

#[tokio::test]
async fn a_scale_without_a_number_is_the_registered_one() {
    let server = Server::with_example().await;
    let mut sent = crate::server::observation("2016-11-01T07:00:00+09:00", "61.5");
    sent["device"] = json!({ "display": "a scale" });
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 422);
    assert!(answer.issue().contains("device-unidentified"));
    register(
        &server,
        &DEVICES,
        &[
            ("model_manufacturer_code", "ACME"),
            ("model_number", "WS-100"),
            ("device_name", "Scale"),
            ("device_type_code", "1"),
            ("fallback_for", "weighing_scale"),
            ("ledger_number", "0007"),
        ],
    )
    .await;
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let identity = answer.json()["identifier"][0]["value"].to_string();
    assert!(identity.contains("A000010007"), "{identity}");
    // A reference to a Device of ours that is not there is a mistake, which nothing mends.
    sent["device"] = json!({ "reference": "Device/AAAAAAAAAAAAAAAA" });
    let answer = server.write("POST", "/Observation", &[], &sent).await;
    assert_eq!(answer.status, 422);
}

#[tokio::test]
async fn a_transaction_and_the_converter_know_them_too() {
    let server = Server::with_example().await;
    let mut second = result("2016-11-02");
    second["subject"] = json!({ "reference": "http://ehr.example/fhir/Patient/1", "identifier": { "system": MRN, "value": "00012345" } });
    let post = |resource: &Value| json!({ "resource": resource, "request": { "method": "POST", "url": "Observation" } });
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction",
        "entry": [post(&result("2016-11-01")), post(&second)] });
    let answer = server.write("POST", "", &[], &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        server
            .number("/Observation?code=4548-4&date=ge2016-11-01")
            .await,
        2
    );

    let bundle = json!({ "resourceType": "Bundle", "type": "collection",
        "entry": [{ "resource": result("2016-11-03") }] });
    let answer = server.write("POST", "/$to-exchange", &[], &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let parameters = answer.json();
    assert_eq!(parameters["parameter"][0]["name"], "submission");
    assert!(answer.text.contains("participants.external_identifiers"));
    assert_eq!(
        server
            .number("/Observation?code=4548-4&date=2016-11-03")
            .await,
        0
    );
}

#[tokio::test]
async fn a_bundle_of_jp_clins_is_converted_by_the_lists_of_the_server() {
    let server = Server::empty().await;
    let text = std::fs::read_to_string("tests/data/documents/clins.json").unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let answer = server.write("POST", "/$to-exchange", &[], &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let parameters = answer.json();
    let names: Vec<&str> = parameters["parameter"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["submission", "outcome"]);
    let data = parameters["parameter"][0]["resource"]["data"]
        .as_str()
        .unwrap();
    let submission = String::from_utf8(base64::decode(data).unwrap()).unwrap();
    for expected in [
        r#""hba1c_value":7.2"#,
        r#""test_lab_id":"000000000001""#,
        r#""measurement_method_code":"000001""#,
    ] {
        assert!(submission.contains(expected), "{submission}");
    }
    let told = parameters["parameter"][1]["resource"].to_string();
    assert!(told.contains("JP_eCS_InstitutionNumber"), "{told}");
    // Strictly, nothing is refused either: what is not ours is only told.
    let strict = [("prefer", "handling=strict")];
    let answer = server
        .write("POST", "/$to-exchange", &strict, &bundle)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_encounter_of_a_batch_speaks_for_its_results() {
    let server = Server::with_example().await;
    let mut sent = result("2016-11-04");
    sent.as_object_mut().unwrap().shift_remove("performer");
    sent["encounter"] = json!({ "reference": "urn:uuid:00000000-0000-4000-8000-000000000001" });
    let provider = json!({ "identifier": { "system": INSTITUTION, "value": "2312345678" } });
    let encounter = json!({ "resourceType": "Encounter", "status": "finished",
        "class": { "code": "AMB" }, "serviceProvider": provider });
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": [
        { "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": encounter,
            "request": { "method": "POST", "url": "Encounter" } },
        { "resource": sent, "request": { "method": "POST", "url": "Observation" } } ] });
    let answer = server.write("POST", "", &[], &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries = crate::server::entries(&answer.json());
    let status = |n: usize| entries[n]["response"]["status"].as_str().unwrap()[..3].to_owned();
    assert_eq!(
        (status(0), status(1)),
        ("404".into(), "201".into()),
        "{}",
        answer.text
    );
    assert!(
        answer.text.contains("encounter.serviceProvider"),
        "{}",
        answer.text
    );
}
