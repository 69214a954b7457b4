//! Conditions on what was written of a record beyond its fields.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::Test;
use crate::store::query::Condition;
use crate::store::residue::{QuantityUnit, ResiduePlace};
use crate::store::{among, sql};

/// Something stands in a record's residue that a search parameter reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holds {
    /// There is one.
    Present,
    /// It is one of these.
    Is(Vec<Pair>),
    /// It begins with one of these: texts are folded, addresses as they are.
    Begins(Vec<String>),
}

/// What holds for a number with a unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Amount {
    /// There is one.
    Present,
    /// One of these comparisons holds. Which numbers that means is known when the units are.
    Asked(Asked),
    /// It is one of these.
    Within(Vec<Within>),
}

/// Numbers of some units.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

/// Comparisons that were asked for, each the same only as itself.
#[derive(Debug, Clone)]
pub struct Asked(pub Vec<Arc<dyn Compares>>);

impl Asked {
    fn places(&self) -> impl Iterator<Item = *const ()> + '_ {
        self.0.iter().map(|one| Arc::as_ptr(one).cast())
    }
}

impl PartialEq for Asked {
    fn eq(&self, other: &Asked) -> bool {
        self.places().eq(other.places())
    }
}

impl Eq for Asked {}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.places().for_each(|place| place.hash(state));
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
            && let Amount::Asked(Asked(comparisons)) = amount
        {
            // Many units have the same numbers: they differ in their text, say.
            let mut within: Vec<Within> = Vec::new();
            for (id, unit) in units {
                let ranges = comparisons.iter().flat_map(|one| one.within(unit));
                let ranges = among::merged(&ranges.collect::<Vec<_>>());
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
                    Holds::Is(these) => {
                        out.and_also(among::pairs(name, ["value", "system"], these));
                    }
                    Holds::Begins(starts) => {
                        let value = format!("{name}.value");
                        out.and_also(among::begins(&value, starts, |list| {
                            format!(
                                "EXISTS (WITH l AS MATERIALIZED ({list}) \
                                 SELECT 1 FROM l WHERE {value} >= l.a AND {value} < l.b)"
                            )
                        }));
                    }
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
                    out.and_also(among::pairs(name, ["code", "system"], codes));
                }
                out
            }
        }
    }
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
    pub(crate) fn with_residues(&self, known: &HashMap<ResidueTest, Test>) -> Test {
        let inner = |test: &Test| test.with_residues(known);
        match self {
            Test::Residue(test) => {
                let found = known.get(test);
                found.map_or_else(|| self.clone(), Test::clone)
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
