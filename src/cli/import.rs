//! `import`: files and folders into the database, many at once.
//!
//! Registries are loaded first. Submissions are read by threads, as far ahead as the
//! database keeps up, and stored one after the other. What is there already is unchanged,
//! so an import that was interrupted is simply run again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::database::{failed, with_store};
use super::faults::Reporter;
use super::input::{Input, unreadable};
use super::synth::bar;
use super::{Exit, Failure};
use crate::config::{Cli, Import, RegistryMode};
use crate::exchange::{self, Submission};
use crate::fault::{Code, Fault, Place};
use crate::json::{Event, Reader};
use crate::kind::Kinds;
use crate::registry::{self, List};
use crate::store::{Counts, Handling, Store, Submit};

/// Submissions read ahead of the database.
const AHEAD: usize = 4;

/// Loads all paths.
///
/// # Errors
/// When a path is not there or the database fails. What is refused is told, and the import
/// goes on.
pub fn run(cli: &Cli, options: &Import) -> Result<Exit, Failure> {
    let kinds = super::kinds(&options.mappings)?;
    let files = files(&options.paths)?;
    with_store(cli, kinds, |store| import(store, options, files))
}

/// The files of an import.
struct Files {
    registries: Vec<(&'static List, PathBuf)>,
    submissions: Vec<PathBuf>,
    bytes: u64,
}

/// What an import did.
#[derive(Default)]
struct Summary {
    submissions: u64,
    counts: Counts,
    unreadable: u64,
    registries: u64,
}

/// What a reading thread gives.
enum Reading {
    Submission(String, Box<Submission>),
    Fault(String, Fault),
    Failed(Failure),
}

async fn import(store: Arc<Store>, options: &Import, files: Files) -> Result<Exit, Failure> {
    store.keep_quarantine(options.refusals.ttl());
    let bar = bar(files.bytes, "{wide_bar} {bytes}/{total_bytes}, {eta} left");
    let mut reporter = Reporter::new();
    let mut summary = Summary::default();
    for (list, path) in &files.registries {
        summary.registries += load_list(&store, list, path, &mut reporter).await?;
        bar.inc(size(path));
    }
    let how = Submit {
        handling: if options.lenient {
            Handling::Lenient
        } else {
            Handling::Strict
        },
        auto: options.registry == RegistryMode::Auto,
        client: None,
    };
    let mut read = read_ahead(
        store.kinds().clone(),
        files.submissions,
        options.refusals.reading(options.lenient),
        &bar,
    );
    while let Some(next) = read.recv().await {
        match next {
            Reading::Failed(failure) => return Err(failure),
            Reading::Fault(name, fault) => {
                summary.unreadable += 1;
                bar.suspend(|| reporter.all(&name, [&fault], 0))?;
            }
            Reading::Submission(name, mut submission) => {
                let receipt = store.submit(&mut submission, &how).await.map_err(failed)?;
                summary.submissions += 1;
                add(&mut summary.counts, &receipt.counts);
                let told = receipt.faults.iter();
                let told = told.chain(receipt.entries.iter().flat_map(|entry| &entry.faults));
                let mut told = told.peekable();
                let untold = receipt.unlisted.faults;
                if told.peek().is_some() || untold > 0 {
                    bar.suspend(|| reporter.all(&name, told, untold))?;
                }
            }
        }
    }
    bar.finish_and_clear();
    tell(&summary).map_err(|e| Failure::stream(&e))?;
    let refused = reporter.refused() || summary.counts.refused + summary.counts.conflict > 0;
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

fn tell(summary: &Summary) -> io::Result<()> {
    let c = &summary.counts;
    let mut out = io::stdout().lock();
    if summary.registries > 0 {
        writeln!(out, "registry rows: {}", summary.registries)?;
    }
    writeln!(
        out,
        "read: {} records in {} submissions{}",
        c.received,
        summary.submissions,
        match summary.unreadable {
            0 => String::new(),
            n => format!(" ({n} could not be read)"),
        }
    )?;
    writeln!(
        out,
        "created: {}, updated: {}, unchanged: {}, stale: {}, conflict: {}, refused: {}, warned: {}",
        c.created, c.updated, c.unchanged, c.stale, c.conflict, c.refused, c.warned
    )
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.received += more.received;
    sum.created += more.created;
    sum.updated += more.updated;
    sum.unchanged += more.unchanged;
    sum.stale += more.stale;
    sum.conflict += more.conflict;
    sum.refused += more.refused;
    sum.warned += more.warned;
}

/// Loads a registry file and gives the number of its rows; nothing where it is refused.
pub(super) async fn load_list(
    store: &Store,
    list: &'static List,
    path: &Path,
    reporter: &mut Reporter,
) -> Result<u64, Failure> {
    let name = path.display().to_string();
    let kinds = store.kinds().clone();
    let known = |kind: &str| kinds.get(kind).is_some();
    let options = registry::Options {
        known_kind: Some(&known),
        ..registry::Options::default()
    };
    let read = registry::read_file(list, path, &options).map_err(|e| Failure::path(path, &e))?;
    if read.faults.refuses() {
        let unlisted = read.faults.total() - read.faults.kept().len() as u64;
        reporter.all(&name, read.faults.kept(), unlisted)?;
        return Ok(0);
    }
    let done = store
        .change_registry(list, &read.rows, false)
        .await
        .map_err(failed)?;
    match done {
        Ok(_) => Ok(read.rows.len() as u64),
        Err(faults) => {
            reporter.all(&name, &faults, 0)?;
            Ok(0)
        }
    }
}

/// Reads submissions on threads of their own, each file by one of them.
fn read_ahead(
    kinds: Arc<Kinds>,
    paths: Vec<PathBuf>,
    reading: exchange::Options,
    bar: &ProgressBar,
) -> mpsc::Receiver<Reading> {
    let (send, receive) = mpsc::channel(AHEAD);
    let waiting = Arc::new(Mutex::new(paths.into_iter()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    for _ in 0..threads {
        let (kinds, waiting, send, bar) =
            (kinds.clone(), waiting.clone(), send.clone(), bar.clone());
        tokio::task::spawn_blocking(move || {
            loop {
                let next = match waiting.lock() {
                    Ok(mut paths) => paths.next(),
                    Err(_) => None,
                };
                let Some(path) = next else { return };
                let give = |read| send.blocking_send(read).is_ok();
                if let Err(failure) = read_path(&kinds, &path, reading, &give) {
                    give(Reading::Failed(failure));
                    return;
                }
                bar.inc(size(&path));
            }
        });
    }
    receive
}

/// Reads the submissions of a file, of every file in a zip archive.
fn read_path(
    kinds: &Kinds,
    path: &Path,
    reading: exchange::Options,
    give: &dyn Fn(Reading) -> bool,
) -> Result<(), Failure> {
    if path.extension().is_none_or(|end| end != "zip") {
        return read_documents(kinds, Input::open(path)?, reading, give);
    }
    let broken = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => Failure::path(path, &e),
        other => Failure::usage(format!("{}: {other}", path.display())),
    };
    let file = File::open(path).map_err(|e| Failure::path(path, &e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(broken)?;
        let inside = entry.name().map_err(broken)?.into_owned();
        if entry.is_dir() || !is_submission(Path::new(&inside)) {
            continue;
        }
        let name = format!("{}!{inside}", path.display());
        read_from(kinds, &name, entry, reading, give)?;
    }
    Ok(())
}

fn read_documents(
    kinds: &Kinds,
    input: Input,
    reading: exchange::Options,
    give: &dyn Fn(Reading) -> bool,
) -> Result<(), Failure> {
    read_from(kinds, &input.name, input.content, reading, give)
}

fn read_from(
    kinds: &Kinds,
    name: &str,
    source: impl Read,
    reading: exchange::Options,
    give: &dyn Fn(Reading) -> bool,
) -> Result<(), Failure> {
    let mut json = Reader::new(source);
    let mut first = true;
    loop {
        let read = match json.next_document() {
            Ok(Event::End) if !first => return Ok(()),
            Ok(event) => exchange::read_document(kinds, reading, &mut json, event),
            Err(error) => Err(error),
        };
        first = false;
        let next = match read {
            Ok(submission) => match resource_type(&submission) {
                // Each of its members would be told as an unknown field, resource by resource.
                Some(place) => {
                    let fault = Fault::new(Code::Type, "", place).expected(
                        "a submission: kenko-fhir convert --to exchange makes one of FHIR",
                    );
                    give(Reading::Fault(name.to_owned(), fault));
                    return Ok(());
                }
                None => Reading::Submission(name.to_owned(), Box::new(submission)),
            },
            Err(error) => {
                let fault = unreadable(name, json.place(), error)?;
                give(Reading::Fault(name.to_owned(), fault));
                return Ok(());
            }
        };
        if !give(next) {
            return Ok(());
        }
    }
}

/// Where a document that is no submission says that it is a resource.
fn resource_type(submission: &Submission) -> Option<Place> {
    let typed = |f: &&Fault| f.code == Code::UnknownField && f.pointer == "/resourceType";
    let fault = submission.envelope.iter().find(typed);
    fault.filter(|_| submission.broken).map(|f| Place {
        line: f.line,
        column: f.column,
    })
}

/// All files below the paths: the registries among them, and the rest.
fn files(paths: &[PathBuf]) -> Result<Files, Failure> {
    let mut found = Files {
        registries: Vec::new(),
        submissions: Vec::new(),
        bytes: 0,
    };
    for path in paths {
        if !path.exists() {
            return Err(Failure::usage(format!(
                "{}: no such file or folder",
                path.display()
            )));
        }
        collect(path, true, &mut found)?;
    }
    // Participants name consortia, and the order of the lists is that of the protocol.
    found.registries.sort_by_key(|(list, path)| {
        (
            List::ALL.iter().position(|l| l.name == list.name),
            path.clone(),
        )
    });
    Ok(found)
}

fn collect(path: &Path, named: bool, found: &mut Files) -> Result<(), Failure> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| Failure::path(path, &e))?;
        let mut inside = Vec::new();
        for entry in entries {
            inside.push(entry.map_err(|e| Failure::path(path, &e))?.path());
        }
        inside.sort();
        return inside
            .iter()
            .try_for_each(|path| collect(path, false, found));
    }
    if let Some(list) = registry_list(path) {
        found.registries.push((list, path.to_owned()));
    } else if named || is_submission(path) {
        found.submissions.push(path.to_owned());
    } else {
        return Ok(());
    }
    found.bytes += size(path);
    Ok(())
}

/// The list that a file is named after.
fn registry_list(path: &Path) -> Option<&'static List> {
    let name = path.file_name()?.to_str()?;
    let stem = name
        .strip_suffix(".json")
        .or_else(|| name.strip_suffix(".csv"))?;
    List::by_name(stem)
}

fn is_submission(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    [".json", ".ndjson", ".jsonl", ".gz", ".zip"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}
