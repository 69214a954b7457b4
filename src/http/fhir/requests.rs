//! Requests to write, whether they came by themselves or as entries of a Bundle: one way to
//! the store and back.
//!
//! What was read of them waits in a [`Taken`] while conditions and references are looked up;
//! then all of it is written in one transaction ([`Store::change`]).
//!
//! [`Store::change`]: crate::store::Store::change

mod answer;
mod joined;
mod look;
mod read;
mod registry;

use std::collections::{HashMap, HashSet};

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use tracing::Instrument as _;

use super::call::Call;
use super::condition::{self, Found, Precondition};
use crate::fault::{Code, Fault, Severity};
use crate::fhir::id::{self, ObservationKey};
use crate::fhir::inbound::{self, Head, Taken};
use crate::fhir::resource::{Resource, Source};
use crate::fhir::search::form;
use crate::http::App;
use crate::http::error::{Kind, Problem, Result};
use crate::kind::Kinds;
use crate::mapping::forward;
use crate::store::{
    Changes, Deleted, Deletion, Done, Handling, ParticipantDeletion, RecordChanges, Rule,
};
use read::Written;
use registry::Entries;

pub use answer::{Answer, Answers, other_id, refusal};
use answer::{conflict, dated, is_refusal, overlap};
pub use read::Read;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The type it is about.
    pub resource: &'static Resource,
    /// What is to be done.
    pub ask: Ask,
    /// What the resource says it is; empty where none came.
    pub head: Head,
    /// How others of its Bundle name it; empty where it has no name.
    pub full_url: String,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Ask {
    /// create
    Create {
        /// The query that must match nothing.
        if_none_exist: Option<String>,
    },
    /// update, or a patch that was applied
    Update {
        /// What is replaced.
        target: Target,
        /// Precondition of the version that is there.
        precondition: Precondition,
    },
    /// delete
    Delete {
        /// What goes.
        target: Target,
        /// Precondition of the version that is there.
        precondition: Precondition,
    },
}

/// How a request names its resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By its id.
    Id(String),
    /// By the query that finds it.
    Query(String),
}

impl FromRequestParts<App> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Target> {
        let id = Option::<Path<String>>::from_request_parts(parts, app).await;
        match id.map_err(|rejection| Problem::new(Kind::of(rejection.status())))? {
            Some(Path(id)) => Ok(Target::Id(id)),
            None => Ok(Target::Query(
                parts.uri.query().unwrap_or_default().to_owned(),
            )),
        }
    }
}

/// Requests on their way.
#[derive(Clone)]
pub struct Requests<'a> {
    call: &'a Call,
    handling: Handling,
    /// By entry; `None` where it is no request to write.
    requests: Vec<Option<Request>>,
    answers: Answers,
    /// What is read when they are done.
    reads: Vec<Read>,
    /// The entries whose condition was searched for, each with its query and what that found.
    looked: Vec<(u32, String, Found)>,
}

/// Outcomes of requests.
pub struct Performed {
    /// By entry.
    pub answers: Answers,
    /// The entries of a batch that were not done yet: each writes a resource that an earlier one
    /// of them wrote.
    pub repeated: Vec<u32>,
}

/// How an attempt to do requests ended.
enum Attempt {
    /// They are done.
    Done(Answers),
    /// Nothing was written: these entries of a batch have to wait for earlier ones.
    Repeated(Vec<u32>),
    /// Nothing was written: somebody changed what a condition finds.
    Moved,
}

/// How often requests begin anew because others wrote what they looked for.
const TRIES: usize = 5;

/// What there is to say about what was taken; nothing is stored.
///
/// # Errors
/// 503 and 500.
pub async fn judged(call: &Call, mut taken: Taken) -> Result<Vec<inbound::Issue>> {
    let requests = Requests::new(call, Vec::new(), Handling::Strict);
    // What leads to nothing is told where it stands.
    requests.settle(&mut taken).await?;
    let written = requests.written(taken).await?;
    let mut issues = written.outcome.issues;
    // Whether their records are there is known only when they are written.
    let late = written.late.into_iter().map(|late| late.fault);
    issues.extend(late.map(|fault| inbound::Issue::of(fault.severity(Severity::Warning))));
    Ok(issues)
}

impl<'a> Requests<'a> {
    /// Requests of which all or none are done (strict handling), or each by itself.
    pub fn new(call: &'a Call, requests: Vec<Option<Request>>, handling: Handling) -> Self {
        Requests {
            call,
            handling,
            answers: requests.iter().map(|_| None).collect(),
            requests,
            reads: Vec::new(),
            looked: Vec::new(),
        }
    }

    /// What is to be there when they are done, or all of them fail: only in strict handling.
    pub fn reading(mut self, reads: Vec<Read>) -> Self {
        self.reads = reads;
        self
    }

    /// Does them.
    ///
    /// # Errors
    /// 503 and 500; what is wrong with a request is its answer. 409 where others write what
    /// was looked for again and again.
    pub async fn perform(mut self, mut taken: Taken) -> Result<Performed> {
        let mut repeated = Vec::new();
        if !self.looks() && !self.is_batch() {
            // It has no condition that others could change, and nothing to put off.
            return match self.attempt(taken).await? {
                Attempt::Done(answers) => Ok(Performed { answers, repeated }),
                _ => Err(Problem::new(Kind::Internal)),
            };
        }
        let mut tries = 0;
        loop {
            match self.clone().attempt(taken.clone()).await? {
                Attempt::Done(answers) => return Ok(Performed { answers, repeated }),
                Attempt::Repeated(entries) => {
                    for &entry in &entries {
                        self.requests[entry as usize] = None;
                    }
                    taken.leave_out_all(&entries.iter().copied().collect());
                    repeated.extend(entries);
                }
                Attempt::Moved => tries += 1,
            }
            if tries == TRIES {
                return Err(condition::moved());
            }
        }
    }

    /// Whether these are entries of a batch, which may write one resource several times.
    fn is_batch(&self) -> bool {
        self.handling == Handling::Lenient && self.requests.iter().flatten().nth(1).is_some()
    }

    /// Does them, unless somebody wrote meanwhile what changes what a condition finds.
    async fn attempt(mut self, mut taken: Taken) -> Result<Attempt> {
        let revision = match self.looks() {
            true => self.call.app.store().revision().await?,
            false => 0,
        };
        self.find_targets(&mut taken).await?;
        self.keep_unmodified(&mut taken).await?;
        for (entry, problem) in self.settle(&mut taken).await? {
            taken.leave_out(entry);
            if !self.is_answered(entry) {
                self.answer(entry, Err(problem));
            }
        }
        let written = self.written(taken).await?;
        let mut said = self.refusals(written.outcome.issues);
        let joined: HashMap<u32, u32> = written.joined.into_iter().collect();
        let mut changes = Changes {
            handling: self.handling,
            auto: self.call.app.settings().auto_register,
            ..Changes::default()
        };
        let mut entries = Entries {
            participants: self.participants(written.participants, &mut changes),
            devices: self.devices(written.devices, &mut changes),
            ..Entries::default()
        };
        self.records(written.records, &mut changes);
        let late = self.late(written.late, &mut changes);
        let deletions = self.deletions(&mut changes, &mut entries);
        let named = self.named(&changes, &entries, &deletions);
        if self.handling == Handling::Strict {
            self.refuse_overlaps(&named, &joined);
            self.refuse_reads(&changes, &named);
            if self.any_failed() {
                return Ok(Attempt::Done(self.answers));
            }
        } else {
            let repeated = self.repeated(&named, &joined);
            if !repeated.is_empty() {
                return Ok(Attempt::Repeated(repeated));
            }
        }
        let store = self.call.app.store().clone();
        let Some(held) = self.hold(revision, changes.client.clone()).await? else {
            return Ok(Attempt::Moved);
        };
        // A task of its own: a client that goes away now does not undo what it sent.
        let reservation = self.call.reservation();
        let changed = async move {
            let _reservation = reservation;
            let done = store.change(held, &mut changes).await;
            done.map(|done| (changes, done))
        };
        let (changes, done) = tokio::spawn(changed.in_current_span()).await??;
        for (entry, deleted) in deletions.into_iter().zip(&done.deletions) {
            if done.kept || *deleted == Deleted::Otherwise {
                self.deleted(entry, *deleted);
            }
        }
        self.registered(&changes, &done, &entries, &mut said);
        self.stored(&changes, &done, &mut said);
        self.joined(late, &done, &mut said);
        for (part, row) in joined {
            self.share(part, row, &mut said);
        }
        Ok(Attempt::Done(self.answers))
    }

    fn answer(&mut self, entry: u32, answer: Result<Answer>) {
        if let Some(place) = self.answers.get_mut(entry as usize) {
            *place = Some(answer);
        }
    }

    fn any_failed(&self) -> bool {
        self.answers
            .iter()
            .flatten()
            .any(std::result::Result::is_err)
    }

    fn request(&self, entry: u32) -> Option<&Request> {
        self.requests.get(entry as usize).and_then(Option::as_ref)
    }

    /// Whether an entry has its answer already.
    fn is_answered(&self, entry: u32) -> bool {
        self.answers.get(entry as usize).is_none_or(Option::is_some)
    }

    /// Answers what was refused before the store; what else there is to say, by entry.
    fn refusals(&mut self, issues: Vec<inbound::Issue>) -> HashMap<u32, Vec<inbound::Issue>> {
        let mut said: HashMap<u32, Vec<inbound::Issue>> = HashMap::new();
        for issue in issues {
            said.entry(issue.entry.unwrap_or(0))
                .or_default()
                .push(issue);
        }
        for (&entry, issues) in &said {
            if issues.iter().any(|issue| issue.fault.is_error()) && !self.is_answered(entry) {
                let faults = issues.iter().map(|issue| issue.fault.clone()).collect();
                self.answer(entry, Err(refusal(faults)));
            }
        }
        said
    }

    /// Turns a precondition of time into one of the version that was not modified since.
    async fn keep_unmodified(&mut self, taken: &mut Taken) -> Result<()> {
        for entry in 0..self.requests.len() as u32 {
            let Some(Some(request)) = self.requests.get_mut(entry as usize) else {
                continue;
            };
            let (Ask::Update {
                target: Target::Id(id),
                precondition,
            }
            | Ask::Delete {
                target: Target::Id(id),
                precondition,
            }) = &mut request.ask
            else {
                continue;
            };
            if precondition.unmodified_since.is_none() {
                continue;
            }
            match super::read::version(request.resource, self.call, id, None).await {
                Ok((version, _)) if precondition.holds(version) => {
                    *precondition = Precondition::version(version.number);
                }
                Ok(_) => {
                    taken.leave_out(entry);
                    self.requests[entry as usize] = None;
                    self.answer(entry, Err(condition::failed()));
                }
                Err(problem) if matches!(problem.kind, Kind::NotFound | Kind::Gone) => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(())
    }

    /// The records with their rules.
    fn records(&mut self, records: Vec<inbound::WrittenRecords>, changes: &mut Changes) {
        for inbound::WrittenRecords {
            mut submission,
            said,
        } in records
        {
            let kinds = self.call.app.kinds();
            let mut rules = Vec::with_capacity(submission.rows.len());
            for (place, (status, residue)) in said.into_iter().enumerate() {
                let row = submission.rows[place];
                let request = self.requests.get(row.position.index as usize);
                let (update, condition) = match request.and_then(Option::as_ref) {
                    Some(Request {
                        ask:
                            Ask::Update {
                                target,
                                precondition,
                            },
                        ..
                    }) => {
                        let record = submission.record(kinds, &row);
                        let own = forward::key(&record, record.kind);
                        if let Target::Id(id) = target
                            && ObservationKey::decode(id) != Some(own)
                        {
                            let pointer = submission.pointer(kinds, &row);
                            let fault = Fault::new(Code::Identity, pointer, row.position.place);
                            let expected = format!("PUT Observation/{}", own.encode());
                            submission.refuse(place, fault.expected(expected).found(id));
                        }
                        (true, precondition.versions.clone())
                    }
                    _ => (false, Default::default()),
                };
                rules.push(Rule {
                    update,
                    condition,
                    status,
                    residue,
                });
            }
            changes.records.push(RecordChanges { submission, rules });
        }
    }

    /// The deletions; the entries of those that are of records.
    fn deletions(&mut self, changes: &mut Changes, entries: &mut Entries) -> Vec<u32> {
        let mut records = Vec::new();
        for entry in 0..self.requests.len() as u32 {
            let Some(Request {
                resource,
                ask:
                    Ask::Delete {
                        target: Target::Id(id),
                        precondition,
                    },
                ..
            }) = self.request(entry)
            else {
                continue;
            };
            let condition = precondition.versions.clone();
            let of_records = matches!(resource.sources, [Source::Record]);
            match (ObservationKey::decode(id), id::decode_hash(id)) {
                (Some(key), _) if of_records => {
                    records.push(entry);
                    changes.deletions.push(Deletion { key, condition });
                }
                (_, Some(hash)) if !of_records => {
                    entries.withdrawals.push(entry);
                    changes
                        .withdrawals
                        .push(ParticipantDeletion { hash, condition });
                }
                _ if !condition.holds(None) => self.answer(entry, Err(condition::failed())),
                _ => self.deleted(entry, Deleted::Absent),
            }
        }
        records
    }

    /// The resources that several requests write or delete.
    fn named(&self, changes: &Changes, entries: &Entries, deletions: &[u32]) -> Vec<Written> {
        if self.requests.len() < 2 {
            return Vec::new();
        }
        let mut out = Vec::new();
        let mut name = |entry: u32, id: String, deleted: bool| {
            if let Some(request) = self.request(entry) {
                out.push(Written {
                    resource: request.resource,
                    id,
                    entry,
                    deleted,
                });
            }
        };
        let deleted = deletions.iter().zip(&changes.deletions);
        for (&entry, deletion) in deleted {
            name(entry, deletion.key.encode(), true);
        }
        for (&entry, deletion) in entries.withdrawals.iter().zip(&changes.withdrawals) {
            name(entry, id::encode_hash(&deletion.hash), true);
        }
        for (&entry, change) in entries.participants.iter().zip(&changes.participants) {
            name(entry, registry::participant_id(change), false);
        }
        for (&entry, change) in entries.devices.iter().zip(&changes.devices) {
            name(entry, registry::device_id(change), false);
        }
        let kinds = self.call.app.kinds();
        for RecordChanges { submission, .. } in &changes.records {
            for row in &submission.rows {
                let record = submission.record(kinds, row);
                let key = forward::key(&record, record.kind);
                name(row.position.index, key.encode(), false);
            }
        }
        out.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
        out
    }

    /// The entries of a batch that write a resource which an earlier entry writes, or that have
    /// the condition of an earlier one: their turn comes when that is done.
    fn repeated(&self, named: &[Written], joined: &HashMap<u32, u32>) -> Vec<u32> {
        let mut out: Vec<u32> = named
            .windows(2)
            .filter(|pair| pair[0].is_same(&pair[1]) && !joined.contains_key(&pair[1].entry))
            .map(|pair| pair[1].entry)
            .collect();
        let mut conditions = HashSet::new();
        for (entry, query, _) in &self.looked {
            let name = self.request(*entry).map(|request| request.resource.name());
            if !conditions.insert((name, query.as_str())) {
                out.push(*entry);
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// In a transaction, nothing may be written twice
    /// (<https://hl7.org/fhir/R4/http.html#trules>).
    fn refuse_overlaps(&mut self, named: &[Written], joined: &HashMap<u32, u32>) {
        for pair in named.windows(2) {
            let [first, second] = pair else { continue };
            if first.is_same(second) && !joined.contains_key(&second.entry) {
                self.answer(second.entry, Err(overlap(first.entry)));
            }
        }
    }

    fn deleted(&mut self, entry: u32, deleted: Deleted) {
        let Some(request) = self.request(entry) else {
            return;
        };
        let answer = match deleted {
            Deleted::Now(_) | Deleted::Before | Deleted::Absent => {
                Ok(Answer::nothing(request.resource))
            }
            Deleted::Otherwise => Err(condition::failed()),
            Deleted::Needed => Err(registry::needed()),
        };
        self.answer(entry, answer);
    }

    /// Answers what the store decided on.
    fn stored(
        &mut self,
        changes: &Changes,
        done: &Done,
        said: &mut HashMap<u32, Vec<inbound::Issue>>,
    ) {
        for (place, RecordChanges { submission, .. }) in changes.records.iter().enumerate() {
            let became = done.records.get(place).map_or(&[][..], Vec::as_slice);
            let mut faults = submission.faults.iter().peekable();
            for (i, row) in submission.rows.iter().enumerate() {
                let mut own = submission.envelope.clone();
                while let Some((_, fault)) = faults.next_if(|(r, _)| *r as usize <= i) {
                    own.push(fault.clone());
                }
                let entry = row.position.index;
                let Some(resource) = self.request(entry).map(|request| request.resource) else {
                    continue;
                };
                if self.is_answered(entry) {
                    continue;
                }
                let kinds = self.call.app.kinds();
                let change = became.get(i).copied().flatten().filter(|_| !row.refused);
                let answer = match change {
                    Some(change) if change.failed => Err(condition::failed()),
                    Some(change) if is_refusal(change.outcome) => Err(conflict(own)),
                    _ if own.iter().any(Fault::is_error) => Err(refusal(own)),
                    // Another request of the same transaction failed.
                    Some(change) if done.kept => {
                        if change.dated {
                            own.push(dated(submission.pointer(kinds, row), row.position.place));
                        }
                        let mut notices = said.remove(&entry).unwrap_or_default();
                        notices.extend(own.into_iter().map(inbound::Issue::of));
                        let record = submission.record(kinds, row);
                        let id = forward::key(&record, record.kind).encode();
                        Ok(Answer::became(resource, id, &change, done.at, notices))
                    }
                    _ => continue,
                };
                self.answer(entry, answer);
            }
        }
    }
}

impl Ask {
    /// The query that names its resource, or that of its condition.
    fn query(&self) -> Option<&str> {
        match self {
            Ask::Create { if_none_exist } => if_none_exist.as_deref(),
            Ask::Update { target, .. } | Ask::Delete { target, .. } => match target {
                Target::Query(query) => Some(query),
                Target::Id(_) => None,
            },
        }
    }
}

impl Request {
    /// The record that a conditional update names by its own identifier: such a query is
    /// answered without the database, so that a Bundle of many costs no searches.
    fn names_record(&self, kinds: &Kinds) -> Option<ObservationKey> {
        let Ask::Update {
            target: Target::Query(query),
            ..
        } = &self.ask
        else {
            return None;
        };
        let pairs = form::pairs(query).ok()?;
        let [pair] = pairs.as_slice() else {
            return None;
        };
        if self.resource.name() != "Observation" || pair.name != "identifier" {
            return None;
        }
        let value = pair.value().ok()?;
        let (system, identity) = value.split_once('|')?;
        if system != kinds.canonical.sid("record") || identity.contains([',', '|', '\\']) {
            return None;
        }
        forward::key_of(kinds, identity)
    }
}
