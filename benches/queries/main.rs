//! The common searches at two sizes of the database, on both back-ends:
//! `cargo bench --bench queries`.
//!
//! Each size is a cohort of 90 days, loaded into an empty database; then the built program
//! serves it, and the answers are checked before they are timed. Figures are CPU milliseconds
//! a request, user and system, of the server and its database together, over one connection
//! and over sixteen; the growth is the ratio of the largest size to the smallest, over sixteen.
//!
//! `KENKO_QUERIES_SIZES` chooses the numbers of observations (`100000,10000000`) and
//! `KENKO_QUERIES_BACKENDS` the databases (`sqlite,postgres`).

mod client;
mod database;
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
/// A page deep in a list.
const DEEP: usize = 1000;

fn list(name: &str, default: &str) -> Vec<String> {
    let value = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    value.split(',').map(str::to_owned).collect()
}

fn main() {
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
    let cost = |paths: &[String], connections: usize| {
        load(server.address(), paths, connections, TIME / 6);
        let from = server.cpu();
        let answers = load(server.address(), paths, connections, TIME);
        (server.cpu() - from) / answers as f64 * 1e3
    };
    let costs = queries
        .into_iter()
        .map(|query| {
            let costs = [cost(&query.paths, 1), cost(&query.paths, 16)];
            (query, costs)
        })
        .collect();
    let (first, deep) = workload.pages(&mut client, DEEP);
    Round {
        observations: workload.observations,
        costs,
        pages: [cost(&[first], 1), cost(&[deep], 1)],
    }
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
    for (at, (query, _)) in small.costs.iter().enumerate() {
        print!("{:<44}", query.name);
        for round in rounds {
            let [one, many] = round.costs[at].1;
            print!("{:>22}", format!("{one:.3} / {many:.3} ms"));
        }
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
