//! Strings, numbers and words: fast where they lie within a block, byte by byte at its edge.

use std::io::Read;

use super::{Error, Reader, Result, TEXT_MAX, Text};
use crate::fault::NOT_UTF8;

impl<R: Read> Reader<R> {
    pub(super) fn literal(&mut self, word: &'static str) -> Result<()> {
        for &byte in word.as_bytes() {
            if self.peek()? != Some(byte) {
                return Err(self.syntax("expected true, false or null"));
            }
            self.pos += 1;
        }
        self.text = Text::Static(word);
        Ok(())
    }

    pub(super) fn number(&mut self) -> Result<()> {
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
    pub(super) fn string(&mut self) -> Result<()> {
        self.pos += 1;
        let start = self.pos;
        let mut i = start;
        let mut high = 0u8;
        let mut continuation = 0u64;
        while i < self.end {
            let byte = self.buf[i];
            if byte == b'"' {
                if high >= 0x80 && std::str::from_utf8(&self.buf[start..i]).is_err() {
                    return Err(self.syntax(NOT_UTF8));
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
                return Err(self.broken_string("a string without its end"));
            };
            if self.scratch.len() >= TEXT_MAX {
                return Err(self.broken_string("a string that is too long"));
            }
            match byte {
                b'"' => {
                    self.pos += 1;
                    if std::str::from_utf8(&self.scratch).is_err() {
                        return Err(self.syntax(NOT_UTF8));
                    }
                    self.text = Text::Scratch;
                    return Ok(());
                }
                b'\\' => {
                    self.pos += 1;
                    self.escape()?;
                }
                0..0x20 => return Err(self.broken_string("a control character in a string")),
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
            return Err(self.broken_string("a string without its end"));
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
                    for expected in [b'\\', b'u'] {
                        if self.peek()? != Some(expected) {
                            return Err(self.broken_string("half a surrogate pair"));
                        }
                        self.pos += 1;
                    }
                    let low = u32::from(self.hex4()?);
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(self.broken_string("half a surrogate pair"));
                    }
                    unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                }
                let Some(c) = char::from_u32(unit) else {
                    return Err(self.broken_string("half a surrogate pair"));
                };
                self.scratch
                    .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => {
                self.pos -= 1;
                return Err(self.broken_string("an escape that JSON does not have"));
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
                return Err(self.broken_string("an escape that JSON does not have"));
            };
            unit = unit << 4 | digit as u16;
            self.pos += 1;
        }
        Ok(unit)
    }

    /// Why a string cannot be read on. Half a character of another encoding may look like an
    /// escape or the end.
    fn broken_string(&self, reason: &'static str) -> Error {
        match std::str::from_utf8(&self.scratch) {
            Ok(_) => self.syntax(reason),
            Err(_) => self.syntax(NOT_UTF8),
        }
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
