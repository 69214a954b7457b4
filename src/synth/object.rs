//! Writes JSON objects member by member into a buffer.

use crate::json::string_into;

/// A day as the protocol writes it, `yyyyMMdd`.
pub(super) type Date = [u8; 8];

/// An object being written; [`Object::close`] ends it.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, empty: true }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the name; what follows in the buffer is the value.
    pub(super) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// The buffer, for what follows a member's value.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        string_into(self.name(name), value);
    }

    /// Writes a member where there is a value.
    pub(super) fn option(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn list<T: AsRef<str>>(&mut self, name: &str, values: &[T]) {
        if values.is_empty() {
            return;
        }
        let out = self.name(name);
        for (i, value) in values.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            string_into(out, value.as_ref());
        }
        out.push(b']');
    }

    pub(super) fn int(&mut self, name: &str, value: i32) {
        int_into(self.name(name), value);
    }

    /// A number given in hundredths, written with 0 to 2 decimals, rounded half up.
    pub(super) fn decimal(&mut self, name: &str, hundredths: i32, decimals: u32) {
        let out = self.name(name);
        if hundredths < 0 {
            out.push(b'-');
        }
        let value = hundredths.unsigned_abs();
        let (value, scale) = match decimals {
            0 => ((value + 50) / 100, 1),
            1 => ((value + 5) / 10, 10),
            _ => (value, 100),
        };
        int_into(out, (value / scale) as i32);
        if scale > 1 {
            out.push(b'.');
            let rest = value % scale;
            if scale == 100 {
                out.push(digit(rest / 10));
            }
            out.push(digit(rest % 10));
        }
    }

    pub(super) fn date(&mut self, name: &str, date: Date) {
        self.time(name, date, None, None);
    }

    /// `yyyyMMddHHmmss`, the time of day given in seconds.
    pub(super) fn time14(&mut self, name: &str, date: Date, seconds: u32) {
        self.time(name, date, Some(seconds), None);
    }

    /// `yyyyMMddHHmmssSSS`, the time of day given in milliseconds.
    pub(super) fn time17(&mut self, name: &str, date: Date, millis: u32) {
        self.time(name, date, Some(millis / 1000), Some(millis % 1000));
    }

    fn time(&mut self, name: &str, date: Date, seconds: Option<u32>, millis: Option<u32>) {
        let out = self.name(name);
        out.push(b'"');
        out.extend_from_slice(&date);
        if let Some(seconds) = seconds {
            for part in [seconds / 3600, seconds / 60 % 60, seconds % 60] {
                out.extend_from_slice(&[digit(part / 10), digit(part % 10)]);
            }
        }
        if let Some(millis) = millis {
            out.extend_from_slice(&[
                digit(millis / 100),
                digit(millis / 10 % 10),
                digit(millis % 10),
            ]);
        }
        out.push(b'"');
    }
}

fn digit(value: u32) -> u8 {
    b'0' + value as u8
}

/// Appends an integer in decimal digits.
fn int_into(out: &mut Vec<u8>, value: i32) {
    if value < 0 {
        out.push(b'-');
    }
    let mut rest = value.unsigned_abs();
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_written_as_the_protocol_writes_them() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.decimal("a", 6550, 2);
        object.decimal("b", 6996, 1);
        object.decimal("c", 6549, 0);
        object.decimal("d", -120, 1);
        object.decimal("e", 5, 2);
        object.int("f", i32::MIN);
        object.text("g", "左\"");
        object.option("h", None);
        object.list("i", &["1", "4"]);
        object.time14("j", *b"20250401", 3_661);
        object.time17("k", *b"20250401", 86_399_007);
        object.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"a\":65.50,\"b\":70.0,\"c\":65,\"d\":-1.2,\"e\":0.05,\"f\":-2147483648,\
             \"g\":\"左\\\"\",\"i\":[\"1\",\"4\"],\"j\":\"20250401010101\",\
             \"k\":\"20250401235959007\"}"
        );
    }
}
