//! Conditions on what was written of a record beyond its fields.

use super::Test;
use crate::store::db::Bound;
use crate::store::query::Condition;

/// Something stands in a record's residue that a search parameter reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidueTest {
    /// The parameter.
    pub parameter: String,
    /// What holds for what it reads.
    pub holds: Holds,
}

/// What holds for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// There is one.
    Present,
    /// It is one of these: a system and a value, any where either is absent.
    Is(Vec<(Option<String>, Option<String>)>),
    /// It begins with one of these, which are folded.
    Begins(Vec<String>),
}

impl ResidueTest {
    /// The condition on a row of `residue_value`, called `name`.
    pub(in crate::store) fn condition(&self, name: &str) -> Condition {
        let mut out = Condition::new(
            format!("{name}.parameter = ?"),
            vec![self.parameter.as_str().into()],
        );
        match &self.holds {
            Holds::Present => {}
            Holds::Is(these) => {
                out.and_also(Condition::any(these.iter().map(|(system, value)| {
                    let mut one = Condition::default();
                    for (column, asked) in [("value", value), ("system", system)] {
                        if let Some(asked) = asked {
                            one.and(&format!("{name}.{column} = ?"), &[asked.as_str().into()]);
                        }
                    }
                    one.or_always().in_brackets()
                })))
            }
            Holds::Begins(starts) => out.and_also(Condition::any(starts.iter().map(|start| {
                let end = format!("{start}{}", char::MAX);
                let bound = vec![Bound::from(start.as_str()), end.into()];
                Condition::new(format!("({name}.value >= ? AND {name}.value < ?)"), bound)
            }))),
        }
        out
    }
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

    /// The same where none of these holds for any record.
    pub(crate) fn without_residues(&self, none: &[ResidueTest]) -> Test {
        let inner = |test: &Test| test.without_residues(none);
        match self {
            Test::Residue(test) if none.contains(test) => Test::NEVER,
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
            "{name}.residue IN (SELECT v.residue FROM residue_value v WHERE {})",
            inner.sql
        ),
        inner.bound,
    )
}
