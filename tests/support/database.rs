//! A database for a test: a SQLite file, or one on the PostgreSQL server that
//! `KENKO_TEST_DATABASE` names (`postgres://…`, of a user who may create databases).
//!
//! On a server each is a copy of one that was migrated, and goes when it is dropped.

#![allow(dead_code, reason = "each test program needs a part of it")]

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kenko_fhir::kind::Kinds;
use kenko_fhir::store::Store;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// A database, empty at first.
pub struct Database {
    /// Its address, as `--database` takes it.
    pub url: String,
    /// Its folder, or its name on the server.
    place: Place,
}

enum Place {
    Folder(tempfile::TempDir),
    Server(Box<PgConnectOptions>, String),
}

/// The server, where the tests are to run on one.
pub fn server() -> Option<String> {
    std::env::var("KENKO_TEST_DATABASE").ok()
}

/// Says that a test is about files only; whether there is a server instead.
pub fn only_for_files(test: &str) -> bool {
    if server().is_some() {
        eprintln!("{test}: only for a database that is a file; skipped on PostgreSQL");
    }
    server().is_some()
}

impl Database {
    /// A fresh one.
    pub async fn new() -> Database {
        match server() {
            Some(server) => Database::on(&server).await,
            None => {
                let folder = tempfile::tempdir().unwrap();
                let url = format!("sqlite://{}", folder.path().join("kenko.db").display());
                let place = Place::Folder(folder);
                Database { url, place }
            }
        }
    }

    /// A fresh one on this server.
    pub async fn on(server: &str) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let options: PgConnectOptions = server.parse().unwrap();
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let template = template(&options, &mut connection).await;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kenko_test_{}_{number}", std::process::id());
        run(
            &mut connection,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        Database {
            url: address(&options, &name),
            place: Place::Server(Box::new(options), name),
        }
    }
}

fn address(options: &PgConnectOptions, name: &str) -> String {
    options.clone().database(name).to_url_lossy().into()
}

async fn run(connection: &mut PgConnection, sql: String) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap();
}

/// The database that is copied: made by whoever needs it first, for each schema anew.
async fn template(options: &PgConnectOptions, connection: &mut PgConnection) -> String {
    let mut schema = DefaultHasher::new();
    for folder in ["migrations/postgres", "mappings"] {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
        files.sort_by_key(|file| file.file_name());
        for file in files.iter().filter(|file| file.path().is_file()) {
            std::fs::read(file.path()).unwrap().hash(&mut schema);
        }
    }
    let name = format!("kenko_template_{:016x}", schema.finish());
    run(connection, "SELECT pg_advisory_lock(1)".into()).await;
    let there = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(&name);
    if there
        .fetch_optional(&mut *connection)
        .await
        .unwrap()
        .is_none()
    {
        let fresh = format!("{name}_new");
        run(connection, format!("DROP DATABASE IF EXISTS {fresh}")).await;
        run(
            connection,
            format!("CREATE DATABASE {fresh} TEMPLATE template0 ENCODING 'UTF8'"),
        )
        .await;
        let kinds = Arc::new(Kinds::embedded().unwrap());
        let store = Store::open(&address(options, &fresh), kinds).await.unwrap();
        store.close().await;
        run(
            connection,
            format!("ALTER DATABASE {fresh} RENAME TO {name}"),
        )
        .await;
    }
    run(connection, "SELECT pg_advisory_unlock(1)".into()).await;
    name
}

impl Drop for Database {
    fn drop(&mut self) {
        let Place::Server(options, name) = &self.place else {
            return;
        };
        let (options, name) = (options.clone(), name.clone());
        // Whoever drops it may be on a runtime, which must not be blocked from within.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                // The server may have gone before; then so has the database.
                if let Ok(mut connection) = PgConnection::connect_with(&options).await {
                    run(
                        &mut connection,
                        format!("DROP DATABASE {name} WITH (FORCE)"),
                    )
                    .await;
                }
            });
        });
        let _ = dropped.join();
    }
}
