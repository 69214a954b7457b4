//! `export`: the database as files, streamed.

use std::io::Write;
use std::sync::Arc;

use super::database::{existing, failed, with_store};
use super::interrupt::{Progress, Work};
use super::output::{Privacy, Sink};
use super::synth::bar;
use super::{Exit, Failure, localized, report};
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
        return Err(Failure::path(
            folder,
            &std::io::ErrorKind::NotADirectory.into(),
        ));
    }
    existing(cli)?;
    let kinds = super::kinds(&options.mappings)?;
    let places = places(&kinds, options)?;
    let written = with_store(cli, kinds, async |store| match options.to {
        ExportTo::Exchange => exchange(&store, options, &places).await,
        ExportTo::Ndjson => super::export_fhir::ndjson(&store, options, &places).await,
    })?;
    let Written { lines, files } = written;
    let folder = folder.display();
    let line = match options.to {
        ExportTo::Exchange => localized!(
            "exported {lines} records in {files} files to {folder}",
            "{lines} 件の記録を {files} 個のファイルとして {folder} に書き出しました"
        ),
        ExportTo::Ndjson => localized!(
            "exported {lines} resources in {files} files to {folder}",
            "{lines} 件のリソースを {files} 個のファイルとして {folder} に書き出しました"
        ),
    };
    report(cli, &line)?;
    Ok(Exit::Done)
}

/// Counts of an export.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Records or resources.
    pub lines: u64,
    /// Files.
    pub files: u64,
}

/// The bar of an export, by files, with a count of what was written.
pub(super) fn progress(files: usize) -> Arc<Progress> {
    let bar = bar(files as u64, "{wide_bar} {pos}/{len} files, {msg}");
    Progress::begin(Work::Written, files as u64, bar)
}

impl Written {
    /// Counts what was written, on the bar too.
    pub fn add(&mut self, lines: u64, progress: &Progress) {
        self.lines += lines;
        progress.bar.set_message(self.lines.to_string());
    }

    /// Counts a file that is done.
    pub fn file(&mut self, made: bool, progress: &Progress) {
        self.files += u64::from(made);
        progress.file_done();
        progress.bar.inc(1);
    }
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
            let names = names.join(", ");
            Err(Failure::usage(localized!(
                "--kind {name}: one of {names}",
                "--kind {name}: 次のいずれかを指定してください: {names}"
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
        return Err(Failure::usage(localized!(
            "--consortium {id}: no such consortium; registry show consortia lists them",
            "--consortium {id}: 登録されていません。registry show consortia で一覧を確認できます"
        )));
    }
    Ok(page.into_iter().map(|stored| stored.row).collect())
}

/// `{consortium_id}.json`: a submission that can be sent again as it is.
async fn exchange(
    store: &Arc<Store>,
    options: &Export,
    places: &[usize],
) -> Result<Written, Failure> {
    let consortia = consortia(store, options).await?;
    let progress = progress(consortia.len());
    let mut written = Written::default();
    for row in consortia {
        let Some(id) = row.text("consortium_id") else {
            continue;
        };
        let mut sink = Sink::file(
            &options.output.join(format!("{id}.json")),
            Privacy::Personal,
        )?;
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
            written.add(block.rows().len() as u64, &progress);
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
        written.file(any, &progress);
    }
    progress.finish();
    Ok(written)
}
