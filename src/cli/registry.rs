//! `registry`: the six lists in the database.

use std::io::{self, Write};

use super::database::{failed, with_store};
use super::faults::Reporter;
use super::import::load_list;
use super::{Exit, Failure};
use crate::config::{Cli, ListFormat, Registry};
use crate::registry::{List, Row, write};
use crate::store::{Access, Store};

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
            if !file.is_file() {
                return Err(Failure::usage(format!("{}: no such file", file.display())));
            }
            with_store(cli, kinds, async |store| {
                let mut reporter = Reporter::new();
                let rows = load_list(&store, list, file, &mut reporter).await?;
                if reporter.refused() {
                    return Ok(Exit::Refused);
                }
                writeln!(io::stdout(), "{}: {rows} rows", list.name)
                    .map_err(|e| Failure::stream(&e))?;
                Ok(Exit::Done)
            })
        }
        Registry::Show {
            mappings,
            list,
            format,
        } => {
            let list = find(list)?;
            let kinds = super::kinds(mappings)?;
            with_store(cli, kinds, async |store| show(&store, list, *format).await)
        }
    }
}

fn find(name: &str) -> Result<&'static List, Failure> {
    List::by_name(name).ok_or_else(|| Failure::usage(format!("{name}: no such list")))
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
