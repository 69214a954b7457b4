//! Samples of what the server holds: memory, log, descriptors, threads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::backend::{Backend, Database, children};

/// Bytes of a megabyte.
const MEGABYTE: u64 = 1 << 20;
/// The most that the log of SQLite may hold, in MB.
const LOG: u64 = 64;
/// The shortest run of which memory is judged.
pub const JUDGED: Duration = Duration::from_secs(8 * 60);

/// Sampled quantity.
pub struct Sampler<'a> {
    /// Where the database is.
    pub backend: &'a Backend,
    /// The database.
    pub database: &'a Database,
    server: u32,
    began: Instant,
    /// All samples.
    pub samples: Vec<Sample>,
}

/// One sample; memory and log in MB.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Time since the first one.
    pub at: Duration,
    /// Resident memory of the server.
    pub resident: u64,
    /// Private memory of PostgreSQL's processes together.
    pub postgres: u64,
    /// SQLite's `-wal`, or PostgreSQL's `pg_wal`.
    pub log: u64,
    /// Open descriptors of the server.
    pub descriptors: usize,
    /// Its threads.
    pub threads: u64,
}

/// A quantity of a sample, and its name.
pub type Quantity = (&'static str, fn(&Sample) -> u64);

impl<'a> Sampler<'a> {
    /// Of a server by its process.
    pub fn new(backend: &'a Backend, database: &'a Database, server: u32) -> Sampler<'a> {
        Sampler {
            backend,
            database,
            server,
            began: Instant::now(),
            samples: Vec::new(),
        }
    }

    /// Takes a sample.
    pub fn sample(&mut self) -> Sample {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.server));
        let processes = self.backend.pids().into_iter().flat_map(children);
        let private: u64 = processes.map(|pid| status(pid, "RssAnon:")).sum();
        let sample = Sample {
            at: self.began.elapsed(),
            resident: status(self.server, "VmRSS:") / 1024,
            postgres: private / 1024,
            log: self.log() / MEGABYTE,
            descriptors: descriptors.map_or(0, Iterator::count),
            threads: status(self.server, "Threads:"),
        };
        self.samples.push(sample);
        sample
    }

    fn log(&self) -> u64 {
        match self.backend {
            Backend::Sqlite => {
                let file = self.database.url.strip_prefix("sqlite://");
                let log = PathBuf::from(format!("{}-wal", file.unwrap_or_default()));
                log.metadata().map_or(0, |metadata| metadata.len())
            }
            Backend::Postgres(_) => {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.enable_all().build().expect("a runtime");
                let size = runtime.block_on(async {
                    let mut postgres = PgConnection::connect(&self.database.url).await.ok()?;
                    let sql = "SELECT sum(size)::bigint FROM pg_ls_waldir()";
                    let size = sqlx::query_scalar::<_, i64>(sql);
                    size.fetch_one(&mut postgres).await.ok()
                });
                size.unwrap_or(0) as u64
            }
        }
    }

    /// Faults of the samples.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let most = self.samples.iter().map(|s| s.log).max().unwrap_or(0);
        if matches!(self.backend, Backend::Sqlite) && most > LOG {
            faults.push(format!("the log grew to {most} MB, above {LOG} MB"));
        }
        if self.samples.last().is_some_and(|s| s.at >= JUDGED) {
            let memories: [Quantity; 2] = [
                ("the server", |s| s.resident),
                ("PostgreSQL", |s| s.postgres),
            ];
            for (name, memory) in memories {
                let [_, second, _, last] = self.quarters(memory);
                if last as f64 > second as f64 * 1.25 + 8.0 {
                    faults.push(format!(
                        "memory of {name} grew: {second} MB in the second quarter, {last} MB in the last"
                    ));
                }
            }
        }
        faults
    }

    /// Medians of the four quarters of the run.
    pub fn quarters(&self, value: impl Fn(&Sample) -> u64) -> [u64; 4] {
        let n = self.samples.len();
        [0, 1, 2, 3].map(|quarter| {
            let part = &self.samples[n * quarter / 4..n * (quarter + 1) / 4];
            let mut values: Vec<u64> = part.iter().map(&value).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        })
    }
}

/// A number of `/proc/{pid}/status` (Linux); memory is in KB.
pub fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
