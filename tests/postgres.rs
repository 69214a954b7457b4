//! PostgreSQL: everything that the other tests promise holds on it too, and what is its own:
//! it can go away, and several instances can share it.
//!
//! A server is started from the programs of this machine (`initdb`, `postgres`). Where there
//! are none, nothing is tested, which is said.

#![cfg(unix)]

#[path = "support/database.rs"]
mod database;
#[path = "postgres/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use database::Database;
use http_body_util::BodyExt as _;
use kenko_fhir::exchange::{self, Options};
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::store::{Access, ReceiptQuery, RecordQuery, Store, Submit};
use server::Server;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tower::ServiceExt as _;

/// The test programs that are run again, each test on a database of a server.
const AGAIN: [&str; 4] = ["store", "http", "fhir", "optional"];

#[test]
fn the_same_tests_hold() {
    let Some(server) = Server::shared() else {
        return;
    };
    // The programs are there, this one among them; cargo knows their names.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--locked", "--offline", "--no-fail-fast"]);
    if server::is_release(&std::env::current_exe().unwrap()) {
        cargo.arg("--release");
    }
    for name in AGAIN {
        cargo.args(["--test", name]);
    }
    let done = cargo
        .env("KENKO_TEST_DATABASE", server.url("postgres"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let results: Vec<&str> = told
        .lines()
        .filter(|l| l.starts_with("test result"))
        .collect();
    println!("{}", results.join("\n"));
    assert!(
        done.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(results.len(), AGAIN.len(), "{told}");
}

/// What is answered to a request, with the header that says when to come again.
async fn call(app: &axum::Router, method: Method, path: &str, body: &str) -> (u16, bool, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "kenko.test")
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), app.clone().oneshot(request));
    let answer = answer.await.expect("an answer").unwrap();
    let status = answer.status().as_u16();
    let again = answer.headers().contains_key("retry-after");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, again, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_that_goes_away_is_503_until_it_comes_back() {
    let Some(server) = Server::start().map(Arc::new) else {
        return;
    };
    let kinds = Arc::new(Kinds::embedded().unwrap());
    let store = Arc::new(Store::open(&server.url("postgres"), kinds).await.unwrap());
    let settings = Settings {
        auto_register: true,
        ..Settings::default()
    };
    let app = app(App::new(store.clone(), settings));
    let get = |path: &'static str| call(&app, Method::GET, path, "");
    let send = || async {
        call(
            &app,
            Method::POST,
            "/exchange/submissions",
            &submission(0, 0),
        )
        .await
    };
    assert_eq!(get("/health/ready").await.0, 200);
    assert_eq!(send().await.0, 201);
    let (status, _, before) = get("/exchange/records?consortium_id=A00001").await;
    assert_eq!(status, 200);

    // What is in flight when the server ends has an answer too.
    let flying: Vec<_> = (0..8)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let (status, ..) = call(&app, Method::GET, "/fhir/Observation", "").await;
                    seen.push(status);
                    if status != 200 {
                        return seen;
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ending = server.clone();
    tokio::task::spawn_blocking(move || ending.stop())
        .await
        .unwrap();
    for flying in flying {
        assert_eq!(flying.await.unwrap().last(), Some(&503));
    }

    for path in ["/health/ready", "/exchange/submissions", "/fhir/Patient"] {
        let begun = Instant::now();
        let (status, again, told) = get(path).await;
        assert_eq!((status, again), (503, true), "{path}: {told}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{path}");
        let outcome = told.contains("\"OperationOutcome\"") && told.contains("\"transient\"");
        assert_eq!(outcome, path.starts_with("/fhir"), "{told}");
    }
    let (status, again, told) = send().await;
    assert_eq!((status, again), (503, true), "{told}");
    assert_eq!(get("/health/live").await.0, 200);
    assert_eq!(get("/fhir/metadata").await.0, 200);

    server.resume();
    assert_eq!(get("/health/ready").await.0, 200);
    let (status, _, told) = send().await;
    assert_eq!(status, 200, "the same again changes nothing: {told}");
    let after = get("/exchange/records?consortium_id=A00001").await.2;
    let records = |text: &str| text.split_once("\"consortium_id\"").unwrap().1.to_owned();
    assert_eq!(records(&before), records(&after));

    // A connection that an operator ends is no more than that.
    let mut operator = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = 'kenko-fhir'";
    sqlx::query(all).execute(&mut operator).await.unwrap();
    let begun = Instant::now();
    while get("/fhir/Observation").await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(send().await.0, 200);
    store.close().await;
}

/// A submission of one sender: 20 records of its own, and one that all senders share.
fn submission(sender: usize, number: usize) -> String {
    let record = |time: String, serial: String| {
        format!(
            r#"{{"observation_time":"{time}","body_weight":60.5,"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"{serial}","data_input_code":"0","origin_of_time_code":"1","update_time":"20161001000000000"}}"#
        )
    };
    let mut records: Vec<String> = (0..20)
        .map(|i| {
            record(
                format!("201609{:02}{i:02}0000", number + 1),
                format!("S{sender}"),
            )
        })
        .collect();
    records.push(record(
        format!("201608{:02}000000", number + 1),
        "SHARED".into(),
    ));
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P1","healthcare_information":{{"weighing_scale":[{}]}}}}]}}"#,
        records.join(",")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_on_one_database_lose_and_double_nothing() {
    const SENDERS: usize = 6;
    const NUMBERS: usize = 10;
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Database::on(&server.url("postgres")).await;
    let kinds = Arc::new(Kinds::embedded().unwrap());
    let mut stores = Vec::new();
    for _ in 0..2 {
        let store = Store::open(&database.url, kinds.clone()).await.unwrap();
        stores.push(Arc::new(store));
    }
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let store = stores[sender % 2].clone();
            tokio::spawn(async move {
                let mut created = 0;
                for number in 0..NUMBERS {
                    let text = submission(sender, number);
                    let options = Options::default();
                    let read = exchange::read(store.kinds(), options, text.as_bytes());
                    let how = Submit {
                        auto: true,
                        ..Submit::default()
                    };
                    let receipt = store.submit(&mut read.unwrap(), &how).await.unwrap();
                    assert!(!receipt.is_refused(), "{receipt:?}");
                    created += receipt.counts.created;
                }
                created
            })
        })
        .collect();
    let mut created = 0;
    for sender in senders {
        created += sender.await.unwrap();
    }
    let expected = (SENDERS * NUMBERS * 20 + NUMBERS) as u64;
    assert_eq!(created, expected, "each record was new once");
    let access = Access::operator();
    for store in &stores {
        let query = RecordQuery::default();
        assert_eq!(store.count(&access, &query).await.unwrap(), expected);
        let all = ReceiptQuery {
            limit: 1000,
            ..ReceiptQuery::default()
        };
        let receipts = store.receipts(&access, &all).await.unwrap();
        assert_eq!(receipts.len(), SENDERS * NUMBERS);
    }
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let times: Vec<i64> = sqlx::query_scalar("SELECT at FROM write ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(
        times.is_sorted(),
        "writes are numbered in the order of their times"
    );
    let shown: i64 =
        sqlx::query_scalar("SELECT count(*) FROM view_weighing_scale WHERE body_weight = 60.5")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(shown as u64, expected);
    for store in stores {
        store.close().await;
    }
}

/// The program, in a folder, on a database.
fn program(folder: &Path, database: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
        .args(["--database", database])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn succeeds(done: Output) -> String {
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    String::from_utf8(done.stdout).unwrap()
}

/// The files of a folder, without the times at which they were written, and without the ids
/// of what tells of a write.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let mut text = std::fs::read_to_string(file.path()).unwrap();
        let mut names = vec!["\"send_time\":\"", "\"lastUpdated\":\"", "\"recorded\":\""];
        if file.file_name() == "Provenance.ndjson" {
            names.push("\"id\":\"");
        }
        for name in names {
            let parts = text.split(name).enumerate().map(|(n, part)| match n {
                0 => part,
                _ => &part[part.find('"').unwrap()..],
            });
            text = parts.collect::<Vec<_>>().join(name);
        }
        out.insert(file.file_name().into_string().unwrap(), text);
    }
    out
}

#[tokio::test]
async fn what_is_exported_is_the_same_to_the_byte() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Database::on(&server.url("postgres")).await;
    let folder = tempfile::tempdir().unwrap();
    let cohort = [
        "synth",
        "--participants",
        "6",
        "--days",
        "20",
        "-o",
        "cohort",
    ];
    succeeds(program(folder.path(), "sqlite://kenko.db", &cohort));
    let mut written = Vec::new();
    for (name, url) in [("file", "sqlite://kenko.db"), ("server", &database.url)] {
        succeeds(program(folder.path(), url, &["migrate"]));
        succeeds(program(folder.path(), url, &["import", "cohort"]));
        let mut here = Vec::new();
        for to in ["exchange", "ndjson"] {
            let out = format!("{name}-{to}");
            succeeds(program(
                folder.path(),
                url,
                &["export", "--to", to, "-o", &out],
            ));
            here.push(files(&folder.path().join(out)));
        }
        for list in ["participants", "devices"] {
            let shown = program(folder.path(), url, &["registry", "show", list]);
            here.push(BTreeMap::from([(list.to_owned(), succeeds(shown))]));
        }
        written.push(here);
    }
    let size: usize = written[0]
        .iter()
        .flatten()
        .map(|(_, text)| text.len())
        .sum();
    assert!(size > 100_000, "{size}");
    for (a, b) in written[0].iter().zip(&written[1]) {
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
        for (name, text) in a {
            assert!(*text == b[name], "{name} differs");
        }
    }
}

#[tokio::test]
async fn what_only_files_have_names_the_tools_of_a_server() {
    let Some(server) = Server::shared() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let secret = server.url("postgres").replace("kenko@", "kenko:secret@");
    std::fs::write(folder.path().join("a.db"), "").unwrap();
    for arguments in [["backup", "b.db"], ["restore", "a.db"]] {
        let done = program(folder.path(), &secret, &arguments);
        let told = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{told}");
        assert!(
            told.contains("pg_dump") && !told.contains("secret"),
            "{told}"
        );
    }
    // Nobody listens there, and the password is nobody's business.
    let nobody = "postgres://kenko:secret@127.0.0.1:1/kenko?application_name=secret";
    let done = program(folder.path(), nobody, &["migrate"]);
    let told = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{told}");
    assert!(told.contains("kenko@127.0.0.1:1/kenko"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}
