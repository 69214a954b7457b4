//! Everything under `/exchange`: the protocol side over HTTP.

use utoipa_axum::router::OpenApiRouter;

use super::App;
use super::error::{Kind, Problem};

/// The routes, relative to `/exchange`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().fallback(async || Problem::new(Kind::NotFound))
}
