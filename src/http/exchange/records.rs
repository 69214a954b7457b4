//! `/exchange/records`: stored records as a submission document, streamed.
//!
//! A document has one `consortium_id`, so the parameter is required. The records come in
//! normal form: by `person_id`, then kind, time and source.

use std::collections::VecDeque;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::submissions::listing;
use crate::exchange::{Envelope, Writer};
use crate::fhir::id::{self, Hash96};
use crate::http::App;
use crate::http::error::{self, Problem, Result};
use crate::http::negotiate::{self, JSON};
use crate::http::query::{Query, wrong_value};
use crate::http::stream::{self, Stop};
use crate::kind::Edition;
use crate::registry::PARTICIPANTS;
use crate::store::{Access, Order, Predicate, RecordQuery, Records, StoredRecord, TimeTest};
use crate::time;

/// Participants asked for in one query.
const PEOPLE: usize = 64;
/// Records read from the database at a time.
const BLOCK: usize = 2000;
/// Before and after all times that have four digits of a year, in seconds.
const EVER: (i64, i64) = (-100_000_000_000, 300_000_000_000);

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// What is asked for.
struct Wanted {
    consortium: String,
    person: Option<String>,
    kinds: Vec<usize>,
    time: Option<TimeTest>,
    edition: Edition,
}

/// Reads stored records as a submission
///
/// The document is the normal form of the protocol and can be sent again as it is.
#[utoipa::path(
    get, path = "/records", tag = "exchange",
    params(
        ("consortium_id" = String, Query, description = "a document is of one consortium", example = "A00001"),
        ("person_id" = Option<String>, Query, description = "of this participant"),
        ("kind" = Option<String>, Query, description = "of this record kind, such as `weighing_scale`"),
        ("from" = Option<String>, Query, description = "measured on this day or later: `yyyy-mm-dd`, JST"),
        ("until" = Option<String>, Query, description = "measured before this day: `yyyy-mm-dd`, JST"),
        ("edition" = Option<String>, Query, description = "`2016` or `2017` (default): decides some field names"),
    ),
    responses(
        (status = 200, body = super::Submission),
        (status = 400, description = "A parameter is unknown, wrong or missing", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn read(State(app): State<App>, query: Query, headers: HeaderMap) -> Result<Response> {
    let known = [
        "consortium_id",
        "person_id",
        "kind",
        "from",
        "until",
        "edition",
    ];
    query.only(&known)?;
    negotiate::accept(&headers, &[JSON])?;
    query.required("consortium_id")?;
    let wanted = Wanted {
        consortium: query.id("consortium_id", 6)?.unwrap_or_default(),
        person: query.id("person_id", 20)?,
        kinds: kinds(&app, &query)?,
        time: time(&query)?,
        edition: query
            .parse(
                "edition",
                ("2016 or 2017", "2016 または 2017"),
                Edition::parse,
            )?
            .unwrap_or_default(),
    };
    let body = stream::body(async move |out| write(&app, &wanted, out).await).await?;
    Ok(listing(body))
}

fn kinds(app: &App, query: &Query) -> Result<Vec<usize>> {
    let all = app.kinds();
    let Some(name) = query.text("kind") else {
        return Ok((0..all.len()).collect());
    };
    match all.get(name) {
        Some(kind) => Ok(vec![kind.place]),
        None => {
            let names: Vec<&str> = all.iter().map(|k| k.name.as_str()).collect();
            let expected = format!("one of {}", names.join(", "));
            Err(wrong_value("kind", name, (&expected, &names.join(", "))))
        }
    }
}

fn time(query: &Query) -> Result<Option<TimeTest>> {
    let (from, until) = (query.day("from")?, query.day("until")?);
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    // A record of a day begins with it, and the bounds are days: overlapping is lying within.
    let from = from.unwrap_or(EVER.0) * 1000;
    let until = until.unwrap_or(EVER.1) * 1000;
    Ok(Some(TimeTest::Overlaps(from, until.max(from))))
}

async fn write(
    app: &App,
    wanted: &Wanted,
    mut out: stream::Out,
) -> std::result::Result<stream::Out, Stop> {
    let access = app.access();
    let envelope = Envelope {
        format_version: "1.0",
        send_time: time::now_millis(),
        consortium_id: &wanted.consortium,
    };
    let mut writer =
        Writer::new(Vec::new(), &envelope, wanted.edition).map_err(Problem::internal)?;
    let mut people = People::new(app, wanted);
    loop {
        let hashes = people.next(&access).await?;
        if hashes.is_empty() {
            break;
        }
        let mut query = RecordQuery {
            kinds: wanted.kinds.clone(),
            predicates: vec![Predicate::Participants(hashes)],
            order: Order::Key,
            after: None,
            limit: BLOCK,
        };
        query
            .predicates
            .extend(wanted.time.map(|t| Predicate::Time(vec![t])));
        loop {
            let mut records = app.store().search(&access, &query).await?;
            records.with_seen();
            let full = records.rows.len() == BLOCK;
            let rows = by_source(&records, full);
            // The place is that of the last row as the store orders them.
            query.after = records.rows[..rows.len()].last().map(|row| row.key);
            for row in rows {
                writer
                    .record(&records.record(row))
                    .map_err(Problem::internal)?;
            }
            out.buf().append(writer.out_mut());
            out.flow().await?;
            if !full {
                break;
            }
        }
    }
    let mut rest = writer.finish().map_err(Problem::internal)?;
    out.buf().append(&mut rest);
    Ok(out)
}

/// The rows with those of one kind and time by source: the store numbers sources as they
/// came. Of a full block the last such group is left for the next one, where it may go on.
fn by_source(records: &Records, full: bool) -> Vec<&StoredRecord> {
    let group = |row: &StoredRecord| (row.key.participant, row.kind, row.key.time);
    let mut rows: Vec<&StoredRecord> = records.rows.iter().collect();
    if full && let Some(last) = rows.last().map(|row| group(row)) {
        let whole = rows.iter().rposition(|row| group(row) != last);
        rows.truncate(whole.map_or(rows.len(), |at| at + 1));
    }
    for same in rows.chunk_by_mut(|a, b| group(a) == group(b)) {
        same.sort_by(|a, b| records.record(a).source().cmp(records.record(b).source()));
    }
    rows
}

/// The participants of a consortium by `person_id`, some at a time.
struct People<'a> {
    app: &'a App,
    wanted: &'a Wanted,
    /// The last row of the former page; `None` before the first.
    after: Option<crate::registry::Row>,
    waiting: VecDeque<Hash96>,
    done: bool,
}

impl<'a> People<'a> {
    fn new(app: &'a App, wanted: &'a Wanted) -> People<'a> {
        let hash = |person: &String| id::participant_hash(&wanted.consortium, person);
        People {
            app,
            wanted,
            after: None,
            waiting: wanted.person.iter().map(hash).collect(),
            done: wanted.person.is_some(),
        }
    }

    async fn next(&mut self, access: &Access) -> crate::store::Result<Vec<Hash96>> {
        if self.waiting.is_empty() && !self.done {
            let consortium = Some(self.wanted.consortium.as_str());
            let page = self
                .app
                .store()
                .registry_page(
                    access,
                    &PARTICIPANTS,
                    consortium,
                    self.after.as_ref(),
                    PEOPLE,
                )
                .await?;
            self.done = page.len() < PEOPLE;
            for stored in &page {
                let person = stored.row.text("person_id").unwrap_or_default();
                let hash = id::participant_hash(&self.wanted.consortium, person);
                self.waiting.push_back(hash);
            }
            self.after = page.into_iter().last().map(|stored| stored.row);
        }
        Ok(self.waiting.drain(..).collect())
    }
}
