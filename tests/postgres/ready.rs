//! Whether writes work: a server that only reads, and one whose disk is full.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::store::Store;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::database::Database;
use crate::server::{self, Server};
use crate::{call, submission};

async fn run(url: &str, statements: &[&str]) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for sql in statements {
        let sql = AssertSqlSafe((*sql).to_owned());
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

async fn served(url: &str) -> (axum::Router, Arc<Store>) {
    let kinds = Arc::new(Kinds::embedded().unwrap());
    let store = Arc::new(Store::open(url, kinds).await.unwrap());
    let settings = Settings {
        auto_register: true,
        ..Settings::default()
    };
    (app(App::new(store.clone(), settings)), store)
}

/// Asks until readiness has this status, for this reason.
async fn ready(app: &axum::Router, wanted: u16, reason: &str) {
    let mut told = String::new();
    for _ in 0..100 {
        let (status, _, text) = call(app, Method::GET, "/health/ready", "").await;
        if status == wanted && text.contains(reason) {
            return;
        }
        told = text;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not {wanted}: {told}");
}

#[tokio::test]
async fn a_server_that_only_reads_is_not_ready() {
    let Some(server) = Server::shared() else {
        return;
    };
    let admin = server.url("postgres");
    let database = Database::on(&admin).await;
    let (app, store) = served(&database.url).await;
    ready(&app, 200, "ok").await;
    let name = database.url.rsplit_once('/').unwrap().1;
    let name = name.split('?').next().unwrap();
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let only_reads = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    run(&admin, &[&only_reads, &end]).await;
    ready(&app, 503, "takes no writes").await;
    let path = "/exchange/submissions";
    let (status, _, told) = call(&app, Method::POST, path, &submission(0, 0)).await;
    assert_eq!(status, 503, "{told}");
    let writes = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    run(&admin, &[&writes, &end]).await;
    ready(&app, 200, "ok").await;
    let (status, _, told) = call(&app, Method::POST, path, &submission(0, 0)).await;
    assert_eq!(status, 201, "{told}");
    store.close().await;
}

#[tokio::test]
async fn a_writer_that_takes_long_is_not_broken() {
    let Some(server) = Server::shared() else {
        return;
    };
    let database = Database::on(&server.url("postgres")).await;
    let (app, store) = served(&database.url).await;
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(461263235951)";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    // This waits for the lock, and keeps the connection that writes.
    let waits = tokio::spawn({
        let app = app.clone();
        async move {
            let path = "/exchange/submissions";
            call(&app, Method::POST, path, &submission(0, 0)).await.0
        }
    });
    for _ in 0..15 {
        let (status, _, told) = call(&app, Method::GET, "/health/ready", "").await;
        assert_eq!(status, 200, "{told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    assert_eq!(waits.await.unwrap(), 201);
    store.close().await;
}

/// A small disk, mounted until it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let (user, group) = server::user()?;
        let options = format!("size=48m,uid={user},gid={group},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Disk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_507_until_there_is_room() {
    let Some(disk) = Disk::mount() else {
        eprintln!("NO DISK CAN BE MOUNTED HERE: A FULL ONE IS NOT TESTED ON POSTGRESQL");
        return;
    };
    let Some(server) = Server::start() else {
        return;
    };
    let place = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.path().display()
    );
    let admin = server.url("postgres");
    run(&admin, &[&place, "CREATE DATABASE kenko TABLESPACE small"]).await;
    let (app, store) = served(&server.url("kenko")).await;
    ready(&app, 200, "ok").await;
    let path = "/exchange/submissions";
    let (status, _, told) = call(&app, Method::POST, path, &submission(0, 0)).await;
    assert_eq!(status, 201, "{told}");
    let filler = disk.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let mut full = None;
    for number in 1..500 {
        let answer = call(&app, Method::POST, path, &submission(0, number)).await;
        if answer.0 != 201 {
            full = Some(answer);
            break;
        }
    }
    let (status, _, told) = full.expect("the disk never got full");
    assert_eq!(status, 507, "{told}");
    assert!(told.contains("Free space on it"), "{told}");
    ready(&app, 503, "disk of the database is full").await;
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    ready(&app, 200, "ok").await;
    let (status, _, told) = call(&app, Method::POST, path, &submission(1, 1)).await;
    assert_eq!(status, 201, "{told}");
    store.close().await;
    drop((store, app, server));
    drop(disk);
}
