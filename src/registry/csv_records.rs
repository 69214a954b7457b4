//! The records and cells of a CSV file (RFC 4180), its characters, and where each cell is.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use crate::fault::Place;

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
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Charset::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Charset::Cp932 => {
                encoding_rs::SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes)
            }
        }
    }

    pub(super) fn decode_lossy(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes),
            Charset::Cp932 => encoding_rs::SHIFT_JIS.decode_without_bom_handling(bytes).0,
        }
    }

    /// The name told in faults.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Charset::Utf8 => "UTF-8",
            Charset::Cp932 => "CP932",
        }
    }
}

/// The longest record that is read, in bytes.
const RECORD_MAX: u64 = 1 << 20;
/// The most cells of a record that is read: far more than any list has fields.
const CELLS_MAX: usize = 200;

/// What [`Records::advance`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A record.
    Record,
    /// The end of the file.
    End,
    /// Something that cannot be read on from; what was expected.
    Broken(&'static str),
}

/// Splits a file into records and cells (RFC 4180), and knows where each cell is.
///
/// (Why not the csv crate: it gives no columns, and its lines are off by one after CRLF and
/// by the blank lines before a record.)
pub(super) struct Records<R> {
    source: BufReader<R>,
    pub charset: Charset,
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
    /// The records of `source`.
    pub fn new(source: R, charset: Charset) -> Records<R> {
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

    /// Reads the next record that is not empty.
    ///
    /// # Errors
    /// Those of the source.
    pub fn advance(&mut self) -> io::Result<Next> {
        loop {
            let state = self.read_record()?;
            return Ok(if self.raw.is_empty() {
                Next::End
            } else if self.raw.len() as u64 >= RECORD_MAX {
                Next::Broken("a record of at most 1 MiB")
            } else if self.cells.len() > CELLS_MAX {
                Next::Broken("a record of at most 200 cells")
            } else if state == State::Quoted {
                Next::Broken("a closing quotation mark")
            } else if self.text.is_empty() {
                continue;
            } else {
                Next::Record
            });
        }
    }

    /// How many cells the record has.
    pub fn cells(&self) -> usize {
        self.cells.len()
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

    /// What a cell holds, without its quotes.
    pub fn bytes(&self, cell: usize) -> &[u8] {
        self.cells
            .get(cell)
            .map_or(&[], |cell| &self.text[cell.range.clone()])
    }

    /// Where a cell begins.
    pub fn place(&self, cell: usize) -> Place {
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
    fn cells_come_without_their_quotes() {
        let text = "a,\"b\"\"\r\nc\",,5\" x\n\n,\r\n\"last\"";
        let mut records = Records::new(text.as_bytes(), Charset::Utf8);
        let mut got = Vec::new();
        while records.advance().unwrap() == Next::Record {
            for cell in 0..records.cells() {
                let place = records.place(cell);
                let text = String::from_utf8_lossy(records.bytes(cell)).into_owned();
                got.push((text, place.line, place.column));
            }
        }
        let expected = [
            ("a", 1, 1),
            ("b\"\r\nc", 1, 3),
            ("", 2, 4),
            ("5\" x", 2, 5),
            ("last", 5, 1),
        ];
        assert_eq!(
            got,
            expected.map(|(text, line, column)| (text.to_owned(), line, column))
        );
    }

    #[test]
    fn cells_are_bounded() {
        let text = ",".repeat(CELLS_MAX);
        let mut records = Records::new(text.as_bytes(), Charset::Utf8);
        assert!(matches!(records.advance().unwrap(), Next::Broken(_)));
    }
}
