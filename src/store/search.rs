//! Records by query.
//!
//! A test is worked out for each kind; what is left falls into *units*: one kind, of one
//! participant or of all. Every unit is one range of the primary key or of an index, walked
//! in the order of that key with a cursor, so that a page deep in a walk costs what the
//! first one costs. A walk goes one of these ways:
//!
//! - by participant, where the test names some: their units in turn, several a statement;
//! - by kind: one unit after the other, a statement each;
//! - by value, where the test asks for a range of an indexed value and nothing better;
//! - sorted: the units merged by the keys asked for, in one statement.
//!
//! The way is part of the cursor: a walk goes on as it began, whatever was written since.

use super::db::{Bound, bind};
use super::dictionary::Word;
use super::query::{Condition, Place, SortBy, SortKey};
use super::read::{FIXED, FIXED_COUNT, Raw, Records};
use super::test::{At, Compiler, FieldTest, Known, Relation, Test};
use super::walk_column::{Column, Keyed, beyond};
use super::{Access, RecordQuery, Result, Store, Table};
use crate::fhir::id::{self, Hash96, ObservationKey};
use crate::registry::PARTICIPANTS;

/// So many people at most are looked up one by one where a test says what they are like;
/// more are a condition on all records.
const PEOPLE_MAX: usize = 16;
/// Units of one statement at most.
const UNITS_MAX: usize = 24;

/// How a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Kind by kind.
    Kinds,
    /// The participants that the test names, in the order in which it names them.
    Named,
    /// The participants that a test on them finds, as the store numbers them.
    Found,
    /// Kind by kind, each by its indexed value.
    Values,
    /// Merged by keys.
    Sorted,
}

impl Way {
    const ALL: [Way; 5] = [Way::Kinds, Way::Named, Way::Found, Way::Values, Way::Sorted];
}

/// Whose records a unit has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Hash(Hash96),
    Number(i64),
}

/// One kind, of one participant or of all.
#[derive(Debug, Clone)]
struct Unit {
    kind: usize,
    person: Option<Person>,
    /// The participant's place among those that are walked in turn.
    rank: i64,
    /// What else must hold.
    test: Test,
}

/// What is left of a test for one kind.
struct Part {
    kind: usize,
    test: Test,
    /// The participants that the test names.
    people: Option<Vec<Hash96>>,
}

/// A page of records.
#[derive(Debug)]
pub struct Page {
    /// The records, in the order asked for.
    pub records: Records,
    /// Whether there are more in the direction in which the page was read.
    pub more: bool,
    /// Where the page after this one begins, where there is one.
    pub next: Option<Place>,
    /// Where the page before this one ends, where there may be one.
    pub previous: Option<Place>,
    /// The numbers of the places, `width` a row.
    places: Vec<i64>,
    width: usize,
}

impl Page {
    /// The place after a row.
    pub fn after(&self, row: usize) -> Place {
        self.place(row, false)
    }

    fn place(&self, row: usize, before: bool) -> Place {
        Place {
            before,
            numbers: self.places[row * self.width..][..self.width].to_vec(),
        }
    }
}

/// A walk that was planned, and where it stands.
struct Walk<'a> {
    query: &'a RecordQuery,
    way: Way,
    sort: Vec<SortKey>,
    known: Known,
    parts: Vec<Part>,
    /// For [`Way::Found`]: what the participants are like.
    like: Option<Test>,
}

/// Rows as they were found, with their places.
#[derive(Default)]
struct Found {
    raw: Vec<Raw>,
    places: Vec<i64>,
}

impl Store {
    /// The records that a query asks for, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn search(&self, _access: &Access, query: &RecordQuery) -> Result<Page> {
        let walk = self.plan(query).await?;
        // One more tells whether there are more.
        let limit = query.limit + 1;
        let mut found = match walk.way {
            Way::Sorted => self.merged(&walk, limit).await?,
            Way::Found => self.found(&walk, limit).await?,
            _ => self.in_turn(&walk, &walk.units(), limit).await?,
        };
        let width = found.places.len() / found.raw.len().max(1);
        let more = found.raw.len() > query.limit;
        found.raw.truncate(query.limit);
        found.places.truncate(query.limit * width);
        let rows = found.raw.len();
        let back = walk.back();
        if back {
            found.raw.reverse();
            let rows = found.places.chunks(width.max(1)).rev();
            found.places = rows.flatten().copied().collect();
        }
        let mut page = Page {
            records: self.resolve(found.raw).await?,
            more,
            next: None,
            previous: None,
            places: found.places,
            width,
        };
        if rows > 0 {
            let (before, after) = match back {
                true => (more, true),
                false => (query.from.is_some(), more),
            };
            page.previous = before.then(|| page.place(0, true));
            page.next = after.then(|| page.place(rows - 1, false));
        }
        Ok(page)
    }

    /// How many records a query matches, whatever its limit and place.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn count(&self, _access: &Access, query: &RecordQuery) -> Result<u64> {
        let query = RecordQuery {
            from: None,
            sort: Vec::new(),
            ..query.clone()
        };
        let walk = self.plan(&query).await?;
        let units = match &walk.like {
            Some(like) => {
                let people = self.people_like(&walk, like, None, PEOPLE_MAX).await?;
                walk.units_of(&people)
            }
            None => walk.units(),
        };
        let mut total = 0;
        for units in units.chunks(UNITS_MAX) {
            let mut selects = Vec::new();
            let mut bound = Vec::new();
            for unit in units {
                let condition = self.condition(&walk, unit);
                if !condition.is_never() {
                    selects.push(format!(
                        "SELECT count(*) FROM record r WHERE {}",
                        condition.sql
                    ));
                    bound.extend(condition.bound);
                }
            }
            if selects.is_empty() {
                continue;
            }
            let sql = selects.join(" UNION ALL ");
            for row in bind(&sql, &bound).fetch_all(&self.read).await? {
                total += row.try_get::<i64>(0)? as u64;
            }
        }
        Ok(total)
    }

    async fn plan<'a>(&self, query: &'a RecordQuery) -> Result<Walk<'a>> {
        let known = self.know(&query.test).await?;
        let parts: Vec<Part> = (0..self.kinds.len())
            .filter_map(|kind| {
                let test = query.test.for_kind(Some(kind));
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
        } else if walk.parts.iter().any(|p| self.value_range(p).is_some()) {
            Way::Values
        } else {
            Way::Kinds
        };
        Ok(walk)
    }

    /// Asks the database for what must be known before a test can be SQL.
    pub(super) async fn know(&self, test: &Test) -> Result<Known> {
        let (mut ranges, mut keys) = (Vec::new(), Vec::new());
        Known::needs(test, &mut ranges, &mut keys);
        let mut known = Known::default();
        for range in ranges {
            let writes = self.write_ranges(&[range]).await?;
            known.writes.insert(range, writes.first().copied());
        }
        for key in keys {
            let Some(kind) = self.kinds.by_hash(key.kind) else {
                continue;
            };
            let kind = self.layout.of(kind.place).id;
            let found = self.sources(&key, kind).await?;
            known.records.insert(key, found);
        }
        Ok(known)
    }

    /// The condition of a test on rows of a table that is called `name`.
    pub(super) async fn condition_on(
        &self,
        test: &Test,
        table: Table,
        name: &str,
    ) -> Result<Condition> {
        let known = self.know(test).await?;
        let at = At {
            table,
            name,
            kind: None,
        };
        let mut compiler = Compiler::new(&self.kinds, &self.layout, &known);
        Ok(compiler.condition(&test.for_kind(None), &at))
    }

    /// The rows that an id can mean: (participant, source).
    async fn sources(&self, key: &ObservationKey, kind: i64) -> Result<Vec<(i64, i64)>> {
        let sql = format!(
            "SELECT r.participant, r.source FROM participant p CROSS JOIN record r \
             WHERE p.hash = ? AND r.participant = p.id AND r.kind = {kind} AND r.time = ?"
        );
        let bound = [(&key.participant).into(), key.seconds.into()];
        let mut out = Vec::new();
        for row in bind(&sql, &bound).fetch_all(&self.read).await? {
            let (participant, source): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let hash = match source {
                0 => id::source_hash(""),
                _ => {
                    let words = self.dictionary.words(&self.read, &[source]).await?;
                    words
                        .get(&source)
                        .map_or([0; 12], |w: &std::sync::Arc<Word>| w.hash)
                }
            };
            if hash == key.source {
                out.push((participant, source));
            }
        }
        Ok(out)
    }

    /// The numbers of the participants that are like this, from one of them on (or down).
    async fn people_like(
        &self,
        walk: &Walk<'_>,
        like: &Test,
        from: Option<i64>,
        limit: usize,
    ) -> Result<Vec<i64>> {
        let mut compiler = Compiler::new(&self.kinds, &self.layout, &walk.known);
        let at = At {
            table: Table::List(&PARTICIPANTS),
            name: "participant",
            kind: None,
        };
        let mut condition = compiler.condition(&like.for_kind(None), &at);
        let (beyond, order) = if walk.back() {
            ("<=", " DESC")
        } else {
            (">=", "")
        };
        if let Some(from) = from {
            condition.and(&format!("participant.id {beyond} ?"), &[from.into()]);
        }
        let sql = format!(
            "SELECT participant.id FROM participant WHERE {} ORDER BY participant.id{order} LIMIT {limit}",
            condition.sql
        );
        let rows = bind(&sql, &condition.bound).fetch_all(&self.read).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// The field with an index of its own that a part asks for a range of, where nothing
    /// else of it leads to a range of a key.
    fn value_range(&self, part: &Part) -> Option<usize> {
        let kind = self.kinds.at(part.kind);
        let mut value = None;
        for test in part.test.conjuncts() {
            match test {
                Test::Time(_) | Test::Updated(_) | Test::Keys(_) => return None,
                Test::Field {
                    field,
                    test: FieldTest::Range(_),
                } if kind.fields[*field].indexed => value = Some(*field),
                _ => {}
            }
        }
        value
    }

    /// What must hold for the records of a unit.
    fn condition(&self, walk: &Walk<'_>, unit: &Unit) -> Condition {
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
    fn columns(&self, walk: &Walk<'_>, unit: &Unit) -> Vec<Keyed> {
        let plain = [Column::Time, Column::Participant, Column::Source].map(Keyed::up);
        let mut columns = match walk.way {
            Way::Sorted => self.sorted_columns(walk, unit.kind),
            Way::Values => {
                let part = walk.parts.iter().find(|p| p.kind == unit.kind);
                match part.and_then(|part| self.value_range(part)) {
                    Some(field) => vec![Keyed::up(Column::Cell(field))],
                    None => vec![Keyed::up(Column::Constant(0))],
                }
            }
            _ => Vec::new(),
        };
        if walk.way != Way::Sorted {
            columns.extend(plain);
        }
        if walk.back() {
            columns
                .iter_mut()
                .for_each(|c| c.descending = !c.descending);
        }
        columns
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

    /// The units one after the other.
    async fn in_turn(&self, walk: &Walk<'_>, units: &[Unit], limit: usize) -> Result<Found> {
        let mut units: Vec<&Unit> = units.iter().collect();
        if walk.back() {
            units.reverse();
        }
        // [way, rank, kind, column…]
        let from = walk
            .query
            .from
            .as_ref()
            .map(|place| place.numbers.as_slice());
        let mut out = Found::default();
        let mut skip = 0;
        if let Some([_, rank, kind, ..]) = from {
            let at = |unit: &&&Unit| {
                let here = (unit.rank, self.layout.of(unit.kind).id);
                here == (*rank, *kind)
            };
            // A participant who is no longer found is passed.
            let exact = units.iter().position(|unit| at(&unit));
            let passed = units.iter().position(|unit| match walk.back() {
                true => unit.rank < *rank,
                false => unit.rank > *rank,
            });
            skip = exact.or(passed).unwrap_or(units.len());
        }
        let each = match walk.way {
            Way::Named | Way::Found => UNITS_MAX,
            _ => 1,
        };
        for units in units[skip..].chunks(each) {
            let left = limit - out.raw.len();
            if left == 0 {
                break;
            }
            let mut selects = Selects::new(self, units.iter().map(|u| u.kind), left);
            for (n, unit) in units.iter().enumerate() {
                let columns = self.columns(walk, unit);
                let mut condition = self.condition(walk, unit);
                if let Some([_, rank, kind, values @ ..]) = from
                    && (unit.rank, self.layout.of(unit.kind).id) == (*rank, *kind)
                {
                    let after = beyond(&columns, values, false, self.layout.of(unit.kind));
                    condition.and_also(after);
                }
                selects.push(n, unit.kind, &columns, condition, false);
            }
            let Some((sql, bound)) = selects.in_turn() else {
                continue;
            };
            let rows = bind(&sql, &bound).fetch_all(&self.read).await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let n: i64 = row.try_get(selects.unit_at())?;
                let unit = units[n as usize];
                let raw = Raw::read(unit.kind, self.layout.of(unit.kind).columns, row)?;
                found.push((n, raw));
            }
            // Databases promise no order across the parts of a union.
            found.sort_by_key(|(n, _)| *n);
            for (n, raw) in found.into_iter().take(left) {
                let unit = units[n as usize];
                let layout = self.layout.of(unit.kind);
                out.places.extend([walk.way as i64, unit.rank, layout.id]);
                let columns = self.columns(walk, unit);
                out.places
                    .extend(columns.iter().map(|c| c.column.value(&raw, layout)));
                out.raw.push(raw);
            }
        }
        Ok(out)
    }

    /// The units of the participants that are like what is asked for, some of them at a time.
    async fn found(&self, walk: &Walk<'_>, limit: usize) -> Result<Found> {
        let mut out = Found::default();
        let Some(like) = &walk.like else {
            return Ok(out);
        };
        let begun = walk.query.from.as_ref();
        let mut from = begun.and_then(|place| place.numbers.get(1).copied());
        loop {
            let mut people = self.people_like(walk, like, from, PEOPLE_MAX + 1).await?;
            let next = (people.len() > PEOPLE_MAX).then(|| people.pop()).flatten();
            let found = self
                .in_turn(walk, &walk.units_of(&people), limit - out.raw.len())
                .await?;
            out.raw.extend(found.raw);
            out.places.extend(found.places);
            if next.is_none() || out.raw.len() >= limit {
                return Ok(out);
            }
            from = next;
        }
    }

    /// The first of every unit, merged by the keys of the order.
    async fn merged(&self, walk: &Walk<'_>, limit: usize) -> Result<Found> {
        let units = walk.units();
        // [way, kind, column…]
        let from = walk
            .query
            .from
            .as_ref()
            .map(|place| place.numbers.as_slice());
        let mut out = Found::default();
        let mut groups = Vec::new();
        for units in units.chunks(UNITS_MAX) {
            let mut selects = Selects::new(self, units.iter().map(|u| u.kind), limit);
            for (n, unit) in units.iter().enumerate() {
                let columns = self.columns(walk, unit);
                let mut condition = self.condition(walk, unit);
                if let Some([_, kind, values @ ..]) = from {
                    let own = self.layout.of(unit.kind).id;
                    // Records alike in all columns are ordered by kind.
                    let down = columns.last().is_some_and(|c| c.descending);
                    let or_equal = if down { own < *kind } else { own > *kind };
                    let after = beyond(&columns, values, or_equal, self.layout.of(unit.kind));
                    condition.and_also(after);
                }
                selects.push(n, unit.kind, &columns, condition, true);
            }
            let Some((sql, bound)) = selects.merged() else {
                continue;
            };
            let rows = bind(&sql, &bound).fetch_all(&self.read).await?;
            for row in &rows {
                let n: i64 = row.try_get(selects.unit_at())?;
                let unit = &units[n as usize];
                let layout = self.layout.of(unit.kind);
                let raw = Raw::read(unit.kind, layout.columns, row)?;
                let columns = self.columns(walk, unit);
                let mut key: Vec<i64> = Vec::with_capacity(columns.len() + 1);
                for keyed in &columns {
                    let value = keyed.column.value(&raw, layout);
                    key.push(if keyed.descending { !value } else { value });
                }
                let down = columns.last().is_some_and(|c| c.descending);
                key.push(if down { !layout.id } else { layout.id });
                groups.push((key, raw, columns));
            }
        }
        if units.len() > 1 {
            groups.sort_by(|a, b| a.0.cmp(&b.0));
        }
        for (_, raw, columns) in groups.into_iter().take(limit) {
            let layout = self.layout.of(raw.kind);
            out.places.extend([walk.way as i64, layout.id]);
            out.places
                .extend(columns.iter().map(|c| c.column.value(&raw, layout)));
            out.raw.push(raw);
        }
        Ok(out)
    }
}

impl Walk<'_> {
    fn back(&self) -> bool {
        self.query.from.as_ref().is_some_and(|place| place.before)
    }

    /// What the participants are like, where every part asks the same of them.
    fn like(&self) -> Option<Test> {
        let like = |part: &Part| {
            let tests = part.test.conjuncts().iter();
            let inner = tests.filter_map(|test| match test {
                Test::Related(Relation::RecordParticipant, inner) => Some((**inner).clone()),
                // Records have no index by device: they are found by who used it.
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
    fn units(&self) -> Vec<Unit> {
        let all = |part: &Part| Unit {
            kind: part.kind,
            person: None,
            rank: 0,
            test: part.test.clone(),
        };
        let mut people: Vec<Hash96> = Vec::new();
        let mut seen = std::collections::HashSet::new();
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
    fn units_of(&self, people: &[i64]) -> Vec<Unit> {
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

/// Selects of units that become one statement.
struct Selects<'a> {
    store: &'a Store,
    /// Numbered columns that all of them select.
    width: usize,
    limit: usize,
    texts: Vec<String>,
    bound: Vec<Bound>,
    /// Directions of the columns of the order.
    order: Vec<bool>,
}

impl<'a> Selects<'a> {
    fn new(store: &'a Store, kinds: impl Iterator<Item = usize>, limit: usize) -> Selects<'a> {
        let width = kinds.map(|kind| store.layout.of(kind).columns).max();
        Selects {
            store,
            width: width.unwrap_or(0),
            limit,
            texts: Vec::new(),
            bound: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Where in a row the number of the unit stands.
    fn unit_at(&self) -> usize {
        FIXED_COUNT + self.width
    }

    /// Adds a unit; `keys` selects the columns of the order too, for merging.
    fn push(&mut self, n: usize, kind: usize, columns: &[Keyed], condition: Condition, keys: bool) {
        if condition.is_never() {
            return;
        }
        let layout = self.store.layout.of(kind);
        let comma = if self.width > 0 { ", " } else { "" };
        let numbered = super::sql::columns("r.", self.width);
        let mut text =
            format!("SELECT {FIXED}{comma}{numbered}, CAST({n} AS BIGINT) AS unit, r.kind AS kind");
        if keys {
            for (n, keyed) in columns.iter().enumerate() {
                text.push_str(&format!(", {} AS k{n}", keyed.column.literal(layout)));
            }
        }
        let order: Vec<String> = columns.iter().filter_map(|c| c.order(layout)).collect();
        text.push_str(&format!(
            " FROM record r WHERE {} ORDER BY {} LIMIT {}",
            condition.sql,
            order.join(", "),
            self.limit
        ));
        self.order = columns.iter().map(|c| c.descending).collect();
        self.texts.push(text);
        self.bound.extend(condition.bound);
    }

    fn union(&self) -> Option<String> {
        match self.texts.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => {
                let parts = several.iter().enumerate();
                let parts: Vec<String> = parts
                    .map(|(n, text)| format!("SELECT * FROM ({text}) AS u{n}"))
                    .collect();
                Some(parts.join(" UNION ALL "))
            }
        }
    }

    /// One after the other.
    fn in_turn(&self) -> Option<(String, Vec<Bound>)> {
        Some((self.union()?, self.bound.clone()))
    }

    /// By the columns of the order.
    fn merged(&self) -> Option<(String, Vec<Bound>)> {
        let mut text = self.union()?;
        if self.texts.len() > 1 {
            let direction = |down: bool| if down { " DESC" } else { "" };
            let keys = self.order.iter().enumerate();
            let mut keys: Vec<String> = keys
                .map(|(n, down)| format!("k{n}{}", direction(*down)))
                .collect();
            let last = self.order.last().is_some_and(|down| *down);
            keys.push(format!("kind{}", direction(last)));
            text.push_str(&format!(
                " ORDER BY {} LIMIT {}",
                keys.join(", "),
                self.limit
            ));
        }
        Some((text, self.bound.clone()))
    }
}
