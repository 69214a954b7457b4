//! What the machine takes at least, in the same minutes as what is measured: shared machines
//! are slow at times, and figures mean something beside these only.

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::header;
use axum::routing::get;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

/// Bytes of an Observation.
const LENGTH: usize = 3000;

/// Serves one constant answer, until it is ended.
pub fn serve() {
    let body = format!("{{\"a\":\"{}\"}}", "a".repeat(LENGTH - 8));
    let body: &'static str = body.leak();
    let json = [(header::CONTENT_TYPE, "application/fhir+json")];
    let routes = Router::new().route("/", get(move || async move { (json, body) }));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        println!(
            "listening on http://{}",
            listener.local_addr().expect("bound")
        );
        axum::serve(listener, routes).await.expect("served");
    });
}

/// Asks PostgreSQL for a row by its key, over so many connections; how many answers came.
pub fn ask(url: &str, connections: usize, time: Duration) -> u64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for _ in 0..connections {
            let mut postgres = PgConnection::connect(url).await.expect("a connection");
            all.spawn(async move {
                let until = Instant::now() + time;
                let mut answers = 0_u64;
                while Instant::now() < until {
                    let row = sqlx::query("SELECT id FROM participant WHERE id = $1");
                    let row = row.bind(1_i64).fetch_optional(&mut postgres).await;
                    row.expect("an answer");
                    answers += 1;
                }
                answers
            });
        }
        all.join_all().await.into_iter().sum()
    })
}
