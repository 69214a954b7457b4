//! How a query is walked: its units, and the columns of their order.

use std::collections::HashSet;

use super::column::{Column, Keyed};
use crate::fhir::id::Hash96;
use crate::kind::Kinds;
use crate::store::layout::Slot;
use crate::store::query::{Condition, Place, SortBy, SortKey};
use crate::store::test::{At, Compiler, FieldTest, Known, Relation, Test};
use crate::store::{Error, RecordQuery, Result, Store, Table};

/// So many people at most are looked up one by one where a test says what they are like;
/// more are a condition on all records.
pub const PEOPLE_MAX: usize = 16;

/// Columns that units are walked by in turn.
const IN_TURN: usize = 4;

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

/// Choices that a plan takes from the database, not from the query alone. Cursors carry it, so that
/// every page of a walk is planned as the first one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The way that was taken.
    pub way: Way,
    /// Which residue tests were found ([`ResidueLookup::found`]).
    ///
    /// [`ResidueLookup::found`]: crate::store::residue::ResidueLookup
    pub found: i64,
}

impl Choice {
    /// The numbers before a place: which kinds there are, and the choice.
    pub fn numbers(self, kinds: &Kinds) -> [i64; 3] {
        [generation(kinds), self.way as i64, self.found]
    }

    /// The choice and the place that a cursor carries.
    ///
    /// # Errors
    /// [`Error::WalkEnded`] where the kinds are others, [`Error::Cursor`] where it is none.
    fn read<'p>(place: &'p Place, kinds: &Kinds) -> Result<(Choice, &'p [i64])> {
        let [of, way, found, rest @ ..] = place.numbers.as_slice() else {
            return Err(Error::Cursor);
        };
        if *of != generation(kinds) {
            return Err(Error::WalkEnded);
        }
        let way = Way::ALL.into_iter().find(|w| *w as i64 == *way);
        let way = way.ok_or(Error::Cursor)?;
        Ok((Choice { way, found: *found }, rest))
    }
}

/// A number that tells the kinds apart from those of another start.
fn generation(kinds: &Kinds) -> i64 {
    let [a, b, c, d, ..] = kinds.digest;
    i64::from(u32::from_be_bytes([a, b, c, d]))
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
    /// Which residue tests were found when it began.
    pub found: i64,
    /// Where the page begins (or ends), in the numbers of the way.
    pub place: Option<&'a [i64]>,
    /// Further test of the records, where residues came since the walk began.
    pub also: Option<Test>,
    pub sort: Vec<SortKey>,
    pub known: Known,
    pub parts: Vec<Part>,
    /// For [`Way::Found`]: what the participants are like.
    pub like: Option<Test>,
}

impl Store {
    pub(super) async fn plan<'a>(&self, query: &'a RecordQuery) -> Result<Walk<'a>> {
        let begun = query.from.as_ref();
        let begun = begun.map(|place| Choice::read(place, &self.kinds));
        let begun = begun.transpose()?;
        let residues = self.residues(&query.test).await?;
        let found = begun.map_or(residues.found, |(choice, _)| choice.found);
        if !residues.admits(found) {
            return Err(Error::Cursor);
        }
        let test = residues.settle(&query.test, found);
        // The units and their columns are those of the first page. A record that was there
        // needs no residue that came since; one that came may be excluded by it.
        let also = (found != residues.found)
            .then(|| residues.settle(&query.test, residues.found).into_owned());
        let known = self.know(if also.is_some() { &query.test } else { &test });
        let known = known.await?;
        let parts: Vec<Part> = (0..self.kinds.len())
            .filter_map(|kind| {
                let test = test.for_kind(Some(kind));
                let people = named(&test);
                (test != Test::NEVER).then_some(Part { kind, test, people })
            })
            .collect();
        let mut walk = Walk {
            query,
            way: Way::Kinds,
            found,
            place: begun.map(|(_, place)| place),
            also,
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
                Some((choice, _)) => choice.way == Way::Found,
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
        if let Some((choice, place)) = begun
            && (choice.way != walk.way || !self.is_place(&walk, place))
        {
            return Err(Error::Cursor);
        }
        Ok(walk)
    }

    /// Whether numbers can be a place of a walk.
    fn is_place(&self, walk: &Walk<'_>, place: &[i64]) -> bool {
        let (kind, values) = match (walk.way, place) {
            (Way::Sorted, [kind, values @ ..]) | (_, [_, kind, values @ ..]) => (kind, values),
            _ => return false,
        };
        let kind = self.layout.place(*kind);
        let part = walk.parts.iter().find(|part| Some(part.kind) == kind);
        part.is_some_and(|part| {
            let columns = match walk.way {
                Way::Sorted => self.sorted_columns(walk, part.kind).len(),
                _ => IN_TURN,
            };
            columns == values.len()
        })
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
        let at = At::new(Table::Record, "r", Some(unit.kind));
        let mut test = compiler.condition(&unit.test, &at);
        if let Some(also) = &walk.also {
            test.and_also(compiler.condition(&also.for_kind(Some(unit.kind)), &at));
        }
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
                let columns: [Column; IN_TURN] =
                    [value, Column::Time, Column::Participant, Column::Source];
                columns.map(Keyed::up).to_vec()
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
    /// The numbers before each of its places.
    pub(super) fn choice(&self) -> Choice {
        Choice {
            way: self.way,
            found: self.found,
        }
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
