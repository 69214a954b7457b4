//! `/exchange/schema`: the JSON Schema of a submission.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::exchange::schema;
use crate::http::App;
use crate::http::error::{Problem, Result};
use crate::http::negotiate::{self, JSON};
use crate::http::query::Query;

const SCHEMA_JSON: &str = "application/schema+json";

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read))
}

/// Reads the JSON Schema of a submission
///
/// Draft 2020-12, made from the mappings: both editions and all aliases are accepted.
#[utoipa::path(
    get, path = "/schema", operation_id = "read_schema", tag = "exchange",
    responses((status = 200, description = "The schema", body = Object, content_type = "application/schema+json"))
)]
async fn read(State(app): State<App>, query: Query, headers: HeaderMap) -> Result<Response> {
    query.only(&[])?;
    let media = negotiate::accept(&headers, &[SCHEMA_JSON, JSON])?;
    let body =
        serde_json::to_vec_pretty(&schema::submission(app.kinds())).map_err(Problem::internal)?;
    let headers = [(CONTENT_TYPE, media), (CACHE_CONTROL, "no-cache")];
    Ok((headers, body).into_response())
}
