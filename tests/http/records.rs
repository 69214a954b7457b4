//! `GET /exchange/records`: the way out in protocol form.

use kenko_fhir::exchange::{self, Options};
use kenko_fhir::kind::Edition;
use serde_json::{Value, json};

use crate::server::*;

fn normal_form(server: &Server, text: &str, edition: Edition) -> Value {
    let kinds = server.store.kinds();
    let read = exchange::read(kinds, Options::default(), text.as_bytes()).unwrap();
    let out = exchange::write(Vec::new(), kinds, &read, edition).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[tokio::test]
async fn what_was_sent_comes_back_in_normal_form_and_can_be_sent_again() {
    let server = Server::registered().await;
    server.submit(&first()).await;
    for (query, edition) in [("", Edition::E2017), ("&edition=2016", Edition::E2016)] {
        let answer = server
            .get(&format!("/exchange/records?consortium_id=A00001{query}"))
            .await;
        assert_eq!((answer.status, answer.header("content-type")), (200, JSON));
        assert_eq!(answer.header("cache-control"), "no-store");
        let got = answer.json();
        assert_eq!(got["format_version"], "1.0");
        assert_eq!(got["send_time"].as_str().unwrap().len(), 17);
        let expected = normal_form(&server, &first(), edition);
        assert_eq!(got["person_information"], expected["person_information"]);
        let again = server.submit(&answer.text()).await;
        assert_eq!(
            (again.status, again.counts()[0]),
            (200, 0),
            "{}",
            again.text()
        );
    }
}

#[tokio::test]
async fn records_are_narrowed_by_person_kind_and_day() {
    let server = Server::registered().await;
    server.submit(&first()).await;
    let times = async |query: &str| {
        let answer = server
            .get(&format!("/exchange/records?consortium_id=A00001&{query}"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let mut times: Vec<String> = text
            .split("\"observation_time\":\"")
            .skip(1)
            .map(|rest| rest[..14].to_owned())
            .collect();
        times.sort();
        times
    };
    let weights = ["20160901065500", "20160901073015", "20160902070130"];
    assert_eq!(times("kind=weighing_scale").await, weights);
    assert_eq!(
        times("kind=weighing_scale&from=2016-09-01&until=2016-09-02").await,
        weights[..2]
    );
    assert_eq!(
        times("kind=weighing_scale&from=2016-09-02").await,
        weights[2..]
    );
    assert_eq!(times("kind=weighing_scale&until=2016-09-01").await, [""; 0]);
    // A day of activity belongs to its day alone.
    assert_eq!(
        times("kind=physical_activity&from=2016-09-01&until=2016-09-02")
            .await
            .len(),
        2
    );
    assert_eq!(
        times("kind=physical_activity&from=2016-09-02").await.len(),
        0
    );
    assert_eq!(
        times("kind=physical_activity&until=2016-09-01").await.len(),
        0
    );
    assert_eq!(times("from=2016-09-02&until=2016-09-01").await.len(), 0);
    assert_eq!(times("person_id=P0000000000000000001").await.len(), 5);
    assert_eq!(times("person_id=P9").await.len(), 0);
    let nobody = server
        .get("/exchange/records?consortium_id=B00001")
        .await
        .json();
    assert_eq!(nobody["person_information"], json!([]));
}

#[tokio::test]
async fn the_newest_update_time_of_a_content_is_given() {
    let server = Server::registered().await;
    server
        .submit(&weight("20160901073015", "20160901081500123", "65.5"))
        .await;
    server
        .submit(&weight("20160901073015", "20160905081500123", "65.50"))
        .await;
    let records = server.records().await;
    assert!(records.contains("\"body_weight\":65.5,"), "{records}");
    assert!(
        records.contains("\"update_time\":\"20160905081500123\""),
        "{records}"
    );
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let server = Server::registered().await;
    for (query, named) in [
        ("", "consortium_id"),
        ("person_id=P1", "consortium_id"),
        ("consortium_id=A0000001", "consortium_id"),
        ("consortium_id=A00001&person_id=P-1", "person_id"),
        ("consortium_id=A00001&kind=weight", "weighing_scale"),
        ("consortium_id=A00001&from=20160901", "from"),
        ("consortium_id=A00001&until=2016-09", "until"),
        ("consortium_id=A00001&until=2016-02-30", "until"),
        ("consortium_id=A00001&edition=2018", "edition"),
        ("consortium_id=A00001&patient=1", "patient"),
    ] {
        let detail = server
            .get(&format!("/exchange/records?{query}"))
            .await
            .problem(400);
        assert!(detail.contains(named), "{query}: {detail}");
    }
}

#[tokio::test]
async fn many_records_are_streamed_whole_and_in_order() {
    let server = Server::registered().await;
    // More than a block of the walk, and many sources within one second at its edges.
    let record = |i: usize, serial: usize| {
        let time = format!("201609{:02}{:02}{:02}00", 1 + i / 1440, i / 60 % 24, i % 60);
        weight_record(&time, "20161001081500123", "65.5")
            .replace("WS0001234", &format!("WS{:04}", 9999 - serial))
    };
    let weights: Vec<String> = (0..1800)
        .flat_map(|i| (0..3).map(move |serial| (i, serial)))
        .map(|(i, s)| record(i, s))
        .collect();
    let answer = server.submit(&submission(&weights)).await;
    assert_eq!(
        answer.status,
        201,
        "{}",
        &answer.text()[..500.min(answer.body.len())]
    );
    let got = server
        .get("/exchange/records?consortium_id=A00001")
        .await
        .json();
    let expected = normal_form(&server, &submission(&weights), Edition::E2017);
    assert_eq!(got["person_information"], expected["person_information"]);
}
