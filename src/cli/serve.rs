//! `serve`: both sides over HTTP.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::database::{failed, runtime};
use super::{Exit, Failure, demo, kinds};
use crate::config::{Auth, Cli, RegistryMode, Serve};
use crate::http::{self, App, Settings};
use crate::store::Store;

/// Serves until a signal ends it.
///
/// # Errors
/// When the address may not be served without authentication, the port is in use, or the
/// database cannot be opened.
pub fn run(cli: &Cli, options: &Serve) -> Result<Exit, Failure> {
    if options.auth == Auth::Off && !options.listen.is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {}: without authentication (--auth off) only a loopback address is \
             served, such as 127.0.0.1:8080 or [::1]:8080",
            options.listen
        )));
    }
    let kinds = Arc::new(kinds(&options.mappings)?);
    runtime()?.block_on(async {
        let listener = TcpListener::bind(options.listen.addresses())
            .await
            .map_err(|error| Failure::system(format!("--listen {}: {error}", options.listen)))?;
        // Before the database is touched, so that a signal always ends in good order.
        let shutdown =
            http::signals().map_err(|error| Failure::system(format!("signals: {error}")))?;
        let store = Store::open(&cli.database, kinds).await.map_err(failed)?;
        let store = Arc::new(store);
        store.keep_quarantine(options.refusals.ttl());
        if options.demo {
            demo::load(&store).await?;
        }
        let app = http::app(App::new(store.clone(), settings(options)));
        let served = http::serve(listener, app, shutdown).await;
        store.close().await;
        served.map_err(|error| Failure::system(format!("network: {error}")))?;
        Ok(Exit::Done)
    })
}

fn settings(options: &Serve) -> Settings {
    Settings {
        base_url: options.base_url.clone(),
        body_limit: options.body_limit.0,
        reading: options.refusals.reading(false),
        bundle_max: options.bundle_max,
        cors_origins: options.cors_origin.clone(),
        auto_register: options.registry == RegistryMode::Auto,
        ..Settings::default()
    }
}
