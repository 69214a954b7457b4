//! All versions of all records, the newest first: what `_history` of a type shows.

use std::collections::HashMap;
use std::sync::Arc;

use super::db::{Bound, bind};
use super::query::Condition;
use super::read::{FIXED, FIXED_COUNT, Raw};
use super::{Access, RecordKey, Records, Result, Store, sql};

/// Which versions are asked for.
#[derive(Debug, Clone, Default)]
pub struct ChangeQuery {
    /// Stored in this range of milliseconds (from included, until not).
    pub updated: Option<(i64, i64)>,
    /// Beyond this one.
    pub from: Option<RecordKey>,
    /// Whether the oldest of them are asked for, not the newest.
    pub newer: bool,
    /// So many at most.
    pub limit: usize,
}

impl Store {
    /// Versions of records by the time they were stored, the newest first.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn changes(&self, _access: &Access, query: &ChangeQuery) -> Result<Records> {
        let mut condition = Condition::default();
        let kinds: Vec<Bound> = (0..self.kinds.len())
            .map(|place| Bound::Int(self.layout.of(place).id))
            .collect();
        // The sign keeps SQLite, which does not count, from sorting all records of the kinds.
        condition.and(&format!("+r.kind IN ({})", sql::list(kinds.len())), &kinds);
        if let Some(range) = query.updated {
            let ranges = self.write_ranges(&[range]).await?;
            condition.and_ranges("r.write", &ranges);
        }
        let newer = query.newer;
        let (beyond, direction) = if newer { ('>', "ASC") } else { ('<', "DESC") };
        if let Some(key) = query.from {
            let place = [key.write, key.participant, key.kind, key.time, key.source];
            condition.and(
                &format!(
                    "(r.write, r.participant, r.kind, r.time, r.source) {beyond} (?, ?, ?, ?, ?)"
                ),
                &place.map(Bound::Int),
            );
        }
        if condition.is_never() {
            return self.resolve(Vec::new()).await;
        }
        let kinds = (0..self.kinds.len()).map(|place| {
            let layout = self.layout.of(place);
            (layout.id, (place, layout.columns))
        });
        let kinds: Arc<HashMap<i64, (usize, usize)>> = Arc::new(kinds.collect());
        let width = kinds.values().map(|(_, columns)| *columns).max();
        let width = width.unwrap_or(0);
        let comma = if width > 0 { ", " } else { "" };
        // A version is in one of the tables, and one statement reads both: meanwhile it may go
        // from one to the other. Each is walked along its index of writes.
        let select = |table: &str| {
            format!(
                "SELECT * FROM (SELECT {FIXED}{comma}{}, r.kind FROM {table} r WHERE {} \
                 ORDER BY r.write {direction}, r.participant {direction}, r.kind {direction}, \
                 r.time {direction}, r.source {direction} LIMIT {}) AS of_{table}",
                sql::columns("r.", width),
                condition.sql,
                query.limit
            )
        };
        let text = ["record", "record_version"].map(select).join(" UNION ALL ");
        let bound = [condition.bound.as_slice(), &condition.bound].concat();
        let rows = bind(&text, &bound).read(&self.read, move |row| {
            let kind: i64 = row.try_get(FIXED_COUNT + width)?;
            let known = kinds.get(&kind);
            known
                .map(|(place, columns)| Raw::read(*place, *columns, row))
                .transpose()
        });
        let mut raw: Vec<Raw> = rows.await?.into_iter().flatten().collect();
        let key = |r: &Raw| {
            let kind = self.layout.of(r.kind).id;
            (r.write, r.participant, kind, r.time, r.source)
        };
        raw.sort_by_key(|a| std::cmp::Reverse(key(a)));
        if newer {
            // The nearest are the last of the newest first.
            raw.drain(..raw.len().saturating_sub(query.limit));
        }
        raw.truncate(query.limit);
        self.resolve(raw).await
    }
}
