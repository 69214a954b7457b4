//! `POST /exchange/submissions` and receipts.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use futures_util::stream;
use kenko_fhir::http::Settings;
use serde_json::json;

use crate::server::*;

const T: &str = "20160901073015";

#[tokio::test]
async fn a_submission_is_created_with_a_receipt() {
    let server = Server::registered().await;
    let answer = server.submit(&first()).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, JSON));
    let receipt = answer.json();
    let id = receipt["id"].as_str().unwrap();
    let location = format!("http://kenko.test/exchange/submissions/{id}");
    assert_eq!(answer.header("location"), location);
    let keys: Vec<&String> = receipt.as_object().unwrap().keys().collect();
    let expected = [
        "id",
        "consortium_id",
        "send_time",
        "received_at",
        "handling",
        "faults",
        "counts",
        "entries",
    ];
    assert_eq!(keys, expected);
    let counts: Vec<&String> = receipt["counts"].as_object().unwrap().keys().collect();
    let expected = [
        "received",
        "created",
        "updated",
        "unchanged",
        "stale",
        "conflict",
        "refused",
        "warned",
    ];
    assert_eq!(counts, expected);
    assert_eq!(receipt["send_time"], "20161006030000000");
    assert_eq!(receipt["handling"], "strict");
    assert!(receipt["received_at"].as_str().unwrap().ends_with("+09:00"));
    assert_eq!(receipt["counts"]["received"], receipt["counts"]["created"]);

    let again = server.get(&location).await;
    assert_eq!((again.status, again.json()), (200, receipt));
    let same = server.submit(&first()).await;
    assert_eq!((same.status, same.header("content-type")), (200, JSON));
    assert!(same.header("location").contains("/exchange/submissions/"));
}

#[tokio::test]
async fn a_refused_submission_leaves_its_receipt_and_nothing_else() {
    let server = Server::registered().await;
    let text = submission(&[
        weight_record(T, "20160901081500123", "65.505"),
        weight_record("20160902073015", "20160902081500123", "65.5"),
    ]);
    let answer = server.submit(&text).await;
    assert_eq!(
        answer.problem(422),
        "nothing was stored: 1 of 2 records were refused or in conflict"
    );
    let problem = answer.json();
    assert_eq!(problem["counts"]["received"], 2);
    let entry = &problem["entries"][0];
    let record = "/person_information/0/healthcare_information/weighing_scale/0";
    assert_eq!(
        (&entry["pointer"], &entry["outcome"]),
        (&json!(record), &json!("refused"))
    );
    assert_eq!(entry["reference"], json!(null));
    let fault = &entry["faults"][0];
    let keys: Vec<&String> = fault.as_object().unwrap().keys().collect();
    let expected = [
        "severity", "code", "pointer", "line", "column", "expected", "found", "message",
    ];
    assert_eq!(keys, expected);
    assert_eq!(fault["pointer"], format!("{record}/body_weight"));
    assert_eq!(fault["code"], "decimals");
    let column = text.find("65.505").unwrap() + 1;
    assert_eq!(
        (&fault["line"], &fault["column"]),
        (&json!(1), &json!(column))
    );
    assert_eq!(
        (&fault["expected"], &fault["found"]),
        (&json!("at most 2 decimals"), &json!("65.505"))
    );

    let kept = server.get(answer.header("location")).await;
    assert_eq!(kept.status, 200);
    assert_eq!(kept.json()["id"], problem["id"]);
    assert_eq!(kept.json()["entries"], problem["entries"]);
    assert!(server.records().await.contains("\"person_information\":[]"));
    assert!(server.get("/exchange/quarantine").await.json()["quarantine"] == json!([]));
    let clean = server.submit(&weight(T, "20160901081500123", "65.5")).await;
    assert_eq!(clean.counts(), [1, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn messages_are_in_the_language_asked_for() {
    let server = Server::registered().await;
    let text = weight(T, "20160901081500123", "65.505");
    let answer = server
        .send(with(post(&text), "accept-language", "ja"))
        .await;
    assert_eq!(
        answer.problem(422),
        "何も保存していません: 1 件中 1 件が拒否または競合しました"
    );
    let message = answer.json()["entries"][0]["faults"][0]["message"].to_string();
    assert!(message.contains("小数桁数"), "{message}");
    let kept = server.get(answer.header("location")).await.json();
    let message = kept["entries"][0]["faults"][0]["message"].to_string();
    assert!(message.contains("too many decimals"), "{message}");
}

#[tokio::test]
async fn lenient_handling_stores_the_good_and_a_mended_record_leaves_the_quarantine() {
    let server = Server::registered().await;
    let text = submission(&[
        weight_record(T, "20160901081500123", "65.505"),
        weight_record("20160902073015", "20160902081500123", "65.5"),
    ]);
    let answer = server.submit_lenient(&text).await;
    assert_eq!(
        (answer.status, answer.header("preference-applied")),
        (201, "handling=lenient")
    );
    assert_eq!(answer.counts(), [1, 0, 0, 0, 0, 1]);
    let receipt = answer.json();
    assert_eq!(receipt["handling"], "lenient");

    let waiting = server
        .get("/exchange/quarantine?consortium_id=A00001")
        .await
        .json();
    let row = &waiting["quarantine"][0];
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    let expected = [
        "id",
        "receipt",
        "consortium_id",
        "pointer",
        "faults",
        "received_at",
    ];
    assert_eq!(keys, expected);
    assert_eq!(row["receipt"], receipt["id"]);
    assert_eq!(row["faults"], receipt["entries"][0]["faults"]);
    assert_eq!(waiting["next"], json!(null));

    let mended = server
        .submit(&weight(T, "20160901081500123", "65.50"))
        .await;
    assert_eq!(mended.counts(), [1, 0, 0, 0, 0, 0]);
    assert_eq!(
        server.get("/exchange/quarantine").await.json()["quarantine"],
        json!([])
    );
    // The receipt stays as it was.
    assert_eq!(server.get(answer.header("location")).await.json(), receipt);
}

#[tokio::test]
async fn lenient_handling_of_nothing_good_is_422() {
    let server = Server::registered().await;
    let answer = server
        .submit_lenient(&weight(T, "20160901081500123", "65.505"))
        .await;
    answer.problem(422);
    assert_eq!(answer.counts(), [0, 0, 0, 0, 0, 1]);
    server.submit(&weight(T, "20160901081500123", "65.5")).await;
    let conflict = server
        .submit_lenient(&weight(T, "20160901081500123", "66"))
        .await;
    conflict.problem(422);
    assert_eq!(conflict.counts(), [0, 0, 0, 0, 1, 0]);
}

#[tokio::test]
async fn the_resend_table_holds() {
    let server = Server::registered().await;
    let cases = [
        ("20160901081500123", "65.50", 201, [1, 0, 0, 0, 0, 0]),
        ("20160901081500123", "65.5", 200, [0, 0, 1, 0, 0, 0]),
        ("20160901081500124", "65.50", 200, [0, 0, 1, 0, 0, 0]),
        ("20160901081500125", "66", 201, [0, 1, 0, 0, 0, 0]),
        ("20160901081500124", "70", 200, [0, 0, 0, 1, 0, 0]),
        ("20160901081500125", "70", 422, [0, 0, 0, 0, 1, 0]),
    ];
    for (update, value, status, counts) in cases {
        let answer = server.submit(&weight(T, update, value)).await;
        assert_eq!(
            (answer.status, answer.counts()),
            (status, counts),
            "{update} {value}"
        );
        if status == 422 {
            let entry = &answer.json()["entries"][0];
            assert_eq!(entry["outcome"], "conflict");
            assert!(
                entry["reference"]
                    .as_str()
                    .unwrap()
                    .starts_with("Observation/")
            );
            assert_eq!(answer.faults()[0].0, "conflict");
        }
    }
    assert!(server.records().await.contains("\"body_weight\":66,"));
}

#[tokio::test]
async fn files_in_any_order_end_in_the_same_content() {
    let parts = [
        ("20160901081500123", "65.5"),
        ("20160901081500124", "65.6"),
        ("20160901081500125", "65.5"),
    ];
    let mut ends = Vec::new();
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let server = Server::registered().await;
        for i in order {
            let answer = server.submit(&weight(T, parts[i].0, parts[i].1)).await;
            assert!(answer.status < 300, "{}", answer.text());
        }
        ends.push(server.records().await);
    }
    assert!(ends[0].contains("20160901081500125"));
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
}

#[tokio::test]
async fn what_is_not_json_leaves_no_receipt() {
    let server = Server::registered().await;
    for (text, line, column) in [
        ("", 1, 1),
        ("{\n \"a\" 1}", 2, 6),
        ("{} {}", 1, 4),
        ("\u{FEFF}[", 1, 2),
    ] {
        let answer = server.submit(text).await;
        answer.problem(400);
        let fault = &answer.json()["faults"][0];
        assert_eq!(fault["code"], "json", "{text:?}");
        assert_eq!(
            (&fault["line"], &fault["column"]),
            (&json!(line), &json!(column)),
            "{text:?}"
        );
        assert_eq!(answer.json()["faults"].as_array().unwrap().len(), 1);
        assert_eq!(answer.header("location"), "");
    }
    assert_eq!(server.receipts().await.len(), 0);
}

#[tokio::test]
async fn gzip_is_taken_and_broken_gzip_is_not() {
    let server = Server::registered().await;
    let packed = gzip(first().as_bytes());
    let send = async |bytes: Vec<u8>, coding: &str| {
        let request = request(Method::POST, "/exchange/submissions", JSON, bytes);
        server.send(with(request, "content-encoding", coding)).await
    };
    let cut = packed[..packed.len() - 9].to_vec();
    let mut flipped = packed.clone();
    let end = flipped.len() - 6;
    flipped[end] ^= 1;
    for bytes in [cut, flipped, first().into_bytes(), Vec::new()] {
        let answer = send(bytes, "gzip").await;
        answer.problem(400);
        assert_eq!(answer.faults(), [("json".into(), String::new())]);
    }
    assert_eq!(server.receipts().await.len(), 0);
    send(packed.clone(), "br").await.problem(415);
    send(packed.clone(), "gzip, gzip").await.problem(415);
    assert_eq!(send(packed, "gzip").await.status, 201);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_counted_after_decompression() {
    let settings = Settings {
        body_limit: 4000,
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    server.register("examples/registries").await;
    let padding = " ".repeat(100_000);
    let long = format!("{}{padding}", weight(T, "20160901081500123", "65.5"));
    let detail = server.submit(&long).await.problem(413);
    assert!(detail.contains("4000 bytes"), "{detail}");
    let bomb = request(
        Method::POST,
        "/exchange/submissions",
        JSON,
        gzip(long.as_bytes()),
    );
    server
        .send(with(bomb, "content-encoding", "gzip"))
        .await
        .problem(413);
    let blocks = long
        .into_bytes()
        .chunks(1000)
        .map(|c| Ok::<_, std::io::Error>(Bytes::copy_from_slice(c)))
        .collect::<Vec<_>>();
    let streamed = Body::from_stream(stream::iter(blocks));
    server
        .send(request(
            Method::POST,
            "/exchange/submissions",
            JSON,
            streamed,
        ))
        .await
        .problem(413);
    assert_eq!(server.receipts().await.len(), 0);
    assert_eq!(
        server
            .submit(&weight(T, "20160901081500123", "65.5"))
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_cut_off_and_holds_up_nobody() {
    let settings = Settings {
        body_grace: Duration::from_millis(200),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    server.register("examples/registries").await;
    let silent = || {
        let head = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(
            b"{\"format_version\":",
        ))]);
        let body = Body::from_stream(stream::StreamExt::chain(head, stream::pending()));
        server.send(request(Method::POST, "/exchange/submissions", JSON, body))
    };
    let many = futures_util::future::join_all((0..50).map(|_| silent()));
    let text = first();
    let (slow, quick) = tokio::join!(many, server.submit(&text));
    assert_eq!(quick.status, 201);
    for answer in slow {
        answer.problem(408);
    }
    let lost = stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(std::io::Error::other("gone")),
    ]);
    let answer = request(
        Method::POST,
        "/exchange/submissions",
        JSON,
        Body::from_stream(lost),
    );
    server.send(answer).await.problem(400);
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let server = Server::registered().await;
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json;charset=shift_jis",
    ] {
        server
            .send(request(
                Method::POST,
                "/exchange/submissions",
                media,
                first(),
            ))
            .await
            .problem(415);
    }
    server
        .send(with(post(&first()), "accept", "application/xml"))
        .await
        .problem(406);
    let utf8 = request(
        Method::POST,
        "/exchange/submissions",
        "application/json; charset=UTF-8",
        first(),
    );
    assert_eq!(server.send(utf8).await.status, 201);
}

#[tokio::test]
async fn entries_all_tells_every_record() {
    let server = Server::registered().await;
    let answer = server.submit(&first()).await;
    let told = answer.json()["entries"].as_array().unwrap().len();
    let received = answer.json()["counts"]["received"].as_u64().unwrap() as usize;
    assert!(told < received);
    let location = answer.header("location");
    let all = server.get(&format!("{location}?entries=all")).await.json();
    let entries = all["entries"].as_array().unwrap();
    assert_eq!(entries.len(), received);
    for entry in entries {
        assert_eq!(entry["outcome"], "created");
        assert!(
            entry["reference"]
                .as_str()
                .unwrap()
                .starts_with("Observation/")
        );
    }
    server
        .get(&format!("{location}?entries=some"))
        .await
        .problem(400);
    server
        .get(&format!("{location}?entry=all"))
        .await
        .problem(400);
    server
        .get("/exchange/submissions/01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .await
        .problem(404);
}

#[tokio::test]
async fn what_no_list_knows_is_registered_where_that_is_asked_for() {
    let strict = Server::empty().await;
    let answer = strict.submit(&weight(T, "20160901081500123", "65.5")).await;
    answer.problem(422);
    assert!(
        answer
            .faults()
            .iter()
            .any(|(code, _)| code == "consortium-unknown"),
        "{}",
        answer.text()
    );
    let auto = Server::with(Settings {
        auto_register: true,
        ..Settings::default()
    })
    .await;
    assert_eq!(
        auto.submit(&weight(T, "20160901081500123", "65.5"))
            .await
            .status,
        201
    );
    let people = auto.get("/exchange/registries/participants").await.json();
    assert_eq!(people[0]["provisional"], true);
    assert_eq!(people[0]["sex_code"], "0");
}

#[tokio::test]
async fn a_broken_envelope_is_told_with_what_is_known() {
    let server = Server::registered().await;
    let answer = server
        .submit("{\"format_version\":\"1.0\",\"person_information\":[]}")
        .await;
    answer.problem(422);
    let problem = answer.json();
    assert_eq!(
        (&problem["consortium_id"], &problem["send_time"]),
        (&json!(null), &json!(null))
    );
    let faults: Vec<String> = answer.faults().into_iter().map(|f| f.1).collect();
    assert_eq!(faults, ["/send_time", "/consortium_id"]);
    assert_eq!(server.get(answer.header("location")).await.status, 200);
}
