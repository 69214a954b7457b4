//! Bodies: what is large, what is too much at once, and how much is said of it.

use axum::http::Method;
use kenko_fhir::http::{BodyLimits, Settings};
use serde_json::Value;

use crate::server::{Answer, JSON, Server, gzip, post, request, with};

const NDJSON: &str = "application/fhir+ndjson";

fn first() -> String {
    std::fs::read_to_string("examples/first.json").unwrap()
}

/// The example with so many blanks before it.
fn padded(blanks: usize) -> String {
    " ".repeat(blanks) + &first()
}

async fn with_limits(bodies: BodyLimits) -> Server {
    let server = Server::with(Settings {
        bodies,
        ..Settings::default()
    })
    .await;
    server.register("examples/registries").await;
    server
}

async fn convert(server: &Server, lines: &str) -> Answer {
    let request = request(
        Method::POST,
        "/fhir/$to-exchange",
        NDJSON,
        gzip(lines.as_bytes()),
    );
    server.send(with(request, "content-encoding", "gzip")).await
}

/// The issues of an OperationOutcome that stands alone or in a part.
fn issues(answer: &Answer) -> Vec<Value> {
    answer.json()["issue"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_body_of_any_length_is_read_as_the_same() {
    for blanks in [0, 60_000, 131_072, 1 << 20] {
        let server = Server::registered().await;
        let text = padded(blanks);
        assert_eq!(server.submit(&text).await.status, 201, "{blanks}");
        let packed = request(
            Method::POST,
            "/exchange/submissions",
            JSON,
            gzip(text.as_bytes()),
        );
        let again = server.send(with(packed, "content-encoding", "gzip")).await;
        assert_eq!(again.status, 200, "{}", again.text());
    }
}

#[tokio::test]
async fn a_body_that_needs_more_than_the_memory_budget_takes_all_of_it() {
    let server = with_limits(BodyLimits {
        memory: 100 << 10,
        ..BodyLimits::default()
    })
    .await;
    let text = padded(1 << 20);
    let answers = futures_util::future::join_all((0..4).map(|_| server.submit(&text))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
}

#[tokio::test]
async fn bodies_that_fill_their_room_are_503_and_leave_it_free() {
    let server = with_limits(BodyLimits {
        spooled: 300 << 10,
        ..BodyLimits::default()
    })
    .await;
    let large = padded(1 << 20);
    for _ in 0..2 {
        let refused = server.submit(&large).await;
        assert!(refused.problem(503).contains("--spool-limit"));
        let packed = request(
            Method::POST,
            "/exchange/submissions",
            JSON,
            gzip(large.as_bytes()),
        );
        let refused = server.send(with(packed, "content-encoding", "gzip")).await;
        assert!(refused.problem(503).contains("--spool-limit"));
    }
    assert_eq!(server.submit(&padded(200 << 10)).await.status, 201);
}

#[tokio::test]
async fn faults_of_a_list_are_few_and_counted() {
    let server = Server::registered().await;
    for unit in ["{},", "1,", "[],"] {
        let rows = format!("[{}1]", unit.repeat(1_000_000 / unit.len()));
        let path = "/exchange/registries/participants";
        let request = request(Method::PUT, path, JSON, gzip(rows.as_bytes()));
        let answer = server.send(with(request, "content-encoding", "gzip")).await;
        let detail = answer.problem(422);
        assert!(detail.contains("nothing was changed"), "{detail}");
        assert!(detail.contains("are listed"), "{detail}");
        let listed = answer.json()["faults"].as_array().unwrap().len();
        assert!((1000..=10_000).contains(&listed), "{listed}");
        assert!(answer.body.len() < 5 << 20);
    }
}

#[tokio::test]
async fn faults_of_a_conversion_are_few_and_counted() {
    let server = Server::registered().await;
    let answer = convert(&server, &"{}\n".repeat(200_000)).await;
    assert_eq!(answer.status, 422);
    let issues = issues(&answer);
    assert!((1000..=10_001).contains(&issues.len()), "{}", issues.len());
    let last = issues.last().unwrap();
    let told = last["diagnostics"].as_str().unwrap();
    assert!(told.ends_with("more are not listed"), "{told}");

    let junk = format!("{{{}\"b\":1}}", "\"a\":1,".repeat(100_000));
    let answer = server
        .send(request(Method::POST, "/fhir/$to-fhir", JSON, junk))
        .await;
    assert_eq!(answer.status, 422);
    assert!((1000..=10_001).contains(&self::issues(&answer).len()));
}

#[tokio::test]
async fn a_resource_of_more_memory_than_one_may_need_is_400() {
    let server = Server::empty().await;
    for (start, unit) in [
        ("{\"resourceType\":\"Bundle\",", "\"a\":1,"),
        (
            "{\"resourceType\":\"Bundle\",",
            "\"resourceType\":\"Bundle\",",
        ),
        ("{\"resourceType\":\"Observation\",\"note\":[", "{},"),
        ("{\"resourceType\":\"Observation\",\"note\":[", "\"\","),
    ] {
        let body = start.to_owned() + &unit.repeat((16 << 20) / unit.len());
        for path in ["/fhir", "/fhir/Observation", "/fhir/$to-exchange"] {
            let request = request(
                Method::POST,
                path,
                "application/fhir+json",
                gzip(body.as_bytes()),
            );
            let answer = server.send(with(request, "content-encoding", "gzip")).await;
            assert_eq!(answer.status, 400, "{path} {unit}");
            assert!(
                answer.text().contains("too large"),
                "{path} {unit}: {}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn bundles_without_content_are_free_and_others_are_limited() {
    let server = Server::registered().await;
    let empty = "{\"resourceType\":\"Bundle\",\"entry\":[{}]}\n";
    let answer = convert(&server, &empty.repeat(20_000)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let patient = "{\"resourceType\":\"Patient\",\"id\":\"a\"}";
    let full = format!("{{\"resourceType\":\"Bundle\",\"entry\":[{{\"resource\":{patient}}}]}}\n");
    let answer = convert(&server, &full.repeat(20_000)).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("send them in parts"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_fault_does_not_repeat_names_of_any_length() {
    let server = Server::empty().await;
    let name = "k".repeat(1 << 20);
    let inside = vec!["\"a\":1"; 25].join(",");
    let body = format!("{{\"resourceType\":\"Observation\",\"{name}\":{{{inside}}}}}");
    let request = request(
        Method::POST,
        "/fhir/Observation",
        "application/fhir+json",
        body,
    );
    let answer = server.send(request).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.len() < 100_000, "{}", answer.body.len());
    let answer = server.send(post(&format!("{{\"{name}\":1}}"))).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.len() < 20_000, "{}", answer.body.len());
}

#[tokio::test]
async fn the_answers_of_a_bundle_are_limited_together() {
    let server = Server::with(Settings {
        bundle_answer_limit: 6000,
        ..Settings::default()
    })
    .await;
    server.register("examples/registries").await;
    assert_eq!(server.submit(&first()).await.status, 201);
    let one = server.get("/fhir/Observation?_count=1").await.body.len();
    assert!((500..3000).contains(&one), "{one}");
    for kind in ["batch", "transaction"] {
        let entry = "{\"request\":{\"method\":\"GET\",\"url\":\"Observation?_count=1\"}}";
        let entries = vec![entry; 30].join(",");
        let body =
            format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\",\"entry\":[{entries}]}}");
        let sent = request(Method::POST, "/fhir", "application/fhir+json", body);
        let answer = server.send(sent).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        let statuses: Vec<&str> = answer["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["response"]["status"].as_str().unwrap())
            .collect();
        let good = statuses.iter().filter(|s| s.starts_with("200")).count();
        assert!((2..12).contains(&good), "{statuses:?}");
        assert!(statuses[good..].iter().all(|s| s.starts_with("422")));
        let told = &answer["entry"][29]["response"]["outcome"]["issue"][0];
        assert_eq!(told["code"], "too-costly");
        assert!(
            told["diagnostics"]
                .as_str()
                .unwrap()
                .contains("--bundle-answer-limit")
        );
    }
}
