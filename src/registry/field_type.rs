//! What a value of a registry may be, and which fault it gets when it is not
//! (protocol specification §2, §4).

use std::borrow::Cow;

use chrono::NaiveDate;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::codes::CodeEntry;
use crate::fault::Code as FaultCode;
use crate::json::is_json_number;

/// The type of one value (of a list field: of each item).
#[derive(Debug, Clone, Copy)]
pub enum FieldType {
    /// 1 to n characters after NFC, no control characters.
    Text(usize),
    /// A text without white space at either end.
    Name(usize),
    /// 1 to n ASCII letters and digits.
    AlnumId(usize),
    /// Exactly n digits.
    Digits(usize),
    /// `yyyyMMdd`, a day of the calendar.
    Day,
    /// `yyyyMM`, a month of the calendar.
    Month,
    /// `HHmm`, from `0000` to `2359`.
    Clock,
    /// A code of a list.
    Code(&'static [CodeEntry]),
    /// The name of a record kind: a small letter, then small letters, digits and `_`.
    Kind,
    /// A whole number from 0 with at most n digits.
    Int(usize),
    /// A number, plainly written, with at most n characters; the digits written are kept.
    SignedDecimal(usize),
    /// `system|value` (split at the first `|`), at most n characters.
    Identifier(usize),
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The code of the fault.
    pub code: FaultCode,
    /// What the rule expects, in English.
    pub expected: Cow<'static, str>,
}

fn wrong<T>(code: FaultCode, expected: impl Into<Cow<'static, str>>) -> Result<T, Wrong> {
    Err(Wrong {
        code,
        expected: expected.into(),
    })
}

/// The two halves of `system|value`; `None` without a `|` or with an empty half.
pub fn split_identifier(text: &str) -> Option<(&str, &str)> {
    text.split_once('|')
        .filter(|(system, value)| !system.is_empty() && !value.is_empty())
}

impl FieldType {
    /// Whether it is a number in JSON; all others are strings.
    pub fn is_number(self) -> bool {
        matches!(self, FieldType::Int(_) | FieldType::SignedDecimal(_))
    }

    /// Whether white space at the ends never belongs to a value, so that a cell of a
    /// spreadsheet may have some around the items of a list (`1; 4`).
    pub(super) fn ignores_outer_space(self) -> bool {
        matches!(
            self,
            FieldType::Name(_) | FieldType::Code(_) | FieldType::Kind | FieldType::Identifier(_)
        )
    }

    /// The value as it is kept (NFC), or why it is refused.
    ///
    /// # Errors
    /// [`Wrong`], with the code of the table in the protocol specification §2.
    pub fn check(self, text: &str) -> Result<Cow<'_, str>, Wrong> {
        match self {
            FieldType::Text(max) => plain_text(text, max),
            FieldType::Name(max) => outer_space_refused(plain_text(text, max)?),
            FieldType::Identifier(max) => identifier(text, max),
            _ => self.check_ascii(text).map(|()| Cow::Borrowed(text)),
        }
    }

    /// The types whose values are ASCII and therefore kept as they are.
    fn check_ascii(self, text: &str) -> Result<(), Wrong> {
        let size = |max: usize| match text.len() {
            0 => wrong(FaultCode::Digits, "a value"),
            n if n > max => wrong(FaultCode::Digits, format!("at most {max} characters")),
            _ => Ok(()),
        };
        match self {
            FieldType::AlnumId(max) => {
                if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    return wrong(FaultCode::Type, "ASCII letters and digits");
                }
                size(max)
            }
            FieldType::Digits(n) => {
                if !text.bytes().all(|b| b.is_ascii_digit()) {
                    return wrong(FaultCode::Type, format!("{n} digits"));
                }
                if text.len() != n {
                    return wrong(FaultCode::Digits, format!("{n} digits"));
                }
                Ok(())
            }
            FieldType::Day => match parse_day(text) {
                Some(_) => Ok(()),
                None => wrong(FaultCode::TimeInvalid, "yyyyMMdd"),
            },
            FieldType::Month => match number(text, 6).and_then(|_| day(text, "01")) {
                Some(_) => Ok(()),
                None => wrong(FaultCode::TimeInvalid, "yyyyMM"),
            },
            FieldType::Clock => match number(text, 4) {
                Some(hhmm) if hhmm < 2400 && hhmm % 100 < 60 => Ok(()),
                _ => wrong(FaultCode::TimeInvalid, "HHmm"),
            },
            FieldType::Code(entries) => {
                if entries.iter().any(|entry| entry.code == text) {
                    return Ok(());
                }
                wrong(FaultCode::CodeUnknown, codes_in_words(entries))
            }
            FieldType::Kind => {
                let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(fits) {
                    return size(64);
                }
                wrong(FaultCode::CodeUnknown, "the name of a record kind")
            }
            FieldType::Int(max) => {
                plain_number(text)?;
                if text.starts_with('-') {
                    return wrong(FaultCode::Range, "0 or more");
                }
                if text.contains('.') {
                    return wrong(FaultCode::Decimals, "a whole number");
                }
                size(max)
            }
            FieldType::SignedDecimal(max) => {
                plain_number(text)?;
                size(max)
            }
            FieldType::Text(_) | FieldType::Name(_) | FieldType::Identifier(_) => Ok(()),
        }
    }
}

fn plain_text(text: &str, max: usize) -> Result<Cow<'_, str>, Wrong> {
    if text.chars().any(char::is_control) {
        return wrong(FaultCode::Type, "a text without control characters");
    }
    let text = if is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    };
    if text.is_empty() {
        return wrong(FaultCode::Digits, "at least 1 character");
    }
    // Bytes are never fewer than characters: the count is needed for long texts only.
    if text.len() > max && text.chars().count() > max {
        return wrong(FaultCode::Digits, format!("at most {max} characters"));
    }
    Ok(text)
}

fn outer_space_refused(text: Cow<'_, str>) -> Result<Cow<'_, str>, Wrong> {
    if text.trim() == text {
        Ok(text)
    } else {
        wrong(FaultCode::Type, "no white space at the ends")
    }
}

fn identifier(text: &str, max: usize) -> Result<Cow<'_, str>, Wrong> {
    let text = outer_space_refused(plain_text(text, max)?)?;
    match split_identifier(&text) {
        Some((system, value))
            if !system.contains(char::is_whitespace) && value.trim_start() == value =>
        {
            Ok(text)
        }
        _ => wrong(FaultCode::Type, "system|value"),
    }
}

/// A JSON number without exponent.
fn plain_number(text: &str) -> Result<(), Wrong> {
    if !is_json_number(text.as_bytes()) {
        return wrong(FaultCode::Type, "a number");
    }
    if text.contains(['e', 'E']) {
        return wrong(FaultCode::Decimals, "a number without exponent");
    }
    Ok(())
}

/// The number that exactly `length` digits say.
fn number(text: &str, length: usize) -> Option<u32> {
    if text.len() != length || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The day `yyyyMM` and `dd` say. There is no year 0 in the calendar (nor in FHIR).
fn day(month: &str, dd: &str) -> Option<NaiveDate> {
    let (yyyy, mm) = month.split_at_checked(4)?;
    let year = yyyy.parse().ok().filter(|&year| year > 0)?;
    NaiveDate::from_ymd_opt(year, mm.parse().ok()?, dd.parse().ok()?)
}

/// The day that `yyyyMMdd` says, if it is one.
fn parse_day(text: &str) -> Option<NaiveDate> {
    number(text, 8)?;
    let (month, dd) = text.split_at_checked(6)?;
    day(month, dd)
}

fn codes_in_words(entries: &[CodeEntry]) -> String {
    match entries {
        [first, .., last] if entries.len() > 10 => {
            format!("one of {} to {}", first.code, last.code)
        }
        _ => {
            let codes: Vec<&str> = entries.iter().map(|entry| entry.code).collect();
            format!("one of {}", codes.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{PREFECTURES, WEAR_POSITIONS};
    use FaultCode::{CodeUnknown, Decimals, Digits, Range, TimeInvalid, Type};

    fn fault(ty: FieldType, text: &str) -> Option<FaultCode> {
        ty.check(text).err().map(|wrong| wrong.code)
    }

    #[test]
    fn texts_are_normalised_and_counted_in_characters() {
        assert_eq!(FieldType::Text(1).check("か\u{3099}").unwrap(), "が");
        assert_eq!(fault(FieldType::Text(3), "体重計"), None);
        assert_eq!(fault(FieldType::Text(2), "体重計"), Some(Digits));
        assert_eq!(fault(FieldType::Text(2), ""), Some(Digits));
        assert_eq!(fault(FieldType::Text(9), "a\u{0}"), Some(Type));
        assert_eq!(fault(FieldType::Name(9), "a "), Some(Type));
    }

    #[test]
    fn ids_are_ascii_letters_and_digits() {
        assert_eq!(fault(FieldType::AlnumId(6), "A00001"), None);
        assert_eq!(fault(FieldType::AlnumId(6), "A000001"), Some(Digits));
        assert_eq!(fault(FieldType::AlnumId(6), "Ａ1"), Some(Type));
        assert_eq!(fault(FieldType::AlnumId(6), ""), Some(Digits));
        assert_eq!(fault(FieldType::Digits(10), "2312345678"), None);
        assert_eq!(fault(FieldType::Digits(10), "231234567"), Some(Digits));
        assert_eq!(fault(FieldType::Digits(10), "23-1234567"), Some(Type));
    }

    #[test]
    fn days_months_and_clocks_are_real() {
        assert_eq!(fault(FieldType::Day, "20160229"), None);
        for no in [
            "20150229",
            "2016021",
            "00000101",
            "2016-2-1",
            "２０１６０１０１",
            "",
        ] {
            assert_eq!(fault(FieldType::Day, no), Some(TimeInvalid), "{no}");
        }
        assert_eq!(fault(FieldType::Month, "196104"), None);
        for no in ["196113", "19610", "196100", "000001", "1961-4"] {
            assert_eq!(fault(FieldType::Month, no), Some(TimeInvalid), "{no}");
        }
        assert_eq!(fault(FieldType::Clock, "2359"), None);
        for no in ["2400", "0060", "000", "00:00"] {
            assert_eq!(fault(FieldType::Clock, no), Some(TimeInvalid), "{no}");
        }
    }

    #[test]
    fn codes_are_those_of_their_list() {
        assert_eq!(fault(FieldType::Code(WEAR_POSITIONS), "21"), None);
        let refused = FieldType::Code(WEAR_POSITIONS).check("22").unwrap_err();
        assert_eq!(refused.code, CodeUnknown);
        assert_eq!(refused.expected, "one of 10, 11, 20, 21, 30, 31, 40, 50");
        let refused = FieldType::Code(PREFECTURES).check("1").unwrap_err();
        assert_eq!(refused.expected, "one of 01 to 47");
        assert_eq!(fault(FieldType::Kind, "home_blood_pressure"), None);
        assert_eq!(fault(FieldType::Kind, "Weight"), Some(CodeUnknown));
    }

    #[test]
    fn numbers_keep_their_text_and_have_no_exponent() {
        assert_eq!(
            FieldType::SignedDecimal(10).check("-1.20").unwrap(),
            "-1.20"
        );
        assert_eq!(fault(FieldType::SignedDecimal(10), "1e1"), Some(Decimals));
        assert_eq!(fault(FieldType::SignedDecimal(3), "-1.20"), Some(Digits));
        assert_eq!(fault(FieldType::SignedDecimal(9), "+1"), Some(Type));
        assert_eq!(fault(FieldType::Int(4), "1440"), None);
        assert_eq!(fault(FieldType::Int(4), "14400"), Some(Digits));
        assert_eq!(fault(FieldType::Int(4), "-1"), Some(Range));
        assert_eq!(fault(FieldType::Int(4), "1.0"), Some(Decimals));
    }

    #[test]
    fn an_identifier_has_a_system_and_a_value() {
        let ty = FieldType::Identifier(60);
        assert_eq!(fault(ty, "urn:oid:1.2.3|0001|x"), None);
        for no in ["urn:oid:1.2.3", "|1", "a|", "a b|1", "a| 1", " a|1"] {
            assert_eq!(fault(ty, no), Some(Type), "{no}");
        }
        assert_eq!(split_identifier("a|b|c"), Some(("a", "b|c")));
    }
}
