//! The common searches at two sizes of the database, on both back-ends:
//! `cargo bench --bench queries`.
//!
//! Each size is a cohort of 90 days, loaded into an empty database; then the built program
//! serves it, and the answers are checked before they are timed. Figures are CPU milliseconds
//! a request, user and system, of the server and its database together, over one connection
//! and over sixteen; growth (of the largest size to the smallest) and the deep page are ratios
//! over sixteen. PostgreSQL has a quarter of the memory, and is vacuumed after loading. Before the
//! queries of each size stands what the machine took at least: bars are of one where a constant
//! answer takes 0.016 ms.
//!
//! `KENKO_QUERIES_SIZES` chooses the numbers of observations (`100000,10000000`) and
//! `KENKO_QUERIES_BACKENDS` the databases (`sqlite,postgres`).

mod client;
mod database;
mod floor;
#[path = "../../tests/postgres/server.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod postgres;
mod workload;

use std::time::Duration;

use client::{Client, load};
use database::{Backend, Database, Server};
use workload::Query;

/// How long each query is asked.
const TIME: Duration = Duration::from_secs(3);
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
        let rounds: Vec<Round> = sizes.iter().map(|&n| round(&backend, n)).collect();
        tell(&name, backend.factor(), &rounds);
    }
}

/// What was measured at one size.
struct Round {
    observations: u64,
    /// What the machine takes at least, in the same way.
    floors: Vec<(&'static str, [f64; 2])>,
    /// By query: CPU milliseconds a request over one connection and over sixteen.
    costs: Vec<(Query, [f64; 2])>,
    /// The same of the first page and of a deep one.
    pages: [f64; 2],
}

fn round(backend: &Backend, observations: u64) -> Round {
    let (database, workload) = Database::load(backend, observations);
    let server = Server::start(backend, &database);
    let mut client = Client::connect(server.address());
    let queries = workload.queries(&mut client);
    let nothing = Server::floor();
    let path = ["/".to_owned()];
    let mut floors = vec![(
        "a constant answer over HTTP",
        [cost(&nothing, &path, 1), cost(&nothing, &path, 16)],
    )];
    drop(nothing);
    if let Backend::Postgres(_) = backend {
        let alone = [1, 16].map(|connections| {
            let from = backend.cpu();
            let answers = floor::ask(&database.url, connections, TIME);
            (backend.cpu() - from) / answers as f64 * 1e3
        });
        floors.push(("a row by its key, the database alone", alone));
    }
    let costs = queries
        .into_iter()
        .map(|query| {
            let costs = [1, 16].map(|connections| cost(&server, &query.paths, connections));
            (query, costs)
        })
        .collect();
    let (first, deep) = workload.pages(&mut client, DEEP);
    Round {
        observations: workload.observations,
        floors,
        costs,
        pages: [first, deep].map(|page| cost(&server, &[page], 16)),
    }
}

/// CPU milliseconds a request.
fn cost(server: &Server, paths: &[String], connections: usize) -> f64 {
    load(server.address(), paths, connections, TIME / 6);
    let from = server.cpu();
    let answers = load(server.address(), paths, connections, TIME);
    (server.cpu() - from) / answers as f64 * 1e3
}

fn tell(name: &str, factor: f64, rounds: &[Round]) {
    print!("{name:<44}");
    for round in rounds {
        print!("{:>22}", format!("{} observations", round.observations));
    }
    println!("{:>10}{:>12}", "growth", "bar");
    let (Some(small), Some(large)) = (rounds.first(), rounds.last()) else {
        return;
    };
    let costs = |[one, many]: [f64; 2]| print!("{:>22}", format!("{one:.3} / {many:.3} ms"));
    for (at, (name, _)) in small.floors.iter().enumerate() {
        print!("{name:<44}");
        rounds.iter().for_each(|round| costs(round.floors[at].1));
        println!();
    }
    for (at, (query, _)) in small.costs.iter().enumerate() {
        print!("{:<44}", query.name);
        rounds.iter().for_each(|round| costs(round.costs[at].1));
        // Over one connection an idle machine has to be woken up for every request.
        let growth = large.costs[at].1[1] / small.costs[at].1[1];
        println!("{growth:>10.2}{:>9.2} ms", query.bar * factor);
    }
    print!("{:<44}", format!("page {DEEP} against page 1"));
    for round in rounds {
        let [first, deep] = round.pages;
        print!("{:>22}", format!("{:.2}", deep / first));
    }
    println!("{:>10}{:>12}", "", "1.2");
}
