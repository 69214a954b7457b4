//! Limits of statements: slow searches beside short requests, and what ends them.

use std::time::Duration;

use futures_util::future::join_all;
use kenko_fhir::http::Settings;
use kenko_fhir::store::Options;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::server::{Server, get, with};

/// Longest time of what is not slow, with what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(15);

/// A search that reads a table which [`slow`] makes slow.
const SEARCH: &str = "/fhir/DeviceDefinition?_count=5";
/// A listing that does.
const LISTING: &str = "/exchange/registries/activity-recording-times";

async fn served(options: Options) -> Server {
    let settings = Settings {
        auto_register: true,
        ..Settings::default()
    };
    let server = Server::with_both(settings, options).await;
    server.register("examples/registries").await;
    let first = std::fs::read_to_string("examples/first.json").unwrap();
    assert_eq!(server.submit(&first).await.status, 201);
    server
}

async fn run(server: &Server, sql: &str) {
    let url = &server.database.url;
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let done = match url.starts_with("sqlite") {
        true => {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            sql.execute(&mut connection).await.map(|_| ())
        }
        false => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            sql.execute(&mut connection).await.map(|_| ())
        }
    };
    done.unwrap();
}

/// From now on it takes so many seconds to read a row of a table, that of the times at which
/// activities are recorded.
async fn slow(server: &Server, seconds: u64) {
    let wait = match server.database.url.starts_with("sqlite") {
        // As many turns of the recursion as are made in about that time on a busy machine.
        true => format!(
            "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
             SELECT count(*) FROM n) > 0",
            seconds * 1_000_000
        ),
        false => format!("pg_sleep({seconds})::text = ''"),
    };
    let sql = format!(
        "ALTER TABLE activity_recording_time RENAME TO really_recorded; \
         CREATE VIEW activity_recording_time AS SELECT * FROM really_recorded WHERE {wait}"
    );
    run(server, &sql).await;
}

/// The table is as it was.
async fn fast(server: &Server) {
    let sql = "DROP VIEW activity_recording_time; \
               ALTER TABLE really_recorded RENAME TO activity_recording_time";
    run(server, sql).await;
}

/// A submission that does not read the table.
fn weight(day: u32) -> String {
    let record = format!(
        r#"{{"observation_time":"201609{day:02}070000","body_weight":60.5,"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"S1","data_input_code":"0","origin_of_time_code":"1","update_time":"20161001000000000"}}"#
    );
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P1","healthcare_information":{{"weighing_scale":[{record}]}}}}]}}"#
    )
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(IN_TIME, work).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_searches_hold_up_nobody_and_end_with_their_clients() {
    let server = served(Options {
        statement_timeout: Duration::from_secs(600),
        statement_steps: u64::MAX,
        queue_timeout: Duration::from_secs(600),
        ..Options::default()
    })
    .await;
    let found = server.get("/fhir/Observation?_count=1").await.json();
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap();
    let by_id = format!("/fhir/Observation/{id}");
    let history = format!("{by_id}/_history");
    slow(&server, 36_000).await;
    let searches = (0..24).map(|n| server.get([SEARCH, LISTING][n % 2]));
    let short = async {
        // All of them are at work, or wait.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for day in 1..6 {
            for path in [
                &by_id,
                &history,
                "/fhir/Patient",
                "/fhir/Observation?code=29463-7",
                "/health/ready",
            ] {
                let answer = in_time(server.get(path)).await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            }
            let sent = in_time(server.submit(&weight(day))).await;
            assert_eq!(sent.status, 201, "{}", sent.text());
        }
    };
    tokio::select! {
        answers = join_all(searches) => panic!("{}", answers[0].text()),
        () = short => {}
    }
    // Their clients are gone: nothing reads the table any more, and the places are free.
    in_time(fast(&server)).await;
    slow(&server, 1).await;
    let answers = in_time(join_all((0..2).map(|_| server.get(LISTING)))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_at_its_limit_is_422_and_says_what_to_narrow() {
    let server = served(Options {
        statement_timeout: Duration::from_millis(1500),
        slow_after: Duration::from_millis(500),
        ..Options::default()
    })
    .await;
    slow(&server, 36_000).await;
    for (language, told) in [("en", "Narrow it"), ("ja", "対象を絞り込んでください")] {
        let request = with(get(SEARCH), "accept-language", language);
        let answer = in_time(server.send(request)).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        let issue = &answer.json()["issue"][0];
        assert_eq!(issue["code"], "too-costly");
        assert!(
            issue["diagnostics"].as_str().unwrap().contains(told),
            "{issue}"
        );
    }
    let answer = in_time(server.get(LISTING)).await;
    assert!(answer.problem(422).contains("Narrow it"));
    let answer = in_time(server.get("/fhir/Observation")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_behind_slow_ones_is_503_in_time() {
    let server = served(Options {
        statement_timeout: Duration::from_secs(600),
        slow_after: Duration::from_millis(300),
        queue_timeout: Duration::from_secs(2),
        slow_readers: 1,
        ..Options::default()
    })
    .await;
    slow(&server, 36_000).await;
    let one = async || server.get(SEARCH).await;
    let (answer, _) = in_time(futures_util::future::select(
        Box::pin(one()),
        Box::pin(one()),
    ))
    .await
    .factor_first();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "2");
}

#[tokio::test]
async fn a_statement_of_too_many_steps_is_422() {
    let test = "a_statement_of_too_many_steps_is_422";
    if crate::database::only_for_files(test) {
        return;
    }
    let server = served(Options {
        statement_steps: 3_000_000,
        ..Options::default()
    })
    .await;
    slow(&server, 36_000).await;
    let answer = in_time(server.get(SEARCH)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["issue"][0]["code"], "too-costly");
    assert_eq!(server.get("/fhir/Observation").await.status, 200);
}
