//! `/metrics`: what is measured, for Prometheus.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use crate::metrics;

const HEADERS: [(HeaderName, &str); 2] = [
    (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
];

/// The route.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(scrape))
}

/// Gives the metrics of the process in the text format of Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "operation", responses((status = 200, description = "Requests by route and status, store operations, queues, records by outcome, memory", body = String)))]
async fn scrape(State(app): State<App>) -> ([(HeaderName, &'static str); 2], String) {
    app.store().measure();
    (HEADERS, metrics::render())
}
