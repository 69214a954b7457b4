//! The statements of a walk.

use super::column::{Keyed, beyond};
use super::plan::{Unit, Walk};
use crate::store::db::{Bound, Reads};
use crate::store::layout::Slot;
use crate::store::query::Condition;
use crate::store::read::{FIXED, FIXED_COUNT};
use crate::store::test::{FieldTest, Test};
use crate::store::{Store, sql, tally};

/// Units of one statement at most.
pub const UNITS_MAX: usize = 24;

impl Store {
    /// The selects of units that are walked one after the other.
    pub(super) fn select_in_turn(
        &self,
        walk: &Walk<'_>,
        units: &[&Unit],
        limit: usize,
    ) -> Selects<'_> {
        let mut selects = Selects::new(self, units.iter().map(|u| u.kind), limit);
        for (n, unit) in units.iter().enumerate() {
            let layout = self.layout.of(unit.kind);
            let columns = self.columns(walk, unit);
            let mut condition = self.condition(walk, unit);
            // [rank, kind, column…]
            if let Some([rank, kind, values @ ..]) = walk.place
                && (unit.rank, layout.id) == (*rank, *kind)
            {
                condition.and_also(beyond(&columns, values, false, layout));
            }
            selects.push(n, unit, &columns, condition, false);
        }
        selects
    }

    /// The selects of units that are merged by the columns of their order.
    pub(super) fn select_merged(
        &self,
        walk: &Walk<'_>,
        units: &[Unit],
        limit: usize,
    ) -> Selects<'_> {
        let mut selects = Selects::new(self, units.iter().map(|u| u.kind), limit);
        for (n, unit) in units.iter().enumerate() {
            let layout = self.layout.of(unit.kind);
            let columns = self.columns(walk, unit);
            let mut condition = self.condition(walk, unit);
            // [kind, column…]
            if let Some([kind, values @ ..]) = walk.place {
                // Records alike in all columns are ordered by kind.
                let down = columns.last().is_some_and(|c| c.descending);
                let or_equal = if down {
                    layout.id < *kind
                } else {
                    layout.id > *kind
                };
                condition.and_also(beyond(&columns, values, or_equal, layout));
            }
            selects.push(n, unit, &columns, condition, true);
        }
        selects
    }

    /// The statement of how many records units have, a row each; `None` where none can.
    pub(super) fn counting(&self, walk: &Walk<'_>, units: &[Unit]) -> Option<(String, Vec<Bound>)> {
        let mut selects = Vec::new();
        let mut bound = Vec::new();
        for unit in units {
            if let Some((text, values)) = self.tallied(unit) {
                selects.push(text);
                bound.extend(values);
                continue;
            }
            let condition = self.condition(walk, unit);
            if !condition.is_never() {
                selects.push(format!(
                    "SELECT count(*) FROM record r WHERE {}",
                    condition.sql
                ));
                bound.extend(condition.bound);
            }
        }
        (!selects.is_empty()).then(|| (selects.join(" UNION ALL "), bound))
    }

    /// The select of what a unit counts, where the tallies know it: all records of a kind,
    /// or those with ranges of one of its counted numbers.
    fn tallied(&self, unit: &Unit) -> Option<(String, Vec<Bound>)> {
        let layout = self.layout.of(unit.kind);
        if unit.person.is_some() {
            return None;
        }
        if unit.test == Test::ALWAYS {
            return Some(tally::select(layout, None, &[]));
        }
        let mut asked = None;
        let mut all = Vec::new();
        for test in unit.test.conjuncts() {
            let Test::Field {
                field,
                test: FieldTest::Range(ranges),
            } = test
            else {
                return None;
            };
            let Slot::Column(column) = layout.slots[*field] else {
                return None;
            };
            if !layout.tallied.contains(&column) || asked.is_some_and(|other| other != column) {
                return None;
            }
            asked = Some(column);
            all.push(ranges.as_slice());
        }
        Some(tally::select(layout, asked, &all))
    }
}

/// Selects of units that become one statement.
pub struct Selects<'a> {
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
    pub(super) fn new(
        store: &'a Store,
        kinds: impl Iterator<Item = usize>,
        limit: usize,
    ) -> Selects<'a> {
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
    pub(super) fn unit_at(&self) -> usize {
        FIXED_COUNT + self.width
    }

    /// Adds a unit; `keys` selects the columns of the order too, for merging.
    pub(super) fn push(
        &mut self,
        n: usize,
        unit: &Unit,
        columns: &[Keyed],
        condition: Condition,
        keys: bool,
    ) {
        if condition.is_never() {
            return;
        }
        let layout = self.store.layout.of(unit.kind);
        let comma = if self.width > 0 { ", " } else { "" };
        let numbered = sql::columns("r.", self.width);
        let mut text =
            format!("SELECT {FIXED}{comma}{numbered}, CAST({n} AS BIGINT) AS unit, r.kind AS kind");
        if keys {
            for (n, keyed) in columns.iter().enumerate() {
                text.push_str(&format!(", {} AS k{n}", keyed.column.literal(layout)));
            }
        }
        let order: Vec<String> = columns.iter().filter_map(|c| c.order(layout)).collect();
        let first = columns.iter().find(|c| c.order(layout).is_some());
        let index = first.and_then(|first| self.store.index(unit, first.column));
        // SQLite knows nothing of how many there are, and would rather sort all of a kind.
        let index = index.filter(|_| matches!(self.store.read, Reads::Sqlite(_)));
        let indexed = index.map_or(String::new(), |index| format!(" INDEXED BY {index}"));
        text.push_str(&format!(
            " FROM record r{indexed} WHERE {} ORDER BY {} LIMIT {}",
            condition.sql,
            order.join(", "),
            self.limit
        ));
        self.order = columns.iter().map(|c| c.descending).collect();
        self.texts.push(text);
        self.bound.extend(condition.bound);
    }

    pub(super) fn union(&self) -> Option<String> {
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
    pub(super) fn in_turn(&self) -> Option<(String, Vec<Bound>)> {
        Some((self.union()?, self.bound.clone()))
    }

    /// By the columns of the order.
    pub(super) fn merged(&self) -> Option<(String, Vec<Bound>)> {
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
