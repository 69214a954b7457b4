//! Query strings: decoded as they were written, checked against what is known.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::{Kind, Problem, Result};
use crate::fault::shorten;
use crate::time::{self, Precision};

/// What an unencoded `+` in a query means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// A space, as HTML forms write it.
    Space,
    /// Itself: `+09:00` and `application/fhir+json` survive.
    Kept,
}

/// The name and value of each parameter, percent-decoded, in their order. Empty ones between
/// two `&` are passed over.
///
/// # Errors
/// 400 where a percent sign is followed by no byte, or the bytes are not UTF-8.
pub fn pairs(query: &str, plus: Plus) -> Result<Vec<(String, String)>> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, plus)?, decode(value, plus)?))
        })
        .collect()
}

/// Decodes percent signs (and `+`, where it is a space).
///
/// # Errors
/// As [`pairs`].
pub fn decode(text: &str, plus: Plus) -> Result<String> {
    let wrong = || {
        let found = shorten(text);
        Problem::new(Kind::Parameter).detail(
            format!("{found:?} is not percent-encoded UTF-8"),
            format!("「{found}」は UTF-8 のパーセントエンコーディングではありません"),
        )
    };
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
                out.push((high * 16 + low) as u8);
            }
            b'+' if plus == Plus::Space => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| wrong())
}

/// The parameters of a request outside `/fhir`, where each is known and stands once.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query> {
        let pairs = pairs(parts.uri.query().unwrap_or_default(), Plus::Kept)?;
        Ok(Query { pairs })
    }
}

impl Query {
    /// Refuses parameters that are not among `known`, and repeated ones.
    ///
    /// # Errors
    /// 400, naming all of them.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        let mut seen = Vec::new();
        let mut unknown = Vec::new();
        for (name, _) in &self.pairs {
            let name = shorten(name);
            if !known.contains(&name.as_str()) || seen.contains(&name) {
                unknown.push(name);
            } else {
                seen.push(name);
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let (unknown, known) = (unknown.join(", "), known.join(", "));
        let problem = Problem::new(Kind::Parameter);
        Err(if known.is_empty() {
            problem.detail(
                format!("unknown parameter {unknown}; there are none here"),
                format!("不明なパラメータ {unknown}。ここではパラメータを受け付けません"),
            )
        } else {
            problem.detail(
                format!("unknown or repeated parameter {unknown}; known are {known}"),
                format!("不明または重複したパラメータ {unknown}。使えるのは {known} です"),
            )
        })
    }

    /// The value of a parameter; `None` where it is absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|(n, _)| n == name)?;
        Some(&pair.1)
    }

    /// The value of a parameter as `read` understands it.
    ///
    /// # Errors
    /// 400, with the name and what was expected (English, Japanese).
    pub fn parse<T>(
        &self,
        name: &str,
        expected: (&str, &str),
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .ok_or_else(|| wrong_value(name, text, expected))
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| {
            Problem::new(Kind::Parameter).detail(
                format!("the parameter {name} is required"),
                format!("パラメータ {name} が必要です"),
            )
        })
    }

    /// An id of the protocol: ASCII letters and digits, at most `max` of them.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn id(&self, name: &str, max: usize) -> Result<Option<String>> {
        let read = |text: &str| {
            let fine = !text.is_empty()
                && text.len() <= max
                && text.bytes().all(|b| b.is_ascii_alphanumeric());
            fine.then(|| text.to_owned())
        };
        let expected = (
            &*format!("1 to {max} ASCII letters and digits"),
            &*format!("{max} 文字以内の半角英数字"),
        );
        self.parse(name, expected, read)
    }

    /// A day in Japan, as the second at which it begins.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn day(&self, name: &str) -> Result<Option<i64>> {
        let expected = ("a day such as 2016-09-01", "2016-09-01 のような日付");
        self.parse(name, expected, |text| {
            time::parse_fhir(text, time::JST)
                .filter(|at| at.precision == Precision::Day)
                .map(|at| at.from / 1000)
        })
    }

    /// An RFC 3339 time, in milliseconds since the epoch.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn instant(&self, name: &str) -> Result<Option<i64>> {
        let expected = (
            "a time such as 2016-09-01T12:00:00+09:00",
            "2016-09-01T12:00:00+09:00 のような日時",
        );
        self.parse(name, expected, |text| {
            // A client that encodes `+` as a space before it sends it is understood.
            let text = text.replace(' ', "+");
            time::parse_fhir(&text, time::JST)
                .filter(|at| at.zoned)
                .map(|at| at.from)
        })
    }

    /// How many entries a page may have.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn count(&self, name: &str, default: usize, max: usize) -> Result<usize> {
        let expected = (
            &*format!("a number from 1 to {max}"),
            &*format!("1 から {max} までの数"),
        );
        let read = |text: &str| text.parse().ok().filter(|n| (1..=max).contains(n));
        Ok(self.parse(name, expected, read)?.unwrap_or(default))
    }
}

/// A parameter whose value is not what it should be.
pub fn wrong_value(name: &str, found: &str, expected: (&str, &str)) -> Problem {
    let found = shorten(found);
    Problem::new(Kind::Parameter).detail(
        format!("{name}: {found:?} is not {}", expected.0),
        format!("{name}:「{found}」は正しくありません（{}）", expected.1),
    )
}

/// Appends a parameter to a link.
pub fn push(link: &mut String, name: &str, value: &str) {
    link.push(if link.contains('?') { '&' } else { '?' });
    link.push_str(name);
    link.push('=');
    encode_into(link, value);
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
pub fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let hex = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
            out.push('%');
            out.push(hex(byte >> 4).to_ascii_uppercase());
            out.push(hex(byte & 15).to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query {
            pairs: pairs(text, Plus::Kept).unwrap(),
        }
    }

    #[test]
    fn a_plus_is_kept_or_a_space() {
        let one = |plus| pairs("a=x+y&b=%2B%E5%81%A5", plus).unwrap();
        assert_eq!(one(Plus::Kept)[0].1, "x+y");
        assert_eq!(one(Plus::Space)[0].1, "x y");
        assert_eq!(one(Plus::Kept)[1].1, "+健");
        assert_eq!(
            pairs("&&a", Plus::Kept).unwrap(),
            [("a".into(), String::new())]
        );
        for wrong in ["a=%", "a=%4", "a=%zz", "a=%FF"] {
            assert_eq!(
                pairs(wrong, Plus::Kept).unwrap_err().kind,
                Kind::Parameter,
                "{wrong}"
            );
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        assert!(query("a=1&b=2").only(&["a", "b"]).is_ok());
        let told = query("a=1&c=2&a=3").only(&["a", "b"]).unwrap_err();
        let told = told.detail.unwrap().en;
        assert_eq!(told, "unknown or repeated parameter c, a; known are a, b");
    }

    #[test]
    fn times_survive_a_plus_in_any_form() {
        for text in [
            "t=1970-01-01T09:00:01+09:00",
            "t=1970-01-01T09:00:01%2B09:00",
            "t=1970-01-01T09:00:01%2009:00",
            "t=1970-01-01T00:00:01Z",
        ] {
            assert_eq!(query(text).instant("t").unwrap(), Some(1000), "{text}");
        }
        assert!(query("t=1970-01-01T09:00:01").instant("t").is_err());
        assert_eq!(
            query("d=1970-01-02").day("d").unwrap(),
            Some(86_400 - time::JST)
        );
        assert!(query("d=1970-01").day("d").is_err());
    }

    #[test]
    fn links_are_encoded() {
        let mut link = "http://x/y".to_owned();
        push(&mut link, "since", "2016-09-01T12:00:00+09:00");
        push(&mut link, "page", "健");
        assert_eq!(
            link,
            "http://x/y?since=2016-09-01T12%3A00%3A00%2B09%3A00&page=%E5%81%A5"
        );
    }
}
