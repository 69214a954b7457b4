//! Rows of other tables than the records' by what their resources are searched for.
//!
//! A resource may be made from several tables; a page is taken from all of them in one
//! order. The statement here finds the numbers of the rows, whatever the tables are; what
//! the rows hold is read by their numbers. Pages go by the keys asked for and then by the
//! number of the row, which is never given twice, so a row that comes or goes during a walk
//! moves no other.

use super::db::{Bound, Row, Type, bind};
use super::query::{Condition, Place, SortBy, SortKey};
use super::registry::{self, Stored};
use super::{Access, Error, Result, Store, Table, Test, sql};
use crate::fhir::id::Hash96;
use crate::registry::List;

/// Which rows are asked for.
#[derive(Debug, Clone, Default)]
pub struct RowQuery {
    /// The tables, in their order, and what holds for the rows of each.
    pub parts: Vec<(Table, Test)>,
    /// The order; by table and number where there is no key.
    pub sort: Vec<SortKey>,
    /// Where the page begins (or ends).
    pub from: Option<Place>,
    /// Rows at most.
    pub limit: usize,
}

/// A row as the store numbers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey {
    /// The place of its table among the parts of the query.
    pub part: usize,
    /// Its number; of a delivery the write.
    pub id: i64,
    /// Of a delivery the participant.
    pub participant: i64,
    /// The numbers of its place in the order of the query.
    place: Vec<i64>,
}

/// Rows by what tells them; those that are not there are left out.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Their numbers.
    Ids(&'a [i64]),
    /// The hashes of their keys.
    Hashes(&'a [Hash96]),
}

impl Which<'_> {
    pub(super) fn column(self) -> &'static str {
        match self {
            Which::Ids(_) => "id",
            Which::Hashes(_) => "hash",
        }
    }

    /// Values of the column, as many as lists of a condition may be long.
    pub(super) fn sets(self) -> Vec<Vec<Bound>> {
        let bound: Vec<Bound> = match self {
            Which::Ids(ids) => ids.iter().map(Bound::from).collect(),
            Which::Hashes(hashes) => hashes.iter().map(Bound::from).collect(),
        };
        sql::sets(&bound).collect()
    }
}

/// A page of rows.
#[derive(Debug, Default)]
pub struct RowPage {
    /// The rows, in the order asked for.
    pub rows: Vec<RowKey>,
    /// Whether more come after them.
    pub more: bool,
    /// Where the page after this one begins, where something is on this one and more come.
    pub next: Option<Place>,
    /// Where the page before this one ends, where there may be one.
    pub previous: Option<Place>,
}

/// One key of an order, as one table has it.
struct Key {
    sql: String,
    ty: Type,
    /// Whether rows may lack it; those come last.
    nullable: bool,
    descending: bool,
}

impl Key {
    fn of(table: Table, key: &SortKey) -> Key {
        let (sql, ty, nullable) = match key.by {
            SortBy::Id => {
                let (sql, ty) = table.by_id();
                (sql.to_owned(), ty, false)
            }
            SortBy::Column(column) => (format!("t.{column}"), Type::Text, table.may_lack(column)),
            _ => (format!("t.{}", table.updated()), Type::Int, false),
        };
        Key {
            sql,
            ty,
            nullable,
            descending: key.descending,
        }
    }

    /// `CASE …`, for the order of what may be missing.
    fn missing(&self) -> String {
        match self.nullable {
            true => format!("CASE WHEN {} IS NULL THEN 1 ELSE 0 END", self.sql),
            false => "0".to_owned(),
        }
    }

    /// What stands beyond a value, in the direction of the walk.
    fn beyond(&self, value: &Bound, back: bool) -> Condition {
        let greater = if self.descending == back { ">" } else { "<" };
        match (value, back) {
            (Bound::Null(_), false) => Condition::never(),
            (Bound::Null(_), true) => {
                Condition::new(format!("{} IS NOT NULL", self.sql), Vec::new())
            }
            (value, back) => {
                let there = format!("{} {greater} ?", self.sql);
                let there = match self.nullable && !back {
                    true => format!("({there} OR {} IS NULL)", self.sql),
                    false => there,
                };
                Condition::new(there, vec![value.clone()])
            }
        }
    }

    fn equals(&self, value: &Bound) -> Condition {
        match value {
            Bound::Null(_) => Condition::new(format!("{} IS NULL", self.sql), Vec::new()),
            value => Condition::new(format!("{} = ?", self.sql), vec![value.clone()]),
        }
    }
}

/// A place as it was read from a cursor.
struct At {
    part: usize,
    id: i64,
    participant: i64,
    keys: Vec<Bound>,
}

impl At {
    /// Reads the numbers of a place in the order of some keys.
    fn read(numbers: &[i64], keys: usize) -> Option<At> {
        let [part, id, participant, rest @ ..] = numbers else {
            return None;
        };
        let mut rest = rest;
        let mut out = Vec::with_capacity(keys);
        for _ in 0..keys {
            let (tag, tail) = rest.split_first()?;
            rest = tail;
            out.push(match *tag {
                ABSENT => Bound::Null(Type::Text),
                NUMBER => {
                    let (number, tail) = rest.split_first()?;
                    rest = tail;
                    Bound::Int(*number)
                }
                tag => {
                    let length = if tag < 0 { BYTES - tag } else { tag - TEXT };
                    let length = usize::try_from(length).ok()?;
                    let (words, tail) = rest.split_at_checked(length.div_ceil(WORD))?;
                    rest = tail;
                    let bytes = words
                        .iter()
                        .flat_map(|word| word.to_be_bytes()[1..].to_vec());
                    let bytes: Vec<u8> = bytes.take(length).collect();
                    match tag < 0 {
                        true => Bound::Bytes(bytes),
                        false => Bound::Text(String::from_utf8(bytes).ok()?),
                    }
                }
            });
        }
        rest.is_empty().then_some(())?;
        Some(At {
            part: usize::try_from(*part).ok()?,
            id: *id,
            participant: *participant,
            keys: out,
        })
    }
}

/// What stands before a key in the numbers of a place: nothing follows, a number, a text of so
/// many bytes (from [`TEXT`] up), or so many bytes (from [`BYTES`] down).
const ABSENT: i64 = 0;
const NUMBER: i64 = 1;
const TEXT: i64 = 2;
const BYTES: i64 = -1;
/// Bytes of a text in a number.
const WORD: usize = 7;

/// Writes a key behind the numbers of a place.
fn put(numbers: &mut Vec<i64>, key: &Bound) {
    let (tag, bytes) = match key {
        Bound::Int(number) => {
            numbers.extend([NUMBER, *number]);
            return;
        }
        Bound::Null(_) => {
            numbers.push(ABSENT);
            return;
        }
        Bound::Text(text) => (TEXT + text.len() as i64, text.as_bytes()),
        Bound::Bytes(bytes) => (BYTES - bytes.len() as i64, bytes.as_slice()),
    };
    numbers.push(tag);
    numbers.extend(bytes.chunks(WORD).map(|chunk| {
        let mut word = [0; 8];
        word[1..=chunk.len()].copy_from_slice(chunk);
        i64::from_be_bytes(word)
    }));
}

impl RowQuery {
    fn back(&self) -> bool {
        self.from.as_ref().is_some_and(|place| place.before)
    }

    /// Whether a place can be one of its order: of one of its parts, with keys of the types
    /// that are compared.
    fn admits(&self, at: &At) -> bool {
        let Some((table, _)) = self.parts.get(at.part) else {
            return false;
        };
        let mut keys = self.sort.iter().zip(&at.keys);
        keys.all(|(key, value)| {
            let key = Key::of(*table, key);
            match value {
                Bound::Null(_) => key.nullable,
                Bound::Int(_) => key.ty == Type::Int,
                Bound::Text(_) => key.ty == Type::Text,
                Bound::Bytes(_) => key.ty == Type::Bytes,
            }
        })
    }

    /// What stands beyond the place at which the page begins, among the rows of a part.
    fn beyond(&self, part: usize, keys: &[Key], at: &At) -> Condition {
        let back = self.back();
        let table = self.parts[part].0;
        let sign = if back { "<" } else { ">" };
        let mut tail = match part.cmp(&at.part) {
            std::cmp::Ordering::Equal if table.is_pair() => Condition::new(
                format!("(t.write, t.participant) {sign} (?, ?)"),
                vec![at.id.into(), at.participant.into()],
            ),
            std::cmp::Ordering::Equal => {
                Condition::new(format!("t.id {sign} ?"), vec![at.id.into()])
            }
            order if order.is_gt() == back => Condition::never(),
            _ => Condition::always(),
        };
        // From the last key to the first: beyond by this key, or the same and beyond by the
        // rest.
        for (key, value) in keys.iter().zip(&at.keys).rev() {
            let mut same = key.equals(value);
            same.and_also(tail);
            tail = Condition::any([key.beyond(value, back), same]);
        }
        tail
    }
}

impl Store {
    /// The statement of a page; `None` where nothing can match.
    async fn statement(&self, query: &RowQuery) -> Result<Option<(String, Vec<Bound>)>> {
        let at = match &query.from {
            Some(place) => {
                let at = At::read(&place.numbers, query.sort.len());
                Some(at.filter(|at| query.admits(at)).ok_or(Error::Cursor)?)
            }
            None => None,
        };
        let mut selects = Vec::new();
        let mut bound = Vec::new();
        for (part, (table, test)) in query.parts.iter().enumerate() {
            let keys: Vec<Key> = query.sort.iter().map(|key| Key::of(*table, key)).collect();
            let mut condition = self.condition_on(test, *table, "t").await?;
            if let Some(at) = &at {
                condition.and_also(query.beyond(part, &keys, at));
            }
            if condition.is_never() {
                continue;
            }
            let columns = keys
                .iter()
                .map(|key| format!(", {}, {}", key.missing(), key.sql));
            let columns: String = columns.collect();
            for from in table.selects() {
                let (id, participant) = match table.is_pair() {
                    true => ("t.write", "t.participant"),
                    false => ("t.id", "CAST(0 AS BIGINT)"),
                };
                selects.push(format!(
                    "SELECT CAST({part} AS BIGINT), {id}, {participant}{columns} FROM {from} t WHERE {}",
                    condition.sql
                ));
                bound.extend_from_slice(&condition.bound);
            }
        }
        // One more tells whether there are more.
        let text = format!(
            "{} ORDER BY {} LIMIT {}",
            selects.join(query.union()),
            query.order(selects.len() > 1),
            query.limit + 1
        );
        Ok((!selects.is_empty()).then_some((text, bound)))
    }

    /// The rows that a query asks for, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn rows(&self, _access: &Access, query: &RowQuery) -> Result<RowPage> {
        let Some((text, bound)) = self.statement(query).await? else {
            return Ok(RowPage::default());
        };
        let back = query.back();
        let found = bind(&text, &bound).fetch_all(&self.read).await?;
        let rows = found.iter().map(|row| query.key(row));
        let mut rows = rows.collect::<Result<Vec<RowKey>>>()?;
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        if back {
            rows.reverse();
        }
        let place = |row: &RowKey, before| Place {
            before,
            numbers: row.place.clone(),
        };
        let (before, more) = match back {
            true => (more, true),
            false => (query.from.is_some(), more),
        };
        Ok(RowPage {
            more,
            previous: rows.first().filter(|_| before).map(|row| place(row, true)),
            next: rows.last().filter(|_| more).map(|row| place(row, false)),
            rows,
        })
    }

    /// How many rows a query matches, whatever its limit and place.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn row_count(&self, _access: &Access, query: &RowQuery) -> Result<u64> {
        let mut selects = Vec::new();
        let mut bound = Vec::new();
        for (part, (table, test)) in query.parts.iter().enumerate() {
            let condition = self.condition_on(test, *table, "t").await?;
            if condition.is_never() {
                continue;
            }
            let id = if table.is_pair() {
                "t.write, t.participant"
            } else {
                "t.id"
            };
            for from in table.selects() {
                selects.push(format!(
                    "SELECT {part}, {id} FROM {from} t WHERE {}",
                    condition.sql
                ));
                bound.extend_from_slice(&condition.bound);
            }
        }
        if selects.is_empty() {
            return Ok(0);
        }
        let text = format!(
            "SELECT count(*) FROM ({}) found",
            selects.join(query.union())
        );
        let row = bind(&text, &bound).fetch_one(&self.read).await?;
        Ok(row.try_get::<i64>(0)? as u64)
    }

    /// Rows of a list by what tells them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn list_rows(
        &self,
        _access: &Access,
        list: &'static List,
        which: Which<'_>,
    ) -> Result<Vec<Stored>> {
        let mut out = Vec::new();
        for set in which.sets() {
            let rest = format!("WHERE {} IN ({})", which.column(), sql::list(set.len()));
            let rows = bind(&registry::select(list, &rest), &set);
            for row in rows.fetch_all(&self.read).await? {
                out.push(registry::read(list, &row)?);
            }
        }
        Ok(out)
    }

    /// A column of the rows of a list with these keys (of one field), where it has a value:
    /// (key, value).
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn registered(
        &self,
        list: &'static List,
        column: &str,
        keys: &[&str],
    ) -> Result<Vec<(String, String)>> {
        let (Some(key), Some(column)) = (list.key().last(), list.field(column)) else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for chunk in sql::sets(keys) {
            let text = format!(
                "SELECT {}, {} FROM {} WHERE {} IN ({})",
                key.name,
                column.name,
                list.table,
                key.name,
                sql::list(chunk.len())
            );
            let bound: Vec<Bound> = chunk.into_iter().map(Bound::from).collect();
            for row in bind(&text, &bound).fetch_all(&self.read).await? {
                if let Some(value) = row.try_get::<Option<String>>(1)? {
                    out.push((row.try_get(0)?, value));
                }
            }
        }
        Ok(out)
    }
}

impl RowQuery {
    /// What stands between the selects: a delivery may stand in both of its tables.
    fn union(&self) -> &'static str {
        match self.parts.iter().any(|(table, _)| table.is_pair()) {
            true => " UNION ",
            false => " UNION ALL ",
        }
    }

    /// The terms of `ORDER BY`, by the numbers of the selected columns.
    fn order(&self, several: bool) -> String {
        let down = |descending: bool| {
            if descending != self.back() {
                " DESC"
            } else {
                ""
            }
        };
        let mut terms = Vec::new();
        for (n, key) in self.sort.iter().enumerate() {
            let nullable = self.parts.iter().any(|(t, _)| Key::of(*t, key).nullable);
            if nullable {
                terms.push(format!("{}{}", 4 + 2 * n, down(false)));
            }
            terms.push(format!("{}{}", 5 + 2 * n, down(key.descending)));
        }
        if several {
            terms.push(format!("1{}", down(false)));
        }
        terms.push(format!("2{}", down(false)));
        if self.parts.iter().any(|(table, _)| table.is_pair()) {
            terms.push(format!("3{}", down(false)));
        }
        terms.join(", ")
    }

    /// The key of a found row.
    fn key(&self, row: &Row) -> Result<RowKey> {
        let (part, id, participant): (i64, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let mut place = vec![part, id, participant];
        for (n, key) in self.sort.iter().enumerate() {
            let column = 4 + 2 * n;
            put(
                &mut place,
                &match Key::of(self.parts[part as usize].0, key).ty {
                    Type::Text => row.try_get::<Option<String>>(column)?.into(),
                    Type::Int => row.try_get::<i64>(column)?.into(),
                    Type::Bytes => row.try_get::<Vec<u8>>(column)?.into(),
                },
            );
        }
        Ok(RowKey {
            part: part as usize,
            id,
            participant,
            place,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fhir::resource::{Resource, by_name};
    use crate::fhir::search::form::pairs;
    use crate::fhir::search::{Limits, Scope, Search};
    use crate::kind::Kinds;
    use crate::time;

    #[test]
    fn a_place_reads_back_with_its_keys() {
        let keys = [
            Bound::Text("アクメ株式会社".into()),
            Bound::Null(Type::Text),
            Bound::Int(-5),
            Bound::Bytes(vec![0, 255, 1, 2, 3, 4, 5, 6, 0]),
            Bound::Bytes(Vec::new()),
            Bound::Text(String::new()),
        ];
        let mut numbers = vec![1, 7, 0];
        keys.iter().for_each(|key| put(&mut numbers, key));
        let at = At::read(&numbers, keys.len()).unwrap();
        assert_eq!((at.part, at.id, at.participant), (1, 7, 0));
        assert_eq!(at.keys, keys);
        for end in 0..numbers.len() {
            assert!(At::read(&numbers[..end], keys.len()).is_none(), "{end}");
        }
    }

    /// How SQLite answers a search, a line a step.
    async fn plan(store: &Store, resource: &Resource, query: &str) -> Vec<String> {
        let limits = Limits::default();
        let search = Search::read(resource.searchable, &pairs(query).unwrap(), limits).unwrap();
        assert_eq!(search.ignored, [], "{query}");
        let scope = Scope {
            kinds: store.kinds(),
            base: "http://h/fhir",
            zone: time::JST,
            now: 0,
        };
        let parts = resource.sources.iter();
        let query = RowQuery {
            parts: parts
                .map(|s| (s.table(), search.test(&scope, s).unwrap()))
                .collect(),
            sort: search.sort,
            from: None,
            limit: 50,
        };
        let (text, bound) = store.statement(&query).await.unwrap().unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {text}");
        let steps = bind(&explain, &bound).fetch_all(&store.read).await.unwrap();
        steps.iter().map(|step| step.try_get(3).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_looked_for_often_is_a_lookup_in_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("plan.db").display());
        let kinds = Arc::new(Kinds::embedded().unwrap());
        let store = Store::open(&url, kinds).await.unwrap();
        let sid = "https://kenko-fhir.example/fhir/sid";
        for (resource, query) in [
            ("Patient", "_id=AAAAAAAAAAAAAAAA"),
            (
                "Patient",
                &format!("identifier={sid}/consortium/A00001/person|P1"),
            ),
            ("Patient", "identifier=urn:ehr|1"),
            ("Patient", "identifier=P1"),
            ("Patient", "birthdate=1961-04"),
            ("Patient", "_lastUpdated=ge2026-01-01&_sort=_lastUpdated"),
            (
                "Patient",
                "_has:Observation:patient:device=AAAAAAAAAAAAAAAA",
            ),
            ("ResearchSubject", "identifier=P1"),
            ("ResearchSubject", "individual=AAAAAAAAAAAAAAAA"),
            ("Device", &format!("identifier={sid}/device|ACME:WS-100:S1")),
            ("Device", "model=ws"),
            ("Device", "manufacturer:exact=ACME"),
            ("Device", "device-name=アクメ"),
            ("Device", "_has:Observation:device:patient=AAAAAAAAAAAAAAAA"),
            (
                "DeviceDefinition",
                &format!("identifier={sid}/device-model|ACME:WS-100"),
            ),
            ("Organization", "name=ｱｸﾒ"),
            (
                "Organization",
                &format!("identifier={sid}/consortium/A00001/test-lab|1"),
            ),
            ("ResearchStudy", "title=a"),
            ("Provenance", "target.patient=AAAAAAAAAAAAAAAA"),
        ] {
            let steps = plan(&store, by_name(resource).unwrap(), query).await;
            let scans = steps.iter().filter(|s| s.starts_with("SCAN"));
            // What a subquery found is walked.
            let scans = scans.filter(|s| !s.contains("CONSTANT ROW") && !s.ends_with('c'));
            let scans: Vec<_> = scans.collect();
            assert!(scans.is_empty(), "{resource}?{query}: {steps:#?}");
        }
    }
}
