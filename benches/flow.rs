//! Each step of the data's way, beside its floor: `cargo bench --bench flow`.
//!
//! The floor of parsing is `serde_json::Value`, of writing FHIR a copy of the same bytes, of
//! storing an insert of rows of the same width, of an answer a constant one.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::Request;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use http_body_util::BodyExt as _;
use kenko_fhir::exchange::{self, Submission};
use kenko_fhir::fhir::{bundle, inbound};
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::{Edition, Kinds};
use kenko_fhir::registry::{self, List, Registries};
use kenko_fhir::store::{Store, Submit};
use kenko_fhir::synth::Cohort;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

fn main() {
    divan::main();
}

static KINDS: LazyLock<Arc<Kinds>> =
    LazyLock::new(|| Arc::new(Kinds::embedded().expect("the embedded mappings are right")));

/// One submission: 50 participants, 30 days.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let cohort = Cohort::new(50, 30, 1);
    let file = cohort.files().find(|file| file.list().is_none());
    file.expect("a cohort has a submission").bytes()
});

static SUBMISSION: LazyLock<Submission> = LazyLock::new(|| read(&TEXT));

static BUNDLE: LazyLock<Vec<u8>> = LazyLock::new(|| write(Vec::new()));

fn read(text: &[u8]) -> Submission {
    exchange::read(&KINDS, exchange::Options::default(), text).expect("a submission")
}

fn write(out: Vec<u8>) -> Vec<u8> {
    let options = bundle::Options {
        shape: bundle::Shape::Panel,
        edition: Edition::E2017,
        base_url: "",
        registries: &Registries::new(),
    };
    bundle::write_collection(out, &KINDS, &SUBMISSION, &options).expect("memory takes all")
}

mod parse {
    use super::*;

    #[divan::bench]
    fn protocol(b: Bencher) {
        b.counter(BytesCount::of_slice(&TEXT[..]))
            .bench(|| read(black_box(&TEXT)));
    }

    #[divan::bench]
    fn floor_serde_json_value(b: Bencher) {
        b.counter(BytesCount::of_slice(&TEXT[..]))
            .bench(|| serde_json::from_slice::<serde_json::Value>(black_box(&TEXT)).expect("JSON"));
    }
}

mod forward {
    use super::*;

    #[divan::bench]
    fn to_fhir(b: Bencher) {
        let size = BUNDLE.len();
        b.counter(BytesCount::new(size))
            .bench(|| write(Vec::with_capacity(size)));
    }

    #[divan::bench]
    fn floor_copy(b: Bencher) {
        b.counter(BytesCount::of_slice(&BUNDLE[..]))
            .bench(|| black_box(&BUNDLE).to_vec());
    }
}

mod backward {
    use super::*;

    #[divan::bench]
    fn to_protocol(b: Bencher) {
        b.counter(BytesCount::of_slice(&BUNDLE[..])).bench(|| {
            inbound::read_any(&KINDS, inbound::Options::default(), black_box(&BUNDLE[..]))
                .expect("a Bundle")
                .finish(&KINDS, inbound::Known::of(&Registries::new()))
        });
    }

    #[divan::bench]
    fn floor_serde_json_value(b: Bencher) {
        b.counter(BytesCount::of_slice(&BUNDLE[..])).bench(|| {
            serde_json::from_slice::<serde_json::Value>(black_box(&BUNDLE)).expect("JSON")
        });
    }
}

/// A database with the cohort's registries and, where asked for, its records.
struct Database {
    runtime: Runtime,
    store: Arc<Store>,
    _folder: tempfile::TempDir,
}

impl Database {
    fn new(records: bool) -> Database {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("kenko.db").display());
        let store = runtime.block_on(async {
            let store = Store::open(&url, KINDS.clone()).await.expect("a database");
            for file in Cohort::new(50, 30, 1).files() {
                let Some(list) = file.list().and_then(List::by_name) else {
                    continue;
                };
                let read =
                    registry::read_json(list, &file.bytes()[..], &registry::Options::default());
                let rows = read.expect("a list").rows;
                store
                    .change_registry(list, &rows, false)
                    .await
                    .expect("stored")
                    .expect("right");
            }
            if records {
                store
                    .submit(&mut read(&TEXT), &Submit::default())
                    .await
                    .expect("stored");
            }
            store
        });
        Database {
            runtime,
            store: Arc::new(store),
            _folder: folder,
        }
    }
}

mod store {
    use super::*;

    /// From the text of a submission to its durable receipt.
    #[divan::bench(sample_count = 10, sample_size = 1)]
    fn submission(b: Bencher) {
        b.counter(ItemsCount::new(SUBMISSION.rows.len()))
            .with_inputs(|| Database::new(false))
            .bench_refs(|db| {
                let receipt = db
                    .runtime
                    .block_on(db.store.submit(&mut read(&TEXT), &Submit::default()));
                assert_eq!(receipt.expect("stored").status, 201);
            });
    }

    #[divan::bench(sample_count = 10, sample_size = 1)]
    fn submission_again(b: Bencher) {
        let db = Database::new(true);
        b.counter(ItemsCount::new(SUBMISSION.rows.len()))
            .bench_local(|| {
                let receipt = db
                    .runtime
                    .block_on(db.store.submit(&mut read(&TEXT), &Submit::default()));
                assert_eq!(receipt.expect("stored").status, 200);
            });
    }

    /// Rows of the same width without parsing, checks, indexes and receipt, in blocks, in one
    /// durable transaction.
    #[divan::bench(sample_count = 10, sample_size = 1)]
    fn floor_raw_inserts(b: Bencher) {
        use sqlx::Connection as _;
        const BLOCK: usize = 250;
        let runtime = Runtime::new().expect("a runtime");
        let rows = SUBMISSION.rows.len() / BLOCK * BLOCK;
        let block = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; BLOCK].join(", ");
        let insert = format!("INSERT INTO m VALUES {block}");
        b.counter(ItemsCount::new(rows))
            .with_inputs(|| {
                let folder = tempfile::tempdir().expect("a folder");
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(folder.path().join("floor.db"))
                    .create_if_missing(true)
                    .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
                    .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
                let db = runtime.block_on(async {
                    let mut db = sqlx::SqliteConnection::connect_with(&options)
                        .await
                        .expect("open");
                    sqlx::query(
                        "CREATE TABLE m (a INT, b INT, c INT, d INT, e INT, f INT, g INT, h INT, \
                         i INT, j INT, k INT, PRIMARY KEY (a, b, c, d)) WITHOUT ROWID",
                    )
                    .execute(&mut db)
                    .await
                    .expect("a table");
                    db
                });
                (db, folder)
            })
            .bench_refs(|(db, _folder)| {
                runtime.block_on(async {
                    let mut tx = db.begin().await.expect("begin");
                    for first in (0..rows as i64).step_by(BLOCK) {
                        let mut query = sqlx::query(sqlx::AssertSqlSafe(insert.as_str()));
                        for n in first..first + BLOCK as i64 {
                            query = query.bind(n / 100);
                            for value in 1..11_i64 {
                                query = query.bind(n * value);
                            }
                        }
                        query.execute(&mut *tx).await.expect("inserted");
                    }
                    tx.commit().await.expect("durable");
                });
            });
    }
}

mod http {
    use super::*;

    fn get(db: &Database, router: &axum::Router, path: &str) -> usize {
        db.runtime.block_on(async {
            let request = Request::get(path)
                .header("host", "localhost")
                .body(Body::empty());
            let response = router.clone().oneshot(request.expect("a request")).await;
            let response = response.expect("an answer");
            assert_eq!(response.status(), 200, "{path}");
            response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes()
                .len()
        })
    }

    fn first_id(db: &Database, router: &axum::Router) -> String {
        db.runtime.block_on(async {
            let request = Request::get("/fhir/Observation?_count=1").header("host", "localhost");
            let request = request.body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(request).await.expect("an answer");
            let body = answer
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            let bundle: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            bundle["entry"][0]["resource"]["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
    }

    #[divan::bench]
    fn read_one(b: Bencher) {
        let db = Database::new(true);
        let router = app(App::new(db.store.clone(), Settings::default()));
        let path = format!("/fhir/Observation/{}", first_id(&db, &router));
        b.bench_local(|| get(&db, &router, &path));
    }

    #[divan::bench]
    fn search_page_of_50(b: Bencher) {
        let db = Database::new(true);
        let router = app(App::new(db.store.clone(), Settings::default()));
        b.bench_local(|| get(&db, &router, "/fhir/Observation?code=29463-7&_count=50"));
    }

    #[divan::bench]
    fn floor_liveness(b: Bencher) {
        let db = Database::new(false);
        let router = app(App::new(db.store.clone(), Settings::default()));
        b.bench_local(|| get(&db, &router, "/health/live"));
    }
}
