//! Times of the protocol (Japan Standard Time, no offset) and of FHIR.
//!
//! Inside, an `observation_time` is seconds and an `update_time` milliseconds since
//! the Unix epoch. JST is UTC+09:00 and has no daylight saving (protocol
//! specification §2), so both ways are plain arithmetic.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

/// Seconds of JST ahead of UTC.
pub const JST: i64 = 9 * 3600;
/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// Reads a time14 (`yyyyMMddHHmmss`) as seconds since the epoch; `None` for what no calendar has.
pub fn parse14(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() != 14 || !b.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |i: usize| u32::from(b[i] - b'0') * 10 + u32::from(b[i + 1] - b'0');
    let year = (two(0) * 100 + two(2)) as i32;
    if year == 0 {
        return None;
    }
    let at =
        NaiveDate::from_ymd_opt(year, two(4), two(6))?.and_hms_opt(two(8), two(10), two(12))?;
    Some(at.and_utc().timestamp() - JST)
}

/// Reads a time17 (`yyyyMMddHHmmssSSS`) as milliseconds since the epoch.
pub fn parse17(text: &str) -> Option<i64> {
    let (seconds, millis) = text.split_at_checked(14)?;
    if millis.len() != 3 || !millis.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(parse14(seconds)? * 1000 + millis.parse::<i64>().ok()?)
}

/// Reads a date (`yyyyMMdd`) as the seconds since the epoch at which it begins in JST.
pub fn parse8(text: &str) -> Option<i64> {
    (text.len() == 8).then(|| parse14(&format!("{text}000000")))?
}

struct Parts {
    year: u32,
    rest: [u8; 5],
}

fn parts(seconds: i64) -> Parts {
    let at = DateTime::from_timestamp(seconds + JST, 0).unwrap_or_default();
    Parts {
        year: at.year().clamp(0, 9999) as u32,
        rest: [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(|n| n as u8),
    }
}

fn two(out: &mut Vec<u8>, n: u8) {
    out.extend_from_slice(&[b'0' + n / 10 % 10, b'0' + n % 10]);
}

fn year(out: &mut Vec<u8>, year: u32) {
    two(out, (year / 100) as u8);
    two(out, (year % 100) as u8);
}

/// Writes a time14.
pub fn write14(out: &mut Vec<u8>, seconds: i64) {
    let at = parts(seconds);
    year(out, at.year);
    at.rest.iter().for_each(|&n| two(out, n));
}

/// Writes a time17.
pub fn write17(out: &mut Vec<u8>, millis: i64) {
    write14(out, millis.div_euclid(1000));
    three(out, millis.rem_euclid(1000) as u16);
}

fn three(out: &mut Vec<u8>, n: u16) {
    out.push(b'0' + (n / 100) as u8);
    two(out, (n % 100) as u8);
}

/// Writes a FHIR date: `2016-09-01`, the JST day.
pub fn write_date(out: &mut Vec<u8>, seconds: i64) {
    let at = parts(seconds);
    year(out, at.year);
    for &n in &at.rest[..2] {
        out.push(b'-');
        two(out, n);
    }
}

fn write_to_second(out: &mut Vec<u8>, seconds: i64) {
    let at = parts(seconds);
    year(out, at.year);
    for (&n, separator) in at.rest.iter().zip(*b"--T::") {
        out.push(separator);
        two(out, n);
    }
}

/// Writes a FHIR dateTime to the second: `2016-09-01T07:30:15+09:00`.
pub fn write_date_time(out: &mut Vec<u8>, seconds: i64) {
    write_to_second(out, seconds);
    out.extend_from_slice(b"+09:00");
}

/// Writes a FHIR instant: `2016-09-01T08:15:00.123+09:00`.
pub fn write_instant(out: &mut Vec<u8>, millis: i64) {
    write_to_second(out, millis.div_euclid(1000));
    out.push(b'.');
    three(out, millis.rem_euclid(1000) as u16);
    out.extend_from_slice(b"+09:00");
}

/// What `write` writes, as a string.
pub fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(32);
    write(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Whether the seconds are midnight in JST.
pub fn is_midnight(seconds: i64) -> bool {
    (seconds + JST).rem_euclid(DAY) == 0
}

/// Now, in milliseconds since the epoch.
pub fn now_millis() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A FHIR date, dateTime or instant, as the interval that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FhirTime {
    /// First millisecond since the epoch.
    pub from: i64,
    /// First millisecond after it.
    pub until: i64,
    /// How much was written.
    pub precision: Precision,
    /// Whether a zone was written.
    pub zoned: bool,
    /// Whether something below the millisecond was cut off.
    pub truncated: bool,
}

/// How much of a FHIR time was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// `2016`
    Year,
    /// `2016-09`
    Month,
    /// `2016-09-01`
    Day,
    /// `2016-09-01T07:30` (searches only)
    Minute,
    /// `2016-09-01T07:30:15`
    Second,
    /// `2016-09-01T07:30:15.123`
    Fraction,
}

/// Reads a FHIR date, dateTime or instant; one without a zone is in `zone` seconds ahead of UTC.
/// `None` for what FHIR's grammar or the calendar does not have (a 60th second included).
pub fn parse_fhir(text: &str, zone: i64) -> Option<FhirTime> {
    let number = |from: usize, len: usize| -> Option<u32> {
        let part = text.get(from..from + len)?;
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    let is = |at: usize, c: u8| text.as_bytes().get(at) == Some(&c);
    let year = number(0, 4)? as i32;
    if year == 0 {
        return None;
    }
    let days = |y: i32, m: u32, d: u32| {
        NaiveDate::from_ymd_opt(y, m, d)
            .map(|d| d.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() * 1000)
    };
    let date = |from: i64, until: i64, precision| FhirTime {
        from: from - zone * 1000,
        until: until - zone * 1000,
        precision,
        zoned: false,
        truncated: false,
    };
    match text.len() {
        4 => {
            return Some(date(
                days(year, 1, 1)?,
                days(year + 1, 1, 1)?,
                Precision::Year,
            ));
        }
        7 if is(4, b'-') => {
            let month = number(5, 2)?;
            let next = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            return Some(date(
                days(year, month, 1)?,
                days(next.0, next.1, 1)?,
                Precision::Month,
            ));
        }
        _ => {}
    }
    if !(is(4, b'-') && is(7, b'-')) {
        return None;
    }
    let day = days(year, number(5, 2)?, number(8, 2)?)?;
    if text.len() == 10 {
        return Some(date(day, day + DAY * 1000, Precision::Day));
    }
    if !(is(10, b'T') && is(13, b':')) {
        return None;
    }
    let (hour, minute) = (number(11, 2)?, number(14, 2)?);
    let mut at = 16;
    let mut millis = 0;
    let mut precision = Precision::Minute;
    let mut step = 60_000;
    let mut truncated = false;
    let mut second = 0;
    if is(at, b':') {
        second = number(at + 1, 2)?;
        at += 3;
        precision = Precision::Second;
        step = 1000;
        if is(at, b'.') {
            let digits = text[at + 1..]
                .bytes()
                .take_while(u8::is_ascii_digit)
                .count();
            if digits == 0 {
                return None;
            }
            let fraction = &text[at + 1..at + 1 + digits];
            let mut kept: String = fraction.chars().take(3).collect();
            truncated = fraction.bytes().skip(3).any(|b| b != b'0');
            step = 10_i64.pow(3 - kept.len() as u32);
            while kept.len() < 3 {
                kept.push('0');
            }
            millis = kept.parse().ok()?;
            at += 1 + digits;
            precision = Precision::Fraction;
        }
    }
    // R4 has leap seconds; one is the first second of the next minute here.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (offset, zoned) = match &text[at..] {
        "" => (zone, false),
        "Z" => (0, true),
        written if written.len() == 6 && written.as_bytes()[3] == b':' => {
            let sign = match written.as_bytes()[0] {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let (h, m) = (number(at + 1, 2)?, number(at + 4, 2)?);
            if h * 60 + m > 14 * 60 || m > 59 {
                return None;
            }
            (sign * i64::from(h * 3600 + m * 60), true)
        }
        _ => return None,
    };
    let from = day + i64::from(hour * 3600 + minute * 60 + second) * 1000 + millis - offset * 1000;
    Some(FhirTime {
        from,
        until: from + step,
        precision,
        zoned,
        truncated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_times_read_and_write_alike() {
        for t in [
            "20160901073015",
            "20200229000000",
            "00010101000000",
            "99991231235959",
            "19700101085959",
        ] {
            assert_eq!(text(|o| write14(o, parse14(t).unwrap())), t);
        }
        for t in ["20160901081500123", "19691231235959001"] {
            assert_eq!(text(|o| write17(o, parse17(t).unwrap())), t);
        }
    }

    #[test]
    fn times_that_no_calendar_has_are_refused() {
        for t in [
            "20160230000000",
            "20161301000000",
            "20160901240000",
            "20160901006000",
            "20160901000060",
            "2016090107301",
            "2016090107301x",
            "00000101000000",
            "20160001000000",
            "",
        ] {
            assert_eq!(parse14(t), None, "{t}");
        }
        assert_eq!(parse17("2016090108150012"), None);
        assert_eq!(parse17("2016090108150０12"), None);
    }

    #[test]
    fn fhir_times_are_intervals() {
        let at = |t: &str| parse_fhir(t, JST);
        assert_eq!(
            at("2016-09-01").unwrap().from,
            parse14("20160901000000").unwrap() * 1000
        );
        assert_eq!(
            at("2016-12").unwrap().until,
            parse14("20170101000000").unwrap() * 1000
        );
        assert_eq!(
            at("2016-09-01T07:30:15+09:00").unwrap().from,
            at("2016-08-31T22:30:15Z").unwrap().from
        );
        assert!(at("2016-09-01T07:30:15.1239Z").unwrap().truncated);
        assert_eq!(at("2016-09-01T07:30").unwrap().precision, Precision::Minute);
        for t in [
            "2016-9-01",
            "2016-09-01T07",
            "2016-09-01T07:30:61Z",
            "2016-09-01T07:30:00+14:01",
            "2016-02-30",
            "2016-09-01T07:30:15+9:00",
            "2016-09-01T07:30:15 09:00",
            "x",
            "",
            "2016-09-01T24:00:00Z",
            "２０１６",
        ] {
            assert_eq!(at(t), None, "{t}");
        }
    }

    #[test]
    fn fhir_times_are_written_with_the_offset_of_japan() {
        let s = parse14("20160901073015").unwrap();
        assert_eq!(text(|o| write_date_time(o, s)), "2016-09-01T07:30:15+09:00");
        assert_eq!(text(|o| write_date(o, s)), "2016-09-01");
        assert_eq!(
            text(|o| write_instant(o, s * 1000 + 5)),
            "2016-09-01T07:30:15.005+09:00"
        );
        assert!(is_midnight(parse14("20160901000000").unwrap()));
    }
}
