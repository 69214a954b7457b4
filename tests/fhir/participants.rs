//! Patients, ResearchSubjects and Devices that are written: entries of the registry.

use kenko_fhir::fhir::id;
use kenko_fhir::registry::{PARTICIPANTS, Row};
use kenko_fhir::store::Access;
use serde_json::{Value, json};

use crate::server::{PERSON, Server, entries, observation};

const NEW: &str = "N0000000000000000001";

fn patient(person: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{
            "system": "https://kenko-fhir.example/fhir/sid/consortium/A00001/person",
            "value": person,
        }, { "system": "urn:oid:1.2.3", "value": format!("h{person}") }],
        "gender": "female",
        "birthDate": "1970-02",
        "address": [{ "use": "home", "state": "愛知県", "country": "JP" }],
    })
}

fn subject(person: &str, start: &str) -> Value {
    json!({
        "resourceType": "ResearchSubject",
        "status": "on-study",
        "period": { "start": start },
        "study": { "reference": format!("ResearchStudy/{}", id::consortium("A00001")) },
        "individual": { "reference": format!("Patient/{}", id::participant("A00001", person)) },
        "assignedArm": "control",
    })
}

async fn row(server: &Server, person: &str) -> Option<Row> {
    let fields = [("consortium_id", "A00001"), ("person_id", person)];
    let access = Access::operator();
    let found = server
        .store
        .registry_where(&access, &PARTICIPANTS, &fields, 1)
        .await;
    found.unwrap().into_iter().next().map(|stored| stored.row)
}

#[tokio::test]
async fn a_patient_is_a_participant_from_the_day_of_receipt_on() {
    let server = Server::with_example().await;
    let headers = [("prefer", "return=OperationOutcome")];
    let answer = server
        .write("POST", "/Patient", &headers, &patient(NEW))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let issue = answer.json()["issue"][0].clone();
    assert_eq!(issue["details"]["coding"][0]["code"], "fallback-used");
    let path = format!("/Patient/{}", id::participant("A00001", NEW));
    assert!(
        answer
            .header("location")
            .ends_with(&format!("{path}/_history/1"))
    );
    let row = row(&server, NEW).await.unwrap();
    assert!(!row.provisional);
    assert_eq!(row.text("birth_year_month"), Some("197002"));
    assert_eq!(row.text("sex_code"), Some("2"));
    assert_eq!(row.text("residence_prefecture_code"), Some("23"));
    assert_eq!(
        row.items("external_identifiers"),
        [format!("urn:oid:1.2.3|h{NEW}")]
    );
    let read = server.found(&path).await;
    assert_eq!(read["birthDate"], "1970-02");
    assert_eq!(read["meta"]["versionId"], "1");
    // What was before it took part is not collected.
    let mut early = observation("2016-10-01T07:00:00+09:00", "61.5");
    early["subject"]["reference"] = json!(path[1..]);
    let answer = server.write("POST", "/Observation", &[], &early).await;
    assert_eq!(answer.status, 422);
    // A ResearchSubject moves it.
    let sent = subject(NEW, "2016-09-01");
    let answer = server.write("POST", "/ResearchSubject", &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["period"]["start"], "2016-09-01");
    assert_eq!(answer.json()["assignedArm"], "control");
    let answer = server.write("POST", "/Observation", &[], &early).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn a_patient_that_exists_is_409_or_found_by_if_none_exist() {
    let server = Server::with_example().await;
    server.create(&patient(NEW)).await;
    let answer = server.write("POST", "/Patient", &[], &patient(NEW)).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()["issue"][0]["code"], "duplicate");
    let condition = [(
        "if-none-exist",
        "identifier=urn:oid:1.2.3%7ChN0000000000000000001",
    )];
    let answer = server
        .write("POST", "/Patient", &condition, &patient(NEW))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["id"], id::participant("A00001", NEW));
    assert_eq!(answer.header("etag"), "W/\"1\"");
    let both = [PERSON, NEW].map(|person| id::participant("A00001", person));
    let both = format!("_id={}", both.join(","));
    let several = [("if-none-exist", both.as_str())];
    let answer = server
        .write("POST", "/Patient", &several, &patient("X"))
        .await;
    assert_eq!(answer.status, 412);
}

#[tokio::test]
async fn what_a_patient_lacks_is_told_with_its_place() {
    let server = Server::with_example().await;
    let with = |name: &str, value: Value| {
        let mut out = patient(NEW);
        out[name] = value;
        out
    };
    let without = |name: &str| {
        let mut out = patient(NEW);
        out.as_object_mut().unwrap().remove(name);
        out
    };
    let person = |consortium: &str, value: &str| {
        json!([{ "value": value,
            "system": format!("https://kenko-fhir.example/fhir/sid/consortium/{consortium}/person") }])
    };
    let taken = server.create(&patient("N2")).await;
    for (sent, status, code, expression) in [
        (
            without("identifier"),
            422,
            "participant-unknown",
            "Patient.identifier",
        ),
        (
            without("birthDate"),
            422,
            "required-missing",
            "Patient.birthDate",
        ),
        (without("gender"), 422, "required-missing", "Patient.gender"),
        (
            with("birthDate", json!("1970")),
            422,
            "time-precision",
            "Patient.birthDate",
        ),
        (
            with("birthDate", json!("1970-13")),
            400,
            "time-invalid",
            "Patient.birthDate",
        ),
        (
            with("gender", json!("m")),
            400,
            "code-unknown",
            "Patient.gender",
        ),
        (
            with("active", json!(false)),
            422,
            "modifier",
            "Patient.active",
        ),
        (
            with("nonsense", json!(1)),
            400,
            "unknown-field",
            "Patient.nonsense",
        ),
        (
            with("identifier", person("Z00009", NEW)),
            422,
            "consortium-unknown",
            "Patient.identifier",
        ),
        (
            with("identifier", person("A00001", "has space")),
            422,
            "participant-unknown",
            "Patient.identifier[0]",
        ),
        (
            with("identifier", {
                let mut two = person("A00001", NEW);
                two.as_array_mut()
                    .unwrap()
                    .push(taken["identifier"][1].clone());
                two
            }),
            422,
            "duplicate-identity",
            "Patient.identifier",
        ),
    ] {
        let answer = server.write("POST", "/Patient", &[], &sent).await;
        assert_eq!(answer.status, status, "{expression}: {}", answer.text);
        let issue = answer.json()["issue"][0].clone();
        answer.issue();
        assert_eq!(issue["details"]["coding"][0]["code"], code, "{issue}");
        assert_eq!(issue["expression"][0], expression, "{issue}");
    }
    assert!(row(&server, NEW).await.is_none());
}

#[tokio::test]
async fn what_the_registry_has_no_place_for_is_told() {
    let server = Server::with_example().await;
    let mut sent = patient(NEW);
    sent["birthDate"] = json!("1970-02-03");
    sent["name"] = json!([{ "text": "健康 花子" }]);
    let headers = [("prefer", "return=OperationOutcome")];
    let answer = server.write("POST", "/Patient", &headers, &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let told = answer.text;
    for expression in ["\"Patient.name\"", "\"Patient.birthDate\""] {
        assert!(told.contains(expression), "{told}");
    }
}

#[tokio::test]
async fn a_patient_is_updated_patched_and_keeps_its_versions() {
    let server = Server::with_example().await;
    let id = id::participant("A00001", NEW);
    let path = format!("/Patient/{id}");
    let mut sent = patient(NEW);
    sent["id"] = json!("other");
    let other = server.write("PUT", "/Patient/other", &[], &sent).await;
    assert_eq!(other.status, 422, "{}", other.text);
    assert!(other.text.contains(&id));
    sent["id"] = json!(id);
    let answer = server
        .write("PUT", &path, &[("if-match", "*")], &sent)
        .await;
    assert_eq!(answer.status, 412);
    let answer = server.write("PUT", &path, &[], &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let first = server.found(&path).await;
    for (month, status, etag) in [("1970-02", 200, "W/\"1\""), ("1970-03", 200, "W/\"2\"")] {
        sent["birthDate"] = json!(month);
        let answer = server.write("PUT", &path, &[], &sent).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.header("etag"), etag);
    }
    let stale = [("if-match", "W/\"1\"")];
    sent["gender"] = json!("unknown");
    assert_eq!(server.write("PUT", &path, &stale, &sent).await.status, 412);
    let media = ("content-type", "application/json-patch+json");
    let patch = r#"[{"op":"replace","path":"/birthDate","value":"1970-04"}]"#;
    let answer = server.send("PATCH", &path, &[media], patch).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["birthDate"], "1970-04");
    assert_eq!(server.found(&format!("{path}/_history/1")).await, first);
    let history = server.found(&format!("{path}/_history")).await;
    assert_eq!(history["total"], 3);
    let months: Vec<_> = entries(&history)
        .iter()
        .map(|e| e["resource"]["birthDate"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(months, ["1970-04", "1970-03", "1970-02"]);
    let page = server.found(&format!("{path}/_history?_count=2")).await;
    let next = crate::server::link(&page, "next").unwrap();
    let page = server.found(&next).await;
    assert_eq!(entries(&page).len(), 1);
    // The study arm and what else a ResearchSubject says stay as they are.
    let row = row(&server, NEW).await.unwrap();
    assert!(row.text("participation_start_date").is_some());
}

#[tokio::test]
async fn a_change_of_the_registry_is_a_version_too() {
    let server = Server::with_example().await;
    let path = format!("/Patient/{}", id::participant("A00001", PERSON));
    let before = server.found(&path).await;
    let mut changed = row(&server, PERSON).await.unwrap();
    changed.put("residence_prefecture_code", "13").unwrap();
    let done = server
        .store
        .change_registry(&PARTICIPANTS, &[changed], false)
        .await;
    done.unwrap().unwrap();
    assert_eq!(server.found(&path).await["meta"]["versionId"], "2");
    assert_eq!(server.found(&format!("{path}/_history/1")).await, before);
}

#[tokio::test]
async fn c1_1_a_patient_without_records_is_deleted_and_one_with_records_is_not() {
    let server = Server::with_example().await;
    let with_records = format!("/Patient/{}", id::participant("A00001", PERSON));
    let answer = server.send("DELETE", &with_records, &[], "").await;
    assert_eq!(answer.status, 409);
    answer.issue();
    let made = server.create(&patient(NEW)).await;
    let path = format!("/Patient/{}", made["id"].as_str().unwrap());
    let stale = [("if-match", "W/\"2\"")];
    assert_eq!(server.send("DELETE", &path, &stale, "").await.status, 412);
    for _ in 0..2 {
        assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    }
    assert_eq!(server.get(&path).await.status, 410);
    assert_eq!(server.get(&format!("{path}/_history/2")).await.status, 410);
    assert_eq!(server.found(&format!("{path}/_history/1")).await, made);
    let subject = path.replace("Patient", "ResearchSubject");
    assert_eq!(server.get(&subject).await.status, 410);
    assert!(row(&server, NEW).await.is_none());
    assert_eq!(
        server.number(&format!("/Patient?_id={}", &path[9..])).await,
        0
    );
    let history = server.found(&format!("{path}/_history")).await;
    assert_eq!(history["entry"][0]["request"]["method"], "DELETE");
    let again = server.create(&patient(NEW)).await;
    assert_eq!(again["meta"]["versionId"], "3");
}

#[tokio::test]
async fn a_research_subject_changes_the_participation() {
    let server = Server::with_example().await;
    let id = id::participant("A00001", PERSON);
    let path = format!("/ResearchSubject/{id}");
    let mut sent = server.found(&path).await;
    sent["status"] = json!("off-study");
    sent["period"]["end"] = json!("2017-03-31");
    let answer = server.write("PUT", &path, &[], &sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let stored = row(&server, PERSON).await.unwrap();
    assert_eq!(stored.text("participation_end_date"), Some("20170331"));
    assert!(stored.text("birth_year_month").is_some());
    assert_eq!(server.found(&path).await["status"], "off-study");
    assert_eq!(
        server.found(&format!("{path}/_history/1")).await["status"],
        "on-study"
    );
    for (change, code, expression) in [
        (
            json!({ "period": { "start": "2016-09-01", "end": "2016-08-31" } }),
            "record-inconsistent",
            "ResearchSubject.period.end",
        ),
        (
            json!({ "status": "on-study", "period": { "start": "2016-09" } }),
            "time-precision",
            "ResearchSubject.period.start",
        ),
        (
            json!({ "individual": { "reference": "Patient/unknown" } }),
            "participant-unknown",
            "ResearchSubject.individual",
        ),
        (
            json!({ "assignedArm": "placebo" }),
            "code-unknown",
            "ResearchSubject.assignedArm",
        ),
        (
            json!({ "status": "candidate" }),
            "status-not-final",
            "ResearchSubject.status",
        ),
    ] {
        let mut sent = sent.clone();
        for (name, value) in change.as_object().unwrap() {
            sent[name] = value.clone();
        }
        let answer = server.write("PUT", &path, &[], &sent).await;
        assert_eq!(answer.status, 422, "{expression}: {}", answer.text);
        let issue = answer.json()["issue"][0].clone();
        assert_eq!(issue["details"]["coding"][0]["code"], code, "{issue}");
        assert_eq!(issue["expression"][0], expression, "{issue}");
    }
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 405);
}

#[tokio::test]
async fn a_device_is_known_before_its_records_come() {
    let server = Server::with_example().await;
    let sent = json!({
        "resourceType": "Device",
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "NEW1",
        "note": [{ "text": "in the hall" }],
    });
    let answer = server.write("POST", "/Device", &[], &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert!(answer.header("warning").contains("Device.note"));
    let made = answer.json();
    let own = id::device("ACME", "WS-100", "NEW1");
    assert_eq!(made["id"], own.as_str());
    let path = format!("/Device/{own}");
    assert_eq!(server.found(&path).await, made);
    assert_eq!(
        server.write("POST", "/Device", &[], &sent).await.status,
        200
    );
    let mut body = made.clone();
    assert_eq!(server.write("PUT", &path, &[], &body).await.status, 200);
    body["serialNumber"] = json!("NEW2");
    body.as_object_mut().unwrap().remove("identifier");
    let answer = server.write("PUT", &path, &[], &body).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    body["id"] = json!(id::device("ACME", "WS-100", "NEW2"));
    let path = format!("/Device/{}", id::device("ACME", "WS-100", "NEW2"));
    assert_eq!(server.write("PUT", &path, &[], &body).await.status, 201);
    let answer = server
        .write(
            "POST",
            "/Device",
            &[],
            &json!({ "resourceType": "Device", "manufacturer": "ACME" }),
        )
        .await;
    assert_eq!(answer.status, 422);
    let issue = answer.json()["issue"][0].clone();
    assert_eq!(issue["details"]["coding"][0]["code"], "device-unidentified");
}
