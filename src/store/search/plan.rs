//! How a query is walked: its units, and the columns of their order.

use std::collections::HashSet;

use super::column::{Column, Keyed};
use crate::fhir::id::Hash96;
use crate::store::layout::Slot;
use crate::store::query::{Condition, SortBy, SortKey};
use crate::store::test::{At, Compiler, FieldTest, Known, Relation, Test};
use crate::store::{RecordQuery, Result, Store, Table};

/// So many people at most are looked up one by one where a test says what they are like;
/// more are a condition on all records.
pub const PEOPLE_MAX: usize = 16;

/// How a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Kind by kind.
    Kinds,
    /// The participants that the test names, in the order in which it names them.
    Named,
    /// The participants that a test on them finds, as the store numbers them.
    Found,
    /// Merged by keys.
    Sorted,
}

impl Way {
    /// All of them, by their numbers.
    pub const ALL: [Way; 4] = [Way::Kinds, Way::Named, Way::Found, Way::Sorted];
}

/// Whose records a unit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    Hash(Hash96),
    Number(i64),
}

/// One kind, of one participant or of all.
#[derive(Debug, Clone)]
pub struct Unit {
    pub kind: usize,
    pub person: Option<Person>,
    /// The participant's place among those that are walked in turn.
    pub rank: i64,
    /// What else must hold.
    pub test: Test,
}

/// What is left of a test for one kind.
pub struct Part {
    pub kind: usize,
    pub test: Test,
    /// The participants that the test names.
    pub people: Option<Vec<Hash96>>,
}

/// A walk that was planned, and where it stands.
pub struct Walk<'a> {
    pub query: &'a RecordQuery,
    pub way: Way,
    pub sort: Vec<SortKey>,
    pub known: Known,
    pub parts: Vec<Part>,
    /// For [`Way::Found`]: what the participants are like.
    pub like: Option<Test>,
}

impl Store {
    pub(super) async fn plan<'a>(&self, query: &'a RecordQuery) -> Result<Walk<'a>> {
        let test = self.without_residue(&query.test).await?;
        let known = self.know(&test).await?;
        let parts: Vec<Part> = (0..self.kinds.len())
            .filter_map(|kind| {
                let test = test.for_kind(Some(kind));
                let people = named(&test);
                (test != Test::NEVER).then_some(Part { kind, test, people })
            })
            .collect();
        let begun = query.from.as_ref().and_then(|place| {
            let way = *place.numbers.first()?;
            Way::ALL.into_iter().find(|w| *w as i64 == way)
        });
        let mut walk = Walk {
            query,
            way: Way::Kinds,
            sort: query.sort.clone(),
            known,
            parts,
            like: None,
        };
        walk.way = if !query.sort.is_empty() {
            Way::Sorted
        } else if walk.parts.iter().any(|p| p.people.is_some()) {
            Way::Named
        } else if let Some(like) = walk.like() {
            let few = match begun {
                Some(way) => way == Way::Found,
                None => {
                    let people = self.people_like(&walk, &like, None, PEOPLE_MAX + 1).await?;
                    people.len() <= PEOPLE_MAX
                }
            };
            if few {
                walk.like = Some(like);
                Way::Found
            } else {
                Way::Kinds
            }
        } else {
            Way::Kinds
        };
        Ok(walk)
    }

    /// What must hold for the records of a unit.
    pub(super) fn condition(&self, walk: &Walk<'_>, unit: &Unit) -> Condition {
        let mut out = Condition::default();
        match unit.person {
            Some(Person::Hash(hash)) => out.and(
                "r.participant = (SELECT id FROM participant WHERE hash = ?)",
                &[(&hash).into()],
            ),
            Some(Person::Number(id)) => out.and("r.participant = ?", &[id.into()]),
            None => {}
        }
        // A literal: the indexes of one kind each make SQLite prepare a statement with a
        // bound kind anew whenever it is bound.
        let id = self.layout.of(unit.kind).id;
        out.and(&format!("r.kind = {id} AND r.state <> 2"), &[]);
        let mut compiler = Compiler::new(&self.kinds, &self.layout, &walk.known);
        let at = At {
            table: Table::Record,
            name: "r",
            kind: Some(unit.kind),
        };
        let test = compiler.condition(&unit.test, &at);
        if test.is_never() {
            return test;
        }
        if !test.is_always() {
            out.and(&test.sql, &test.bound);
        }
        out
    }

    /// The columns that a unit is walked by.
    pub(super) fn columns(&self, walk: &Walk<'_>, unit: &Unit) -> Vec<Keyed> {
        let mut columns = match walk.way {
            Way::Sorted => self.sorted_columns(walk, unit.kind),
            _ => {
                // Of the same number for all units: places have one width.
                let value = self.indexed(unit).map_or(Column::Constant(0), Column::Cell);
                [value, Column::Time, Column::Participant, Column::Source]
                    .map(Keyed::up)
                    .to_vec()
            }
        };
        if walk.back() {
            columns
                .iter_mut()
                .for_each(|c| c.descending = !c.descending);
        }
        columns
    }

    /// The field along whose index a unit of all participants is best walked: one that is to
    /// lie within a range.
    ///
    /// In the order of time, all records before the first that matches would be passed.
    fn indexed(&self, unit: &Unit) -> Option<usize> {
        let tests = unit.test.conjuncts().iter();
        let mut ranges = tests.filter_map(|test| match test {
            Test::Field {
                field,
                test: FieldTest::Range(_),
            } => Some(*field),
            _ => None,
        });
        ranges.find(|&field| self.index(unit, Column::Cell(field)).is_some())
    }

    /// The index in the order of a column, if it has one and nothing that is asked of the unit
    /// leads to fewer records than it may.
    pub(super) fn index(&self, unit: &Unit, column: Column) -> Option<String> {
        let Column::Cell(field) = column else {
            return None;
        };
        let layout = self.layout.of(unit.kind);
        let Slot::Column(column) = layout.slots[field] else {
            return None;
        };
        let is_open = |test: &Test| {
            matches!(
                test,
                Test::Constant(_) | Test::Field { .. } | Test::Status(_)
            )
        };
        let open = unit.person.is_none() && unit.test.conjuncts().iter().all(is_open);
        (open && layout.tallied.contains(&column)).then(|| layout.index(column))
    }

    fn sorted_columns(&self, walk: &Walk<'_>, kind: usize) -> Vec<Keyed> {
        let kinds: Vec<usize> = walk.parts.iter().map(|p| p.kind).collect();
        let mut out = Vec::new();
        for (n, key) in walk.sort.iter().enumerate() {
            let last = n + 1 == walk.sort.len();
            Column::of_key(&self.kinds, &kinds, kind, *key, last, &mut out);
        }
        // A total order: the rest of the key, the way the last key goes, and at last the kind.
        let descending = walk.sort.last().is_some_and(|key| key.descending);
        let written = walk
            .sort
            .last()
            .is_some_and(|key| key.by == SortBy::Written);
        let rest = match written {
            true => [Column::Participant, Column::Time, Column::Source],
            false => [Column::Time, Column::Participant, Column::Source],
        };
        for column in rest {
            if !out.iter().any(|k| k.column == column) {
                out.push(Keyed { column, descending });
            }
        }
        out
    }
}

impl Walk<'_> {
    /// The numbers of the place where the page begins.
    pub(super) fn from(&self) -> Option<&[i64]> {
        Some(self.query.from.as_ref()?.numbers.as_slice())
    }

    pub(super) fn back(&self) -> bool {
        self.query.from.as_ref().is_some_and(|place| place.before)
    }

    /// What the participants are like, where every part asks the same of them.
    pub(super) fn like(&self) -> Option<Test> {
        let like = |part: &Part| {
            let tests = part.test.conjuncts().iter();
            let inner = tests.filter_map(|test| match test {
                Test::Related(Relation::RecordParticipant, inner) => Some((**inner).clone()),
                // Records have no index by device, but who used it is known.
                Test::Related(Relation::RecordDevice, inner) => {
                    Some(Test::Related(Relation::ParticipantDevices, inner.clone()))
                }
                _ => None,
            });
            let inner: Vec<Test> = inner.collect();
            (!inner.is_empty()).then(|| Test::all(inner))
        };
        let first = like(self.parts.first()?)?;
        let rest = &self.parts[1..];
        rest.iter()
            .all(|part| like(part).as_ref() == Some(&first))
            .then_some(first)
    }

    /// The units, in the order of the walk.
    pub(super) fn units(&self) -> Vec<Unit> {
        let all = |part: &Part| Unit {
            kind: part.kind,
            person: None,
            rank: 0,
            test: part.test.clone(),
        };
        let mut people: Vec<Hash96> = Vec::new();
        let mut seen = HashSet::new();
        for hash in self.parts.iter().flat_map(|p| p.people.iter().flatten()) {
            if seen.insert(*hash) {
                people.push(*hash);
            }
        }
        // Those of everyone first: their rank is 0.
        let open = self.parts.iter().filter(|part| part.people.is_none());
        let mut out: Vec<Unit> = open.map(all).collect();
        for (rank, hash) in (1..).zip(people) {
            for part in &self.parts {
                if part.people.as_ref().is_some_and(|p| p.contains(&hash)) {
                    out.push(Unit {
                        kind: part.kind,
                        person: Some(Person::Hash(hash)),
                        rank,
                        test: without(&part.test, |inner| matches!(inner, Test::Hash(_))),
                    });
                }
            }
        }
        out
    }

    /// The units of these participants, who are what the test asks for.
    pub(super) fn units_of(&self, people: &[i64]) -> Vec<Unit> {
        let mut people = people.to_vec();
        people.sort_unstable();
        let units = people.iter().flat_map(|&id| {
            self.parts.iter().map(move |part| Unit {
                kind: part.kind,
                person: Some(Person::Number(id)),
                rank: id,
                test: without(&part.test, |_| true),
            })
        });
        units.collect()
    }
}

/// The participants that a test names: those for whom all of it can hold.
fn named(test: &Test) -> Option<Vec<Hash96>> {
    let mut people: Option<Vec<Hash96>> = None;
    for test in test.conjuncts() {
        let these: Vec<Hash96> = match test {
            Test::Related(Relation::RecordParticipant, inner) => match &**inner {
                Test::Hash(hashes) => hashes.clone(),
                _ => continue,
            },
            Test::Keys(keys) => keys.iter().map(|key| key.participant).collect(),
            _ => continue,
        };
        people = Some(match people {
            None => these,
            Some(former) => former.into_iter().filter(|h| these.contains(h)).collect(),
        });
    }
    people
}

/// A test without what it asks of participants and `told` says is known to hold.
fn without(test: &Test, told: impl Fn(&Test) -> bool) -> Test {
    let kept = test.conjuncts().iter().filter(|test| match test {
        Test::Related(Relation::RecordParticipant, inner) => !told(inner),
        _ => true,
    });
    Test::all(kept.cloned())
}
