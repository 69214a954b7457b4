//! `/exchange/registries/{list}`: the six lists that are registered before data flows.

use std::io::Read;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::Instrument as _;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::fault::{Code, shorten};
use crate::http::App;
use crate::http::body::{self, Body, unreadable};
use crate::http::error::{self, Kind, Problem, Result};
use crate::http::negotiate::{self, CSV, JSON, TEXT_JSON};
use crate::http::query::Query;
use crate::http::stream;
use crate::registry::{self, Charset, List, Options, ReadRows, write};
use crate::store::Changed;

/// Rows read from the database at a time.
const BLOCK: usize = 500;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read, replace, upsert))
}

/// A row of a list: an object of its fields, as the list's CSV header names them.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "describes what is written as a stream")]
struct RegistryRow(serde_json::Value);

/// What a change of a list did.
#[derive(Serialize, ToSchema)]
#[schema(as = RegistryChange)]
struct ChangeJson {
    created: u64,
    updated: u64,
    unchanged: u64,
    /// Rows that went (PUT only).
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<u64>,
}

fn list_named(name: &str) -> Result<&'static List> {
    List::by_name(name).ok_or_else(|| {
        let names = List::ALL.map(|list| list.name).join(", ");
        let found = shorten(name);
        Problem::new(Kind::NotFound).detail(
            format!("no list is called {found:?}; the lists are {names}"),
            format!("一覧「{found}」はありません。一覧は {names} です"),
        )
    })
}

/// Reads a list
///
/// In key order; JSON, or CSV where `Accept` says `text/csv`.
#[utoipa::path(
    get, path = "/registries/{list}", operation_id = "read_registry", tag = "registries",
    params(
        ("list" = String, Path, description = "the list", example = "participants"),
        ("consortium_id" = Option<String>, Query, description = "of this consortium, in lists that have one"),
    ),
    responses(
        (status = 200, description = "The rows in key order", content((Vec<RegistryRow> = "application/json"), (String = "text/csv"))),
        (status = 400, description = "A parameter is unknown or wrong", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such list", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn read(
    State(app): State<App>,
    Path(list): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let list = list_named(&list)?;
    let parameters: &[&str] = if list.by_consortium() {
        &["consortium_id"]
    } else {
        &[]
    };
    query.only(parameters)?;
    let csv = negotiate::accept(&headers, &[JSON, CSV])? == CSV;
    let consortium = query.id("consortium_id", 6)?;
    let body = stream::body(async move |mut out: stream::Out| {
        let access = app.access();
        let mut after = None;
        if csv {
            write::csv_header(list, out.buf());
        } else {
            out.buf().push(b'[');
        }
        loop {
            let page = app
                .store()
                .registry_page(&access, list, consortium.as_deref(), after.as_ref(), BLOCK)
                .await?;
            let last = page.len() < BLOCK;
            for stored in page {
                if csv {
                    write::csv_row(&stored.row, out.buf());
                } else {
                    if after.is_some() {
                        out.buf().extend_from_slice(b",\n");
                    }
                    write::json_row(&stored.row, out.buf());
                }
                after = Some(stored.row);
            }
            out.flow().await?;
            if last {
                break;
            }
        }
        if !csv {
            out.buf().extend_from_slice(b"]\n");
        }
        Ok(out)
    })
    .await?;
    let media = if csv { "text/csv; charset=utf-8" } else { JSON };
    Ok(([(CONTENT_TYPE, media)], body).into_response())
}

/// Replaces a list
///
/// Rows that are not sent go; a row that records refer to cannot (409). All or nothing.
#[utoipa::path(
    put, path = "/registries/{list}", operation_id = "replace_registry", tag = "registries",
    params(("list" = String, Path, description = "the list", example = "participants")),
    request_body(content((Vec<RegistryRow> = "application/json"), (String = "text/csv")), description = "UTF-8, or CP932 where the charset of text/csv says so"),
    responses(
        (status = 200, description = "How many rows were what", body = ChangeJson),
        (status = 400, description = "Not JSON or CSV, or a parameter is unknown", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such list", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "Records refer to a row that would go", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the limit, after decompression", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor CSV", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Rows with faults; nothing was changed", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn replace(
    State(app): State<App>,
    Path(list): Path<String>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let changed = change(app, &list, query, headers, body, true).await?;
    json(&ChangeJson {
        removed: Some(changed.removed),
        ..ChangeJson::of(changed)
    })
}

/// Adds and replaces rows of a list
///
/// Each row replaces the stored row of its key whole. All or nothing.
#[utoipa::path(
    patch, path = "/registries/{list}", operation_id = "update_registry", tag = "registries",
    params(("list" = String, Path, description = "the list", example = "participants")),
    request_body(content((Vec<RegistryRow> = "application/json"), (String = "text/csv")), description = "UTF-8, or CP932 where the charset of text/csv says so"),
    responses(
        (status = 200, description = "How many rows were what", body = ChangeJson),
        (status = 400, description = "Not JSON or CSV, or a parameter is unknown", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such list", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the limit, after decompression", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor CSV", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Rows with faults; nothing was changed", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn upsert(
    State(app): State<App>,
    Path(list): Path<String>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let changed = change(app, &list, query, headers, body, false).await?;
    json(&ChangeJson::of(changed))
}

impl ChangeJson {
    fn of(changed: Changed) -> ChangeJson {
        ChangeJson {
            created: changed.created,
            updated: changed.updated,
            unchanged: changed.unchanged,
            removed: None,
        }
    }
}

async fn change(
    app: App,
    list: &str,
    query: Query,
    headers: HeaderMap,
    body: Body,
    replace: bool,
) -> Result<Changed> {
    let list = list_named(list)?;
    query.only(&[])?;
    negotiate::accept(&headers, &[JSON])?;
    let format = Format::of(&headers)?;
    let kinds = app.kinds().clone();
    let (read, reservation) = body
        .parse(move |source, length| {
            let known = |name: &str| kinds.get(name).is_some();
            let options = Options {
                known_kind: Some(&known),
                max_faults: body::faults_max(FAULTS_MAX, length),
            };
            format.read(list, source, &options)
        })
        .await?;
    let read = read.map_err(|error| unreadable(&error))?;
    if read.faults.refuses() {
        return Err(refused(read));
    }
    let store = app.store().clone();
    let changed = async move {
        let _reservation = reservation;
        store.change_registry(list, &read.rows, replace).await
    };
    let changed = tokio::spawn(changed.in_current_span());
    changed.await??.map_err(|faults| {
        let used = faults.iter().any(|f| f.code == Code::Conflict);
        let kind = if used { Kind::Conflict } else { Kind::Refused };
        Problem::faults(kind, faults)
    })
}

/// Faults that an answer lists at most.
const FAULTS_MAX: usize = 10_000;

/// Faults of the rows; a text that is not JSON is malformed.
fn refused(read: ReadRows) -> Problem {
    let total = read.faults.total();
    let at_least = if read.faults.is_full() {
        ["at least ", "以上"]
    } else {
        ["", ""]
    };
    let faults = read.faults.into_kept();
    let listed = faults.len() as u64;
    let malformed = faults.iter().any(|f| f.code == Code::Json);
    let kind = if malformed {
        Kind::Malformed
    } else {
        Kind::Refused
    };
    let problem = Problem::faults(kind, faults);
    if listed == total {
        return problem;
    }
    problem.detail(
        format!(
            "nothing was changed: there are {}{total} faults, of which the first {listed} are listed",
            at_least[0]
        ),
        format!(
            "何も変更していません: 不備は {total} 件{}あり、最初の {listed} 件を示します",
            at_least[1]
        ),
    )
}

/// What a list comes in.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Csv(Charset),
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Format> {
        let media = negotiate::content_type(headers, &[JSON, TEXT_JSON, CSV])?;
        if media.essence != CSV {
            return Ok(Format::Json);
        }
        let name = media.parameter("charset").unwrap_or("utf-8");
        Charset::parse(name).map(Format::Csv).ok_or_else(|| {
            let name = shorten(name);
            Problem::new(Kind::MediaType).detail(
                format!("charset {name:?} is not read here; send UTF-8 or CP932"),
                format!(
                    "文字コード「{name}」には対応していません。UTF-8 か CP932 で送ってください"
                ),
            )
        })
    }

    fn read(
        self,
        list: &'static List,
        source: &mut dyn Read,
        options: &Options<'_>,
    ) -> std::io::Result<ReadRows> {
        match self {
            Format::Json => registry::read_json(list, source, options),
            Format::Csv(charset) => registry::read_csv(list, source, charset, options),
        }
    }
}
