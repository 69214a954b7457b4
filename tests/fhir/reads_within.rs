//! What a transaction reads, and what its conditions find while others write
//! (<https://hl7.org/fhir/R4/http.html#transaction>).

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{Answer, PERSON, PERSON_SID, Server, entries, entry, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";
/// What finds the record of [`AT`].
const IT: &str = "date=2016-10-01T07:00:00%2B09:00&code=29463-7";

async fn send(server: &Server, bundle_type: &str, entries: Vec<Value>) -> Answer {
    let bundle = json!({ "resourceType": "Bundle", "type": bundle_type, "entry": entries });
    server.write("POST", "", &[], &bundle).await
}

fn statuses(answer: &Answer) -> Vec<u16> {
    let all = entries(&answer.json());
    let status = |e: &Value| e["response"]["status"].as_str().unwrap()[..3].parse();
    all.iter().map(|e| status(e).unwrap()).collect()
}

/// The number of a status line, or of the one entry of what is answered.
fn status(answer: &Answer) -> u16 {
    match answer.status.as_u16() {
        200 => statuses(answer)[0],
        other => other,
    }
}

#[tokio::test]
async fn c1_38_a_read_that_finds_nothing_fails_a_transaction() {
    let server = Server::with_example().await;
    let new = || entry("POST", "Observation", Some(observation(AT, "61.5")));
    let gone = server
        .id("/Observation?code=29463-7&date=2016-09-01T07:30:15")
        .await;
    let path = format!("Observation/{gone}");
    server.send("DELETE", &format!("/{path}"), &[], "").await;
    for (url, status) in [
        ("Observation/unknown", 404),
        (path.as_str(), 410),
        ("Patient/unknown/$everything", 404),
        ("Patient/unknown/Observation?code=29463-7", 404),
        ("Medication/1", 404),
        ("Observation?date=yesterday", 400),
    ] {
        for with in [vec![], vec![new()]] {
            let mut all = with.clone();
            all.push(entry("GET", url, None));
            let answer = send(&server, "transaction", all).await;
            assert_eq!(answer.status, status, "{url}: {}", answer.text);
            answer.issue();
            let place = answer.json()["issue"][0]["expression"][0].clone();
            assert_eq!(place, format!("Bundle.entry[{}]", with.len()), "{url}");
        }
        // Each entry of a batch has its own.
        let answer = send(&server, "batch", vec![entry("GET", url, None)]).await;
        assert_eq!(statuses(&answer), [status]);
    }
    assert_eq!(server.number(&format!("/Observation?{IT}")).await, 0);
}

#[tokio::test]
async fn c1_38_what_a_transaction_writes_it_reads() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.5")).await;
    let own = format!("Observation/{}", made["id"].as_str().unwrap());
    server.send("DELETE", &format!("/{own}"), &[], "").await;
    let mut newer = observation(AT, "62.5");
    newer["issued"] = json!("2017-10-06T12:00:00.000+09:00");
    let device = json!({
        "resourceType": "Device",
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "TX1",
    });
    let patient = json!({
        "resourceType": "Patient", "gender": "male", "birthDate": "1961-04",
        "identifier": [{ "system": PERSON_SID, "value": "X1" }],
    });
    let person = id::participant("A00001", "X1");
    let sent = vec![
        entry("GET", &own, None),
        entry("GET", &format!("Patient/{person}"), None),
        entry("GET", &format!("ResearchSubject/{person}"), None),
        entry(
            "HEAD",
            &format!("Device/{}", id::device("ACME", "WS-100", "TX1")),
            None,
        ),
        entry("POST", "Observation", Some(newer)),
        entry("POST", "Patient", Some(patient)),
        entry("POST", "Device", Some(device)),
    ];
    let answer = send(&server, "transaction", sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(statuses(&answer), [200, 200, 200, 200, 201, 201, 201]);
    let all = entries(&answer.json());
    assert_eq!(
        all[0]["resource"]["valueQuantity"]["value"].to_string(),
        "62.5"
    );
    // What it deletes it does not read, wherever the entries stand.
    for order in [[0, 1], [1, 0]] {
        let both = [entry("GET", &own, None), entry("DELETE", &own, None)];
        let both = order.map(|n: usize| both[n].clone()).to_vec();
        let answer = send(&server, "transaction", both).await;
        assert_eq!(answer.status, 410, "{}", answer.text);
    }
    server.found(&format!("/{own}")).await;
}

#[tokio::test]
async fn c1_38_a_conditional_reference_leads_to_one() {
    let server = Server::with_example().await;
    let several = format!(
        "Patient?_id={},{}",
        id::participant("A00001", PERSON),
        id::participant("A00001", "P0000000000000000002")
    );
    let nobody = format!("Patient?identifier={PERSON_SID}%7Cnobody");
    let study = json!({ "reference": format!("ResearchStudy/{}", id::consortium("A00001")) });
    for (reference, status, code) in [
        (several.as_str(), 412, "multiple-matches"),
        (&nobody, 422, "not-found"),
        ("Patient?birthdate=x", 400, "invalid"),
    ] {
        let mut weight = observation(AT, "61.5");
        weight["subject"]["reference"] = json!(reference);
        let subject = json!({
            "resourceType": "ResearchSubject", "status": "on-study", "study": study,
            "period": { "start": "2016-09-01" }, "individual": { "reference": reference },
        });
        for (sent, element) in [(weight, "subject"), (subject, "individual")] {
            let ty = sent["resourceType"].as_str().unwrap();
            let known = entry("POST", "Observation", Some(observation(AT, "61.5")));
            let wrong = entry("POST", ty, Some(sent.clone()));
            let answer = send(&server, "transaction", vec![known.clone(), wrong.clone()]).await;
            assert_eq!(answer.status, status, "{reference}: {}", answer.text);
            answer.issue();
            let issue = answer.json()["issue"][0].clone();
            assert_eq!(issue["code"], code, "{issue}");
            let place = format!("Bundle.entry[1].resource.{element}");
            assert_eq!(issue["expression"][0], place.as_str(), "{issue}");
            let answer = send(&server, "batch", vec![wrong, known]).await;
            assert_eq!(statuses(&answer)[0], status, "{}", answer.text);
            assert!(matches!(statuses(&answer)[1], 200 | 201));
        }
    }
}

#[tokio::test]
async fn c1_07_parallel_conditional_creates_in_bundles_leave_one() {
    for bundle_type in ["batch", "transaction"] {
        let server = Server::with_example().await;
        // Each by another scale and of another value: different records, of which the
        // condition allows one.
        let all = (0..8).map(|n| {
            let mut sent = observation(AT, &format!("6{n}.5"));
            let serial = format!("TX{n}");
            sent["device"] = json!({ "reference": "#d" });
            sent["contained"] = json!([{
                "resourceType": "Device", "id": "d", "manufacturer": "ACME",
                "modelNumber": "WS-100", "serialNumber": serial,
            }]);
            let mut create = entry("POST", "Observation", Some(sent));
            create["request"]["ifNoneExist"] = json!(IT);
            send(&server, bundle_type, vec![create])
        });
        let answers = futures_util::future::join_all(all).await;
        let mut got: Vec<u16> = answers.iter().map(status).collect();
        got.sort_unstable();
        assert_eq!(
            got,
            [200, 200, 200, 200, 200, 200, 200, 201],
            "{bundle_type}"
        );
        let found = server.matches(&format!("/Observation?{IT}")).await;
        assert_eq!(found.len(), 1, "{bundle_type}");
        assert_eq!(found[0]["meta"]["versionId"], "1");
    }
}

#[tokio::test]
async fn c1_07_parallel_conditional_creates_do_not_change_what_came_first() {
    let server = Server::with_example().await;
    // The same record, sent with ever newer times: as a resend each would win.
    let headers = [("if-none-exist", IT)];
    let all = (0..8).map(|n| {
        let mut sent = observation(AT, &format!("6{n}.5"));
        sent["issued"] = json!(format!("2016-10-0{}T12:00:00.000+09:00", n + 1));
        let server = &server;
        async move { server.write("POST", "/Observation", &headers, &sent).await }
    });
    let answers = futures_util::future::join_all(all).await;
    let created = answers.iter().filter(|a| a.status == 201).count();
    assert_eq!(created, 1);
    assert!(
        answers
            .iter()
            .all(|a| matches!(a.status.as_u16(), 200 | 201))
    );
    let found = server.matches(&format!("/Observation?{IT}")).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["meta"]["versionId"], "1");
}

#[tokio::test]
async fn c1_08_parallel_conditional_updates_leave_one() {
    let server = Server::with_example().await;
    let all = (0..6).map(|n| {
        let mut sent = observation(AT, &format!("6{n}.5"));
        sent["device"] = json!({ "reference": "#d" });
        sent["contained"] = json!([{
            "resourceType": "Device", "id": "d", "manufacturer": "ACME",
            "modelNumber": "WS-100", "serialNumber": "TX1",
        }]);
        let update = entry("PUT", &format!("Observation?{IT}"), Some(sent));
        send(&server, "transaction", vec![update])
    });
    let answers = futures_util::future::join_all(all).await;
    let mut got: Vec<u16> = answers.iter().map(status).collect();
    got.sort_unstable();
    assert_eq!(got, [200, 200, 200, 200, 200, 201]);
    assert_eq!(server.number(&format!("/Observation?{IT}")).await, 1);
}
