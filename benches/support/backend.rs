//! The databases of a benchmark, and the built program that serves them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::postgres;

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
    pub fn pids(&self) -> Vec<u32> {
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

/// A database, gone when dropped.
pub struct Database {
    /// Where it is.
    pub url: String,
    _folder: tempfile::TempDir,
}

impl Database {
    /// A database of this name, with nothing in it.
    pub fn empty(backend: &Backend, name: &str) -> Database {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("kenko.db").display()),
            Backend::Postgres(server) => {
                run_sql(&server.url("postgres"), &format!("CREATE DATABASE {name}"));
                server.url(name)
            }
        };
        Database {
            url,
            _folder: folder,
        }
    }
}

/// Runs a statement on a PostgreSQL server.
pub fn run_sql(url: &str, sql: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut postgres = PgConnection::connect(url).await.expect("a connection");
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut postgres);
        done.await.expect(sql);
    });
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
        let program = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"));
        Server::start_of(program, backend, database)
    }

    /// The same of another program, or with an environment of its own.
    pub fn start_of(mut program: Command, backend: &Backend, database: &Database) -> Server {
        program
            .args(["--database", &database.url])
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "error");
        Server::run(program, backend.pids())
    }

    /// This program itself, as a server with nothing behind it, by this argument.
    pub fn this(argument: &str) -> Server {
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program.arg(argument);
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

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGTERM; whether it ended in good order.
    pub fn stop(mut self) -> bool {
        let pid = self.pid().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        told.is_ok_and(|told| told.success())
            && self.child.wait().is_ok_and(|status| status.success())
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
    (own + ended) / 100.0 + children(pid).into_iter().map(cpu).sum::<f64>()
}

/// The processes that a process started.
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(tasks).unwrap_or_default();
    let pids = children.split(' ');
    pids.filter_map(|pid| pid.trim().parse().ok()).collect()
}
