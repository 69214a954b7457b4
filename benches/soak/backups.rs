//! Backups while the server serves: each is restored, and everything in it is checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::backend::{Backend, Database, run_sql};
use crate::session::Run;

/// Time between two of them.
const INTERVAL: Duration = Duration::from_secs(15);

/// Makes backups until the run is over; how many.
pub fn run(run: &Run, backend: &Backend, database: &Database) -> u32 {
    let mut number = 0;
    loop {
        let next = Instant::now() + INTERVAL;
        while Instant::now() < next {
            if run.ended() {
                return number;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        number += 1;
        if let Err(reason) = backup(run, backend, database) {
            run.fault(format!("backup {number}: {reason}"));
        }
    }
}

fn backup(run: &Run, backend: &Backend, database: &Database) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let began = Instant::now();
    match backend {
        Backend::Sqlite => {
            let copy = folder.path().join("copy.db");
            let mut program = kenko(&database.url);
            done(program.arg("backup").arg(&copy))?;
            let url = format!("sqlite://{}", copy.display());
            check(run, &url, folder.path(), began)
        }
        Backend::Postgres(server) => {
            // The folder of the server is that of its user.
            let to = "--file=soak.dump";
            let mut dump = server.program("pg_dump");
            done(dump.args(["--format=custom", to, "--dbname", &database.url]))?;
            let administrator = server.url("postgres");
            run_sql(&administrator, "CREATE DATABASE soak_copy");
            let copy = server.url("soak_copy");
            let mut restore = server.program("pg_restore");
            let restored = done(restore.args(["--dbname", &copy, "soak.dump"]))
                .and_then(|()| check(run, &copy, folder.path(), began));
            run_sql(&administrator, "DROP DATABASE soak_copy WITH (FORCE)");
            restored
        }
    }
}

/// Exports a copy and checks it by the ledger: whole, and of the time of the backup.
fn check(run: &Run, url: &str, folder: &Path, began: Instant) -> Result<(), String> {
    let out = folder.join("out");
    let mut program = kenko(url);
    done(program.args(["export", "--to", "ndjson", "-o"]).arg(&out))?;
    let file = File::open(out.join("Observation.ndjson")).map_err(|e| e.to_string())?;
    let mut times = HashMap::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|e| e.to_string())?;
        let resource: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        run.ledger.shown(&resource, began)?;
        let id = resource["id"].as_str().unwrap_or_default();
        *times.entry(id.to_owned()).or_default() += 1;
    }
    match run.ledger.listed(&times, began).as_slice() {
        [] => Ok(()),
        [first, ..] => Err(first.clone()),
    }
}

fn kenko(url: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"));
    program.args(["--database", url]);
    program
}

fn done(program: &mut Command) -> Result<(), String> {
    let output = program.output().map_err(|e| format!("{program:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let told = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program:?}: {}: {told}", output.status))
        }
    }
}
