//! read, vread, history, delete and their headers.

use serde_json::Value;

use crate::server::{PERSON, Server, entries, link, matches, weight};

async fn weight_id(server: &Server) -> String {
    server
        .id("/Observation?code=29463-7&date=2016-09-01T07:30:15")
        .await
}

#[tokio::test]
async fn what_the_client_has_already_is_304() {
    let server = Server::with_example().await;
    let id = weight_id(&server).await;
    let organization = server.id("/Organization?identifier=A00001").await;
    for path in [
        format!("/Observation/{id}"),
        format!("/Organization/{organization}"),
    ] {
        let answer = server.get(&path).await;
        let (etag, modified) = (answer.header("etag"), answer.header("last-modified"));
        for (name, value, status) in [
            ("if-none-match", etag, 304),
            ("if-none-match", "W/\"9\", W/\"1\"", 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "W/\"9\"", 200),
            ("if-modified-since", modified, 304),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
            ("if-modified-since", "yesterday", 200),
        ] {
            let answer = server.send("GET", &path, &[(name, value)], "").await;
            assert_eq!(answer.status, status, "{name}: {value}");
            assert_eq!(answer.header("etag"), etag);
            assert_eq!(answer.text.is_empty(), status == 304);
        }
    }
}

#[tokio::test]
async fn c1_11_what_is_not_supported_is_404_or_405_with_an_outcome() {
    let server = Server::with_example().await;
    for (method, path, status, allow) in [
        ("GET", "/Medication", 404, ""),
        ("GET", "/Medication/1", 404, ""),
        ("GET", "/Observation/a/b/c/d", 404, ""),
        ("GET", "/Patient/a/_history", 404, ""),
        ("GET", "/Organization/a/_history", 404, ""),
        ("GET", "/$nothing", 404, ""),
        ("DELETE", "/Organization/a", 405, "GET,HEAD"),
        ("DELETE", "/Device/a", 405, "GET,HEAD,PUT"),
        ("PUT", "/Organization/a", 405, "GET,HEAD"),
        ("POST", "/metadata", 405, "GET,HEAD"),
        ("GET", "/$to-fhir", 405, "POST"),
    ] {
        let answer = server.send(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        answer.issue();
    }
}

#[tokio::test]
async fn versions_stay_readable() {
    let server = Server::with_example().await;
    let id = weight_id(&server).await;
    server
        .submit(&weight(
            PERSON,
            "20160901073015",
            "65.4",
            "20160902081500123",
        ))
        .await;
    let read = server.found(&format!("/Observation/{id}")).await;
    assert_eq!(read["meta"]["versionId"], "2");
    assert_eq!(read["status"], "corrected");
    for (version, status, value) in [("1", "final", "65.50"), ("2", "corrected", "65.4")] {
        let read = server
            .found(&format!("/Observation/{id}/_history/{version}"))
            .await;
        assert_eq!(read["meta"]["versionId"], version);
        assert_eq!(read["status"], status);
        assert_eq!(read["valueQuantity"]["value"].to_string(), value);
    }
    for version in ["0", "3", "01", "x", "-1", "99999999999"] {
        let path = format!("/Observation/{id}/_history/{version}");
        assert_eq!(server.get(&path).await.status, 404, "{version}");
    }
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    server
        .found(&format!("/Patient/{patient}/_history/1"))
        .await;
    assert_eq!(
        server
            .get(&format!("/Patient/{patient}/_history/2"))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn c1_10_delete_is_idempotent_and_keeps_the_history() {
    let server = Server::with_example().await;
    let id = weight_id(&server).await;
    let path = format!("/Observation/{id}");
    for absent in [
        "/Observation/unknown",
        "/Observation/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(server.send("DELETE", absent, &[], "").await.status, 204);
    }
    let before = server.number("/Observation").await;
    for _ in 0..2 {
        let answer = server.send("DELETE", &path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    }
    let read = server.get(&path).await;
    assert_eq!(read.status, 410);
    assert_eq!(read.json()["issue"][0]["code"], "deleted");
    assert_eq!(server.get(&format!("{path}/_history/2")).await.status, 410);
    assert_eq!(
        server.found(&format!("{path}/_history/1")).await["id"],
        id.as_str()
    );
    assert_eq!(server.number("/Observation").await, before - 1);
    assert_eq!(server.number(&format!("/Observation?_id={id}")).await, 0);
    assert_eq!(
        server.found("/Observation?_summary=count").await["total"],
        before - 1
    );
}

#[tokio::test]
async fn a_resend_after_a_deletion_needs_a_newer_update_time() {
    let server = Server::with_example().await;
    let id = weight_id(&server).await;
    let path = format!("/Observation/{id}");
    server.send("DELETE", &path, &[], "").await;
    let again = |update_time: &str| weight(PERSON, "20160901073015", "65.5", update_time);
    let receipt = server.submit(&again("20160901081500123")).await;
    assert_eq!(receipt.counts.stale, 1);
    assert_eq!(server.get(&path).await.status, 410);
    let receipt = server.submit(&again("20160901081500124")).await;
    assert_eq!(receipt.counts.updated, 1);
    assert_eq!(server.found(&path).await["meta"]["versionId"], "3");
    assert_eq!(server.get(&format!("{path}/_history/2")).await.status, 410);
    let history = server.found(&format!("{path}/_history")).await;
    let methods: Vec<Value> = entries(&history)
        .iter()
        .map(|e| e["request"]["method"].clone())
        .collect();
    assert_eq!(methods, ["PUT", "DELETE", "POST"]);
}

#[tokio::test]
async fn c1_6_a_stale_if_match_is_412() {
    let server = Server::with_example().await;
    let path = format!("/Observation/{}", weight_id(&server).await);
    for (tag, status) in [
        ("W/\"2\"", 412),
        ("W/\"x\"", 412),
        ("2", 400),
        ("", 400),
        ("W/\"3\", \"1\"", 204),
        ("W/\"1\"", 412),
        ("*", 412),
    ] {
        let answer = server.send("DELETE", &path, &[("if-match", tag)], "").await;
        assert_eq!(answer.status, status, "{tag}");
    }
}

#[tokio::test]
async fn c1_39_a_history_lists_versions_newest_first() {
    let server = Server::with_example().await;
    let id = weight_id(&server).await;
    let path = format!("/Observation/{id}/_history");
    server
        .submit(&weight(
            PERSON,
            "20160901073015",
            "65.4",
            "20160902081500123",
        ))
        .await;
    server
        .send("DELETE", &format!("/Observation/{id}"), &[], "")
        .await;
    let history = server.found(&path).await;
    assert_eq!(
        (history["type"].as_str(), history["total"].as_u64()),
        (Some("history"), Some(3))
    );
    let told: Vec<String> = entries(&history)
        .iter()
        .map(|e| {
            assert!(
                e["fullUrl"]
                    .as_str()
                    .unwrap()
                    .ends_with(&format!("/fhir/Observation/{id}"))
            );
            assert!(e["response"]["lastModified"].is_string());
            format!(
                "{} {} {} {}",
                e["request"]["method"].as_str().unwrap(),
                e["response"]["status"].as_str().unwrap(),
                e["response"]["etag"].as_str().unwrap(),
                e.get("resource").is_some()
            )
        })
        .collect();
    let want = [
        "DELETE 204 W/\"3\" false",
        "PUT 200 W/\"2\" true",
        "POST 201 W/\"1\" true",
    ];
    assert_eq!(told, want);

    let mut seen = Vec::new();
    let mut next = Some(format!("{path}?_count=1"));
    while let Some(url) = next {
        let page = server
            .found(&url[url.find("/Observation").unwrap()..])
            .await;
        assert_eq!(page["total"], 3);
        seen.extend(
            entries(&page)
                .iter()
                .map(|e| e["response"]["etag"].to_string()),
        );
        next = link(&page, "next");
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(
        entries(
            &server
                .found(&format!("{path}?_since=2016-01-01T00:00:00Z"))
                .await
        )
        .len(),
        3
    );
    let future = server
        .found(&format!("{path}?_since=2999-01-01T00:00:00+09:00"))
        .await;
    assert_eq!(
        (entries(&future).len(), future["total"].as_u64()),
        (0, Some(0))
    );
    for wrong in [
        "_since=2016-01-01",
        "_since=2016-01-01T00:00:00",
        "_since=x",
        "_at=2016",
        "_count=x",
    ] {
        assert_eq!(
            server.get(&format!("{path}?{wrong}")).await.status,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_history_of_a_type_has_every_version_once() {
    let server = Server::with_example().await;
    let id = weight_id(&server).await;
    server
        .submit(&weight(
            PERSON,
            "20160901073015",
            "65.4",
            "20160902081500123",
        ))
        .await;
    server
        .send("DELETE", &format!("/Observation/{id}"), &[], "")
        .await;
    let all = entries(&server.found("/Observation/_history").await);
    assert_eq!(all.len(), 13);
    assert_eq!(all[0]["request"]["method"], "DELETE");
    assert_eq!(all[1]["request"]["method"], "PUT");
    let mut seen = Vec::new();
    let mut next = Some("/Observation/_history?_count=4".to_owned());
    while let Some(url) = next {
        let page = server.found(&url).await;
        seen.extend(entries(&page));
        next = link(&page, "next");
    }
    assert_eq!(seen, all);
    let future = server
        .found("/Observation/_history?_since=2999-01-01T00:00:00Z")
        .await;
    assert!(entries(&future).is_empty());
    assert!(future.get("total").is_none());
}

#[tokio::test]
async fn a_change_of_the_methods_shows_at_once() {
    let server = Server::with_example().await;
    let hplc = "/Observation?code=17856-6";
    let id = server.id(hplc).await;
    assert_eq!(server.number("/Observation?code=4548-4").await, 2);
    let codes = |read: &Value| read["code"]["coding"].as_array().unwrap().len();
    assert_eq!(codes(&server.found(&format!("/Observation/{id}")).await), 3);

    let list = kenko_fhir::registry::List::by_name("hba1c-methods").unwrap();
    let json =
        r#"[{"measurement_method_code":"000001","method_class_code":"1","method_name":"x"}]"#;
    let rows = kenko_fhir::registry::read_json(list, json.as_bytes(), &Default::default())
        .unwrap()
        .rows;
    server
        .store
        .change_registry(list, &rows, false)
        .await
        .unwrap()
        .unwrap();
    let read = server.found(&format!("/Observation/{id}")).await;
    assert_eq!(codes(&read), 2);
    assert_eq!(read["code"]["coding"][1]["code"], "3D046000001906202");
    assert_eq!(server.number(hplc).await, 0);
    assert_eq!(server.id("/Observation?code=3D046000001906202").await, id);
    assert_eq!(
        matches(&server.found("/Observation?code=4548-4").await).len(),
        2
    );
}
