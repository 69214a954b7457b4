//! Times of writes: whoever asks for what came after the last that was seen misses nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kenko_fhir::fhir::id::ObservationKey;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::{Access, Changes, Deletion, ReceiptQuery};
use serde_json::{Value, json};

use crate::reading::text;
use crate::server::{PERSON, Server, entries, observation, weight};

/// A submission of so many weights of one person, the first of them at this day of 2016-09.
fn weights(day: usize, number: usize) -> String {
    let mut out: Value = serde_json::from_str(&weight(
        PERSON,
        "20160901070000",
        "60.0",
        "20161001000000000",
    ))
    .unwrap();
    let records = &mut out["person_information"][0]["healthcare_information"]["weighing_scale"];
    let one = records[0].clone();
    let each = (0..number).map(|n| {
        let mut one = one.clone();
        let time = format!("201609{day:02}{:02}{:02}00", n / 60 % 24, n % 60);
        one["observation_time"] = time.into();
        one
    });
    *records = each.collect();
    out.to_string()
}

/// Registers a laboratory, or changes its name.
async fn rename(server: &Server, n: usize) {
    let list = List::by_name("laboratories").unwrap();
    let rows = json!([{ "consortium_id": "A00001", "test_lab_id": "000000000009",
        "test_lab_name": format!("laboratory {n}"), "prefecture_code": "23" }]);
    let read = registry::read_json(list, rows.to_string().as_bytes(), &Default::default());
    let rows = read.unwrap().rows;
    let done = server.store.change_registry(list, &rows, false).await;
    done.unwrap().unwrap();
}

#[tokio::test]
async fn a_write_is_of_the_time_at_which_it_ends() {
    let server = Server::with_example().await;
    let made = server
        .create(&observation("2016-10-01T07:00:00+09:00", "60.5"))
        .await;
    let id = text(&made["id"]).to_owned();
    let held = server.store.hold(None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Whoever asks meanwhile goes on from now.
    let now = kenko_fhir::time::now_millis();
    let asked = kenko_fhir::time::text(|out| kenko_fhir::time::write_instant(out, now));
    let since = asked.replace('+', "%2B");
    let found = server
        .found(&format!("/Observation/_history?_since={since}"))
        .await;
    assert_eq!(entries(&found).len(), 0);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut changes = Changes {
        deletions: vec![Deletion {
            key: ObservationKey::decode(&id).unwrap(),
            condition: Default::default(),
        }],
        ..Changes::default()
    };
    let done = server.store.change(held, &mut changes).await.unwrap();
    assert!(done.kept && done.at >= now, "{} {now}", done.at);
    let found = server
        .found(&format!("/Observation/_history?_since={since}"))
        .await;
    let found = entries(&found);
    assert_eq!(found.len(), 1);
    let told = kenko_fhir::time::text(|out| kenko_fhir::time::write_instant(out, done.at));
    assert_eq!(found[0]["response"]["lastModified"], told);
}

#[tokio::test]
async fn no_two_writes_have_one_time() {
    let server = Server::with_example().await;
    let access = Access::operator();
    let mut times: Vec<String> = Vec::new();
    let instant = |at| kenko_fhir::time::text(|out| kenko_fhir::time::write_instant(out, at));
    for n in 0..20 {
        let made = server
            .create(&observation(
                &format!("2016-10-01T07:{n:02}:00+09:00"),
                "60.5",
            ))
            .await;
        times.push(text(&made["meta"]["lastUpdated"]).to_owned());
        rename(&server, n).await;
        let laboratory = server
            .matches("/Organization?identifier=000000000009")
            .await;
        times.push(text(&laboratory[0]["meta"]["lastUpdated"]).to_owned());
        // Refused: only its receipt is kept.
        let refused = weight("nobody", "20161101070000", "60.0", "20161201000000000");
        let receipt = server.submit(&refused).await;
        assert!(receipt.is_refused());
        let stored = server
            .store
            .receipt(&access, &receipt.id, false)
            .await
            .unwrap();
        assert_eq!(stored.unwrap().received_at, receipt.received_at);
        times.push(instant(receipt.received_at));
    }
    let distinct: BTreeSet<&String> = times.iter().collect();
    assert_eq!(distinct.len(), times.len());
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_asks_for_what_came_after_the_last_misses_nothing() {
    let server = Arc::new(Server::with_example().await.since_new_year().await);
    let long = {
        let server = server.clone();
        tokio::spawn(async move {
            for n in 0..6 {
                let receipt = server.submit(&weights(1 + n, 900)).await;
                assert_eq!(receipt.status, 201, "{:?}", receipt.faults);
            }
        })
    };
    let short = {
        let server = server.clone();
        tokio::spawn(async move {
            for n in 0..40 {
                let at = format!("2016-10-01T08:{n:02}:00+09:00");
                server.create(&observation(&at, "60.5")).await;
                rename(&server, n).await;
            }
        })
    };
    let access = Access::operator();
    let (mut seen, mut last) = (BTreeSet::new(), "2000-01-01T00:00:00+09:00".to_owned());
    let (mut receipts, mut since) = (BTreeSet::new(), 0);
    loop {
        let over = long.is_finished() && short.is_finished();
        let encoded = last.replace('+', "%2B");
        let mut next = Some(format!(
            "/Observation?_lastUpdated=gt{encoded}&_sort=_lastUpdated&_count=1000&_elements=id"
        ));
        while let Some(url) = next {
            let page = server.found(&url).await;
            for one in crate::server::matches(&page) {
                let at = text(&one["meta"]["lastUpdated"]).to_owned();
                last = last.max(at);
                seen.insert(text(&one["id"]).to_owned());
            }
            next = crate::server::link(&page, "next");
        }
        let query = ReceiptQuery {
            since: Some(since),
            limit: 1000,
            ..ReceiptQuery::default()
        };
        for receipt in server.store.receipts(&access, &query).await.unwrap() {
            since = since.max(receipt.received_at);
            receipts.insert(receipt.id);
        }
        if over {
            break;
        }
    }
    long.await.unwrap();
    short.await.unwrap();
    let mut all = BTreeSet::new();
    let mut next = Some("/Observation?_count=1000&_elements=id".to_owned());
    while let Some(url) = next {
        let page = server.found(&url).await;
        let ids = crate::server::matches(&page);
        all.extend(ids.iter().map(|one| text(&one["id"]).to_owned()));
        next = crate::server::link(&page, "next");
    }
    assert_eq!((seen.len(), all.difference(&seen).count()), (all.len(), 0));
    let query = ReceiptQuery {
        limit: 1000,
        ..ReceiptQuery::default()
    };
    let all = server.store.receipts(&access, &query).await.unwrap();
    assert_eq!(receipts.len(), all.len());
}
