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

mod scalar;
mod write;

use std::io::{self, Read};

use crate::fault::{Place, shorten};

pub use scalar::is_json_number;
pub use write::{escape_into, pointer_part, pretty, string_into};

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

/// Description of an event of another type than is expected: a string in its quotes.
pub fn described(event: Event, text: &str) -> String {
    match event {
        Event::ObjectStart => "an object".into(),
        Event::ArrayStart => "an array".into(),
        Event::String => format!("a string \"{}\"", shorten(text)),
        Event::Number => format!("a number {}", shorten(text)),
        Event::Null => "null".into(),
        _ => shorten(text),
    }
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
        }
    }

    /// Where the last event's value begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Bytes read so far.
    fn offset(&self) -> u64 {
        self.base + self.pos as u64
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

    /// Reads a further block in place of the one that was read; false at the end of the source.
    fn fill(&mut self) -> Result<bool> {
        if self.eof {
            return Ok(false);
        }
        // Called with all of the block read.
        self.base += self.end as u64;
        self.pos = 0;
        self.end = 0;
        let first = self.base == 0;
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
}

#[cfg(test)]
mod tests;
