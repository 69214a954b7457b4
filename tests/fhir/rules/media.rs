//! Media types, and what errors look like.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use kenko_fhir::http::Settings;

use crate::server::{Answer, Server};

const FHIR: &str = "application/fhir+json";
const JSON: &str = "application/json";

type Headers = Vec<(&'static str, &'static str)>;

async fn accepting(server: &Server, path: &str, accept: &str) -> Answer {
    server.send("GET", path, &[("accept", accept)], "").await
}

#[tokio::test]
async fn c1_13_every_error_is_an_operation_outcome() {
    let server = Server::with_example().await;
    let of_type = |media| [("content-type", media)];
    let calls: [(&str, &str, Headers, &str, u16, &str); 13] = [
        ("GET", "/Observation?date=x", vec![], "", 400, "invalid"),
        ("GET", "/Observation?_count=%zz", vec![], "", 400, "invalid"),
        (
            "POST",
            "/$to-fhir",
            of_type(JSON).to_vec(),
            "{",
            400,
            "structure",
        ),
        ("GET", "/Observation/unknown", vec![], "", 404, "not-found"),
        ("GET", "/Medication", vec![], "", 404, "not-supported"),
        ("DELETE", "/metadata", vec![], "", 405, "not-supported"),
        (
            "GET",
            "/Patient",
            vec![("accept", "text/html")],
            "",
            406,
            "not-supported",
        ),
        (
            "POST",
            "/$to-fhir",
            of_type("text/plain").to_vec(),
            "x",
            415,
            "not-supported",
        ),
        (
            "POST",
            "/Patient/_search",
            of_type(JSON).to_vec(),
            "{}",
            415,
            "not-supported",
        ),
        (
            "POST",
            "/$to-fhir",
            vec![("content-type", JSON), ("content-encoding", "br")],
            "x",
            415,
            "not-supported",
        ),
        (
            "POST",
            "/$to-fhir",
            of_type(JSON).to_vec(),
            "{\"format_version\":\"1.0\"}",
            422,
            "required",
        ),
        (
            "GET",
            "/Patient?gender=x",
            vec![("prefer", "handling=strict"), ("accept", "*/*;q=0")],
            "",
            406,
            "not-supported",
        ),
        (
            "GET",
            "/Observation?_sort=nothing",
            vec![("prefer", "handling=strict")],
            "",
            400,
            "not-supported",
        ),
    ];
    for (method, path, headers, body, status, code) in calls {
        let answer = server.send(method, path, &headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        answer.issue();
        let outcome = answer.json();
        assert_eq!(outcome["issue"][0]["severity"], "error");
        assert_eq!(
            outcome["issue"][0]["code"], code,
            "{method} {path}: {outcome}"
        );
        assert!(
            answer
                .header("content-type")
                .starts_with("application/fhir+json")
        );
    }
    // Where an element is wrong, it is named.
    let wrong = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},"valueQuantity":{"value":"65"}}"#;
    let answer = server
        .send("POST", "/$to-exchange", &of_type(FHIR), wrong)
        .await;
    let place = answer.json()["issue"][0]["expression"][0].to_string();
    assert!(place.contains("Observation.value"), "{place}");

    // And in Japanese where that is asked for.
    let japanese = [("accept-language", "ja")];
    let answer = server
        .send("GET", "/Observation/unknown", &japanese, "")
        .await;
    assert!(answer.issue().contains("ありません"), "{}", answer.text);
}

#[tokio::test]
async fn c1_13_limits_are_told_by_an_operation_outcome() {
    let body = |text: &str| {
        Request::post("/fhir/$to-fhir")
            .header("host", "h.example")
            .header("content-type", JSON)
            .body(Body::from(text.to_owned()))
            .unwrap()
    };
    let small = Server::with(Settings {
        body_limit: 4,
        ..Settings::default()
    });
    let answer = small.await.call(body("{\"format_version\":\"1.0\"}")).await;
    told(&answer, 413, "too-long");

    let silent = Server::with(Settings {
        body_grace: Duration::from_millis(10),
        ..Settings::default()
    });
    let answer = silent.await.call(endless()).await;
    told(&answer, 408, "timeout");

    let busy = Server::with(Settings {
        bodies: kenko_fhir::http::BodyLimits {
            open: 0,
            ..Default::default()
        },
        ..Settings::default()
    });
    let answer = busy.await.call(body(&" ".repeat(20_000))).await;
    told(&answer, 503, "transient");
    assert!(!answer.header("retry-after").is_empty());

    let slow = Server::with(Settings {
        request_timeout: Duration::from_millis(10),
        ..Settings::default()
    });
    let answer = slow.await.call(endless()).await;
    told(&answer, 503, "timeout");
}

/// A request whose body never comes.
fn endless() -> Request<Body> {
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    Request::post("/fhir/$to-fhir")
        .header("host", "h.example")
        .header("content-type", JSON)
        .body(Body::from_stream(never))
        .unwrap()
}

#[track_caller]
fn told(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    answer.issue();
    assert_eq!(answer.json()["issue"][0]["code"], code);
}

#[tokio::test]
async fn c1_15_json_in_all_its_names_and_nothing_else() {
    let server = Server::with_example().await;
    for (accept, given) in [
        ("application/fhir+json", FHIR),
        ("application/json", JSON),
        ("text/json", "text/json"),
        ("*/*", FHIR),
        ("*", FHIR),
        ("application/*", FHIR),
        ("text/*", "text/json"),
        ("APPLICATION/FHIR+JSON", FHIR),
        ("application/fhir+xml, application/json;q=0.5", JSON),
        ("application/fhir+json;q=0.4, application/json;q=0.5", JSON),
        ("application/json;q=0, */*", FHIR),
        ("text/html,application/xhtml+xml,*/*;q=0.8", FHIR),
        ("application/fhir+json; charset=utf-8", FHIR),
        ("", FHIR),
    ] {
        for path in ["/Patient", "/metadata"] {
            let answer = accepting(&server, path, accept).await;
            assert_eq!(answer.status, 200, "{accept}");
            let media = answer.header("content-type");
            assert_eq!(media.split(';').next(), Some(given), "{accept}");
        }
    }
    for accept in [
        "application/fhir+xml",
        "application/xml",
        "text/xml",
        "text/html",
        "text/turtle",
        "application/fhir+json;q=0",
        "*/*;q=0",
        "image/*",
    ] {
        let answer = accepting(&server, "/Patient", accept).await;
        assert_eq!(answer.status, 406, "{accept}");
        answer.issue();
    }
    let submission = std::fs::read_to_string("examples/first.json").unwrap();
    let bundle = {
        let sent = [("content-type", JSON)];
        server
            .send("POST", "/$to-fhir", &sent, &submission)
            .await
            .text
    };
    for (media, status) in [
        ("application/fhir+json", 200),
        ("application/fhir+json;charset=UTF-8", 200),
        ("application/json", 200),
        ("text/json", 200),
        ("Application/FHIR+JSON", 200),
        ("application/fhir+xml", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/fhir+json;charset=shift_jis", 415),
    ] {
        let sent = [("content-type", media)];
        let answer = server.send("POST", "/$to-exchange", &sent, &bundle).await;
        assert_eq!(answer.status, status, "{media}: {}", answer.text);
    }
    let answer = server.send("POST", "/$to-exchange", &[], &bundle).await;
    assert_eq!(answer.status, 415, "no Content-Type");
}

#[tokio::test]
async fn c1_16_utf8_and_the_version_of_fhir() {
    let server = Server::with_example().await;
    for (accept, status) in [
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("application/fhir+json;fhirversion=4.0", 200),
        ("application/fhir+json; fhirVersion=\"4.0\"", 200),
        ("application/fhir+json; fhirVersion=3.0", 406),
        ("application/fhir+json; fhirVersion=5.0", 406),
        (
            "application/fhir+json; fhirVersion=5.0, application/fhir+json; fhirVersion=4.0",
            200,
        ),
    ] {
        let answer = accepting(&server, "/Patient", accept).await;
        assert_eq!(answer.status, status, "{accept}");
    }
    let text = r#"{"resourceType":"Bundle","type":"collection"}"#;
    for (version, refused) in [("4.0", false), ("3.0", true), ("5.0", true)] {
        let media = format!("application/fhir+json; fhirVersion={version}");
        let sent = [("content-type", media.as_str())];
        let answer = server.send("POST", "/$to-exchange", &sent, text).await;
        assert_eq!(answer.status == 415, refused, "{media}: {}", answer.text);
    }
    // Everything is UTF-8 and says so.
    for (path, status) in [
        ("/metadata", 200),
        ("/Organization", 200),
        ("/Observation/unknown", 404),
        ("/Observation?date=x", 400),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status);
        let media = answer.header("content-type");
        assert_eq!(media, "application/fhir+json;charset=utf-8", "{path}");
    }
    let text = server.get("/Organization").await.text;
    assert!(text.contains("七福神健康コンソーシアム"), "{text}");
}

#[tokio::test]
async fn c1_17_the_format_parameter_beats_accept() {
    let server = Server::with_example().await;
    let xml = "application/fhir+xml";
    for (format, given) in [
        ("json", FHIR),
        ("application/json", JSON),
        ("application/fhir%2Bjson", FHIR),
        ("application/fhir+json", FHIR),
        ("application/fhir%20json", FHIR),
        ("text/json", "text/json"),
    ] {
        for path in ["/Patient?_count=1&", "/metadata?"] {
            let path = format!("{path}_format={format}");
            let answer = accepting(&server, &path, xml).await;
            assert_eq!(answer.status, 200, "{path}");
            let media = answer.header("content-type");
            assert_eq!(media.split(';').next(), Some(given), "{path}");
        }
    }
    for format in ["xml", "application/fhir+xml", "html", "ttl", "text/xml"] {
        let path = format!("/Patient?_format={format}");
        let answer = accepting(&server, &path, FHIR).await;
        assert_eq!(answer.status, 406, "{path}");
        answer.issue();
    }
    // In a form too, where a plus is a blank.
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", xml),
    ];
    let answer = server
        .send("POST", "/Patient/_search?_format=json", &form, "_count=1")
        .await;
    assert_eq!(answer.status, 200);
    let search = async |body: &str| server.send("POST", "/Patient/_search", &form, body).await;
    for format in ["json", "application%2Fjson", "application/fhir+json"] {
        let answer = search(&format!("_count=1&_format={format}&_pretty=true")).await;
        assert_eq!(answer.status, 200, "{format}: {}", answer.text);
        assert!(answer.text.contains("\n  "), "{}", answer.text);
    }
    for body in ["_count=1", "_count=1&_format=xml"] {
        let answer = search(body).await;
        assert_eq!(answer.status, 406, "{body}");
        answer.issue();
    }
}
