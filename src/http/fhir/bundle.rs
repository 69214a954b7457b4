//! batch and transaction: a Bundle of requests, each by itself, or all of them or none
//! (<https://hl7.org/fhir/R4/http.html#transaction>).
//!
//! What is written goes through [`Requests`], in one transaction of the database and in an
//! order of its own: deletions, then what others refer to, then records. What is read is
//! answered after that, by the routes that answer it alone; where it would find nothing, a
//! transaction fails.

mod asked;
mod before;

use std::collections::HashSet;
use std::io;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use asked::Asked;
use before::Before;

use super::call::{Call, Checks};
use super::condition::{IF_NONE_EXIST, Precondition};
use super::patch;
use super::requests::{Answer, Answers, Read, Request, Requests, Target};
use super::{read, written};
use crate::fault::shorten;
use crate::fhir::inbound::{Entry, Taken, read_requests};
use crate::fhir::outcome::{Issue, outcome};
use crate::fhir::patch::Work;
use crate::fhir::resource::Resource;
use crate::fhir::searchset::{Head, Page};
use crate::http::body::{Body, Part as PartOfRequest, Reservation};
use crate::http::error::{Kind, Problem, Result};
use crate::http::negotiate::{self, FHIR_JSON};
use crate::http::prefer::{Prefer, Return};
use crate::json;
use crate::store::Handling;
use crate::time;

/// Does what a Bundle asks for.
pub async fn post(call: Call, body: Body) -> Result<Response> {
    negotiate::content_type(&call.headers, &written::TAKEN)?;
    let max = call.app.settings().bundle_max;
    let kinds = call.app.kinds().clone();
    let options = written::bundle_options();
    let read = move |source: &mut dyn io::Read, _| read_requests(&kinds, options, max, source);
    let read = call.parse(body, read).await??;
    let handling = match read.bundle_type.as_str() {
        "batch" => Handling::Lenient,
        "transaction" => Handling::Strict,
        other => return Err(no_requests(other)),
    };
    if read.count > max {
        return Err(too_many(read.count, max));
    }
    let faults = read.taken.faults();
    if !faults.is_empty() {
        return Err(Problem::faults(Kind::Malformed, faults));
    }
    let bundle = Bundle {
        call: &call,
        handling,
        entries: read.entries,
    };
    bundle.answer(read.taken).await
}

fn no_requests(bundle_type: &str) -> Problem {
    let found = shorten(bundle_type);
    Problem::new(Kind::Malformed)
        .detail(
            format!("a Bundle of type batch or transaction is expected here, found {found:?}"),
            format!("type が batch または transaction の Bundle が必要です（実際: {found}）"),
        )
        .at("Bundle.type")
}

fn too_many(found: usize, max: usize) -> Problem {
    Problem::new(Kind::TooLarge)
        .detail(
            format!("a Bundle has at most {max} entries here, found {found}; send it in parts"),
            format!(
                "Bundle のエントリーは {max} 件までです（実際: {found} 件）。分けて送ってください"
            ),
        )
        .at("Bundle.entry")
}

/// Bytes of an answer from which on it takes memory of the budget.
const LARGE: usize = 1 << 20;

fn too_much(limit: usize) -> Problem {
    Problem::new(Kind::TooCostly).detail(
        format!(
            "the answers of a Bundle have at most {limit} bytes together (--bundle-answer-limit); ask for this one by itself"
        ),
        format!(
            "Bundle の応答は合計 {limit} バイトまでです（--bundle-answer-limit）。このエントリーは個別に要求してください"
        ),
    )
}

/// What an entry is answered with.
#[derive(Default)]
struct Part {
    status: StatusCode,
    /// The address of the resource, where it is given.
    full_url: Option<String>,
    resource: Option<Vec<u8>>,
    location: Option<String>,
    etag: Option<String>,
    /// In milliseconds since the epoch.
    modified: Option<i64>,
    outcome: Option<Value>,
}

struct Bundle<'a> {
    call: &'a Call,
    handling: Handling,
    entries: Vec<Entry>,
}

impl Bundle<'_> {
    async fn answer(self, mut taken: Taken) -> Result<Response> {
        if self.handling == Handling::Lenient {
            return self.answer_batch(taken).await;
        }
        let mut requests: Vec<Option<Request>> = Vec::with_capacity(self.entries.len());
        let mut answers: Answers = Vec::with_capacity(self.entries.len());
        let mut others = Vec::new();
        let mut work = Work::new(self.call.app.settings().patch_limit as usize);
        for (at, entry) in self.entries.iter().enumerate() {
            let (request, answer) = match self.ask(entry) {
                Ok(Asked::Write(request)) => (Some(request), None),
                Ok(Asked::Other) => {
                    others.push(at);
                    (None, None)
                }
                Ok(Asked::Patch(resource, target, patch)) => {
                    let patched = self
                        .patched(resource, target, entry, (&patch, &mut work))
                        .await;
                    match patched {
                        Ok((request, text)) => {
                            let kinds = self.call.app.kinds();
                            let (head, with) =
                                taken.with(kinds, (at as u32, &entry.full_url), &text)?;
                            taken = with;
                            (Some(Request { head, ..request }), None)
                        }
                        Err(problem) if problem.kind.status().is_server_error() => {
                            return Err(problem);
                        }
                        Err(problem) => (None, Some(Err(problem))),
                    }
                }
                Err(problem) => (None, Some(Err(problem))),
            };
            if answer.is_some() {
                taken.leave_out(at as u32);
            }
            requests.push(request);
            answers.push(answer);
        }
        let routes = super::plain().with_state(self.call.app.clone());
        let mut reads = Vec::new();
        if !self.fails(&answers) {
            reads = self.reads(&routes, &others).await?;
        }
        if requests.iter().all(Option::is_none) {
            for read in reads {
                answers[read.entry as usize] = read.problem.map(Err);
            }
        } else if !self.fails(&answers) {
            let performed = Requests::new(self.call, requests, self.handling).reading(reads);
            let performed = performed.perform(taken).await?.answers;
            for (answer, performed) in answers.iter_mut().zip(performed) {
                *answer = answer.take().or(performed);
            }
        }
        if self.fails(&answers) {
            return self.failure(&answers);
        }
        self.parts(answers, others, &routes).await
    }

    /// Does the entries of a batch, in as many rounds as one resource is written: all those at
    /// once that write different resources. An entry whose resource an earlier one writes is
    /// done in a later round, when that is stored.
    async fn answer_batch(self, taken: Taken) -> Result<Response> {
        let count = self.entries.len();
        let mut answers: Answers = (0..count).map(|_| None).collect();
        let mut others = Vec::new();
        let mut pending: Vec<(usize, Asked)> = Vec::with_capacity(count);
        for (at, entry) in self.entries.iter().enumerate() {
            match self.ask(entry) {
                Ok(Asked::Other) => others.push(at),
                Ok(asked) => pending.push((at, asked)),
                Err(problem) => answers[at] = Some(Err(problem)),
            }
        }
        let mut work = Work::new(self.call.app.settings().patch_limit as usize);
        while !pending.is_empty() {
            let mut requests: Vec<Option<Request>> = (0..count).map(|_| None).collect();
            let turn: HashSet<u32> = pending.iter().map(|(at, _)| *at as u32).collect();
            let rest = (0..count as u32).filter(|at| !turn.contains(at)).collect();
            let mut round = taken.clone();
            round.leave_out_all(&rest);
            let mut before = Before::default();
            let mut waiting = HashSet::new();
            for (at, asked) in &pending {
                let waits = before.waits(asked);
                before.add(asked);
                if waits {
                    waiting.insert(*at as u32);
                    continue;
                }
                match asked {
                    Asked::Write(request) => requests[*at] = Some(request.clone()),
                    Asked::Patch(resource, target, patch) => {
                        let entry = &self.entries[*at];
                        let target = target.clone();
                        let patched = self.patched(resource, target, entry, (patch, &mut work));
                        match patched.await {
                            Ok((request, text)) => {
                                let kinds = self.call.app.kinds();
                                let named = (*at as u32, entry.full_url.as_str());
                                let (head, with) = round.with(kinds, named, &text)?;
                                round = with;
                                requests[*at] = Some(Request { head, ..request });
                            }
                            Err(problem) if problem.kind.status().is_server_error() => {
                                return Err(problem);
                            }
                            Err(problem) => answers[*at] = Some(Err(problem)),
                        }
                    }
                    Asked::Other => {}
                }
            }
            round.leave_out_all(&waiting);
            if requests.iter().any(Option::is_some) {
                let performed = Requests::new(self.call, requests, self.handling);
                let performed = performed.perform(round).await?;
                for (answer, performed) in answers.iter_mut().zip(performed.answers) {
                    *answer = answer.take().or(performed);
                }
                waiting.extend(performed.repeated);
            }
            pending.retain(|(at, _)| waiting.contains(&(*at as u32)));
        }
        let routes = super::plain().with_state(self.call.app.clone());
        self.parts(answers, others, &routes).await
    }

    /// The answer of what was done, and of what is read then.
    async fn parts(
        &self,
        answers: Answers,
        others: Vec<usize>,
        routes: &Router,
    ) -> Result<Response> {
        let mut parts = Vec::with_capacity(answers.len());
        for (at, answer) in answers.into_iter().enumerate() {
            parts.push(match answer {
                Some(Ok(answer)) => self.done(answer).await?,
                Some(Err(problem)) => self.failed(&problem),
                None if others.contains(&at) => Part::default(),
                None => self.failed(&Problem::new(Kind::Internal)),
            });
        }
        let limit = self.call.app.settings().bundle_answer_limit as usize;
        let size = |part: &Part| part.resource.as_ref().map_or(0, Vec::len);
        let mut bytes: usize = parts.iter().map(size).sum();
        let mut memory = None;
        for at in others {
            if bytes > LARGE && memory.is_none() {
                memory = Some(self.memory_of_answers(limit as u64).await);
            }
            if let Some(Err(busy)) = &memory {
                parts[at] = self.failed(busy);
                continue;
            }
            let answered = match bytes > limit {
                true => Err(too_much(limit)),
                false => self.other(routes, &self.entries[at], false).await?,
            };
            parts[at] = answered
                .and_then(|part| {
                    bytes += size(&part);
                    if bytes > limit {
                        Err(too_much(limit))
                    } else {
                        Ok(part)
                    }
                })
                .unwrap_or_else(|problem| self.failed(&problem));
        }
        self.respond(parts)
    }

    /// Memory of the budget for answers of `limit` bytes, beside what the Bundle itself holds of it.
    async fn memory_of_answers(&self, limit: u64) -> Result<Reservation> {
        let held = self.call.reservation();
        let held = held.get().map_or(0, Reservation::memory);
        let mut reservation = Reservation::default();
        let needed = (2 * limit).saturating_sub(held);
        let places = self.call.app.places();
        places.reserve(&mut reservation, needed).await?;
        Ok(reservation)
    }

    /// Whether what a transaction reads can be read as things are.
    async fn reads(&self, routes: &Router, others: &[usize]) -> Result<Vec<Read>> {
        let mut out = Vec::with_capacity(others.len());
        for &at in others {
            let entry = &self.entries[at];
            let (path, _) = self.path(&entry.url);
            let mut segments = path.split('/').map(str::to_owned);
            let named = (
                segments.next().unwrap_or_default(),
                segments.next().unwrap_or_default(),
            );
            out.push(Read {
                entry: at as u32,
                named,
                problem: self.other(routes, entry, true).await?.err(),
            });
        }
        Ok(out)
    }

    /// Whether all of it fails because of one of them.
    fn fails(&self, answers: &Answers) -> bool {
        let mut answers = answers.iter().flatten();
        self.handling == Handling::Strict && answers.any(std::result::Result::is_err)
    }

    async fn patched(
        &self,
        resource: &'static Resource,
        target: Target,
        entry: &Entry,
        patch: (&json_patch::Patch, &mut Work),
    ) -> Result<(Request, Vec<u8>)> {
        let precondition = Precondition::of_entry(entry)?;
        let id = patch::named(resource, self.call, target).await?;
        patch::patched(resource, self.call, &id, &precondition, patch).await
    }

    /// The answer to what was written.
    async fn done(&self, answer: Answer) -> Result<Part> {
        let mut part = Part {
            status: answer.status,
            modified: answer.at,
            etag: answer.number.map(|number| format!("W/\"{number}\"")),
            ..Part::default()
        };
        let prefer = Prefer::of(&self.call.headers).answer;
        if let Some(id) = &answer.id {
            let name = answer.resource.name();
            let address = format!("{name}/{id}");
            part.location = Some(match answer.number {
                Some(number) => format!("{}/{address}/_history/{number}", self.call.base),
                None => format!("{}/{address}", self.call.base),
            });
            if prefer == Some(Return::Representation) {
                let (version, text) =
                    read::version(answer.resource, self.call, id, answer.number).await?;
                part.etag = Some(version.etag());
                part.modified = Some(version.updated_at);
                part.resource = Some(text);
                part.full_url = Some(format!("{}/{address}", self.call.base));
            }
        }
        let tells = !answer.notices.is_empty() && prefer != Some(Return::Minimal);
        if tells || prefer == Some(Return::Outcome) {
            let issues: Vec<Issue> = answer
                .notices
                .iter()
                .map(|n| n.told(self.call.lang))
                .collect();
            let canonical = &self.call.app.kinds().canonical;
            part.outcome = Some(outcome(&issues, canonical, self.call.lang));
        }
        Ok(part)
    }

    fn failed(&self, problem: &Problem) -> Part {
        problem.log();
        let canonical = &self.call.app.kinds().canonical;
        Part {
            status: problem.kind.status(),
            outcome: Some(problem.outcome(canonical, self.call.lang)),
            ..Part::default()
        }
    }

    /// Answers by the routes of single requests, or only checks a search; the inner error is what
    /// they answer.
    async fn other(
        &self,
        routes: &Router,
        entry: &Entry,
        checks: bool,
    ) -> Result<std::result::Result<Part, Problem>> {
        let (path, query) = self.path(&entry.url);
        let uri = match query {
            Some(query) => format!("/{path}?{query}"),
            None => format!("/{path}"),
        };
        let body = entry
            .resource
            .clone()
            .map_or_else(HttpBody::empty, HttpBody::from);
        let request = HttpRequest::builder()
            .method(entry.method.as_str())
            .uri(uri)
            .body(body);
        let Ok(mut request) = request else {
            return Ok(Err(Problem::new(Kind::Parameter).at("request.url")));
        };
        *request.headers_mut() = self.headers(entry);
        request.extensions_mut().insert(PartOfRequest);
        if checks {
            request.extensions_mut().insert(Checks);
        }
        let mut response = match routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let problem = response.extensions_mut().remove::<Problem>();
            return Ok(Err(
                problem.unwrap_or_else(|| Problem::new(Kind::of(status)))
            ));
        }
        let etag = response.headers().get(ETAG).and_then(|v| v.to_str().ok());
        let etag = etag.map(str::to_owned);
        let body = response.into_body().collect().await;
        let bytes = body.map_err(Problem::internal)?.to_bytes();
        Ok(Ok(Part {
            status,
            resource: (!bytes.is_empty() && entry.method != "HEAD").then(|| bytes.to_vec()),
            etag,
            ..Part::default()
        }))
    }

    /// The headers of the Bundle's request as those of an entry's.
    fn headers(&self, entry: &Entry) -> HeaderMap {
        let mut headers = self.call.headers.clone();
        for name in [CONTENT_LENGTH, CONTENT_ENCODING, IF_MATCH, IF_NONE_EXIST] {
            headers.remove(name);
        }
        headers.insert(ACCEPT, HeaderValue::from_static(FHIR_JSON));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        for (name, value) in [
            (IF_NONE_MATCH, &entry.if_none_match),
            (IF_MODIFIED_SINCE, &entry.if_modified_since),
        ] {
            headers.remove(&name);
            if let Some(value) = value.as_deref().and_then(|v| v.parse().ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// A transaction that failed: one OperationOutcome that names the entries.
    fn failure(&self, answers: &Answers) -> Result<Response> {
        let mut issues = Vec::new();
        let mut status = None;
        for (at, answer) in answers.iter().enumerate() {
            let Some(Err(problem)) = answer else { continue };
            problem.log();
            status = status.or(Some(problem.kind.status()));
            let entry = format!("Bundle.entry[{at}]");
            for mut issue in problem.issues(self.call.lang) {
                if !issue.expression.iter().any(|e| e.starts_with(&entry)) {
                    issue.expression = vec![entry.clone()];
                }
                issues.push(issue);
            }
        }
        let canonical = &self.call.app.kinds().canonical;
        let told = outcome(&issues, canonical, self.call.lang);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.call.answer_value(status, &told)
    }

    fn respond(&self, parts: Vec<Part>) -> Result<Response> {
        let mut page = Page::new(&Head {
            bundle_type: match self.handling {
                Handling::Strict => "transaction-response",
                Handling::Lenient => "batch-response",
            },
            total: None,
            links: &[],
        });
        for part in parts {
            page.entry(|out| part.write(out));
        }
        self.call.answer(StatusCode::OK, page.done())
    }
}

impl Part {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(full_url) = &self.full_url {
            out.extend_from_slice(b"\"fullUrl\":");
            json::string_into(out, full_url);
            out.push(b',');
        }
        if let Some(resource) = &self.resource {
            out.extend_from_slice(b"\"resource\":");
            out.extend_from_slice(resource);
            out.push(b',');
        }
        out.extend_from_slice(b"\"response\":{\"status\":");
        json::string_into(out, &self.status.to_string());
        for (name, value) in [("location", &self.location), ("etag", &self.etag)] {
            if let Some(value) = value {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                json::string_into(out, value);
            }
        }
        if let Some(modified) = self.modified {
            out.extend_from_slice(b",\"lastModified\":\"");
            time::write_instant(out, modified);
            out.push(b'"');
        }
        if let Some(outcome) = &self.outcome {
            out.extend_from_slice(b",\"outcome\":");
            out.extend_from_slice(outcome.to_string().as_bytes());
        }
        out.push(b'}');
    }
}
