//! Conditions on what was written of a record beyond its fields.

use std::fmt::Debug;
use std::sync::Arc;

use super::Test;
use crate::store::db::Bound;
use crate::store::query::Condition;
use crate::store::residue::{QuantityUnit, ResiduePlace};
use crate::store::sql;

/// Something stands in a record's residue that a search parameter reads.
#[derive(Debug, Clone, PartialEq)]
pub enum ResidueTest {
    /// A code, an identifier, a reference.
    Value {
        /// The parameter.
        parameter: String,
        /// What holds for what it reads.
        holds: Holds,
    },
    /// A number with a unit.
    Quantity {
        /// Where it stands.
        place: ResiduePlace,
        /// The codes beside it, any where there is none.
        codes: Option<Vec<Pair>>,
        /// What holds for it.
        amount: Amount,
    },
}

/// A system and a value; any where either is absent.
pub type Pair = (Option<String>, Option<String>);

/// What holds for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// There is one.
    Present,
    /// It is one of these.
    Is(Vec<Pair>),
    /// It begins with one of these: texts are folded, addresses as they are.
    Begins(Vec<String>),
}

/// What holds for a number with a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    /// There is one.
    Present,
    /// A comparison holds. Which numbers that means is known when the units are.
    Asked(Asked),
    /// It is one of these.
    Within(Vec<Within>),
}

/// Numbers of some units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The numbers of the units.
    units: Vec<i64>,
    /// The ranges of numbers in them, both ends included.
    ranges: Vec<(i64, i64)>,
}

/// A comparison with numbers of any unit.
pub trait Compares: Debug + Send + Sync {
    /// The numbers of a unit that pass, as whole numbers of their last decimal, both ends
    /// included.
    fn within(&self, unit: &QuantityUnit) -> Vec<(i64, i64)>;
}

/// A comparison that was asked for, the same only as itself.
#[derive(Debug, Clone)]
pub struct Asked(pub Arc<dyn Compares>);

impl PartialEq for Asked {
    fn eq(&self, other: &Asked) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl ResidueTest {
    /// Whether it is settled only when the units are known.
    pub(in crate::store) fn asks_units(&self) -> bool {
        let asked = |amount: &Amount| matches!(amount, Amount::Asked(_));
        matches!(self, ResidueTest::Quantity { amount, .. } if asked(amount))
    }

    /// The same, where these are the units and their numbers.
    pub(in crate::store) fn settled(&self, units: &[(i64, QuantityUnit)]) -> ResidueTest {
        let mut out = self.clone();
        if let ResidueTest::Quantity { amount, .. } = &mut out
            && let Amount::Asked(Asked(comparison)) = amount
        {
            // Many units have the same numbers: they differ in their text, say.
            let mut within: Vec<Within> = Vec::new();
            for (id, unit) in units {
                let ranges = comparison.within(unit);
                match within.iter_mut().find(|one| one.ranges == ranges) {
                    _ if ranges.is_empty() => {}
                    Some(one) => one.units.push(*id),
                    None => within.push(Within {
                        units: vec![*id],
                        ranges,
                    }),
                }
            }
            *amount = Amount::Within(within);
        }
        out
    }

    /// The table whose rows it is about.
    pub(in crate::store) fn table(&self) -> &'static str {
        match self {
            ResidueTest::Value { .. } => "residue_value",
            ResidueTest::Quantity { .. } => "residue_quantity",
        }
    }

    /// The condition on a row of its table, called `name`.
    pub(in crate::store) fn condition(&self, name: &str) -> Condition {
        match self {
            ResidueTest::Value { parameter, holds } => {
                let bound = vec![parameter.as_str().into()];
                let mut out = Condition::new(format!("{name}.parameter = ?"), bound);
                match holds {
                    Holds::Present => {}
                    Holds::Is(these) => out.and_also(is_one(name, "value", these)),
                    Holds::Begins(starts) => out.and_also(begins(name, starts)),
                }
                out
            }
            ResidueTest::Quantity {
                place,
                codes,
                amount,
            } => {
                let component = *place as i64;
                let mut out = Condition::new(format!("{name}.component = {component}"), Vec::new());
                match amount {
                    Amount::Present => {}
                    Amount::Asked(_) => return Condition::never(),
                    Amount::Within(within) => out.and_also(is_within(name, within)),
                }
                if let Some(codes) = codes {
                    out.and_also(is_one(name, "code", codes));
                }
                out
            }
        }
    }
}

fn is_one(name: &str, column: &str, these: &[Pair]) -> Condition {
    Condition::any(these.iter().map(|(system, value)| {
        let mut one = Condition::default();
        for (column, asked) in [(column, value), ("system", system)] {
            if let Some(asked) = asked {
                one.and(&format!("{name}.{column} = ?"), &[asked.as_str().into()]);
            }
        }
        one.or_always().in_brackets()
    }))
}

fn begins(name: &str, starts: &[String]) -> Condition {
    Condition::any(starts.iter().map(|start| {
        let end = format!("{start}{}", char::MAX);
        let bound = vec![Bound::from(start.as_str()), end.into()];
        Condition::new(format!("({name}.value >= ? AND {name}.value < ?)"), bound)
    }))
}

fn is_within(name: &str, within: &[Within]) -> Condition {
    Condition::any(within.iter().map(|Within { units, ranges }| {
        let units = format!("{name}.unit IN ({})", sql::numbers(units));
        let mut one = Condition::new(units, Vec::new());
        one.and_ranges(&format!("{name}.number"), ranges);
        one.in_brackets()
    }))
}

impl Test {
    /// What it asks of residues.
    pub(crate) fn residues<'t>(&'t self, out: &mut Vec<&'t ResidueTest>) {
        match self {
            Test::Residue(test) => out.push(test),
            Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|t| t.residues(out)),
            Test::OfKind(tests) => tests.iter().for_each(|(_, t)| t.residues(out)),
            Test::Not(test) | Test::Related(_, test) => test.residues(out),
            _ => {}
        }
    }

    /// The same with what each of these tests of residues is; those that are none of them
    /// stay.
    pub(crate) fn with_residues(&self, known: &[(ResidueTest, Test)]) -> Test {
        let inner = |test: &Test| test.with_residues(known);
        match self {
            Test::Residue(test) => {
                let found = known.iter().find(|(asked, _)| asked == test);
                found.map_or_else(|| self.clone(), |(_, test)| test.clone())
            }
            Test::All(tests) => Test::all(tests.iter().map(inner)),
            Test::Any(tests) => Test::any(tests.iter().map(inner)),
            Test::OfKind(tests) => Test::of_kinds(tests.iter().map(|(kind, t)| (*kind, inner(t)))),
            Test::Not(test) => inner(test).negated(),
            Test::Related(relation, test) => Test::related(*relation, inner(test)),
            other => other.clone(),
        }
    }
}

/// The condition on a record that is called `name`.
pub(super) fn of_record(test: &ResidueTest, name: &str) -> Condition {
    let inner = test.condition("v");
    Condition::new(
        format!(
            "{name}.residue IN (SELECT v.residue FROM {} v WHERE {})",
            test.table(),
            inner.sql
        ),
        inner.bound,
    )
}
