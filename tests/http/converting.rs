//! `$to-fhir` and `$to-exchange`: their bodies, and what is refused.

use axum::http::Method;
use serde_json::Value;

use crate::server::*;

const FHIR: &str = "application/fhir+json";

fn to_fhir(body: impl Into<axum::body::Body>) -> axum::http::Request<axum::body::Body> {
    request(Method::POST, "/fhir/$to-fhir", JSON, body)
}

fn to_exchange(body: impl Into<axum::body::Body>) -> axum::http::Request<axum::body::Body> {
    request(Method::POST, "/fhir/$to-exchange", FHIR, body)
}

#[tokio::test]
async fn gzip_bodies_are_taken_under_fhir_too() {
    let server = Server::empty().await;
    let plain = server.send(to_fhir(first())).await;
    assert_eq!(plain.status, 200, "{}", plain.text());
    let packed = with(
        to_fhir(gzip(first().as_bytes())),
        "content-encoding",
        "gzip",
    );
    let packed = server.send(packed).await;
    assert_eq!((packed.status, packed.text()), (200, plain.text()));

    let back = with(to_exchange(gzip(&plain.body)), "content-encoding", "gzip");
    let back = server.send(back).await;
    assert_eq!(back.status, 200, "{}", back.text());

    let form = request(
        Method::POST,
        "/fhir/Observation/_search",
        "application/x-www-form-urlencoded",
        gzip(b"_count=0&code=4548-4"),
    );
    let found = server.send(with(form, "content-encoding", "gzip")).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let link = found.json()["link"][0]["url"].to_string();
    assert!(link.contains("code=4548-4"), "{link}");

    let brotli = with(to_fhir(first()), "content-encoding", "br");
    assert_eq!(server.send(brotli).await.status, 415);
}

#[tokio::test]
async fn what_is_no_fhir_is_400_and_what_holds_nothing_is_422() {
    let server = Server::empty().await;
    let empty = r#"{"resourceType":"Bundle","type":"collection"}"#;
    for (body, status) in [("[]", 400), ("7", 400), (r#"{"a":1}"#, 400), (empty, 422)] {
        let answer = server.send(to_exchange(body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let outcome: Value = answer.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{body}");
        assert_eq!(outcome["issue"][0]["severity"], "error", "{body}");
    }
}
