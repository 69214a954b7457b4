//! Keys that lost their leading zeros in a spreadsheet.

use std::collections::HashMap;

use super::key_hash;
use crate::fault::{Area, Code, Fault};
use crate::fhir::id::Hash96;
use crate::registry::{FieldType, List, Row};
use crate::store::db::{Bound, Reads, bind};
use crate::store::{Result, sql};

/// Rows of a file that are looked at: what a spreadsheet does, it does to all of them.
const ROWS_MAX: usize = 10_000;

/// Warnings about keys of digits that stand with more leading zeros in the same file or in the
/// database, and about keys in the form that spreadsheets give to long numbers.
pub(super) async fn warnings(
    reads: &Reads,
    list: &'static List,
    rows: &[Row],
) -> Result<Vec<Fault>> {
    let Some((name, width)) = list.key().last().and_then(|field| match field.ty {
        FieldType::Text(max) | FieldType::AlnumId(max) => Some((field.name, max)),
        _ => None,
    }) else {
        return Ok(Vec::new());
    };
    let mut whole: HashMap<(Vec<&str>, &str), &str> = HashMap::new();
    for row in rows.iter().take(ROWS_MAX) {
        let (of, key) = split(row);
        if key.starts_with('0') && is_digits(key) {
            whole.insert((of, key.trim_start_matches('0')), key);
        }
    }
    // The places of the rows whose keys may be short, and the whole keys that may be stored.
    let mut short: HashMap<Hash96, (usize, String)> = HashMap::new();
    let mut out = Vec::new();
    for (n, row) in rows.iter().take(ROWS_MAX).enumerate() {
        let (of, key) = split(row);
        if is_scientific(key) {
            out.push(warning(n, name, row, "the digits of the key"));
        } else if is_digits(key) && !key.starts_with('0') {
            if let Some(whole) = whole.get(&(of.clone(), key)) {
                out.push(warning(n, name, row, whole));
                continue;
            }
            for digits in key.len() + 1..=width {
                let padded = format!("{key:0>digits$}");
                let parts: Vec<&str> = of.iter().copied().chain([padded.as_str()]).collect();
                short.insert(key_hash(list, &parts), (n, padded.clone()));
            }
        }
    }
    let hashes: Vec<Hash96> = short.keys().copied().collect();
    let text = |size| {
        let list_of = sql::list(size);
        format!("SELECT hash FROM {} WHERE hash IN ({list_of})", list.table)
    };
    for chunk in sql::sets(&hashes) {
        let bound: Vec<Bound> = chunk.iter().map(Bound::from).collect();
        for row in bind(&text(chunk.len()), &bound).fetch_all(reads).await? {
            let hash: Vec<u8> = row.try_get(0)?;
            let found = <Hash96>::try_from(hash).ok();
            if let Some((n, whole)) = found.and_then(|hash| short.get(&hash)) {
                out.push(warning(*n, name, &rows[*n], whole));
            }
        }
    }
    out.sort_by(|a, b| (a.line, &a.pointer).cmp(&(b.line, &b.pointer)));
    Ok(out)
}

fn warning(n: usize, name: &str, row: &Row, whole: &str) -> Fault {
    let found = row.key().last().copied().unwrap_or_default();
    Fault::new(Code::Implausible, format!("/{n}/{name}"), row.place())
        .expected(whole.to_owned())
        .found(found)
        .area(Area::Registry)
}

/// The key of a row, its last part by itself.
fn split(row: &Row) -> (Vec<&str>, &str) {
    let mut key = row.key();
    let last = key.pop().unwrap_or_default();
    (key, last)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text is a number as spreadsheets show long ones: `3E+11`, `3.0E+11`.
fn is_scientific(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once("E+") else {
        return false;
    };
    is_digits(&digits.replacen('.', "", 1)) && is_digits(exponent)
}
