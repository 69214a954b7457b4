//! References in every form lead to the same: literal, versioned, absolute, contained,
//! `urn:uuid`, logical and conditional (<https://hl7.org/fhir/R4/references.html>).

use kenko_fhir::fhir::{base64, id};
use serde_json::{Value, json};

use crate::server::{Answer, BASE, PERSON, PERSON_SID, Server, entries, entry, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";
const SECOND: &str = "P0000000000000000002";
/// The number that a hospital has of the first person of the example.
const NUMBER: (&str, &str) = ("urn:oid:1.2.392.100495.20.3.51.12312345678", "00012345");
const INSTITUTIONS: &str = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no";

fn patient(person: &str) -> String {
    format!("Patient/{}", id::participant("A00001", person))
}

fn laboratory(number: &str) -> String {
    format!("Organization/{}", id::laboratory("A00001", number))
}

fn identifier(system: &str, value: &str) -> Value {
    json!({ "system": system, "value": value })
}

async fn post(server: &Server, resource: &Value) -> Answer {
    let path = format!("/{}", resource["resourceType"].as_str().unwrap());
    server.write("POST", &path, &[], resource).await
}

async fn send(server: &Server, bundle_type: &str, entries: Vec<Value>) -> Answer {
    let bundle = json!({ "resourceType": "Bundle", "type": bundle_type, "entry": entries });
    server.write("POST", "", &[], &bundle).await
}

/// Fails with a code of ours at an element.
#[track_caller]
fn refused(answer: &Answer, code: &str, at: &str) {
    assert_eq!(answer.status, 422, "{}", answer.text);
    let issues = answer.json()["issue"].as_array().unwrap().clone();
    let is_it = |issue: &Value| {
        issue["details"]["coding"][0]["code"] == code && issue["expression"][0] == at
    };
    assert!(issues.iter().any(is_it), "{code} {at}: {}", answer.text);
}

/// A blood pressure with a pulse, whose codes are those of both record kinds.
fn pressure(at: &str) -> Value {
    let part = |code: &str, value: u32, unit: &str| {
        json!({
            "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
            "valueQuantity": {
                "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit,
            },
        })
    };
    json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "85354-9" }] },
        "subject": { "reference": patient(PERSON) },
        "effectiveDateTime": at, "issued": "2016-10-05T12:00:00.000+09:00",
        "component": [
            part("8480-6", 134, "mm[Hg]"), part("8462-4", 86, "mm[Hg]"), part("8867-4", 60, "/min") ],
    })
}

fn hba1c(performer: Value) -> Value {
    json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "4548-4" }] },
        "subject": { "reference": patient(PERSON) },
        "performer": performer,
        "effectiveDateTime": "2016-11-01", "issued": "2016-11-02T10:00:00.000+09:00",
        "valueQuantity": {
            "value": 6.1, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%" },
    })
}

fn kind_of(resource: &Value) -> String {
    let categories = resource["category"].as_array().unwrap();
    let codings = categories
        .iter()
        .flat_map(|c| c["coding"].as_array().unwrap());
    let mut kinds = codings.filter(|c| c["system"].as_str().unwrap().ends_with("/record-kind"));
    kinds.next().unwrap()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_literal_reference_wins_and_another_identity_beside_it_is_refused() {
    let server = Server::with_example().await;
    for beside in [
        identifier(PERSON_SID, SECOND),
        identifier(NUMBER.0, NUMBER.1),
    ] {
        let mut resource = observation(AT, "61.5");
        let person = if beside["value"] == SECOND {
            PERSON
        } else {
            SECOND
        };
        for reference in [patient(person), format!("{BASE}/{}", patient(person))] {
            resource["subject"] = json!({ "reference": reference, "identifier": beside });
            let answer = post(&server, &resource).await;
            refused(&answer, "identity", "Observation.subject.identifier");
        }
        let answer = send(
            &server,
            "batch",
            vec![entry("POST", "Observation", Some(resource))],
        )
        .await;
        let response = entries(&answer.json())[0]["response"].clone();
        assert_eq!(response["status"], "422 Unprocessable Entity", "{response}");
    }
    let other = id::device("ACME", "WS-100", "WS0001234");
    let mut resource = observation(AT, "61.5");
    resource["device"] = json!({
        "reference": format!("Device/{other}"),
        "identifier": identifier("https://kenko-fhir.example/fhir/sid/device", "ACME:WS-100:OTHER"),
    });
    refused(
        &post(&server, &resource).await,
        "identity",
        "Observation.device.identifier",
    );
    let performer = json!([{
        "reference": laboratory("000000000001"),
        "identifier": identifier(
            "https://kenko-fhir.example/fhir/sid/consortium/A00001/test-lab", "000000000002"),
    }]);
    refused(
        &post(&server, &hba1c(performer)).await,
        "identity",
        "Observation.performer[0].identifier",
    );
    // The same twice is no contradiction, and of a literal elsewhere the identifier counts:
    // of each by itself.
    for (reference, person, day) in [
        (patient(PERSON), PERSON, "01"),
        ("http://other.example/Patient/1".into(), PERSON, "02"),
        ("http://other.example/Patient/1".into(), SECOND, "03"),
    ] {
        let mut resource = observation(&AT.replace("-01T", &format!("-{day}T")), "61.5");
        resource["subject"] =
            json!({ "reference": reference, "identifier": identifier(PERSON_SID, person) });
        let created = server.create(&resource).await;
        assert_eq!(created["subject"]["reference"], patient(person));
    }
}

#[tokio::test]
async fn identifiers_beside_one_literal_elsewhere_count_each_in_its_place() {
    let server = Server::with_example().await;
    let of = |person: &str, day: &str| {
        let mut resource = observation(&AT.replace("-01T", &format!("-{day}T")), "61.5");
        resource["subject"] = json!({
            "reference": "http://other.example/Patient/1",
            "identifier": identifier(PERSON_SID, person),
        });
        entry("POST", "Observation", Some(resource))
    };
    let answer = send(
        &server,
        "transaction",
        vec![of(PERSON, "02"), of(SECOND, "03")],
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (person, day) in [(PERSON, "02"), (SECOND, "03")] {
        let id = id::participant("A00001", person);
        let found = server
            .number(&format!("/Observation?patient={id}&date=2016-10-{day}"))
            .await;
        assert_eq!(found, 1, "{person}");
    }
}

#[tokio::test]
async fn who_performed_is_told_by_what_the_reference_leads_to() {
    let server = Server::with_example().await;
    let relative = json!({
        "resourceType": "RelatedPerson", "id": "r", "patient": { "reference": patient(PERSON) },
        "identifier": [identifier("urn:x:relatives", "mother")],
    });
    // What stands in the Bundle is not stored, but tells who it was.
    let forms = [
        (json!({ "reference": "#r" }), true),
        (
            json!({ "reference": "urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a001" }),
            true,
        ),
        (
            json!({ "identifier": identifier("urn:x:relatives", "mother") }),
            true,
        ),
        (
            json!({ "identifier": identifier(PERSON_SID, PERSON) }),
            true,
        ),
        (
            json!({ "identifier": identifier(NUMBER.0, NUMBER.1) }),
            true,
        ),
        (
            json!({ "reference": format!("Patient?identifier={PERSON_SID}|{PERSON}") }),
            true,
        ),
        (
            json!({ "reference": format!("{}/_history/1", patient(PERSON)) }),
            true,
        ),
        (
            json!({ "reference": format!("{BASE}/{}", patient(PERSON)) }),
            true,
        ),
        (
            json!({ "type": "RelatedPerson", "reference": "http://other.example/x?y" }),
            true,
        ),
        (
            json!({ "type": "RelatedPerson", "identifier": identifier("urn:x", "z") }),
            true,
        ),
        (
            json!({ "reference": "http://other.example/RelatedPerson/1/_history/2" }),
            true,
        ),
        (json!({ "reference": laboratory("000000000001") }), false),
        (
            json!({ "reference": "http://other.example/Practitioner/1" }),
            false,
        ),
        (
            json!({ "reference": "urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a002" }),
            false,
        ),
    ];
    let practitioner = json!({ "resourceType": "Practitioner" });
    for (minute, (performer, at_home)) in forms.into_iter().enumerate() {
        let at = format!("2016-12-01T07:{minute:02}:00+09:00");
        let mut resource = pressure(&at);
        resource["performer"] = json!([performer]);
        if performer["reference"] == "#r" {
            resource["contained"] = json!([relative]);
        }
        let uuid = |n: u8| format!("urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a00{n}");
        let mut all = vec![entry("POST", "Observation", Some(resource))];
        for (n, other) in [(1, &relative), (2, &practitioner)] {
            let name = other["resourceType"].as_str().unwrap();
            let mut other = entry("POST", name, Some(other.clone()));
            other["fullUrl"] = json!(uuid(n));
            all.push(other);
        }
        let answer = send(&server, "batch", all).await;
        let response = entries(&answer.json())[0]["response"].clone();
        let text = response.to_string();
        // A pressure at home needs its device.
        if at_home {
            assert!(
                text.contains("devices.fallback_for") || text.contains("device-unidentified"),
                "{performer}: {text}"
            );
        } else {
            assert!(
                response["status"].as_str().unwrap().starts_with("201"),
                "{performer}: {text}"
            );
            let url = response["location"]
                .as_str()
                .unwrap()
                .strip_prefix(BASE)
                .unwrap();
            let read = server.found(url).await;
            assert_eq!(kind_of(&read), "checkup_blood_pressure", "{performer}");
        }
    }
}

#[tokio::test]
async fn conditional_references_are_resolved_wherever_they_stand() {
    let server = Server::with_example().await;
    let weight = server.create(&observation(AT, "61.5")).await;
    let weight = format!("Observation/{}", weight["id"].as_str().unwrap());
    let lab = format!("Organization?identifier={INSTITUTIONS}|2312345678");
    let person = format!("Patient?identifier={PERSON_SID}|{SECOND}");
    let observation_of = format!(
        "Observation?patient={}&date=2016-10-01&code=29463-7",
        &patient(PERSON)[8..]
    );
    let mut resource = hba1c(json!([{ "reference": lab }]));
    resource["derivedFrom"] = json!([{ "reference": observation_of }]);
    resource["focus"] = json!([{ "reference": person }]);
    resource["note"] = json!([{ "authorReference": { "reference": person }, "text": "n" }]);
    resource["extension"] =
        json!([{ "url": "http://x.example/e", "valueReference": { "reference": lab } }]);
    for (way, day) in [("single", "01"), ("transaction", "02"), ("batch", "03")] {
        resource["effectiveDateTime"] = json!(format!("2016-11-{day}"));
        let path = match way {
            "single" => {
                let created = server.create(&resource).await;
                format!("/Observation/{}", created["id"].as_str().unwrap())
            }
            way => {
                let all = vec![entry("POST", "Observation", Some(resource.clone()))];
                let answer = send(&server, way, all).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                let location = entries(&answer.json())[0]["response"]["location"].clone();
                location
                    .as_str()
                    .expect(&answer.text)
                    .strip_prefix(BASE)
                    .unwrap()
                    .to_owned()
            }
        };
        let read = server.found(&path).await;
        assert_eq!(
            read["performer"],
            json!([{ "reference": laboratory("000000000001") }])
        );
        assert_eq!(read["derivedFrom"][0]["reference"], weight);
        assert_eq!(read["focus"][0]["reference"], patient(SECOND));
        assert_eq!(
            read["note"][0]["authorReference"]["reference"],
            patient(SECOND)
        );
        let extensions = read["extension"].as_array().unwrap();
        let own = extensions
            .iter()
            .find(|e| e["url"] == "http://x.example/e")
            .unwrap();
        assert_eq!(
            own["valueReference"]["reference"],
            laboratory("000000000001")
        );
        // As it is read, it is written back.
        let id = read["id"].as_str().unwrap();
        let again = server
            .write("PUT", &format!("/Observation/{id}"), &[], &read)
            .await;
        assert_eq!(
            (again.status.as_u16(), again.header("etag")),
            (200, "W/\"1\"")
        );
    }
    // None, several, or of a type that nothing is of here: told where it stands.
    for (name, reference, status) in [
        ("focus", "Patient?identifier=urn:x|nobody", 422),
        ("focus", "Patient?birthdate=ge1900", 412),
        ("focus", "Practitioner?identifier=urn:x|1", 422),
        ("derivedFrom", "Observation?date=1999", 422),
        ("performer", "Organization?identifier=urn:x|1", 422),
    ] {
        let mut resource = hba1c(json!([{ "reference": laboratory("000000000001") }]));
        resource["effectiveDateTime"] = json!("2016-11-09");
        resource[name] = json!([{ "reference": reference }]);
        let answer = post(&server, &resource).await;
        assert_eq!(answer.status, status, "{reference}: {}", answer.text);
        let at = answer.json()["issue"][0]["expression"][0].clone();
        assert!(
            at.as_str()
                .unwrap()
                .starts_with(&format!("Observation.{name}")),
            "{at}"
        );
    }
}

#[tokio::test]
async fn nothing_is_looked_up_for_a_conversion_but_what_came_with_it() {
    let server = Server::with_example().await;
    let of = |reference: String, day: u32| {
        let mut resource = observation(&format!("2016-10-{day:02}T07:00:00+09:00"), "61.5");
        resource["subject"] = json!({ "reference": reference });
        resource["device"] =
            json!({ "reference": "urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a009" });
        json!({ "resource": resource })
    };
    let bundle = json!({
        "resourceType": "Bundle", "type": "collection", "entry": [
            of(format!("Patient?identifier={PERSON_SID}|{PERSON}"), 1),
            of(format!("Patient?identifier={}|{}", NUMBER.0, NUMBER.1), 2),
            of("Patient?identifier=urn:x%7C7".into(), 3),
            { "fullUrl": "urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a008", "resource": {
                "resourceType": "Patient", "identifier": [
                    identifier("urn:x", "7"), identifier(PERSON_SID, SECOND) ] } },
            { "fullUrl": "urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a009", "resource": {
                "resourceType": "Device", "manufacturer": "ACME", "modelNumber": "WS-100",
                "serialNumber": "WS0001234" } } ],
    });
    let answer = server.write("POST", "/$to-exchange", &[], &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let parameters = answer.json()["parameter"].as_array().unwrap().clone();
    let data = parameters[0]["resource"]["data"].as_str().unwrap();
    let text = String::from_utf8(base64::decode(data).unwrap()).unwrap();
    let submission: Value = serde_json::from_str(&text).unwrap();
    let count = |person: &str| {
        let people = match &submission["person_information"] {
            Value::Array(people) => people.clone(),
            one => vec![one.clone()],
        };
        let own = people
            .into_iter()
            .find(|p| p["person_id"] == person)
            .unwrap();
        let weights = own["healthcare_information"]["weighing_scale"].clone();
        weights.as_array().map_or(1, Vec::len)
    };
    assert_eq!((count(PERSON), count(SECOND)), (2, 1), "{text}");
}

#[tokio::test]
async fn a_full_url_is_replaced_wherever_it_is_referred_to() {
    let server = Server::with_example().await;
    let uuid = |n: u32| format!("urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7b{n:03}");
    let there = server
        .create(&observation("2016-10-20T07:00:00+09:00", "61.5"))
        .await;
    let there = there["id"].as_str().unwrap();
    let mut named = server.found(&format!("/Observation/{there}")).await;
    named["effectiveDateTime"] = json!("2016-10-21T07:00:00+09:00");
    let record = named["identifier"][0]["value"]
        .as_str()
        .unwrap()
        .replace("20161020", "20161021");
    named["identifier"][0]["value"] = json!(record);
    named.as_object_mut().unwrap().remove("id");
    let mut found = entry("POST", "Observation", Some(observation(AT, "50.0")));
    found["request"]["ifNoneExist"] = json!(format!("_id={there}"));
    let subject = json!({
        "resourceType": "ResearchSubject", "status": "on-study",
        "study": { "reference": format!("ResearchStudy/{}", id::consortium("A00001")) },
        "individual": { "reference": patient(SECOND) }, "period": { "start": "2016-09-01" },
    });
    let mut targets = vec![
        entry(
            "POST",
            "Observation",
            Some(observation("2016-10-22T07:00:00+09:00", "61.5")),
        ),
        entry("POST", "Observation", Some(named)),
        found,
        entry("POST", "ResearchSubject", Some(subject)),
    ];
    for (n, target) in targets.iter_mut().enumerate() {
        target["fullUrl"] = json!(uuid(n as u32));
    }
    let mut referring = hba1c(json!([{ "reference": laboratory("000000000001") }]));
    referring["derivedFrom"] = (0..3)
        .map(|n| json!({ "reference": uuid(n) }))
        .collect::<Vec<_>>()
        .into();
    referring["focus"] = json!([{ "reference": uuid(3) }]);
    let mut all = vec![entry("POST", "Observation", Some(referring))];
    all.extend(targets);
    let answer = send(&server, "transaction", all).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let places: Vec<String> = entries(&answer.json())
        .iter()
        .map(|e| {
            let location = e["response"]["location"].as_str().unwrap();
            let location = location.strip_prefix(BASE).unwrap();
            location.split("/_history").next().unwrap()[1..].to_owned()
        })
        .collect();
    let read = server.found(&format!("/{}", places[0])).await;
    let led = |name: &str| -> Vec<String> {
        let all = read[name].as_array().unwrap().iter();
        all.map(|r| r["reference"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(led("derivedFrom"), places[1..4]);
    assert_eq!(led("focus"), places[4..]);
    assert_eq!(places[3], format!("Observation/{there}"));
}

#[tokio::test]
async fn a_reference_to_a_version_keeps_its_version() {
    let server = Server::with_example().await;
    let mut resource = observation(AT, "61.5");
    let versioned = format!("{}/_history/1", patient(SECOND));
    resource["focus"] = json!([{ "reference": versioned }]);
    let created = server.create(&resource).await;
    assert_eq!(created["focus"][0]["reference"], versioned);
}

#[tokio::test]
async fn a_part_of_a_resource_never_replaces_the_whole() {
    let server = Server::with_example().await;
    let steps = &server.matches("/Observation?code=41950-7&_count=1").await[0];
    let (path, person) = (
        format!("/Observation/{}", steps["id"].as_str().unwrap()),
        format!("/{}", patient(PERSON)),
    );
    for (path, part) in [
        (&path, "_elements=code"),
        (&path, "_summary=true"),
        (&path, "_summary=data"),
        (&person, "_elements=identifier"),
        (&person, "_summary=true"),
    ] {
        let whole = server.found(path).await;
        let subset = server.found(&format!("{path}?{part}")).await;
        let name = subset["resourceType"].as_str().unwrap().to_owned();
        let at = format!("{name}.meta.tag[0]");
        let put = server.write("PUT", path, &[], &subset).await;
        refused(&put, "subsetted", &at);
        let post = server
            .write("POST", &format!("/{name}"), &[], &subset)
            .await;
        refused(&post, "subsetted", &at);
        for way in ["transaction", "batch"] {
            let all = vec![entry("PUT", &path[1..], Some(subset.clone()))];
            let answer = send(&server, way, all).await;
            assert!(answer.text.contains("subsetted"), "{}", answer.text);
        }
        assert_eq!(server.found(path).await, whole);
    }
}

#[tokio::test]
async fn device_texts_that_do_not_fit_are_faults_and_no_other_device_stands_in() {
    let server = Server::with_example().await;
    let long = "x".repeat(51);
    for (name, text, code) in [
        ("manufacturer", long.as_str(), "digits"),
        ("modelNumber", long.as_str(), "digits"),
        ("serialNumber", long.as_str(), "digits"),
        ("serialNumber", "a\tb", "type"),
    ] {
        let mut device = json!({
            "resourceType": "Device", "id": "d", "manufacturer": "ACME",
            "modelNumber": "WS-100", "serialNumber": "S1",
        });
        device[name] = json!(text);
        let mut resource = observation(AT, "61.5");
        resource["device"] = json!({ "reference": "#d" });
        resource["contained"] = json!([device]);
        let answer = post(&server, &resource).await;
        refused(&answer, code, &format!("Observation.contained[0].{name}"));
        device.as_object_mut().unwrap().remove("id");
        refused(
            &post(&server, &device).await,
            code,
            &format!("Device.{name}"),
        );
        // In a Bundle, the record of a device that is refused goes to no other.
        let mut own = entry("POST", "Device", Some(device));
        own["fullUrl"] = json!("urn:uuid:5d9e3f4e-4a51-4d6f-9a55-9f0a3ad7a009");
        let mut resource = observation(AT, "61.5");
        resource["device"] = json!({ "reference": own["fullUrl"] });
        let all = vec![own, entry("POST", "Observation", Some(resource))];
        let answer = send(&server, "batch", all).await.json();
        for entry in entries(&answer) {
            let status = entry["response"]["status"].as_str().unwrap().to_owned();
            assert!(status.starts_with("422"), "{name}: {answer}");
        }
    }
    let mut resource = observation(AT, "61.5");
    let system = "https://kenko-fhir.example/fhir/sid/device";
    resource["device"] =
        json!({ "identifier": identifier(system, &format!("ACME:WS-100:{long}")) });
    let answer = post(&server, &resource).await;
    refused(&answer, "digits", "Observation.device.identifier.value");
    // So it is with the number of a laboratory.
    let system = "https://kenko-fhir.example/fhir/sid/consortium/A00001/test-lab";
    let performer = json!([{ "identifier": identifier(system, &"1".repeat(13)) }]);
    let answer = post(&server, &hba1c(performer)).await;
    refused(
        &answer,
        "digits",
        "Observation.performer[0].identifier.value",
    );
}

#[tokio::test]
async fn a_second_laboratory_is_kept_and_written_back() {
    let server = Server::with_example().await;
    let both = json!([
        { "reference": laboratory("000000000001") }, { "reference": laboratory("000000000002") } ]);
    let created = server.create(&hba1c(both.clone())).await;
    assert_eq!(created["performer"], both);
    let path = format!("/Observation/{}", created["id"].as_str().unwrap());
    let again = server.write("PUT", &path, &[], &created).await;
    assert_eq!(
        (again.status.as_u16(), again.header("etag")),
        (200, "W/\"1\""),
        "{}",
        again.text
    );
    assert_eq!(server.found(&path).await["performer"], both);
}

#[tokio::test]
async fn references_of_ours_to_nothing_are_refused_in_every_type() {
    let server = Server::with_example().await;
    let nobody = id::consortium("Z99999");
    let patient_of = json!({
        "resourceType": "Patient", "identifier": [identifier(PERSON_SID, "P9")],
        "gender": "male", "birthDate": "1961-04",
        "managingOrganization": { "reference": format!("Organization/{nobody}") },
    });
    let device = json!({
        "resourceType": "Device", "manufacturer": "ACME", "modelNumber": "WS-100",
        "serialNumber": "S9", "definition": { "reference": format!("DeviceDefinition/{nobody}") },
    });
    let subject = json!({
        "resourceType": "ResearchSubject", "status": "on-study",
        "study": { "reference": format!("ResearchStudy/{nobody}") },
        "individual": { "reference": patient(SECOND) }, "period": { "start": "2016-09-01" },
    });
    for (resource, at) in [
        (patient_of, "Patient.managingOrganization.reference"),
        (device, "Device.definition.reference"),
        (subject, "ResearchSubject.study.reference"),
    ] {
        refused(&post(&server, &resource).await, "record-inconsistent", at);
        let name = resource["resourceType"].as_str().unwrap().to_owned();
        let all = vec![entry("POST", &name, Some(resource))];
        let answer = send(&server, "batch", all).await.json();
        let status = entries(&answer)[0]["response"]["status"].clone();
        assert!(status.as_str().unwrap().starts_with("422"), "{answer}");
    }
    let found = server
        .number(&format!("/Patient?identifier={PERSON_SID}|P9"))
        .await;
    assert_eq!(found, 0);
    assert_eq!(server.number("/Device?identifier=ACME:WS-100:S9").await, 0);
}

#[tokio::test]
async fn a_component_of_another_quantity_comes_back_with_a_code() {
    let server = Server::with_example().await;
    let system = "http://hl7.org/fhir/us/physical-activity/CodeSystem/pa-temporary-codes";
    let quantity = |value: u32, unit: &str| json!({ "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit });
    let resource = json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "41950-7" }] },
        "subject": { "reference": patient(PERSON) },
        "device": { "identifier": identifier(
            "https://kenko-fhir.example/fhir/sid/device", "ACME:PA-300:X1") },
        "effectiveDateTime": "2016-10-01", "issued": "2016-10-05T12:00:00.000+09:00",
        "valueQuantity": quantity(8523, "/d"),
        "component": [{
            "code": { "coding": [{ "system": system, "code": "DeviceActivePercentage" }] },
            "valueQuantity": quantity(50, "%"),
        }],
    });
    let created = server.create(&resource).await;
    let path = format!("/Observation/{}", created["id"].as_str().unwrap());
    // It is sound, and the minutes stand in one component with what was written.
    let read = server.found(&path).await;
    let components = read["component"].as_array().unwrap();
    let told: Vec<&Value> = components
        .iter()
        .filter(|c| c.to_string().contains("DeviceActivePercentage"))
        .collect();
    assert_eq!(told.len(), 1, "{read}");
    assert_eq!(told[0]["valueQuantity"]["value"], 720, "{read}");
    for component in components {
        let coding = &component["code"]["coding"][0];
        let token = format!(
            "{}|{}",
            coding["system"].as_str().expect("a code"),
            coding["code"].as_str().unwrap()
        );
        let value = &component["valueQuantity"];
        let query = format!(
            "/Observation?date=2016-10-01&component-code-value-quantity={token}${}",
            value["value"]
        );
        if value.is_object() {
            assert_eq!(server.number(&query).await, 1, "{query}");
        }
    }
}
