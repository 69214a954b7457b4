//! A server that hangs: it takes what it is sent and answers nothing.
//!
//! Each test has a server of its own: making a database waits for every backend.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use futures_util::future::join_all;
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::store::{Options, Store};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::net::TcpListener;

use crate::database::Database;
use crate::server::Server;
use crate::{call, submission};

/// Longest wait, with what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(15);

/// Short waits, so that the tests are.
fn short() -> Options {
    Options {
        connect_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(2),
        lock_timeout: Duration::from_secs(2),
        queue_timeout: Duration::from_secs(3),
        ..Options::default()
    }
}

/// A process that is stopped until this is dropped.
struct Stopped(i64);

impl Stopped {
    fn stop(pid: i64) -> Stopped {
        signal("-STOP", pid);
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(name: &str, pid: i64) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// The pids of the program's connections to a database for which this condition holds.
async fn backends(operator: &mut PgConnection, condition: &str) -> Vec<i64> {
    let text = format!(
        "SELECT pid::bigint FROM pg_stat_activity WHERE application_name = 'kenko-fhir' \
         AND datname = current_database() AND {condition}"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(text))
        .fetch_all(operator)
        .await
        .unwrap()
}

struct Fixture {
    database: Database,
    operator: PgConnection,
    store: Arc<Store>,
    app: axum::Router,
}

impl Fixture {
    /// A store on a database of the server, reached at `address` where it is given.
    async fn new(server: &Server, address: Option<&str>) -> Fixture {
        let database = Database::on(&server.url("postgres")).await;
        let operator = PgConnection::connect(&database.url).await.unwrap();
        let url = match address {
            Some(address) => {
                let name = database.url.rsplit_once('/').unwrap().1;
                format!("postgres://kenko@{address}/{name}")
            }
            None => database.url.clone(),
        };
        let kinds = Arc::new(Kinds::embedded().unwrap());
        let store = Store::open_with(&url, kinds, short()).await.unwrap();
        let store = Arc::new(store);
        let settings = Settings {
            auto_register: true,
            ..Settings::default()
        };
        let app = app(App::new(store.clone(), settings));
        Fixture {
            database,
            operator,
            store,
            app,
        }
    }

    async fn get(&self, path: &str) -> (u16, bool) {
        let begun = Instant::now();
        let (status, again, _) = call(&self.app, Method::GET, path, "").await;
        assert!(begun.elapsed() < IN_TIME, "{path}: {:?}", begun.elapsed());
        (status, again)
    }

    async fn send(&self, number: usize) -> (u16, bool) {
        let begun = Instant::now();
        let body = submission(0, number);
        let answer = call(&self.app, Method::POST, "/exchange/submissions", &body).await;
        assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
        (answer.0, answer.1)
    }

    /// The id of a stored Observation.
    async fn observation(&self) -> String {
        let found = call(&self.app, Method::GET, "/fhir/Observation?_count=1", "").await;
        let found: serde_json::Value = serde_json::from_str(&found.2).unwrap();
        found["entry"][0]["resource"]["id"].as_str().unwrap().into()
    }

    /// Until a request is answered with 200 or 201.
    async fn recovers(&self, request: impl AsyncFn(&Fixture) -> (u16, bool)) {
        let begun = Instant::now();
        loop {
            let (status, _) = request(self).await;
            if status < 300 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Waits until a writer waits for a table that the operator has locked; its pid.
async fn in_a_write(operator: &mut PgConnection) -> i64 {
    let begun = Instant::now();
    loop {
        let waiting = backends(operator, "wait_event = 'relation'").await;
        if let [pid] = waiting[..] {
            return pid;
        }
        assert!(begun.elapsed() < IN_TIME);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const LOCK: &str = "BEGIN; LOCK TABLE write IN ACCESS EXCLUSIVE MODE";

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_in_a_write_is_503_and_reads_go_on() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut f = Fixture::new(&server, None).await;
    assert_eq!(f.send(0).await, (201, false));
    let mut locks = PgConnection::connect(&f.database.url).await.unwrap();
    sqlx::raw_sql(LOCK).execute(&mut locks).await.unwrap();
    let app = f.app.clone();
    let hung = tokio::spawn(async move {
        let body = submission(0, 1);
        call(&app, Method::POST, "/exchange/submissions", &body).await
    });
    let stopped = Stopped::stop(in_a_write(&mut f.operator).await);
    sqlx::raw_sql("ROLLBACK").execute(&mut locks).await.unwrap();
    assert_eq!(f.get("/fhir/Patient").await, (200, false));
    let (status, again, _) = hung.await.unwrap();
    assert_eq!((status, again), (503, true));

    // It has the lock of the database still: no instance writes, and readiness says so.
    let other = Store::open_with(&f.database.url, f.store.kinds().clone(), short());
    assert!(other.await.err().unwrap().is_busy());
    let all = join_all((1..6).map(|number| f.send(number))).await;
    assert_eq!(all, vec![(503, true); 5]);
    assert_eq!(f.get("/health/ready").await, (503, true));
    assert_eq!(f.get("/fhir/Patient").await, (200, false));

    drop(stopped);
    f.recovers(async |f| f.send(1).await).await;
    assert_eq!(f.get("/health/ready").await, (200, false));
    f.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backends_that_hang_in_reads_are_replaced() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut f = Fixture::new(&server, None).await;
    f.send(0).await;
    let id = f.observation().await;
    let read = format!("/fhir/Observation/{id}");
    join_all((0..8).map(|_| f.get("/fhir/Observation?_total=accurate"))).await;
    let pids = backends(&mut f.operator, "state = 'idle'").await;
    let stopped: Vec<Stopped> = pids.into_iter().map(Stopped::stop).collect();
    assert!(stopped.len() > 1);
    let all = (0..24).map(|n| {
        f.get(match n % 3 {
            0 => "/fhir/Observation",
            1 => &read,
            _ => "/health/ready",
        })
    });
    for answer in join_all(all).await {
        assert!(matches!(answer, (200, false) | (503, true)), "{answer:?}");
    }
    for path in ["/fhir/Observation", &read, "/health/ready"] {
        f.recovers(async |f| f.get(path).await).await;
    }
    f.recovers(async |f| f.send(1).await).await;
    drop(stopped);
    f.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postmaster_that_hangs_is_503() {
    let Some(server) = Server::start() else {
        return;
    };
    let f = Fixture::new(&server, None).await;
    f.send(0).await;
    let stopped = Stopped::stop(i64::from(server.pid().unwrap()));
    // Those who are connected go on.
    assert_eq!(f.get("/fhir/Patient").await, (200, false));
    let mut operator = f.operator;
    for pid in backends(&mut operator, "true").await {
        sqlx::query("SELECT pg_terminate_backend($1::int)")
            .bind(pid as i32)
            .execute(&mut operator)
            .await
            .unwrap();
    }
    let f = Fixture { operator, ..f };
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for path in ["/fhir/Patient", "/health/ready"] {
        assert_eq!(f.get(path).await, (503, true), "{path}");
    }
    assert_eq!(f.send(1).await, (503, true));
    drop(stopped);
    f.recovers(async |f| f.send(1).await).await;
    assert_eq!(f.get("/health/ready").await, (200, false));
    f.store.close().await;
}

/// Forwards what comes to `port` until it is told to drop all of it, as a firewall does.
async fn firewall(port: u16) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let drops = Arc::new(AtomicBool::new(false));
    let told = drops.clone();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let drops = told.clone();
            tokio::spawn(async move {
                let far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                let (mut near_in, mut near_out) = near.into_split();
                let (mut far_in, mut far_out) = far.unwrap().into_split();
                let there = forward(&mut near_in, &mut far_out, &drops);
                let back = forward(&mut far_in, &mut near_out, &drops);
                tokio::join!(there, back);
            });
        }
    });
    (address, drops)
}

async fn forward(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    drops: &AtomicBool,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut bytes = [0; 8192];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        // What was dropped once breaks the stream: nothing passes any more.
        if drops.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if read == 0 || to.write_all(&bytes[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_drops_everything_is_503_and_holds_up_no_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let port = server.url("x").rsplit_once(':').unwrap().1.to_owned();
    let port = port.split_once('/').unwrap().0.parse().unwrap();
    let (address, drops) = firewall(port).await;
    let f = Fixture::new(&server, Some(&address)).await;
    assert_eq!(f.send(0).await, (201, false));
    let id = f.observation().await;
    drops.store(true, Ordering::Relaxed);
    let read = format!("/fhir/Observation/{id}");
    let all = (0..24).map(|n| {
        f.get(match n % 3 {
            0 => "/fhir/Observation",
            1 => &read,
            _ => "/health/ready",
        })
    });
    for answer in join_all(all).await {
        assert_eq!(answer, (503, true));
    }
    assert_eq!(f.send(1).await, (503, true));
    drops.store(false, Ordering::Relaxed);
    f.recovers(async |f| f.send(1).await).await;
    f.recovers(async |f| f.get(&read).await).await;
    drops.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    f.store.close().await;
    assert!(begun.elapsed() < IN_TIME);
}

/// The program as a server, and its address.
fn serve(database: &str, arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
        .args(["--database", database, "serve", "--listen", "127.0.0.1:0"])
        .args(["--registry", "auto"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://");
    (child, address.unwrap().to_owned())
}

fn ends_in(mut child: Child, time: Duration) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > time {
            child.kill().unwrap();
            panic!("it does not end within {time:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server whose write hangs at a stopped backend.
async fn hanging(arguments: &[&str]) -> Option<(Server, Fixture, Child, Stopped)> {
    let server = Server::start()?;
    let mut f = Fixture::new(&server, None).await;
    let (child, address) = serve(&f.database.url, arguments);
    let mut locks = PgConnection::connect(&f.database.url).await.unwrap();
    sqlx::raw_sql(LOCK).execute(&mut locks).await.unwrap();
    std::thread::spawn(move || {
        let body = submission(0, 1);
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = "POST /exchange/submissions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json";
        write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let stopped = Stopped::stop(in_a_write(&mut f.operator).await);
    Some((server, f, child, stopped))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_write_hangs_ends_by_a_signal_in_time() {
    let waits = ["--statement-timeout", "1h", "--shutdown-timeout", "5s"];
    let Some((_server, _f, child, _stopped)) = hanging(&waits).await else {
        return;
    };
    signal("-TERM", i64::from(child.id()));
    assert_eq!(ends_in(child, IN_TIME), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_server_at_once() {
    let waits = ["--statement-timeout", "1h", "--shutdown-timeout", "1h"];
    let Some((_server, _f, mut child, _stopped)) = hanging(&waits).await else {
        return;
    };
    signal("-TERM", i64::from(child.id()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(child.try_wait().unwrap().is_none());
    signal("-TERM", i64::from(child.id()));
    assert_eq!(ends_in(child, IN_TIME), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_ends_by_a_signal() {
    // What listens and answers nothing is a server as a client sees one that hangs.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let child = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
        .args([
            "--database",
            &format!("postgres://kenko@127.0.0.1:{port}/kenko"),
        ])
        .args([
            "--connect-timeout",
            "1h",
            "serve",
            "--listen",
            "127.0.0.1:0",
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (_connection, _) = listener.accept().unwrap();
    signal("-TERM", i64::from(child.id()));
    assert_eq!(ends_in(child, IN_TIME), Some(0));
}
