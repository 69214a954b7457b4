//! The resend rule (protocol specification §5): what becomes of each record.

use std::cmp::Ordering;

use super::{NULL, Pending, Written, rows};
use crate::decimal;
use crate::exchange::Submission;
use crate::fault::{Code, Fault};
use crate::kind::{Field, Kind, Type};
use crate::record::Cell;
use crate::store::db::Transaction;
use crate::store::layout::{KindLayout, Slot};
use crate::store::read::{DELETED, Raw};
use crate::store::{Outcome, Result, Store};
use crate::time;

impl Store {
    /// Decides on the records of one kind against what is stored of them.
    pub(super) async fn decide(
        &self,
        tx: &mut Transaction,
        s: &mut Submission,
        kind: &Kind,
        pending: &mut [Pending],
        columns: &[i64],
        written: &mut Written,
    ) -> Result<()> {
        let layout = self.layout.of(kind.place);
        let stored = rows::stored(tx, kind, layout, pending).await?;
        for p in pending.iter_mut() {
            let Some(raw) = stored.get(&(p.participant, p.time, p.source)) else {
                continue;
            };
            let last = raw.seen.unwrap_or(raw.updated).max(raw.updated);
            let mine = &columns[p.columns..p.columns + layout.columns];
            let same = same(kind, layout, raw, p.device, mine);
            let deleted = raw.state == DELETED;
            p.version = raw.version;
            p.outcome = match p.updated.cmp(&last) {
                Ordering::Less => Outcome::Stale,
                Ordering::Equal if deleted => Outcome::Stale,
                Ordering::Equal if same => Outcome::Unchanged,
                Ordering::Equal => Outcome::Conflict,
                Ordering::Greater if same && !deleted => {
                    p.seen = true;
                    Outcome::Unchanged
                }
                Ordering::Greater => {
                    p.version = raw.version + 1;
                    p.keep_former = true;
                    Outcome::Updated
                }
            };
            let fault = match p.outcome {
                Outcome::Conflict => {
                    written.conflicts += 1;
                    // The stored record is not touched; the fault tells both contents.
                    self.conflict(s, p.row, kind, layout, raw, mine).await?
                }
                Outcome::Stale => self.stale(s, p, last),
                _ => continue,
            };
            s.faults.push((p.row, fault));
        }
        Ok(())
    }

    /// A record older than what is stored.
    fn stale(&self, s: &Submission, p: &Pending, last: i64) -> Fault {
        let written = |millis| time::text(|out| time::write17(out, millis));
        let row = &s.rows[p.row as usize];
        Fault::new(Code::Stale, s.pointer(&self.kinds, row), row.position.place)
            .expected(format!("update_time after {}", written(last)))
            .found(&written(p.updated))
    }

    /// A conflict, with both contents where they differ.
    async fn conflict(
        &self,
        s: &Submission,
        row: u32,
        kind: &Kind,
        layout: &KindLayout,
        raw: &Raw,
        mine: &[i64],
    ) -> Result<Fault> {
        let row = &s.rows[row as usize];
        let record = s.record(&self.kinds, row);
        let mut stored = Vec::new();
        let mut sent = Vec::new();
        for (f, slot) in layout.slots.iter().enumerate() {
            let Slot::Column(n) = slot else { continue };
            let field = &kind.fields[f];
            let theirs = raw.columns[*n].unwrap_or(NULL);
            if equal(field.ty.is_number(), theirs, mine[*n]) {
                continue;
            }
            let word = match field.ty {
                Type::Number { .. } => String::new(),
                _ => self.words_now(theirs).await?,
            };
            let cell = Cell::from_raw((theirs != NULL).then_some(theirs));
            stored.push(shown(field, cell, &word));
            let text = match field.ty {
                Type::Code => {
                    let place = record.cells[f].raw().unwrap_or(-1);
                    field.codes.get(place as usize).map_or("", |c| &c.code)
                }
                Type::Text { .. } => record.text(f),
                _ => "",
            };
            sent.push(shown(field, record.cells[f], text));
        }
        if stored.is_empty() {
            stored.push("another device".into());
            sent.push("this device".into());
        }
        let pointer = s.pointer(&self.kinds, row);
        Ok(Fault::new(Code::Conflict, pointer, row.position.place)
            .expected(format!("the stored content: {}", stored.join(", ")))
            .found(&sent.join(", ")))
    }

    async fn words_now(&self, id: i64) -> Result<String> {
        if id == NULL {
            return Ok(String::new());
        }
        let words = self.dictionary.words(&self.read, &[id]).await?;
        Ok(words
            .get(&id)
            .map(|w| w.text.to_string())
            .unwrap_or_default())
    }
}

/// A field and its value, for people; `text` is that of a text or code.
fn shown(field: &Field, cell: Cell, text: &str) -> String {
    match field.ty {
        _ if cell.is_absent() => format!("{} nothing", field.name),
        Type::Number { decimals, .. } => {
            let number = time::text(|out| decimal::write(out, cell, decimals));
            format!("{} {number}", field.name)
        }
        _ => format!("{} {text}", field.name),
    }
}

/// Whether two columns say the same: numbers by value, however many decimals are written.
fn equal(number: bool, a: i64, b: i64) -> bool {
    a == b || (number && a != NULL && b != NULL && a >> 3 == b >> 3)
}

/// Whether a stored row has the same content: numbers by value.
fn same(kind: &Kind, layout: &KindLayout, raw: &Raw, device: i64, mine: &[i64]) -> bool {
    raw.device.unwrap_or(NULL) == device
        && layout
            .slots
            .iter()
            .zip(&kind.fields)
            .all(|(slot, field)| match slot {
                Slot::Column(n) => equal(
                    field.ty.is_number(),
                    raw.columns[*n].unwrap_or(NULL),
                    mine[*n],
                ),
                _ => true,
            })
}
