//! Everything under `/fhir`: one file per interaction (<https://hl7.org/fhir/R4/http.html>).
//!
//! The routes are made from the tables of resources ([`RESOURCES`]) and of operations, which
//! also give the CapabilityStatement and this part of the OpenAPI document.

mod bundle;
mod call;
mod condition;
mod create;
mod delete;
mod entries;
mod history;
mod metadata;
pub mod openapi;
mod operation;
mod patch;
mod read;
mod requests;
mod search;
mod to_exchange;
mod to_fhir;
mod update;
mod vread;
mod written;

use axum::Router;
use axum::extract::Path;
use axum::http::Uri;
use axum::routing::{MethodRouter, any, delete, get, patch, post, put};

use super::App;
use super::body::Body;
use super::error::{Kind, Problem};
use crate::fault::shorten;
use crate::fhir::compartment::{self, Member};
use crate::fhir::resource::{self, Interaction, RESOURCES, Resource, SystemInteraction};
use call::Call;
use requests::Target;

/// The routes, with the FHIR base in each (a nested router would have every request pay for
/// taking it off and putting it back), and their addresses.
pub fn router() -> (Router<App>, Vec<String>) {
    let (mut router, mut paths) = (Router::new(), vec!["/fhir".to_owned()]);
    for (path, handler) in routes() {
        let path = format!("/fhir{path}");
        router = router.route(&path, handler);
        paths.push(path);
    }
    let router = router
        .route("/fhir", post(bundle::post))
        .route("/fhir/{*path}", any(unknown));
    (router, paths)
}

/// The same routes without the base, for the entries of a Bundle.
fn plain() -> Router<App> {
    let mut router = Router::new();
    for (path, handler) in routes() {
        router = router.route(&path, handler);
    }
    router.fallback(unknown)
}

/// All routes but that of Bundles.
fn routes() -> Vec<(String, MethodRouter<App>)> {
    let mut out = Vec::new();
    for resource in RESOURCES {
        for &interaction in resource.interactions {
            out.extend(route(resource, interaction));
        }
    }
    for interaction in SystemInteraction::ALL {
        match interaction {
            SystemInteraction::History => {
                out.push(("/_history".to_owned(), get(history::of_system)));
            }
            // No Bundle within a Bundle.
            SystemInteraction::Batch | SystemInteraction::Transaction => {}
        }
    }
    for member in compartment::members() {
        out.extend(within(member));
    }
    out.extend(operation::routes());
    out.push(("/metadata".to_owned(), get(metadata::capabilities)));
    out
}

/// What answers where a resource is named by its id, and where by a search.
fn named(name: &str, handler: MethodRouter<App>) -> Vec<(String, MethodRouter<App>)> {
    vec![
        (format!("/{name}/{{id}}"), handler.clone()),
        (format!("/{name}"), handler),
    ]
}

/// The addresses of an interaction, and what answers there.
fn route(
    resource: &'static Resource,
    interaction: Interaction,
) -> Vec<(String, MethodRouter<App>)> {
    let name = resource.name();
    match interaction {
        Interaction::Read => vec![(
            format!("/{name}/{{id}}"),
            get(move |call: Call, Path(id): Path<String>| async move {
                read::read(resource, &call, &id).await
            }),
        )],
        Interaction::Vread => vec![(
            format!("/{name}/{{id}}/_history/{{vid}}"),
            get(
                move |call: Call, Path((id, version)): Path<(String, String)>| async move {
                    vread::vread(resource, &call, &id, &version).await
                },
            ),
        )],
        Interaction::Create => vec![(
            format!("/{name}"),
            post(move |call: Call, body: Body| async move {
                create::create(resource, &call, body).await
            }),
        )],
        Interaction::ConditionalCreate => vec![(
            format!("/{name}"),
            post(move |call: Call| async move { create::find(resource, &call).await }),
        )],
        Interaction::Update => named(
            name,
            put(move |call: Call, target: Target, body: Body| async move {
                update::update(resource, &call, target, body).await
            }),
        ),
        Interaction::Patch => named(
            name,
            patch(move |call: Call, target: Target, body: Body| async move {
                patch::patch(resource, &call, target, body).await
            }),
        ),
        Interaction::Delete => named(
            name,
            delete(move |call: Call, target: Target| async move {
                delete::delete(resource, &call, target).await
            }),
        ),
        Interaction::HistoryInstance => vec![(
            format!("/{name}/{{id}}/_history"),
            get(move |call: Call, Path(id): Path<String>| async move {
                history::instance(resource, &call, &id).await
            }),
        )],
        Interaction::HistoryType => vec![(
            format!("/{name}/_history"),
            get(move |call: Call| async move { history::of_type(resource, &call).await }),
        )],
        Interaction::Search => vec![
            (
                format!("/{name}"),
                get(move |call: Call| async move { search::get(resource, &call).await }),
            ),
            (
                format!("/{name}/_search"),
                post(move |call: Call, body: Body| async move {
                    search::post(resource, call, body).await
                }),
            ),
        ],
    }
}

/// The addresses of a search in a compartment, and what answers there.
fn within(member: Member) -> [(String, MethodRouter<App>); 2] {
    let path = format!("/{}/{{id}}/{}", member.of.name(), member.resource.name());
    let form = format!("{path}/_search");
    [
        (
            path,
            get(move |call: Call, Path(id): Path<String>| async move {
                search::get_within(member, &id, &call).await
            }),
        ),
        (
            form,
            post(
                move |call: Call, Path(id): Path<String>, body: Body| async move {
                    search::post_within(member, &id, call, body).await
                },
            ),
        ),
    ]
}

/// What the table does not have.
async fn unknown(uri: Uri) -> Problem {
    let path = uri.path().trim_start_matches("/fhir").trim_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let problem = Problem::new(Kind::NotFound);
    let path = shorten(path);
    match resource::by_name(first) {
        None if first.is_empty() => problem.issue_type("not-supported"),
        None => {
            let first = shorten(first);
            problem.issue_type("not-supported").detail(
                format!("{first:?} is no resource type or operation of this server"),
                format!("「{first}」というリソースタイプやオペレーションはありません"),
            )
        }
        Some(_) => problem.issue_type("not-supported").detail(
            format!("{path:?} is no interaction of this server; /fhir/metadata lists those there are"),
            format!("「{path}」というインタラクションはありません。使えるものは /fhir/metadata にあります"),
        ),
    }
}
