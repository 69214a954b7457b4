//! `registry`: the six lists in the database.

use std::io::{self, Read as _, Write};
use std::path::Path;

use super::database::{failed, with_store};
use super::faults::Reporter;
use super::import::load_list;
use super::input::Input;
use super::{Exit, Failure, localized};
use crate::config::{Cli, ListFormat, Registry, Reporting};
use crate::registry::{Form, List, Row, example, write};
use crate::store::{Access, Changed, Store};

/// Rows read from the database at a time.
const PAGE: usize = 1000;

/// Loads or shows a list.
///
/// # Errors
/// When the file is not there or the database fails.
pub fn run(cli: &Cli, command: &Registry) -> Result<Exit, Failure> {
    match command {
        Registry::Load {
            mappings,
            list,
            file,
        } => {
            let list = find(list)?;
            let kinds = super::kinds(mappings)?;
            let mut bytes = Vec::new();
            Input::open(file)?
                .content
                .read_to_end(&mut bytes)
                .map_err(|e| Failure::path(file, &e))?;
            let form = form(file, &bytes);
            let name = file.display().to_string();
            with_store(cli, kinds, async |store| {
                let mut reporter = Reporter::new(&Reporting::default())?;
                let counts = load_list(&store, list, form, &name, &bytes, &mut reporter).await?;
                reporter.finish()?;
                if reporter.refused() {
                    return Ok(Exit::Refused);
                }
                let Changed {
                    created,
                    updated,
                    unchanged,
                    ..
                } = counts.changed;
                let list = list.name;
                super::report(
                    cli,
                    &localized!(
                        "{list}: created: {created}, updated: {updated}, unchanged: {unchanged}",
                        "{list}: 新規 {created}、更新 {updated}、変更なし {unchanged}"
                    ),
                )?;
                Ok(Exit::Done)
            })
        }
        Registry::Show {
            mappings,
            list,
            format,
            empty,
        } => {
            let list = find(list)?;
            if *empty {
                return template(list, *format);
            }
            let kinds = super::kinds(mappings)?;
            with_store(cli, kinds, async |store| show(&store, list, *format).await)
        }
    }
}

/// How a file is written: as its name says, else as it begins.
fn form(file: &Path, bytes: &[u8]) -> Form {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let is = |end| {
        file.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(end))
    };
    match text.trim_ascii_start().first() {
        _ if is("csv") => Form::Csv,
        Some(b'[' | b'{') => Form::Json,
        _ if is("json") => Form::Json,
        _ => Form::Csv,
    }
}

/// Prints a list with the header and an example row that `registry load` takes.
fn template(list: &'static List, format: ListFormat) -> Result<Exit, Failure> {
    let rows: Vec<Row> = example(list).into_iter().collect();
    let mut out = io::stdout().lock();
    match format {
        ListFormat::Csv => write::write_csv(list, &rows, &mut out),
        ListFormat::Json => write::write_json(&rows, &mut out),
    }
    .map_err(|e| Failure::stream(&e))?;
    Ok(Exit::Done)
}

fn find(name: &str) -> Result<&'static List, Failure> {
    List::by_name(name).ok_or_else(|| {
        Failure::usage(localized!(
            "{name}: no such list",
            "{name}: 一覧がありません"
        ))
    })
}

/// Prints a list page by page.
async fn show(store: &Store, list: &'static List, format: ListFormat) -> Result<Exit, Failure> {
    let access = Access::operator();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut buf = Vec::new();
    match format {
        ListFormat::Csv => write::csv_header(list, &mut buf),
        ListFormat::Json => buf.push(b'['),
    }
    let mut after: Option<Row> = None;
    let mut first = true;
    loop {
        let page = store
            .registry_page(&access, list, None, after.as_ref(), PAGE)
            .await
            .map_err(failed)?;
        for stored in &page {
            match format {
                ListFormat::Csv => write::csv_row(&stored.row, &mut buf),
                ListFormat::Json => {
                    buf.extend_from_slice(if first { b"\n" } else { b",\n" });
                    write::json_row(&stored.row, &mut buf);
                }
            }
            first = false;
        }
        out.write_all(&buf).map_err(|e| Failure::stream(&e))?;
        buf.clear();
        let full = page.len() == PAGE;
        after = page.into_iter().last().map(|stored| stored.row);
        if !full {
            break;
        }
    }
    let end: &[u8] = match (format, first) {
        (ListFormat::Csv, _) => b"",
        (ListFormat::Json, true) => b"]\n",
        (ListFormat::Json, false) => b"\n]\n",
    };
    out.write_all(end)
        .and_then(|()| out.flush())
        .map_err(|e| Failure::stream(&e))?;
    Ok(Exit::Done)
}
