//! Which field of which kind is which column.
//!
//! The numbered columns `c1…` of a record are the fields of its kind in the order of the
//! mapping file, without those that have a place of their own (time, source, device,
//! `update_time`). The table `kind_field` remembers it: a start with a mapping that
//! contradicts what is stored stops with the reason; a further optional field is fine.
//!
//! Several programs may share a database. `kind.fingerprint` tells how the records of a kind are
//! kept, and `revision.kinds` when that changed last: a program whose mappings are not those
//! of the last start any more no longer writes, since it would drop fields that it does not know
//! and leave numbers uncounted.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};

use super::db::{Db, Transaction, query};
use super::read::FIXED;
use super::{Error, Result, sql, tally};
use crate::kind::{Field, Kind, Kinds, Type};

/// Where a field is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// `time`
    Time,
    /// `updated`
    Updated,
    /// `source`, a text.
    Source,
    /// Maker and model, through `device`; the serial too, which is the source.
    Device,
    /// The numbered column, from 0.
    Column(usize),
}

/// How the rows of one kind lie.
#[derive(Debug)]
pub struct KindLayout {
    /// `kind.id`
    pub id: i64,
    /// One slot a field of the kind.
    pub slots: Vec<Slot>,
    /// How many numbered columns it has.
    pub columns: usize,
    /// What is selected of `record r`, or of a former version: the fixed columns, then the
    /// numbered ones.
    pub selected: String,
    /// The numbered columns, from 0, whose numbers are counted in `tally`.
    pub tallied: Vec<usize>,
    /// For each field its codes as `text.id`; empty for other fields.
    pub codes: Vec<Vec<i64>>,
    /// How its records are kept, in words.
    fingerprint: String,
}

/// How the rows of all kinds lie.
#[derive(Debug)]
pub struct Layout {
    kinds: Vec<KindLayout>,
    places: HashMap<i64, usize, foldhash::fast::RandomState>,
    /// `revision.kinds` when the fingerprints were those of the database.
    revision: AtomicI64,
}

impl Layout {
    /// Checks that records are still kept this way, where `revision.kinds` is `revision` now.
    ///
    /// # Errors
    /// [`Error::Outdated`] where another program was started with another mapping of a kind.
    pub async fn check(&self, db: impl Into<Db<'_>>, revision: i64) -> Result<()> {
        if self.revision.load(Ordering::Relaxed) == revision {
            return Ok(());
        }
        let kinds = query("SELECT id, name, fingerprint FROM kind");
        for row in kinds.fetch_all(db).await? {
            let (name, fingerprint): (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
            let own = self.place(row.try_get(0)?).map(|place| self.of(place));
            if own.is_some_and(|own| fingerprint.as_ref() != Some(&own.fingerprint)) {
                return Err(Error::Outdated(name));
            }
        }
        self.revision.store(revision, Ordering::Relaxed);
        Ok(())
    }

    /// The layout of the kind at a place.
    pub fn of(&self, place: usize) -> &KindLayout {
        &self.kinds[place]
    }

    /// How many numbered columns the kind with most of them has.
    pub fn widest(&self) -> usize {
        self.kinds
            .iter()
            .map(|kind| kind.columns)
            .max()
            .unwrap_or(0)
    }

    /// The place of the kind with this `kind.id`, if the program still has it.
    pub fn place(&self, id: i64) -> Option<usize> {
        self.places.get(&id).copied()
    }
}

/// Columns that the first migration made.
const WIDTH: usize = 12;

/// Registers the kinds: assigns columns, or finds them as they were assigned before.
///
/// # Errors
/// [`Error::Layout`] where a mapping contradicts what is stored.
pub async fn register(mut tx: Transaction, kinds: &Kinds) -> Result<Layout> {
    let mut width = width(&mut tx).await?;
    let mut list = Vec::new();
    let mut changed = false;
    for kind in kinds.iter() {
        let layout = register_kind(&mut tx, kind).await?;
        while width < layout.columns {
            width += 1;
            for table in ["record", "record_version"] {
                let add = format!("ALTER TABLE {table} ADD COLUMN c{width} BIGINT");
                query(add).execute(&mut tx).await?;
            }
        }
        view(&mut tx, kind, &layout).await?;
        changed |= remember(&mut tx, kind, &layout).await?;
        list.push(layout);
    }
    if changed {
        query("UPDATE revision SET kinds = kinds + 1")
            .execute(&mut tx)
            .await?;
    }
    let revision: i64 = query("SELECT kinds FROM revision")
        .fetch_one(&mut tx)
        .await?
        .try_get(0)?;
    tx.commit().await?;
    let places = list
        .iter()
        .enumerate()
        .map(|(place, l)| (l.id, place))
        .collect();
    Ok(Layout {
        kinds: list,
        places,
        revision: AtomicI64::new(revision),
    })
}

/// Writes the fingerprint of a kind; whether it is another than before.
///
/// # Errors
/// [`Error::Layout`] where what identifies a record is kept elsewhere than in stored ones.
async fn remember(tx: &mut Transaction, kind: &Kind, layout: &KindLayout) -> Result<bool> {
    let row = query("SELECT fingerprint FROM kind WHERE id = ?")
        .bind(layout.id)
        .fetch_one(&mut *tx)
        .await?;
    let former: Option<String> = row.try_get(0)?;
    if former.as_ref() == Some(&layout.fingerprint) {
        return Ok(false);
    }
    if let Some(former) = former {
        let roles = |fingerprint: &str| fingerprint.lines().next().map(str::to_owned);
        let (was, is) = (roles(&former), roles(&layout.fingerprint));
        if was != is && is_used(tx, layout.id).await? {
            return Err(Error::Layout(format!(
                "the mapping of {} contradicts the database: its records are identified by other \
                 fields ({}, not {}); restore the former mapping, or use another database",
                kind.name,
                was.unwrap_or_default(),
                is.unwrap_or_default()
            )));
        }
        tracing::warn!(
            kind = kind.name,
            "the mapping differs from the one that the database was used with last; other \
             programs that use it can no longer write until they are started again with this one"
        );
    }
    query("UPDATE kind SET fingerprint = ? WHERE id = ?")
        .bind(&layout.fingerprint)
        .bind(layout.id)
        .execute(tx)
        .await?;
    Ok(true)
}

/// How the records of a kind are kept: a line of the fields that have a place of their own, which
/// identify a record, then a line a field.
fn fingerprint(kind: &Kind, slots: &[Slot], tallied: &[usize]) -> String {
    let mut roles = Vec::new();
    let mut lines = Vec::new();
    for (slot, field) in slots.iter().zip(&kind.fields) {
        let mut line = format!("{} {}", field.name, field.ty.name());
        if field.required {
            line.push_str(" required");
        }
        match slot {
            Slot::Column(n) => {
                let _ = write!(line, " c{}", n + 1);
                if tallied.contains(n) {
                    line.push_str(" counted");
                }
            }
            Slot::Time => roles.push(format!("time {}", field.name)),
            Slot::Updated => roles.push(format!("updated {}", field.name)),
            Slot::Source => roles.push(format!("source {}", field.name)),
            Slot::Device => roles.push(format!("device {}", field.name)),
        }
        lines.push(line);
    }
    lines.sort_unstable();
    format!("{}\n{}", roles.join(", "), lines.join("\n"))
}

async fn width(tx: &mut Transaction) -> Result<usize> {
    let row = query("SELECT max(column_number) FROM kind_field")
        .fetch_one(tx)
        .await?;
    let most: Option<i64> = row.try_get(0)?;
    Ok(most.map_or(WIDTH, |n| WIDTH.max(n as usize)))
}

fn slots(kind: &Kind) -> Vec<Slot> {
    let mut column = 0;
    (0..kind.fields.len())
        .map(|i| {
            if i == kind.time {
                Slot::Time
            } else if i == kind.update {
                Slot::Updated
            } else if kind.source == Some(i) {
                Slot::Source
            } else if kind.device.is_some_and(|d| d.contains(&i)) {
                Slot::Device
            } else {
                column += 1;
                Slot::Column(column - 1)
            }
        })
        .collect()
}

/// The fields of a kind that have a column: its number and their type.
async fn stored(tx: &mut Transaction, kind: i64) -> Result<HashMap<String, (usize, String)>> {
    let select = query("SELECT name, type, column_number FROM kind_field WHERE kind = ?");
    let rows = select.bind(kind).fetch_all(tx).await?;
    let stored = rows.iter().map(|row| {
        let number: i64 = row.try_get(2)?;
        Ok((row.try_get(0)?, (number as usize, row.try_get(1)?)))
    });
    stored.collect()
}

/// Whether there is a record of a kind, or was one.
async fn is_used(tx: &mut Transaction, kind: i64) -> Result<bool> {
    for current_or_former in [
        // In the order of an index, lest all of them be gathered first.
        "SELECT time FROM record WHERE kind = ? ORDER BY time LIMIT 1",
        "SELECT time FROM record_version WHERE kind = ? LIMIT 1",
    ] {
        let any = query(current_or_former).bind(kind);
        if any.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn register_kind(tx: &mut Transaction, kind: &Kind) -> Result<KindLayout> {
    query("INSERT INTO kind (name) VALUES (?) ON CONFLICT (name) DO NOTHING")
        .bind(&kind.name)
        .execute(&mut *tx)
        .await?;
    let id: i64 = query("SELECT id FROM kind WHERE name = ?")
        .bind(&kind.name)
        .fetch_one(&mut *tx)
        .await?
        .try_get(0)?;
    let mut slots = slots(kind);
    let mut stored = stored(tx, id).await?;
    let mut numbered = slots.iter().zip(&kind.fields).filter_map(|(slot, field)| {
        matches!(slot, Slot::Column(_)).then_some((&field.name, field.ty.name()))
    });
    let same = numbered.clone().count() == stored.len()
        && numbered.all(|(name, ty)| stored.get(name).is_some_and(|(_, was)| *was == ty));
    // All records may have to be read to know it.
    let used = same || is_used(tx, id).await?;
    if !used {
        for what in ["kind_field WHERE", "tally WHERE column_number > 0 AND"] {
            query(format!("DELETE FROM {what} kind = ?"))
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        stored.clear();
    }
    let mut next = stored.values().map(|(n, _)| *n).max().unwrap_or(0);
    for (slot, field) in slots.iter_mut().zip(&kind.fields) {
        let Slot::Column(place) = slot else { continue };
        match stored.remove(&field.name) {
            Some((number, ty)) if ty == field.ty.name() => *place = number - 1,
            Some((_, ty)) => {
                return Err(contradiction(kind, field, &format!("is stored as {ty}")));
            }
            None if used && field.required => {
                return Err(contradiction(
                    kind,
                    field,
                    "is required, but records are stored without it",
                ));
            }
            None => {
                next += 1;
                *place = next - 1;
                query(
                    "INSERT INTO kind_field (kind, column_number, name, type) VALUES (?, ?, ?, ?)",
                )
                .bind(id)
                .bind(next as i64)
                .bind(&field.name)
                .bind(field.ty.name())
                .execute(&mut *tx)
                .await?;
            }
        }
    }
    if let Some(name) = stored.keys().next() {
        return Err(Error::Layout(format!(
            "the mapping of {} lacks the field {name}, which stored records have; \
             put it back, or use another database",
            kind.name
        )));
    }
    index(tx, kind, id, &slots).await?;
    let counted = slots.iter().zip(&kind.fields).filter_map(|(slot, field)| {
        let Slot::Column(n) = slot else { return None };
        (field.indexed && field.ty.is_number()).then_some(*n)
    });
    let counted: Vec<usize> = counted.collect();
    let tallied = tally::register(tx, id, &counted).await?;
    let mut codes = Vec::new();
    for field in &kind.fields {
        let mut ids = Vec::new();
        for item in &field.codes {
            ids.push(super::dictionary::text_id(tx, &item.code).await?);
        }
        codes.push(ids);
    }
    let columns = slots
        .iter()
        .map(|s| if let Slot::Column(n) = s { n + 1 } else { 0 })
        .max();
    let columns = columns.unwrap_or(0);
    let comma = if columns > 0 { ", " } else { "" };
    Ok(KindLayout {
        id,
        fingerprint: fingerprint(kind, &slots, &tallied),
        slots,
        columns,
        selected: format!("{FIXED}{comma}{}", sql::columns("r.", columns)),
        tallied,
        codes,
    })
}

fn contradiction(kind: &Kind, field: &Field, what: &str) -> Error {
    Error::Layout(format!(
        "the mapping of {} contradicts the database: {} ({}) {what}; \
         restore the former mapping, or use another database",
        kind.name,
        field.name,
        field.ty.name()
    ))
}

fn index_name(kind: i64, column: usize) -> String {
    format!("record_kind_{kind}_c{}", column + 1)
}

/// An index (kind, value) where the mapping asks for it.
async fn index(tx: &mut Transaction, kind: &Kind, id: i64, slots: &[Slot]) -> Result<()> {
    for (slot, field) in slots.iter().zip(&kind.fields) {
        if let (Slot::Column(n), true) = (slot, field.indexed) {
            let (name, column) = (index_name(id, *n), n + 1);
            let create = format!(
                "CREATE INDEX IF NOT EXISTS {name} ON record (kind, c{column}, time) WHERE kind = {id}"
            );
            query(create).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// A view that shows the records of a kind by the protocol's names.
async fn view(tx: &mut Transaction, kind: &Kind, layout: &KindLayout) -> Result<()> {
    // Names come from mapping files, whose schema allows letters, digits and underscores.
    let name = format!("view_{}", kind.name);
    let jst = match tx.is_postgres() {
        true => "to_char(to_timestamp(r.time) AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD HH24:MI:SS')",
        false => "datetime(r.time + 32400, 'unixepoch')",
    };
    let mut columns = vec![
        "p.consortium_id".to_owned(),
        "p.person_id".to_owned(),
        format!("{jst} AS observation_time_jst"),
    ];
    for (slot, field) in layout.slots.iter().zip(&kind.fields) {
        let name = &field.name;
        columns.push(match (slot, field.ty) {
            (Slot::Time, _) => continue,
            (Slot::Updated, _) => format!("r.updated AS {name}_millis"),
            (Slot::Source, _) => format!("s.value AS {name}"),
            (Slot::Device, _) => format!("d.{name}"),
            (Slot::Column(n), Type::Number { decimals, .. }) => {
                let power = 10_i64.pow(u32::from(decimals));
                let divide = if decimals == 0 {
                    String::new()
                } else {
                    format!(" / {power}.0")
                };
                format!("(r.c{} >> 3){divide} AS {name}", n + 1)
            }
            (Slot::Column(n), _) => {
                format!("(SELECT value FROM text WHERE id = r.c{}) AS {name}", n + 1)
            }
        });
    }
    let drop = format!("DROP VIEW IF EXISTS {name}");
    query(drop).execute(&mut *tx).await?;
    let create = format!(
        "CREATE VIEW {name} AS SELECT {}, r.version FROM record r \
         JOIN participant p ON p.id = r.participant LEFT JOIN text s ON s.id = r.source \
         LEFT JOIN device d ON d.id = r.device WHERE r.kind = {} AND r.state <> 2",
        columns.join(", "),
        layout.id
    );
    query(create).execute(&mut *tx).await?;
    Ok(())
}

impl KindLayout {
    /// The place, in the codes of a field, of the code with this `text.id`.
    pub fn code_place(&self, field: usize, text: i64) -> Option<i64> {
        let place = self.codes[field].iter().position(|&code| code == text);
        place.map(|place| place as i64)
    }

    /// The index of a numbered column, where the mapping asks for one.
    pub fn index(&self, column: usize) -> String {
        index_name(self.id, column)
    }

    /// `c1, c2, …` of this kind.
    pub fn column_list(&self, prefix: &str) -> String {
        sql::columns(prefix, self.columns)
    }
}
