//! update and delete, with their conditions: <https://hl7.org/fhir/R4/http.html#update>.

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::server::{Server, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";

async fn created(server: &Server) -> (String, Value) {
    let made = server.create(&observation(AT, "61.50")).await;
    let path = format!("/Observation/{}", made["id"].as_str().unwrap());
    (path, made)
}

fn with_value(resource: &Value, kilograms: &str) -> Value {
    let mut out = resource.clone();
    let value: serde_json::Number = kilograms.parse().unwrap();
    out["valueQuantity"]["value"] = Value::Number(value);
    out
}

#[tokio::test]
async fn c1_4_an_update_makes_the_next_version() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    let answer = server
        .write("PUT", &path, &[], &with_value(&made, "62.5"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), "W/\"2\"");
    assert!(answer.header("last-modified").ends_with(" GMT"));
    let body = answer.json();
    assert_eq!(body["status"], "corrected");
    assert_eq!(body["valueQuantity"]["value"].to_string(), "62.5");
    assert_eq!(server.found(&path).await, body);
    let former = server.found(&format!("{path}/_history/1")).await;
    assert_eq!(former, made);
}

#[tokio::test]
async fn c1_4_a_body_with_another_id_or_none_is_400() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    let mut none = made.clone();
    none.as_object_mut().unwrap().remove("id");
    let mut other = made.clone();
    other["id"] = json!("other");
    for body in [none, other] {
        let answer = server.write("PUT", &path, &[], &body).await;
        assert_eq!(answer.status, 400);
        answer.issue();
    }
}

#[tokio::test]
async fn c1_5_a_put_creates_where_the_id_is_its_own() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    let answer = server.send("DELETE", &path, &[], "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(server.get(&path).await.status, 410);
    // Written again it is there again, as the next version.
    let answer = server.write("PUT", &path, &[], &made).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("etag"), "W/\"3\"");

    let mut fresh = observation("2016-10-02T07:00:00+09:00", "61.5");
    let right = {
        let probe = Server::with_example().await;
        let made = probe.create(&fresh).await;
        made["id"].as_str().unwrap().to_owned()
    };
    fresh["id"] = json!("x".repeat(43));
    let path = format!("/Observation/{}", "x".repeat(43));
    let answer = server.write("PUT", &path, &[], &fresh).await;
    assert_eq!(answer.status, 422);
    let issue = answer.json()["issue"][0].clone();
    assert_eq!(issue["details"]["coding"][0]["code"], "identity");
    assert!(issue["diagnostics"].as_str().unwrap().contains(&right));
    fresh["id"] = json!(right);
    let path = format!("/Observation/{right}");
    let answer = server.write("PUT", &path, &[], &fresh).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(server.found(&path).await["meta"]["versionId"], "1");
}

#[tokio::test]
async fn a_put_cannot_change_what_identifies_the_record() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    for (name, value) in [
        ("effectiveDateTime", json!("2016-10-01T07:00:01+09:00")),
        (
            "subject",
            json!({ "reference": format!("Patient/{}", id::participant("A00001", "P0000000000000000002")) }),
        ),
    ] {
        let mut sent = made.clone();
        sent[name] = value;
        sent.as_object_mut().unwrap().remove("identifier");
        let answer = server.write("PUT", &path, &[], &sent).await;
        assert_eq!(answer.status, 422, "{name}: {}", answer.text);
        let code = &answer.json()["issue"][0]["details"]["coding"][0]["code"];
        assert_eq!(code, "identity", "{}", answer.text);
    }
    assert_eq!(server.found(&path).await, made);
}

#[tokio::test]
async fn an_update_without_a_difference_keeps_the_version() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    let mut issued = made.clone();
    issued["issued"] = json!("2016-10-06T12:00:00.000+09:00");
    issued["text"] = json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>" });
    issued["meta"] = json!({ "tag": [{ "system": "urn:x", "code": "y" }] });
    for (sent, what) in [
        (made.clone(), "the same"),
        (with_value(&made, "61.5"), "the same number"),
        (issued, "issued, text and meta"),
    ] {
        let answer = server.write("PUT", &path, &[], &sent).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
        assert_eq!(answer.header("etag"), "W/\"1\"", "{what}");
        assert_eq!(server.found(&path).await, made, "{what}");
    }
    // Another status is a difference.
    let mut amended = made.clone();
    amended["status"] = json!("amended");
    for _ in 0..2 {
        let answer = server.write("PUT", &path, &[], &amended).await;
        assert_eq!(answer.header("etag"), "W/\"2\"");
        assert_eq!(answer.json()["status"], "amended");
    }
}

#[tokio::test]
async fn an_update_no_newer_than_what_is_stored_has_the_time_of_receipt() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    let headers = [("prefer", "return=OperationOutcome")];
    let answer = server
        .write("PUT", &path, &headers, &with_value(&made, "62.5"))
        .await;
    let issue = answer.json()["issue"][0].clone();
    assert_eq!(issue["severity"], "information");
    assert_eq!(issue["details"]["coding"][0]["code"], "fallback-used");
    assert_eq!(issue["expression"][0], "Observation.issued");
    let now = server.found(&path).await;
    assert!(now["issued"].as_str() > made["issued"].as_str());
    // A resend of what was there before does not undo it.
    let answer = server.write("POST", "/Observation", &[], &made).await;
    assert_eq!(answer.status, 409);
    let mut newer = with_value(&made, "63");
    newer["issued"] = json!("2050-01-01T00:00:00.000+09:00");
    server.write("PUT", &path, &[], &newer).await;
    let now = server.found(&path).await;
    assert_eq!(now["issued"], newer["issued"]);
}

#[tokio::test]
async fn c1_6_a_stale_if_match_is_412_and_a_malformed_one_400() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    let changed = with_value(&made, "62.5");
    let patch = r#"[{"op":"replace","path":"/valueQuantity/value","value":63}]"#;
    for (tag, status) in [
        ("W/\"2\"", 412),
        ("\"other\"", 412),
        ("2", 400),
        ("W/1", 400),
        ("", 400),
    ] {
        let condition = ("if-match", tag);
        let answer = server.write("PUT", &path, &[condition], &changed).await;
        assert_eq!(answer.status, status, "PUT {tag}");
        answer.issue();
        let answer = server.send("DELETE", &path, &[condition], "").await;
        assert_eq!(answer.status, status, "DELETE {tag}");
        let media = ("content-type", "application/json-patch+json");
        let answer = server
            .send("PATCH", &path, &[media, condition], patch)
            .await;
        assert_eq!(answer.status, status, "PATCH {tag}");
    }
    assert_eq!(server.found(&path).await, made);
    for (tag, version) in [
        ("W/\"1\"", "W/\"2\""),
        ("*", "W/\"3\""),
        ("W/\"9\", \"3\"", "W/\"4\""),
    ] {
        let value = format!("6{}", version.len() + usize::from(tag == "*"));
        let sent = with_value(&made, &format!("{value}.{}", tag.len() % 10));
        let answer = server
            .write("PUT", &path, &[("if-match", tag)], &sent)
            .await;
        assert_eq!(answer.status, 200, "{tag}: {}", answer.text);
        assert_eq!(answer.header("etag"), version);
    }
    let answer = server
        .send("DELETE", &path, &[("if-match", "W/\"4\"")], "")
        .await;
    assert_eq!(answer.status, 204);
    // What is deleted has no current version.
    for tag in ["*", "W/\"5\""] {
        let answer = server
            .write("PUT", &path, &[("if-match", tag)], &changed)
            .await;
        assert_eq!(answer.status, 412, "{tag}");
    }
    let mut fresh = observation("2016-10-02T07:00:00+09:00", "61.5");
    fresh["id"] = json!("x");
    let answer = server
        .write("PUT", "/Observation/x", &[("if-match", "*")], &fresh)
        .await;
    assert!([412, 422].contains(&answer.status.as_u16()));
}

#[tokio::test]
async fn c1_10_a_delete_is_idempotent_and_hides_the_record() {
    let server = Server::with_example().await;
    let (path, made) = created(&server).await;
    for _ in 0..2 {
        let answer = server.send("DELETE", &path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    }
    let answer = server.send("DELETE", "/Observation/absent", &[], "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(server.get(&path).await.status, 410);
    let answer = server.get(&format!("{path}/_history/2")).await;
    assert_eq!(answer.status, 410);
    assert_eq!(
        server
            .number("/Observation?date=2016-10-01&code=29463-7")
            .await,
        0
    );
    let history = server.found(&format!("{path}/_history")).await;
    assert_eq!(history["total"], 2);
    assert_eq!(history["entry"][0]["request"]["method"], "DELETE");
    // A resend with a newer time makes the next version, any other is stale.
    let answer = server.write("POST", "/Observation", &[], &made).await;
    assert_eq!(answer.status, 409);
    let mut newer = made.clone();
    newer["issued"] = json!("2050-01-01T00:00:00.000+09:00");
    let answer = server.write("POST", "/Observation", &[], &newer).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("etag"), "W/\"3\"");
}
