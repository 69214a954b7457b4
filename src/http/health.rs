//! `/health`: whether the program runs, and whether it can serve.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::{self, Result};

const FRESH: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready))
}

/// Says that the program runs
#[utoipa::path(get, path = "/health/live", operation_id = "live", tag = "operation", responses((status = 200, description = "It does", body = String)))]
async fn live() -> ([(HeaderName, &'static str); 1], &'static str) {
    (FRESH, "ok\n")
}

/// Says whether the database takes writes
///
/// A probe writes to the disk of the database and leaves nothing.
/// That others write is no failure.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "ready", tag = "operation",
    responses(
        (status = 200, description = "It does", body = String),
        (status = 503, description = "It does not; the detail says why", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn ready(
    State(app): State<App>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], &'static str)> {
    let ready = app.store().ready().await;
    ready.map_err(error::Problem::not_ready)?;
    Ok((StatusCode::OK, FRESH, "ok\n"))
}
