//! Registries as CSV, the way Japanese spreadsheets write it.
//!
//! A header row of field names, columns in any order; an empty cell is absent. The cells of
//! list fields separate items by `;`, a literal one written `\;` (external identifiers also
//! by a line feed). White space around an item counts only in texts. A backslash is one
//! wherever no `;` follows it; a run of them before a `;` is written twice.

use std::borrow::Cow;
use std::io::{self, Read};

use super::csv_records::{Charset, Next, Records};
use super::field_type::FieldType;
use super::list::List;
use super::read::{Column, Draft, Options, PROVISIONAL, ReadRows};
use crate::fault::{Area, Code, Fault, Place, shorten};

/// Reads a list from CSV.
///
/// Rows in which every cell is empty are passed over and not counted. A required column that
/// is missing is told once, at the first row that lacks it.
///
/// # Errors
/// Those of `source`. What is wrong with the text is told in [`ReadRows::faults`].
pub fn read_csv(
    list: &'static List,
    source: impl Read,
    charset: Charset,
    options: &Options<'_>,
) -> io::Result<ReadRows> {
    let mut records = Records::new(source, charset);
    let mut draft = Draft::new(list, options);
    if !advance(&mut records, &mut draft)? {
        if draft.faults.total() == 0 {
            let fault = Fault::new(Code::Type, "", Place { line: 1, column: 1 });
            draft.tell(fault.expected("a header row of field names"));
        }
        return Ok(draft.done());
    }
    let columns = read_header(&records, &mut draft);
    while !draft.faults.is_full() && advance(&mut records, &mut draft)? {
        draft.begin(records.place(0));
        for (cell, &column) in columns.iter().enumerate() {
            read_cell(&records, cell, column, &mut draft);
        }
        let mut further = columns.len()..records.cells();
        if let Some(cell) = further.find(|&cell| !records.bytes(cell).is_empty()) {
            read_cell(&records, cell, Column::Unknown, &mut draft);
        }
        draft.end();
    }
    Ok(draft.done())
}

/// Reads the next record; a broken one is told and ends the file.
fn advance<R: Read>(records: &mut Records<R>, draft: &mut Draft<'_>) -> io::Result<bool> {
    match records.advance()? {
        Next::Record => Ok(true),
        Next::End => Ok(false),
        Next::Broken(expected) => {
            let place = records.place(records.cells().saturating_sub(1));
            draft.begin(place);
            draft.wrong_type(&[], place, expected, "");
            Ok(false)
        }
    }
}

/// What the columns are, in their order; those that are nothing are told here, once.
fn read_header<R: Read>(records: &Records<R>, draft: &mut Draft<'_>) -> Vec<Column> {
    draft.begin(records.place(0));
    let mut columns = Vec::with_capacity(records.cells());
    let mut found = 0u64;
    for cell in 0..records.cells() {
        let name = records.charset.decode_lossy(records.bytes(cell));
        let name = name.trim();
        let mut column = draft.column(name);
        // A spreadsheet may leave columns without a name, and that is fine while they are empty.
        if !name.is_empty() && !draft.see(column, &shorten(name), records.place(cell)) {
            column = Column::Passed;
        }
        if let Column::Field(i) = column {
            found |= 1 << i;
        }
        columns.push(column);
    }
    draft.no_column = !found;
    columns
}

/// Reads a cell into the row. One without a column is told.
fn read_cell<R: Read>(records: &Records<R>, cell: usize, column: Column, draft: &mut Draft<'_>) {
    let bytes = records.bytes(cell);
    if bytes.is_empty() || column == Column::Passed {
        return;
    }
    let place = records.place(cell);
    let name = match column {
        Column::Field(i) => Cow::Borrowed(draft.list.fields[i].name),
        Column::Provisional => Cow::Borrowed(PROVISIONAL),
        Column::Unknown | Column::Passed => Cow::Owned(cell.to_string()),
    };
    let Some(text) = records.charset.decode(bytes) else {
        if let Column::Field(i) = column {
            draft.refuse(i);
        }
        let found = records.charset.decode_lossy(bytes);
        let fault = Fault::new(Code::Type, draft.pointer(&[&name]), place);
        let fault = fault.area(Area::Encoding);
        draft.tell(fault.expected(records.charset.in_words()).found(&found));
        return;
    };
    match column {
        Column::Field(i) if draft.list.fields[i].list => {
            for (n, item) in split_items(&text, draft.list.fields[i].ty)
                .iter()
                .enumerate()
            {
                draft.put(i, Some(n), item, place);
            }
        }
        Column::Field(i) => draft.put(i, None, &text, place),
        Column::Provisional => match text.to_ascii_lowercase().as_str() {
            "true" => draft.row.provisional = true,
            "false" => {}
            _ => draft.wrong_type(&[&name], place, "true or false", &text),
        },
        Column::Unknown | Column::Passed => {
            let fault = Fault::new(Code::UnknownField, draft.pointer(&[&name]), place);
            draft.tell(
                fault
                    .expected("a cell under the name of a field")
                    .found(&text),
            );
        }
    }
}

/// The items of a cell. A `;` with an odd number of backslashes before it is a literal one;
/// of backslashes before a `;`, two are one.
fn split_items(cell: &str, ty: FieldType) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut backslashes = 0;
    for c in cell.chars() {
        let Some(item) = items.last_mut() else { break };
        let separates = match c {
            '\\' => {
                backslashes += 1;
                continue;
            }
            ';' => {
                item.extend(std::iter::repeat_n('\\', backslashes / 2));
                backslashes % 2 == 0
            }
            _ => {
                item.extend(std::iter::repeat_n('\\', backslashes));
                c == '\n' && matches!(ty, FieldType::Identifier(_))
            }
        };
        backslashes = 0;
        if separates {
            items.push(String::new());
        } else {
            item.push(c);
        }
    }
    if let Some(item) = items.last_mut() {
        item.extend(std::iter::repeat_n('\\', backslashes));
    }
    if ty.ignores_outer_space() {
        for item in &mut items {
            *item = item.trim().to_owned();
        }
        items.retain(|item| !item.is_empty());
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{CONSORTIA, DEVICES, LABORATORIES, PARTICIPANTS};

    fn read(list: &'static List, bytes: &[u8], charset: Charset) -> ReadRows {
        read_csv(list, bytes, charset, &Options::default()).unwrap()
    }

    fn faults(list: &'static List, text: &str) -> Vec<(Code, String, u32, u32)> {
        let faults = read(list, text.as_bytes(), Charset::Utf8)
            .faults
            .into_kept();
        faults
            .into_iter()
            .map(|f| (f.code, f.pointer, f.line, f.column))
            .collect()
    }

    #[test]
    fn columns_come_in_any_order_and_empty_cells_are_absent() {
        let text = "\u{FEFF}\"consortium_name\",end_date,consortium_id\r\n健康の会,,A00001\r\n";
        let got = read(&CONSORTIA, text.as_bytes(), Charset::Utf8);
        assert_eq!(got.faults.kept(), []);
        assert_eq!(got.rows[0].text("consortium_name"), Some("健康の会"));
        assert_eq!(got.rows[0].text("end_date"), None);
    }

    #[test]
    fn a_spreadsheet_in_cp932_is_read() {
        // 表 and ソ end in 0x5C, which is a backslash in ASCII; ① is Microsoft's own.
        let text = "consortium_id,consortium_name\r\nA00001,\"表,ソ①～\"\r\n";
        let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(text);
        assert_eq!(Charset::parse("Shift_JIS"), Some(Charset::Cp932));
        assert_eq!(Charset::parse("utf-16"), None);
        let got = read(&CONSORTIA, &bytes, Charset::Cp932);
        assert_eq!(got.rows[0].text("consortium_name"), Some("表,ソ①～"));
        assert_eq!(Charset::detect(&bytes[..]).unwrap(), Charset::Cp932);
        assert_eq!(Charset::detect(text.as_bytes()).unwrap(), Charset::Utf8);
        let got = read(&CONSORTIA, &bytes, Charset::Utf8);
        let fault = &got.faults.kept()[0];
        assert_eq!((fault.code, fault.line, fault.column), (Code::Type, 2, 8));
        assert_eq!(fault.pointer, "/0/consortium_name");
        assert_eq!(fault.expected, "UTF-8");
    }

    #[test]
    fn places_are_those_of_the_file_whatever_its_line_ends() {
        for newline in ["\n", "\r\n"] {
            let text = [
                "consortium_id,consortium_name,start_date",
                "",
                "A00001,\"二",
                "行\",20160931",
                ",,",
                "A00002,\"会\"\"\",2016",
                "A-3,会,",
            ]
            .join(newline);
            assert_eq!(
                faults(&CONSORTIA, &text),
                [
                    (Code::Type, "/0/consortium_name".into(), 3, 8),
                    (Code::TimeInvalid, "/0/start_date".into(), 4, 4),
                    (Code::TimeInvalid, "/1/start_date".into(), 6, 14),
                    (Code::Type, "/2/consortium_id".into(), 7, 1),
                ],
                "{newline:?}"
            );
        }
    }

    #[test]
    fn the_header_names_known_columns_once() {
        let text = "consortium_id,name,consortium_id,\nA00001,x,A00001,\nA00002,x,,y\n";
        assert_eq!(
            faults(&CONSORTIA, text),
            [
                (Code::UnknownField, "/0/name".into(), 1, 15),
                (Code::DuplicateKey, "/0/consortium_id".into(), 1, 20),
                (Code::RequiredMissing, "/0/consortium_name".into(), 2, 1),
                (Code::UnknownField, "/1/3".into(), 3, 11),
            ]
        );
        assert_eq!(faults(&CONSORTIA, ""), [(Code::Type, String::new(), 1, 1)]);
        assert_eq!(faults(&CONSORTIA, "consortium_id\n"), []);
    }

    #[test]
    fn items_are_separated_by_semicolons() {
        let items = |cell: &str, ty| split_items(cell, ty);
        let text = FieldType::Text(99);
        assert_eq!(items("a;b", text), ["a", "b"]);
        assert_eq!(items("a\\;b", text), ["a;b"]);
        assert_eq!(items("a\\\\;b\\", text), ["a\\", "b\\"]);
        assert_eq!(items("C:\\x; y", text), ["C:\\x", " y"]);
        let identifier = FieldType::Identifier(99);
        assert_eq!(
            items("u|1\r\nu|2;\nu|3\n", identifier),
            ["u|1", "u|2", "u|3"]
        );
        let csv = "consortium_id,person_id,birth_year_month,sex_code,participation_start_date,\
                   medication_codes,external_identifiers\n\
                   A00001,P1,196104,1,20160901,1; 4,\"urn:x|a\\;b\nurn:y|2\"\n";
        let got = read(&PARTICIPANTS, csv.as_bytes(), Charset::Utf8);
        assert_eq!(got.faults.kept(), []);
        assert_eq!(got.rows[0].items("medication_codes"), ["1", "4"]);
        assert_eq!(
            got.rows[0].items("external_identifiers"),
            ["urn:x|a;b", "urn:y|2"]
        );
    }

    #[test]
    fn numbers_and_provisional_rows_are_read() {
        let csv = "model_manufacturer_code,model_number,device_name,device_type_code,\
                   mean_error_percent\nACME,1,x,1,-1.20\nACME,2,x,1,1.2.3\n";
        let got = read(&DEVICES, csv.as_bytes(), Charset::Utf8);
        assert_eq!(got.rows[0].text("mean_error_percent"), Some("-1.20"));
        assert_eq!(got.faults.kept()[0].code, Code::Type);
        let csv = "consortium_id,test_lab_id,provisional\nA00001,1,true\nA00001,2,TRUE\n";
        let got = read(&LABORATORIES, csv.as_bytes(), Charset::Utf8);
        assert!(got.rows.iter().all(|row| row.provisional));
        assert_eq!(got.rows.len(), 2);
        let got = faults(
            &LABORATORIES,
            "consortium_id,test_lab_id,provisional\nA00001,1,yes\n",
        );
        assert_eq!(got[0], (Code::Type, "/0/provisional".into(), 2, 10));
    }

    #[test]
    fn a_record_without_end_is_refused() {
        let open = faults(&CONSORTIA, "consortium_id,consortium_name\nA00001,\"x\n");
        assert_eq!(open, [(Code::Type, "/0".into(), 2, 8)]);
        let long = format!(
            "consortium_id,consortium_name\nA00001,\"{}",
            "x\n".repeat(1 << 20)
        );
        assert_eq!(faults(&CONSORTIA, &long), [(Code::Type, "/0".into(), 2, 8)]);
    }
}
