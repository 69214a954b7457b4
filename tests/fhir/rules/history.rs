//! Histories (<https://hl7.org/fhir/R4/http.html#history>).

use serde_json::Value;

use crate::server::{BASE, PERSON, Server, entries, link, weight};

#[tokio::test]
async fn c1_39_a_history_is_newest_first_with_request_and_response() {
    let server = Server::with_example().await;
    let id = server
        .id("/Observation?code=29463-7&date=2016-09-01T07:30:15")
        .await;
    let path = format!("/Observation/{id}");
    let next = weight(PERSON, "20160901073015", "65.4", "20160902081500123");
    server.submit(&next).await;
    server.send("DELETE", &path, &[], "").await;

    for (path, number) in [
        (format!("{path}/_history"), 3),
        ("/Observation/_history".to_owned(), 13),
    ] {
        let history = server.found(&path).await;
        assert_eq!(history["type"], "history");
        let all = entries(&history);
        assert_eq!(all.len(), number, "{path}");
        let times: Vec<&str> = all
            .iter()
            .map(|e| e["response"]["lastModified"].as_str().unwrap())
            .collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
        for entry in &all {
            let method = entry["request"]["method"].as_str().unwrap();
            let status = entry["response"]["status"].as_str().unwrap();
            assert!(matches!(
                (method, &status[..3]),
                ("POST", "201") | ("PUT", "200" | "201") | ("DELETE", "204")
            ));
            let resource = &entry["resource"];
            assert_eq!(resource.is_null(), method == "DELETE", "{entry}");
            assert!(entry.get("search").is_none());
            let url = entry["fullUrl"].as_str().unwrap();
            assert!(url.starts_with(&format!("{BASE}/Observation/")), "{url}");
            if let Some(version) = resource["meta"]["versionId"].as_str() {
                assert_eq!(entry["response"]["etag"], format!("W/\"{version}\""));
                assert_eq!(
                    entry["response"]["lastModified"],
                    resource["meta"]["lastUpdated"]
                );
                let vread = format!("{}/_history/{version}", &url[BASE.len()..]);
                assert_eq!(server.found(&vread).await, *resource);
            }
        }
        // Walked in pages it is the same.
        let mut walked = Vec::new();
        let mut next = Some(format!("{path}?_count=2"));
        while let Some(url) = next {
            let page = server.found(&url).await;
            assert!(entries(&page).len() <= 2);
            walked.extend(entries(&page));
            next = link(&page, "next");
        }
        assert_eq!(walked, all, "{path}");

        since(&server, &path, &all).await;
    }
}

/// `_since` is an instant, and nothing that is not understood passes in silence.
async fn since(server: &Server, path: &str, all: &[Value]) {
    for (query, number) in [
        ("_since=2016-01-01T00:00:00Z", all.len()),
        ("_since=2016-01-01T00:00:00%2B09:00", all.len()),
        ("_since=2016-01-01T00:00:00+09:00", all.len()),
        ("_since=2999-01-01T00:00:00.000Z", 0),
    ] {
        let page = server.found(&format!("{path}?{query}")).await;
        assert_eq!(entries(&page).len(), number, "{path}?{query}");
    }
    let newest = all[0]["response"]["lastModified"].as_str().unwrap();
    let page = server.found(&format!("{path}?_since={newest}")).await;
    assert!(!entries(&page).is_empty(), "at or after: {newest}");
    for wrong in [
        "_since=2016-01-01",
        "_since=2016-01-01T00:00:00",
        "_since=2016",
        "_since=yesterday",
        "_at=2016",
        "_at=ge2016-01-01",
        "_count=x",
        "_count=-1",
    ] {
        let answer = server.get(&format!("{path}?{wrong}")).await;
        assert_eq!(answer.status, 400, "{path}?{wrong}");
        answer.issue();
    }
}
