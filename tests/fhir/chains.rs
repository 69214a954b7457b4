//! Search along references: chains, `_has`, and walks while others write.

use std::collections::BTreeSet;

use kenko_fhir::registry::{self, List};
use serde_json::{Value, json};

use crate::server::{BASE, PERSON, Server, link, matches};

const SID: &str = "https://kenko-fhir.example/fhir";

#[tokio::test]
async fn c1_36_references_of_every_kind_are_searched() {
    let server = Server::with_example().await;
    let weight = &server.matches("/Observation?code=29463-7&_sort=date").await[0];
    let device = weight["device"]["reference"].as_str().unwrap();
    let id = device.strip_prefix("Device/").unwrap();
    let lab = server.id("/Organization?identifier=000000000001").await;
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    for (query, number) in [
        (format!("device={id}"), 2),
        (format!("device={device}"), 2),
        (format!("device={device}/_history/1"), 2),
        (format!("device={BASE}/{device}"), 2),
        (format!("device:Device={id}"), 2),
        (format!("device=Patient/{id}"), 0),
        (format!("device={id}&code=4548-4"), 0),
        (format!("performer={lab}"), 2),
        (format!("performer=Organization/{lab}"), 2),
        (format!("performer:Organization={lab}"), 2),
        (format!("performer:Patient={lab}"), 0),
        (format!("performer=Patient/{patient}"), 3),
        (format!("performer=Patient/{patient},Organization/{lab}"), 5),
        ("performer:identifier=000000000001".into(), 2),
        (format!("performer:identifier={PERSON}"), 3),
        ("performer:Organization.identifier=000000000001".into(), 2),
        (format!("performer.identifier={PERSON},000000000001"), 5),
        (format!("device.identifier={SID}/sid/device%7C"), 7),
        (format!("patient._id={patient}"), 5),
        (format!("subject:Patient.identifier={PERSON}"), 5),
    ] {
        let path = format!("/Observation?{query}");
        let found = server.number(&path).await;
        let number = match query.starts_with("device") && !query.contains('&') && number == 2 {
            // However many weights this device has.
            true => server.number(&format!("/Observation?device={id}")).await,
            false => number,
        };
        assert_eq!(found, number, "{query}");
    }
    assert!(server.number(&format!("/Observation?device={id}")).await > 0);
}

#[tokio::test]
async fn has_finds_what_is_referred_to() {
    let server = Server::with_example().await;
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    for (path, number) in [
        ("/Patient?_has:Observation:patient:code=4548-4".into(), 2),
        (
            "/Patient?_has:Observation:patient:code-value-quantity=4548-4$ge6.5".into(),
            1,
        ),
        ("/Patient?_has:Observation:subject:code=nothing".into(), 0),
        (
            "/Patient?_has:Observation:patient:code:not=4548-4".into(),
            2,
        ),
        (
            "/Patient?_has:Observation:patient:date=2016-09-02".into(),
            1,
        ),
        (
            format!("/Patient?_has:Observation:patient:_has:nothing=1&_id={patient}"),
            1,
        ),
        (
            "/Organization?_has:Observation:performer:code=4548-4".into(),
            2,
        ),
        (
            format!("/Organization?_has:Observation:performer:patient={patient}"),
            1,
        ),
        (
            "/Observation?patient._has:Observation:patient:code-value-quantity=4548-4$ge6.5".into(),
            5,
        ),
        (
            "/Patient?_has:Observation:patient:device._has:Observation:device:code=41950-7".into(),
            2,
        ),
    ] {
        assert_eq!(server.number(&path).await, number, "{path}");
    }
    let scales = server
        .number("/Device?_has:Observation:device:code=29463-7")
        .await;
    assert!(scales > 0 && scales < server.number("/Device").await);
    for wrong in [
        "_has:Observation:patient:nothing=x",
        "_has:Observation:device:code=x",
        "_has:Nothing:patient:code=x",
        "_has:Observation=x",
        "_has:=x",
    ] {
        let page = server.found(&format!("/Patient?{wrong}")).await;
        assert_eq!(matches(&page).len(), 2, "{wrong}");
        let strict = [("prefer", "handling=strict")];
        let refused = server
            .send("GET", &format!("/Patient?{wrong}"), &strict, "")
            .await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let refused = server
        .get("/Patient?_has:Observation:patient:code:exact=x")
        .await;
    assert_eq!(refused.status, 400);
}

/// A submission of one weight of each of these people, on a day.
fn weights(people: std::ops::Range<usize>, day: usize) -> String {
    let people: Vec<Value> = people
        .map(|n| {
            json!({ "person_id": format!("W{n:03}"), "healthcare_information": { "weighing_scale": [{
                "observation_time": format!("201609{day:02}070000"), "body_weight": 60,
                "model_manufacturer_code": "ACME", "model_number": "WS-100",
                "production_specification_serial": format!("W{n}"), "data_input_code": "0",
                "origin_of_time_code": "1", "update_time": "20161001000000000",
            }] } })
        })
        .collect();
    json!({
        "format_version": "1.0", "send_time": "20161005120005123", "consortium_id": "A00001",
        "person_information": people,
    })
    .to_string()
}

async fn register(server: &Server, people: std::ops::Range<usize>) {
    let rows: Vec<Value> = people
        .map(|n| {
            json!({
                "consortium_id": "A00001", "person_id": format!("W{n:03}"),
                "birth_year_month": "196104", "sex_code": "1",
                "participation_start_date": "20160101",
            })
        })
        .collect();
    let list = &registry::PARTICIPANTS;
    assert!(List::by_name(list.name).is_some());
    let text = json!(rows).to_string();
    let read = registry::read_json(list, text.as_bytes(), &registry::Options::default());
    let done = server
        .store
        .change_registry(list, &read.unwrap().rows, false)
        .await;
    done.unwrap().unwrap();
}

/// People are looked up one by one while they are few; that more come while a walk is on its
/// way neither repeats nor skips a match.
#[tokio::test]
async fn c1_26_a_chained_walk_goes_on_as_it_began() {
    for (before, during) in [(10, 30), (14, 17), (20, 40)] {
        let server = Server::empty().await;
        register(&server, 0..before).await;
        for day in 1..=3 {
            let sent = server.submit(&weights(0..before, day)).await;
            assert_eq!(sent.status, 201);
        }
        let path = format!(
            "/Observation?patient.identifier={SID}/sid/consortium/A00001/person%7C&_count=5"
        );
        let all: BTreeSet<String> = ids(&server.found(&path.replace("=5", "=1000")).await)
            .into_iter()
            .collect();
        assert_eq!(all.len(), before * 3);
        let mut seen: Vec<String> = Vec::new();
        let mut next = Some(path);
        let mut pages = 0;
        while let Some(url) = next {
            let page = server.found(&url).await;
            seen.extend(ids(&page));
            next = link(&page, "next");
            pages += 1;
            assert!(pages < 100, "the walk does not end");
            if pages == 2 {
                register(&server, before..during).await;
                assert_eq!(server.submit(&weights(before..during, 4)).await.status, 201);
            }
        }
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "{before}: a match came twice");
        assert!(all.is_subset(&once), "{before}: a match was skipped");
    }
}

fn ids(page: &Value) -> Vec<String> {
    matches(page)
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn c1_26_previous_leads_back_page_by_page() {
    let server = Server::with_example().await;
    for sort in [
        "",
        "&_sort=date",
        "&_sort=-value-quantity,code",
        "&patient.identifier=P0000000000000000001",
    ] {
        let mut forward = Vec::new();
        let mut next = Some(format!("/Observation?_count=3{sort}"));
        let mut last = None;
        while let Some(url) = next {
            let page = server.found(&url).await;
            assert_eq!(link(&page, "previous").is_some(), !forward.is_empty());
            next = link(&page, "next");
            forward.push(ids(&page));
            last = Some(page);
        }
        let mut page = last.unwrap();
        for (n, want) in forward.iter().enumerate().rev().skip(1) {
            page = server.found(&link(&page, "previous").unwrap()).await;
            assert_eq!(&ids(&page), want, "{sort} {n}");
            let again = server.found(&link(&page, "next").unwrap()).await;
            assert_eq!(ids(&again), forward[n + 1], "{sort} {n}");
        }
        assert!(link(&page, "previous").is_none());
    }
}
