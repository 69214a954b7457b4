//! Conditional create, update, patch and delete: <https://hl7.org/fhir/R4/http.html#ccreate>.

use serde_json::{Value, json};

use crate::server::{Server, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";
/// What finds the record of [`AT`].
const IT: &str = "date=2016-10-01T07:00:00%2B09:00&code=29463-7";
/// What finds several of the example.
const SEVERAL: &str = "code=29463-7";

fn with_value(kilograms: &str) -> Value {
    let mut out = observation(AT, kilograms);
    out["issued"] = json!("2016-10-06T12:00:00.000+09:00");
    out
}

#[tokio::test]
async fn c1_7_if_none_exist_creates_once() {
    let server = Server::with_example().await;
    let sent = observation(AT, "61.5");
    let ask = |query| [("if-none-exist", query)];
    let answer = server.write("POST", "/Observation", &ask(IT), &sent).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let location = answer.header("location").to_owned();
    // Nothing is written, not even what would be newer.
    let answer = server
        .write("POST", "/Observation", &ask(IT), &with_value("70"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("location"), location);
    assert_eq!(answer.json()["valueQuantity"]["value"].to_string(), "61.5");
    let answer = server
        .write("POST", "/Observation", &ask(SEVERAL), &sent)
        .await;
    assert_eq!(answer.status, 412);
    assert_eq!(answer.json()["issue"][0]["code"], "multiple-matches");
    for query in ["", "nonsense=1", "_count=1", "date=yesterday"] {
        let answer = server
            .write("POST", "/Observation", &ask(query), &sent)
            .await;
        assert_eq!(answer.status, 400, "{query}");
        answer.issue();
    }
}

#[tokio::test]
async fn c1_7_parallel_conditional_creates_leave_one() {
    let server = Server::with_example().await;
    let sent = observation(AT, "61.5");
    let headers = [("if-none-exist", IT)];
    let all = (0..8).map(|_| server.write("POST", "/Observation", &headers, &sent));
    let answers = futures_util::future::join_all(all).await;
    let mut statuses: Vec<u16> = answers.iter().map(|a| a.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert_eq!(server.number(&format!("/Observation?{IT}")).await, 1);
}

#[tokio::test]
async fn c1_8_a_conditional_update_creates_updates_or_refuses() {
    let server = Server::with_example().await;
    let path = format!("/Observation?{IT}");
    let answer = server
        .write("PUT", &path, &[], &observation(AT, "61.5"))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let answer = server.write("PUT", &path, &[], &with_value("62.5")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["id"], id.as_str());
    assert_eq!(answer.header("etag"), "W/\"2\"");
    let mut other = with_value("63.5");
    other["id"] = json!("other");
    assert_eq!(server.write("PUT", &path, &[], &other).await.status, 400);
    other["id"] = json!(id);
    assert_eq!(server.write("PUT", &path, &[], &other).await.status, 200);
    let several = format!("/Observation?{SEVERAL}");
    let answer = server
        .write("PUT", &several, &[], &with_value("63.5"))
        .await;
    assert_eq!(answer.status, 412);
    // A condition on the version counts here too.
    for (tag, status) in [("W/\"1\"", 412), ("W/\"3\"", 200), ("3", 400)] {
        let answer = server
            .write("PUT", &path, &[("if-match", tag)], &with_value("64.5"))
            .await;
        assert_eq!(answer.status, status, "{tag}: {}", answer.text);
    }
    let nothing = "/Observation?date=2015-01-01";
    let answer = server
        .write("PUT", nothing, &[("if-match", "*")], &with_value("64.5"))
        .await;
    assert_eq!(answer.status, 412);
    assert_eq!(
        server
            .write("PUT", "/Observation", &[], &with_value("64.5"))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_conditional_update_by_the_record_s_identifier_needs_no_search() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.5")).await;
    let identifier = &made["identifier"][0];
    let token = format!(
        "{}%7C{}",
        identifier["system"].as_str().unwrap(),
        identifier["value"].as_str().unwrap()
    );
    let path = format!("/Observation?identifier={token}");
    let answer = server.write("PUT", &path, &[], &with_value("62.5")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["id"], made["id"]);
    let other = observation("2016-10-02T07:00:00+09:00", "61.5");
    let answer = server.write("PUT", &path, &[], &other).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    // A body with the id of another resource is refused, as with any other condition.
    let mut named = with_value("63.5");
    named["id"] = json!("another");
    let answer = server.write("PUT", &path, &[], &named).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    named["id"] = made["id"].clone();
    let answer = server.write("PUT", &path, &[], &named).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn c1_8_a_conditional_patch_of_nothing_is_404() {
    let server = Server::with_example().await;
    let media = ("content-type", "application/json-patch+json");
    let patch = r#"[{"op":"replace","path":"/valueQuantity/value","value":63}]"#;
    let path = format!("/Observation?{IT}");
    assert_eq!(
        server.send("PATCH", &path, &[media], patch).await.status,
        404
    );
    server.create(&observation(AT, "61.5")).await;
    let answer = server.send("PATCH", &path, &[media], patch).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let several = format!("/Observation?{SEVERAL}");
    let answer = server.send("PATCH", &several, &[media], patch).await;
    assert_eq!(answer.status, 412);
}

#[tokio::test]
async fn c1_8_a_conditional_delete_deletes_one() {
    let server = Server::with_example().await;
    let path = format!("/Observation?{IT}");
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    server.create(&observation(AT, "61.5")).await;
    let several = format!("/Observation?{SEVERAL}");
    let before = server.number(&several).await;
    assert_eq!(server.send("DELETE", &several, &[], "").await.status, 412);
    assert_eq!(server.number(&several).await, before);
    for (tag, status) in [("W/\"2\"", 412), ("W/\"1\"", 204)] {
        let answer = server.send("DELETE", &path, &[("if-match", tag)], "").await;
        assert_eq!(answer.status, status, "{tag}");
    }
    assert_eq!(server.number(&path).await, 0);
    assert_eq!(
        server.send("DELETE", "/Observation", &[], "").await.status,
        400
    );
}

#[tokio::test]
async fn a_conditional_create_finds_what_registries_wrote() {
    let server = Server::with_example().await;
    for (name, path) in [
        ("Organization", "/Organization?type=other&_count=1"),
        ("DeviceDefinition", "/DeviceDefinition?_count=1"),
        ("ResearchStudy", "/ResearchStudy?_count=1"),
    ] {
        let found = server.matches(path).await[0].clone();
        let identifier = &found["identifier"][0];
        let query = format!(
            "identifier={}%7C{}",
            identifier["system"].as_str().unwrap(),
            identifier["value"].as_str().unwrap()
        );
        let body = json!({ "resourceType": name });
        let headers = [("if-none-exist", query.as_str())];
        let answer = server
            .write("POST", &format!("/{name}"), &headers, &body)
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(answer.json(), found);
        let headers = [("if-none-exist", "identifier=nothing")];
        let answer = server
            .write("POST", &format!("/{name}"), &headers, &body)
            .await;
        assert_eq!(answer.status, 405, "{name}");
    }
}

#[tokio::test]
async fn what_a_condition_finds_is_decided_when_it_is_written() {
    let server = Server::with_example().await;
    // The last in the queue finds the record as it was when it was sent, and must not delete what
    // the one before it made of it.
    for round in 0..6 {
        let at = format!("2016-10-{:02}T07:00:00+09:00", 2 + round);
        let made = server.create(&observation(&at, "61.5")).await;
        let id = made["id"].as_str().unwrap();
        let query = format!("_id={id}&value-quantity=61.5");
        let mut other = made.clone();
        other["valueQuantity"]["value"] = json!(70);
        let path = format!("/Observation/{id}");
        // Others hold the right to write while both look for what they name.
        let held = server.store.hold(None).await.unwrap();
        let put = server.write("PUT", &path, &[], &other);
        let conditional = format!("/Observation?{query}");
        let delete = server.send("DELETE", &conditional, &[], "");
        let release = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            drop(held);
        };
        let (put, delete, ()) = tokio::join!(put, delete, release);
        assert!(put.status.is_success(), "{}", put.text);
        assert_eq!(delete.status, 204, "{}", delete.text);
        let now = server.get(&path).await;
        assert_eq!(now.status, 200, "{}", now.text);
        assert_eq!(now.json()["valueQuantity"]["value"], 70);
    }
}

#[tokio::test]
async fn a_search_by_post_needs_no_body() {
    let server = Server::with_example().await;
    let path = "/Observation/_search?code=29463-7&_summary=count";
    let answer = server.send("POST", path, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let got = server
        .found("/Observation?code=29463-7&_summary=count")
        .await;
    assert_eq!(answer.json()["total"], got["total"]);
    let text = [("content-type", "text/plain")];
    for (headers, body) in [(&text[..], "a"), (&text[..], ""), (&[][..], "_id=x")] {
        let answer = server.send("POST", path, headers, body).await;
        assert_eq!(answer.status, 415, "{headers:?} {body}");
    }
}

const PAST: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
const FUTURE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
const PATCH: &str = r#"[{"op":"test","path":"/resourceType","value":"no"}]"#;

/// Resources that are written: where, and with what change.
async fn writable(server: &Server) -> Vec<(String, Value)> {
    let mut weight = server.create(&observation(AT, "61.5")).await;
    weight["valueQuantity"]["value"] = json!(62.5);
    let mut patient = server.matches("/Patient?_count=1").await.remove(0);
    patient["birthDate"] = json!("1950-01");
    let mut device = server.matches("/Device?_count=1").await.remove(0);
    device["note"] = json!([{ "text": "台所" }]);
    let path = |resource: &Value| {
        let text = |name: &str| resource[name].as_str().unwrap().to_owned();
        format!("/{}/{}", text("resourceType"), text("id"))
    };
    let all = [weight, patient, device];
    all.into_iter()
        .map(|changed| (path(&changed), changed))
        .collect()
}

#[tokio::test]
async fn preconditions_hold_for_every_write_of_every_type() {
    let server = Server::with_example().await;
    for (path, changed) in writable(&server).await {
        let read = server.get(&path).await;
        let etag = read.header("etag").to_owned();
        for failing in [
            ("if-none-match", "*"),
            ("if-none-match", etag.as_str()),
            ("if-none-match", "W/\"77\", *"),
            ("if-unmodified-since", PAST),
            ("if-match", "W/\"77\""),
        ] {
            let media = ("content-type", "application/json-patch+json");
            for answer in [
                server.write("PUT", &path, &[failing], &changed).await,
                server.send("DELETE", &path, &[failing], "").await,
                server.send("PATCH", &path, &[media, failing], PATCH).await,
            ] {
                // A Device is neither deleted nor patched.
                let has_method = answer.status != 405 || !path.starts_with("/Device");
                if has_method {
                    assert_eq!(answer.status, 412, "{path} {failing:?}: {}", answer.text);
                    assert!(answer.text.contains("If-None-Match"), "{}", answer.text);
                }
            }
            assert_eq!(server.get(&path).await.text, read.text);
        }
        for holding in [
            vec![("if-none-match", "W/\"77\"")],
            vec![("if-unmodified-since", FUTURE)],
            vec![("if-unmodified-since", "yesterday")],
            // If-Match goes before it.
            vec![("if-match", etag.as_str()), ("if-unmodified-since", PAST)],
        ] {
            let put = server.write("PUT", &path, &holding, &read.json()).await;
            assert_eq!(put.status, 200, "{path} {holding:?}: {}", put.text);
            assert_eq!(put.header("etag"), etag);
        }
        let malformed = [("if-none-match", "3")];
        assert_eq!(
            server
                .write("PUT", &path, &malformed, &changed)
                .await
                .status,
            400
        );
    }
}

#[tokio::test]
async fn if_none_match_lets_an_update_create_only() {
    let server = Server::with_example().await;
    let path = format!("/Observation?{IT}");
    let star = [("if-none-match", "*")];
    let first = server.write("PUT", &path, &star, &with_value("61.5")).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = server.write("PUT", &path, &star, &with_value("62.5")).await;
    assert_eq!(again.status, 412);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    let by_id = format!("/Observation/{id}");
    assert_eq!(server.send("DELETE", &by_id, &star, "").await.status, 412);
    assert_eq!(server.send("DELETE", &by_id, &[], "").await.status, 204);
    // A deleted one is not there.
    let mut sent = with_value("63.5");
    sent["id"] = json!(id);
    sent["issued"] = json!("2018-10-06T12:00:00.000+09:00");
    let since = [("if-none-match", "*"), ("if-unmodified-since", PAST)];
    let revived = server.write("PUT", &by_id, &since, &sent).await;
    assert_eq!(revived.status, 201, "{}", revived.text);
}

#[tokio::test]
async fn entries_have_preconditions_of_their_own() {
    let server = Server::with_example().await;
    let made = server.create(&observation(AT, "61.5")).await;
    let id = made["id"].as_str().unwrap();
    let url = format!("Observation/{id}");
    let mut changed = with_value("62.5");
    changed["id"] = json!(id);
    let with = |method: &str, resource: Option<Value>, name: &str, value: &str| {
        let mut entry = crate::server::entry(method, &url, resource);
        entry["request"][name] = json!(value);
        entry
    };
    for (entry, status) in [
        (
            with("PUT", Some(changed.clone()), "ifNoneMatch", "*"),
            "412",
        ),
        (
            with("PUT", Some(changed.clone()), "ifNoneMatch", "W/\"1\""),
            "412",
        ),
        (
            with("PUT", Some(changed.clone()), "ifMatch", "W/\"2\""),
            "412",
        ),
        (with("DELETE", None, "ifNoneMatch", "*"), "412"),
        (with("GET", None, "ifNoneMatch", "W/\"1\""), "304"),
        (with("GET", None, "ifModifiedSince", FUTURE), "304"),
        (with("GET", None, "ifModifiedSince", PAST), "200"),
        (
            with("PUT", Some(changed.clone()), "ifNoneMatch", "W/\"7\""),
            "200",
        ),
    ] {
        for kind in ["transaction", "batch"] {
            let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": [entry] });
            let answer = server.write("POST", "", &[], &bundle).await;
            if kind == "transaction" && status.starts_with('4') {
                assert_eq!(answer.status.as_str(), status, "{entry}: {}", answer.text);
                continue;
            }
            assert_eq!(answer.status, 200, "{}", answer.text);
            let told = answer.json()["entry"][0]["response"]["status"].clone();
            assert!(
                told.as_str().unwrap().starts_with(status),
                "{entry}: {told}"
            );
        }
    }
}
