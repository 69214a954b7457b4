//! Tests that are joined: any of many alike is one test of a list.
//!
//! A search for one of a thousand values makes a thousand tests. They become one with all the
//! values, wherever they stand, so that a statement has a list and not a thousand conditions.

use super::residue::{Amount, Holds};
use super::{ColumnTest, FieldTest, ResidueTest, Test};

/// Tests before a new one that it may be one with.
const LOOK_BACK: usize = 16;

/// Adds tests of which any may hold.
pub fn add_any(kept: &mut Vec<Test>, tests: impl IntoIterator<Item = Test>) {
    for test in tests {
        let mut rest = Some(test);
        for one in kept.iter_mut().rev().take(LOOK_BACK) {
            rest = rest.and_then(|test| either(one, test));
        }
        kept.extend(rest);
    }
}

/// Adds tests of which all must hold. A field of which more is asked is present.
pub fn add_all(kept: &mut Vec<Test>, tests: impl IntoIterator<Item = Test>) {
    for test in tests {
        if let Test::Field { field, test: of } = &test {
            let is_same =
                |other: &Test| matches!(other, Test::Field { field: f, .. } if f == field);
            match of {
                FieldTest::Present if kept.iter().any(is_same) => continue,
                FieldTest::Present => {}
                _ => kept.retain(|other| !is_same(other) || !is_presence(other)),
            }
        }
        kept.push(test);
    }
}

fn is_presence(test: &Test) -> bool {
    let test = match test {
        Test::Field { test, .. } => test,
        _ => return false,
    };
    *test == FieldTest::Present
}

/// Makes a test hold where another does, too, if one test can say so; else gives that back.
fn either(one: &mut Test, other: Test) -> Option<Test> {
    use ColumnTest::{Begins, Contains, Equals};
    match (one, other) {
        (Test::Related(to, a), Test::Related(other, b)) if *to == other => or(a, *b),
        (Test::Column { name, test: a }, Test::Column { name: of, test: b }) if *name == of => {
            let back = match (a, b) {
                (Equals(a), Equals(b)) | (Begins(a), Begins(b)) | (Contains(a), Contains(b)) => {
                    a.extend(b);
                    return None;
                }
                (_, b) => b,
            };
            return Some(Test::of_column(of, back));
        }
        (Test::Hash(a), Test::Hash(b)) => a.extend(b),
        (Test::Keys(a), Test::Keys(b)) => a.extend(b),
        (Test::Time(a), Test::Time(b)) => a.extend(b),
        (Test::Status(a), Test::Status(mut b)) => {
            b.retain(|status| !a.contains(status));
            a.extend(b);
        }
        (Test::Updated(a), Test::Updated(b)) | (Test::Occurred(a), Test::Occurred(b)) => {
            a.extend(b);
        }
        (Test::External(a), Test::External(b)) => a.extend(b),
        (Test::Delivery(a), Test::Delivery(b)) => a.extend(b),
        (Test::Field { field, test: a }, Test::Field { field: of, test: b }) if *field == of => {
            let test = either_field(a, b)?;
            return Some(Test::Field { field: of, test });
        }
        (Test::Residue(a), Test::Residue(b)) => return either_residue(a, b).map(Test::Residue),
        (Test::All(a), Test::All(b)) => return differ_in_one(a, b).map(Test::All),
        (_, other) => return Some(other),
    }
    None
}

/// Adds a test to what any may hold of.
fn or(one: &mut Test, other: Test) {
    match (one, other) {
        (Test::Any(kept), Test::Any(tests)) => add_any(kept, tests),
        (Test::Any(kept), test) if !matches!(test, Test::Constant(_)) => add_any(kept, [test]),
        (one, other) => {
            let former = std::mem::replace(one, Test::NEVER);
            *one = Test::any([former, other]);
        }
    }
}

fn either_field(one: &mut FieldTest, other: FieldTest) -> Option<FieldTest> {
    match (one, other) {
        (FieldTest::Range(a), FieldTest::Range(b)) => a.extend(b),
        (FieldTest::Code(a), FieldTest::Code(b)) => a.extend(b),
        (FieldTest::Text(a), FieldTest::Text(b)) => a.extend(b),
        (_, other) => return Some(other),
    }
    None
}

fn either_residue(one: &mut ResidueTest, other: ResidueTest) -> Option<ResidueTest> {
    match (one, other) {
        (
            ResidueTest::Value { parameter, holds },
            ResidueTest::Value {
                parameter: of,
                holds: other,
            },
        ) if *parameter == of => {
            let holds = match (holds, other) {
                (Holds::Is(a), Holds::Is(b)) => {
                    a.extend(b);
                    return None;
                }
                (Holds::Begins(a), Holds::Begins(b)) => {
                    a.extend(b);
                    return None;
                }
                (_, other) => other,
            };
            Some(ResidueTest::Value {
                parameter: of,
                holds,
            })
        }
        (
            ResidueTest::Quantity {
                place,
                codes,
                amount: Amount::Asked(a),
            },
            ResidueTest::Quantity {
                place: of,
                codes: beside,
                amount: Amount::Asked(b),
            },
        ) if *place == of && *codes == beside => {
            a.0.extend(b.0);
            None
        }
        (_, other) => Some(other),
    }
}

/// Tests of which all must hold, and which differ in one of them, are one where those are.
fn differ_in_one(one: &mut [Test], mut other: Vec<Test>) -> Option<Vec<Test>> {
    if one.len() != other.len() {
        return Some(other);
    }
    let differ = std::iter::zip(&*one, &other).enumerate();
    let differ = differ.filter(|(_, (a, b))| a != b).map(|(at, _)| at);
    match differ.take(2).collect::<Vec<_>>().as_slice() {
        [] => None,
        &[at] => {
            let test = std::mem::replace(&mut other[at], Test::ALWAYS);
            other[at] = either(&mut one[at], test)?;
            Some(other)
        }
        _ => Some(other),
    }
}
