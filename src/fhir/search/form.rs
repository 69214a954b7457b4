//! The query string (or a form body) as pairs of names and values, and the escapes inside a
//! value (FHIR R4, search, "Escaping search parameters").
//!
//! A plus sign is a space, as HTML writes it, but where only itself can be meant: half of the clients
//! write `application/fhir+json` and `T07:30:00+09:00` unencoded. In a form it is always a space.

use std::borrow::Cow;

use super::Invalid;

/// One parameter as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The name, decoded: `subject:Patient.identifier`.
    pub name: String,
    raw: String,
}

impl Pair {
    /// A parameter with this value.
    pub fn new(name: &str, value: &str) -> Pair {
        let mut raw = String::new();
        encode(value, &mut raw);
        Pair {
            name: name.to_owned(),
            raw,
        }
    }

    /// The value with plus signs as spaces, but in an offset of a time and in a media type.
    ///
    /// # Errors
    /// [`Invalid`] for a broken percent sequence.
    pub fn value(&self) -> Result<String, Invalid> {
        let raw = with_spaces(&self.raw);
        decode(&raw, '+').ok_or_else(|| undecodable(&self.name))
    }

    /// The value with plus signs as spaces.
    ///
    /// # Errors
    /// [`Invalid`] for a broken percent sequence.
    pub fn text(&self) -> Result<String, Invalid> {
        decode(&self.raw, ' ').ok_or_else(|| undecodable(&self.name))
    }
}

/// The pairs of a query string.
///
/// # Errors
/// [`Invalid`] for a name with a broken percent sequence.
pub fn pairs(query: &str) -> Result<Vec<Pair>, Invalid> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name, '+').ok_or_else(|| undecodable(name))?;
            Ok(Pair {
                name,
                raw: value.to_owned(),
            })
        })
        .collect()
}

fn undecodable(name: &str) -> Invalid {
    Invalid::new(
        name,
        "not percent-encoded UTF-8",
        "UTF-8 のパーセントエンコーディングではありません",
    )
}

/// A query in which every plus sign is a space, as in a form.
pub fn of_form(text: &str) -> String {
    text.replace('+', "%20")
}

/// An encoded value whose plus signs are those that only mean themselves.
fn with_spaces(raw: &str) -> Cow<'_, str> {
    if !raw.contains('+') {
        return Cow::Borrowed(raw);
    }
    let mut parts = raw.split('+');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_media_type = out.ends_with("fhir") || out.ends_with("patch");
        let is_itself = is_media_type || (is_time(&out) && is_offset(part));
        out.push_str(if is_itself { "+" } else { "%20" });
        out.push_str(part);
    }
    Cow::Owned(out)
}

/// Whether an encoded text ends with a time of day: `T07:30`, `T07%3A30:00.5`.
fn is_time(text: &str) -> bool {
    let Some((_, time)) = text.rsplit_once(['T', 't']) else {
        return false;
    };
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '%' | 'A' | 'a');
    time.ends_with(|c: char| c.is_ascii_digit()) && time.chars().all(is_part)
}

/// Whether an encoded text begins with the hours and minutes of an offset.
fn is_offset(text: &str) -> bool {
    let digits =
        |text: &str| text.len() >= 2 && text.as_bytes()[..2].iter().all(u8::is_ascii_digit);
    let minutes = text.get(2..).map(|rest| {
        let colon = rest.strip_prefix(':');
        colon
            .or_else(|| rest.strip_prefix("%3A"))
            .or_else(|| rest.strip_prefix("%3a"))
    });
    digits(text) && minutes.flatten().is_some_and(digits)
}

fn decode(raw: &str, plus: char) -> Option<String> {
    if !raw.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Some(raw.to_owned());
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push((high * 16 + low) as u8);
            }
            b'+' => out.push(plus as u8),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// Percent-encodes a name or a value for a link.
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' | b'$' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for half in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(half)]));
                }
            }
        }
    }
}

/// The parts of a value between separators that no backslash precedes, still escaped.
pub fn split(value: &str, separator: char) -> Vec<&str> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut escaped = false;
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == separator => {
                out.push(&value[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    out.push(&value[from..]);
    out
}

/// A text with the escapes that it needs as a part of a value.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '|' | '$' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A part with its escapes `\,` `\|` `\$` `\\` resolved.
pub fn unescape(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars().peekable();
    while let Some(c) = chars.next() {
        let special = |c: &char| matches!(c, ',' | '|' | '$' | '\\');
        match chars.next_if(|next| c == '\\' && special(next)) {
            Some(next) => out.push(next),
            None => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_comes_first() {
        let pairs =
            pairs("date=ge2016-09-01T00:00:00+09:00&code=a%7Cb%5C%2Cc&name=x+y&&flag").unwrap();
        assert_eq!(pairs[0].value().unwrap(), "ge2016-09-01T00:00:00+09:00");
        assert_eq!(pairs[1].value().unwrap(), "a|b\\,c");
        assert_eq!(pairs[2].text().unwrap(), "x y");
        assert_eq!(pairs[3].name, "flag");
        assert_eq!(pairs[3].value().unwrap(), "");
    }

    #[test]
    fn a_plus_is_a_space_but_where_only_itself_can_be_meant() {
        for (raw, value) in [
            ("body+weight", "body weight"),
            ("a+09:00", "a 09:00"),
            ("1+1", "1 1"),
            ("Tokyo+09:00", "Tokyo 09:00"),
            ("a%2Bb+c", "a+b c"),
            ("ge2016-09-01T00:00:00+09:00", "ge2016-09-01T00:00:00+09:00"),
            (
                "2016-09-01T00%3A00%3A00.123+09%3A00",
                "2016-09-01T00:00:00.123+09:00",
            ),
            (
                "2016-09-01T00:00+09:00,2016-09-02T00:00+10:30",
                "2016-09-01T00:00+09:00,2016-09-02T00:00+10:30",
            ),
            ("2016-09-01T00:00+0900", "2016-09-01T00:00 0900"),
            ("application/fhir+json", "application/fhir+json"),
            ("application/json-patch+json", "application/json-patch+json"),
        ] {
            let pair = pairs(&format!("x={raw}")).unwrap().remove(0);
            assert_eq!(pair.value().unwrap(), value);
            let form = pairs(&of_form(&format!("x={raw}"))).unwrap().remove(0);
            assert!(
                !form.value().unwrap().contains('+') || raw.contains("%2B"),
                "{raw}"
            );
        }
    }

    #[test]
    fn broken_sequences_are_refused() {
        for bad in ["%", "%4", "%zz", "%ff", "%E3%81"] {
            assert!(
                pairs(&format!("a={bad}")).unwrap()[0].value().is_err(),
                "{bad}"
            );
            assert!(pairs(&format!("{bad}=1")).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_separate_nothing() {
        assert_eq!(split("a\\,b,c", ','), ["a\\,b", "c"]);
        assert_eq!(split("a\\\\,b", ','), ["a\\\\", "b"]);
        assert_eq!(split("", ','), [""]);
        assert_eq!(unescape(&escape("a,b|c$d\\")), "a,b|c$d\\");
        assert_eq!(unescape("a\\,b\\|c\\$d\\\\e\\n\\"), "a,b|c$d\\e\\n\\");
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let text = "a b|c&d=e+09:00%体重\\,";
        assert_eq!(Pair::new("x", text).value().unwrap(), text);
    }
}
