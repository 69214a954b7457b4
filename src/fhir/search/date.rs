//! Dates: a prefix and a date or time as precise as it was written (FHIR R4, search,
//! "date"). Both what is asked and what is stored are intervals.

use super::Invalid;
use super::form::unescape;
use crate::store::TimeTest;
use crate::time::{self, FhirTime};

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// `eq`, or none.
    Equal,
    /// `ne`
    NotEqual,
    /// `gt`
    Greater,
    /// `lt`
    Less,
    /// `ge`
    GreaterOrEqual,
    /// `le`
    LessOrEqual,
    /// `sa`
    StartsAfter,
    /// `eb`
    EndsBefore,
    /// `ap`
    Approximately,
}

impl Prefix {
    /// The prefix of a value, and the rest.
    pub fn take(value: &str) -> (Prefix, &str) {
        let prefix = match value.as_bytes() {
            [b'e', b'q', ..] => Prefix::Equal,
            [b'n', b'e', ..] => Prefix::NotEqual,
            [b'g', b't', ..] => Prefix::Greater,
            [b'l', b't', ..] => Prefix::Less,
            [b'g', b'e', ..] => Prefix::GreaterOrEqual,
            [b'l', b'e', ..] => Prefix::LessOrEqual,
            [b's', b'a', ..] => Prefix::StartsAfter,
            [b'e', b'b', ..] => Prefix::EndsBefore,
            [b'a', b'p', ..] => Prefix::Approximately,
            _ => return (Prefix::Equal, value),
        };
        (prefix, &value[2..])
    }
}

/// A comparison with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTest {
    /// How.
    pub prefix: Prefix,
    /// With what.
    pub time: FhirTime,
}

impl DateTest {
    /// Reads a value; a time without a zone is in `zone` seconds ahead of UTC.
    ///
    /// # Errors
    /// [`Invalid`] for what is no date.
    pub fn read(parameter: &str, value: &str, zone: i64) -> Result<DateTest, Invalid> {
        // A plus sign that a client encoded as a space is understood.
        let value = unescape(value).replace(' ', "+");
        let (prefix, rest) = Prefix::take(&value);
        let time = time::parse_fhir(rest, zone).ok_or_else(|| {
            Invalid::new(
                parameter,
                "a date is yyyy, yyyy-MM, yyyy-MM-dd, yyyy-MM-ddTHH:mm or finer, \
                 with an optional prefix such as ge and an optional zone",
                "日付は yyyy、yyyy-MM、yyyy-MM-dd、yyyy-MM-ddTHH:mm またはさらに細かい形で、\
                 前に ge などの接頭辞、後ろにタイムゾーンを付けられます",
            )
        })?;
        Ok(DateTest { prefix, time })
    }

    /// The value's interval; for `ap` widened by a tenth of its distance from `now`.
    fn interval(self, now: i64) -> (i64, i64) {
        let FhirTime { from, until, .. } = self.time;
        if self.prefix != Prefix::Approximately {
            return (from, until);
        }
        let middle = from / 2 + until / 2;
        let margin = (now - middle).abs() / 10;
        (from.saturating_sub(margin), until.saturating_add(margin))
    }

    /// The test of a record's time.
    pub fn of_time(self, now: i64) -> TimeTest {
        let (from, until) = self.interval(now);
        match self.prefix {
            Prefix::Equal => TimeTest::Equal(from, until),
            Prefix::NotEqual => TimeTest::NotEqual(from, until),
            Prefix::Greater => TimeTest::Greater(from, until),
            Prefix::Less => TimeTest::Less(from, until),
            Prefix::GreaterOrEqual => TimeTest::GreaterOrEqual(from, until),
            Prefix::LessOrEqual => TimeTest::LessOrEqual(from, until),
            Prefix::StartsAfter => TimeTest::StartsAfter(from, until),
            Prefix::EndsBefore => TimeTest::EndsBefore(from, until),
            Prefix::Approximately => TimeTest::Overlaps(from, until),
        }
    }

    /// The milliseconds that pass, as ranges (from included, until not): for an instant.
    pub fn of_instant(self, now: i64) -> Vec<(i64, i64)> {
        let (from, until) = self.interval(now);
        match self.prefix {
            Prefix::Equal | Prefix::Approximately => vec![(from, until)],
            Prefix::NotEqual => vec![(i64::MIN, from), (until, i64::MAX)],
            Prefix::Greater | Prefix::StartsAfter => vec![(until, i64::MAX)],
            Prefix::GreaterOrEqual => vec![(from, i64::MAX)],
            Prefix::Less | Prefix::EndsBefore => vec![(i64::MIN, from)],
            Prefix::LessOrEqual => vec![(i64::MIN, until)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::JST;

    fn read(text: &str) -> DateTest {
        DateTest::read("date", text, JST).unwrap()
    }

    #[test]
    fn every_prefix_and_precision_reads() {
        for prefix in ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"] {
            for date in [
                "2016",
                "2016-09",
                "2016-09-01",
                "2016-09-01T07:30",
                "2016-09-01T07:30+09:00",
                "2016-09-01T07:30:15Z",
                "2016-09-01T07:30:15.5+09:00",
            ] {
                read(&format!("{prefix}{date}"));
            }
        }
        for bad in [
            "",
            "ge",
            "2016-9-1",
            "2016-09-01T07",
            "xx2016",
            "2016-02-30",
            "tomorrow",
        ] {
            assert!(DateTest::read("date", bad, JST).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_day_without_a_zone_is_a_day_in_japan() {
        assert_eq!(
            read("2016-09-01").of_time(0),
            TimeTest::Equal(1_472_655_600_000, 1_472_742_000_000)
        );
    }

    #[test]
    fn an_instant_passes_by_the_edges_of_the_value() {
        let (a, b) = (1_472_655_600_000, 1_472_742_000_000);
        let ranges = |text: &str| read(text).of_instant(b);
        assert_eq!(ranges("gt2016-09-01"), [(b, i64::MAX)]);
        assert_eq!(ranges("ge2016-09-01"), [(a, i64::MAX)]);
        assert_eq!(ranges("le2016-09-01"), [(i64::MIN, b)]);
        assert_eq!(ranges("ne2016-09-01"), [(i64::MIN, a), (b, i64::MAX)]);
        let tenth = (b - a) / 2 / 10;
        assert_eq!(ranges("ap2016-09-01"), [(a - tenth, b + tenth)]);
    }
}
