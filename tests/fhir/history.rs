//! Histories of a resource, of a type and of all.

use serde_json::Value;

use crate::server::{PERSON, Server, entries, link, weight};

/// Version and id of the entries, after a look at their form.
fn versions(bundle: &Value) -> Vec<(String, String)> {
    assert_eq!(bundle["type"], "history");
    entries(bundle)
        .iter()
        .map(|entry| {
            let url = entry["fullUrl"].as_str().unwrap();
            let id = url.rsplit('/').next().unwrap().to_owned();
            let deleted = entry["request"]["method"] == "DELETE";
            assert_eq!(entry.get("resource").is_none(), deleted);
            assert!(entry["response"]["lastModified"].is_string());
            (entry["response"]["etag"].as_str().unwrap().to_owned(), id)
        })
        .collect()
}

/// With a weight of two versions and a deletion, beside the example.
async fn with_versions() -> (Server, String) {
    let server = Server::with_example().await.since_new_year().await;
    for (value, update_time) in [("60.0", "20160601080000000"), ("61.0", "20160602080000000")] {
        let text = weight(PERSON, "20160601070000", value, update_time);
        server.submit(&text).await;
    }
    let id = server.id("/Observation?code=29463-7&date=2016-06-01").await;
    let gone = server
        .send("DELETE", &format!("/Observation/{id}"), &[], "")
        .await;
    assert!(gone.status.is_success());
    (server, id)
}

/// Walks to the end and back again: the same pages.
async fn walk(server: &Server, path: &str, count: usize) -> Vec<(String, String)> {
    let mut at = format!("{path}?_count={count}");
    let mut forth = vec![server.found(&at).await];
    assert_eq!(link(&forth[0], "previous"), None);
    while let Some(next) = link(forth.last().unwrap(), "next") {
        at = next;
        forth.push(server.found(&at).await);
    }
    let mut all = Vec::new();
    for page in &forth {
        let here = versions(page);
        assert!((1..=count).contains(&here.len()));
        all.extend(here);
    }
    let mut back = forth.last().unwrap().clone();
    for page in forth.iter().rev().skip(1) {
        back = server.found(&link(&back, "previous").unwrap()).await;
        assert_eq!(versions(&back), versions(page));
        assert!(link(&back, "next").is_some());
    }
    assert_eq!(link(&back, "previous"), None);
    all
}

#[tokio::test]
async fn pages_of_a_history_are_walked_both_ways() {
    let (server, id) = with_versions().await;
    let own = format!("/Observation/{id}/_history");
    let whole = versions(&server.found(&own).await);
    let tags: Vec<&str> = whole.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["W/\"3\"", "W/\"2\"", "W/\"1\""]);
    for count in [1, 2, 3, 10] {
        assert_eq!(walk(&server, &own, count).await, whole, "{count}");
    }
    let of_type = versions(&server.found("/Observation/_history").await);
    assert_eq!(of_type.len(), 14);
    assert_eq!(of_type[..3], whole);
    for count in [1, 4, 7, 13, 14] {
        assert_eq!(
            walk(&server, "/Observation/_history", count).await,
            of_type,
            "{count}"
        );
    }
}

#[tokio::test]
async fn the_history_of_all_has_every_type_that_keeps_versions() {
    let (server, _) = with_versions().await;
    let all = server.found("/_history").await;
    assert_eq!(link(&all, "self").unwrap(), "/_history");
    let of_type = server.found("/Observation/_history").await;
    assert_eq!(all["entry"], of_type["entry"]);
    assert_eq!(walk(&server, "/_history", 5).await, versions(&of_type));
    // A cursor belongs to its address.
    let first = server.found("/_history?_count=2").await;
    let other = link(&first, "next")
        .unwrap()
        .replace("/_history", "/Observation/_history");
    assert_eq!(server.get(&other).await.status, 400);
    let statement = server.found("/metadata").await;
    let claimed = statement["rest"][0]["interaction"].as_array().unwrap();
    assert!(claimed.iter().any(|i| i["code"] == "history-system"));
}

#[tokio::test]
async fn what_a_history_is_asked_for() {
    let (server, id) = with_versions().await;
    for path in [
        "/_history",
        "/Observation/_history",
        &format!("/Observation/{id}/_history"),
    ] {
        let none = server
            .found(&format!("{path}?_since=2999-01-01T00:00:00Z"))
            .await;
        assert_eq!(none.get("entry"), None);
        let all = server
            .found(&format!("{path}?_since=2000-01-01T00:00:00%2B09:00"))
            .await;
        assert_eq!(versions(&all), versions(&server.found(path).await));
        for wrong in [
            "_since=2016-01-01",
            "_since=x",
            "_at=2016",
            "_list=1",
            "_count=0",
            "_count=x",
            "_cursor=abc",
            "_summary=count",
        ] {
            let answer = server.get(&format!("{path}?{wrong}")).await;
            assert_eq!(answer.status, 400, "{path}?{wrong}");
            answer.issue();
        }
        let strict = [("prefer", "handling=strict")];
        let unknown = format!("{path}?no-such=1");
        assert_eq!(server.send("GET", &unknown, &strict, "").await.status, 400);
        assert_eq!(server.get(&unknown).await.status, 200);
    }
}
