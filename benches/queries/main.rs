//! The common searches at two sizes of the database, on both back-ends:
//! `cargo bench --bench queries`.
//!
//! Each size is a cohort of 90 days, loaded into an empty database; then the built program
//! serves it, and the answers are checked before they are timed. Figures are CPU milliseconds
//! a request, user and system, of the server and its database together, over one connection
//! and over sixteen; growth (of the largest size to the smallest) and the deep page are ratios
//! over sixteen. What is compared is asked in turns. PostgreSQL has a quarter of the memory, and is
//! vacuumed after loading. Before the queries stands what the machine took at least: bars are of
//! one where a constant answer takes 0.016 ms.
//!
//! `KENKO_QUERIES_SIZES` chooses the numbers of observations (`100000,10000000`) and
//! `KENKO_QUERIES_BACKENDS` the databases (`sqlite,postgres`).

#[path = "../support/backend.rs"]
#[allow(dead_code, reason = "the soak needs more of it")]
mod backend;
#[path = "../support/client.rs"]
mod client;
mod database;
mod floor;
#[path = "../../tests/postgres/server.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod postgres;
mod workload;

use std::time::Duration;

use backend::{Backend, Database, Server};
use client::{Client, load};
use workload::Query;

/// How long each query is asked at a time, and how often.
const TURN: Duration = Duration::from_secs(1);
const TURNS: u32 = 4;
/// Tells this program to be what is measured against.
pub const FLOOR: &str = "--floor";
/// A page deep in a list.
const DEEP: usize = 1000;

fn list(name: &str, default: &str) -> Vec<String> {
    let value = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    value.split(',').map(str::to_owned).collect()
}

fn main() {
    if std::env::args().any(|argument| argument == FLOOR) {
        return floor::serve();
    }
    let sizes: Vec<u64> = list("KENKO_QUERIES_SIZES", "100000,10000000")
        .iter()
        .map(|n| n.parse().expect("a number of observations"))
        .collect();
    for name in list("KENKO_QUERIES_BACKENDS", "sqlite,postgres") {
        let Some(backend) = Backend::start(&name) else {
            continue;
        };
        let all: Vec<Loaded> = sizes.iter().map(|&n| Loaded::of(&backend, n)).collect();
        compare(&name, &backend, &all);
    }
}

/// A database of a size, served.
struct Loaded {
    server: Server,
    observations: u64,
    queries: Vec<Query>,
    /// The first page of all observations, and a deep one.
    pages: [String; 2],
    database: Database,
}

impl Loaded {
    fn of(backend: &Backend, observations: u64) -> Loaded {
        let (database, workload) = database::filled(backend, observations);
        let server = Server::start(backend, &database);
        let mut client = Client::connect(server.address());
        let (first, deep) = workload.pages(&mut client, DEEP);
        Loaded {
            queries: workload.queries(&mut client),
            observations: workload.observations,
            pages: [first, deep],
            server,
            database,
        }
    }
}

/// Measures and tells: a line a query, a column a size.
fn compare(name: &str, backend: &Backend, all: &[Loaded]) {
    let Some(first) = all.first() else { return };
    print!("{name:<44}");
    for loaded in all {
        print!("{:>22}", format!("{} observations", loaded.observations));
    }
    println!("{:>10}{:>12}", "growth", "bar");
    floors(backend, first);
    for (at, query) in first.queries.iter().enumerate() {
        let paths = all.iter().map(|loaded| loaded.queries[at].paths.clone());
        let asked: Vec<Asked> = all.iter().map(|l| &l.server).zip(paths).collect();
        let [one, many] = [1, 16].map(|connections| costs(&asked, connections));
        print!("{:<44}", query.name);
        one.iter().zip(&many).for_each(tell);
        // Over one connection an idle machine has to be woken up for every request.
        let growth = many[many.len() - 1] / many[0];
        println!("{growth:>10.2}{:>9.2} ms", query.bar * backend.factor());
    }
    print!("{:<44}", format!("page {DEEP} against page 1"));
    for loaded in all {
        let pages = loaded.pages.clone();
        let asked = pages.map(|page| (&loaded.server, vec![page]));
        let costs = costs(&asked, 16);
        print!("{:>22}", format!("{:.2}", costs[1] / costs[0]));
    }
    println!("{:>10}{:>12}", "", "1.2");
}

/// What the machine takes at least, in the same way.
fn floors(backend: &Backend, loaded: &Loaded) {
    let nothing = Server::this(FLOOR);
    let asked = [(&nothing, vec!["/".to_owned()])];
    let [one, many] = [1, 16].map(|connections| costs(&asked, connections)[0]);
    print!("{:<44}", "a constant answer over HTTP");
    tell((&one, &many));
    println!();
    if let Backend::Postgres(_) = backend {
        let [one, many] = [1, 16].map(|connections| {
            let from = backend.cpu();
            let answers = floor::ask(&loaded.database.url, connections, TURNS * TURN);
            (backend.cpu() - from) / answers as f64 * 1e3
        });
        print!("{:<44}", "a row by its key, the database alone");
        tell((&one, &many));
        println!();
    }
}

fn tell((one, many): (&f64, &f64)) {
    print!("{:>22}", format!("{one:.3} / {many:.3} ms"));
}

/// A server, and the paths it is asked for.
type Asked<'a> = (&'a Server, Vec<String>);

/// CPU milliseconds a request of each: in turns, so that a machine that is slower for a while is
/// so for all of them.
fn costs(all: &[Asked<'_>], connections: usize) -> Vec<f64> {
    for (server, paths) in all {
        load(server.address(), paths, connections, TURN / 2);
    }
    let mut sums = vec![(0.0, 0); all.len()];
    for _ in 0..TURNS {
        for ((server, paths), (time, answers)) in all.iter().zip(&mut sums) {
            let from = server.cpu();
            *answers += load(server.address(), paths, connections, TURN);
            *time += server.cpu() - from;
        }
    }
    let costs = sums.into_iter();
    costs.map(|(time, n)| time / n as f64 * 1e3).collect()
}
