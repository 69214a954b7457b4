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

/// Says whether the database answers
#[utoipa::path(
    get, path = "/health/ready", operation_id = "ready", tag = "operation",
    responses(
        (status = 200, description = "It does", body = String),
        (status = 503, description = "It does not, or is busy", body = error::ProblemJson, content_type = "application/problem+json"),
    )
)]
async fn ready(
    State(app): State<App>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], &'static str)> {
    // Whatever keeps the database from answering, a probe may ask again.
    app.store()
        .ping()
        .await
        .map_err(|error| match error.is_busy() {
            true => error::Problem::from(error),
            false => error::Problem::new(error::Kind::Unavailable).because(error),
        })?;
    Ok((StatusCode::OK, FRESH, "ok\n"))
}
