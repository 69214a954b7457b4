//! What PostgreSQL makes of common searches: with many records and the statistics about them, no
//! walk over all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use kenko_fhir::fhir::id::{self, ObservationKey};
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::store::{Access, Store};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::call;
use crate::database::Database;
use crate::server::Server;

/// People, and the records of each.
const PEOPLE: i64 = 1000;
const RECORDS: i64 = 120;

/// Fills a database that a store was opened on.
async fn fill(connection: &mut PgConnection) {
    let consortium =
        "INSERT INTO consortium (hash, consortium_id, updated_at) VALUES ($1, 'A00001', 1)";
    sqlx::query(consortium)
        .bind(id::hash96("consortium", &["A00001"]).to_vec())
        .execute(&mut *connection)
        .await
        .unwrap();
    for person in 1..=PEOPLE {
        let name = format!("P{person}");
        sqlx::query(
            "INSERT INTO participant (id, hash, consortium_id, person_id, updated_at) \
             VALUES ($1, $2, 'A00001', $3, 1)",
        )
        .bind(person)
        .bind(id::participant_hash("A00001", &name).to_vec())
        .bind(name)
        .execute(&mut *connection)
        .await
        .unwrap();
    }
    let statements = [
        "INSERT INTO write (id, at, submission) \
         SELECT n, 1475000000000 + n * 1000, 'W' || n FROM generate_series(1, 1000) n"
            .to_owned(),
        // Records of all kinds: a value in the first column, from 4.0 to 13.9.
        format!(
            "INSERT INTO record (participant, kind, time, source, version, updated, write, state, c1) \
             SELECT p, k.id, 1472655600 + n * 21600, 0, 1, 0, 1 + (p + n) % 1000, 0, \
             (400 + (p * 7 + n * 13) % 1000) * 8 \
             FROM generate_series(1, {PEOPLE}) p, generate_series(1, {RECORDS}) n, kind k \
             WHERE n % 5 = k.id % 5"
        ),
        "ANALYZE".to_owned(),
    ];
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// A database with records, and a connection to it.
async fn filled(server: &Server, kinds: &Arc<Kinds>) -> (Database, PgConnection) {
    let database = Database::on(&server.url("postgres")).await;
    let store = Store::open(&database.url, kinds.clone()).await.unwrap();
    store.close().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    fill(&mut connection).await;
    (database, connection)
}

/// How often all records were walked, when everybody else has gone.
async fn walks(connection: &mut PgConnection) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let begun = Instant::now();
    loop {
        let left: i64 = sqlx::query_scalar(others)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        if left == 0 {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{left} connected"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let walks = "SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables \
                 WHERE relname IN ('record', 'record_version')";
    sqlx::query_scalar(walks)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Entries of an index over the records that were read, when everybody else has gone.
async fn read_of(connection: &mut PgConnection, index: &str) -> i64 {
    walks(connection).await;
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1";
    sqlx::query_scalar(read)
        .bind(index)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_read_meets_no_records_of_others() {
    let Some(server) = Server::shared() else {
        return;
    };
    let kinds = Arc::new(Kinds::embedded().unwrap());
    let (database, mut connection) = filled(&server, &kinds).await;
    let opened = async || Arc::new(Store::open(&database.url, kinds.clone()).await.unwrap());
    // Most times are of one record only; those that are asked for here are of everybody.
    let alone = format!(
        "INSERT INTO record (participant, kind, time, source, version, updated, write, state) \
         SELECT p, (SELECT max(id) FROM kind), 1600000000 + p * 1000 + n, 0, 1, 0, 1, 0 \
         FROM generate_series(1, {PEOPLE}) p, generate_series(1, 500) n"
    );
    for statement in [&alone, "ANALYZE"] {
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
        statement.execute(&mut connection).await.unwrap();
    }
    // What is filled in by the side is counted when the store is opened next.
    opened().await.close().await;
    let kind = kinds.iter().next().unwrap();
    let key = |person: i64, n: i64| ObservationKey {
        participant: id::participant_hash("A00001", &format!("P{person}")),
        kind: kind.hash,
        seconds: 1_472_655_600 + n * 21600,
        source: *id::NO_SOURCE,
    };
    let number: i64 = sqlx::query_scalar("SELECT id FROM kind WHERE name = $1")
        .bind(&kind.name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let before = [
        read_of(&mut connection, "record_kind_time").await,
        read_of(&mut connection, "record_pkey").await,
    ];
    // One by one, and many at once, of people who were and were not read before.
    let store = opened().await;
    let access = Access::operator();
    let times = (0..5).map(|n| 5 * n + number % 5 + 5);
    let keys: Vec<ObservationKey> = times
        .flat_map(|n| (1..=40).map(move |p| key(p, n)))
        .collect();
    for key in &keys[..50] {
        assert_eq!(store.current(&access, key).await.unwrap().rows[0].id, *key);
    }
    let all = keys.iter().map(|key| store.current(&access, key));
    let found = futures_util::future::join_all(all).await;
    for (found, key) in found.into_iter().zip(&keys) {
        assert_eq!(found.unwrap().rows[0].id, *key);
    }
    store.close().await;
    let after = read_of(&mut connection, "record_kind_time").await;
    assert_eq!(after, before[0], "records of the same time were read");
    let read = read_of(&mut connection, "record_pkey").await - before[1];
    let asked = keys.len() as i64 + 50;
    assert!((asked..asked + 50).contains(&read), "{read} of {asked}");
}

#[tokio::test]
async fn common_searches_walk_along_a_key() {
    let Some(server) = Server::shared() else {
        return;
    };
    let kinds = Arc::new(Kinds::embedded().unwrap());
    let (database, mut connection) = filled(&server, &kinds).await;
    let opened = async || Arc::new(Store::open(&database.url, kinds.clone()).await.unwrap());

    // A walk is noticed.
    let mut before = walks(&mut connection).await;
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    let all = sqlx::query("SELECT count(*) FROM record WHERE c2 = 5");
    all.execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let walked = walks(&mut connection).await;
    assert!(walked > before);
    // To open it walks as often as it does.
    before = walked;
    opened().await.close().await;
    let mut after = walks(&mut connection).await;
    let opening = after - before;
    let patient = id::participant("A00001", "P7");
    let mut wrong = Vec::new();
    for (query, found) in [
        (
            format!("patient={patient}&code=41950-7&date=ge2016-09-01&date=lt2016-09-15"),
            true,
        ),
        (
            format!("patient={patient}&category=vital-signs&_sort=-date&_count=20"),
            true,
        ),
        (format!("patient={patient}"), true),
        (
            format!("patient={patient}&code:not=4548-4&status=final"),
            true,
        ),
        ("patient.identifier=P7&_sort=-date".to_owned(), true),
        (
            "code=4548-4&value-quantity=ge9.5&_count=20".to_owned(),
            true,
        ),
        (
            "code=4548-4&value-quantity=ge9.5&_total=accurate&_count=0".to_owned(),
            false,
        ),
        ("code=4548-4".to_owned(), true),
        ("code=4548-4&_sort=-date".to_owned(), true),
        ("category=vital-signs&date=2016-09-03".to_owned(), true),
        ("_sort=-date".to_owned(), true),
        ("_count=20".to_owned(), true),
        (
            format!("patient={patient}&_include=Observation:patient"),
            true,
        ),
    ] {
        before = after;
        let store = opened().await;
        let router = app(App::new(store.clone(), Settings::default()));
        let path = format!("/fhir/Observation?{query}");
        let (status, _, told) = call(&router, Method::GET, &path, "").await;
        assert_eq!(status, 200, "{query}: {told}");
        assert_eq!(told.contains("\"mode\":\"match\""), found, "{query}");
        store.close().await;
        after = walks(&mut connection).await;
        if after - before != opening {
            wrong.push(query);
        }
    }
    assert!(wrong.is_empty(), "all records were walked for {wrong:#?}");
}
