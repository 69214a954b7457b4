//! A server at its limit of connections: those that are open are queued for.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::store::{Options, Store};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::server::Server;
use crate::{call, submission};

/// Connections of others, until the server has no more.
async fn all_others(url: &str) -> Vec<PgConnection> {
    let mut others = Vec::new();
    loop {
        match PgConnection::connect(url).await {
            Ok(connection) => others.push(connection),
            Err(error) => {
                let code = error.as_database_error().and_then(|e| e.code());
                assert_eq!(code.as_deref(), Some("53300"), "{error}");
                return others;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_of_connections_all_requests_are_answered() {
    let settings = ["max_connections=12", "autovacuum=off", "max_wal_senders=0"];
    let Some(server) = Server::start_with(&settings) else {
        return;
    };
    let url = server.url("postgres");
    let kinds = Arc::new(Kinds::embedded().unwrap());
    let options = Options {
        slow_after: Duration::from_millis(500),
        ..Options::default()
    };
    let store = Store::open_with(&url, kinds, options).await.unwrap();
    let store = Arc::new(store);
    let settings = Settings {
        auto_register: true,
        ..Settings::default()
    };
    let app = app(App::new(store.clone(), settings));
    let send = |number| {
        let (app, body) = (app.clone(), submission(0, number));
        async move {
            call(&app, Method::POST, "/exchange/submissions", &body)
                .await
                .0
        }
    };
    assert_eq!(send(0).await, 201);
    let others = all_others(&url).await;
    for _ in 0..5 {
        let reads = (0..40).map(|n| {
            let path = [
                "/fhir/Observation",
                "/fhir/Patient",
                "/exchange/submissions",
            ][n % 3];
            call(&app, Method::GET, path, "")
        });
        for (status, _, text) in join_all(reads).await {
            assert_eq!(status, 200, "{text}");
        }
    }
    assert_eq!(send(1).await, 201);
    assert_eq!(call(&app, Method::GET, "/health/ready", "").await.0, 200);

    // The connections are lost, and others take their places: when those go, all goes on.
    let mut others = others;
    let own = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kenko-fhir'";
    sqlx::raw_sql(own).execute(&mut others[0]).await.unwrap();
    let mut further = all_others(&url).await;
    while further.is_empty() {
        further = all_others(&url).await;
    }
    let freed = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(further);
    };
    let read = call(&app, Method::GET, "/fhir/Observation", "");
    let (read, written, ()) = tokio::join!(read, send(2), freed);
    // What was lost may be told to one request each.
    assert!(matches!(read.0, 200 | 503), "{}", read.2);
    assert!(matches!(written, 201 | 503));
    assert_eq!(
        call(&app, Method::GET, "/fhir/Observation", "").await.0,
        200
    );
    assert!(matches!(send(3).await, 201));
    store.close().await;
}
