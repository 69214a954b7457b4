//! `export`: the database as files, streamed.

use std::io::Write;
use std::sync::Arc;

use super::database::{existing, failed, with_store};
use super::output::Sink;
use super::{Exit, Failure};
use crate::config::{Cli, Export, ExportTo};
use crate::exchange::{Envelope, Writer};
use crate::kind::Kinds;
use crate::registry::{CONSORTIA, Row};
use crate::store::{Access, Selection, Store, TimeTest, Walk};
use crate::time;

/// Writes what the options choose.
///
/// # Errors
/// When the database or the folder cannot be used.
pub fn run(cli: &Cli, options: &Export) -> Result<Exit, Failure> {
    let folder = &options.output;
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::usage(format!(
            "{}: not a folder",
            folder.display()
        )));
    }
    existing(cli)?;
    let kinds = super::kinds(&options.mappings)?;
    let places = places(&kinds, options)?;
    with_store(cli, kinds, async |store| match options.to {
        ExportTo::Exchange => exchange(&store, options, &places).await,
        ExportTo::Ndjson => super::export_fhir::ndjson(&store, options, &places).await,
    })
}

/// The places of the kinds that are asked for.
fn places(kinds: &Kinds, options: &Export) -> Result<Vec<usize>, Failure> {
    let Some(name) = &options.kind else {
        return Ok((0..kinds.len()).collect());
    };
    match kinds.get(name) {
        Some(kind) => Ok(vec![kind.place]),
        None => {
            let names: Vec<&str> = kinds.iter().map(|k| k.name.as_str()).collect();
            Err(Failure::usage(format!(
                "--kind {name}: one of {}",
                names.join(", ")
            )))
        }
    }
}

/// The records of a consortium that are asked for.
pub(super) fn selection(options: &Export, places: &[usize], consortium_id: &str) -> Selection {
    Selection {
        consortium_id: consortium_id.to_owned(),
        person_id: options.person.clone(),
        kinds: places.to_vec(),
        time: TimeTest::days(options.from.map(|d| d.0), options.until.map(|d| d.0)),
        since: options.since.map(|at| at.0),
        newest_update_time: options.to == ExportTo::Exchange,
    }
}

/// The consortia that are asked for.
pub(super) async fn consortia(store: &Store, options: &Export) -> Result<Vec<Row>, Failure> {
    let access = Access::operator();
    let page = store
        .registry_page(
            &access,
            &CONSORTIA,
            options.consortium.as_deref(),
            None,
            1_000_000,
        )
        .await
        .map_err(failed)?;
    if let (true, Some(id)) = (page.is_empty(), &options.consortium) {
        return Err(Failure::usage(format!(
            "--consortium {id}: no such consortium"
        )));
    }
    Ok(page.into_iter().map(|stored| stored.row).collect())
}

/// `{consortium_id}.json`: a submission that can be sent again as it is.
async fn exchange(store: &Arc<Store>, options: &Export, places: &[usize]) -> Result<Exit, Failure> {
    for row in consortia(store, options).await? {
        let Some(id) = row.text("consortium_id") else {
            continue;
        };
        let mut sink = Sink::file(&options.output.join(format!("{id}.json")));
        let envelope = Envelope {
            format_version: "1.0",
            send_time: time::now_millis(),
            consortium_id: id,
        };
        let selection = selection(options, places, id);
        let mut walk = Walk::new(store.clone(), Access::operator(), selection);
        let disk = |e| Failure::path(&options.output, &e);
        let mut writer = Writer::new(&mut sink, &envelope, options.edition).map_err(disk)?;
        let mut any = false;
        while let Some(block) = walk.next().await.map_err(failed)? {
            any = true;
            for row in block.rows() {
                writer.record(&block.records().record(row)).map_err(disk)?;
            }
        }
        writer.finish().map_err(disk)?;
        // A consortium without a selected record gives no file.
        if any {
            sink.flush().map_err(|e| sink.failure(&e))?;
            sink.finish()?;
        }
    }
    Ok(Exit::Done)
}
