//! Which hosts and origins are answered.

use axum::body::Body;
use axum::http::{Request, Version};
use kenko_fhir::http::Settings;

use crate::server::*;

fn to(host: &str, path: &str) -> Request<Body> {
    with(get(path), "host", host)
}

async fn local(settings: Settings) -> Server {
    let settings = Settings {
        local_only: true,
        ..settings
    };
    Server::with(settings).await
}

#[tokio::test]
async fn without_authentication_only_loopback_names_are_answered() {
    let server = local(Settings::default()).await;
    for host in [
        "localhost",
        "localhost:8080",
        "Localhost.:1",
        "kenko.localhost",
        "127.0.0.1:8080",
        "127.1.2.3",
        "[::1]:8080",
    ] {
        assert_eq!(
            server.send(to(host, "/health/live")).await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0:8080",
        "192.168.0.1",
        "[::]:8080",
        "",
    ] {
        for path in [
            "/",
            "/health/live",
            "/exchange/submissions",
            "/openapi.json",
        ] {
            let detail = server.send(to(host, path)).await.problem(421);
            assert!(detail.contains("--base-url"), "{detail}");
        }
        let answer = server.send(to(host, "/fhir/Patient")).await;
        assert_eq!(answer.status, 421);
        assert_eq!(answer.json()["issue"][0]["code"], "security");
    }
    let japanese = with(to("evil.example", "/"), "accept-language", "ja");
    let detail = server.send(japanese).await.problem(421);
    assert!(detail.contains("ループバック"), "{detail}");
    // The target of a request beats its header.
    let absolute = with(get("http://evil.example/fhir/Patient"), "host", "localhost");
    assert_eq!(server.send(absolute).await.status, 421);
    let absolute = with(
        get("http://localhost:1/fhir/Patient"),
        "host",
        "evil.example",
    );
    assert_eq!(server.send(absolute).await.status, 200);
}

#[tokio::test]
async fn the_host_of_the_base_url_is_answered() {
    let server = local(Settings {
        base_url: Some("https://Kenko.example/api".into()),
        ..Settings::default()
    })
    .await;
    for (host, status) in [
        ("kenko.example", 200),
        ("KENKO.EXAMPLE:8443", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
        ("kenko.example.evil.example", 421),
    ] {
        assert_eq!(
            server.send(to(host, "/health/live")).await.status,
            status,
            "{host}"
        );
    }
    let open = Server::empty().await;
    assert_eq!(
        open.send(to("any.example", "/health/live")).await.status,
        200
    );
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    for server in [Server::empty().await, local(Settings::default()).await] {
        let mut two = get("/fhir/Patient");
        two.headers_mut()
            .append("host", "localhost".parse().unwrap());
        assert_eq!(server.send(two).await.status, 400);
        let mut none = get("/health/live");
        none.headers_mut().remove("host");
        server.send(none).await.problem(400);
        let mut old = get("/health/live");
        old.headers_mut().remove("host");
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(server.send(old).await.status, 200);
        for wrong in ["a, b", "user@localhost", "localhost/x", "a b"] {
            server.send(to(wrong, "/health/live")).await.problem(400);
        }
    }
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let server = local(Settings {
        cors_origins: vec!["https://app.example".into()],
        ..Settings::default()
    })
    .await;
    let ask = |headers: &[(&'static str, &str)]| {
        let mut request = with(post("{}"), "host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = with(request, name, value);
        }
        server.send(request)
    };
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:9090")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
    ] {
        let detail = ask(headers).await.problem(403);
        assert!(detail.contains("--cors-origin"), "{detail}");
    }
    for headers in [
        &[][..],
        &[
            ("origin", "https://app.example"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[
            ("origin", "http://127.0.0.1:8080"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[("sec-fetch-site", "none")],
    ] {
        assert_eq!(ask(headers).await.status, 422, "{headers:?}");
    }
    let read = with(
        to("127.0.0.1:8080", "/fhir/Patient"),
        "origin",
        "https://evil.example",
    );
    assert_eq!(server.send(read).await.status, 200);
}
