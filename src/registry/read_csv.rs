//! Registries as CSV, the way Japanese spreadsheets write it.
//!
//! A header row of field names, columns in any order; an empty cell is absent. The cells of
//! list fields separate items by `;`, a literal one written `\;` (external identifiers also
//! by a line feed). White space around an item counts only in texts. A backslash is one
//! wherever no `;` follows it; a run of them before a `;` is written twice.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use super::field_type::FieldType;
use super::list::List;
use super::read::{Column, Draft, Options, PROVISIONAL, ReadRows};
use crate::fault::{Code, Fault, Place, shorten};

/// How a CSV file writes its characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charset {
    /// UTF-8, with or without a byte-order mark.
    #[default]
    Utf8,
    /// CP932, Microsoft's Shift_JIS.
    Cp932,
}

impl Charset {
    /// The charset of this name, as in `Content-Type: text/csv; charset=…`; `None` for one
    /// that is not read.
    pub fn parse(name: &str) -> Option<Charset> {
        match name.trim().trim_matches('"').to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" => Some(Charset::Utf8),
            "shift_jis" | "shift-jis" | "sjis" | "cp932" | "windows-31j" | "ms932"
            | "csshiftjis" | "x-sjis" => Some(Charset::Cp932),
            _ => None,
        }
    }

    /// The charset of a file that does not say it: UTF-8 where all of it is, else CP932.
    ///
    /// # Errors
    /// Those of `source`, which is read to its end.
    pub fn detect(source: impl Read) -> io::Result<Charset> {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while source
            .by_ref()
            .take(RECORD_MAX)
            .read_until(b'\n', &mut line)?
            > 0
        {
            match std::str::from_utf8(&line) {
                Ok(_) => line.clear(),
                // A line longer than the block may be cut in a character: it goes on.
                Err(cut) if cut.error_len().is_none() && !line.ends_with(b"\n") => {
                    line.drain(..cut.valid_up_to());
                    if source.fill_buf()?.is_empty() {
                        return Ok(Charset::Cp932);
                    }
                }
                Err(_) => return Ok(Charset::Cp932),
            }
        }
        Ok(Charset::Utf8)
    }

    /// The text, or `None` where the bytes are none.
    fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Charset::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Charset::Cp932 => {
                encoding_rs::SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes)
            }
        }
    }

    fn decode_lossy(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes),
            Charset::Cp932 => encoding_rs::SHIFT_JIS.decode_without_bom_handling(bytes).0,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Charset::Utf8 => "UTF-8",
            Charset::Cp932 => "CP932",
        }
    }
}

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
    if !records.advance(&mut draft)? {
        if draft.faults.total() == 0 {
            let fault = Fault::new(Code::Type, "", Place { line: 1, column: 1 });
            draft.tell(fault.expected("a header row of field names"));
        }
        return Ok(draft.done());
    }
    let columns = read_header(&records, &mut draft);
    while records.advance(&mut draft)? {
        draft.begin(records.place(0));
        for cell in 0..records.cells.len() {
            read_cell(&records, cell, columns.get(cell), &mut draft);
        }
        draft.end();
    }
    Ok(draft.done())
}

/// What the columns are, in their order; those that are nothing are told here, once.
fn read_header<R: Read>(records: &Records<R>, draft: &mut Draft<'_>) -> Vec<Column> {
    draft.begin(records.place(0));
    let mut columns = Vec::with_capacity(records.cells.len());
    let mut found = 0u64;
    for cell in 0..records.cells.len() {
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

fn read_cell<R: Read>(
    records: &Records<R>,
    cell: usize,
    column: Option<&Column>,
    draft: &mut Draft<'_>,
) {
    let bytes = records.bytes(cell);
    if bytes.is_empty() || column == Some(&Column::Passed) {
        return;
    }
    let place = || records.place(cell);
    let name = match column {
        Some(Column::Field(i)) => Cow::Borrowed(draft.list.fields[*i].name),
        Some(Column::Provisional) => Cow::Borrowed(PROVISIONAL),
        _ => Cow::Owned(cell.to_string()),
    };
    let Some(text) = records.charset.decode(bytes) else {
        if let Some(Column::Field(i)) = column {
            draft.refuse(*i);
        }
        let found = records.charset.decode_lossy(bytes).into_owned();
        let fault = Fault::new(Code::Type, draft.pointer(&[&name]), place());
        draft.tell(fault.expected(records.charset.in_words()).found(&found));
        return;
    };
    match column {
        Some(&Column::Field(i)) if draft.list.fields[i].list => {
            for (n, item) in split_items(&text, draft.list.fields[i].ty)
                .iter()
                .enumerate()
            {
                draft.put(i, Some(n), item, place());
            }
        }
        Some(&Column::Field(i)) => draft.put(i, None, &text, place()),
        Some(Column::Provisional) => match text.to_ascii_lowercase().as_str() {
            "true" => draft.row.provisional = true,
            "false" => {}
            _ => draft.wrong_type(&[&name], place(), "true or false"),
        },
        _ => {
            let fault = Fault::new(Code::UnknownField, draft.pointer(&[&name]), place());
            draft.tell(
                fault
                    .expected("no more cells than the header has")
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

/// The longest record that is read, in bytes.
const RECORD_MAX: u64 = 1 << 20;

/// Splits a file into records and cells (RFC 4180), and knows where each cell is.
///
/// (Why not the csv crate: it gives no columns, and its lines are off by one after CRLF and
/// by the blank lines before a record.)
struct Records<R> {
    source: BufReader<R>,
    charset: Charset,
    /// The record as it was read.
    raw: Vec<u8>,
    /// The cells without their quotes, one after the other.
    text: Vec<u8>,
    cells: Vec<Cell>,
    /// The line on which the record begins, and the one after it.
    line: u32,
    next_line: u32,
}

/// A cell: where it begins in `raw`, and its range of `text`.
struct Cell {
    at: usize,
    range: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// After a quotation mark inside of quotes: the end, or half of a doubled one.
    Quote,
}

impl<R: Read> Records<R> {
    fn new(source: R, charset: Charset) -> Records<R> {
        Records {
            source: BufReader::with_capacity(64 << 10, source),
            charset,
            raw: Vec::new(),
            text: Vec::new(),
            cells: Vec::new(),
            line: 0,
            next_line: 1,
        }
    }

    /// Reads the next record that is not empty; false at the end. A record without an end is
    /// told to `draft` and ends the file.
    fn advance(&mut self, draft: &mut Draft<'_>) -> io::Result<bool> {
        loop {
            let state = self.read_record()?;
            if self.raw.is_empty() {
                return Ok(false);
            }
            let expected = if self.raw.len() as u64 >= RECORD_MAX {
                "a record of at most 1 MiB"
            } else if state == State::Quoted {
                "a closing quotation mark"
            } else if self.text.is_empty() {
                continue;
            } else {
                return Ok(true);
            };
            let last = self.cells.len().saturating_sub(1);
            draft.begin(self.place(last));
            draft.wrong_type(&[], self.place(last), expected);
            return Ok(false);
        }
    }

    /// Reads lines into `raw` and `cells` until no quote is open.
    fn read_record(&mut self) -> io::Result<State> {
        self.raw.clear();
        self.text.clear();
        self.cells.clear();
        self.line = self.next_line;
        let mut state = State::CellStart;
        loop {
            let from = self.raw.len();
            let room = RECORD_MAX - from as u64;
            let read = self
                .source
                .by_ref()
                .take(room)
                .read_until(b'\n', &mut self.raw)?;
            if self.line == 1 && from == 0 && self.raw.starts_with(b"\xEF\xBB\xBF") {
                self.raw.drain(..3);
            }
            if read > 0 {
                self.next_line = self.next_line.saturating_add(1);
                state = self.split_line(from, state);
            }
            if read == 0 || state != State::Quoted {
                self.end_cell();
                return Ok(state);
            }
        }
    }

    /// Takes the cells of the line that begins at `from`, and those it goes on with.
    fn split_line(&mut self, from: usize, mut state: State) -> State {
        if state == State::CellStart {
            self.begin_cell(from);
        }
        for i in from..self.raw.len() {
            let byte = self.raw[i];
            state = match (state, byte) {
                (State::Quoted, b'"') => State::Quote,
                (State::Quoted, _) => {
                    self.text.push(byte);
                    State::Quoted
                }
                (State::CellStart, b'"') => State::Quoted,
                (State::Quote, b'"') => {
                    self.text.push(b'"');
                    State::Quoted
                }
                (_, b',') => {
                    self.end_cell();
                    self.begin_cell(i + 1);
                    State::CellStart
                }
                (_, b'\n') => return state,
                (_, b'\r') if matches!(self.raw.get(i + 1), None | Some(b'\n')) => state,
                _ => {
                    self.text.push(byte);
                    State::Plain
                }
            };
        }
        state
    }

    fn begin_cell(&mut self, at: usize) {
        let start = self.text.len();
        self.cells.push(Cell {
            at,
            range: start..start,
        });
    }

    fn end_cell(&mut self) {
        if let Some(cell) = self.cells.last_mut() {
            cell.range.end = self.text.len();
        }
    }

    fn bytes(&self, cell: usize) -> &[u8] {
        self.cells
            .get(cell)
            .map_or(&[], |cell| &self.text[cell.range.clone()])
    }

    /// Where a cell begins.
    fn place(&self, cell: usize) -> Place {
        let before = self
            .cells
            .get(cell)
            .map_or(&[][..], |cell| &self.raw[..cell.at]);
        let lines = memchr::memchr_iter(b'\n', before).count();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let characters = self
            .charset
            .decode_lossy(&before[line_start..])
            .chars()
            .count();
        Place {
            line: self
                .line
                .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX)),
            column: u32::try_from(characters + 1).unwrap_or(u32::MAX),
        }
    }
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
    fn a_charset_is_told_from_a_long_line_too() {
        let mut text = "体".repeat(RECORD_MAX as usize);
        assert_eq!(Charset::detect(text.as_bytes()).unwrap(), Charset::Utf8);
        text.insert(0, 'a');
        assert_eq!(Charset::detect(text.as_bytes()).unwrap(), Charset::Utf8);
        let cut = &text.as_bytes()[..text.len() - 1];
        assert_eq!(Charset::detect(cut).unwrap(), Charset::Cp932);
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
