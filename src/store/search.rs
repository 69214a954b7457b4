//! Records by query.
//!
//! A test is worked out for each kind; what is left falls into *units*: one kind, of one
//! participant or of all. Every unit is one range of the primary key or of an index, walked
//! in the order of that key with a cursor, so that a page deep in a walk costs what the
//! first one costs. A walk goes one of these ways:
//!
//! - by participant, where the test names some: their units in turn, on a server several a statement;
//! - by kind: one unit after the other, a statement each, along the index of a value where one
//!   is asked for;
//! - sorted: the units merged by the keys asked for, in one statement.
//!
//! What decides the way, the units and their columns beside the query ([`plan::Choice`]) is part
//! of the cursor: a walk goes on as it began, whatever was written since. Where the record kinds
//! changed it is ended ([`Error::WalkEnded`](super::Error::WalkEnded)).

mod column;
#[cfg(test)]
mod cost;
mod plan;
mod selects;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::db::{Bound, Reads, bind};
use super::query::{Condition, Place};
use super::read::{Raw, Records};
use super::test::{At, Compiler, Known, Test};
use super::{Access, RecordQuery, Result, Store, Table};
use crate::fhir::id::{self, ObservationKey};
use crate::registry::PARTICIPANTS;
use column::Keyed;
use plan::{PEOPLE_MAX, Unit, Walk, Way};
use selects::{Selects, UNITS_MAX};

/// Rows that one unit may well have.
const FILLED: usize = 128;

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
    /// The numbers before each place.
    choice: [i64; 3],
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
            numbers: [
                self.choice.as_slice(),
                &self.places[row * self.width..][..self.width],
            ]
            .concat(),
        }
    }
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
            choice: walk.choice().numbers(&self.kinds),
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
            let Some((sql, bound)) = self.counting(&walk, units) else {
                continue;
            };
            for row in bind(&sql, &bound).fetch_all(&self.read).await? {
                total += row.try_get::<i64>(0)? as u64;
            }
        }
        Ok(total)
    }

    /// Asks the database for what must be known before a test can be SQL.
    pub(super) async fn know(&self, test: &Test) -> Result<Known> {
        let (mut ranges, mut keys) = (Vec::new(), Vec::new());
        Known::needs(test, &mut ranges, &mut keys);
        ranges.sort_unstable();
        ranges.dedup();
        let mut known = Known::default();
        for range in ranges {
            let writes = self.write_ranges(&[range]).await?;
            known.writes.insert(range, writes.first().copied());
        }
        for key in keys {
            let Some(kind) = self.kinds.by_hash(key.kind) else {
                continue;
            };
            if known.records.contains_key(&key) {
                continue;
            }
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
        let test = self.without_residue(test).await?;
        let known = self.know(&test).await?;
        let at = At::new(table, name, None);
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
                0 => *id::NO_SOURCE,
                _ => {
                    let words = self
                        .dictionary
                        .words(&mut self.read.db(), &[source])
                        .await?;
                    words.get(source).map_or([0; 12], |word| word.hash)
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
        let at = At::new(Table::List(&PARTICIPANTS), "participant", None);
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

    /// The units one after the other.
    async fn in_turn(&self, walk: &Walk<'_>, units: &[Unit], limit: usize) -> Result<Found> {
        let mut units: Vec<&Unit> = units.iter().collect();
        if walk.back() {
            units.reverse();
        }
        // [rank, kind, column…]
        let mut out = Found::default();
        let mut skip = 0;
        if let Some([rank, kind, ..]) = walk.place {
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
        let mut rest = &units[skip..];
        while let left @ 1.. = limit - out.raw.len()
            && !rest.is_empty()
        {
            let together = self.together(walk.way, left, rest.len() < units.len() - skip);
            let units;
            (units, rest) = rest.split_at(together.min(rest.len()));
            let selects = self.select_in_turn(walk, units, left);
            let Some((sql, bound)) = selects.in_turn() else {
                continue;
            };
            let mut found = self.of_units(units, &selects, &sql, &bound).await?;
            // Databases promise no order across the parts of a union.
            found.sort_by_key(|(n, _)| *n);
            found.truncate(left);
            let columns = units.iter().map(|unit| self.columns(walk, unit));
            let columns: Vec<Vec<Keyed>> = columns.collect();
            for (n, raw) in found {
                let unit = units[n as usize];
                let layout = self.layout.of(unit.kind);
                out.places.extend([unit.rank, layout.id]);
                let columns = columns[n as usize].iter();
                out.places
                    .extend(columns.map(|c| c.column.value(&raw, layout)));
                out.raw.push(raw);
            }
        }
        Ok(out)
    }

    /// How many units a statement is of, where so many rows are left to find.
    ///
    /// One unit often fills a page, and of several each would be read as far as the page goes. To
    /// a server, though, a statement is a way there and back.
    fn together(&self, way: Way, left: usize, begun: bool) -> usize {
        let few = matches!(way, Way::Named | Way::Found);
        let far = matches!(self.read, Reads::Postgres(_));
        match few && far && (begun || left > FILLED) {
            true => UNITS_MAX,
            false => 1,
        }
    }

    /// The rows that a statement of units gives, each with the place of its unit.
    async fn of_units(
        &self,
        units: &[&Unit],
        selects: &Selects<'_>,
        sql: &str,
        bound: &[Bound],
    ) -> Result<Vec<(i64, Raw)>> {
        let kinds = units.iter().map(|unit| unit.kind);
        let kinds: Arc<[(usize, usize)]> = kinds
            .map(|kind| (kind, self.layout.of(kind).columns))
            .collect();
        let unit_at = selects.unit_at();
        let rows = bind(sql, bound).read(&self.read, move |row| {
            let n: i64 = row.try_get(unit_at)?;
            let (kind, columns) = kinds[n as usize];
            Ok((n, Raw::read(kind, columns, row)?))
        });
        rows.await
    }

    /// The units of the participants that are like what is asked for, some of them at a time.
    async fn found(&self, walk: &Walk<'_>, limit: usize) -> Result<Found> {
        let mut out = Found::default();
        let Some(like) = &walk.like else {
            return Ok(out);
        };
        let mut from = walk.place.and_then(|place| place.first().copied());
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
        let mut out = Found::default();
        let mut groups = Vec::new();
        for units in units.chunks(UNITS_MAX) {
            let selects = self.select_merged(walk, units, limit);
            let Some((sql, bound)) = selects.merged() else {
                continue;
            };
            let units: Vec<&Unit> = units.iter().collect();
            let columns = units.iter().map(|unit| self.columns(walk, unit));
            let columns: Vec<Arc<[Keyed]>> = columns.map(Arc::from).collect();
            for (n, raw) in self.of_units(&units, &selects, &sql, &bound).await? {
                let columns = columns[n as usize].clone();
                let layout = self.layout.of(raw.kind);
                let mut key: Vec<i64> = Vec::with_capacity(columns.len() + 1);
                for keyed in columns.iter() {
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
            out.places.push(layout.id);
            out.places
                .extend(columns.iter().map(|c| c.column.value(&raw, layout)));
            out.raw.push(raw);
        }
        Ok(out)
    }
}
