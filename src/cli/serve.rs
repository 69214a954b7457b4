//! `serve`: both sides over HTTP.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::database::{block_on, failed};
use super::{Exit, Failure, demo, kinds, localized};
use crate::config::{self, Auth, Cli, Connections, RegistryMode, Serve};
use crate::http::{self, App, Settings};
use crate::metrics;
use crate::store::{self, Store};

/// The part of the time to the end that what is in flight has; the rest is for connections.
const IN_FLIGHT: f64 = 0.8;

/// How often what was measured is folded together.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
///
/// # Errors
/// When the address may not be served without authentication, the port is in use, or the
/// database cannot be opened.
pub fn run(cli: &Cli, options: &Serve) -> Result<Exit, Failure> {
    if options.print_config {
        let mut out = std::io::stdout().lock();
        let printed = out.write_all(config::print().as_bytes());
        return printed
            .map(|()| Exit::Done)
            .map_err(|e| Failure::stream(&e));
    }
    if options.auth == Auth::Off && !options.listen.is_loopback() {
        let listen = &options.listen;
        return Err(Failure::usage(localized!(
            "--listen {listen}: without authentication (--auth off) only a loopback address is served, such as 127.0.0.1:8080 or [::1]:8080",
            "--listen {listen}: 認証なし（--auth off）ではループバックアドレスだけで提供できます（例: 127.0.0.1:8080、[::1]:8080）"
        )));
    }
    if options.auth == Auth::Off && options.cors_origin.iter().any(|origin| origin == "*") {
        return Err(Failure::usage(localized!(
            "--cors-origin *: without authentication (--auth off) every web page could read what the server holds; name the origins that may, such as --cors-origin https://app.example",
            "--cors-origin *: 認証なし（--auth off）では、あらゆるウェブページから保存内容を読み取れてしまいます。許可するオリジンを指定してください（例: --cors-origin https://app.example）"
        )));
    }
    let kinds = Arc::new(kinds(&options.mappings)?);
    // Before anything can hang, so that a signal always ends in good order.
    let limit = options.shutdown_timeout.0;
    let mut shutdown =
        http::signals(limit).map_err(|error| Failure::system(format!("signals: {error}")))?;
    block_on(async {
        metrics::install();
        tokio::spawn(async {
            loop {
                tokio::time::sleep(UPKEEP).await;
                metrics::upkeep();
            }
        });
        let limits = limits(&options.connections);
        let listener = http::listen(options.listen.addresses()).map_err(|error| {
                let listen = &options.listen;
                Failure::system(localized!(
                    "--listen {listen}: {error}; end the program that uses the port, or name another",
                    "--listen {listen}: {error}。ポートを使用中のプログラムを終了するか、別のポートを指定してください"
                ))
            })?;
        let opened = async {
            let database = store::Options {
                wal_limit: options.wal_limit.0,
                ..cli.timeouts.options()
            };
            let store = Store::open_with(&cli.database, kinds, database).await;
            let store = Arc::new(store.map_err(failed)?);
            store.keep_quarantine(options.refusals.ttl());
            if options.demo {
                demo::load(&store).await?;
            }
            Ok(store)
        };
        let store = tokio::select! {
            opened = opened => opened?,
            () = &mut shutdown => return Ok(Exit::Done),
        };
        let app = http::app(App::new(store.clone(), settings(options)));
        let served = http::serve(listener, app, limits, shutdown, limit.mul_f64(IN_FLIGHT)).await;
        store.close().await;
        served.map_err(|error| Failure::system(format!("network: {error}")))?;
        Ok(Exit::Done)
    })
}

/// Limits of connections, of which there are no more than descriptors allow.
fn limits(options: &Connections) -> http::Limits {
    http::Limits {
        connections: http::allowed(
            options.connections_max as usize,
            options.open_bodies as usize,
        ),
        per_peer: options.connections_per_peer as usize,
        trusted: options.trusted_proxy.clone(),
        header: options.header_timeout.0,
        idle: options.idle_timeout.0,
        write: options.write_timeout.0,
    }
}

fn settings(options: &Serve) -> Settings {
    Settings {
        base_url: options.base_url.clone(),
        body_limit: options.body_limit.0,
        reading: options.refusals.reading(false),
        body_rate: options.connections.body_rate.0,
        body_grace: options.connections.body_grace.0,
        bodies: http::BodyLimits {
            open: options.connections.open_bodies as usize,
            per_peer: options.connections.open_bodies_per_peer as usize,
            memory: options.connections.memory_budget.0,
            spooled: options.connections.spool_limit.0,
        },
        bundle_max: options.bundle_max,
        bundle_answer_limit: options.bundle_answer_limit.0,
        patch_limit: options.patch_limit.0,
        search_values_max: options.search_values_max as usize,
        search_depth_max: options.search_depth_max as usize,
        search_joins_max: options.search_joins_max as usize,
        local_only: options.auth == Auth::Off,
        cors_origins: options.cors_origin.clone(),
        auto_register: options.registry == RegistryMode::Auto,
        ..Settings::default()
    }
}
