//! batch and transaction: a Bundle of requests, each by itself, or all of them or none
//! (<https://hl7.org/fhir/R4/http.html#transaction>).
//!
//! What is written goes through [`Requests`], in one transaction of the database and in an
//! order of its own: deletions, then what others refer to, then records. What is read is
//! answered after that, by the routes that answer it alone; where it would find nothing, a
//! transaction fails.

use std::collections::HashSet;

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

use super::call::Call;
use super::condition::{self, IF_NONE_EXIST};
use super::patch::{self, JSON_PATCH};
use super::requests::{Answer, Answers, Ask, Read, Request, Requests, Target, other_id};
use super::{create, read, written};
use crate::fault::shorten;
use crate::fhir::base64;
use crate::fhir::inbound::{Entry, Taken, read_requests};
use crate::fhir::outcome::{Issue, outcome};
use crate::fhir::patch::Work;
use crate::fhir::resource::{self, Interaction, Resource};
use crate::fhir::searchset::{Head, Page};
use crate::http::body::Body;
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
    let read = body
        .parse(move |source| read_requests(&kinds, written::bundle_options(), max, source))
        .await??;
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

/// What an entry asks for.
enum Asked {
    /// To write.
    Write(Request),
    /// To change parts: the resource by its id or by a search, and the patch.
    Patch(&'static Resource, Target, json_patch::Patch),
    /// Something that the other routes answer.
    Other,
}

/// Resources that the entries of a batch before an entry write.
#[derive(Default)]
struct Before {
    /// Resources by type and id.
    named: HashSet<(&'static str, String)>,
    /// Types of which any resource may be written.
    types: HashSet<&'static str>,
}

impl Before {
    /// Whether an entry has to wait for them: it writes by its id what one of them writes, or
    /// changes parts of what one of them may write.
    fn waits(&self, asked: &Asked) -> bool {
        let named = |resource: &Resource, target: &Target| match target {
            Target::Id(id) => self.named.contains(&(row_of(resource), id.clone())),
            Target::Query(_) => false,
        };
        match asked {
            Asked::Write(request) => match &request.ask {
                Ask::Update { target, .. } | Ask::Delete { target, .. } => {
                    // Both are made from one row, and may come together.
                    request.resource.name() != "ResearchSubject" && named(request.resource, target)
                }
                Ask::Create { .. } => false,
            },
            Asked::Patch(resource, target, _) => {
                let of_type = |(name, _): &(&str, String)| *name == row_of(resource);
                let by_query = matches!(target, Target::Query(_));
                self.types.contains(row_of(resource))
                    || named(resource, target)
                    || (by_query && self.named.iter().any(of_type))
            }
            Asked::Other => false,
        }
    }

    fn add(&mut self, asked: &Asked) {
        let (resource, target) = match asked {
            Asked::Write(request) => match &request.ask {
                Ask::Update { target, .. } | Ask::Delete { target, .. } => {
                    (request.resource, Some(target))
                }
                Ask::Create { .. } => (request.resource, None),
            },
            Asked::Patch(resource, target, _) => (*resource, Some(target)),
            Asked::Other => return,
        };
        let name = row_of(resource);
        match target {
            Some(Target::Id(id)) => drop(self.named.insert((name, id.clone()))),
            Some(Target::Query(_)) | None => drop(self.types.insert(name)),
        }
    }
}

/// The type whose row a resource is made from: Patient and ResearchSubject share one.
fn row_of(resource: &Resource) -> &'static str {
    match resource.name() {
        "ResearchSubject" => "Patient",
        name => name,
    }
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
        for at in others {
            parts[at] = match self.other(routes, &self.entries[at]).await? {
                Ok(part) => part,
                Err(problem) => self.failed(&problem),
            };
        }
        self.respond(&parts)
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
                problem: self.other(routes, entry).await?.err(),
            });
        }
        Ok(out)
    }

    /// Whether all of it fails because of one of them.
    fn fails(&self, answers: &Answers) -> bool {
        let mut answers = answers.iter().flatten();
        self.handling == Handling::Strict && answers.any(std::result::Result::is_err)
    }

    /// What an entry asks for.
    fn ask(&self, entry: &Entry) -> Result<Asked> {
        if entry.method.is_empty() || entry.url.is_empty() {
            return Err(Problem::new(Kind::Malformed).issue_type("required").detail(
                "an entry needs a request with method and url",
                "エントリーには method と url のある request が必要です",
            ));
        }
        let (path, query) = self.path(&entry.url);
        let is_plain = !path.contains(['$', '_']);
        let mut segments = path.split('/');
        let name = segments.next().unwrap_or_default();
        let id = segments.next();
        let is_read = matches!(entry.method.as_str(), "GET" | "HEAD");
        if is_read || (entry.method == "POST" && !is_plain) {
            return match self.handling == Handling::Strict && !is_read {
                true => Err(method(&entry.method)),
                false => Ok(Asked::Other),
            };
        }
        let resource = resource::by_name(name).ok_or_else(|| {
            let name = shorten(name);
            Problem::new(Kind::NotFound)
                .issue_type("not-supported")
                .detail(
                    format!("{name:?} is no resource type of this server"),
                    format!("「{name}」というリソースタイプはありません"),
                )
        })?;
        let if_match = entry.if_match.as_deref();
        let if_match = if_match.map(condition::parse_if_match).transpose()?;
        let target = match (id, query) {
            (Some(id), None) => Some(Target::Id(id.to_owned())),
            (None, Some(query)) => Some(Target::Query(query.to_owned())),
            _ => None,
        };
        let target = target.filter(|_| segments.next().is_none());
        let has = |interaction| match resource.has(interaction) {
            true => Ok(()),
            false => Err(not_here(resource, &entry.method)),
        };
        let no_target = || {
            Problem::new(Kind::Parameter).detail(
                format!("{}: the url names no resource", entry.method),
                format!("{}: url がリソースを特定していません", entry.method),
            )
        };
        let ask = match entry.method.as_str() {
            "POST" => {
                if id.is_some() || query.is_some() {
                    return Err(method("POST"));
                }
                let if_none_exist = entry.if_none_exist.clone();
                let finds = resource.has(Interaction::ConditionalCreate) && if_none_exist.is_some();
                if !(finds || resource.has(Interaction::Create)) {
                    return Err(create::not_created(resource));
                }
                self.has_body(resource, entry)?;
                Ask::Create { if_none_exist }
            }
            "PUT" => {
                has(Interaction::Update)?;
                let target = target.ok_or_else(no_target)?;
                self.has_body(resource, entry)?;
                if let Target::Id(id) = &target
                    && entry.head.id.as_ref() != Some(id)
                {
                    return Err(other_id(id));
                }
                Ask::Update { target, if_match }
            }
            "DELETE" => {
                has(Interaction::Delete)?;
                let target = target.ok_or_else(no_target)?;
                Ask::Delete { target, if_match }
            }
            "PATCH" => {
                has(Interaction::Patch)?;
                let target = target.ok_or_else(no_target)?;
                return Ok(Asked::Patch(
                    resource,
                    target,
                    patch_of(entry, self.call.app.settings().patch_limit)?,
                ));
            }
            other => return Err(method(other)),
        };
        Ok(Asked::Write(Request {
            resource,
            ask,
            head: entry.head.clone(),
            full_url: entry.full_url.clone(),
        }))
    }

    /// Path and query of a url, relative to the base.
    fn path<'u>(&self, url: &'u str) -> (&'u str, Option<&'u str>) {
        let below = url.strip_prefix(self.call.base.as_str()).unwrap_or(url);
        let below = below.trim_start_matches('/');
        match below.split_once('?') {
            Some((path, query)) => (path.trim_end_matches('/'), Some(query)),
            None => (below.trim_end_matches('/'), None),
        }
    }

    fn has_body(&self, resource: &Resource, entry: &Entry) -> Result<()> {
        if entry.head.resource_type == resource.name() {
            return Ok(());
        }
        Err(written::other_type(resource, &entry.head.resource_type))
    }

    async fn patched(
        &self,
        resource: &'static Resource,
        target: Target,
        entry: &Entry,
        patch: (&json_patch::Patch, &mut Work),
    ) -> Result<(Request, Vec<u8>)> {
        let if_match = entry.if_match.as_deref();
        let if_match = if_match.map(condition::parse_if_match).transpose()?;
        let id = patch::named(resource, self.call, target).await?;
        patch::patched(resource, self.call, &id, if_match.as_ref(), patch).await
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

    /// Answers by the routes of single requests; the inner error is what they answer.
    async fn other(
        &self,
        routes: &Router,
        entry: &Entry,
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

    fn respond(&self, parts: &[Part]) -> Result<Response> {
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

/// The JSON Patch of an entry: a Binary of that media type
/// (<https://hl7.org/fhir/R4/http.html#patch>).
fn patch_of(entry: &Entry, limit: u64) -> Result<json_patch::Patch> {
    let bytes = entry.resource.as_deref().unwrap_or_default();
    let resource: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
    let is_patch = text("contentType").split(';').next() == Some(JSON_PATCH);
    if text("resourceType") != "Binary" || !is_patch {
        return Err(Problem::new(Kind::MediaType).detail(
            format!("a patch in a Bundle is a Binary with contentType {JSON_PATCH}"),
            format!("Bundle 内のパッチは contentType が {JSON_PATCH} の Binary としてください"),
        ));
    }
    let data = base64::decode(&text("data")).ok_or_else(|| {
        Problem::new(Kind::Malformed).detail(
            "Binary.data is no base64",
            "Binary.data が base64 ではありません",
        )
    })?;
    if data.len() as u64 > limit {
        return Err(Problem::new(Kind::TooLarge).detail(
            format!("a patch has at most {limit} bytes here (--patch-limit)"),
            format!("パッチは {limit} バイトまでです（--patch-limit）"),
        ));
    }
    patch::read_patch(&data)
}

fn method(name: &str) -> Problem {
    let name = shorten(name);
    Problem::new(Kind::Method).detail(
        format!("{name} is not supported at this url"),
        format!("この url では {name} に対応していません"),
    )
}

fn not_here(resource: &Resource, method: &str) -> Problem {
    let (name, method) = (resource.name(), shorten(method));
    Problem::new(Kind::Method).detail(
        format!("{method} is not supported for {name}"),
        format!("{name} は {method} に対応していません"),
    )
}
