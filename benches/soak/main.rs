//! Soak of the built program: `cargo bench --bench soak -- --minutes 20 --database sqlite`.
//!
//! The program serves a database of a few hundred people, and for so many minutes there are, at
//! once, readers, writers, changes of the lists, pollers and backups, at a moderate rate. What was
//! acknowledged is entered into a ledger, which every answer and every backup is checked by, and
//! at the end the whole database. A line a minute tells memory, log and latencies.
//!
//! It fails (exit 1) where an answer was lost, wrong or of an unexpected status, a connection
//! broke, SQLite's log exceeded 64 MB, or memory is not flat: the median of the last quarter
//! above 1.25 times that of the second and 8 MB (of runs of 8 minutes or more).

#[path = "../support/backend.rs"]
#[allow(dead_code, reason = "the queries need more of it")]
mod backend;
mod backups;
#[path = "../support/client.rs"]
#[allow(dead_code, reason = "the queries need more of it")]
mod client;
mod ledger;
mod pollers;
mod population;
#[path = "../../tests/postgres/server.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod postgres;
mod random;
mod readers;
mod registry;
mod samples;
mod session;
mod writers;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use backend::{Backend, Database, Server};
use clap::Parser as _;
use population::{Person, Weight};
use random::Random;
use readers::Reader;
use registry::Registrar;
use samples::{JUDGED, Quantity, Sample, Sampler};
use session::{Run, Session};
use writers::Writer;

const READERS: u32 = 5;
const WRITERS: u32 = 3;
/// Observations of each writer.
const WEIGHTS: usize = 600;
/// Time between two samples.
const SAMPLING: Duration = Duration::from_secs(3);
/// Time between two turns of what changes the lists, and of each poller.
const SECOND: Duration = Duration::from_secs(1);

/// Reads, writes, changes lists and makes backups at once, and checks that nothing is lost.
#[derive(clap::Parser)]
struct Options {
    /// How long it takes
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// sqlite, postgres, or both
    #[arg(long, default_value = "sqlite,postgres", value_delimiter = ',')]
    database: Vec<String>,
    /// Tells one run from another
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Turns a second of all readers together
    #[arg(long, default_value_t = 20.0)]
    reads: f64,
    /// Turns a second of all writers together
    #[arg(long, default_value_t = 10.0)]
    writes: f64,
    /// How many people there are
    #[arg(long, default_value_t = 500)]
    participants: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut good = true;
    for name in &options.database {
        match Backend::start(name) {
            Some(backend) => good &= soak(name, &backend, &options),
            None => good = false,
        }
    }
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs on a back-end; whether nothing was wrong.
fn soak(name: &str, backend: &Backend, options: &Options) -> bool {
    let database = Database::empty(backend, "soak");
    let server = Server::start(backend, &database);
    let run = Run::of(server.address());
    let random = |number: u32| Random::new(options.seed, u64::from(number));
    let mut session = Session::new(&run, random(0), SECOND);
    let people = population::load(&mut session, options.participants, options.seed);
    let (_, standing) = run.ledger.size();
    println!("{name}: {standing} observations of {} people", people.len());
    let mut sampler = Sampler::new(backend, &database, server.pid());
    let backups = stress(&run, &mut sampler, options, &people);
    verify(&mut session);
    drop(session);
    if !server.stop() {
        run.fault("the server did not end in good order at SIGTERM".to_owned());
    }
    sampler
        .faults()
        .into_iter()
        .for_each(|text| run.fault(text));
    tell(name, &run, &sampler, backups);
    run.faults() == 0
}

/// Everything at once, for as long as it takes; how many backups were made.
fn stress(run: &Run, sampler: &mut Sampler<'_>, options: &Options, people: &[Person]) -> u32 {
    let (backend, database) = (sampler.backend, sampler.database);
    let random = |number: u32| Random::new(options.seed, u64::from(number));
    let every = |sessions: u32, turns: f64| Duration::from_secs_f64(f64::from(sessions) / turns);
    let weights = (0..WRITERS).map(|writer| Weight::all(people, writer, WEIGHTS));
    let weights: Vec<Vec<Weight>> = weights.collect();
    // Readers look at what is written, and at some of what is not.
    let standing = run
        .ledger
        .newest()
        .into_iter()
        .map(|(id, _)| id)
        .take(WEIGHTS);
    let written = weights.iter().flatten().map(|weight| weight.id.clone());
    let ids: Vec<String> = standing.chain(written).collect();
    std::thread::scope(|scope| {
        let pollers = [pollers::observations, pollers::receipts];
        for (number, poller) in (10..).zip(pollers) {
            let session = Session::new(run, random(number), SECOND);
            scope.spawn(move || poller(session));
        }
        let backups = scope.spawn(|| backups::run(run, backend, database));
        let session = Session::new(run, random(20), SECOND);
        let registrar = Registrar::new(session, people);
        scope.spawn(|| registrar.run());
        for reader in 0..READERS {
            let session = Session::new(run, random(30 + reader), every(READERS, options.reads));
            let reader = Reader::new(session, people, ids.clone());
            scope.spawn(|| reader.run());
        }
        let writers: Vec<_> = (40..)
            .zip(weights)
            .map(|(number, weights)| {
                let session = Session::new(run, random(number), every(WRITERS, options.writes));
                let writer = Writer::new(session, weights);
                scope.spawn(|| writer.run())
            })
            .collect();
        watch(run, sampler, options.minutes);
        run.ended.store(true, Ordering::SeqCst);
        for writer in writers {
            if writer.join().is_err() {
                run.fault("a writer panicked".to_owned());
            }
        }
        run.written.store(true, Ordering::SeqCst);
        backups.join().unwrap_or_default()
    })
}

/// Samples, and tells a line a minute.
fn watch(run: &Run, sampler: &mut Sampler<'_>, minutes: f64) {
    let end = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let mut told = 0;
    while Instant::now() < end {
        std::thread::sleep(SAMPLING.min(end.saturating_duration_since(Instant::now())));
        let sample = sampler.sample();
        let minute = sample.at.as_secs() / 60;
        if minute > told {
            told = minute;
            line(run, &sample);
        }
    }
}

fn line(run: &Run, sample: &Sample) {
    let mut recent = run.latencies(|latencies| std::mem::take(&mut latencies.recent));
    let [p50, p99, _] = percentiles(&mut recent);
    let (versions, observations) = run.ledger.size();
    println!(
        "{:>3} min: {:>6} answers, p50 {p50:>6.1} ms, p99 {p99:>7.1} ms; memory {} MB (PostgreSQL {} MB), \
         log {} MB, {} descriptors, {} threads; {versions} versions of {observations}; {} faults",
        sample.at.as_secs() / 60,
        recent.len(),
        sample.resident,
        sample.postgres,
        sample.log,
        sample.descriptors,
        sample.threads,
        run.faults()
    );
}

/// Reads everything, once nobody writes.
fn verify(session: &mut Session<'_>) {
    population::walk_all(session, "_count=1000");
    for (id, current) in session.run.ledger.newest() {
        // The walk showed the others.
        if !current.standing {
            readers::read(session, &id);
            readers::history(session, &id);
        }
    }
    for id in session.run.ledger.receipts() {
        session.get("receipt", &format!("/exchange/submissions/{id}"));
    }
}

fn tell(name: &str, run: &Run, sampler: &Sampler<'_>, backups: u32) {
    println!(
        "\n{:<24}{:>9}{:>11}{:>11}{:>11}",
        name, "answers", "p50 ms", "p99 ms", "max ms"
    );
    run.latencies(|latencies| {
        for (operation, micros) in &mut latencies.by_operation {
            let [p50, p99, max] = percentiles(micros);
            let n = micros.len();
            println!("{operation:<24}{n:>9}{p50:>11.1}{p99:>11.1}{max:>11.1}");
        }
    });
    let quantities: [Quantity; 5] = [
        ("memory MB", |s| s.resident),
        ("PostgreSQL's memory MB", |s| s.postgres),
        ("log MB", |s| s.log),
        ("descriptors", |s| s.descriptors as u64),
        ("threads", |s| s.threads),
    ];
    println!(
        "\n{:<24}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "median of a quarter", 1, 2, 3, 4, "most"
    );
    for (quantity, value) in quantities {
        let [a, b, c, d] = sampler.quarters(value);
        let most = sampler.samples.iter().map(value).max().unwrap_or(0);
        println!("{quantity:<24}{a:>9}{b:>9}{c:>9}{d:>9}{most:>9}");
    }
    if sampler
        .samples
        .last()
        .is_none_or(|sample| sample.at < JUDGED)
    {
        println!(
            "(memory is judged of {} minutes or more)",
            JUDGED.as_secs() / 60
        );
    }
    let (versions, observations) = run.ledger.size();
    println!(
        "\n{name}: {versions} versions of {observations} observations, {} receipts, {backups} backups: {} faults",
        run.ledger.receipts().len(),
        run.faults()
    );
}

/// Half, 99 of a hundred, and the most, in milliseconds.
fn percentiles(micros: &mut [u32]) -> [f64; 3] {
    micros.sort_unstable();
    [50, 99, 100].map(|percent| {
        let at = (micros.len() * percent).div_ceil(100).saturating_sub(1);
        f64::from(micros.get(at).copied().unwrap_or(0)) / 1e3
    })
}
