//! Databases of a size, and the program that serves them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use kenko_fhir::exchange::{self, Options};
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::{Store, Submit};
use kenko_fhir::synth::Cohort;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::postgres;
use crate::workload::{DAYS, Workload};

/// Where databases are made.
pub enum Backend {
    /// Files in a folder of their own.
    Sqlite,
    /// A PostgreSQL server of our own, from the binaries of this machine.
    Postgres(postgres::Server),
}

impl Backend {
    /// The back-end of this name; `None`, and says so, where the machine has none.
    pub fn start(name: &str) -> Option<Backend> {
        match name {
            "sqlite" => Some(Backend::Sqlite),
            "postgres" => {
                let buffers = format!("shared_buffers={}MB", memory() / 4);
                postgres::Server::start_with(&[&buffers]).map(Backend::Postgres)
            }
            other => {
                println!("{other}: not measured");
                None
            }
        }
    }

    /// How much more than SQLite it may take.
    pub fn factor(&self) -> f64 {
        match self {
            Backend::Sqlite => 1.0,
            Backend::Postgres(_) => 2.0,
        }
    }

    /// User and system time of the database itself, in seconds.
    pub fn cpu(&self) -> f64 {
        self.pids().into_iter().map(cpu).sum()
    }

    /// The processes of the database itself.
    fn pids(&self) -> Vec<u32> {
        match self {
            Backend::Sqlite => Vec::new(),
            Backend::Postgres(server) => server.pid().into_iter().collect(),
        }
    }
}

/// The memory of the machine in MB, of which PostgreSQL's manual gives it a quarter
/// (<https://www.postgresql.org/docs/current/runtime-config-resource.html>).
fn memory() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.map_or(512, |kilobytes| kilobytes / 1024)
}

/// A loaded database, gone when dropped.
pub struct Database {
    /// Where it is.
    pub url: String,
    _folder: tempfile::TempDir,
}

impl Database {
    /// About so many observations in an empty database.
    pub fn load(backend: &Backend, observations: u64) -> (Database, Workload) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("kenko.db").display()),
            Backend::Postgres(server) => format!("{}_{observations}", server.url("kenko")),
        };
        let kinds = Arc::new(Kinds::embedded().expect("the embedded mappings"));
        // What one participant gives in all days, by a small cohort.
        let each = records(&kinds, &Cohort::new(50, DAYS, 1)) / 50;
        let cohort = Cohort::new((observations / each) as u32, DAYS, 1);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let start = Instant::now();
        let stored = runtime.block_on(async {
            if let Backend::Postgres(server) = backend {
                let sql = format!("CREATE DATABASE kenko_{observations}");
                let mut postgres = PgConnection::connect(&server.url("postgres"))
                    .await
                    .expect("a connection");
                let created = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut postgres);
                created.await.expect("a database");
            }
            let store = Store::open(&url, kinds.clone()).await.expect("a database");
            let stored = load(&store, &kinds, &cohort).await;
            store.close().await;
            if let Backend::Postgres(_) = backend {
                // It would come to it in the midst of what is measured.
                let mut postgres = PgConnection::connect(&url).await.expect("a connection");
                let vacuum = sqlx::raw_sql("VACUUM (ANALYZE)").execute(&mut postgres);
                vacuum.await.expect("vacuumed");
            }
            stored
        });
        println!(
            "{url}: {stored} observations of {} people in {:.0} s",
            cohort.participants,
            start.elapsed().as_secs_f64()
        );
        let database = Database {
            url,
            _folder: folder,
        };
        (database, Workload::of(&cohort, stored))
    }
}

fn records(kinds: &Kinds, cohort: &Cohort) -> u64 {
    let submissions = cohort.files().filter(|file| file.list().is_none());
    let rows = submissions.map(|file| {
        let read = exchange::read(kinds, Options::default(), &file.bytes()[..]);
        read.expect("a valid submission").rows.len() as u64
    });
    rows.sum()
}

async fn load(store: &Store, kinds: &Kinds, cohort: &Cohort) -> u64 {
    let mut stored = 0;
    for file in cohort.files() {
        let bytes = file.bytes();
        let Some(list) = file.list() else {
            let mut submission =
                exchange::read(kinds, Options::default(), &bytes[..]).expect("valid");
            let receipt = store.submit(&mut submission, &Submit::default()).await;
            stored += receipt.expect("stored").counts.created;
            continue;
        };
        let list = List::by_name(list).expect("a list");
        let rows = registry::read_json(list, &bytes[..], &registry::Options::default());
        let rows = rows.expect("readable").rows;
        let done = store.change_registry(list, &rows, false).await;
        done.expect("stored").expect("valid");
    }
    stored
}

/// The built program, serving a database.
pub struct Server {
    child: Child,
    address: String,
    pids: Vec<u32>,
}

impl Server {
    /// Starts it and waits until it answers.
    pub fn start(backend: &Backend, database: &Database) -> Server {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"));
        program
            .args(["--database", &database.url])
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "error");
        Server::run(program, backend.pids())
    }

    /// The one of [`floor::serve`](crate::floor::serve).
    pub fn floor() -> Server {
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program.arg(crate::FLOOR);
        Server::run(program, Vec::new())
    }

    fn run(mut program: Command, database: Vec<u32>) -> Server {
        let child = program.stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the program");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a first line");
        let address = line.trim().strip_prefix("listening on http://");
        Server {
            address: address.expect("an address").to_owned(),
            pids: [vec![child.id()], database].concat(),
            child,
        }
    }

    /// `host:port`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// User and system time of the server and its database, in seconds (Linux; 10 ms steps).
    pub fn cpu(&self) -> f64 {
        self.pids.iter().map(|&pid| cpu(pid)).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time of a process and of those that it started.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rfind(')').map_or("", |i| &stat[i + 2..]);
    let fields: Vec<f64> = after.split(' ').map(|f| f.parse().unwrap_or(0.0)).collect();
    let own = fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0);
    let ended = fields.get(13).unwrap_or(&0.0) + fields.get(14).unwrap_or(&0.0);
    let tasks = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(tasks).unwrap_or_default();
    let children = children
        .split(' ')
        .filter_map(|pid| pid.trim().parse().ok());
    (own + ended) / 100.0 + children.map(cpu).sum::<f64>()
}
