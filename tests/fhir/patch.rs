//! patch: <https://hl7.org/fhir/R4/http.html#patch>.

use crate::server::{Answer, Server, observation};

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
