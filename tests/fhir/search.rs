//! Search: parameters, results, pages.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::server::{BASE, PERSON, Server, entries, link, matches, weight};

const SID: &str = "https://kenko-fhir.example/fhir";

#[tokio::test]
async fn c1_32_tokens_have_four_forms_and_any_coding_matches() {
    let server = Server::with_example().await;
    for (query, number) in [
        ("code=29463-7", 3),
        ("code=http://loinc.org|29463-7", 3),
        ("code=http://loinc.org%7C29463-7", 3),
        ("code=|29463-7", 0),
        ("code=http://snomed.info/sct|29463-7", 0),
        ("code=http://loinc.org|", 11),
        ("code=188736", 3),
        ("code=urn:iso:std:iso:11073:10101|188736", 3),
        ("code=urn:oid:1.2.392.200119.4.804|31002365", 4),
        ("code=29463-7,4548-4", 5),
        ("code=29463-7&code=4548-4", 0),
        ("code=17856-6", 1),
        (
            "code=http://medis.or.jp/CodeSystem/master-JLAC10-17digits|",
            1,
        ),
        ("code=nothing", 0),
        ("category=vital-signs", 7),
        ("category=laboratory", 2),
        ("category=laboratory,body-measurement", 5),
        ("category=vital-signs&category=body-measurement", 3),
        (
            &format!("category={SID}/CodeSystem/record-kind|home_blood_pressure"),
            2,
        ),
        (&format!("category={SID}/CodeSystem/record-kind|"), 11),
        (
            "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
            2,
        ),
    ] {
        assert_eq!(
            server.number(&format!("/Observation?{query}")).await,
            number,
            "{query}"
        );
    }
}

#[tokio::test]
async fn c1_28_c1_29_dates_are_intervals_in_japan() {
    let server = Server::empty().await.since_new_year().await;
    // The edges of a day in Japan; in UTC they are on two days.
    for time in [
        "20160831235959",
        "20160901000000",
        "20160901235959",
        "20160902000000",
    ] {
        server
            .submit(&weight(PERSON, time, "65.5", "20160903000000000"))
            .await;
    }
    for (query, number) in [
        ("date=2016-09-01", 2),
        ("date=eq2016-09-01", 2),
        ("date=ne2016-09-01", 2),
        ("date=gt2016-09-01", 1),
        ("date=ge2016-09-01", 3),
        ("date=lt2016-09-01", 1),
        ("date=le2016-09-01", 3),
        ("date=sa2016-09-01", 1),
        ("date=eb2016-09-01", 1),
        ("date=2016-09", 3),
        ("date=2016", 4),
        ("date=2015", 0),
        ("date=2016-09-01T23:59", 1),
        ("date=2016-09-01T23:59:59", 1),
        ("date=2016-09-01T23:59:59+09:00", 1),
        ("date=2016-09-01T23:59:59%2B09:00", 1),
        ("date=2016-09-01T23:59:59%2009:00", 1),
        ("date=2016-09-01T14:59:59Z", 1),
        ("date=2016-09-01T23:59:59Z", 0),
        (
            "date=ge2016-09-01T00:00:00+09:00&date=lt2016-09-02T00:00:00+09:00",
            2,
        ),
        ("date=ge2016-09-01&date=lt2016-09-02", 2),
        ("date=ge2016-09-01T00:00:00Z", 2),
        ("date=ap2016-09-01", 4),
        ("date=2016-09-01,2016-08-31", 3),
    ] {
        assert_eq!(
            server.number(&format!("/Observation?{query}")).await,
            number,
            "{query}"
        );
    }
}

#[tokio::test]
async fn c1_29_a_day_of_activity_is_the_whole_day() {
    let server = Server::with_example().await;
    for (query, number) in [
        ("date=2016-09-01", 2),
        ("date=2016-09-01T00:00:00", 0),
        ("date=ge2016-09-01T12:00", 2),
        ("date=gt2016-09-01T12:00", 2),
        ("date=lt2016-09-01T12:00", 2),
        ("date=sa2016-09-01T12:00", 0),
        ("date=sa2016-08-31", 2),
        ("date=eb2016-09-02", 2),
    ] {
        let path = format!("/Observation?code=41950-7&{query}");
        assert_eq!(server.number(&path).await, number, "{query}");
    }
}

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

#[tokio::test]
async fn c1_25_count_bounds_the_page() {
    let server = Server::with_example().await;
    assert_eq!(server.number("/Observation?_count=3").await, 3);
    let page = server.found("/Observation?_count=100000").await;
    assert_eq!(link(&page, "self").unwrap(), "/Observation?_count=1000");
    assert!(link(&page, "next").is_none());
    assert!(link(&server.found("/Observation?_count=11").await, "next").is_none());
    assert!(link(&server.found("/Observation?_count=10").await, "next").is_some());
}

#[tokio::test]
async fn c1_26_a_walk_gives_each_match_once_while_others_write() {
    let sorts = [
        "",
        "&_sort=date",
        "&_sort=-date",
        "&_sort=_lastUpdated",
        "&_sort=-_lastUpdated",
    ];
    for (n, sort) in sorts.into_iter().enumerate() {
        let server = Server::with_example().await.since_new_year().await;
        let before: BTreeSet<String> = ids(&server.found("/Observation").await)
            .into_iter()
            .collect();
        let mut seen = Vec::new();
        let mut next = Some(format!("/Observation?_count=2{sort}"));
        let mut page_number = 0;
        while let Some(url) = next {
            let page = server.found(&url).await;
            assert!(link(&page, "first").is_some() == (page_number > 0));
            seen.extend(ids(&page));
            next = link(&page, "next");
            page_number += 1;
            assert!(page_number < 50, "the walk does not end");
            // One before, one after what was seen, whatever the order.
            if page_number <= 3 {
                for year in ["2016", "2017"] {
                    let time = format!("{year}080{page_number}07000{n}");
                    server
                        .submit(&weight(PERSON, &time, "60", "20180101000000000"))
                        .await;
                }
            }
        }
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "{sort}: a match came twice");
        assert!(before.is_subset(&once), "{sort}: a match was skipped");
    }
}

fn ids(page: &Value) -> Vec<String> {
    matches(page)
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn c1_26_a_cursor_belongs_to_its_search() {
    let server = Server::with_example().await;
    for path in [
        "/Observation?_count=2",
        "/Patient?_count=1",
        "/Observation/_history?_count=1",
    ] {
        let next = link(&server.found(path).await, "next").unwrap();
        let cursor = next.split("_cursor=").nth(1).unwrap();
        assert!(cursor.len() < 80, "{cursor}");
        let resource = &path[..path.find('?').unwrap()];
        for wrong in [
            format!("{resource}?_count=3&_cursor={cursor}"),
            format!("{path}&_cursor={cursor}A"),
            format!("{path}&_cursor={}", cursor.to_ascii_uppercase()),
        ] {
            assert_eq!(server.get(&wrong).await.status, 400, "{wrong}");
        }
    }
}

#[tokio::test]
async fn c1_27_entries_have_absolute_addresses() {
    let server = Server::with_example().await;
    for resource in [
        "Observation",
        "Patient",
        "Device",
        "Organization",
        "Provenance",
    ] {
        for entry in entries(&server.found(&format!("/{resource}")).await) {
            let id = entry["resource"]["id"].as_str().unwrap();
            assert_eq!(entry["fullUrl"], format!("{BASE}/{resource}/{id}"));
            assert_eq!(entry["search"]["mode"], "match");
            assert_eq!(
                server.found(&format!("/{resource}/{id}")).await,
                entry["resource"]
            );
        }
    }
}

#[tokio::test]
async fn c1_20_a_form_adds_up_with_the_address() {
    let server = Server::with_example().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let post = async |path: &str, body: &str| {
        let answer = server.send("POST", path, &form, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let page = post(
        "/Observation/_search",
        "code=http%3A%2F%2Floinc.org%7C29463-7&_count=2",
    )
    .await;
    assert_eq!(matches(&page).len(), 2);
    assert_eq!(
        link(&page, "self").unwrap(),
        "/Observation?code=http://loinc.org%7C29463-7&_count=2"
    );
    let next = server.found(&link(&page, "next").unwrap()).await;
    assert_eq!(matches(&next).len(), 1);
    let page = post("/Observation/_search?code=29463-7", "date=2016-09-02").await;
    assert_eq!(matches(&page).len(), 1);
    assert_eq!(matches(&post("/Patient/_search", "").await).len(), 2);
    let page = post(
        "/Observation/_search",
        "date=ge2016-09-02T00:00:00+09:00&code=29463-7",
    )
    .await;
    assert_eq!(matches(&page).len(), 1);
    let other = [("content-type", "application/json")];
    assert_eq!(
        server
            .send("POST", "/Patient/_search", &other, "{}")
            .await
            .status,
        415
    );
    assert_eq!(server.get("/Patient/_search").await.status, 405);
}

#[tokio::test]
async fn c1_34_escapes_are_read_after_percent_decoding() {
    let server = Server::empty().await;
    let odd = weight(PERSON, "20160901070000", "60", "20160902000000000")
        .replace("WS0001234", "A,B|C$D%E:F");
    assert_eq!(server.submit(&odd).await.status, 201);
    // In the identity, `%` and `:` are escaped; in the query, `,` `|` and the percent sign.
    let identity =
        format!("A00001:{PERSON}:weighing_scale:20160901070000:A\\,B\\|C\\$D%2525E%253AF");
    assert_eq!(
        server
            .number(&format!("/Observation?identifier={identity}"))
            .await,
        1
    );
    assert_eq!(
        server
            .number(&format!("/Observation?identifier=x,{identity}"))
            .await,
        1
    );
    assert_eq!(
        server
            .number("/Device?identifier=ACME:WS-100:A\\,B\\|C\\$D%2525E%253AF")
            .await,
        1
    );
    let page = server
        .found(&format!("/Observation?identifier={identity}"))
        .await;
    let again = server.found(&link(&page, "self").unwrap()).await;
    assert_eq!(matches(&again), matches(&page));
}
