//! Search: parameters, results, pages.

use serde_json::Value;

use crate::server::{BASE, PERSON, Server, entries, link, matches, weight};

const SID: &str = "https://kenko-fhir.example/fhir";

#[tokio::test]
async fn c1_36_references_have_three_forms() {
    let server = Server::with_example().await;
    let id = server.id(&format!("/Patient?identifier={PERSON}")).await;
    for (query, number) in [
        (format!("patient={id}"), 5),
        (format!("subject={id}"), 5),
        (format!("subject=Patient/{id}"), 5),
        (format!("subject:Patient={id}"), 5),
        (format!("patient={BASE}/Patient/{id}"), 5),
        (format!("patient=http://other.example/fhir/Patient/{id}"), 0),
        (format!("subject=Group/{id}"), 0),
        (format!("patient={id},unknown"), 5),
        (format!("patient={id}&patient=unknown"), 0),
        (format!("patient={id}&code=4548-4"), 1),
        (
            format!("patient={id}&category=vital-signs&date=ge2016-10-01"),
            1,
        ),
        ("patient=unknown".into(), 0),
        (format!("patient.identifier={PERSON}"), 5),
        (format!("subject.identifier={PERSON}"), 5),
        (format!("subject:Patient.identifier={PERSON}"), 5),
        (format!("patient:identifier={PERSON}"), 5),
        (
            format!("patient.identifier={SID}/sid/consortium/A00001/person|{PERSON}"),
            5,
        ),
        (
            format!("patient.identifier={SID}/sid/consortium/A00001/person|"),
            11,
        ),
        (
            format!("patient.identifier={SID}/sid/consortium/B00001/person|{PERSON}"),
            0,
        ),
        (
            "patient.identifier=urn:oid:1.2.392.100495.20.3.51.12312345678|00012345".into(),
            5,
        ),
        ("patient.identifier=00012345".into(), 5),
        ("patient.identifier=nobody".into(), 0),
        (format!("patient._id={id}"), 5),
    ] {
        assert_eq!(
            server.number(&format!("/Observation?{query}")).await,
            number,
            "{query}"
        );
    }
    for wrong in [
        "patient=",
        "patient=Patient/",
        "patient=a_b",
        "patient:Group=a",
        "subject:exact=a",
    ] {
        let status = server
            .get(&format!("/Observation?{wrong}"))
            .await
            .status
            .as_u16();
        // An empty value is an unknown parameter.
        assert_eq!(
            status,
            if wrong == "patient=" { 200 } else { 400 },
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn ids_and_identifiers_name_one_record() {
    let server = Server::with_example().await;
    let identity = format!("A00001:{PERSON}:weighing_scale:20160901073015:WS0001234");
    let id = server
        .id(&format!("/Observation?identifier={identity}"))
        .await;
    for (query, number) in [
        (format!("identifier={SID}/sid/record|{identity}"), 1),
        (format!("identifier={SID}/sid/record|"), 11),
        (format!("identifier={SID}/sid/other|{identity}"), 0),
        (format!("identifier=|{identity}"), 0),
        (
            "identifier=A00001:P0:weighing_scale:20160901073015:WS0001234".into(),
            0,
        ),
        (format!("_id={id}"), 1),
        (format!("_id={id},unknown"), 1),
        (format!("_id={id}&code=4548-4"), 0),
        ("_id=unknown".into(), 0),
    ] {
        assert_eq!(
            server.number(&format!("/Observation?{query}")).await,
            number,
            "{query}"
        );
    }
}

#[tokio::test]
async fn last_updated_is_when_it_was_stored() {
    let server = Server::with_example().await;
    for (query, number) in [
        ("_lastUpdated=ge2020-01-01", 11),
        ("_lastUpdated=lt2020-01-01", 0),
        ("_lastUpdated=gt2999", 0),
        ("_lastUpdated=ne2020", 11),
    ] {
        assert_eq!(
            server.number(&format!("/Observation?{query}")).await,
            number,
            "{query}"
        );
        let rows = if number == 0 { 0 } else { 2 };
        assert_eq!(
            server.number(&format!("/Patient?{query}")).await,
            rows,
            "{query}"
        );
    }
    let one = &server.matches("/Observation?_count=1").await[0];
    let at = one["meta"]["lastUpdated"].as_str().unwrap();
    assert_eq!(
        server
            .number(&format!("/Observation?_lastUpdated={at}"))
            .await,
        11
    );
    assert_eq!(
        server
            .number(&format!("/Observation?_lastUpdated=gt{at}"))
            .await,
        0
    );
}

#[tokio::test]
async fn matches_are_sorted_as_asked() {
    let server = Server::with_example().await.since_new_year().await;
    server
        .submit(&weight(PERSON, "20160815070000", "66", "20160903000000000"))
        .await;
    let dates = async |sort: &str| -> Vec<String> {
        let found = server
            .matches(&format!("/Observation?_sort={sort}&code=29463-7"))
            .await;
        found
            .iter()
            .map(|m| m["effectiveDateTime"].as_str().unwrap()[..10].to_owned())
            .collect()
    };
    let up = ["2016-08-15", "2016-09-01", "2016-09-01", "2016-09-02"];
    let down: Vec<&str> = up.iter().rev().copied().collect();
    assert_eq!(dates("date").await, up);
    assert_eq!(dates("-date").await, down);
    assert_eq!(dates("_lastUpdated").await[3], "2016-08-15");
    assert_eq!(dates("-_lastUpdated").await[0], "2016-08-15");
    let page = server.found("/Observation?_sort=value&_count=1").await;
    assert_eq!(link(&page, "self").unwrap(), "/Observation?_count=1");
    assert_eq!(entries(&page).last().unwrap()["search"]["mode"], "outcome");
    let strict = server
        .send(
            "GET",
            "/Observation?_sort=value",
            &[("prefer", "handling=strict")],
            "",
        )
        .await;
    assert_eq!(strict.status, 400);
}

#[tokio::test]
async fn c1_23_unknown_parameters_are_told_or_refused() {
    let server = Server::with_example().await;
    let query = "/Observation?no-such=1&code=29463-7&category=&device.colour=x&_count=1";
    let page = server.found(query).await;
    assert_eq!(
        link(&page, "self").unwrap(),
        "/Observation?code=29463-7&_count=1"
    );
    let last = entries(&page).pop().unwrap();
    assert_eq!(last["search"]["mode"], "outcome");
    assert!(last["fullUrl"].as_str().unwrap().starts_with("urn:uuid:"));
    let issues = last["resource"]["issue"].as_array().unwrap().clone();
    assert_eq!(issues.len(), 3);
    for (issue, name) in issues.iter().zip(["no-such", "category", "device.colour"]) {
        assert_eq!(issue["severity"], "warning");
        assert!(issue["diagnostics"].as_str().unwrap().starts_with(name));
    }
    // The warning is on every page, and never counted.
    let next = server
        .found(&format!("{}&no-such=1", link(&page, "next").unwrap()))
        .await;
    assert_eq!(matches(&next).len(), 1);
    for path in [
        "/Observation?no-such=1",
        "/Patient?colour=x",
        "/Observation?code=",
    ] {
        let strict = server
            .send("GET", path, &[("prefer", "handling=strict")], "")
            .await;
        assert_eq!(strict.status, 400, "{path}");
        strict.issue();
    }
    let lenient = server
        .send(
            "GET",
            "/Observation?no-such=1",
            &[("prefer", "handling=lenient")],
            "",
        )
        .await;
    assert_eq!(lenient.status, 200);
}

#[tokio::test]
async fn c1_21_no_match_is_an_empty_page_and_a_wrong_value_is_400() {
    let server = Server::with_example().await;
    let page = server.found("/Observation?code=nothing").await;
    assert_eq!(page["type"], "searchset");
    assert!(page.get("entry").is_none());
    for wrong in [
        "date=yesterday",
        "date=2016-13",
        "date=2016-09-01T07",
        "date=xx2016",
        "_lastUpdated=x",
        "code=%",
        "code=|",
        "code=a|b|c",
        "code:exact=a",
        "code:=a",
        "_count=-1",
        "_count=x",
        "_total=x",
        "_summary=x",
        "_cursor=x",
        "_%zz=1",
    ] {
        let answer = server.get(&format!("/Observation?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        answer.issue();
    }
    let japanese = server
        .send(
            "GET",
            "/Observation?date=x",
            &[("accept-language", "ja")],
            "",
        )
        .await;
    assert!(japanese.issue().contains("日付"), "{}", japanese.text);
}

#[tokio::test]
async fn c1_24_a_total_is_given_when_asked_for_and_on_every_page() {
    let server = Server::with_example().await;
    let total = async |path: &str| {
        server
            .found(path)
            .await
            .get("total")
            .and_then(Value::as_u64)
    };
    assert_eq!(total("/Observation").await, None);
    assert_eq!(total("/Observation?_total=none").await, None);
    assert_eq!(total("/Observation?_count=2").await, None);
    for query in [
        "_total=accurate",
        "_total=estimate",
        "_summary=count",
        "_count=0",
    ] {
        assert_eq!(
            total(&format!("/Observation?{query}")).await,
            Some(11),
            "{query}"
        );
        assert_eq!(
            total(&format!("/Patient?{query}")).await,
            Some(2),
            "{query}"
        );
        assert_eq!(
            total(&format!("/Observation?code=4548-4&{query}")).await,
            Some(2)
        );
    }
    for query in ["_summary=count", "_count=0", "_summary=count&_count=5"] {
        let page = server.found(&format!("/Observation?{query}")).await;
        assert!(page.get("entry").is_none(), "{query}");
        assert!(link(&page, "next").is_none());
    }
    let mut next = Some("/Observation?_total=accurate&_count=4".to_owned());
    while let Some(url) = next {
        let page = server.found(&url).await;
        assert_eq!(page["total"], 11);
        next = link(&page, "next");
    }
}
