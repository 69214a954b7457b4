//! Conditions on what is stored, as a tree.
//!
//! A [`Test`] says what must hold for a record, or for a row of another table: the search
//! compiles its parameters to one, and `sql.rs` beside it makes SQL of it. Two ideas keep
//! it small. First, a test is evaluated as far as it can be before the database is asked:
//! what depends on the kind of a record alone (codes, categories, units, profiles) is
//! [`Test::OfKind`] of constants, and a kind for which nothing is left costs nothing.
//! Second, whatever leads from one table to another is a [`Relation`]: a chained search is
//! `Related(relation, test of the target)`, and `_has` is the same along the reverse.
//!
//! Tests have two values. A leaf about an absent value is false, and its negation true.

mod lists;
mod relation;
mod residue;
mod sql;

pub use relation::Relation;
pub use residue::{Amount, Asked, Compares, Holds, Pair, ResidueTest, Within};
pub(super) use sql::{At, Compiler, Known};

use super::{Table, TimeTest};
use crate::fhir::id::{Hash96, ObservationKey};
use crate::registry::List;

/// A condition on a record, or on a row of another table.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Always the same.
    Constant(bool),
    /// All of these hold.
    All(Vec<Test>),
    /// Any of these holds.
    Any(Vec<Test>),
    /// This does not hold.
    Not(Box<Test>),
    /// Of a record: it is of one of these kinds (by place), and what stands with it holds.
    OfKind(Vec<(usize, Test)>),
    /// Of a record: any of these holds for its time.
    Time(Vec<TimeTest>),
    /// Of a record: it is one of these.
    Keys(Vec<ObservationKey>),
    /// Of a record: its `Observation.status` is one of these.
    Status(Vec<&'static str>),
    /// Of a record: something holds for a field of its kind, so it stands within
    /// [`Test::OfKind`].
    Field {
        /// The place of the field.
        field: usize,
        /// What holds.
        test: FieldTest,
    },
    /// Of a record: something was written of it beyond its fields.
    Residue(ResidueTest),
    /// Last updated in any of these ranges of milliseconds (from included, until not).
    Updated(Vec<(i64, i64)>),
    /// Of a row: it is the one whose resources carry one of these hashes in their ids.
    Hash(Vec<Hash96>),
    /// Of a row: something holds for a column.
    Column {
        /// The column.
        name: &'static str,
        /// What holds.
        test: ColumnTest,
    },
    /// Of a registry row, or a device: it has one of these identifiers that others gave.
    External(Vec<Pair>),
    /// Of a delivery: it has one of these ids (of the write, and hash of the participant; none
    /// where it is about none).
    Delivery(Vec<(String, Option<Hash96>)>),
    /// Of a delivery: it was sent in any of these ranges of milliseconds (from included, until
    /// not).
    Occurred(Vec<(i64, i64)>),
    /// Of a delivery: it came in a submission; of this consortium and sent at this time (in
    /// milliseconds), where one is named.
    Transmission(Option<(String, i64)>),
    /// Something that it leads to exists for which the inner test holds.
    Related(Relation, Box<Test>),
}

/// A condition on one field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldTest {
    /// It has a value.
    Present,
    /// A number within any of these ranges, both ends included, scaled as the cells are.
    Range(Vec<(i64, i64)>),
    /// A code at one of these places of the field's list.
    Code(Vec<usize>),
    /// One of these texts.
    Text(Vec<String>),
    /// The field's text is the key of a row of a registry list, and a column of that row
    /// has one of these values: the class of a method, say.
    Registered {
        /// The list; its key is one field.
        list: &'static List,
        /// The column.
        column: &'static str,
        /// The values.
        values: Vec<String>,
    },
}

/// A condition on one column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnTest {
    /// It has a value.
    Present,
    /// It has one of these values.
    Equals(Vec<String>),
    /// Its value compares so with this one: digits with as many digits.
    Compare(Comparison, String),
    /// Its value begins with one of these; it stands folded.
    Begins(Vec<String>),
    /// Its value contains one of these; it stands folded.
    Contains(Vec<String>),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
}

impl Test {
    /// Holds for everything.
    pub const ALWAYS: Test = Test::Constant(true);
    /// Holds for nothing.
    pub const NEVER: Test = Test::Constant(false);

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Test {
        match self {
            Test::Constant(value) => Test::Constant(!value),
            Test::Not(inner) => *inner,
            other => Test::Not(Box::new(other)),
        }
    }

    /// The opposite, where it is asked for.
    #[must_use]
    pub fn negated_if(self, negate: bool) -> Test {
        if negate { self.negated() } else { self }
    }

    /// All of these, as simply as it can be said.
    pub fn all(tests: impl IntoIterator<Item = Test>) -> Test {
        Test::join(tests, true)
    }

    /// Any of these, as simply as it can be said.
    pub fn any(tests: impl IntoIterator<Item = Test>) -> Test {
        Test::join(tests, false)
    }

    /// A column of which something holds.
    pub fn of_column(name: &'static str, test: ColumnTest) -> Test {
        Test::Column { name, test }
    }

    /// A column with one of these values.
    pub fn column(name: &'static str, values: impl IntoIterator<Item = String>) -> Test {
        Test::of_column(name, ColumnTest::Equals(values.into_iter().collect()))
    }

    /// Leads along a relation; nothing leads to what cannot be.
    pub fn related(relation: Relation, inner: Test) -> Test {
        match inner {
            Test::Constant(false) => Test::NEVER,
            inner if inner.is_empty() => Test::NEVER,
            inner => Test::Related(relation, Box::new(inner)),
        }
    }

    /// Whether it asks for one of nothing.
    fn is_empty(&self) -> bool {
        match self {
            Test::Keys(keys) => keys.is_empty(),
            Test::Hash(hashes) => hashes.is_empty(),
            Test::Delivery(ids) => ids.is_empty(),
            Test::Updated(ranges) => ranges.is_empty(),
            Test::Time(tests) => tests.is_empty(),
            _ => false,
        }
    }

    /// Of a record of one of these kinds, with what must hold for it. A kind for which
    /// nothing can hold is left out.
    pub fn of_kinds(tests: impl IntoIterator<Item = (usize, Test)>) -> Test {
        let kept = tests.into_iter().filter(|(_, test)| *test != Test::NEVER);
        Test::OfKind(kept.collect())
    }

    /// `neutral` is what changes nothing: true among all, false among any.
    fn join(tests: impl IntoIterator<Item = Test>, neutral: bool) -> Test {
        let mut kept = Vec::new();
        for test in tests {
            match (test, neutral) {
                (Test::Constant(value), _) if value == neutral => {}
                (Test::Constant(value), _) => return Test::Constant(value),
                (Test::All(inner), true) => lists::add_all(&mut kept, inner),
                (Test::Any(inner), false) => lists::add_any(&mut kept, inner),
                (test, true) => lists::add_all(&mut kept, [test]),
                (test, false) => lists::add_any(&mut kept, [test]),
            }
        }
        match kept.len() {
            0 => Test::Constant(neutral),
            1 => kept.swap_remove(0),
            _ if neutral => Test::All(kept),
            _ => Test::Any(kept),
        }
    }

    /// What is left of the test for records of one kind; for other rows (`None`) what is
    /// left once constants are worked out.
    #[must_use]
    pub fn for_kind(&self, kind: Option<usize>) -> Test {
        match self {
            Test::All(tests) => Test::all(tests.iter().map(|t| t.for_kind(kind))),
            Test::Any(tests) => Test::any(tests.iter().map(|t| t.for_kind(kind))),
            Test::Not(test) => test.for_kind(kind).negated(),
            Test::OfKind(kinds) => {
                let own = kinds.iter().find(|(place, _)| Some(*place) == kind);
                own.map_or(Test::NEVER, |(_, test)| test.for_kind(kind))
            }
            other if other.is_empty() => Test::NEVER,
            other => other.clone(),
        }
    }

    /// How many times it leads to another table.
    pub fn joins(&self) -> usize {
        match self {
            Test::Related(_, test) => 1 + test.joins(),
            Test::Not(test) => test.joins(),
            Test::All(tests) | Test::Any(tests) => tests.iter().map(Test::joins).sum(),
            // The kinds share the joins that they have in common.
            Test::OfKind(kinds) => kinds.iter().map(|(_, t)| t.joins()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// The tests of which all must hold.
    pub fn conjuncts(&self) -> &[Test] {
        match self {
            Test::All(tests) => tests,
            one => std::slice::from_ref(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(field: usize) -> Test {
        let test = FieldTest::Present;
        Test::Field { field, test }
    }

    #[test]
    fn constants_fold() {
        assert_eq!(Test::all([Test::ALWAYS, Test::ALWAYS]), Test::ALWAYS);
        assert_eq!(Test::all([present(1), Test::NEVER]), Test::NEVER);
        assert_eq!(Test::any([present(1), Test::NEVER]), present(1));
        assert_eq!(Test::any([]), Test::NEVER);
        assert_eq!(present(1).negated().negated(), present(1));
        let nested = Test::all([present(1), Test::all([present(2), present(3)])]);
        assert_eq!(nested.conjuncts().len(), 3);
    }

    #[test]
    fn any_of_alike_tests_is_one_test_of_a_list() {
        let name = |value: &str| Test::column("name", [value.to_owned()]);
        let there = |test| Test::related(Relation::RecordDevice, test);
        let any = Test::any([there(name("a")), there(name("b")), there(name("c"))]);
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(any, there(Test::column("name", names)));
        let range = |lo| Test::Field {
            field: 2,
            test: FieldTest::Range(vec![(lo, lo)]),
        };
        let either = Test::any([
            Test::all([Test::Status(vec!["final"]), range(1)]),
            Test::all([Test::Status(vec!["final"]), range(2)]),
        ]);
        assert_eq!(either.conjuncts().len(), 2);
        // A field with a number in a range has a number.
        assert_eq!(Test::all([present(2), range(1)]), range(1));
        assert_eq!(Test::all([range(1), present(2)]), range(1));
        assert_eq!(Test::all([range(1), range(2)]).conjuncts().len(), 2);
    }

    #[test]
    fn a_kind_takes_its_own_part() {
        let test = Test::all([
            Test::of_kinds([(0, Test::ALWAYS), (1, present(2)), (2, Test::NEVER)]),
            Test::of_kinds([(1, Test::ALWAYS)]).negated(),
        ]);
        assert_eq!(test.for_kind(Some(0)), Test::ALWAYS);
        assert_eq!(test.for_kind(Some(1)), Test::NEVER);
        assert_eq!(test.for_kind(Some(2)), Test::NEVER);
        let not = Test::of_kinds([(1, present(2))]).negated();
        assert_eq!(not.for_kind(Some(0)), Test::ALWAYS);
        assert_eq!(not.for_kind(Some(1)), present(2).negated());
    }
}
