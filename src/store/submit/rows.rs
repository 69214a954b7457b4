//! The statements over records: what is stored of them, former versions, new ones.

use std::collections::HashMap;

use super::{NULL, Pending};
use crate::kind::{Kind, Type};
use crate::record::Cell;
use crate::store::Result;
use crate::store::bulk::{Each, ROWS, Rows};
use crate::store::db::{Transaction, query};
use crate::store::layout::KindLayout;
use crate::store::read::Raw;
use crate::store::tally::Changes;

/// Stored records by participant, time and source.
pub(super) type StoredRows = HashMap<(i64, i64, i64), Raw, foldhash::fast::RandomState>;

/// What is stored of the records of a kind that are on their way.
pub(super) async fn stored(
    tx: &mut Transaction,
    kind: &Kind,
    layout: &KindLayout,
    pending: &[Pending],
) -> Result<StoredRows> {
    let mut stored = StoredRows::default();
    for block in tx.blocks(pending) {
        let text = format!("SELECT {} FROM {}", layout.selected, at_keys(tx, layout));
        let (place, columns) = (kind.place, layout.columns);
        let rows = query(text).rows(keys(block));
        let rows = rows.read(&mut *tx, move |row| Raw::read(place, columns, row));
        for raw in rows.await? {
            stored.insert((raw.participant, raw.time, raw.source), raw);
        }
    }
    Ok(stored)
}

/// The keys of records of one kind.
fn keys<'p>(pending: impl IntoIterator<Item = &'p Pending>) -> Rows {
    let mut rows = Rows::of(vec![Each::Own; 3]);
    for p in pending {
        rows.extend([p.participant, p.time, p.source]);
    }
    rows
}

/// The records `r` at the keys `v` that are bound as rows.
///
/// PostgreSQL knows nothing about a table that has just filled up, and would go through all
/// of a kind for each key; it is told to look each key up.
fn at_keys(tx: &Transaction, layout: &KindLayout) -> String {
    let keys = format!(
        "r.participant = v.column1 AND r.kind = {} AND r.time = v.column2 \
         AND r.source = v.column3",
        layout.id
    );
    match tx.is_postgres() {
        false => format!("({ROWS}) AS v CROSS JOIN record r WHERE {keys}"),
        true => format!(
            "({ROWS}) AS v CROSS JOIN LATERAL \
             (SELECT *, ctid AS place FROM record r WHERE {keys} OFFSET 0) AS r"
        ),
    }
}

/// A cell as its column keeps it.
pub(super) fn column(
    kind: &Kind,
    layout: &KindLayout,
    texts: &[i64],
    field: usize,
    cell: Cell,
) -> i64 {
    let Some(value) = cell.raw() else { return NULL };
    match kind.fields[field].ty {
        Type::Code => layout.codes[field]
            .get(value as usize)
            .copied()
            .unwrap_or(NULL),
        Type::Text { .. } => texts.get(value as usize).copied().unwrap_or(NULL),
        _ => value,
    }
}

/// Notes what the records that are about to be written add to the tallies; what those that
/// they replace take away was noted when they were read.
pub(super) fn count(
    layout: &KindLayout,
    pending: &[Pending],
    columns: &[i64],
    changes: &mut Changes,
) {
    for p in pending.iter().filter(|p| p.writes()) {
        if !p.replaces() {
            changes.records(layout, 1);
        }
        let own = &columns[p.columns..p.columns + layout.columns];
        let own: Vec<Option<i64>> = own.iter().map(|&c| (c != NULL).then_some(c)).collect();
        changes.values(layout, &own, 1);
    }
}

/// Copies the stored versions that are about to be replaced.
pub(super) async fn keep_former(
    tx: &mut Transaction,
    layout: &KindLayout,
    pending: &[Pending],
) -> Result<()> {
    let these: Vec<&Pending> = pending.iter().filter(|p| p.keep_former).collect();
    for block in tx.blocks(&these) {
        let comma = if layout.columns > 0 { ", " } else { "" };
        let fixed = "participant, kind, time, source, version, updated, seen, write, device, state, residue";
        let prefixed: Vec<String> = fixed.split(", ").map(|c| format!("r.{c}")).collect();
        let text = format!(
            "INSERT INTO record_version ({fixed}{comma}{}) SELECT {}{comma}{} \
             FROM {}",
            layout.column_list(""),
            prefixed.join(", "),
            layout.column_list("r."),
            at_keys(tx, layout)
        );
        let statement = query(text).rows(keys(block.iter().copied()));
        statement.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Writes new records and new versions.
pub(super) async fn upsert(
    tx: &mut Transaction,
    layout: &KindLayout,
    pending: &[Pending],
    columns: &[i64],
    write: i64,
) -> Result<()> {
    let these: Vec<&Pending> = pending.iter().filter(|p| p.writes()).collect();
    let mut set = vec![
        "version = excluded.version".to_owned(),
        "updated = excluded.updated".into(),
        "seen = NULL".into(),
        "write = excluded.write".into(),
        "device = excluded.device".into(),
        "state = excluded.state".into(),
        "residue = excluded.residue".into(),
    ];
    set.extend((1..=layout.columns).map(|n| format!("c{n} = excluded.c{n}")));
    let set = set.join(", ");
    let comma = if layout.columns > 0 { ", " } else { "" };
    let text = format!(
        "INSERT INTO record (participant, kind, time, source, version, updated, write, device, state, residue{comma}{}) \
         {ROWS} ON CONFLICT (participant, kind, time, source) DO UPDATE SET {set}",
        layout.column_list(""),
    );
    use Each::{Own, Same};
    let mut kept = vec![
        Own,
        Same(layout.id),
        Own,
        Own,
        Own,
        Own,
        Same(write),
        Own,
        Own,
        Own,
    ];
    kept.extend(std::iter::repeat_n(Own, layout.columns));
    for block in tx.blocks(&these) {
        let mut rows = Rows::of(kept.clone());
        for p in block {
            let or_null = |value: i64| (value != NULL).then_some(value);
            rows.extend([p.participant, p.time, p.source, p.version, p.updated]);
            rows.extend([or_null(p.device), p.state.into(), or_null(p.residue)]);
            let own = &columns[p.columns..p.columns + layout.columns];
            rows.extend(own.iter().copied().map(or_null));
        }
        let statement = query(text.clone()).rows(rows).once();
        statement.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Remembers the newer `update_time` of records with the same content.
pub(super) async fn remember(
    tx: &mut Transaction,
    layout: &KindLayout,
    pending: &[Pending],
) -> Result<()> {
    let these: Vec<&Pending> = pending.iter().filter(|p| p.seen).collect();
    for block in tx.blocks(&these) {
        let text = match tx.is_postgres() {
            false => format!(
                "UPDATE record SET seen = v.column4 FROM ({ROWS}) AS v \
                 WHERE record.participant = v.column1 AND record.kind = {} \
                 AND record.time = v.column2 AND record.source = v.column3",
                layout.id
            ),
            true => format!(
                "UPDATE record SET seen = k.seen FROM \
                 (SELECT r.place, v.column4 AS seen FROM {}) AS k WHERE record.ctid = k.place",
                at_keys(tx, layout)
            ),
        };
        let mut rows = Rows::of(vec![Each::Own; 4]);
        for p in block {
            rows.extend([p.participant, p.time, p.source, p.updated]);
        }
        query(text).rows(rows).execute(&mut *tx).await?;
    }
    Ok(())
}
