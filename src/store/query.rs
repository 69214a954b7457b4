//! What records are asked for, and the parts of statements that answer it.
//!
//! A [`RecordQuery`] is a [`Test`], an order and a place in that order. How it is walked
//! is said in `read.rs`.

use super::db::Bound;
use super::{Test, among};
use crate::kind::Kind;
use crate::time;

/// The primary key of a record as the store numbers it, and the write that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// `participant.id`
    pub participant: i64,
    /// `kind.id`
    pub kind: i64,
    /// Seconds since the epoch.
    pub time: i64,
    /// `text.id` of the source.
    pub source: i64,
    /// `write.id`
    pub write: i64,
}

/// What records, or rows of another table, can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// Of a record: its time.
    Time,
    /// When it was last written.
    Written,
    /// Of a record: the first code of its kind.
    Code,
    /// Of a record: `Observation.status`.
    Status,
    /// Of a record: the number in `value[x]`, whatever its unit.
    Value,
    /// Of a record: its participant, as the store numbers them.
    Participant,
    /// Of a row: this column.
    Column(&'static str),
    /// The logical id, in the order of its alphabet; of a record person by person, as the
    /// store numbers them.
    Id,
}

/// One key of an order. What has no value comes last, whichever way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// What is compared.
    pub by: SortBy,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Keys of an order at most; what follows hardly decides anything.
pub const SORT_KEYS_MAX: usize = 4;

/// A place in the order in which a query is walked: what a page cursor carries. Only the
/// store writes and understands the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whether what comes before it is asked for, not what comes after it.
    pub before: bool,
    /// The numbers.
    pub numbers: Vec<i64>,
}

/// One comparison of a record's time with a searched value, both as intervals
/// (FHIR R4, search, "date"): the comparator with the value's bounds in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeTest {
    /// The record's time lies within the value.
    Equal(i64, i64),
    /// It does not.
    NotEqual(i64, i64),
    /// Something of it lies after the value.
    Greater(i64, i64),
    /// Something of it lies before the value.
    Less(i64, i64),
    /// `Greater` or `Equal`.
    GreaterOrEqual(i64, i64),
    /// `Less` or `Equal`.
    LessOrEqual(i64, i64),
    /// It begins when the value is over.
    StartsAfter(i64, i64),
    /// It is over when the value begins.
    EndsBefore(i64, i64),
    /// It overlaps the value.
    Overlaps(i64, i64),
}

/// Before and after all times that have four digits of a year, in seconds.
const EVER: (i64, i64) = (-100_000_000_000, 300_000_000_000);

impl TimeTest {
    /// Measured from the day that begins at `from` on, and before the day that begins at
    /// `until` (both in seconds since the epoch); `None` where neither is given.
    ///
    /// A record of a day begins with it and the bounds are days, so that overlapping is
    /// lying within.
    pub fn days(from: Option<i64>, until: Option<i64>) -> Option<TimeTest> {
        if from.is_none() && until.is_none() {
            return None;
        }
        let from = from.unwrap_or(EVER.0) * 1000;
        let until = until.unwrap_or(EVER.1) * 1000;
        Some(TimeTest::Overlaps(from, until.max(from)))
    }

    /// Its bounds.
    pub fn bounds(self) -> (i64, i64) {
        use TimeTest::*;
        let (Equal(a, b)
        | NotEqual(a, b)
        | Greater(a, b)
        | Less(a, b)
        | GreaterOrEqual(a, b)
        | LessOrEqual(a, b)
        | StartsAfter(a, b)
        | EndsBefore(a, b)
        | Overlaps(a, b)) = self;
        (a, b)
    }

    /// The ranges of `time` (seconds, both ends included) that pass for records of `length`
    /// milliseconds: 1 000, or a whole day.
    pub fn ranges(self, length: i64) -> Vec<(i64, i64)> {
        self.starts(length, 1000)
    }

    /// The ranges of `t` (both ends included) for which the interval of `length` milliseconds
    /// that begins at `t` × `unit` passes.
    pub fn starts(self, length: i64, unit: i64) -> Vec<(i64, i64)> {
        use TimeTest::*;
        let (a, b) = self.bounds();
        // The first t that begins no earlier.
        let first = |at: i64| at.div_euclid(unit) + i64::from(at.rem_euclid(unit) > 0);
        // The last t that ends no later.
        let last = |at: i64| at.saturating_sub(length).div_euclid(unit);
        let (from, within) = (first(a), last(b));
        const MIN: i64 = i64::MIN;
        const MAX: i64 = i64::MAX;
        let ranges = match self {
            Equal(..) => vec![(from, within)],
            NotEqual(..) if from > within => vec![(MIN, MAX)],
            NotEqual(..) => vec![(MIN, from - 1), (within + 1, MAX)],
            Greater(..) => vec![(within + 1, MAX)],
            Less(..) => vec![(MIN, from - 1)],
            GreaterOrEqual(..) => vec![(from.min(within + 1), MAX)],
            LessOrEqual(..) => vec![(MIN, within.max(from - 1))],
            StartsAfter(..) => vec![(first(b), MAX)],
            EndsBefore(..) => vec![(MIN, last(a))],
            // It begins before the end, and ends after the beginning.
            Overlaps(..) => vec![(last(a) + 1, first(b) - 1)],
        };
        ranges.into_iter().filter(|(lo, hi)| lo <= hi).collect()
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct RecordQuery {
    /// What holds for the records.
    pub test: Test,
    /// Their order; whatever is cheap where there is no key.
    pub sort: Vec<SortKey>,
    /// Where the page begins (or ends).
    pub from: Option<Place>,
    /// Records at most.
    pub limit: usize,
}

impl Default for RecordQuery {
    fn default() -> RecordQuery {
        RecordQuery {
            test: Test::ALWAYS,
            sort: Vec::new(),
            from: None,
            limit: 0,
        }
    }
}

/// A condition with its bound values.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Condition {
    pub sql: String,
    pub bound: Vec<Bound>,
}

impl Condition {
    pub fn new(sql: impl Into<String>, bound: Vec<Bound>) -> Condition {
        Condition {
            sql: sql.into(),
            bound,
        }
    }

    /// Any of these holds.
    pub fn any(parts: impl IntoIterator<Item = Condition>) -> Condition {
        let mut kept: Vec<Condition> = Vec::new();
        for part in parts {
            if part.is_always() {
                return part;
            }
            if !part.is_never() {
                kept.push(part);
            }
        }
        match kept.len() {
            0 => Condition::never(),
            1 => kept.swap_remove(0),
            _ => {
                let parts = kept.iter().map(|p| format!("({})", p.sql));
                let sql = format!("({})", tree(parts.collect(), " OR "));
                Condition::new(sql, kept.into_iter().flat_map(|p| p.bound).collect())
            }
        }
    }

    /// All of these hold.
    pub fn all(parts: impl IntoIterator<Item = Condition>) -> Condition {
        let mut kept: Vec<Condition> = Vec::new();
        for part in parts {
            if part.is_never() {
                return part;
            }
            if !part.is_always() {
                kept.push(part);
            }
        }
        if kept.is_empty() {
            return Condition::always();
        }
        let parts = kept.iter_mut().map(|p| std::mem::take(&mut p.sql));
        let mut parts: Vec<String> = parts.collect();
        if parts.len() > among::FEW {
            // Planners weigh each part against all others, which takes minutes where there are a
            // thousand. Those beyond some are one part, which they do not look into.
            let rest = tree(parts.split_off(among::FEW), " AND ");
            parts.push(format!("({rest}) IS TRUE"));
        }
        let sql = parts.join(" AND ");
        Condition::new(sql, kept.into_iter().flat_map(|p| p.bound).collect())
    }

    pub fn in_brackets(self) -> Condition {
        Condition::new(format!("({})", self.sql), self.bound)
    }

    pub fn and(&mut self, sql: &str, bound: &[Bound]) {
        self.sql
            .push_str(if self.sql.is_empty() { "" } else { " AND " });
        self.sql.push_str(sql);
        self.bound.extend_from_slice(bound);
    }

    /// Adds a whole condition.
    pub fn and_also(&mut self, other: Condition) {
        if other.is_never() {
            *self = other;
        } else if !other.is_always() && !self.is_never() {
            self.and(&other.sql, &other.bound);
        }
    }

    pub fn is_always(&self) -> bool {
        self.sql == "1 = 1"
    }

    /// Itself; where nothing was added, what always holds.
    pub fn or_always(self) -> Condition {
        if self.sql.is_empty() {
            Condition::always()
        } else {
            self
        }
    }

    pub fn always() -> Condition {
        Condition::new("1 = 1", Vec::new())
    }

    pub fn is_never(&self) -> bool {
        self.sql.starts_with("1 = 0")
    }

    pub fn never() -> Condition {
        Condition {
            sql: "1 = 0".into(),
            bound: Vec::new(),
        }
    }

    /// Adds a test of `column` against ranges, any of which may hold.
    pub fn and_ranges(&mut self, column: &str, ranges: &[(i64, i64)]) {
        let ranges = among::merged(ranges);
        match ranges.as_slice() {
            [] => *self = Condition::never(),
            [(lo, hi)] => self.and_range(column, *lo, *hi),
            [(first, _), .., (_, last)] if ranges.len() > among::FEW => {
                // All of them first, for the index.
                self.and_range(column, *first, *last);
                self.and_also(among::ranges(column, &ranges));
            }
            several => {
                let mut parts = Vec::new();
                let mut bound = Vec::new();
                for (lo, hi) in several {
                    parts.push(format!("{column} BETWEEN ? AND ?"));
                    bound.extend([Bound::Int(*lo), Bound::Int(*hi)]);
                }
                self.and(&format!("({})", parts.join(" OR ")), &bound);
            }
        }
    }

    fn and_range(&mut self, column: &str, lo: i64, hi: i64) {
        if lo > i64::MIN {
            self.and(&format!("{column} >= ?"), &[lo.into()]);
        }
        if hi < i64::MAX {
            self.and(&format!("{column} <= ?"), &[hi.into()]);
        }
    }

    /// Adds tests of a record's time (`column`), any of which may hold. A kind whose midnight
    /// stands for the day compares those records as days.
    pub fn and_time(&mut self, column: &str, kind: &Kind, tests: &[TimeTest]) {
        let ranges = |length: i64| -> Vec<(i64, i64)> {
            tests.iter().flat_map(|t| t.ranges(length)).collect()
        };
        let instants = ranges(1000);
        if kind.midnight == crate::kind::Midnight::Instant {
            self.and_ranges(column, &instants);
            return;
        }
        let days = ranges(time::DAY * 1000);
        // The whole range first, for the index; then each sort of record by its own bounds.
        let all = instants.iter().chain(&days);
        let lo = all.clone().map(|r| r.0).min();
        let hi = all.map(|r| r.1).max();
        let (Some(lo), Some(hi)) = (lo, hi) else {
            *self = Condition::never();
            return;
        };
        self.and_range(column, lo, hi);
        let midnight = format!("({column} + 32400) % 86400 = 0");
        let mut either = Vec::new();
        let mut bound = Vec::new();
        for (test, ranges) in [("NOT ", &instants), ("", &days)] {
            let mut part = Condition::default();
            part.and(&format!("{test}{midnight}"), &[]);
            part.and_ranges(column, ranges);
            if !part.is_never() {
                either.push(part.sql);
                bound.extend(part.bound);
            }
        }
        self.and(&format!("(({}))", either.join(") OR (")), &bound);
    }
}

/// Parts of a condition that go together at once: databases bound how deep expressions nest, and
/// `a OR b OR c` nests as deep as it is long.
const TOGETHER: usize = 64;

/// Parts joined by a word, in groups of groups where they are many.
fn tree(mut parts: Vec<String>, word: &str) -> String {
    while parts.len() > TOGETHER {
        let groups = parts.chunks(TOGETHER);
        parts = groups
            .map(|group| format!("({})", group.join(word)))
            .collect();
    }
    parts.join(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_parts_nest_in_few_levels() {
        let parts = || (0..5000).map(|n| Condition::new(format!("c = {n}"), Vec::new()));
        for condition in [Condition::any(parts()), Condition::all(parts())] {
            let mut depth = (0, 0);
            for c in condition.sql.chars() {
                depth.0 += i32::from(c == '(') - i32::from(c == ')');
                depth.1 = depth.1.max(depth.0);
            }
            assert_eq!(depth.0, 0);
            assert!(depth.1 <= 4, "{}", depth.1);
            assert_eq!(condition.sql.matches("c = ").count(), 5000);
        }
    }

    /// The definition itself, to compare with: record [s, e), value [a, b).
    #[allow(clippy::nonminimal_bool, reason = "as R4 words it")]
    fn plain(test: TimeTest, s: i64, e: i64) -> bool {
        use TimeTest::*;
        match test {
            Equal(a, b) => a <= s && e <= b,
            NotEqual(a, b) => !(a <= s && e <= b),
            Greater(_, b) => e > b,
            Less(a, _) => s < a,
            GreaterOrEqual(a, b) => e > b || (a <= s && e <= b),
            LessOrEqual(a, b) => s < a || (a <= s && e <= b),
            StartsAfter(_, b) => s >= b,
            EndsBefore(a, _) => e <= a,
            Overlaps(a, b) => s < b && e > a,
        }
    }

    #[test]
    fn ranges_of_seconds_are_what_the_intervals_say() {
        use TimeTest::*;
        for a in [0, 1, 999, 1000, 5000, -1, -1000] {
            for width in [1, 10, 1000, 3000, 60_000, 90_000] {
                let b = a + width;
                for test in [
                    Equal(a, b),
                    NotEqual(a, b),
                    Greater(a, b),
                    Less(a, b),
                    GreaterOrEqual(a, b),
                    LessOrEqual(a, b),
                    StartsAfter(a, b),
                    EndsBefore(a, b),
                    Overlaps(a, b),
                ] {
                    for length in [1000, 7000] {
                        let ranges = test.ranges(length);
                        for t in -20..120 {
                            let hit = ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&t));
                            let want = plain(test, t * 1000, t * 1000 + length);
                            assert_eq!(hit, want, "{test:?} {length} t={t}");
                        }
                    }
                }
            }
        }
    }
}
