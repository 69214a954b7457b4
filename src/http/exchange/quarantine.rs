//! `/exchange/quarantine`: refused records of lenient submissions that wait to be mended.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Next;
use super::receipt::WaitingJson;
use super::submissions::listing;
use crate::http::App;
use crate::http::error::{self, Kind, Problem, Result};
use crate::http::links::Root;
use crate::http::negotiate::{self, JSON};
use crate::http::query::Query;
use crate::http::stream;

/// Rows read from the database at a time.
const BLOCK: usize = 100;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(dismiss))
}

/// Refused records, oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "written as a stream; this describes it")]
struct Quarantine {
    quarantine: Vec<WaitingJson>,
    /// The page that follows; null on the last one.
    next: Option<String>,
}

/// Lists what waits to be mended, oldest first
///
/// A row leaves the list when a record of its identity is stored.
#[utoipa::path(
    get, path = "/quarantine", operation_id = "list_quarantine", tag = "exchange",
    params(
        ("consortium_id" = Option<String>, Query, description = "of this consortium"),
        ("count" = Option<usize>, Query, description = "rows of a page, 50 by default"),
        ("page" = Option<String>, Query, description = "from a `next` link"),
    ),
    responses(
        (status = 200, description = "A page of the list", body = Quarantine),
        (status = 400, description = "A parameter is unknown or wrong", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(app): State<App>,
    root: Root,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.only(&["consortium_id", "count", "page"])?;
    negotiate::accept(&headers, &[JSON])?;
    let lang = error::language(&headers);
    let count = query.count(
        "count",
        app.settings().page_default,
        app.settings().page_max,
    )?;
    let consortium = query.id("consortium_id", 6)?;
    let page = query.parse("page", super::PAGE_EXPECTED, |text| text.parse().ok())?;
    let next = Next::new(&root, "quarantine", &query, &["consortium_id", "count"]);
    let body = stream::body(async move |mut out: stream::Out| {
        let access = app.access();
        let mut after: i64 = page.unwrap_or(0);
        out.buf().extend_from_slice(b"{\"quarantine\":[");
        let mut written = 0;
        let more = 'pages: loop {
            let rows = app
                .store()
                .quarantine(&access, consortium.as_deref(), after, BLOCK)
                .await?;
            let last = rows.len() < BLOCK;
            for row in rows {
                if written == count {
                    break 'pages true;
                }
                if written > 0 {
                    out.buf().push(b',');
                }
                serde_json::to_writer(out.buf(), &WaitingJson::new(&row, lang))
                    .map_err(Problem::internal)?;
                out.flow().await?;
                written += 1;
                after = row.id;
            }
            if last {
                break false;
            }
        };
        next.end(out.buf(), more.then(|| after.to_string()).as_deref());
        Ok(out)
    })
    .await?;
    Ok(listing(body))
}

/// Takes a record off the list
///
/// It stays recorded when, and by whom.
#[utoipa::path(
    delete, path = "/quarantine/{id}", operation_id = "dismiss_quarantined", tag = "exchange",
    params(("id" = i64, Path, description = "the row's id")),
    responses(
        (status = 204, description = "It is off the list"),
        (status = 400, description = "A parameter is unknown", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "It is not on the list", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn dismiss(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Result<StatusCode> {
    query.only(&[])?;
    let done = match id.parse() {
        Ok(id) => app.store().dismiss(&app.access(), id, "operator").await?,
        Err(_) => false,
    };
    if done {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::new(Kind::NotFound).detail("not in the quarantine", "隔離一覧にありません"))
}
