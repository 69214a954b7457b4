//! The Provenance of writes over FHIR that change no record.

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{PERSON_SID, Server, entries, observation};

fn patient(gender: &str) -> Value {
    json!({
        "resourceType": "Patient", "gender": gender, "birthDate": "1961-04",
        "identifier": [{ "system": PERSON_SID, "value": "X1" }],
    })
}

fn subject(id: &str, start: &str) -> Value {
    json!({
        "resourceType": "ResearchSubject", "id": id, "status": "on-study",
        "period": { "start": start },
        "study": { "reference": format!("ResearchStudy/{}", id::consortium("A00001")) },
        "individual": { "reference": format!("Patient/{id}") },
    })
}

/// Targets and activity of each Provenance that a search finds.
async fn told(server: &Server, query: &str) -> Vec<(Vec<String>, String)> {
    let found = server.matches(&format!("/Provenance?{query}")).await;
    let of = |provenance: &Value| {
        let targets = provenance["target"].as_array().unwrap().iter();
        let targets = targets.map(|t| t["reference"].as_str().unwrap().to_owned());
        let activity = &provenance["activity"]["coding"][0]["code"];
        (targets.collect(), activity.as_str().unwrap().to_owned())
    };
    found.iter().map(of).collect()
}

fn one(target: String, activity: &str) -> (Vec<String>, String) {
    (vec![target], activity.to_owned())
}

#[tokio::test]
async fn writes_of_participants_have_a_provenance() {
    let server = Server::with_example().await;
    let before = server.number("/Provenance").await;
    let made = server.create(&patient("male")).await;
    let id = made["id"].as_str().unwrap();
    let version = |ty: &str, n: u32| format!("{ty}/{id}/_history/{n}");
    let mut changed = made.clone();
    changed["gender"] = json!("female");
    let path = format!("/Patient/{id}");
    assert_eq!(server.write("PUT", &path, &[], &changed).await.status, 200);
    // What changes nothing writes nothing.
    assert_eq!(server.write("PUT", &path, &[], &changed).await.status, 200);
    let patch = r#"[{"op":"replace","path":"/birthDate","value":"1961-05"}]"#;
    let media = [("content-type", "application/json-patch+json")];
    assert_eq!(server.send("PATCH", &path, &media, patch).await.status, 200);
    let moved = subject(id, "2016-09-02");
    let own = format!("/ResearchSubject/{id}");
    assert_eq!(server.write("PUT", &own, &[], &moved).await.status, 200);

    let of_patient = [
        one(version("Patient", 1), "CREATE"),
        one(version("Patient", 2), "UPDATE"),
        one(version("Patient", 3), "UPDATE"),
    ];
    let of_subject = [one(version("ResearchSubject", 4), "UPDATE")];
    for query in [
        format!("target=Patient/{id}"),
        format!("patient={id}"),
        format!("target:Patient.identifier={PERSON_SID}|X1"),
    ] {
        assert_eq!(told(&server, &query).await, of_patient, "{query}");
    }
    let query = format!("target=ResearchSubject/{id}");
    assert_eq!(told(&server, &query).await, of_subject);
    assert_eq!(server.number("/Provenance").await, before + 4);
    for listed in server
        .matches("/Provenance?_sort=-_lastUpdated&_count=4")
        .await
    {
        let agent = &listed["agent"][0];
        let organization = format!("Organization/{}", id::consortium("A00001"));
        assert_eq!(agent["onBehalfOf"]["reference"], organization.as_str());
        let read = server
            .found(&format!("/Provenance/{}", listed["id"].as_str().unwrap()))
            .await;
        assert_eq!(read, listed);
        let target = listed["target"][0]["reference"].as_str().unwrap();
        let version = server.found(&format!("/{target}")).await;
        assert_eq!(version["meta"]["lastUpdated"], listed["recorded"]);
    }
    // It comes with what it is about, and with everything.
    let with = server
        .found(&format!("/Patient?_id={id}&_revinclude=Provenance:target"))
        .await;
    assert_eq!(entries(&with).len(), 1 + 3);
    let with = server
        .found(&format!(
            "/Provenance?patient={id}&_include=Provenance:target"
        ))
        .await;
    assert_eq!(entries(&with).len(), 3 + 1);
    let everything = server.found(&format!("/Patient/{id}/$everything")).await;
    let all = entries(&everything);
    let provenance = all
        .iter()
        .filter(|e| e["resource"]["resourceType"] == "Provenance");
    assert_eq!(provenance.count(), 4);
    assert_eq!(server.number(&format!("/Patient/{id}/Provenance")).await, 3);
    let has = format!("/Patient?_has:Provenance:target:_id={}", "x");
    assert_eq!(server.number(&has).await, 0);

    // One who goes is told of still.
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    let last = server
        .matches("/Provenance?_sort=-_lastUpdated&_count=1")
        .await
        .remove(0);
    assert_eq!(last["activity"]["coding"][0]["code"], "DELETE");
    assert_eq!(
        last["target"][0]["reference"],
        version("Patient", 5).as_str()
    );
    let read = server
        .found(&format!("/Provenance/{}", last["id"].as_str().unwrap()))
        .await;
    assert_eq!(read, last);
    assert_eq!(server.number("/Provenance").await, before + 5);
    let target = last["target"][0]["reference"].as_str().unwrap();
    assert_eq!(server.get(&format!("/{target}")).await.status, 410);
}

#[tokio::test]
async fn a_transaction_has_one_for_each_participant_and_one_for_devices() {
    let server = Server::with_example().await;
    let before = server.number("/Provenance").await;
    let device = json!({
        "resourceType": "Device",
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "TX1",
    });
    let entry = |url: &str, resource: Value| json!({ "request": { "method": "POST", "url": url }, "resource": resource });
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
        entry("Observation", observation("2016-10-01T07:00:00+09:00", "61.5")),
        entry("Patient", patient("male")),
        entry("Device", device),
    ] });
    let answer = server.write("POST", "", &[], &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let device = id::device("ACME", "WS-100", "TX1");
    let person = id::participant("A00001", "X1");
    let of_device = told(&server, &format!("target=Device/{device}")).await;
    assert_eq!(of_device, [one(format!("Device/{device}"), "CREATE")]);
    let of_person = told(&server, &format!("target=Patient/{person}")).await;
    assert_eq!(
        of_person,
        [one(format!("Patient/{person}/_history/1"), "CREATE")]
    );
    assert_eq!(server.number("/Provenance").await, before + 3);
    let found = server
        .matches(&format!("/Provenance?target=Device/{device}"))
        .await;
    let path = format!("/Provenance/{}", found[0]["id"].as_str().unwrap());
    assert_eq!(server.found(&path).await, found[0]);
    assert_eq!(found[0]["agent"][0].get("onBehalfOf"), None);
    let with = server
        .found(&format!(
            "/Device?_id={device}&_revinclude=Provenance:target"
        ))
        .await;
    assert_eq!(entries(&with).len(), 2);
    // A batch that failed left none.
    let wrong = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
        entry("Patient", json!({ "resourceType": "Patient" })),
    ] });
    assert_eq!(server.write("POST", "", &[], &wrong).await.status, 422);
    assert_eq!(server.number("/Provenance").await, before + 3);
}
