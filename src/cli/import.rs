//! `import`: files and folders into the database, many at once.
//!
//! Registries are loaded first. Submissions are read by threads, as far ahead as the
//! database keeps up, and stored one after the other. What is there already is unchanged,
//! so an import that was interrupted is simply run again. A file that cannot be read is told, and
//! the others are stored.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::database::{failed, with_store};
use super::faults::Reporter;
use super::files::{Content, DataFile, Files, Item, unreadable};
use super::input::broken;
use super::interrupt::{Progress, Work};
use super::synth::bar;
use super::{Exit, Failure, localized};
use crate::config::{Cli, Import, RegistryMode};
use crate::exchange::{self, Submission};
use crate::fault::{Code, Fault, Place, Severity};
use crate::json::{Event, Reader};
use crate::kind::Kinds;
use crate::registry::{self, Form, List, ReadRows};
use crate::store::{Changed, Counts, Handling, Receipt, Store, Submit};

/// Submissions read ahead of the database.
const AHEAD: usize = 4;

/// Loads all paths.
///
/// # Errors
/// When a path is not there or the database fails. What is refused is told, and the import
/// goes on.
pub fn run(cli: &Cli, options: &Import) -> Result<Exit, Failure> {
    let kinds = super::kinds(&options.mappings)?;
    let files = Files::find(&options.paths)?;
    with_store(cli, kinds, |store| import(cli, store, options, files))
}

/// What an import did.
#[derive(Default)]
struct Summary {
    files: u64,
    ignored: u64,
    unreadable: u64,
    lists: Vec<(&'static List, ListCounts)>,
    submissions: u64,
    counts: Counts,
}

/// Outcomes of the rows of a list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ListCounts {
    /// Rows added, replaced, and there already.
    pub changed: Changed,
    /// Rows that were not taken: all of a file with a fault.
    pub refused: u64,
}

/// What a reading thread gives.
enum Reading {
    Submission(String, Box<Submission>),
    Fault(String, Fault),
    Unreadable(String, String),
    FileDone(u64),
}

async fn import(
    cli: &Cli,
    store: Arc<Store>,
    options: &Import,
    files: Files,
) -> Result<Exit, Failure> {
    store.keep_quarantine(options.refusals.ttl());
    let bar = bar(
        files.bytes(),
        "{wide_bar} {bytes}/{total_bytes}, {eta} left",
    );
    let total = files.data.len() as u64;
    let progress = Progress::begin(Work::Stored, total, bar);
    let mut reporter = Reporter::new(&options.reporting)?;
    let mut summary = Summary {
        files: total,
        ignored: files.ignored,
        ..Summary::default()
    };
    for problem in &files.problems {
        summary.unreadable += u64::from(problem.severity == Severity::Error);
        let told = || reporter.file(&problem.name, problem.severity, &problem.message);
        progress.bar.suspend(told)?;
    }
    for list in List::ALL {
        let of_list = |item: &Item| matches!(item.content, Content::List(of, _) if of == list);
        let mut counts = ListCounts::default();
        for file in &files.data {
            for (name, form, bytes) in contents(file, of_list) {
                match bytes {
                    Ok(bytes) => {
                        let loaded = load_list(&store, list, form, &name, &bytes, &mut reporter);
                        counts.add(&loaded.await?);
                    }
                    Err(error) => {
                        summary.unreadable += 1;
                        reporter.file(&name, Severity::Error, &unreadable(&error))?;
                    }
                }
            }
        }
        if files.data.iter().flat_map(|file| &file.items).any(of_list) {
            summary.lists.push((list, counts));
        }
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
    let reading = options.refusals.reading(options.lenient);
    let mut read = read_ahead(store.kinds().clone(), files.data, reading);
    while let Some(next) = read.recv().await {
        match next {
            Reading::FileDone(bytes) => {
                progress.file_done();
                progress.bar.inc(bytes);
            }
            Reading::Fault(name, fault) => {
                summary.unreadable += 1;
                progress.bar.suspend(|| reporter.all(&name, [&fault], 0))?;
            }
            Reading::Unreadable(name, message) => {
                summary.unreadable += 1;
                let told = || reporter.file(&name, Severity::Error, &message);
                progress.bar.suspend(told)?;
            }
            Reading::Submission(name, mut submission) => {
                let receipt = store.submit(&mut submission, &how).await.map_err(failed)?;
                summary.submissions += 1;
                add(&mut summary.counts, &receipt);
                let told = receipt.faults.iter();
                let told = told.chain(receipt.entries.iter().flat_map(|entry| &entry.faults));
                let mut told = told.peekable();
                let untold = receipt.unlisted.faults;
                if told.peek().is_some() || untold > 0 {
                    let told = || reporter.all(&name, told, untold);
                    progress.bar.suspend(told)?;
                }
            }
        }
    }
    progress.finish();
    reporter.finish()?;
    if !cli.quiet {
        tell(&summary).map_err(|e| Failure::stream(&e))?;
    }
    let refused = reporter.refused() || summary.counts.refused + summary.counts.conflict > 0;
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

fn tell(summary: &Summary) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Summary {
        files,
        ignored,
        unreadable,
        submissions,
        ..
    } = summary;
    let line = localized!(
        "files: {files} read, {ignored} passed over, {unreadable} unreadable",
        "ファイル: 読み込み {files}、対象外 {ignored}、読み込み不可 {unreadable}"
    );
    writeln!(out, "{line}")?;
    for (list, ListCounts { changed, refused }) in &summary.lists {
        let name = list.name;
        let Changed {
            created,
            updated,
            unchanged,
            ..
        } = changed;
        let line = localized!(
            "{name}: created: {created}, updated: {updated}, unchanged: {unchanged}, refused: {refused}",
            "{name}: 新規 {created}、更新 {updated}、変更なし {unchanged}、拒否 {refused}"
        );
        writeln!(out, "{line}")?;
    }
    let Counts {
        received,
        created,
        updated,
        unchanged,
        stale,
        conflict,
        refused,
        warned,
    } = summary.counts;
    let line = localized!(
        "read: {received} records in {submissions} submissions",
        "記録: {submissions} 件の提出データに {received} 件"
    );
    writeln!(out, "{line}")?;
    let line = localized!(
        "created: {created}, updated: {updated}, unchanged: {unchanged}, stale: {stale}, conflict: {conflict}, refused: {refused}, warned: {warned}",
        "新規 {created}、更新 {updated}、変更なし {unchanged}、旧版 {stale}、矛盾 {conflict}、拒否 {refused}、警告 {warned}"
    );
    writeln!(out, "{line}")
}

/// Adds what became of a submission. Of a refused one nothing is stored, so all its records count
/// as refused but those in conflict: the outcomes add up to what was received.
fn add(sum: &mut Counts, receipt: &Receipt) {
    let more = &receipt.counts;
    sum.received += more.received;
    sum.conflict += more.conflict;
    if receipt.is_refused() && !receipt.lenient {
        sum.refused += more.received - more.conflict;
        return;
    }
    sum.created += more.created;
    sum.updated += more.updated;
    sum.unchanged += more.unchanged;
    sum.stale += more.stale;
    sum.warned += more.warned;
    let placed = more.created + more.updated + more.unchanged + more.stale + more.conflict;
    sum.refused += more.received.saturating_sub(placed);
}

impl ListCounts {
    fn add(&mut self, more: &ListCounts) {
        self.changed.created += more.changed.created;
        self.changed.updated += more.changed.updated;
        self.changed.unchanged += more.changed.unchanged;
        self.refused += more.refused;
    }
}

/// The lists of a file, each whole in memory.
fn contents(
    file: &DataFile,
    wanted: impl Fn(&Item) -> bool,
) -> Vec<(String, Form, io::Result<Vec<u8>>)> {
    let mut out = Vec::new();
    file.read(wanted, |item, source| {
        if let Content::List(_, form) = item.content {
            let bytes = source.and_then(|mut source| {
                let mut bytes = Vec::new();
                source.read_to_end(&mut bytes).map(|_| bytes)
            });
            out.push((item.name.clone(), form, bytes));
        }
        true
    });
    out
}

/// Reads the rows of a list and tells their faults.
pub(super) fn read_list(
    kinds: &Kinds,
    list: &'static List,
    form: Form,
    name: &str,
    bytes: &[u8],
    reporter: &mut Reporter,
) -> Result<ReadRows, Failure> {
    let known = |kind: &str| kinds.get(kind).is_some();
    let options = registry::Options {
        known_kind: Some(&known),
        ..registry::Options::default()
    };
    let read = registry::read_bytes(list, form, bytes, &options)
        .map_err(|e| Failure::path(Path::new(name), &e))?;
    let unlisted = read.faults.total() - read.faults.kept().len() as u64;
    reporter.all(name, read.faults.kept(), unlisted)?;
    Ok(read)
}

/// Loads the rows of a list: all of them, or none where one has a fault.
pub(super) async fn load_list(
    store: &Store,
    list: &'static List,
    form: Form,
    name: &str,
    bytes: &[u8],
    reporter: &mut Reporter,
) -> Result<ListCounts, Failure> {
    let read = read_list(store.kinds(), list, form, name, bytes, reporter)?;
    let refused = |rows| ListCounts {
        refused: rows,
        ..ListCounts::default()
    };
    if read.faults.refuses() {
        return Ok(refused(read.count));
    }
    let zeros = store.lost_zeros(list, &read.rows).await.map_err(failed)?;
    reporter.all(name, &zeros, 0)?;
    let done = store
        .change_registry(list, &read.rows, false)
        .await
        .map_err(failed)?;
    match done {
        Ok(changed) => Ok(ListCounts {
            changed,
            refused: 0,
        }),
        Err(faults) => {
            reporter.all(name, &faults, 0)?;
            Ok(refused(read.count))
        }
    }
}

/// Reads submissions on threads of their own, each file by one of them.
fn read_ahead(
    kinds: Arc<Kinds>,
    files: Vec<DataFile>,
    reading: exchange::Options,
) -> mpsc::Receiver<Reading> {
    let (send, receive) = mpsc::channel(AHEAD);
    let waiting = Arc::new(Mutex::new(files.into_iter()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    for _ in 0..threads {
        let (kinds, waiting, send) = (kinds.clone(), waiting.clone(), send.clone());
        tokio::task::spawn_blocking(move || {
            loop {
                let next = match waiting.lock() {
                    Ok(mut files) => files.next(),
                    Err(_) => None,
                };
                let Some(file) = next else { return };
                let give = |read| send.blocking_send(read).is_ok();
                let documents = |item: &Item| item.content == Content::Documents;
                let mut open = true;
                file.read(documents, |item, source| {
                    open = match source {
                        Ok(source) => read_documents(&kinds, &item.name, source, reading, &give),
                        Err(error) => {
                            give(Reading::Unreadable(item.name.clone(), unreadable(&error)))
                        }
                    };
                    open
                });
                if !open || !give(Reading::FileDone(file.size)) {
                    return;
                }
            }
        });
    }
    receive
}

/// Reads the submissions of a content; whether more is wanted.
fn read_documents(
    kinds: &Kinds,
    name: &str,
    source: impl Read,
    reading: exchange::Options,
    give: &dyn Fn(Reading) -> bool,
) -> bool {
    let mut json = Reader::new(source);
    let mut first = true;
    loop {
        let read = match json.next_document() {
            Ok(Event::End) if !first => return true,
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
                    return give(Reading::Fault(name.to_owned(), fault));
                }
                None => Reading::Submission(name.to_owned(), Box::new(submission)),
            },
            Err(error) => {
                return give(match broken(name, json.place(), error) {
                    Ok(fault) => Reading::Fault(name.to_owned(), fault),
                    Err(failure) => Reading::Unreadable(name.to_owned(), failure.message),
                });
            }
        };
        if !give(next) {
            return false;
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
