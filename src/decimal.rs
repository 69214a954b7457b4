//! Decimal numbers as they are written: `65.50` stays `65.50`.
//!
//! [`scan`] reads the text of a JSON number by the rule of a field; [`write()`] gives
//! the same text back. [`Decimal`] is exact arithmetic for units and conversions.

use std::borrow::Cow;

use crate::fault::Code;
use crate::record::Cell;

/// The most decimals a field may have: they are counted in three bits of a cell.
pub const DECIMALS_MAX: u8 = 7;
/// The most digits a field may have.
pub const DIGITS_MAX: u8 = 15;
/// The most digits and decimals of a field together. Its largest number, written without a
/// point, has that many digits as a whole number of its last decimal: a cell keeps it beside
/// its written decimals, and a search compares it with numbers beyond.
pub const PLACES_MAX: u8 = 17;

/// The most digits of a number of FHIR, written without an exponent.
pub const WRITTEN_MAX: usize = 1000;

/// The most decimals of a [`Decimal`].
pub const CUT_MAX: usize = 28;

/// A JSON number without an exponent, its digits as they are written: `6.50e0` is `6.50`.
/// `None` for one of more than [`WRITTEN_MAX`] digits.
pub fn written_out(text: &str) -> Option<Cow<'_, str>> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (sign, unsigned) = match number.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", number),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = whole.len() + fraction.len();
    if digits > WRITTEN_MAX {
        return None;
    }
    let Some(exponent) = exponent else {
        return Some(Cow::Borrowed(text));
    };
    // Where the point stands among the digits.
    let point = exponent
        .parse::<i64>()
        .ok()?
        .checked_add(whole.len() as i64)?;
    let before = 1_i64.checked_sub(point)?.max(0);
    let after = point.checked_sub(digits as i64)?.max(0);
    if before.checked_add(after)?.checked_add(digits as i64)? > WRITTEN_MAX as i64 {
        return None;
    }
    let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or_default());
    let all = format!("{}{whole}{fraction}{}", zeros(before), zeros(after));
    let (whole, fraction) = all.split_at(usize::try_from(point.max(1)).ok()?);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(Cow::Owned(format!("{sign}{whole}{point}{fraction}")))
}

/// A number that is [`written_out`], without its digits beyond the first so many that count,
/// as far as they are decimals.
pub fn significant(text: &str, digits: usize) -> &str {
    let mut count = 0;
    let mut point = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'.' => point = true,
            b'0'..=b'9' => {
                if count == digits && point {
                    return text[..at].trim_end_matches('.');
                }
                count += usize::from(count > 0 || byte != b'0').min(digits - count);
            }
            _ => {}
        }
    }
    text
}

/// Reads a JSON number as a field of at most `digits` characters and `decimals` decimals.
///
/// # Errors
/// Every rule that the number breaks, in the order of the protocol's table (§2).
pub fn scan(text: &str, digits: u8, decimals: u8) -> Result<Cell, Vec<Code>> {
    let bytes = text.as_bytes();
    let mut faults = Vec::new();
    let negative = bytes.first() == Some(&b'-');
    let unsigned = &bytes[usize::from(negative)..];
    let mut scaled: i64 = 0;
    let mut written = None::<usize>;
    let mut exponent = false;
    for (i, &byte) in unsigned.iter().enumerate() {
        match byte {
            b'0'..=b'9' if i < 18 => {
                scaled = scaled * 10 + i64::from(byte - b'0');
                written = written.map(|n| n + 1);
            }
            b'0'..=b'9' => written = written.map(|n| n + 1),
            b'.' => written = Some(0),
            _ => {
                exponent = true;
                break;
            }
        }
    }
    let written = written.unwrap_or(0);
    if negative {
        faults.push(Code::Range);
    }
    if exponent || written > usize::from(decimals) {
        faults.push(Code::Decimals);
    }
    if unsigned.len() > usize::from(digits) && !exponent {
        faults.push(Code::Digits);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let power = 10_i64.pow(u32::from(decimals) - written as u32);
    Ok(Cell::number(scaled * power, written as u8))
}

/// Writes a number cell with its written decimals.
pub fn write(out: &mut Vec<u8>, cell: Cell, decimals: u8) {
    let written = cell.written().min(decimals);
    let mut value = cell.scaled().unsigned_abs() / 10_u64.pow(u32::from(decimals - written));
    let mut text = [0u8; 24];
    let mut at = text.len();
    let mut n = 0;
    loop {
        if n == written && n > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        n += 1;
        if value == 0 && n > written {
            break;
        }
    }
    if cell.scaled() < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&text[at..]);
}

/// Whether two numbers are equal by value, however they are written; those that are beyond
/// [`written_out`] by their text.
pub fn equal(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    let shortest = |n: &serde_json::Number| {
        let text = n.to_string();
        let text = written_out(&text)?;
        let trimmed = match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        };
        Some(if trimmed == "-0" { "0" } else { trimmed }.to_owned())
    };
    match (shortest(a), shortest(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// An exact decimal number: `mantissa` × 10^-`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// Reads a JSON number, exponents included. `None` for more than 28 digits or places.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (number, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let negative = number.starts_with('-');
        let mut mantissa: i128 = 0;
        let mut scale: i32 = 0;
        let mut point = false;
        for byte in number.bytes().skip(usize::from(negative)) {
            match byte {
                b'.' => point = true,
                b'0'..=b'9' => {
                    mantissa = mantissa
                        .checked_mul(10)?
                        .checked_add(i128::from(byte - b'0'))?;
                    scale += i32::from(point);
                }
                _ => return None,
            }
        }
        scale = scale.checked_sub(exponent)?;
        if !(-28..=28).contains(&scale) || mantissa >= 10_i128.pow(28) {
            return None;
        }
        if scale < 0 {
            mantissa = mantissa.checked_mul(10_i128.pow(scale.unsigned_abs()))?;
            scale = 0;
        }
        Some(Decimal {
            mantissa: if negative { -mantissa } else { mantissa },
            scale: scale as u32,
        })
    }

    /// Reads a number that is [`written_out`], without the decimals beyond so many; and
    /// whether that changed its value.
    pub fn cut(text: &str, decimals: usize) -> Option<(Decimal, bool)> {
        let point = text.find('.').unwrap_or(text.len());
        let end = text.len().min(point + 1 + decimals);
        let (kept, beyond) = text.split_at(end);
        let changed = beyond.bytes().any(|b| b != b'0');
        Some((Decimal::parse(kept.trim_end_matches('.'))?, changed))
    }

    /// `scaled` × 10^-`scale`.
    pub fn from_scaled(scaled: i64, scale: u32) -> Decimal {
        Decimal {
            mantissa: i128::from(scaled),
            scale,
        }
    }

    /// The whole number of its last decimal, and its decimals; `None` where it does not fit.
    pub fn whole(self) -> Option<(i64, u8)> {
        let number = i64::try_from(self.mantissa).ok()?;
        Some((number, u8::try_from(self.scale).ok()?))
    }

    /// Whether two numbers have the same value, however they are written.
    pub fn equals(self, other: Decimal) -> bool {
        let negated = other
            .mantissa
            .checked_neg()
            .map(|mantissa| Decimal { mantissa, ..other });
        let difference = negated.and_then(|negated| self.plus(negated));
        difference.is_some_and(|d| d.mantissa == 0)
    }

    /// The product; `None` on overflow.
    pub fn times(self, other: Decimal) -> Option<Decimal> {
        Some(Decimal {
            mantissa: self.mantissa.checked_mul(other.mantissa)?,
            scale: self.scale.checked_add(other.scale)?,
        })
    }

    /// The sum; `None` on overflow.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let lift = |d: Decimal| {
            d.mantissa
                .checked_mul(10_i128.checked_pow(scale - d.scale)?)
        };
        Some(Decimal {
            mantissa: lift(self)?.checked_add(lift(other)?)?,
            scale,
        })
    }

    /// The quotient rounded half up to `decimals`, as a scaled integer; `None` on overflow.
    pub fn divided_scaled(self, divisor: Decimal, decimals: u8) -> Option<i64> {
        let numerator = self
            .mantissa
            .checked_mul(10_i128.checked_pow(divisor.scale.checked_add(u32::from(decimals))?)?)?;
        let denominator = divisor
            .mantissa
            .checked_mul(10_i128.checked_pow(self.scale)?)?;
        if denominator == 0 {
            return None;
        }
        round_half_up(numerator, denominator)
    }

    /// Whether [`Decimal::divided_scaled`] overflows nothing on its way: what it gives may still
    /// be too large.
    pub fn divides(self, divisor: Decimal, decimals: u8) -> bool {
        let lifted = |d: Decimal, scale: Option<u32>| {
            let power = 10_i128.checked_pow(scale?)?;
            d.mantissa.checked_mul(power)?.checked_mul(4)
        };
        let scale = divisor.scale.checked_add(u32::from(decimals));
        let denominator = lifted(divisor, Some(self.scale));
        lifted(self, scale).is_some() && denominator.is_some_and(|d| d != 0)
    }

    /// The value × 10^`decimals`, rounded half up; `None` on overflow.
    pub fn scaled(self, decimals: u8) -> Option<i64> {
        self.divided_scaled(
            Decimal {
                mantissa: 1,
                scale: 0,
            },
            decimals,
        )
    }

    /// Whether the value has no more than `decimals` decimals that matter.
    pub fn is_exact(self, decimals: u8) -> bool {
        let decimals = u32::from(decimals);
        match 10_i128.checked_pow(self.scale.saturating_sub(decimals)) {
            Some(power) => self.mantissa % power == 0,
            // Whatever is not zero is smaller.
            None => self.mantissa == 0,
        }
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// The number of decimals written.
    pub fn scale(self) -> u32 {
        self.scale
    }
}

fn round_half_up(numerator: i128, denominator: i128) -> Option<i64> {
    let (n, d) = if denominator < 0 {
        (numerator.checked_neg()?, denominator.checked_neg()?)
    } else {
        (numerator, denominator)
    };
    let twice = n.checked_mul(2)?.checked_add(d)?;
    i64::try_from(twice.div_euclid(d.checked_mul(2)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cell: Cell, decimals: u8) -> String {
        let mut out = Vec::new();
        write(&mut out, cell, decimals);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_their_written_decimals() {
        for t in [
            "65.50", "0", "0.0", "0.05", "7.0", "100", "999.99", "6", "0.10",
        ] {
            assert_eq!(text(scan(t, 6, 2).unwrap(), 2), t);
        }
    }

    #[test]
    fn every_broken_rule_is_told() {
        assert_eq!(scan("-1.505", 6, 2), Err(vec![Code::Range, Code::Decimals]));
        assert_eq!(scan("1e2", 6, 2), Err(vec![Code::Decimals]));
        assert_eq!(scan("1234567", 6, 2), Err(vec![Code::Digits]));
        assert_eq!(
            scan("1234.567", 6, 2),
            Err(vec![Code::Decimals, Code::Digits])
        );
        assert_eq!(scan("1000", 3, 0), Err(vec![Code::Digits]));
        assert_eq!(scan("1.0", 3, 0), Err(vec![Code::Decimals]));
        assert!(scan(&"9".repeat(4000), 15, 7).is_err());
    }

    #[test]
    fn check_values_of_the_mapping_specification() {
        let ngsp = |ifcc: &str| {
            Decimal::parse(ifcc)?
                .times(Decimal::parse("0.09148")?)?
                .plus(Decimal::parse("2.152")?)?
                .scaled(1)
        };
        assert_eq!(
            [ngsp("48"), ngsp("53"), ngsp("42")],
            [Some(65), Some(70), Some(60)]
        );
        assert_eq!(Decimal::parse("5.59").unwrap().scaled(1), Some(56));
        assert_eq!(Decimal::parse("6.55").unwrap().scaled(1), Some(66));
        let kj = Decimal::parse("4.184").unwrap();
        assert_eq!(
            Decimal::parse("418.4").unwrap().divided_scaled(kj, 1),
            Some(1000)
        );
    }

    #[test]
    fn the_edges_of_every_type_are_written_as_they_are_read() {
        for digits in 1..=DIGITS_MAX {
            for decimals in 0..=DECIMALS_MAX.min(PLACES_MAX - digits) {
                let whole = usize::from(digits);
                let mut texts = vec!["0".into(), "1".into(), "9".repeat(whole)];
                for written in 1..=usize::from(decimals) {
                    if let Some(before @ 1..) = whole.checked_sub(written + 1) {
                        texts.push(format!("{}.{}", "9".repeat(before), "9".repeat(written)));
                        texts.push(format!("0.{}1", "0".repeat(written - 1)));
                        texts.push(format!("0.{}", "0".repeat(written)));
                    }
                }
                for t in texts {
                    let cell = scan(&t, digits, decimals).unwrap();
                    assert_eq!(text(cell, decimals), t, "dec({digits},{decimals})");
                    let exact = Decimal::parse(&t).unwrap().scaled(decimals);
                    assert_eq!(exact, Some(cell.scaled()), "dec({digits},{decimals}) {t}");
                }
                let more = "9".repeat(whole + 1);
                assert!(scan(&more, digits, decimals).is_err(), "{more}");
            }
        }
    }

    #[test]
    fn arithmetic_beyond_its_digits_is_none_and_never_wrong() {
        let decimal = |t: &str| Decimal::parse(t).unwrap();
        let most = decimal(&"9".repeat(28));
        let least = decimal("1e-28");
        assert_eq!(most.times(most), None);
        assert_eq!(most.plus(least), None);
        assert!(!most.equals(least));
        let tiny = least.times(least).unwrap();
        assert!(!tiny.is_exact(7) && Decimal::from_scaled(0, 60).is_exact(7));
        assert_eq!(tiny.scaled(7), None);
        assert_eq!(most.scaled(7), None);
        assert_eq!(Decimal::from_scaled(i64::MIN, 0).scaled(0), Some(i64::MIN));
        assert_eq!(Decimal::from_scaled(i64::MIN, 0).scaled(1), None);
        for beyond in [
            "1e29",
            "1e-29",
            "1e2147483647",
            "1e-2147483648",
            "1e99999999999",
        ] {
            assert_eq!(Decimal::parse(beyond), None, "{beyond}");
        }
        assert_eq!(Decimal::parse(&"9".repeat(400)), None);
    }

    #[test]
    fn exponents_are_written_out_with_the_digits_that_are_written() {
        for (text, want) in [
            ("6.50", "6.50"),
            ("6.50e0", "6.50"),
            ("6.50e+1", "65.0"),
            ("6.50E2", "650"),
            ("6.50e3", "6500"),
            ("6.50e-1", "0.650"),
            ("-65e-4", "-0.0065"),
            ("0e5", "0"),
            ("0.00e1", "0.0"),
            ("10e-1", "1.0"),
            ("1e999", &format!("1{}", "0".repeat(999))),
        ] {
            assert_eq!(written_out(text).as_deref(), Some(want), "{text}");
        }
        for beyond in [
            "1e1000",
            "1e-1000",
            "1e99999999999999999999",
            "1e-9223372036854775808",
        ] {
            assert_eq!(written_out(beyond), None, "{beyond}");
        }
        assert_eq!(written_out(&"9".repeat(1001)), None);
    }

    #[test]
    fn numbers_of_any_length_are_compared_by_value() {
        let number = |text: &str| text.parse::<serde_json::Number>().unwrap();
        let long = format!("61.5{}", "0".repeat(60));
        assert!(equal(&number("61.5"), &number(&long)));
        assert!(equal(&number("6.15e1"), &number("61.50")));
        assert!(!equal(&number("61.5"), &number(&format!("{long}1"))));
        assert!(equal(&number("-0.0"), &number("0")));
    }

    #[test]
    fn exponents_are_read_by_value() {
        assert_eq!(Decimal::parse("6.5e1").unwrap().scaled(0), Some(65));
        assert_eq!(Decimal::parse("65E-1").unwrap().scaled(1), Some(65));
        assert_eq!(Decimal::parse("1e400"), None);
        assert_eq!(Decimal::parse("0.000"), Decimal::parse("0.000"));
    }
}
