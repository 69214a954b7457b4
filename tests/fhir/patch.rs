//! patch: <https://hl7.org/fhir/R4/http.html#patch>.

use kenko_fhir::fhir::base64;
use serde_json::{Value, json};

use crate::server::{Answer, Server, entry, observation};

const AT: &str = "2016-10-01T07:00:00+09:00";

async fn created(server: &Server) -> String {
    let made = server.create(&observation(AT, "61.50")).await;
    format!("/Observation/{}", made["id"].as_str().unwrap())
}

async fn patch(server: &Server, path: &str, operations: &str) -> Answer {
    let media = ("content-type", "application/json-patch+json");
    server.send("PATCH", path, &[media], operations).await
}

#[tokio::test]
async fn c1_9_a_json_patch_makes_the_next_version_and_keeps_digits() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    let operations = r#"[
        {"op":"test","path":"/valueQuantity/value","value":61.5},
        {"op":"replace","path":"/valueQuantity/value","value":62.0},
        {"op":"add","path":"/component","value":[
            {"code":{"coding":[{"system":"http://loinc.org","code":"41982-0"}]},
             "valueQuantity":{"value":20.10,"system":"http://unitsofmeasure.org","code":"%"}}]}]"#;
    let answer = patch(&server, &path, operations).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), "W/\"2\"");
    assert!(answer.text.contains("\"value\":62.0,"), "{}", answer.text);
    assert!(answer.text.contains("\"value\":20.10,"), "{}", answer.text);
    assert_eq!(answer.json()["status"], "corrected");
}

#[tokio::test]
async fn c1_9_the_result_of_a_patch_is_validated() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    let before = server.found(&path).await;
    for (operations, status, told) in [
        (
            r#"[{"op":"test","path":"/status","value":"amended"}]"#,
            422,
            "test /status",
        ),
        (
            r#"[{"op":"remove","path":"/nothing"}]"#,
            422,
            "remove /nothing",
        ),
        (
            r#"[{"op":"remove","path":"/valueQuantity"}]"#,
            422,
            "required",
        ),
        (
            r#"[{"op":"replace","path":"/status","value":"unknown"}]"#,
            422,
            "status",
        ),
        (
            r#"[{"op":"add","path":"/nonsense","value":1}]"#,
            400,
            "unknown-field",
        ),
        (
            r#"[{"op":"replace","path":"/id","value":"other"}]"#,
            400,
            "id",
        ),
        (
            r#"[{"op":"replace","path":"/resourceType","value":"Patient"}]"#,
            400,
            "id",
        ),
        (
            r#"[{"op":"frobnicate","path":"/status"}]"#,
            400,
            "JSON Patch",
        ),
        ("{}", 400, "JSON Patch"),
        ("[", 400, "json"),
    ] {
        let answer = patch(&server, &path, operations).await;
        assert_eq!(answer.status, status, "{operations}: {}", answer.text);
        assert!(
            answer.issue().contains(told),
            "{operations}: {}",
            answer.text
        );
    }
    assert_eq!(server.found(&path).await, before);
}

#[tokio::test]
async fn a_patch_in_another_media_type_is_415() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    for media in [
        "application/json",
        "application/fhir+json",
        "application/xml-patch+xml",
    ] {
        let headers = [("content-type", media)];
        let answer = server.send("PATCH", &path, &headers, "[]").await;
        assert_eq!(answer.status, 415, "{media}");
        answer.issue();
    }
}

#[tokio::test]
async fn a_patch_of_what_is_not_there_is_404_or_410() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    assert_eq!(
        patch(&server, "/Observation/unknown", "[]").await.status,
        404
    );
    server.send("DELETE", &path, &[], "").await;
    assert_eq!(patch(&server, &path, "[]").await.status, 410);
}

#[tokio::test]
async fn a_patch_without_a_difference_keeps_the_version() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    let operations = r#"[{"op":"replace","path":"/valueQuantity/value","value":61.500}]"#;
    let answer = patch(&server, &path, operations).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn patches_at_the_same_time_lose_nothing() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    let weight = r#"[{"op":"replace","path":"/valueQuantity/value","value":62.0}]"#;
    let status = r#"[{"op":"replace","path":"/status","value":"amended"}]"#;
    let (a, b) = tokio::join!(patch(&server, &path, weight), patch(&server, &path, status));
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200));
    let now = server.found(&path).await;
    assert_eq!(now["meta"]["versionId"], "3");
    assert_eq!(now["valueQuantity"]["value"].to_string(), "62.0");
}

/// A patch that doubles the text of a note again and again.
fn doubling(times: usize) -> String {
    let mut operations =
        vec![json!({ "op": "add", "path": "/note", "value": [{ "text": "x".repeat(1000) }] })];
    for _ in 0..times {
        operations.push(json!({ "op": "copy", "from": "/note", "path": "/contained" }));
        operations.push(json!({ "op": "copy", "from": "/contained", "path": "/note/-" }));
    }
    Value::from(operations).to_string()
}

#[tokio::test]
async fn what_a_patch_multiplies_is_bounded_while_it_is_applied() {
    let server = Server::with_example().await;
    let path = created(&server).await;
    for operations in [
        doubling(40),
        json!([{ "op": "copy", "from": "", "path": "/extension" }]).to_string(),
    ] {
        let answer = patch(&server, &path, &operations).await;
        let status = answer.status;
        assert!(status == 422 || status == 400, "{}", answer.text);
        assert!(answer.text.len() < 2000, "{}", answer.text);
    }
    let answer = patch(&server, &path, &doubling(40)).await;
    assert_eq!(answer.json()["issue"][0]["code"], "too-costly");
    assert!(answer.issue().contains("--patch-limit"), "{}", answer.text);

    // The patches of a Bundle share what one may do.
    let one = json!([
        { "op": "add", "path": "/note", "value": [{ "text": "x".repeat(300_000) }] },
        { "op": "copy", "from": "/note/0", "path": "/note/-" },
        { "op": "remove", "path": "/note" },
    ]);
    let data = base64::encode(one.to_string().as_bytes());
    let binary = json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": data });
    let entries: Vec<Value> = (0..3)
        .map(|_| entry("PATCH", &path[1..], Some(binary.clone())))
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let answer = server.write("POST", "", &[], &bundle).await;
    let answers = entries_of(&answer.json());
    assert!(answers.contains(&"422".to_owned()), "{}", answer.text);

    let large = json!([{ "op": "test", "path": "/status", "value": "x".repeat(1 << 20) }]);
    let answer = patch(&server, &path, &large.to_string()).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_eq!(server.found(&path).await["meta"]["versionId"], "1");
}

/// The statuses of the answers of a Bundle.
fn entries_of(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().unwrap().iter();
    let statuses = entries.map(|entry| entry["response"]["status"].as_str().unwrap());
    statuses.map(|status| status[..3].to_owned()).collect()
}
