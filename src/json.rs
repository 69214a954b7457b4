//! A streaming JSON reader that knows where it is.
//!
//! In: any [`Read`], in blocks. Out: [`Event`]s, each with the line and column
//! (in characters) where its value begins, numbers as they were written. Memory
//! is bounded by the block and by [`TEXT_MAX`], whatever is sent: nesting deeper
//! than [`DEPTH_MAX`] and longer strings are refused.
//!
//! Both sides of the bridge read through it: the protocol reader works on the
//! events, FHIR in builds a [`crate::tape::Tape`] for one resource at a time.
//! (Why not a library: none gives characters as columns, numbers as text, bounded
//! strings and a block reader at the speed of the parse floor; see ARCHITECTURE.md.)

use std::io::{self, Read};

use crate::fault::Place;

/// The deepest nesting that is read.
pub const DEPTH_MAX: usize = 64;
/// The longest string, key or number that is read, in bytes.
pub const TEXT_MAX: usize = 16 << 20;
const BLOCK: usize = 64 << 10;

/// What the reader met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// A member's name; [`Reader::text`] is the name.
    Key,
    /// A string; [`Reader::text`] is its content.
    String,
    /// A number; [`Reader::text`] is the number as written.
    Number,
    /// `true` or `false`; [`Reader::text`] tells which.
    Bool,
    /// `null`
    Null,
    /// The document is over and nothing but white space follows.
    End,
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not JSON.
    #[error("line {}, column {}: {reason}", place.line, place.column)]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: &'static str,
    },
    /// The source failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Result of reading.
pub type Result<T> = std::result::Result<T, Error>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// A value, or `]` right after `[`.
    Value {
        or_end: bool,
    },
    /// A key, or `}` right after `{`.
    Key {
        or_end: bool,
    },
    Colon,
    CommaOrEnd,
    /// The root value is complete.
    Done,
}

/// The reader.
pub struct Reader<R> {
    source: R,
    buf: Box<[u8]>,
    pos: usize,
    end: usize,
    eof: bool,
    /// Bytes of the source before `buf[0]`.
    base: u64,
    line: u32,
    /// Absolute offset of the first byte of the line.
    line_start: u64,
    /// UTF-8 continuation bytes seen on this line, so that columns count characters.
    continuation: u64,
    place: Place,
    /// One bit a level: true for an object.
    stack: Vec<bool>,
    expect: Expect,
    /// The last text: a range of `buf`, or `scratch` where it was not contiguous.
    text: Text,
    scratch: Vec<u8>,
    /// Where the value being captured begins in `buf`, if it is still there.
    mark: Option<usize>,
}

#[derive(Clone, Copy)]
enum Text {
    Buffer(usize, usize),
    Scratch,
    Static(&'static str),
}

impl<R: Read> Reader<R> {
    /// A reader at the beginning of `source`. A byte-order mark is dropped.
    pub fn new(source: R) -> Self {
        Reader {
            source,
            buf: vec![0; BLOCK].into_boxed_slice(),
            pos: 0,
            end: 0,
            eof: false,
            base: 0,
            line: 1,
            line_start: 0,
            continuation: 0,
            place: Place { line: 1, column: 1 },
            stack: Vec::with_capacity(16),
            expect: Expect::Value { or_end: false },
            text: Text::Static(""),
            scratch: Vec::new(),
            mark: None,
        }
    }

    /// Where the last event's value begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.base + self.pos as u64
    }

    /// The depth of nesting after the last event.
    pub fn depth(&self) -> usize {
        self.stack.len()
    }

    /// The text of the last key, string, number or boolean.
    pub fn text(&self) -> &str {
        match self.text {
            // Both were checked to be UTF-8 when they were read.
            Text::Buffer(from, to) => std::str::from_utf8(&self.buf[from..to]).unwrap_or_default(),
            Text::Scratch => std::str::from_utf8(&self.scratch).unwrap_or_default(),
            Text::Static(s) => s,
        }
    }

    /// Starts keeping the bytes from the last event's first byte, a `{` or `[`, on.
    pub fn start_capture(&mut self) {
        self.mark = Some(self.pos - 1);
    }

    /// The bytes since [`Reader::start_capture`], unless they outgrew the block.
    pub fn end_capture(&mut self) -> Option<&[u8]> {
        let from = self.mark.take()?;
        Some(&self.buf[from..self.pos])
    }

    /// The next event.
    ///
    /// # Errors
    /// [`Error::Syntax`] where the text is not JSON, and at the same place again
    /// when called once more; [`Error::Io`] when the source fails.
    #[expect(
        clippy::should_implement_trait,
        reason = "fallible, and the text is lent by the reader"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Event> {
        loop {
            let Some(byte) = self.skip_space()? else {
                if self.expect == Expect::Done {
                    return Ok(Event::End);
                }
                return Err(self.syntax("the text ends in the middle"));
            };
            match self.expect {
                Expect::Colon => {
                    if byte != b':' {
                        return Err(self.syntax("expected a colon"));
                    }
                    self.pos += 1;
                    self.expect = Expect::Value { or_end: false };
                }
                Expect::CommaOrEnd => {
                    let object = self.stack.last() == Some(&true);
                    match byte {
                        b',' => {
                            self.pos += 1;
                            self.expect = if object {
                                Expect::Key { or_end: false }
                            } else {
                                Expect::Value { or_end: false }
                            };
                        }
                        b'}' if object => return Ok(self.close(Event::ObjectEnd)),
                        b']' if !object => return Ok(self.close(Event::ArrayEnd)),
                        _ if object => return Err(self.syntax("expected a comma or }")),
                        _ => return Err(self.syntax("expected a comma or ]")),
                    }
                }
                Expect::Key { or_end } => match byte {
                    b'"' => {
                        self.begin();
                        self.string()?;
                        self.expect = Expect::Colon;
                        return Ok(Event::Key);
                    }
                    b'}' if or_end => return Ok(self.close(Event::ObjectEnd)),
                    _ => return Err(self.syntax("expected a key in quotes")),
                },
                Expect::Value { or_end } => {
                    if byte == b']' && or_end {
                        return Ok(self.close(Event::ArrayEnd));
                    }
                    return self.value(byte);
                }
                Expect::Done => return Err(self.syntax("text after the end of the document")),
            }
        }
    }

    /// Like [`Reader::next`], but a further document may follow the first (NDJSON).
    /// `End` comes when the source is exhausted between two documents.
    pub fn next_document(&mut self) -> Result<Event> {
        if self.expect == Expect::Done {
            self.expect = Expect::Value { or_end: false };
        }
        if self.stack.is_empty()
            && self.expect == (Expect::Value { or_end: false })
            && self.skip_space()?.is_none()
        {
            self.expect = Expect::Done;
            return Ok(Event::End);
        }
        self.next()
    }

    /// Reads past the value whose first event was just returned.
    pub fn skip(&mut self, first: Event) -> Result<()> {
        if !matches!(first, Event::ObjectStart | Event::ArrayStart) {
            return Ok(());
        }
        let depth = self.stack.len();
        while self.stack.len() >= depth {
            self.next()?;
        }
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<Event> {
        self.begin();
        let event = match byte {
            b'{' => {
                self.open(true)?;
                self.expect = Expect::Key { or_end: true };
                return Ok(Event::ObjectStart);
            }
            b'[' => {
                self.open(false)?;
                self.expect = Expect::Value { or_end: true };
                return Ok(Event::ArrayStart);
            }
            b'"' => {
                self.string()?;
                Event::String
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Event::Number
            }
            b't' => {
                self.literal("true")?;
                Event::Bool
            }
            b'f' => {
                self.literal("false")?;
                Event::Bool
            }
            b'n' => {
                self.literal("null")?;
                Event::Null
            }
            _ => return Err(self.syntax("expected a value")),
        };
        self.after_value();
        Ok(event)
    }

    fn open(&mut self, object: bool) -> Result<()> {
        if self.stack.len() == DEPTH_MAX {
            return Err(self.syntax("nested too deep"));
        }
        self.pos += 1;
        self.stack.push(object);
        Ok(())
    }

    fn close(&mut self, event: Event) -> Event {
        self.begin();
        self.pos += 1;
        self.stack.pop();
        self.after_value();
        event
    }

    fn after_value(&mut self) {
        self.expect = if self.stack.is_empty() {
            Expect::Done
        } else {
            Expect::CommaOrEnd
        };
    }

    /// Notes the place of the byte at `pos`.
    fn begin(&mut self) {
        self.place = self.here();
    }

    /// Where the next byte stands.
    pub fn here(&self) -> Place {
        let column = self.offset() - self.line_start - self.continuation + 1;
        Place {
            line: self.line,
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    fn syntax(&self, reason: &'static str) -> Error {
        Error::Syntax {
            place: self.here(),
            reason,
        }
    }

    /// Skips white space and gives the next byte without taking it.
    #[inline]
    fn skip_space(&mut self) -> Result<Option<u8>> {
        loop {
            while self.pos < self.end {
                match self.buf[self.pos] {
                    b' ' | b'\t' | b'\r' => self.pos += 1,
                    b'\n' => {
                        self.pos += 1;
                        self.line = self.line.saturating_add(1);
                        self.line_start = self.base + self.pos as u64;
                        self.continuation = 0;
                    }
                    byte => return Ok(Some(byte)),
                }
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads a further block. Keeps what is captured; false at the end of the source.
    fn fill(&mut self) -> Result<bool> {
        if self.eof {
            return Ok(false);
        }
        let keep = match self.mark {
            // A capture that fills more than half the block is given up: it is bounded.
            Some(mark) if self.end - mark <= BLOCK / 2 => mark,
            _ => {
                self.mark = None;
                self.pos
            }
        };
        self.buf.copy_within(keep..self.end, 0);
        self.base += keep as u64;
        self.pos -= keep;
        self.end -= keep;
        if self.mark.is_some() {
            self.mark = Some(0);
        }
        let first = self.base == 0 && self.end == 0;
        loop {
            match self.source.read(&mut self.buf[self.end..]) {
                Ok(0) => {
                    self.eof = true;
                    break;
                }
                Ok(n) => {
                    self.end += n;
                    // Enough to see a byte-order mark at the very beginning.
                    if !first || self.end >= 3 {
                        break;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        if first && self.buf[..self.end].starts_with(b"\xEF\xBB\xBF") {
            self.pos = 3;
            self.line_start = 3;
            if self.pos == self.end {
                return self.fill();
            }
        }
        Ok(self.pos < self.end)
    }

    /// The byte at `pos`, reading a block where needed.
    fn peek(&mut self) -> Result<Option<u8>> {
        if self.pos == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buf[self.pos]))
    }

    fn literal(&mut self, word: &'static str) -> Result<()> {
        for &byte in word.as_bytes() {
            if self.peek()? != Some(byte) {
                return Err(self.syntax("expected true, false or null"));
            }
            self.pos += 1;
        }
        self.text = Text::Static(word);
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let start = self.pos;
        let mut i = start;
        while i < self.end && is_number_byte(self.buf[i]) {
            i += 1;
        }
        if i < self.end {
            self.text = Text::Buffer(start, i);
            self.pos = i;
        } else {
            // At the edge of the block: collect byte by byte.
            self.scratch.clear();
            while let Some(byte) = self.peek()? {
                if !is_number_byte(byte) {
                    break;
                }
                if self.scratch.len() == TEXT_MAX {
                    return Err(self.syntax("a number that is too long"));
                }
                self.scratch.push(byte);
                self.pos += 1;
            }
            self.text = Text::Scratch;
        }
        if is_json_number(self.text().as_bytes()) {
            Ok(())
        } else {
            Err(Error::Syntax {
                place: self.place,
                reason: "not a number",
            })
        }
    }

    #[inline]
    fn string(&mut self) -> Result<()> {
        self.pos += 1;
        let start = self.pos;
        let mut i = start;
        let mut high = 0u8;
        let mut continuation = 0u64;
        while i < self.end {
            let byte = self.buf[i];
            if byte == b'"' {
                if high >= 0x80 && std::str::from_utf8(&self.buf[start..i]).is_err() {
                    return Err(self.syntax("not UTF-8"));
                }
                self.continuation += continuation;
                self.text = Text::Buffer(start, i);
                self.pos = i + 1;
                return Ok(());
            }
            if byte == b'\\' || byte < 0x20 {
                break;
            }
            high |= byte;
            continuation += u64::from(byte & 0xC0 == 0x80);
            i += 1;
        }
        self.string_slow()
    }

    /// A string with escapes, or one that crosses the edge of the block.
    fn string_slow(&mut self) -> Result<()> {
        self.scratch.clear();
        loop {
            let Some(byte) = self.peek()? else {
                return Err(self.syntax("a string without its end"));
            };
            if self.scratch.len() >= TEXT_MAX {
                return Err(self.syntax("a string that is too long"));
            }
            match byte {
                b'"' => {
                    self.pos += 1;
                    if std::str::from_utf8(&self.scratch).is_err() {
                        return Err(self.syntax("not UTF-8"));
                    }
                    self.text = Text::Scratch;
                    return Ok(());
                }
                b'\\' => {
                    self.pos += 1;
                    self.escape()?;
                }
                0..0x20 => return Err(self.syntax("a control character in a string")),
                _ => {
                    self.continuation += u64::from(byte & 0xC0 == 0x80);
                    self.scratch.push(byte);
                    self.pos += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        let Some(byte) = self.peek()? else {
            return Err(self.syntax("a string without its end"));
        };
        self.pos += 1;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut unit = u32::from(self.hex4()?);
                if (0xD800..0xDC00).contains(&unit) {
                    if self.peek()? != Some(b'\\') {
                        return Err(self.syntax("half a surrogate pair"));
                    }
                    self.pos += 1;
                    if self.peek()? != Some(b'u') {
                        return Err(self.syntax("half a surrogate pair"));
                    }
                    self.pos += 1;
                    let low = u32::from(self.hex4()?);
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(self.syntax("half a surrogate pair"));
                    }
                    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                }
                let Some(c) = char::from_u32(unit) else {
                    return Err(self.syntax("half a surrogate pair"));
                };
                self.scratch
                    .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => {
                self.pos -= 1;
                return Err(self.syntax("an escape that JSON does not have"));
            }
        };
        self.scratch.push(plain);
        Ok(())
    }

    fn hex4(&mut self) -> Result<u16> {
        let mut unit = 0u16;
        for _ in 0..4 {
            let digit = match self.peek()? {
                Some(byte) => (byte as char).to_digit(16),
                None => None,
            };
            let Some(digit) = digit else {
                return Err(self.syntax("an escape that JSON does not have"));
            };
            unit = unit << 4 | digit as u16;
            self.pos += 1;
        }
        Ok(unit)
    }
}

fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether the bytes are one JSON number (RFC 8259 §6).
pub fn is_json_number(text: &[u8]) -> bool {
    let digits = |from: usize| {
        text[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text[at] == b'0') {
        return false;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let n = digits(at + 1);
        if n == 0 {
            return false;
        }
        at += 1 + n;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        let n = digits(at);
        if n == 0 {
            return false;
        }
        at += n;
    }
    at == text.len()
}

/// A member's name as a part of a JSON pointer (RFC 6901 §3).
pub fn pointer_part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Appends `text` as the inside of a JSON string.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Appends `text` as a JSON string, with its quotes.
pub fn string_into(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape_into(out, text);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, so that every edge of a block is met.
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = usize::from(!self.0.is_empty() && !out.is_empty());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn events(source: impl Read) -> Result<Vec<(Event, String, u32, u32)>> {
        let mut reader = Reader::new(source);
        let mut out = Vec::new();
        loop {
            let event = reader.next()?;
            let text = match event {
                Event::Key | Event::String | Event::Number | Event::Bool => {
                    reader.text().to_owned()
                }
                _ => String::new(),
            };
            out.push((event, text, reader.place().line, reader.place().column));
            if event == Event::End {
                return Ok(out);
            }
        }
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let text = "\u{FEFF}{\"体重\": 65.50,\n \"a\\u0041\\ud83d\\ude00\": [true, null]}";
        let got = events(text.as_bytes()).unwrap();
        assert_eq!(got, events(Drip(text.as_bytes())).unwrap());
        assert_eq!(got[1], (Event::Key, "体重".into(), 1, 2));
        assert_eq!(got[2], (Event::Number, "65.50".into(), 1, 8));
        assert_eq!(got[3], (Event::Key, "aA😀".into(), 2, 2));
        assert_eq!((got[5].0, got[5].2, got[5].3), (Event::Bool, 2, 26));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "01",
            "1.",
            "-",
            "[1 2]",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\u{1}\"",
            "nul",
            "{} {}",
            "[1}",
            "+1",
            ".5",
            "\"a",
        ] {
            let err = events(text.as_bytes());
            assert!(
                matches!(err, Err(Error::Syntax { .. })),
                "{text:?} was accepted"
            );
            assert!(
                events(Drip(text.as_bytes())).is_err(),
                "{text:?} was accepted in drips"
            );
        }
        assert!(events(&b"\"\xff\""[..]).is_err());
        let Err(Error::Syntax { place, .. }) = events("{\n  \"a\" 1}".as_bytes()) else {
            panic!("accepted");
        };
        assert_eq!((place.line, place.column), (2, 7));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(events("[".repeat(DEPTH_MAX + 1).as_bytes()).is_err());
        let fine = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
        assert!(events(fine.as_bytes()).is_ok());
    }

    #[test]
    fn a_string_goes_out_as_it_came_in() {
        let text = "a\"b\\c\n\u{1f}体😀/";
        let mut out = Vec::new();
        string_into(&mut out, text);
        assert_eq!(events(&out[..]).unwrap()[0].1, text);
    }

    #[test]
    fn documents_follow_one_another() {
        let mut reader = Reader::new("{\"a\":1}\n{\"b\":2}\n".as_bytes());
        let mut starts = 0;
        loop {
            match reader.next_document().unwrap() {
                Event::End => break,
                first => {
                    starts += 1;
                    reader.skip(first).unwrap();
                }
            }
        }
        assert_eq!(starts, 2);
    }
}
