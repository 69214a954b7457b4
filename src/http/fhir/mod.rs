//! Everything under `/fhir`.

use utoipa_axum::router::OpenApiRouter;

use super::App;
use super::error::{Kind, Problem};

/// The routes, relative to the FHIR base.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().fallback(async || Problem::new(Kind::NotFound))
}
