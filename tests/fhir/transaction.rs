//! batch and transaction: <https://hl7.org/fhir/R4/http.html#transaction>.

use kenko_fhir::exchange;
use kenko_fhir::fhir::{base64, bundle, check, id};
use kenko_fhir::http::Settings;
use kenko_fhir::kind::Edition;
use kenko_fhir::registry::{PARTICIPANTS, Registries, Row};
use kenko_fhir::store::Access;
use serde_json::{Value, json};

use crate::server::{Answer, PERSON, PERSON_SID, Server, entries, entry, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";

fn requests(bundle_type: &str, entries: Vec<Value>) -> Value {
    json!({ "resourceType": "Bundle", "type": bundle_type, "entry": entries })
}

async fn send(server: &Server, bundle: &Value) -> Answer {
    server.write("POST", "", &[], bundle).await
}

/// The statuses of the entries of what must be an answer.
async fn statuses(server: &Server, bundle: &Value) -> Vec<String> {
    let answer = send(server, bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(check::check(&answer), Ok(()), "{answer}");
    assert_eq!(
        answer["type"],
        format!("{}-response", bundle["type"].as_str().unwrap())
    );
    entries(&answer)
        .iter()
        .map(|e| e["response"]["status"].as_str().unwrap()[..3].to_owned())
        .collect()
}

fn patient(person: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [{ "system": PERSON_SID, "value": person }],
        "gender": "male",
        "birthDate": "1961-04",
    })
}

#[tokio::test]
async fn c1_38_a_batch_answers_each_entry_by_itself_and_in_order() {
    let server = Server::with_example().await;
    let mut bad = observation(AT, "61.5");
    bad["status"] = json!("preliminary");
    let bundle = requests(
        "batch",
        vec![
            entry("GET", "Observation?code=29463-7&date=2016-10-01", None),
            entry("POST", "Observation", Some(bad)),
            entry("POST", "Observation", Some(observation(AT, "61.5"))),
            entry("GET", "Observation/unknown", None),
            entry(
                "POST",
                "Medication",
                Some(json!({ "resourceType": "Medication" })),
            ),
            entry("DELETE", "Organization/x", None),
            entry("DELETE", "Observation/absent", None),
            json!({ "resource": observation(AT, "61.5") }),
            entry("POST", "Observation", Some(patient("X1"))),
        ],
    );
    let answer = send(&server, &bundle).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(check::check(&answer), Ok(()), "{answer}");
    assert_eq!(answer["type"], "batch-response");
    let all = entries(&answer);
    let got: Vec<&str> = all
        .iter()
        .map(|e| &e["response"]["status"].as_str().unwrap()[..3])
        .collect();
    assert_eq!(
        got,
        [
            "200", "422", "201", "404", "404", "405", "204", "400", "400"
        ]
    );
    // What is read is read after what is written.
    assert_eq!(all[0]["resource"]["entry"].as_array().unwrap().len(), 1);
    assert_eq!(
        all[1]["response"]["outcome"]["issue"][0]["expression"][0],
        "Bundle.entry[1].resource.status"
    );
    assert_eq!(all[2]["response"]["etag"], "W/\"1\"");
    assert!(all[2]["response"]["lastModified"].is_string());
    let location = all[2]["response"]["location"].as_str().unwrap();
    let path = location.strip_prefix("http://h.example/fhir").unwrap();
    server.found(path).await;
    for failed in [1, 3, 4, 5, 7, 8] {
        let outcome = &all[failed]["response"]["outcome"];
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{failed}");
    }
}

#[tokio::test]
async fn c1_38_a_transaction_is_all_or_nothing() {
    let server = Server::with_example().await;
    let before = server.found("/Observation?_summary=count").await["total"].clone();
    let later = observation("2016-10-02T07:00:00+09:00", "61.5");
    let mut bad = observation(AT, "61.5");
    bad["valueQuantity"]["code"] = json!("stone");
    let bundle = requests(
        "transaction",
        vec![
            entry("POST", "Observation", Some(later.clone())),
            entry("POST", "Patient", Some(patient("X1"))),
            entry("GET", "Observation", None),
            entry("POST", "Observation", Some(bad)),
        ],
    );
    let answer = send(&server, &bundle).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    answer.issue();
    let issue = answer.json()["issue"][0].clone();
    let place = issue["expression"][0].as_str().unwrap();
    assert!(place.starts_with("Bundle.entry[3].resource"), "{issue}");
    let after = server.found("/Observation?_summary=count").await["total"].clone();
    assert_eq!(before, after);
    let id = id::participant("A00001", "X1");
    assert_eq!(server.get(&format!("/Patient/{id}")).await.status, 404);
    // Conflicts and conditions fail it as well.
    let made = server.create(&observation(AT, "61.5")).await;
    let path = format!("Observation/{}", made["id"].as_str().unwrap());
    let mut conflict = observation(AT, "62.5");
    conflict["issued"] = made["issued"].clone();
    let mut stale = entry("PUT", &path, Some(made.clone()));
    stale["request"]["ifMatch"] = json!("W/\"2\"");
    let mut malformed = stale.clone();
    malformed["request"]["ifMatch"] = json!("2");
    let mut several = entry("POST", "Observation", Some(observation(AT, "62.5")));
    several["request"]["ifNoneExist"] = json!("code=29463-7");
    for (second, status) in [
        (entry("POST", "Observation", Some(conflict)), 409),
        (stale, 412),
        (malformed, 400),
        (several, 412),
        (entry("DELETE", "Organization/x", None), 405),
        (
            entry(
                "DELETE",
                &format!("Patient/{}", id::participant("A00001", PERSON)),
                None,
            ),
            409,
        ),
    ] {
        let first = entry("POST", "Observation", Some(later.clone()));
        let answer = send(
            &server,
            &requests("transaction", vec![first, second.clone()]),
        )
        .await;
        assert_eq!(answer.status, status, "{second}: {}", answer.text);
        let issue = answer.json()["issue"][0].clone();
        let place = issue["expression"][0].as_str().unwrap();
        assert!(place.starts_with("Bundle.entry[1]"), "{issue}");
        assert_eq!(
            server
                .number("/Observation?date=2016-10-02&code=29463-7")
                .await,
            0
        );
    }
}

#[tokio::test]
async fn c1_38_the_same_target_twice_fails_a_transaction() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.5")).await;
    let path = format!("Observation/{}", made["id"].as_str().unwrap());
    for second in [
        entry("PUT", &path, Some(made.clone())),
        entry("DELETE", &path, None),
        entry("POST", "Observation", Some(observation(AT, "61.5"))),
    ] {
        let first = entry("PUT", &path, Some(made.clone()));
        let answer = send(
            &server,
            &requests("transaction", vec![first, second.clone()]),
        )
        .await;
        assert_eq!(answer.status, 400, "{second}: {}", answer.text);
        assert_eq!(answer.json()["issue"][0]["code"], "duplicate");
    }
    let twice = vec![
        entry("POST", "Patient", Some(patient("X1"))),
        entry("POST", "Patient", Some(patient("X1"))),
    ];
    assert_eq!(
        send(&server, &requests("transaction", twice)).await.status,
        400
    );
}

#[tokio::test]
async fn c1_38_references_within_a_transaction_are_resolved_in_any_order() {
    let server = Server::with_example().await;
    let person = "X0000000000000000001";
    let mut weight = observation(AT, "61.5");
    weight["subject"]["reference"] = json!("urn:uuid:3c7bf6a2-1111-4d3b-8a8e-000000000001");
    weight["device"]["reference"] = json!("urn:uuid:3c7bf6a2-1111-4d3b-8a8e-000000000002");
    let device = json!({
        "resourceType": "Device",
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "TX1",
    });
    let subject = json!({
        "resourceType": "ResearchSubject",
        "status": "on-study",
        "period": { "start": "2016-09-01" },
        "study": { "reference": format!("ResearchStudy/{}", id::consortium("A00001")) },
        "individual": { "reference": "urn:uuid:3c7bf6a2-1111-4d3b-8a8e-000000000001" },
    });
    let mut all = vec![
        entry("GET", "Observation?date=2016-10-01&code=29463-7", None),
        entry("POST", "Observation", Some(weight)),
        entry("POST", "ResearchSubject", Some(subject)),
        entry("POST", "Device", Some(device)),
        entry("POST", "Patient", Some(patient(person))),
    ];
    all[4]["fullUrl"] = json!("urn:uuid:3c7bf6a2-1111-4d3b-8a8e-000000000001");
    all[3]["fullUrl"] = json!("urn:uuid:3c7bf6a2-1111-4d3b-8a8e-000000000002");
    let bundle = requests("transaction", all);
    let got = statuses(&server, &bundle).await;
    assert_eq!(got, ["200", "201", "201", "201", "201"]);
    let found = server
        .matches("/Observation?date=2016-10-01&code=29463-7")
        .await;
    let patient = format!("Patient/{}", id::participant("A00001", person));
    assert_eq!(found[0]["subject"]["reference"], patient.as_str());
    // The participant is as the registry would have made it.
    let fields = [("consortium_id", "A00001"), ("person_id", person)];
    let access = Access::operator();
    let stored = server
        .store
        .registry_where(&access, &PARTICIPANTS, &fields, 1)
        .await;
    let mut expected = Row::new(&PARTICIPANTS);
    for (field, text) in [
        ("consortium_id", "A00001"),
        ("person_id", person),
        ("birth_year_month", "196104"),
        ("sex_code", "1"),
        ("participation_start_date", "20160901"),
    ] {
        expected.put(field, text).unwrap();
    }
    assert_eq!(stored.unwrap()[0].row, expected);
}

#[tokio::test]
async fn c1_38_conditional_references_are_resolved() {
    let server = Server::with_example().await;
    let with = |reference: String| {
        let mut out = observation(AT, "61.5");
        out["subject"]["reference"] = json!(reference);
        requests("transaction", vec![entry("POST", "Observation", Some(out))])
    };
    let by = |value: &str| format!("Patient?identifier={PERSON_SID}%7C{value}");
    let answer = send(&server, &with(by("nobody"))).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    let several = format!(
        "Patient?_id={},{}",
        id::participant("A00001", PERSON),
        id::participant("A00001", "P0000000000000000002")
    );
    assert_eq!(send(&server, &with(several)).await.status, 412);
    assert_eq!(statuses(&server, &with(by(PERSON))).await, ["201"]);
    let found = server
        .matches("/Observation?date=2016-10-01&code=29463-7")
        .await;
    let patient = format!("Patient/{}", id::participant("A00001", PERSON));
    assert_eq!(found[0]["subject"]["reference"], patient.as_str());
}

#[tokio::test]
async fn conditional_interactions_work_in_a_transaction() {
    let server = Server::with_example().await;
    let search = "Observation?date=2016-10-01T07:00:00%2B09:00&code=29463-7";
    let put = |value: &str, issued: &str| {
        let mut out = observation(AT, value);
        out["issued"] = json!(issued);
        requests("transaction", vec![entry("PUT", search, Some(out))])
    };
    assert_eq!(
        statuses(&server, &put("61.5", "2016-10-05T12:00:00+09:00")).await,
        ["201"]
    );
    assert_eq!(
        statuses(&server, &put("62.5", "2016-10-06T12:00:00+09:00")).await,
        ["200"]
    );
    let mut create = entry("POST", "Observation", Some(observation(AT, "63.5")));
    create["request"]["ifNoneExist"] = json!(search);
    assert_eq!(
        statuses(&server, &requests("transaction", vec![create])).await,
        ["200"]
    );
    let patch = r#"[{"op":"replace","path":"/valueQuantity/value","value":64.5}]"#;
    let binary = json!({
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64::encode(patch.as_bytes()),
    });
    let mut patched = entry("PATCH", search, Some(binary));
    patched["request"]["ifMatch"] = json!("W/\"2\"");
    let bundle = requests("transaction", vec![patched]);
    assert_eq!(statuses(&server, &bundle).await, ["200"]);
    assert_eq!(send(&server, &bundle).await.status, 412);
    let found = server.matches(&format!("/{search}")).await;
    assert_eq!(found[0]["valueQuantity"]["value"].to_string(), "64.5");
    assert_eq!(found[0]["meta"]["versionId"], "3");
    let delete = requests("transaction", vec![entry("DELETE", search, None)]);
    assert_eq!(statuses(&server, &delete).await, ["204"]);
    assert_eq!(server.number(&format!("/{search}")).await, 0);
    let other = json!({ "resourceType": "Parameters" });
    let wrong = requests("batch", vec![entry("PATCH", search, Some(other))]);
    assert_eq!(statuses(&server, &wrong).await, ["415"]);
}

#[tokio::test]
async fn a_bundle_that_is_no_list_of_requests_is_400() {
    let server = Server::with_example().await;
    for (body, status) in [
        ("{}".to_owned(), 400),
        ("[]".into(), 400),
        ("{".into(), 400),
        (requests("collection", vec![]).to_string(), 400),
        (
            json!({ "resourceType": "Patient", "type": "batch" }).to_string(),
            400,
        ),
        (requests("batch", vec![]).to_string(), 200),
        (requests("transaction", vec![]).to_string(), 200),
    ] {
        let headers = [("content-type", "application/fhir+json")];
        let answer = server.send("POST", "", &headers, &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        if status == 400 {
            answer.issue();
        }
    }
    let headers = [("content-type", "application/fhir+xml")];
    assert_eq!(server.send("POST", "", &headers, "{}").await.status, 415);
    assert_eq!(server.get("").await.status, 405);
}

#[tokio::test]
async fn more_entries_than_allowed_are_413() {
    let settings = Settings {
        bundle_max: 3,
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let read = || entry("GET", "Patient?_count=1", None);
    let three = requests("batch", vec![read(), read(), read()]);
    assert_eq!(statuses(&server, &three).await, ["200", "200", "200"]);
    let four = requests("batch", vec![read(), read(), read(), read()]);
    let answer = send(&server, &four).await;
    assert_eq!(answer.status, 413);
    assert!(answer.issue().contains("in parts"));
}

#[tokio::test]
async fn prefer_decides_what_the_entries_carry() {
    let server = Server::with_example().await;
    let bundle = |minute: &str| {
        let at = format!("2016-10-01T07:{minute}:00+09:00");
        requests(
            "batch",
            vec![entry("POST", "Observation", Some(observation(&at, "61.5")))],
        )
    };
    for (prefer, minute, resource, outcome) in [
        ("return=minimal", "01", false, false),
        ("return=representation", "02", true, true),
        ("return=OperationOutcome", "03", false, true),
    ] {
        let headers = [("prefer", prefer)];
        let answer = server
            .write("POST", "", &headers, &bundle(minute))
            .await
            .json();
        assert_eq!(check::check(&answer), Ok(()), "{answer}");
        let entry = &answer["entry"][0];
        assert_eq!(entry.get("resource").is_some(), resource, "{entry}");
        assert_eq!(
            entry["response"].get("outcome").is_some(),
            outcome,
            "{entry}"
        );
    }
}

/// What a server exports of a consortium.
async fn exported(server: &Server) -> String {
    let request = axum::http::Request::get("/exchange/records?consortium_id=A00001")
        .header("host", "h.example")
        .body(axum::body::Body::empty())
        .unwrap();
    let mut value = server.call(request).await.json();
    value.as_object_mut().unwrap().remove("send_time");
    value.to_string()
}

#[tokio::test]
async fn a_converted_submission_stores_what_the_submission_stores() {
    let text = std::fs::read_to_string("examples/first.json").unwrap();
    let submitted = Server::empty().await;
    assert_eq!(submitted.submit(&text).await.status, 201);
    let before = exported(&submitted).await;
    for shape in [bundle::Shape::Panel, bundle::Shape::Split] {
        let server = Server::empty().await;
        let kinds = server.store.kinds();
        let read = exchange::read(kinds, exchange::Options::default(), text.as_bytes()).unwrap();
        let options = bundle::Options {
            shape,
            edition: Edition::E2017,
            base_url: "",
            registries: &Registries::new(),
        };
        let fhir = bundle::write_transaction(Vec::new(), kinds, &read, &options).unwrap();
        let fhir: Value = serde_json::from_slice(&fhir).unwrap();
        let got = statuses(&server, &fhir).await;
        assert!(got.iter().all(|s| s == "201" || s == "200"), "{got:?}");
        assert_eq!(exported(&server).await, before, "{shape:?}");
        // Sent again, it changes nothing.
        let got = statuses(&server, &fhir).await;
        assert!(got.iter().all(|s| s == "200"), "{got:?}");
        assert_eq!(exported(&server).await, before);
        let history = server.found("/Observation/_history?_count=1000").await;
        let versions = entries(&history);
        let is_first = |e: &Value| e["resource"]["meta"]["versionId"] == "1";
        assert!(versions.len() > 4 && versions.iter().all(is_first));
    }
}

/// A patch of a batch that replaces the value at a path.
fn replacing(url: &str, path: &str, value: Value) -> Value {
    let patch = json!([{ "op": "replace", "path": path, "value": value }]).to_string();
    let binary = json!({
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64::encode(patch.as_bytes()),
    });
    entry("PATCH", url, Some(binary))
}

#[tokio::test]
async fn entries_of_a_batch_are_done_one_after_another() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.5")).await;
    let url = format!("Observation/{}", made["id"].as_str().unwrap());
    // Two patches of one resource: neither is lost.
    let bundle = requests(
        "batch",
        vec![
            replacing(&url, "/valueQuantity/value", json!(62)),
            replacing(&url, "/status", json!("amended")),
        ],
    );
    assert_eq!(statuses(&server, &bundle).await, ["200", "200"]);
    let now = server.found(&format!("/{url}")).await;
    assert_eq!(now["valueQuantity"]["value"], 62);
    assert_eq!(now["status"], "amended");
    assert_eq!(now["meta"]["versionId"], "3");
    // Updates of one resource, a deletion between them, and a patch of what came before it.
    let with_value = |value: i64| {
        let mut out = made.clone();
        out["valueQuantity"]["value"] = json!(value);
        out["issued"] = json!(format!("2016-10-08T12:00:{value}.000+09:00"));
        out
    };
    let mut late = entry("PUT", &url, Some(with_value(55)));
    late["request"]["ifMatch"] = json!("W/\"4\"");
    let bundle = requests(
        "batch",
        vec![
            entry("PUT", &url, Some(with_value(51))),
            entry("PUT", &url, Some(with_value(52))),
            late,
            entry("DELETE", &url, None),
            entry("PUT", &url, Some(with_value(53))),
            replacing(&url, "/valueQuantity/value", json!(54)),
            entry("GET", &url, None),
        ],
    );
    assert_eq!(
        statuses(&server, &bundle).await,
        ["200", "200", "412", "204", "201", "200", "200"]
    );
    let now = server.found(&format!("/{url}")).await;
    assert_eq!(now["valueQuantity"]["value"], 54);
    assert_eq!(now["meta"]["versionId"], "8");
}

#[tokio::test]
async fn a_new_resource_twice_in_a_batch_is_created_once() {
    let server = Server::with_example().await;
    let mut found = entry("POST", "Patient", Some(patient("X2")));
    found["request"]["ifNoneExist"] = json!(format!("identifier={PERSON_SID}%7CX2"));
    let bundle = requests(
        "batch",
        vec![
            entry("POST", "Patient", Some(patient("X1"))),
            entry("POST", "Patient", Some(patient("X1"))),
            found.clone(),
            found,
            entry("POST", "Observation", Some(observation(AT, "61.5"))),
            entry("POST", "Observation", Some(observation(AT, "61.5"))),
        ],
    );
    assert_eq!(
        statuses(&server, &bundle).await,
        ["201", "409", "201", "200", "201", "200"]
    );
}

#[tokio::test]
async fn a_bundle_has_the_structure_of_r4_around_its_resources() {
    let server = Server::with_example().await;
    let uuid = "urn:uuid:00000000-0000-4000-8000-000000000001";
    let request = r#""request":{"method":"GET","url":"Patient?_count=1"}"#;
    let one = |entry: &str| format!(r#""type":"batch","entry":[{{{request}}},{entry}]"#);
    for (members, expression) in [
        (r#""type":"batch","type":"batch""#.to_owned(), "Bundle.type"),
        (r#""type":"batch","colour":1"#.to_owned(), "Bundle.colour"),
        (r#""type":["batch"]"#.to_owned(), "Bundle.type"),
        (r#""type":"batch","total":"1""#.to_owned(), "Bundle.total"),
        (r#""type":"batch","link":{}"#.to_owned(), "Bundle.link"),
        (r#""type":"batch","link":[]"#.to_owned(), "Bundle.link"),
        (
            r#""type":"batch","meta":{"tag":[{"code":"a","code":"b"}]}"#.to_owned(),
            "Bundle.meta.tag[0].code",
        ),
        (one("1"), "Bundle.entry[1]"),
        (one("[]"), "Bundle.entry[1]"),
        (
            one(&format!(r#"{{{request},"fullURL":"x"}}"#)),
            "Bundle.entry[1].fullURL",
        ),
        (
            one(&format!(r#"{{{request},"fullUrl":7}}"#)),
            "Bundle.entry[1].fullUrl",
        ),
        (
            one(&format!(r#"{{{request},{request}}}"#)),
            "Bundle.entry[1].request",
        ),
        (
            one(r#"{"request":{"method":"GET","method":"GET","url":"Patient"}}"#),
            "Bundle.entry[1].request.method",
        ),
        (
            one(r#"{"request":{"method":"GET","url":"Patient","ifMatches":"x"}}"#),
            "Bundle.entry[1].request.ifMatches",
        ),
        (
            one(r#"{"request":{"method":"GET","url":["Patient"]}}"#),
            "Bundle.entry[1].request.url",
        ),
        (
            one(r#"{"request":[{"method":"GET","url":"Patient"}]}"#),
            "Bundle.entry[1].request",
        ),
        (
            one(&format!(r#"{{{request},"search":{{"modes":"match"}}}}"#)),
            "Bundle.entry[1].search.modes",
        ),
        (
            one(&format!(r#"{{{request},"resource":"x"}}"#)),
            "Bundle.entry[1].resource",
        ),
        (
            one(&format!(r#"{{{request},"fullUrl":"urn:uuid:1"}}"#)),
            "Bundle.entry[1].fullUrl",
        ),
        (
            one(&format!(r#"{{{request},"fullUrl":"urn:uuid:{{}}"}}"#)),
            "Bundle.entry[1].fullUrl",
        ),
        (
            one(&format!(
                r#"{{{request},"fullUrl":"{uuid}"}},{{{request},"fullUrl":"{uuid}"}}"#
            )),
            "Bundle.entry[2].fullUrl",
        ),
    ] {
        let body = format!(r#"{{"resourceType":"Bundle",{members}}}"#);
        let headers = [("content-type", "application/fhir+json")];
        let answer = server.send("POST", "", &headers, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        let told = answer.json();
        assert_eq!(
            told["issue"][0]["expression"][0], expression,
            "{body}: {told}"
        );
        // The same where a Bundle is converted.
        let answer = server.send("POST", "/$to-exchange", &headers, &body).await;
        assert!(answer.status.is_client_error(), "{body}: {}", answer.text);
        assert!(answer.text.contains(expression), "{body}: {}", answer.text);
    }
    // Members that R4 has are taken.
    let extension = r#"[{"url":"http://example.org/x","valueString":"y"}]"#;
    for members in [
        format!(r#""id":"a","language":"ja","type":"batch","_type":{{"extension":{extension}}}"#),
            r#""type":"batch","timestamp":"2025-04-01T00:00:00Z","link":[{"relation":"self","url":"http://example.org"}]"#
            .to_owned(),
        one(&format!(
            r#"{{{request},"id":"e","extension":{extension},"fullUrl":"{uuid}","link":[{{"relation":"a","url":"b"}}]}}"#
        )),
        one(&format!(
            r#"{{"request":{{"method":"GET","url":"Patient?_count=1","_url":{{"extension":{extension}}}}}}}"#
        )),
        one(&format!(
            r#"{{{request},"search":{{"mode":"match","score":0.5}},"response":{{"status":"200"}}}}"#
        )),
        one(&format!(
            r#"{{{request},"fullUrl":"http://example.org/Patient/1"}}"#
        )),
    ] {
        let body = format!(r#"{{"resourceType":"Bundle",{members}}}"#);
        let headers = [("content-type", "application/fhir+json")];
        let answer = server.send("POST", "", &headers, &body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
    }
}
