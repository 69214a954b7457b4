//! `export --to ndjson`: `{Type}.ndjson`, the resources as the server gives them.

use std::io::Write as _;
use std::sync::Arc;

use super::Failure;
use super::database::failed;
use super::export::{Written, consortia, progress, selection};
use super::output::{Privacy, Sink};
use crate::config::Export;
use crate::fhir::instance::{self, Origin};
use crate::fhir::render::Renderer;
use crate::fhir::resource::{RESOURCES, Resource, Source};
use crate::store::{Access, Store, Walk};

/// Resources read from the database at a time.
const PAGE: usize = 500;

/// Writes one file a resource type; a type without an instance gives none.
///
/// # Errors
/// When the database or the folder fails.
pub(super) async fn ndjson(
    store: &Arc<Store>,
    options: &Export,
    places: &[usize],
) -> Result<Written, Failure> {
    let progress = progress(RESOURCES.len());
    let mut written = Written::default();
    for resource in RESOURCES {
        let path = options.output.join(format!("{}.ndjson", resource.name()));
        let mut sink = Sink::file(&path, Privacy::Personal)?;
        let before = written.lines;
        let mut count = |lines| written.add(lines, &progress);
        if resource
            .sources
            .iter()
            .any(|source| matches!(source, Source::Record))
        {
            observations(store, options, places, &mut sink, &mut count).await?;
        } else {
            instances(store, options, resource, &mut sink, &mut count).await?;
        }
        sink.finish()?;
        written.file(written.lines > before, &progress);
    }
    progress.finish();
    Ok(written)
}

/// Observations, in the order of the protocol export.
async fn observations(
    store: &Arc<Store>,
    options: &Export,
    places: &[usize],
    sink: &mut Sink,
    count: &mut impl FnMut(u64),
) -> Result<(), Failure> {
    let mut buf = Vec::new();
    for row in consortia(store, options).await? {
        let Some(id) = row.text("consortium_id") else {
            continue;
        };
        let selection = selection(options, places, id);
        let mut walk = Walk::new(store.clone(), Access::operator(), selection);
        while let Some(block) = walk.next().await.map_err(failed)? {
            let mut renderer = Renderer::new(store, block.records())
                .await
                .map_err(failed)?;
            count(block.rows().len() as u64);
            for row in block.rows() {
                renderer.write(row, &mut buf);
                buf.push(b'\n');
            }
            sink.write_all(&buf).map_err(|e| sink.failure(&e))?;
            buf.clear();
        }
    }
    Ok(())
}

/// The instances of a type that is made from registry rows, devices or writes.
async fn instances(
    store: &Store,
    options: &Export,
    resource: &'static Resource,
    sink: &mut Sink,
    count: &mut impl FnMut(u64),
) -> Result<(), Failure> {
    let access = Access::operator();
    let from = Origin {
        store,
        access: &access,
    };
    let queries = instance::all(
        resource,
        options.consortium.as_deref(),
        options.person.as_deref(),
    );
    let mut after = None;
    loop {
        let page = instance::page(from, &queries, after, PAGE)
            .await
            .map_err(failed)?;
        count(page.instances.len() as u64);
        for instance in &page.instances {
            let line = serde_json::to_vec(&instance.body).unwrap_or_default();
            let written = sink.write_all(&line).and_then(|()| sink.write_all(b"\n"));
            written.map_err(|e| sink.failure(&e))?;
        }
        if page.next.is_none() {
            return Ok(());
        }
        after = page.next;
    }
}
