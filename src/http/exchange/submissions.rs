//! `/exchange/submissions`: submissions in, receipts out.

use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::Instrument as _;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::receipt::{self, ReceiptJson};
use super::{Next, json};
use crate::exchange::{self, Options};
use crate::fault::Lang;
use crate::http::App;
use crate::http::body::{self, Body, SharedReservation};
use crate::http::error::{self, Kind, PROBLEM_JSON, Problem, Result};
use crate::http::links::Root;
use crate::http::negotiate::{self, JSON, TEXT_JSON};
use crate::http::prefer::Prefer;
use crate::http::query::Query;
use crate::http::stream;
use crate::store::{Handling, Receipt, ReceiptQuery, Submit};

/// Receipts read from the database at a time: one can be long.
const BLOCK: usize = 4;

const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit, list))
        .routes(routes!(read))
}

/// Receipts, newest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "written as a stream; this describes it")]
struct Receipts {
    receipts: Vec<ReceiptJson>,
    /// The page that follows; null on the last one.
    next: Option<String>,
}

/// Sends a submission
///
/// Stores its records, all or none: one refused record and nothing is stored. With
/// `Prefer: handling=lenient` the good records are stored and the refused ones wait in the
/// quarantine. Sending the same again changes nothing.
#[utoipa::path(
    post, path = "/submissions", operation_id = "submit", tag = "exchange",
    params(
        ("Prefer" = Option<String>, Header, description = "`handling=lenient` stores the good records; `handling=strict` is the default"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip`"),
        ("Accept-Language" = Option<String>, Header, description = "`ja` or `en`: the language of messages"),
    ),
    request_body(content = super::Submission, content_type = "application/json", description = "健康情報等交換規約: one submission"),
    responses(
        (status = 201, description = "Records were created or updated", body = ReceiptJson, headers(("Location" = String, description = "the receipt"))),
        (status = 200, description = "Nothing new: all of it was there already, or newer", body = ReceiptJson, headers(("Location" = String, description = "the receipt"))),
        (status = 400, description = "Not JSON, or broken gzip; leaves no receipt", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "Larger than the limit, after decompression", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "Not application/json", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Refused: nothing is stored but the receipt, whose members it carries", body = Refusal, content_type = "application/problem+json", headers(("Location" = String, description = "the receipt"))),
    )
)]
async fn submit(
    State(app): State<App>,
    root: Root,
    prefer: Prefer,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    query.only(&[])?;
    negotiate::accept(&headers, &[JSON, PROBLEM_JSON])?;
    negotiate::content_type(&headers, &[JSON, TEXT_JSON])?;
    let lang = error::language(&headers);
    let handling = prefer.handling.unwrap_or_default();
    let kinds = app.kinds().clone();
    let options = Options {
        lenient: handling == Handling::Lenient,
        ..app.settings().reading
    };
    let (submission, reservation) = body
        .parse(move |source, length| {
            let options = Options {
                faults_max: body::faults_max(options.faults_max, length),
                ..options
            };
            exchange::read(&kinds, options, source)
        })
        .await?;
    let mut submission = submission?;
    let how = Submit {
        handling,
        auto: app.settings().auto_register,
        client: None,
    };
    // A task of its own: a client that goes away now does not undo what it sent.
    let store = app.store().clone();
    let stored = async move {
        let receipt = store.submit(&mut submission, &how).await;
        receipt.map(|receipt| (receipt, reservation))
    };
    let (receipt, reservation) = tokio::spawn(stored.in_current_span()).await??;
    let mut response = answer(&receipt, lang)?;
    let reservation = SharedReservation::new(reservation.into());
    response.extensions_mut().insert(reservation);
    let location = format!("{}/exchange/submissions/{}", root.0, receipt.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    if let Some(handling) = prefer.handling {
        let applied = match handling {
            Handling::Strict => "handling=strict",
            Handling::Lenient => "handling=lenient",
        };
        response
            .headers_mut()
            .insert(APPLIED, HeaderValue::from_static(applied));
    }
    Ok(response)
}

/// Problem details with the members of the receipt.
#[derive(Serialize, ToSchema)]
struct Refusal {
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    problem: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten)]
    receipt: ReceiptJson,
}

fn answer(receipt: &Receipt, lang: Lang) -> Result<Response> {
    let status = StatusCode::from_u16(receipt.status).map_err(Problem::internal)?;
    let json = ReceiptJson::new(receipt, lang);
    let (media, body) = if receipt.is_refused() {
        let refusal = Refusal {
            problem: "about:blank",
            title: error::title(Kind::Refused, lang),
            status: receipt.status,
            detail: receipt::refusal(receipt, lang),
            receipt: json,
        };
        (PROBLEM_JSON, serde_json::to_vec(&refusal))
    } else {
        (JSON, serde_json::to_vec(&json))
    };
    let body = body.map_err(Problem::internal)?;
    Ok((status, [(CONTENT_TYPE, media)], body).into_response())
}

/// Reads a receipt
#[utoipa::path(
    get, path = "/submissions/{id}", operation_id = "read_receipt", tag = "exchange",
    params(
        ("id" = String, Path, description = "the receipt's id, from `Location`"),
        ("entries" = Option<String>, Query, description = "`all`: an entry for every record"),
    ),
    responses(
        (status = 200, description = "The receipt", body = ReceiptJson),
        (status = 400, description = "A parameter is unknown or wrong", body = error::ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such receipt", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn read(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.only(&["entries"])?;
    negotiate::accept(&headers, &[JSON])?;
    let all = query.parse("entries", ("all", "all"), |text| {
        (text == "all").then_some(true)
    })?;
    let found = app
        .store()
        .receipt(&app.access(), &id, all.unwrap_or(false))
        .await?;
    let receipt = found.ok_or_else(|| {
        Problem::new(Kind::NotFound).detail("no such receipt", "この受領書はありません")
    })?;
    json(&ReceiptJson::new(&receipt, error::language(&headers)))
}

/// Lists receipts, newest first
#[utoipa::path(
    get, path = "/submissions", operation_id = "list_receipts", tag = "exchange",
    params(
        ("consortium_id" = Option<String>, Query, description = "of this consortium"),
        ("since" = Option<String>, Query, description = "received then or later: RFC 3339, such as `2016-09-01T12:00:00+09:00`"),
        ("count" = Option<usize>, Query, description = "receipts of a page, 50 by default"),
        ("page" = Option<String>, Query, description = "from a `next` link"),
    ),
    responses(
        (status = 200, description = "A page of receipts", body = Receipts),
        (status = 400, description = "A parameter is unknown or wrong", body = error::ProblemJson, content_type = "application/problem+json", example = json!(error::example())),
    )
)]
async fn list(
    State(app): State<App>,
    root: Root,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.only(&["consortium_id", "since", "count", "page"])?;
    negotiate::accept(&headers, &[JSON])?;
    let lang = error::language(&headers);
    let count = query.count(
        "count",
        app.settings().page_default,
        app.settings().page_max,
    )?;
    let consortium_id = query.id("consortium_id", 6)?;
    let since = query.instant("since")?;
    let before = query.parse("page", super::PAGE_EXPECTED, |text| {
        ulid::Ulid::from_string(text).ok().map(|_| text.to_owned())
    })?;
    let next = Next::new(
        &root,
        "submissions",
        &query,
        &["consortium_id", "since", "count"],
    );
    let body = stream::body(async move |mut out: stream::Out| {
        let access = app.access();
        let mut ask = ReceiptQuery {
            consortium_id,
            since,
            before,
            limit: BLOCK,
        };
        out.buf().extend_from_slice(b"{\"receipts\":[");
        let mut written = 0;
        let more = 'pages: loop {
            let receipts = app.store().receipts(&access, &ask).await?;
            let last = receipts.len() < BLOCK;
            for receipt in receipts {
                if written == count {
                    break 'pages true;
                }
                if written > 0 {
                    out.buf().push(b',');
                }
                let json = ReceiptJson::new(&receipt, lang);
                serde_json::to_writer(out.buf(), &json).map_err(Problem::internal)?;
                out.flow().await?;
                written += 1;
                ask.before = Some(receipt.id);
            }
            if last {
                break false;
            }
        };
        next.end(out.buf(), more.then_some(ask.before).flatten().as_deref());
        Ok(out)
    })
    .await?;
    Ok(listing(body))
}

/// A streamed JSON answer.
pub(super) fn listing(body: HttpBody) -> Response {
    ([(CONTENT_TYPE, JSON)], body).into_response()
}
