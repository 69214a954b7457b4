//! What holds for every address: ids, headers, errors, HEAD, CORS, gzip.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{Method, Request};
use kenko_fhir::http::Settings;

use crate::server::*;

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let server = Server::empty().await;
    let own = server.get("/nowhere").await;
    assert_eq!(own.header("x-request-id").len(), 26);
    let kept = server
        .send(with(get("/health/live"), "x-request-id", "a-b.1"))
        .await;
    assert_eq!(kept.header("x-request-id"), "a-b.1");
    let odd = server
        .send(with(get("/health/live"), "x-request-id", "a b"))
        .await;
    assert_eq!(odd.header("x-request-id").len(), 26);
}

#[tokio::test]
async fn errors_are_problem_details_outside_fhir_and_outcomes_inside() {
    let server = Server::empty().await;
    server.get("/nowhere").await.problem(404);
    server.get("/exchange").await.problem(404);
    server.get("/exchange/nothing").await.problem(404);
    server.get("/fhirx").await.problem(404);
    for path in [
        "/fhir/Nothing",
        "/fhir/Nothing/",
        "/fhir/Nothing?_pretty=true",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404);
        assert_eq!(
            answer.header("content-type"),
            "application/fhir+json;charset=utf-8"
        );
        let outcome = answer.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert_eq!(outcome["issue"][0]["severity"], "error");
        assert_eq!(outcome["issue"][0]["code"], "not-supported");
    }
    let japanese = server
        .send(with(get("/nowhere"), "accept-language", "ja-JP, en;q=0.5"))
        .await;
    assert_eq!(japanese.problem(404), "見つかりません");
    let wrong = server
        .send(request(Method::DELETE, "/exchange/submissions", JSON, ""))
        .await;
    wrong.problem(405);
    assert!(
        wrong.header("allow").contains("POST"),
        "{}",
        wrong.header("allow")
    );
}

#[tokio::test]
async fn headers_keep_browsers_and_caches_from_harm() {
    let server = Server::registered().await;
    for path in [
        "/",
        "/docs/",
        "/exchange/submissions",
        "/fhir/x",
        "/nowhere",
        "/health/live",
    ] {
        assert_eq!(
            server.get(path).await.header("x-content-type-options"),
            "nosniff",
            "{path}"
        );
    }
    for path in [
        "/exchange/submissions",
        "/exchange/registries/participants",
        "/fhir/x",
    ] {
        assert_eq!(
            server.get(path).await.header("cache-control"),
            "no-store",
            "{path}"
        );
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::registered().await;
    for path in [
        "/",
        "/openapi.json",
        "/exchange/schema",
        "/exchange/nothing",
        "/health/ready",
        "/fhir/x",
        "/exchange/registries/consortia",
    ] {
        let get = server.get(path).await;
        let head = server
            .send(with(
                Request::head(path).body(Body::empty()).unwrap(),
                "host",
                "kenko.test",
            ))
            .await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
    }
}

/// The same request by a client that unpacks; what it gets, unpacked.
async fn unpacked(server: &Server, request: Request<Body>) -> Vec<u8> {
    let uri = request.uri().clone();
    let packed = server.send(with(request, "accept-encoding", "gzip")).await;
    assert_eq!(packed.header("content-encoding"), "gzip", "{uri}");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed.body.as_slice())
        .read_to_end(&mut text)
        .unwrap();
    text
}

#[tokio::test]
async fn answers_are_compressed_where_that_is_asked_for() {
    let server = Server::empty().await;
    let plain = server.get("/exchange/schema").await;
    let text = unpacked(&server, get("/exchange/schema")).await;
    assert_eq!(text, plain.body);
}

#[tokio::test]
async fn answers_that_are_written_while_they_are_sent_are_compressed_to_their_end() {
    let server = Server::registered().await;
    assert_eq!(server.submit(&first()).await.status, 201);
    for request in [
        request(Method::POST, "/fhir/$to-fhir", JSON, first()),
        get("/exchange/records?consortium_id=A00001"),
        get("/exchange/submissions"),
        get("/exchange/quarantine"),
        get("/exchange/registries/consortia"),
    ] {
        let of = request.uri().clone();
        let text = unpacked(&server, request).await;
        let json = serde_json::from_slice::<serde_json::Value>(&text);
        assert!(json.is_ok(), "{of}: {}", String::from_utf8_lossy(&text));
    }
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let server = Server::empty().await;
    assert_eq!(server.get("/exchange/submissions/").await.status, 200);
    assert_eq!(
        server
            .get("/exchange/registries/consortia/?consortium_id=A00001")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn browsers_of_named_origins_may_call_and_no_others() {
    let preflight = |origin: &str| {
        Request::builder()
            .method(Method::OPTIONS)
            .uri("/fhir/Observation")
            .header("host", "kenko.test")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header(
                "access-control-request-headers",
                "authorization,if-match,if-none-exist,prefer,x-custom",
            )
            .body(Body::empty())
            .unwrap()
    };
    let closed = Server::empty()
        .await
        .send(preflight("https://app.example"))
        .await;
    assert_eq!(closed.header("access-control-allow-origin"), "");
    let settings = Settings {
        cors_origins: vec!["https://app.example".into()],
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let open = server.send(preflight("https://app.example")).await;
    assert_eq!(
        (open.status, open.header("access-control-allow-origin")),
        (200, "https://app.example")
    );
    let allowed = open.header("access-control-allow-headers");
    for name in [
        "authorization",
        "if-match",
        "if-none-exist",
        "prefer",
        "x-custom",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert!(
        open.header("access-control-allow-methods")
            .contains("PATCH")
    );
    let other = server.send(preflight("https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let answer = server
        .send(with(get("/health/live"), "origin", "https://app.example"))
        .await;
    let exposed = answer.header("access-control-expose-headers");
    for name in [
        "etag",
        "location",
        "content-location",
        "last-modified",
        "x-progress",
        "retry-after",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }
}

#[tokio::test]
async fn links_follow_the_base_url() {
    let settings = Settings {
        base_url: Some("https://kenko.example/api/".into()),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    server.register("examples/registries").await;
    let answer = server.submit(&first()).await;
    assert!(
        answer
            .header("location")
            .starts_with("https://kenko.example/api/exchange/submissions/")
    );
    server.submit(&first()).await;
    let next = server.get("/exchange/submissions?count=1").await.json()["next"].to_string();
    assert!(
        next.contains("https://kenko.example/api/exchange/submissions?count=1&page="),
        "{next}"
    );
}

#[tokio::test]
async fn probes_answer() {
    let server = Server::empty().await;
    for path in ["/health/live", "/health/ready"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
    }
    server.store.close().await;
    assert_eq!(server.get("/health/live").await.status, 200);
    let answer = server.get("/health/ready").await;
    answer.problem(503);
    assert!(!answer.header("retry-after").is_empty());
    server.get("/exchange/submissions").await.problem(503);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_503() {
    let settings = Settings {
        request_timeout: std::time::Duration::from_millis(100),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let silent = Body::from_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let answer = server
        .send(request(Method::POST, "/exchange/submissions", JSON, silent))
        .await;
    answer.problem(503);
    assert!(!answer.header("retry-after").is_empty());
}
