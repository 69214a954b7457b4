//! Registries going out, as JSON or CSV, row by row.
//!
//! What is written reads back as the same rows: numbers keep their digits, list items their
//! order, and texts their backslashes.

use std::borrow::Borrow;
use std::io::{self, Write};

use super::list::List;
use super::read::PROVISIONAL;
use super::row::{Row, Value};
use crate::json;

/// Writes rows as a JSON array, one row a line.
///
/// # Errors
/// Those of `out`.
pub fn write_json(
    rows: impl IntoIterator<Item = impl Borrow<Row>>,
    mut out: impl Write,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut before = "[";
    for row in rows {
        line.clear();
        line.extend_from_slice(before.as_bytes());
        json_row(row.borrow(), &mut line);
        out.write_all(&line)?;
        before = ",\n";
    }
    if before == "[" {
        out.write_all(b"[")?;
    }
    out.write_all(b"]\n")
}

/// Appends a row as a JSON object: absent fields left out, numbers with the digits written.
pub fn json_row(row: &Row, out: &mut Vec<u8>) {
    out.push(b'{');
    let start = out.len();
    for (field, value) in row.list().fields.iter().zip(row.values()) {
        if *value == Value::Absent {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        json::string_into(out, field.name);
        out.push(b':');
        match value {
            Value::Absent => {}
            Value::Text(text) if field.ty.is_number() => out.extend_from_slice(text.as_bytes()),
            Value::Text(text) => json::string_into(out, text),
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    out.push(if i == 0 { b'[' } else { b',' });
                    json::string_into(out, item);
                }
                out.push(b']');
            }
        }
    }
    if row.provisional {
        if out.len() > start {
            out.push(b',');
        }
        json::string_into(out, PROVISIONAL);
        out.extend_from_slice(b":true");
    }
    out.push(b'}');
}

/// Writes rows of `list` as CSV (RFC 4180, UTF-8), with a header of all fields.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(
    list: &'static List,
    rows: impl IntoIterator<Item = impl Borrow<Row>>,
    mut out: impl Write,
) -> io::Result<()> {
    let mut line = Vec::new();
    csv_header(list, &mut line);
    out.write_all(&line)?;
    for row in rows {
        line.clear();
        csv_row(row.borrow(), &mut line);
        out.write_all(&line)?;
    }
    Ok(())
}

/// Appends the header row of a list: every field, then `provisional` where the list has it
/// (whether a row will say so is not known yet).
pub fn csv_header(list: &'static List, out: &mut Vec<u8>) {
    let names = list.fields.iter().map(|field| field.name);
    for (i, name) in names
        .chain(list.provisional.then_some(PROVISIONAL))
        .enumerate()
    {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a row as CSV.
pub fn csv_row(row: &Row, out: &mut Vec<u8>) {
    let mut cell = String::new();
    for (i, value) in row.values().iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match value {
            Value::Absent => {}
            Value::Text(text) => csv_cell(text, out),
            Value::List(items) => {
                cell.clear();
                join_items(items, &mut cell);
                csv_cell(&cell, out);
            }
        }
    }
    if row.list().provisional {
        out.push(b',');
        if row.provisional {
            out.extend_from_slice(b"true");
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A cell, in quotes where its text needs them.
pub fn csv_cell(text: &str, out: &mut Vec<u8>) {
    if !text.contains(['"', ',', '\r', '\n']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// The reverse of splitting a cell into its items.
fn join_items(items: &[String], out: &mut String) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            double_trailing_backslashes(out);
            out.push(';');
        }
        for (j, part) in item.split(';').enumerate() {
            if j > 0 {
                double_trailing_backslashes(out);
                out.push_str("\\;");
            }
            out.push_str(part);
        }
    }
}

fn double_trailing_backslashes(out: &mut String) {
    let backslashes = out.len() - out.trim_end_matches('\\').len();
    out.extend(std::iter::repeat_n('\\', backslashes));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::{
        Charset, DEVICES, FieldType, LABORATORIES, Options, PARTICIPANTS, read_csv, read_json,
    };

    #[test]
    fn absent_fields_are_left_out() {
        let mut row = Row::provisional(&LABORATORIES, &["A00001", "1"]);
        let mut out = Vec::new();
        write_json([&row], &mut out).unwrap();
        let text = r#"[{"consortium_id":"A00001","test_lab_id":"1","provisional":true}]"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{text}\n"));
        row.provisional = false;
        row.put("default_for", "a;b").unwrap();
        row.put("default_for", "*").unwrap();
        let mut out = Vec::new();
        write_csv(&LABORATORIES, [&row], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "consortium_id,test_lab_id,test_lab_name,prefecture_code,institution_code,\
             external_identifiers,default_for,provisional\r\nA00001,1,,,,,a\\;b;*,\r\n"
        );
    }

    #[test]
    fn no_rows_are_an_empty_array() {
        let mut out = Vec::new();
        write_json(Vec::<Row>::new(), &mut out).unwrap();
        assert_eq!(out, b"[]\n");
    }

    #[test]
    fn numbers_are_written_with_their_digits() {
        let mut row = Row::new(&DEVICES);
        row.put("mean_error_percent", "-1.20").unwrap();
        let mut out = Vec::new();
        json_row(&row, &mut out);
        assert_eq!(out, br#"{"mean_error_percent":-1.20}"#);
    }

    /// A text that its type takes.
    fn value(ty: FieldType) -> BoxedStrategy<String> {
        match ty {
            FieldType::Text(max) => text(max),
            FieldType::Name(max) => text(max)
                .prop_map(|text| text.trim().to_owned())
                .prop_filter("empty", |text| !text.is_empty())
                .boxed(),
            FieldType::AlnumId(max) => {
                proptest::string::string_regex(&format!("[A-Za-z0-9]{{1,{max}}}"))
                    .unwrap()
                    .boxed()
            }
            FieldType::Digits(n) => proptest::string::string_regex(&format!("[0-9]{{{n}}}"))
                .unwrap()
                .boxed(),
            FieldType::Day => (1..=9999, 1..=12, 1..=28)
                .prop_map(|(y, m, d)| format!("{y:04}{m:02}{d:02}"))
                .boxed(),
            FieldType::Month => (1..=9999, 1..=12)
                .prop_map(|(y, m)| format!("{y:04}{m:02}"))
                .boxed(),
            FieldType::Clock => (0..24, 0..60)
                .prop_map(|(h, m)| format!("{h:02}{m:02}"))
                .boxed(),
            FieldType::Code(entries) => (0..entries.len())
                .prop_map(|i| entries[i].code.to_owned())
                .boxed(),
            FieldType::Kind => "[a-z][a-z0-9_]{0,20}".boxed(),
            FieldType::Int(max) => (0..10u32.pow(max as u32))
                .prop_map(|n| n.to_string())
                .boxed(),
            FieldType::SignedDecimal(_) => "-?(0|[1-9][0-9]?)(\\.[0-9]{1,4})?".boxed(),
            FieldType::Identifier(_) => "[a-z:;,\\\\]{1,9}\\|[!-~あ]([ -~]{0,9}[!-~])?".boxed(),
        }
    }

    fn text(max: usize) -> BoxedStrategy<String> {
        let max = max.min(12);
        prop_oneof![
            proptest::string::string_regex(&format!("[a\\\\;,\" |か]{{1,{max}}}")).unwrap(),
            proptest::string::string_regex(&format!("\\PC{{1,{max}}}")).unwrap(),
        ]
        .boxed()
    }

    /// Rows with random values and the key of their number.
    fn rows(list: &'static List) -> impl Strategy<Value = Vec<Row>> {
        let values: Vec<_> = list
            .fields
            .iter()
            .map(|field| {
                let count = if field.list {
                    0..4
                } else {
                    usize::from(field.required)..2
                };
                proptest::collection::vec(value(field.ty), count)
            })
            .collect();
        proptest::collection::vec((values, any::<bool>()), 0..4).prop_map(move |drafts| {
            let mut rows = Vec::new();
            for (values, provisional) in drafts {
                let mut row = Row::new(list);
                row.provisional = provisional && list.provisional;
                for (field, texts) in list.fields.iter().zip(&values) {
                    for text in texts {
                        // NFC may make a text longer than its maximum; then it stays out.
                        let _ = row.put(field.name, text);
                    }
                }
                rows.push(row);
            }
            rows
        })
    }

    fn any_rows() -> impl Strategy<Value = (&'static List, Vec<Row>)> {
        (0..List::ALL.len()).prop_flat_map(|i| {
            let list = List::ALL[i];
            (Just(list), rows(list))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back((list, rows) in any_rows()) {
            // Rows that would be refused as they are (a ledger number missing, a key twice)
            // are of no interest here.
            let mut json = Vec::new();
            write_json(&rows, &mut json).unwrap();
            let read = read_json(list, &json[..], &Options::default()).unwrap();
            prop_assume!(!read.faults.refuses());
            prop_assert_eq!(&read.rows, &rows);
            let mut csv = Vec::new();
            write_csv(list, &rows, &mut csv).unwrap();
            let read = read_csv(list, &csv[..], Charset::Utf8, &Options::default()).unwrap();
            prop_assert_eq!(read.faults.kept(), &[]);
            prop_assert_eq!(&read.rows, &rows);
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for charset in [Charset::Utf8, Charset::Cp932] {
                read_csv(&PARTICIPANTS, &bytes[..], charset, &Options::default()).unwrap();
            }
            read_json(&PARTICIPANTS, &bytes[..], &Options::default()).unwrap();
        }
    }
}
