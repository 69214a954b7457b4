//! `/exchange/registries/{list}`.

use axum::http::Method;
use kenko_fhir::http::Settings;
use kenko_fhir::registry::List;
use serde_json::{Value, json};

use crate::server::*;

fn path(list: &str) -> String {
    format!("/exchange/registries/{list}")
}

fn example(list: &str) -> String {
    std::fs::read_to_string(format!("examples/registries/{list}.json")).unwrap()
}

#[tokio::test]
async fn every_list_comes_back_as_it_was_sent_in_both_forms() {
    let server = Server::empty().await;
    for list in List::ALL {
        let sent: Value = serde_json::from_str(&example(list.name)).unwrap();
        let rows = sent.as_array().unwrap().len();
        let put = server
            .send(request(
                Method::PUT,
                &path(list.name),
                JSON,
                example(list.name),
            ))
            .await;
        let expected = json!({"created": rows, "updated": 0, "unchanged": 0, "removed": 0});
        assert_eq!((put.status, put.json()), (200, expected), "{}", list.name);
        let got = server.get(&path(list.name)).await;
        assert_eq!(
            (got.header("content-type"), got.json()),
            (JSON, sent.clone())
        );
        let csv = server
            .send(with(get(&path(list.name)), "accept", "text/csv"))
            .await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let again = server
            .send(request(
                Method::PATCH,
                &path(list.name),
                "text/csv",
                csv.body,
            ))
            .await;
        assert_eq!(
            again.json(),
            json!({"created": 0, "updated": 0, "unchanged": rows})
        );
        assert_eq!(server.get(&path(list.name)).await.json(), sent);
    }
}

#[tokio::test]
async fn spreadsheets_are_read_in_their_charsets() {
    for (folder, media) in [
        ("utf8", "text/csv"),
        ("utf8-bom", "text/csv; charset=utf-8"),
        ("cp932", "text/csv; charset=Shift_JIS"),
        ("cp932", "text/csv; charset=windows-31j"),
        ("cp932", "text/csv;charset=\"cp932\""),
    ] {
        let server = Server::empty().await;
        for list in List::ALL {
            let bytes = std::fs::read(format!(
                "tests/data/registries-csv/{folder}/{}.csv",
                list.name
            ))
            .unwrap();
            let put = server
                .send(request(Method::PUT, &path(list.name), media, bytes))
                .await;
            assert_eq!(put.status, 200, "{folder} {}: {}", list.name, put.text());
            let expected: Value = serde_json::from_str(&example(list.name)).unwrap();
            assert_eq!(
                server.get(&path(list.name)).await.json(),
                expected,
                "{folder} {}",
                list.name
            );
        }
    }
    let server = Server::empty().await;
    let bytes = std::fs::read("tests/data/registries-csv/cp932/consortia.csv").unwrap();
    let wrong = server
        .send(request(
            Method::PUT,
            &path("consortia"),
            "text/csv",
            bytes.clone(),
        ))
        .await;
    wrong.problem(422);
    let detail = server
        .send(request(
            Method::PUT,
            &path("consortia"),
            "text/csv;charset=utf-16",
            bytes,
        ))
        .await
        .problem(415);
    assert!(detail.contains("utf-16"), "{detail}");
}

#[tokio::test]
async fn faults_name_row_line_and_field_and_nothing_changes() {
    let server = Server::registered().await;
    let before = server.get(&path("participants")).await.json();
    let csv = "consortium_id,person_id,birth_year_month,sex_code,participation_start_date\n\
               A00001,P3,196104,1,20160901\nA00001,P4,196113,3,\n";
    let answer = server
        .send(request(
            Method::PATCH,
            &path("participants"),
            "text/csv",
            csv,
        ))
        .await;
    answer.problem(422);
    let faults = answer.json()["faults"].clone();
    assert_eq!(faults[0]["pointer"], "/1/birth_year_month");
    assert_eq!(
        (&faults[0]["line"], &faults[0]["column"]),
        (&json!(3), &json!(11))
    );
    let codes: Vec<String> = answer.faults().into_iter().map(|f| f.0).collect();
    assert_eq!(codes, ["time-invalid", "code-unknown", "required-missing"]);

    let rows = "[\n {\"consortium_id\":\"A00001\",\"person_id\":\"P3\",\"x\":1}\n]";
    let answer = server
        .send(request(Method::PATCH, &path("participants"), JSON, rows))
        .await;
    answer.problem(422);
    assert_eq!(answer.json()["faults"][0]["pointer"], "/0/x");
    assert_eq!(answer.json()["faults"][0]["line"], 2);
    let broken = server
        .send(request(Method::PATCH, &path("participants"), JSON, "[{"))
        .await;
    broken.problem(400);
    assert_eq!(broken.faults()[0].0, "json");
    let gzip = with(
        request(Method::PATCH, &path("participants"), "text/csv", csv),
        "content-encoding",
        "gzip",
    );
    let broken = server.send(gzip).await;
    broken.problem(400);
    assert_eq!(broken.faults(), [("json".into(), String::new())]);
    assert_eq!(server.get(&path("participants")).await.json(), before);
}

#[tokio::test]
async fn a_row_that_records_refer_to_cannot_go() {
    let server = Server::registered().await;
    server.submit(&first()).await;
    for (list, key) in [
        ("consortia", "A00001"),
        ("participants", "A00001 P0000000000000000001"),
        ("laboratories", "A00001 000000000001"),
        ("devices", "ACME WS-100"),
        ("hba1c-methods", "000001"),
    ] {
        let before = server.get(&path(list)).await.json();
        let answer = server
            .send(request(Method::PUT, &path(list), JSON, "[]"))
            .await;
        answer.problem(409);
        let faults = answer.json()["faults"].clone();
        let faults = faults.as_array().unwrap();
        assert!(faults.iter().all(|f| f["code"] == "conflict"), "{list}");
        assert!(
            faults.iter().any(|f| f["found"] == key),
            "{list} {faults:?}"
        );
        assert_eq!(server.get(&path(list)).await.json(), before, "{list}");
    }
    let gone = server
        .send(request(
            Method::PUT,
            &path("activity-recording-times"),
            JSON,
            "[]",
        ))
        .await;
    assert_eq!(gone.json()["removed"], 2);
}

#[tokio::test]
async fn patch_replaces_a_row_whole() {
    let server = Server::registered().await;
    let row = json!([{"consortium_id": "A00001", "consortium_name": "別の名前"}]);
    let answer = server
        .send(request(
            Method::PATCH,
            &path("consortia"),
            JSON,
            row.to_string(),
        ))
        .await;
    assert_eq!(
        answer.json(),
        json!({"created": 0, "updated": 1, "unchanged": 0})
    );
    assert_eq!(server.get(&path("consortia")).await.json(), row);
}

#[tokio::test]
async fn a_list_is_narrowed_to_a_consortium() {
    let server = Server::registered().await;
    let more = json!([{"consortium_id": "B00001", "consortium_name": "別の会"}]);
    server
        .send(request(
            Method::PATCH,
            &path("consortia"),
            JSON,
            more.to_string(),
        ))
        .await;
    let got = server
        .get("/exchange/registries/consortia?consortium_id=B00001")
        .await;
    assert_eq!(got.json(), more);
    assert_eq!(
        server
            .get("/exchange/registries/participants?consortium_id=B00001")
            .await
            .json(),
        json!([])
    );
    server
        .get("/exchange/registries/devices?consortium_id=A00001")
        .await
        .problem(400);
    server
        .get("/exchange/registries/consortia?consortium_id=-")
        .await
        .problem(400);
    server
        .get("/exchange/registries/consortia?name=x")
        .await
        .problem(400);
}

#[tokio::test]
async fn unknown_lists_methods_and_media_types_are_told() {
    let server = Server::with(Settings {
        body_limit: 100,
        ..Settings::default()
    })
    .await;
    let detail = server.get(&path("people")).await.problem(404);
    assert!(detail.contains("participants"), "{detail}");
    server
        .send(request(Method::PUT, &path("people"), JSON, "[]"))
        .await
        .problem(404);
    let post = server
        .send(request(Method::POST, &path("consortia"), JSON, "[]"))
        .await;
    post.problem(405);
    let allowed = post.header("allow");
    assert!(
        ["GET", "HEAD", "PUT", "PATCH"]
            .iter()
            .all(|m| allowed.contains(m)),
        "{allowed}"
    );
    server
        .send(request(Method::PUT, &path("consortia"), "text/plain", "[]"))
        .await
        .problem(415);
    server
        .send(request(
            Method::PUT,
            &path("consortia"),
            JSON,
            " ".repeat(101),
        ))
        .await
        .problem(413);
    server
        .send(with(get(&path("consortia")), "accept", "text/html"))
        .await
        .problem(406);
}
