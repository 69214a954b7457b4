//! read, vread and what is common to all addresses.

use kenko_fhir::fhir::check;
use kenko_fhir::fhir::resource::{Interaction, RESOURCES, Resource};
use serde_json::Value;

use crate::server::{PERSON, Server, entries, weight};

/// One instance of each type.
async fn one_of_each(server: &Server) -> Vec<(&'static Resource, String)> {
    let mut each = Vec::new();
    for resource in RESOURCES {
        let found = server
            .matches(&format!("/{}?_count=1", resource.name()))
            .await;
        let id = found[0]["id"].as_str().unwrap().to_owned();
        each.push((resource, id));
    }
    each
}

async fn weight_path(server: &Server) -> String {
    let query = "/Observation?code=29463-7&date=2016-09-01T07:30:15";
    format!("/Observation/{}", server.id(query).await)
}

/// The next version of that weight.
async fn correct(server: &Server) {
    let next = weight(PERSON, "20160901073015", "65.4", "20160902081500123");
    assert_eq!(server.submit(&next).await.counts.updated, 1);
}

#[tokio::test]
async fn c1_01_unknown_is_404_and_deleted_is_410() {
    let server = Server::with_example().await;
    for (resource, id) in one_of_each(&server).await {
        let name = resource.name();
        let absent = "A".repeat(id.len());
        let long = "a".repeat(65);
        for id in ["unknown", &absent, &long, "a_b", "%20", "%E5%81%A5"] {
            let answer = server.get(&format!("/{name}/{id}")).await;
            assert_eq!(answer.status, 404, "{name}/{id}");
            assert_eq!(answer.json()["issue"][0]["code"], "not-found");
            answer.issue();
            for version in ["1", "0", "x"] {
                let path = format!("/{name}/{id}/_history/{version}");
                assert_eq!(server.get(&path).await.status, 404, "{path}");
            }
            if resource.has(Interaction::HistoryInstance) {
                let path = format!("/{name}/{id}/_history");
                assert_eq!(server.get(&path).await.status, 404, "{path}");
            }
        }
        // A version that the resource does not have.
        let path = format!("/{name}/{id}/_history/9");
        assert_eq!(server.get(&path).await.status, 404, "{path}");
    }

    let path = weight_path(&server).await;
    correct(&server).await;
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
    for gone in [path.clone(), format!("{path}/_history/3")] {
        let answer = server.get(&gone).await;
        assert_eq!(answer.status, 410, "{gone}");
        assert_eq!(answer.json()["issue"][0]["code"], "deleted");
        answer.issue();
    }
    for (version, value) in [("1", "65.50"), ("2", "65.4")] {
        let former = server.found(&format!("{path}/_history/{version}")).await;
        assert_eq!(former["valueQuantity"]["value"].to_string(), value);
    }
    assert_eq!(server.get(&format!("{path}/_history/4")).await.status, 404);
    assert_eq!(
        entries(&server.found(&format!("{path}/_history")).await).len(),
        3
    );
}

#[tokio::test]
async fn c1_02_reads_send_etag_and_last_modified() {
    let server = Server::with_example().await;
    for (resource, id) in one_of_each(&server).await {
        let path = format!("/{}/{id}", resource.name());
        let read = server.get(&path).await;
        let body = read.json();
        let version = body["meta"]["versionId"].as_str().unwrap();
        assert_eq!(read.header("etag"), format!("W/\"{version}\""), "{path}");
        let updated = body["meta"]["lastUpdated"].as_str().unwrap();
        let updated = chrono::DateTime::parse_from_rfc3339(updated)
            .unwrap()
            .to_utc();
        let modified = updated.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert_eq!(read.header("last-modified"), modified, "{path}");
        let vread = server.get(&format!("{path}/_history/{version}")).await;
        assert_eq!(vread.json(), body);
        for header in ["etag", "last-modified"] {
            assert_eq!(vread.header(header), read.header(header), "{path}");
        }
    }
    let path = weight_path(&server).await;
    correct(&server).await;
    for (path, etag) in [
        (path.clone(), "W/\"2\""),
        (format!("{path}/_history/1"), "W/\"1\""),
        (format!("{path}/_history/2"), "W/\"2\""),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.header("etag"), etag, "{path}");
        let version = answer.json()["meta"]["versionId"].clone();
        assert_eq!(format!("W/{version}"), etag);
    }
}

#[tokio::test]
async fn c1_11_what_is_not_there_is_404_or_405_and_says_so() {
    let server = Server::with_example().await;
    let weight = weight_path(&server).await;
    for (method, path, status) in [
        ("GET", "/Medication", 404),
        ("GET", "/Medication/1", 404),
        ("POST", "/Medication", 404),
        ("PUT", "/Medication/1", 404),
        ("POST", "/Medication/_search", 404),
        ("GET", "/observation", 404),
        ("GET", "/Nothing", 404),
        ("GET", "/$nothing", 404),
        ("GET", "/Observation/a/b/c/d", 404),
        ("GET", "/Observation/_search", 405),
        ("PUT", "/Organization/a", 405),
        ("PATCH", "/Organization/a", 405),
        ("DELETE", "/Organization/a", 405),
        ("DELETE", "/metadata", 405),
        ("POST", "/metadata", 405),
        ("PUT", &format!("{weight}/_history/1"), 405),
        ("GET", "/$to-fhir", 405),
        ("TRACE", "/Observation", 405),
    ] {
        let answer = server.send(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_eq!(
            answer.json()["issue"][0]["code"],
            "not-supported",
            "{method} {path}"
        );
        answer.issue();
        let allow = answer.header("allow");
        assert_eq!(allow.is_empty(), status == 404, "{method} {path}: {allow}");
        assert!(!allow.contains(method), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn c1_18_a_slash_at_the_end_is_no_other_address() {
    let server = Server::with_example().await;
    let mut paths = vec!["/metadata".to_owned(), "/metadata?mode=full".into()];
    for (resource, id) in one_of_each(&server).await {
        let name = resource.name();
        paths.extend([
            format!("/{name}"),
            format!("/{name}?_count=1&_id=a/b"),
            format!("/{name}/{id}"),
        ]);
        if resource.has(Interaction::HistoryInstance) {
            paths.push(format!("/{name}/{id}/_history"));
            paths.push(format!("/{name}/{id}/_history/1"));
        }
    }
    for path in paths {
        let (address, query) = path.split_once('?').unwrap_or((&path, ""));
        let (plain, slash) = (
            server.get(&path).await,
            server.get(&format!("{address}/?{query}")).await,
        );
        assert_eq!(plain.status, 200, "{path}");
        assert_eq!(
            (slash.status, &slash.text),
            (plain.status, &plain.text),
            "{path}"
        );
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for path in ["/Patient/_search", "/Patient/_search/"] {
        let answer = server.send("POST", path, &form, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (200, "")
        );
    }
}

#[tokio::test]
async fn c1_19_head_is_get_without_its_body() {
    let server = Server::with_example().await;
    let weight = weight_path(&server).await;
    let etag = "W/\"1\"";
    let mut calls: Vec<(String, Vec<(&str, &str)>)> = [
        "/metadata",
        "/metadata?_pretty=true",
        "/Observation?_count=2",
        "/Observation?date=x",
        "/Observation/unknown",
        "/Medication",
        "/Observation/_history",
        &weight,
        &format!("{weight}/_history"),
        &format!("{weight}/_history/1"),
        &format!("{weight}/_history/9"),
    ]
    .into_iter()
    .map(|path| (path.to_owned(), Vec::new()))
    .collect();
    calls.push((weight.clone(), vec![("if-none-match", etag)]));
    calls.push((weight.clone(), vec![("accept", "application/fhir+xml")]));
    for (resource, id) in one_of_each(&server).await {
        calls.push((format!("/{}/{id}", resource.name()), Vec::new()));
    }
    for (path, headers) in &calls {
        let get = server.send("GET", path, headers, "").await;
        let head = server.send("HEAD", path, headers, "").await;
        assert_eq!(
            (head.status, head.text.as_str()),
            (get.status, ""),
            "{path}"
        );
        for (name, value) in &get.headers {
            if !["x-request-id", "content-length"].contains(&name.as_str()) {
                assert_eq!(head.headers.get(name), Some(value), "{path}: {name}");
            }
        }
        if get.status == 200 {
            let length = get.text.len().to_string();
            assert_eq!(head.header("content-length"), length, "{path}");
        }
    }
}

#[tokio::test]
async fn c1_40_values_return_as_they_were_sent() {
    let server = Server::empty().await.since_new_year().await;
    for (time, value) in [
        ("20160901070000", "65.50"),
        ("20160901080000", "65.5"),
        ("20160901090000", "65"),
        ("20160901100000", "0.10"),
    ] {
        let text = weight(PERSON, time, value, "20160901110000000");
        assert_eq!(server.submit(&text).await.status, 201);
        let path = format!("/Observation?date=2016-09-01T{}:00", &time[8..10]);
        let id = server.id(&path).await;
        let written = format!(r#""valueQuantity":{{"value":{value},"#);
        for path in [
            format!("/Observation/{id}"),
            format!("/Observation/{id}/_history/1"),
            format!("/Observation/{id}/_history"),
            path,
        ] {
            let text = server.get(&path).await.text;
            assert!(text.contains(&written), "{path}: {text}");
            let pretty = if path.contains('?') { "&" } else { "?" };
            let text = server
                .get(&format!("{path}{pretty}_pretty=true"))
                .await
                .text;
            let written = format!("\"value\": {value},\n");
            assert!(text.contains(&written), "{path}: {text}");
        }
    }
    // Dates as fine as they were told.
    let patient = &server
        .matches(&format!("/Patient?identifier={PERSON}"))
        .await[0];
    assert_eq!(patient["birthDate"], "1961-04");
}

#[tokio::test]
async fn c1_40_parts_of_resources_are_tagged() {
    let server = Server::with_example().await;
    let tagged = |resource: &Value| {
        let tags = resource["meta"]["tag"].as_array();
        tags.into_iter().flatten().any(|tag| {
            tag["system"] == "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
                && tag["code"] == "SUBSETTED"
        })
    };
    for (resource, id) in one_of_each(&server).await {
        let name = resource.name();
        for (query, is_part) in [
            ("_summary=true", true),
            ("_summary=data", true),
            ("_summary=text", true),
            ("_elements=id", true),
            ("_elements=meta", true),
            ("_summary=false", false),
        ] {
            let page = server.found(&format!("/{name}?_id={id}&{query}")).await;
            let found = &entries(&page)[0]["resource"];
            assert_eq!(tagged(found), is_part, "{name}?{query}: {found}");
            assert_eq!(check::check(found), Ok(()), "{name}?{query}");
            assert_eq!(found["id"], id.as_str());
        }
    }
    let query = "/Observation?code=29463-7&_elements=valueQuantity,status";
    for found in server.matches(query).await {
        let members: Vec<&String> = found.as_object().unwrap().keys().collect();
        // `code` must be there, asked for or not.
        let expected = [
            "resourceType",
            "id",
            "meta",
            "status",
            "code",
            "valueQuantity",
        ];
        assert_eq!(members, expected);
    }
}

#[tokio::test]
async fn c1_40_ids_are_ids_of_fhir() {
    let server = Server::with_example().await;
    for resource in RESOURCES {
        for found in server.matches(&format!("/{}", resource.name())).await {
            let id = found["id"].as_str().unwrap();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            assert!(
                (1..=64).contains(&id.len()) && id.bytes().all(plain),
                "{id}"
            );
        }
    }
}
