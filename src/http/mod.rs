//! Both sides over HTTP: `/exchange` for the protocol, `/fhir` for FHIR R4.
//!
//! In: requests. Out: answers of the same functions that the commands call. [`app`] makes the
//! router, tests call it without a socket. Each file holds the handlers of one group of
//! addresses and a `router()`; routes carry their OpenAPI description, so the document and the
//! router cannot disagree. Errors are [`error::Problem`]s everywhere.
//!
//! A request passes, from the outside in: gzip, what is around every request (its id, the time
//! limit, the writer of error bodies, security headers, the log), CORS, the catcher of panics,
//! its route.

pub mod body;
mod connection;
mod connection_body;
pub mod error;
pub mod exchange;
pub mod fhir;
mod health;
mod host;
mod layers;
pub mod links;
mod metrics;
pub mod negotiate;
mod openapi;
mod pages;
pub mod prefer;
pub mod query;
mod serve;
pub mod stream;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::exchange::Options;
use crate::fhir::search;
use crate::kind::Kinds;
use crate::store::{Access, Store};
use error::{Kind, Problem};
use layers::Templates;

pub use body::Limits as BodyLimits;
pub use connection::Limits;
pub use serve::{allowed, listen, serve, signals};

/// What the server was told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The outer root of the server; without it links follow the `Host` header.
    pub base_url: Option<String>,
    /// Bytes of a body at most, after decompression.
    pub body_limit: u64,
    /// How submissions are read: what is listed of their faults.
    pub reading: Options,
    /// Origins that browsers may call from; `*` any.
    pub cors_origins: Vec<String>,
    /// Only requests to loopback names and to the host of the base URL are answered.
    pub local_only: bool,
    /// Unknown consortia, participants and laboratories are registered provisionally.
    pub auto_register: bool,
    /// Entries of a page where nobody asks for a number.
    pub page_default: usize,
    /// Entries of a page at most.
    pub page_max: usize,
    /// Entries of a batch or transaction Bundle at most.
    pub bundle_max: usize,
    /// Bytes of the resources in the answer to a batch or transaction Bundle at most.
    pub bundle_answer_limit: u64,
    /// Bytes of a JSON Patch at most, and bytes that the patches of a request copy and move.
    pub patch_limit: u64,
    /// Values of all parameters of a search at most.
    pub search_values_max: usize,
    /// References at most that a chain or nested `_has` of a search leads along.
    pub search_depth_max: usize,
    /// References at most that all parameters of a search lead along.
    pub search_joins_max: usize,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// Bytes per second that a body must bring.
    pub body_rate: u64,
    /// How long a body may lag behind its rate.
    pub body_grace: Duration,
    /// Limits of the bodies of all requests together.
    pub bodies: body::Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            base_url: None,
            body_limit: 64 << 20,
            reading: Options::default(),
            cors_origins: Vec::new(),
            local_only: false,
            auto_register: false,
            page_default: 50,
            page_max: 1000,
            bundle_max: 5000,
            bundle_answer_limit: 16 << 20,
            patch_limit: 1 << 20,
            search_values_max: 1000,
            search_depth_max: 4,
            search_joins_max: 64,
            request_timeout: Duration::from_secs(300),
            body_rate: 1 << 10,
            body_grace: Duration::from_secs(30),
            bodies: body::Limits::default(),
        }
    }
}

impl Settings {
    /// Limits of a search that a client asks for.
    pub fn limits(&self) -> search::Limits {
        search::Limits {
            default: self.page_default,
            max: self.page_max,
            values: self.search_values_max,
            depth: self.search_depth_max,
            joins: self.search_joins_max,
        }
    }
}

/// What handlers share; cloning it is cheap.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<Store>,
    settings: Settings,
    places: body::Places,
    hosts: host::Rules,
    /// The OpenAPI document, once somebody asked for it.
    document: OnceLock<String>,
}

impl App {
    /// Handlers over a store.
    pub fn new(store: Arc<Store>, settings: Settings) -> App {
        let places = body::Places::new(settings.bodies);
        let hosts = host::Rules::new(
            settings.local_only,
            settings.base_url.as_deref(),
            &settings.cors_origins,
        );
        App {
            shared: Arc::new(Shared {
                store,
                settings,
                places,
                hosts,
                document: OnceLock::new(),
            }),
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// The record kinds.
    pub fn kinds(&self) -> &Arc<Kinds> {
        self.shared.store.kinds()
    }

    /// What the server was told.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The places for bodies.
    pub fn places(&self) -> &body::Places {
        &self.shared.places
    }

    /// The rules about hosts and origins.
    fn hosts(&self) -> &host::Rules {
        &self.shared.hosts
    }

    /// The OpenAPI document.
    pub fn document(&self) -> &str {
        self.shared.document.get_or_init(|| openapi(self.kinds()))
    }

    /// Who calls. Without authentication it is the operator.
    pub fn access(&self) -> Access {
        Access::operator()
    }
}

/// The OpenAPI 3.1 document of a program with these record kinds.
pub fn openapi(kinds: &Kinds) -> String {
    let mut document = described().into_openapi();
    document.merge(fhir::openapi::document());
    openapi::document(document, kinds)
}

/// The routes beside those of FHIR, which bring their description along.
fn described() -> OpenApiRouter<App> {
    openapi::begin()
        .merge(pages::router())
        .merge(health::router())
        .merge(metrics::router())
        .nest("/exchange", exchange::router())
}

/// The router. The description of FHIR's routes is some megabytes, and made only when it is
/// asked for.
pub fn app(app: App) -> Router {
    let (routes, document) = described().split_for_parts();
    let (fhir, paths) = fhir::router();
    let others = document.paths.paths.keys();
    let templates = Templates::of(others.chain(&paths).map(String::as_str));
    layered(routes.merge(fhir), templates, app)
}

/// Routes with what every request passes through.
///
/// The layers are put around the router, not around each of its routes: there a request pays
/// for each of them with copies of all below it.
fn layered(routes: Router<App>, templates: Templates, app: App) -> Router {
    let cors = match app.settings().cors_origins.as_slice() {
        [] => None,
        origins => Some(layers::cors(origins)),
    };
    let service = ServiceBuilder::new()
        .map_request(|request: Request| layers::without_slash(request))
        .layer(layers::gzip())
        .layer(from_fn_with_state((app.clone(), templates), layers::around))
        .option_layer(cors)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .service(
            routes
                .fallback(async || Problem::new(Kind::NotFound))
                .with_state(app),
        );
    Router::new().fallback_service(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn panics() -> &'static str {
        panic!("P0000000000000000001")
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("kenko.db").display());
        let kinds = Arc::new(Kinds::embedded().unwrap());
        let store = Arc::new(Store::open(&url, kinds).await.unwrap());
        let routes = Router::new()
            .route("/panic", get(panics))
            .route("/fhir/panic", get(panics));
        let templates = Templates::of(std::iter::empty());
        let router = layered(routes, templates, App::new(store, Settings::default()));
        for (path, media, told) in [
            ("/panic", error::PROBLEM_JSON, "\"status\":500"),
            (
                "/fhir/panic",
                negotiate::FHIR_JSON_UTF8,
                "\"code\":\"exception\"",
            ),
        ] {
            let request = Request::get(path).header("host", "kenko.test");
            let request = request.body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], media);
            assert!(response.headers().contains_key("x-request-id"));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(text.contains(told) && !text.contains("P000"), "{text}");
        }
    }
}
