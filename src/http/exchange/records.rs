//! `/exchange/records`: stored records as a submission document, streamed.
//!
//! A document has one `consortium_id`, so the parameter is required. The records come in
//! normal form: by `person_id`, then kind, time and source.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::submissions::listing;
use crate::exchange::{Envelope, Writer};
use crate::http::App;
use crate::http::error::{self, Problem, Result};
use crate::http::negotiate::{self, JSON};
use crate::http::query::{Query, wrong_value};
use crate::http::stream::{self, Stop};
use crate::kind::Edition;
use crate::store::{Selection, TimeTest, Walk};
use crate::time;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// What is asked for.
struct Wanted {
    selection: Selection,
    edition: Edition,
}

/// Reads stored records as a submission
///
/// The document is the normal form of the protocol and can be sent again as it is.
#[utoipa::path(
    get, path = "/records", operation_id = "read_records", tag = "exchange",
    params(
        ("consortium_id" = String, Query, description = "a document is of one consortium", example = "A00001"),
        ("person_id" = Option<String>, Query, description = "of this participant"),
        ("kind" = Option<String>, Query, description = "of this record kind, such as `weighing_scale`"),
        ("from" = Option<String>, Query, description = "measured on this day or later: `yyyy-mm-dd`, JST"),
        ("until" = Option<String>, Query, description = "measured before this day: `yyyy-mm-dd`, JST"),
        ("edition" = Option<String>, Query, description = "`2016` or `2017` (default): decides some field names"),
    ),
    responses(
        (status = 200, description = "The records as a submission", body = super::Submission),
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
        selection: Selection {
            consortium_id: query.id("consortium_id", 6)?.unwrap_or_default(),
            person_id: query.id("person_id", 20)?,
            kinds: kinds(&app, &query)?,
            time: TimeTest::days(query.day("from")?, query.day("until")?),
            since: None,
            newest_update_time: true,
        },
        edition: query
            .parse(
                "edition",
                ("2016 or 2017", "2016 または 2017"),
                Edition::parse,
            )?
            .unwrap_or_default(),
    };
    let body = stream::body(async move |out| write(&app, wanted, out).await).await?;
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

async fn write(
    app: &App,
    wanted: Wanted,
    mut out: stream::Out,
) -> std::result::Result<stream::Out, Stop> {
    let envelope = Envelope {
        format_version: "1.0",
        send_time: time::now_millis(),
        consortium_id: &wanted.selection.consortium_id.clone(),
    };
    let mut writer =
        Writer::new(Vec::new(), &envelope, wanted.edition).map_err(Problem::internal)?;
    let mut walk = Walk::new(app.store().clone(), app.access(), wanted.selection);
    while let Some(block) = walk.next().await? {
        for row in block.rows() {
            writer
                .record(&block.records().record(row))
                .map_err(Problem::internal)?;
            out.buf().append(writer.out_mut());
            out.flow().await?;
        }
    }
    let mut rest = writer.finish().map_err(Problem::internal)?;
    out.buf().append(&mut rest);
    Ok(out)
}
