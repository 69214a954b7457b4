//! Reading records by their ids: the current versions, and all of them.

use std::cmp::Reverse;

use super::bulk::{Each, ROWS, Rows};
use super::db::{self, Reads, RowRef, Transaction};
use super::layout::KindLayout;
use super::read::{FIXED, FIXED_COUNT, Raw};
use super::{Access, Records, Result, Store, sql};
use crate::fhir::id::{Hash96, ObservationKey, source_hash};
use crate::kind::Kind;

/// The records of a kind that a participant has at a time, deletions included, each with the
/// hash of its source: a few at most, of which an id means one.
pub(super) async fn at_time(
    tx: &mut Transaction,
    kind: &Kind,
    layout: &KindLayout,
    participant: &Hash96,
    seconds: i64,
) -> Result<Vec<(Raw, Hash96)>> {
    let statement = db::query(format!(
        "SELECT {}, t.value FROM participant p \
         CROSS JOIN record r LEFT JOIN text t ON t.id = r.source \
         WHERE p.hash = ? AND r.participant = p.id AND r.kind = {} AND r.time = ?",
        layout.selected, layout.id
    ));
    let (place, columns) = (kind.place, layout.columns);
    let rows = statement.bind(participant).bind(seconds);
    let read = rows.read(tx, move |row| {
        let source: Option<String> = row.try_get(FIXED_COUNT + columns)?;
        let source = source_hash(source.as_deref().unwrap_or_default());
        Ok((Raw::read(place, columns, row)?, source))
    });
    read.await
}

/// Tables of records that are read together.
type Tables = &'static [&'static str];

/// Current versions, of several ids at once.
const CURRENT: Tables = &["record"];
/// All versions, of one id.
const EVERY: Tables = &["record", "record_version"];

/// An id as far as its row is found by it: the source is told apart by its hash only.
#[derive(Debug, Clone, Copy)]
struct Sought {
    /// Which of the ids.
    at: usize,
    /// Place of the kind.
    place: usize,
    /// `participant.id`
    participant: i64,
    seconds: i64,
}

impl Store {
    /// The current version of the record with this id, a deletion included.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn current(&self, _access: &Access, id: &ObservationKey) -> Result<Records> {
        match &self.read {
            Reads::Sqlite(_) => self.versions_of(CURRENT, id).await,
            Reads::Postgres(_) => {
                let these = async |ids: Vec<_>| self.versions(CURRENT, &ids).await;
                self.gathered.ask(*id, these).await
            }
        }
    }

    /// All versions of the record with this id, the newest first.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn history(&self, _access: &Access, id: &ObservationKey) -> Result<Records> {
        let mut records = self.versions_of(EVERY, id).await?;
        records.rows.sort_by_key(|row| Reverse(row.version));
        Ok(records)
    }

    /// Rows of all tables with an id, in no order.
    async fn versions_of(&self, tables: Tables, id: &ObservationKey) -> Result<Records> {
        let mut each = self.versions(tables, &[*id]).await?;
        Ok(each.pop().unwrap_or_else(|| Records::new(&self.kinds)))
    }

    /// Rows of all tables with each of these ids, in their order.
    async fn versions(&self, tables: Tables, ids: &[ObservationKey]) -> Result<Vec<Records>> {
        let (mut sought, mut unknown) = (Vec::with_capacity(ids.len()), Vec::new());
        for (at, id) in ids.iter().enumerate() {
            let Some(kind) = self.kinds.by_hash(id.kind) else {
                continue;
            };
            let number = self.dictionary.person_numbers.get(&id.participant);
            let this = Sought {
                at,
                place: kind.place,
                participant: number.unwrap_or_default(),
                seconds: id.seconds,
            };
            match number {
                Some(_) => sought.push(this),
                None => unknown.push(this),
            }
        }
        let mut found = self.sought(tables, &sought).await?;
        // Whoever came back after a deletion has another number.
        sought.retain(|this| found.iter().all(|(at, _)| *at != this.at));
        unknown.append(&mut sought);
        if !unknown.is_empty() {
            let hashes: Vec<Hash96> = unknown
                .iter()
                .map(|this| ids[this.at].participant)
                .collect();
            let numbers = self.dictionary.numbers_of(&self.read, &hashes).await?;
            for (mut this, number) in unknown.into_iter().zip(numbers) {
                let former = std::mem::replace(&mut this.participant, number.unwrap_or_default());
                if this.participant != former {
                    sought.push(this);
                }
            }
            found.extend(self.sought(tables, &sought).await?);
        }
        let mut rows = vec![Vec::new(); ids.len()];
        let known = self
            .known(&mut self.read.db(), found.iter().map(|(_, raw)| raw))
            .await?;
        for (at, raw) in found {
            rows[at].push(raw);
        }
        let each = rows.into_iter().zip(ids).map(|(rows, id)| {
            let mut records = self.made_of(&known, rows)?;
            // The time leads to a few records at most; the source decides.
            records.rows.retain(|row| row.id.source == id.source);
            Ok(records)
        });
        each.collect()
    }

    /// The rows of tables that are sought, each with which of the ids led to it.
    ///
    /// One statement reads all tables: in two, a version that is replaced meanwhile would come
    /// from both or from neither.
    async fn sought(&self, tables: Tables, these: &[Sought]) -> Result<Vec<(usize, Raw)>> {
        if let [this] = these {
            let layout = self.layout.of(this.place);
            let select = |table: &&str| {
                format!(
                    "SELECT {} FROM {table} r WHERE r.participant = ? AND r.kind = {} AND r.time = ?",
                    layout.selected, layout.id,
                )
            };
            let selects: Vec<String> = tables.iter().map(select).collect();
            let keys = tables.iter().flat_map(|_| [this.participant, this.seconds]);
            let rows = db::query(selects.join(" UNION ALL ")).bind_all(keys);
            let (at, place, columns) = (this.at, this.place, layout.columns);
            let make = move |row: &RowRef<'_>| Ok((at, Raw::read(place, columns, row)?));
            return rows.read(&self.read, make).await;
        }
        if these.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Rows::of(vec![Each::Own; 4]);
        let mut shapes = Vec::with_capacity(these.len());
        for (n, this) in these.iter().enumerate() {
            let layout = self.layout.of(this.place);
            rows.extend([this.participant, layout.id, this.seconds, n as i64]);
            shapes.push((this.at, this.place, layout.columns));
        }
        let widest = self.layout.widest();
        // Several ids are asked for in one table only.
        let table = tables[0];
        let statement = db::query(format!(
            "SELECT {FIXED}, {}, v.column4 FROM ({ROWS}) AS v JOIN {table} r \
             ON r.participant = v.column1 AND r.kind = v.column2 AND r.time = v.column3",
            sql::columns("r.", widest)
        ));
        let make = move |row: &RowRef<'_>| {
            let n: i64 = row.try_get(FIXED_COUNT + widest)?;
            let (at, place, columns) = shapes[n as usize];
            Ok((at, Raw::read(place, columns, row)?))
        };
        statement.rows(rows).read(&self.read, make).await
    }
}
