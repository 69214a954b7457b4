//! What parameters read, and what a filter's values mean for it, type by type.
//!
//! What an element of a resource holds depends on the row that the resource is made from,
//! so a concept ([`super::concept`]) or a [`Text`] stands with the [`Test`] of the rows whose resources have
//! it. The functions here hold for every parameter of a type, with all modifiers of that
//! type; a parameter's own function only says what it reads.

use chrono::{DateTime, Datelike as _};

use super::concept::Asked;
use super::form::unescape;
use super::parameter::ParameterType;
use super::reference::Target;
use super::{Filter, Invalid, Modifier, Scope};
use crate::fhir::resource::Source;
use crate::fold::fold;
use crate::store::{ColumnTest, Comparison, Relation, Test, TimeTest};

/// An element that no resource of ours has: its values find nothing, `:missing=true` finds
/// everything, and what is malformed is refused as anywhere.
///
/// # Errors
/// [`Invalid`] for a value that is none of its type.
pub fn absent(scope: &Scope, _: &Source, filter: &Filter) -> Result<Test, Invalid> {
    filter.judge(|| Test::NEVER, || absent_value(scope, filter))
}

/// The values of an element for something that no resource of ours has.
///
/// # Errors
/// [`Invalid`] for a value that is none of its type.
pub fn absent_value(scope: &Scope, filter: &Filter) -> Result<Test, Invalid> {
    match (filter.parameter.ty, filter.modifier) {
        (_, Some(Modifier::Identifier)) => {
            filter.tokens()?;
        }
        (ParameterType::Token, _) => {
            Asked::read(scope, filter)?;
        }
        (ParameterType::Date, _) => {
            filter.dates(scope)?;
        }
        (ParameterType::Reference, _) => {
            filter.read(|name, value| Target::read(name, value, scope.base))?;
        }
        _ => {}
    }
    Ok(Test::NEVER)
}

/// A text for people.
#[derive(Debug, Clone)]
pub enum Text {
    /// The same for all rows for which this holds.
    Given(Test, &'static str),
    /// A column, which stands folded beside itself.
    Column {
        /// Where it stands.
        at: Relation,
        /// Its name.
        column: &'static str,
        /// The name of the folded one.
        folded: &'static str,
    },
}

impl Text {
    /// A column of the row itself.
    pub fn column(column: &'static str, folded: &'static str) -> Text {
        let at = Relation::Same;
        Text::Column { at, column, folded }
    }

    fn present(&self) -> Test {
        match self {
            Text::Given(when, _) => when.clone(),
            Text::Column { at, column, .. } => {
                Test::related(*at, Test::of_column(column, ColumnTest::Present))
            }
        }
    }

    fn matches(&self, modifier: Option<Modifier>, value: &str) -> Test {
        match self {
            Text::Given(when, text) => {
                let holds = match modifier {
                    Some(Modifier::Exact) => *text == value,
                    Some(Modifier::Contains) => fold(text).contains(&fold(value)),
                    _ => fold(text).starts_with(&fold(value)),
                };
                if holds { when.clone() } else { Test::NEVER }
            }
            Text::Column { at, column, folded } => {
                let test = match modifier {
                    Some(Modifier::Exact) => Test::column(column, [value.to_owned()]),
                    Some(Modifier::Contains) => {
                        Test::of_column(folded, ColumnTest::Contains(vec![fold(value)]))
                    }
                    _ => Test::of_column(folded, ColumnTest::Begins(vec![fold(value)])),
                };
                Test::related(*at, test)
            }
        }
    }
}

/// A string of texts.
///
/// # Errors
/// A value of `:missing` that is none.
pub fn string(filter: &Filter, texts: &[Text]) -> Result<Test, Invalid> {
    let holds = || {
        let values = filter.values.iter().map(|value| unescape(value));
        let each = values.flat_map(|value| {
            let texts = texts.iter();
            texts.map(move |text| text.matches(filter.modifier, &value))
        });
        Ok(Test::any(each))
    };
    filter.judge(|| Test::any(texts.iter().map(Text::present)), holds)
}

/// A URI that is the same for all rows.
///
/// # Errors
/// A value of `:missing` that is none.
pub fn uri(filter: &Filter, own: &str) -> Result<Test, Invalid> {
    let holds = || Ok(Test::Constant(is_uri(filter, own)));
    filter.judge(|| Test::ALWAYS, holds)
}

/// Whether a value of a filter means a URI. `:below` finds what is under an address, `:above`
/// what an address is under.
pub fn is_uri(filter: &Filter, own: &str) -> bool {
    let within = |part: &str, whole: &str| {
        let rest = whole.strip_prefix(part);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || part.ends_with('/'))
    };
    let mut values = filter.values.iter().map(|value| unescape(value));
    values.any(|value| match filter.modifier {
        Some(Modifier::Below) => within(&value, own),
        Some(Modifier::Above) => within(own, &value),
        _ => value == own,
    })
}

/// How precise the dates of a column are. They are kept as digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `yyyyMM`
    Month,
    /// `yyyyMMdd`
    Day,
}

/// The columns with a date, or with the ends of a period. A period without an end is open
/// there.
#[derive(Debug, Clone, Copy)]
pub struct Dates {
    /// Where it begins.
    pub start: &'static str,
    /// Where it ends; the same for a date.
    pub end: &'static str,
    /// Their precision.
    pub unit: Unit,
}

impl Dates {
    fn present(&self) -> Test {
        let ends = [self.start, self.end].map(|c| Test::of_column(c, ColumnTest::Present));
        match self.start == self.end {
            true => Test::any(ends.into_iter().take(1)),
            false => Test::any(ends),
        }
    }

    /// The digits of the month or day that an instant lies in.
    fn digits(&self, millis: i64, zone: i64) -> String {
        // Dates have four digits of a year.
        let range = (-62_167_219_200_000, 253_402_300_799_999);
        let local = millis.saturating_add(zone * 1000).clamp(range.0, range.1);
        let date = DateTime::from_timestamp_millis(local).unwrap_or_default();
        let month = format!("{:04}{:02}", date.year(), date.month());
        match self.unit {
            Unit::Month => month,
            Unit::Day => format!("{month}{:02}", date.day()),
        }
    }

    /// The rows for which a comparison holds. An interval begins with its first unit and ends
    /// with its last: it begins at `t` or later when its first unit is after the one in which
    /// the millisecond before `t` lies, and so on.
    fn test(&self, test: TimeTest, zone: i64) -> Test {
        use Comparison::{AtLeast, AtMost, Greater, Less};
        let compare = |column, comparison, millis: i64| {
            let digits = self.digits(millis, zone);
            Test::of_column(column, ColumnTest::Compare(comparison, digits))
        };
        let open = |column| match self.start == self.end {
            true => Test::NEVER,
            false => Test::of_column(column, ColumnTest::Present).negated(),
        };
        let begins_from = |t: i64| compare(self.start, Greater, t.saturating_sub(1));
        let begins_before = |t: i64| {
            let before = compare(self.start, AtMost, t.saturating_sub(1));
            Test::any([before, open(self.start)])
        };
        let ends_by = |t: i64| compare(self.end, Less, t);
        let ends_after = |t: i64| Test::any([compare(self.end, AtLeast, t), open(self.end)]);
        let within = |a, b| Test::all([begins_from(a), ends_by(b)]);
        let found = match test {
            TimeTest::Equal(a, b) => within(a, b),
            TimeTest::NotEqual(a, b) => within(a, b).negated(),
            TimeTest::Greater(_, b) => ends_after(b),
            TimeTest::Less(a, _) => begins_before(a),
            TimeTest::GreaterOrEqual(a, b) => Test::any([ends_after(b), within(a, b)]),
            TimeTest::LessOrEqual(a, b) => Test::any([begins_before(a), within(a, b)]),
            TimeTest::StartsAfter(_, b) => begins_from(b),
            TimeTest::EndsBefore(a, _) => ends_by(a),
            TimeTest::Overlaps(a, b) => Test::all([begins_before(b), ends_after(a)]),
        };
        Test::all([found, self.present()])
    }
}

/// A date of a date or period.
///
/// # Errors
/// [`Invalid`] for a value that is no date.
pub fn date(scope: &Scope, filter: &Filter, dates: Dates) -> Result<Test, Invalid> {
    let holds = || {
        let asked = filter.dates(scope)?;
        let tests = asked
            .iter()
            .map(|d| dates.test(d.of_time(scope.now), scope.zone));
        Ok(Test::any(tests))
    };
    filter.judge(|| dates.present(), holds)
}
