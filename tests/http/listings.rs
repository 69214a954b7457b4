//! Listings of receipts and of the quarantine.

use axum::http::Method;
use serde_json::{Value, json};

use crate::server::*;

/// Walks the pages of a listing; gives the ids.
async fn walk(server: &Server, path: &str, name: &str) -> Vec<Value> {
    let mut ids = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let answer = server.get(&path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, JSON),
            "{}",
            answer.text()
        );
        let page = answer.json();
        ids.extend(
            page[name]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].clone()),
        );
        next = page["next"].as_str().map(str::to_owned);
        if let Some(next) = &next {
            assert!(next.starts_with("http://kenko.test/exchange/"), "{next}");
        }
    }
    ids
}

#[tokio::test]
async fn receipts_are_listed_newest_first_page_by_page() {
    let server = Server::registered().await;
    assert_eq!(
        server.get("/exchange/submissions").await.json(),
        json!({"receipts": [], "next": null})
    );
    let mut ids = Vec::new();
    for i in 0..9 {
        let text = weight(
            "20160901073015",
            &format!("2016090108150012{i}"),
            &format!("6{i}"),
        );
        ids.push(server.submit(&text).await.json()["id"].clone());
    }
    ids.reverse();
    for count in [1, 2, 4, 9, 10] {
        let path = format!("/exchange/submissions?consortium_id=A00001&count={count}");
        assert_eq!(walk(&server, &path, "receipts").await, ids, "{count}");
    }
    assert_eq!(
        walk(&server, "/exchange/submissions", "receipts").await,
        ids
    );
    assert_eq!(
        walk(
            &server,
            "/exchange/submissions?consortium_id=B00001",
            "receipts"
        )
        .await
        .len(),
        0
    );
}

#[tokio::test]
async fn since_is_a_time_and_its_plus_survives() {
    let server = Server::registered().await;
    let receipt = server.submit(&first()).await.json();
    let at = receipt["received_at"].as_str().unwrap();
    for since in [
        at.to_owned(),
        at.replace('+', "%2B"),
        at.replace('+', "%20"),
        "2016-09-01T00:00:00Z".into(),
    ] {
        let listed = server
            .get(&format!("/exchange/submissions?since={since}"))
            .await
            .json();
        assert_eq!(listed["receipts"].as_array().unwrap().len(), 1, "{since}");
    }
    let listed = server
        .get("/exchange/submissions?since=2999-01-01T00:00:00Z")
        .await
        .json();
    assert_eq!(listed["receipts"], json!([]));
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let server = Server::registered().await;
    for (query, named) in [
        ("since=yesterday", "since"),
        ("since=2016-09-01T12:00:00", "since"),
        ("consortium_id=A-1", "consortium_id"),
        ("consortium_id=", "consortium_id"),
        ("consortium_id=A00001&consortium_id=A00002", "consortium_id"),
        ("count=0", "count"),
        ("count=1001", "count"),
        ("page=x", "page"),
        ("consortium=A00001", "consortium"),
        ("since=%zz", "%zz"),
    ] {
        let detail = server
            .get(&format!("/exchange/submissions?{query}"))
            .await
            .problem(400);
        assert!(detail.contains(named), "{query}: {detail}");
    }
    server
        .get("/exchange/quarantine?since=2016-09-01T00:00:00Z")
        .await
        .problem(400);
    server.get("/exchange/quarantine?page=x").await.problem(400);
    let answer = server
        .send(with(
            get("/exchange/submissions?since=x"),
            "accept-language",
            "ja",
        ))
        .await;
    assert!(answer.problem(400).contains("のような日時"));
    assert_eq!(answer.header("content-language"), "ja");
}

#[tokio::test]
async fn the_quarantine_is_paged_and_rows_are_dismissed_once() {
    let server = Server::registered().await;
    let bad: Vec<String> = (1..=7)
        .map(|day| {
            weight_record(
                &format!("2016090{day}073015"),
                "20160910081500123",
                "65.505",
            )
        })
        .collect();
    server.submit_lenient(&submission(&bad)).await.problem(422);
    let all = walk(&server, "/exchange/quarantine", "quarantine").await;
    assert_eq!(all.len(), 7);
    for count in [1, 3, 7] {
        let path = format!("/exchange/quarantine?consortium_id=A00001&count={count}");
        assert_eq!(walk(&server, &path, "quarantine").await, all);
    }
    let path = format!("/exchange/quarantine/{}", all[3]);
    let delete = || server.send(request(Method::DELETE, &path, JSON, ""));
    let gone = delete().await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    delete().await.problem(404);
    server
        .send(request(Method::DELETE, "/exchange/quarantine/x", JSON, ""))
        .await
        .problem(404);
    assert_eq!(
        walk(&server, "/exchange/quarantine", "quarantine")
            .await
            .len(),
        6
    );
}
