//! Browsers, and what must not be told.

use axum::body::Body;
use axum::http::{Method, Request};
use kenko_fhir::http::Settings;

use crate::server::{PERSON, Server, weight};

const ORIGIN: &str = "https://app.example";

#[tokio::test]
async fn sec_01_browsers_may_send_and_see_the_headers_of_fhir() {
    let settings = Settings {
        cors_origins: vec![ORIGIN.to_owned()],
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let asked = "authorization,content-type,if-match,if-none-match,if-none-exist,prefer,x-own";
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let preflight = Request::builder()
            .method(Method::OPTIONS)
            .uri("/fhir/Observation/1")
            .header("host", "h.example")
            .header("origin", ORIGIN)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", asked);
        let answer = server.call(preflight.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        let methods = answer.header("access-control-allow-methods");
        assert!(methods.split(',').any(|m| m == method), "{methods}");
        let headers = answer.header("access-control-allow-headers");
        for name in asked.split(',') {
            assert!(headers.split(',').any(|h| h == name), "{headers}");
        }
    }
    // Errors too may be read, or an application could not tell what went wrong.
    for path in ["/metadata", "/Observation/unknown", "/Observation?date=x"] {
        let answer = server.send("GET", path, &[("origin", ORIGIN)], "").await;
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        let exposed = answer.header("access-control-expose-headers");
        for name in [
            "etag",
            "location",
            "content-location",
            "last-modified",
            "x-progress",
            "retry-after",
        ] {
            assert!(exposed.split(',').any(|h| h == name), "{exposed}");
        }
    }
    let other = [("origin", "https://other.example")];
    let answer = server.send("GET", "/metadata", &other, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn sec_02_nothing_is_guessed_and_nothing_personal_is_cached() {
    let server = Server::with_example().await;
    for path in [
        "/metadata",
        "/Patient",
        "/Observation/unknown",
        "/Medication",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert_eq!(
        server.get("/Patient").await.header("cache-control"),
        "no-store"
    );
}

#[tokio::test]
async fn sec_03_errors_do_not_repeat_what_was_searched_for() {
    let server = Server::with_example().await;
    let text = weight(PERSON, "20160903070000", "66", "20160903080000000");
    server.submit(&text).await;
    for path in [
        format!("/Patient/{PERSON}"),
        format!("/Patient/{PERSON}/_history/1"),
        format!("/Observation?date={PERSON}"),
        format!("/Observation?value-quantity={PERSON}"),
        format!("/Observation?patient=Patient/{PERSON}/"),
        format!("/Observation?code={PERSON}|a|b"),
        format!("/Observation?patient.identifier={PERSON}|a|b"),
        format!("/Patient?identifier={PERSON}|a|b"),
        format!("/Observation?_cursor={PERSON}"),
        format!("/Observation?no-such={PERSON}&code=nothing"),
    ] {
        let answer = server.get(&path).await;
        let text = match answer.status.as_u16() {
            // The self link of a page says what was searched for, a warning does not.
            200 => answer.json()["entry"].to_string(),
            _ => answer.text,
        };
        assert!(text.contains("OperationOutcome"), "{path}: {text}");
        assert!(!text.contains(PERSON), "{path}: {text}");
    }
}
