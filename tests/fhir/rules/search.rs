//! Searches as a whole (<https://hl7.org/fhir/R4/http.html#search>): links, totals, pages,
//! entries.

use std::collections::BTreeSet;

use kenko_fhir::fhir::resource::RESOURCES;
use serde_json::Value;

use crate::server::{BASE, PERSON, Server, entries, link, matches, weight};

const STRICT: [(&str, &str); 1] = [("prefer", "handling=strict")];
const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// The warnings of a page, at most one outcome.
fn warnings(page: &Value) -> Vec<Value> {
    let outcomes: Vec<Value> = entries(page)
        .into_iter()
        .filter(|e| e["search"]["mode"] == "outcome")
        .collect();
    assert!(outcomes.len() <= 1);
    let issues = outcomes.first().map(|o| o["resource"]["issue"].clone());
    let issues = issues.map_or(Vec::new(), |i| i.as_array().unwrap().clone());
    for issue in &issues {
        let severity = issue["severity"].as_str().unwrap();
        assert!(matches!(severity, "warning" | "information"), "{issue}");
    }
    issues
}

/// What a form finds.
async fn posted(server: &Server, path: &str, body: &str) -> Value {
    let answer = server.send("POST", path, &FORM, body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text);
    answer.json()
}

/// A walk from the first page to the last, by `next`.
async fn walk(server: &Server, first: &str) -> Vec<Value> {
    let mut pages = vec![server.found(first).await];
    while let Some(next) = link(pages.last().unwrap(), "next") {
        assert!(pages.len() < 100, "the walk does not end");
        pages.push(server.found(&next).await);
    }
    pages
}

fn ids(page: &Value) -> Vec<String> {
    let matches = matches(page);
    let ids = matches.iter().map(|m| m["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn c1_20_a_form_searches_like_an_address() {
    let server = Server::with_example().await;
    for resource in RESOURCES {
        let name = resource.name();
        let got = server.found(&format!("/{name}")).await;
        let sent = posted(&server, &format!("/{name}/_search"), "").await;
        assert_eq!(sent["entry"], got["entry"], "{name}");
    }
    // Address and body add up: every parameter of both holds.
    for (query, body, number) in [
        ("", "code=29463-7", 3),
        ("?code=29463-7", "", 3),
        ("?code=29463-7", "date=2016-09-02", 1),
        ("?code=29463-7", "code=4548-4", 0),
        ("?_count=2", "code=http%3A%2F%2Floinc.org%7C29463-7", 2),
        ("", "date=ge2016-09-02T00:00:00%2B09:00&code=29463-7", 1),
        ("", "date=ge2016-09-02T00:00:00+09:00&code=29463-7", 1),
    ] {
        let page = posted(&server, &format!("/Observation/_search{query}"), body).await;
        assert_eq!(matches(&page).len(), number, "{query} {body}");
        let own = link(&page, "self").unwrap();
        assert!(!own.contains("_search"), "{own}");
        assert_eq!(server.found(&own).await["entry"], page["entry"], "{own}");
    }
    // The links of a form's page are addresses to get.
    let page = posted(&server, "/Observation/_search", "code=29463-7&_count=2").await;
    let next = server.found(&link(&page, "next").unwrap()).await;
    assert_eq!(matches(&next).len(), 1);
    let json = [("content-type", "application/json")];
    let wrong = server.send("POST", "/Patient/_search", &json, "{}").await;
    assert_eq!(wrong.status, 415);
    wrong.issue();
}

#[tokio::test]
async fn c1_21_an_empty_result_is_a_result_and_a_wrong_search_an_error() {
    let server = Server::with_example().await;
    for resource in RESOURCES {
        let name = resource.name();
        let page = server.found(&format!("/{name}?_id=unknown")).await;
        assert_eq!(page["type"], "searchset");
        assert!(page.get("entry").is_none(), "{page}");
        assert_eq!(link(&page, "self").unwrap(), format!("/{name}?_id=unknown"));
        for wrong in [
            "_lastUpdated=x",
            "_count=-1",
            "_total=x",
            "_summary=x",
            "_cursor=x",
        ] {
            let answer = server.get(&format!("/{name}?{wrong}")).await;
            assert_eq!(answer.status, 400, "{name}?{wrong}");
            answer.issue();
        }
    }
    let page = server.found("/Observation?no-such=1&_count=1").await;
    assert_eq!(warnings(&page).len(), 1);
    let outcome = entries(&page).pop().unwrap();
    assert_eq!(outcome["search"]["mode"], "outcome");
    assert_eq!(outcome["resource"]["resourceType"], "OperationOutcome");
}

#[tokio::test]
async fn c1_22_the_self_link_shows_what_was_used() {
    let server = Server::with_example().await;
    for (query, used) in [
        ("", ""),
        ("?code=29463-7", "?code=29463-7"),
        ("?code=29463-7&no-such=1", "?code=29463-7"),
        ("?no-such=1", ""),
        ("?code=", ""),
        ("?_sort=nothing&code=29463-7", "?code=29463-7"),
        (
            "?code=29463-7,4548-4&date=ge2016&date=lt2017",
            "?code=29463-7,4548-4&date=ge2016&date=lt2017",
        ),
        ("?_summary=count", "?_summary=count"),
        ("?_total=accurate&_count=3", "?_total=accurate&_count=3"),
        ("?_include=Observation:nothing&_count=1", "?_count=1"),
        ("?_sort=-date", "?_sort=-date"),
    ] {
        let page = server.found(&format!("/Observation{query}")).await;
        let own = link(&page, "self").unwrap();
        let decoded = own.replace("%2C", ",");
        assert_eq!(
            parameters(&decoded),
            parameters(&format!("/Observation{used}")),
            "{query}"
        );
        // It finds the same, and has nothing left to warn of.
        let again = server.found(&own).await;
        assert_eq!(ids(&again), ids(&page), "{own}");
        assert!(warnings(&again).is_empty(), "{own}");
        assert_eq!(link(&again, "self").unwrap(), own);
    }
    // On the last page too, and there without the place in the walk.
    for page in walk(&server, "/Observation?code=29463-7&no-such=1&_count=2").await {
        let own = link(&page, "self").unwrap();
        assert!(
            own.starts_with("/Observation?") && own.contains("code=29463-7"),
            "{own}"
        );
        assert!(!own.contains("no-such"), "{own}");
    }
}

fn parameters(url: &str) -> BTreeSet<String> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    query.split('&').map(str::to_owned).collect()
}

#[tokio::test]
async fn c1_23_unknown_parameters_are_refused_or_told() {
    let server = Server::with_example().await;
    for resource in RESOURCES {
        let name = resource.name();
        for unknown in ["no-such=1", "_nothing=1", "no.such=1", "no-such:exact=1"] {
            let path = format!("/{name}?{unknown}&_count=1");
            let strict = server.send("GET", &path, &STRICT, "").await;
            assert_eq!(strict.status, 400, "{path}");
            strict.issue();
            let lenient = [("prefer", "handling=lenient")];
            for headers in [&lenient[..], &[]] {
                let answer = server.send("GET", &path, headers, "").await;
                assert_eq!(answer.status, 200, "{path}");
                let page = answer.json();
                let told = warnings(&page);
                assert_eq!(told.len(), 1, "{path}: {page}");
                let (parameter, _) = unknown.split_once('=').unwrap();
                let text = told[0]["diagnostics"].as_str().unwrap();
                assert!(text.contains(parameter), "{text}");
                assert_eq!(matches(&page).len(), 1);
                assert!(!link(&page, "self").unwrap().contains("such"));
            }
        }
    }
    // Several are told together, and in a form as well.
    let page = posted(&server, "/Observation/_search?a=1", "b=2&code=29463-7").await;
    assert_eq!(warnings(&page).len(), 2);
    let strict = [FORM[0], STRICT[0]];
    let answer = server
        .send("POST", "/Observation/_search", &strict, "b=2")
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn c1_24_a_total_counts_matches_and_stays() {
    let server = Server::with_example().await;
    for (query, total) in [
        ("", 11),
        ("code=29463-7&", 3),
        ("code=nothing&", 0),
        ("code=29463-7&_include=Observation:patient&", 3),
        ("no-such=1&", 11),
    ] {
        let page = server
            .found(&format!("/Observation?{query}_total=none"))
            .await;
        assert!(page.get("total").is_none(), "{query}");
        for count in [1, 2, 5, 1000] {
            let first = format!("/Observation?{query}_total=accurate&_count={count}");
            for page in walk(&server, &first).await {
                assert_eq!(page["total"], total, "{first}");
            }
        }
        for count in ["_summary=count", "_count=0", "_count=0&_total=accurate"] {
            let page = server.found(&format!("/Observation?{query}{count}")).await;
            assert_eq!(page["total"], total, "{query}{count}");
            assert!(matches(&page).is_empty());
            assert!(
                entries(&page)
                    .iter()
                    .all(|e| e["search"]["mode"] == "outcome")
            );
            assert!(link(&page, "next").is_none());
        }
    }
    for resource in RESOURCES {
        let name = resource.name();
        let number = server.number(&format!("/{name}")).await;
        for query in [
            "_total=accurate",
            "_total=estimate",
            "_summary=count",
            "_count=0",
        ] {
            let page = server.found(&format!("/{name}?{query}")).await;
            assert_eq!(page["total"], number, "{name}?{query}");
        }
    }
}

#[tokio::test]
async fn c1_25_count_bounds_the_matches_of_a_page() {
    let server = Server::with_example().await;
    for (count, number) in [
        (1, 1),
        (3, 3),
        (11, 11),
        (12, 11),
        (1000, 11),
        (100_000, 11),
    ] {
        let page = server.found(&format!("/Observation?_count={count}")).await;
        assert_eq!(matches(&page).len(), number, "{count}");
        assert_eq!(link(&page, "next").is_some(), count < 11, "{count}");
    }
    let page = server.found("/Observation?_count=100000").await;
    assert_eq!(link(&page, "self").unwrap(), "/Observation?_count=1000");
    // What is included is not counted.
    let query = "/Observation?_count=2&_include=Observation:patient&_include=Observation:device";
    let page = server.found(query).await;
    assert_eq!(matches(&page).len(), 2);
    assert!(entries(&page).len() > 2, "{page}");
    for wrong in ["-1", "x", "1.5", ""] {
        let answer = server.get(&format!("/Observation?_count={wrong}")).await;
        // An empty value is no value.
        let expected = if wrong.is_empty() { 200 } else { 400 };
        assert_eq!(answer.status, expected, "{wrong}");
    }
}

#[tokio::test]
async fn c1_26_a_walk_gives_each_match_once() {
    for sort in [
        "",
        "&_sort=date",
        "&_sort=-date",
        "&_sort=_lastUpdated",
        "&_sort=-_lastUpdated",
    ] {
        let server = Server::with_example().await.since_new_year().await;
        let before: BTreeSet<String> = ids(&server.found("/Observation").await)
            .into_iter()
            .collect();
        let mut next = Some(format!("/Observation?_count=3{sort}"));
        let mut seen = Vec::new();
        let mut page_number = 0;
        while let Some(url) = next {
            // A page does not depend on who reads it before or again.
            let page = server.found(&url).await;
            assert_eq!(server.found(&url).await["entry"], page["entry"], "{url}");
            seen.extend(ids(&page));
            next = link(&page, "next");
            page_number += 1;
            assert!(page_number < 20, "the walk does not end");
            // Others write meanwhile, before and after what was seen.
            for year in ["2016", "2017"] {
                let time = format!("{year}08{page_number:02}070000");
                if page_number <= 3 {
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

#[tokio::test]
async fn c1_26_a_walk_goes_back_the_way_it_came() {
    let server = Server::with_example().await;
    for first in [
        "/Observation?_count=2",
        "/Observation?_count=3&_sort=-date",
        "/Observation?_count=2&code=29463-7",
        "/Patient?_count=1",
        "/Organization?_count=1",
        "/Device?_count=2",
    ] {
        let pages = walk(&server, first).await;
        assert!(pages.len() > 1, "{first}");
        assert!(link(&pages[0], "previous").is_none(), "{first}");
        let mut page = pages.last().unwrap().clone();
        for before in pages.iter().rev().skip(1) {
            let previous = link(&page, "previous").expect(first);
            page = server.found(&previous).await;
            assert_eq!(ids(&page), ids(before), "{previous}");
        }
        assert!(link(&page, "previous").is_none(), "{first}");
    }
}

#[tokio::test]
async fn c1_26_a_cursor_is_opaque_and_of_its_search() {
    let server = Server::with_example().await;
    for path in [
        "/Observation?_count=2",
        "/Patient?_count=1",
        "/Observation/_history?_count=1",
    ] {
        let page = server.found(path).await;
        let next = link(&page, "next").unwrap();
        let cursor = next.split("_cursor=").nth(1).unwrap();
        assert!(cursor.len() < 80, "{cursor}");
        let resource = &path[..path.find('?').unwrap()];
        for wrong in [
            format!("{path}&_cursor={cursor}A"),
            format!("{path}&_cursor={}", cursor.to_ascii_uppercase()),
            format!("{path}&_cursor=AAAA"),
            format!("{path}&_cursor="),
            format!("{resource}?_count=3&_cursor={cursor}"),
        ] {
            let answer = server.get(&wrong).await;
            let is_empty = wrong.ends_with('=');
            assert!(
                answer.status == 400 || (is_empty && answer.status == 200),
                "{wrong}"
            );
        }
    }
}

#[tokio::test]
async fn c1_27_entries_say_what_they_are_and_where() {
    let server = Server::with_example().await;
    for resource in RESOURCES {
        let name = resource.name();
        for entry in entries(&server.found(&format!("/{name}")).await) {
            let id = entry["resource"]["id"].as_str().unwrap();
            assert_eq!(entry["fullUrl"], format!("{BASE}/{name}/{id}"));
            assert_eq!(entry["search"]["mode"], "match");
            assert_eq!(
                server.found(&format!("/{name}/{id}")).await,
                entry["resource"]
            );
        }
    }
    // Three weights of two patients: each patient once a page, and none of the matches again.
    let query =
        "/Observation?code=29463-7&_include=Observation:patient&_include=Observation:subject";
    let page = server.found(query).await;
    let all = entries(&page);
    let mode = |mode: &str| all.iter().filter(|e| e["search"]["mode"] == mode).count();
    assert_eq!((mode("match"), mode("include")), (3, 2));
    let urls: BTreeSet<String> = all.iter().map(|e| e["fullUrl"].to_string()).collect();
    assert_eq!(urls.len(), all.len());
    let with_itself =
        "/Patient?_revinclude=Observation:patient&_include:iterate=Observation:patient";
    let page = server.found(with_itself).await;
    let patients = entries(&page)
        .iter()
        .filter(|e| e["resource"]["resourceType"] == "Patient")
        .count();
    assert_eq!(patients, 2, "a match is not included once more");
    // An outcome has an address that is nowhere.
    let page = server.found("/Observation?no-such=1&_count=1").await;
    let outcome = entries(&page).pop().unwrap();
    assert!(
        outcome["fullUrl"]
            .as_str()
            .unwrap()
            .starts_with("urn:uuid:")
    );
}
