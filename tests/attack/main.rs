//! Attacks on the built program: `cargo test --test attack -- --minutes 10 --database both`.
//!
//! The program serves a cohort, and one attacker after the other is at work, while a well-behaved
//! client beside it reads, searches, submits, and asks for health. Of each attack a line tells the
//! latency of that client, the most memory that the server and PostgreSQL took (private memory of
//! its processes), threads and descriptors. It ends with status 1, and the names, where an attack
//! hurt: the client was slow or got errors, memory exceeded its bound, the server panicked or
//! answered 5xx other than 503 and 507, a request had no end, or the client was not well again
//! within `--recovery` seconds.
//!
//! Latency is judged by `--p99-ms`, or, on a busy machine, by `--floor-factor` times that of the
//! same client without an attacker, whichever is more.

mod attacker;
#[path = "../../benches/support/backend.rs"]
#[allow(dead_code, reason = "the queries need more of it")]
mod backend;
mod bodies;
#[path = "../../benches/support/client.rs"]
#[allow(dead_code, reason = "the queries need more of it")]
mod client;
#[path = "../../benches/soak/ledger.rs"]
#[allow(dead_code, reason = "the soak needs more of it")]
mod ledger;
#[path = "../../benches/soak/population.rs"]
#[allow(dead_code, reason = "the soak needs more of it")]
mod population;
#[path = "../postgres/server.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod postgres;
#[path = "../../benches/soak/random.rs"]
mod random;
#[path = "../../benches/soak/samples.rs"]
#[allow(dead_code, reason = "the soak needs more of it")]
mod samples;
mod searches;
#[path = "../../benches/soak/session.rs"]
#[allow(dead_code, reason = "the soak needs more of it")]
mod session;
mod sockets;
mod victim;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use attacker::{Attacker, Tally, Target};
use backend::{Backend, Database, Server, children};
use clap::Parser as _;
use population::{Person, Weight};
use random::Random;
use samples::status;
use session::{Run, Session};
use victim::{Measured, Request, percentile};

/// Attacks the program, one way after the other, and measures a client beside it.
#[derive(clap::Parser)]
struct Options {
    /// How long it takes on each database
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// sqlite, postgres, or both
    #[arg(long, default_value = "both")]
    database: String,
    /// Only the attacks whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// None of the attacks of these names
    #[arg(long, value_delimiter = ',')]
    except: Vec<String>,
    /// The program
    #[arg(long, default_value = env!("CARGO_BIN_EXE_kenko-fhir"))]
    binary: PathBuf,
    /// Tells one run from another
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many people there are
    #[arg(long, default_value_t = 200)]
    participants: u32,
    /// Bound of the client's p99, in ms
    #[arg(long, default_value_t = 250.0)]
    p99_ms: f64,
    /// The same as a multiple of its p99 without an attacker
    #[arg(long, default_value_t = 4.0)]
    floor_factor: f64,
    /// Time within which each request of an attacker is answered or cut, in seconds
    #[arg(long, default_value_t = 45)]
    bound: u64,
    /// Time within which the client is well again, in seconds
    #[arg(long, default_value_t = 5)]
    recovery: u64,
    /// Bound of the server's memory, in MB: 256 and the limit of a body
    #[arg(long, default_value_t = 320)]
    server_memory: u64,
    /// Bound of the memory of server and database together, in MB
    #[arg(long, default_value_t = 512)]
    all_memory: u64,
    /// Most descriptors of the server
    #[arg(long, default_value_t = 1024)]
    nofile: u64,
}

type Attack = (&'static str, usize, fn(&mut Attacker<'_>));

/// Name, clients at once, and what each does again and again.
const ATTACKS: &[Attack] = &[
    ("patch-copies", 2, bodies::patch_copies),
    ("patch-shifts", 2, bodies::patch_shifts),
    ("patch-depth", 2, bodies::patch_depth),
    ("nested-has", 4, searches::nested_has),
    ("chains", 4, searches::chains),
    ("expensive-searches", 8, searches::expensive_searches),
    ("operations", 8, searches::operations),
    ("if-none-exist", 4, bodies::if_none_exist),
    ("or-lists", 4, searches::or_lists),
    ("repetitions", 4, searches::repetitions),
    ("repeated-keys", 8, bodies::repeated_keys),
    ("deep-nesting", 4, bodies::deep_nesting),
    ("empty-bundles", 4, bodies::empty_bundles),
    ("gzip-bomb", 4, bodies::gzip_bomb),
    ("large-transaction", 2, bodies::large_transaction),
    ("batch-of-searches", 2, bodies::batch_of_searches),
    ("junk", 2, bodies::junk),
    ("slow-headers", 1, sockets::slow_headers),
    ("slow-bodies", 1, sockets::slow_bodies),
    ("stalled-readers", 2, sockets::stalled_readers),
    ("aborted-posts", 4, sockets::aborted_posts),
    ("half-closed", 2, sockets::half_closed),
    ("idle", 2, sockets::idle),
    ("pipelining", 4, sockets::pipelining),
    ("hosts", 1, sockets::hosts),
    ("huge-heads", 4, sockets::huge_heads),
    ("early-answers", 2, sockets::early_answers),
    (POSTGRES_LIMIT, 1, sockets::postgres_limit),
];
const POSTGRES_LIMIT: &str = "postgres-limit";
/// Time of the floor, and of the shortest attack.
const FLOOR: Duration = Duration::from_secs(4);
const SHORTEST: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let options = Options::parse();
    let names = match options.database.as_str() {
        "both" => vec!["sqlite", "postgres"],
        name => vec![name],
    };
    let mut failed = Vec::new();
    for name in names {
        match Backend::start(name) {
            Some(backend) => failed.extend(attack_all(name, &backend, &options)),
            None => failed.push(format!("{name}: not started")),
        }
    }
    for text in &failed {
        println!("FAILED: {text}");
    }
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A served database with people in it.
struct Served {
    server: Server,
    stderr: PathBuf,
    people: Vec<Person>,
    observations: Vec<String>,
    victim: Vec<Request>,
    database: Database,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(backend: &Backend, number: usize, options: &Options) -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        let stderr = folder.path().join("stderr");
        let database = Database::empty(backend, &format!("attack{number}"));
        // The hard limit is the soft one, so that the program cannot raise it.
        let mut program = Command::new("sh");
        let limited = format!("ulimit -n {}; exec \"$0\" \"$@\"", options.nofile);
        program.args(["-c", &limited]).arg(&options.binary);
        program.stderr(File::create(&stderr).expect("a file"));
        let server = Server::start_of(program, backend, &database);
        let run = Run::of(server.address());
        let mut session = Session::new(&run, Random::new(options.seed, 0), Duration::from_secs(1));
        let people = population::load(&mut session, options.participants, options.seed);
        let observations: Vec<String> = run.ledger.newest().into_iter().map(|(id, _)| id).collect();
        let weights = Weight::all(&people, 0, 1);
        let victim = victim::requests(&people, &weights, &observations[0]);
        Served {
            server,
            stderr,
            people,
            observations,
            victim,
            database,
            _folder: folder,
        }
    }

    /// Whether it still runs, and no task of it panicked.
    fn panics(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        let panicked = text.lines().find(|line| line.contains("panicked at"));
        panicked.map(str::to_owned)
    }
}

/// Every attack on a back-end; what is wrong, with the names.
fn attack_all(name: &str, backend: &Backend, options: &Options) -> Vec<String> {
    let chosen = |&&(attack, ..): &&Attack| {
        let only = options.only.is_empty()
            || options
                .only
                .iter()
                .any(|only| attack.contains(only.as_str()));
        let there = attack != POSTGRES_LIMIT || matches!(backend, Backend::Postgres(_));
        only && there && !options.except.iter().any(|except| except == attack)
    };
    let attacks: Vec<&Attack> = ATTACKS.iter().filter(chosen).collect();
    let time = Duration::from_secs_f64(60.0 * options.minutes) / attacks.len().max(1) as u32;
    let time = time
        .saturating_sub(Duration::from_millis(1500))
        .max(SHORTEST);
    let mut served = Served::start(backend, 0, options);
    let floor = alone(&served, FLOOR);
    let floor = percentile(floor.millis.values().flatten().copied(), 99);
    let bound = options.p99_ms.max(options.floor_factor * floor);
    println!(
        "\n{name}: {} people, {} Observations; p99 without an attacker {floor:.1} ms, so that p99 is judged by \
         {bound:.0} ms (the more of {} ms and {} times the former); {:.1} s each",
        served.people.len(),
        served.observations.len(),
        options.p99_ms,
        options.floor_factor,
        time.as_secs_f64()
    );
    println!(
        "{:<20}{:>8}{:>9}{:>8}{:>11}{:>8}{:>8}{:>9}{:>10}  answers (0 cut, 1 left)",
        "attack",
        "p50 ms",
        "p99 ms",
        "errors",
        "server MB",
        "PG MB",
        "threads",
        "files",
        "recovery"
    );
    let mut failed = Vec::new();
    for (number, &&(attack, clients, act)) in attacks.iter().enumerate() {
        let hurt = attack_once(
            &served,
            backend,
            options,
            (attack, clients, act),
            (time, bound),
        );
        // The next attack is not charged with the remains of this one.
        if !hurt.is_empty() {
            failed.extend(
                hurt.into_iter()
                    .map(|text| format!("{name}: {attack}: {text}")),
            );
            if number + 1 < attacks.len() {
                served = Served::start(backend, number + 1, options);
            }
        }
    }
    failed
}

/// The client without an attacker.
fn alone(served: &Served, time: Duration) -> Measured {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let victim = scope.spawn(|| victim::run(served.server.address(), &served.victim, &ended));
        std::thread::sleep(time);
        ended.store(true, Ordering::SeqCst);
        victim.join().expect("no panic")
    })
}

/// The most of each that was seen.
#[derive(Default)]
struct Peak {
    server: u64,
    postgres: u64,
    both: u64,
    threads: u64,
    files: usize,
}

impl Peak {
    fn sample(&mut self, server: u32, backend: &Backend) {
        let resident = status(server, "VmRSS:") / 1024;
        let processes = backend.pids().into_iter().flat_map(children);
        let private: u64 = processes.map(|pid| status(pid, "RssAnon:")).sum::<u64>() / 1024;
        let files = std::fs::read_dir(format!("/proc/{server}/fd"));
        // The kernel's own high-water mark misses nothing between two samples.
        self.server = self.server.max(status(server, "VmHWM:") / 1024);
        self.postgres = self.postgres.max(private);
        self.both = self.both.max(resident + private).max(self.server);
        self.threads = self.threads.max(status(server, "Threads:"));
        self.files = self.files.max(files.map_or(0, Iterator::count));
    }
}

/// One attack; what is wrong.
fn attack_once(
    served: &Served,
    backend: &Backend,
    options: &Options,
    (name, clients, act): Attack,
    (time, bound): (Duration, f64),
) -> Vec<String> {
    let pid = served.server.pid();
    // Begins the high-water mark of the process anew.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
    let patients: Vec<String> = served
        .people
        .iter()
        .map(|person| person.patient.clone())
        .collect();
    let target = Target {
        address: served.server.address(),
        database: &served.database.url,
        patients: &patients,
        observations: &served.observations,
        end: Instant::now() + time,
        bound: Duration::from_secs(options.bound),
        tally: Tally::default().into(),
    };
    let mut peak = Peak::default();
    let ended = AtomicBool::new(false);
    let measured = std::thread::scope(|scope| {
        let victim = scope.spawn(|| victim::run(target.address, &served.victim, &ended));
        for client in 0..clients {
            let random = Random::new(options.seed, 1 + client as u64);
            let mut attacker = Attacker {
                target: &target,
                random,
            };
            scope.spawn(move || {
                while !attacker.ended() {
                    act(&mut attacker);
                }
            });
        }
        while Instant::now() < target.end {
            peak.sample(pid, backend);
            std::thread::sleep(Duration::from_millis(100));
        }
        ended.store(true, Ordering::SeqCst);
        victim.join().expect("no panic")
    });
    let recovered = recovery(served, options, bound);
    peak.sample(pid, backend);
    let all = || measured.millis.values().flatten().copied();
    let (p50, p99) = (percentile(all(), 50), percentile(all(), 99));
    let errors: u32 = measured.errors.values().sum();
    let tally = target.tally.into_inner().expect("no panic");
    let told = recovered.map_or("no".to_owned(), |time| {
        format!("{:.1} s", time.as_secs_f64())
    });
    println!(
        "{name:<20}{p50:>8.1}{p99:>9.1}{errors:>8}{:>11}{:>8}{:>8}{:>9}{told:>10}  {:?}",
        peak.server, peak.postgres, peak.threads, peak.files, tally.statuses
    );
    let mut hurt = Vec::new();
    if p99 > bound {
        let slow = measured
            .millis
            .iter()
            .map(|(name, millis)| format!("{name} {:.0}", percentile(millis.iter().copied(), 99)));
        let slow = slow.collect::<Vec<_>>().join(", ");
        hurt.push(format!("p99 {p99:.0} ms, above {bound:.0} ms ({slow})"));
    }
    hurt.extend(
        measured
            .errors
            .iter()
            .map(|(text, n)| format!("the client, {n} times: {text}")),
    );
    hurt.extend(
        tally
            .faults
            .iter()
            .map(|(text, n)| format!("{n} times: {text}")),
    );
    if peak.server > options.server_memory {
        hurt.push(format!(
            "{} MB of the server, above {} MB",
            peak.server, options.server_memory
        ));
    }
    if peak.both > options.all_memory {
        hurt.push(format!(
            "{} MB together, above {} MB",
            peak.both, options.all_memory
        ));
    }
    if recovered.is_none() {
        hurt.push(format!("not well again within {} s", options.recovery));
    }
    hurt.extend(served.panics());
    hurt
}

/// Time until the client is as well as before.
fn recovery(served: &Served, options: &Options, bound: f64) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(options.recovery) {
        let at = began.elapsed();
        let measured = alone(served, Duration::from_millis(300));
        let p99 = percentile(measured.millis.values().flatten().copied(), 99);
        if measured.errors.is_empty() && p99 <= bound {
            return Some(at);
        }
    }
    None
}
