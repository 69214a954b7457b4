//! The resend rule (protocol specification §5): what becomes of each record.

use std::cmp::Ordering;

use super::{NULL, Pending, rows};
use crate::decimal;
use crate::exchange::Submission;
use crate::fault::{Code, Fault};
use crate::kind::{Field, Kind, Type};
use crate::mapping::Status;
use crate::record::Cell;
use crate::store::layout::{KindLayout, Slot};
use crate::store::read::{AMENDED, CORRECTED, DELETED, Raw, status};
use crate::store::tally::Changes;
use crate::store::work::Work;
use crate::store::{Outcome, Result, Rule, Store, residue};
use crate::time;

/// Records of one kind that are to be decided on.
pub(super) struct Ours<'a> {
    pub kind: &'a Kind,
    /// The columns of all of them.
    pub columns: &'a [i64],
    /// The rules, by row.
    pub rules: &'a [Rule],
}

impl Store {
    /// Decides on the records of one kind against what is stored of them; how many are in
    /// conflict. `changes` takes what those that are replaced count for.
    pub(super) async fn decide(
        &self,
        work: &mut Work,
        s: &mut Submission,
        ours: &Ours<'_>,
        pending: &mut [Pending],
        changes: &mut Changes,
    ) -> Result<u64> {
        let kind = ours.kind;
        let layout = self.layout.of(kind.place);
        let stored = rows::stored(&mut work.tx, kind, layout, pending).await?;
        // Only who writes over FHIR says anything of what the protocol does not.
        let mut ids: Vec<i64> = Vec::new();
        if !ours.rules.is_empty() {
            ids.extend(stored.values().filter_map(|raw| raw.residue));
        }
        let contents = residue::contents(&mut work.tx, &ids).await?;
        let mut conflicts = 0;
        for p in pending.iter_mut() {
            let rule = ours.rules.get(p.row as usize);
            let raw = stored.get(&(p.participant, p.time, p.source));
            p.state = rule.map_or(0, |rule| state(rule.status, raw.is_none()));
            p.residue = raw.and_then(|raw| raw.residue).unwrap_or(NULL);
            let mine = &ours.columns[p.columns..p.columns + layout.columns];
            let device = p.device;
            let mut as_kept = true;
            if let Some(rule) = rule {
                let stored = contents.get(&p.residue);
                as_kept = residue::same(stored, rule.residue.as_ref());
                p.fresh = rule.residue.is_some();
                p.residue = NULL;
            }
            let is_same = |raw: &Raw| as_kept && same(kind, layout, raw, device, mine);
            if let Some(rule) = rule.filter(|rule| rule.update) {
                conflicts += u64::from(!update(p, rule, raw, work.now, is_same));
                if let Some(raw) = raw.filter(|_| p.replaces()) {
                    changes.values(layout, &raw.columns, -1);
                }
                continue;
            }
            let Some(raw) = raw else { continue };
            let last = raw.seen.unwrap_or(raw.updated).max(raw.updated);
            resend(p, raw, last, is_same(raw));
            if p.replaces() {
                changes.values(layout, &raw.columns, -1);
            }
            let fault = match p.outcome {
                Outcome::Conflict => {
                    conflicts += 1;
                    // The stored record is not touched; the fault tells both contents.
                    let others = if as_kept { DEVICE } else { BEYOND };
                    self.conflict(s, p.row, (kind, layout), raw, mine, others)
                        .await?
                }
                Outcome::Stale => self.stale(s, p, last),
                _ => continue,
            };
            s.faults.push((p.row, fault));
        }
        Ok(conflicts)
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
        (kind, layout): (&Kind, &KindLayout),
        raw: &Raw,
        mine: &[i64],
        others: [&str; 2],
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
            stored.push(told(field, cell, &word));
            let text = match field.ty {
                Type::Code => {
                    let place = record.cells[f].raw().unwrap_or(-1);
                    field.codes.get(place as usize).map_or("", |c| &c.code)
                }
                Type::Text { .. } => record.text(f),
                _ => "",
            };
            sent.push(told(field, record.cells[f], text));
        }
        if stored.is_empty() {
            let [theirs, mine] = others.map(str::to_owned);
            stored.push(theirs);
            sent.push(mine);
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
        let words = self.dictionary.words(&mut self.read.db(), &[id]).await?;
        Ok(words
            .get(id)
            .map(|w| w.text.to_string())
            .unwrap_or_default())
    }
}

/// What differs where no field does: stored and sent.
const DEVICE: [&str; 2] = ["another device", "this device"];
const BEYOND: [&str; 2] = [
    "other elements beyond the fields of the record",
    "these elements",
];

/// The resend rule, for a record that is stored.
fn resend(p: &mut Pending, raw: &Raw, last: i64, same: bool) {
    p.revived = raw.state == DELETED;
    p.version = raw.version;
    p.outcome = match p.updated.cmp(&last) {
        Ordering::Less => Outcome::Stale,
        Ordering::Equal if p.revived => Outcome::Stale,
        Ordering::Equal if same => Outcome::Unchanged,
        Ordering::Equal => Outcome::Conflict,
        Ordering::Greater if same && !p.revived => {
            p.seen = true;
            Outcome::Unchanged
        }
        Ordering::Greater => {
            p.version = raw.version + 1;
            p.keep_former = true;
            Outcome::Updated
        }
    };
}

/// FHIR's update: any difference makes the next version. False where the condition fails.
fn update(
    p: &mut Pending,
    rule: &Rule,
    raw: Option<&Raw>,
    now: i64,
    same: impl FnOnce(&Raw) -> bool,
) -> bool {
    p.revived = raw.is_some_and(|raw| raw.state == DELETED);
    p.version = raw.map_or(1, |raw| raw.version);
    let current = raw.filter(|_| !p.revived).map(|raw| raw.version as u32);
    if !rule.condition.holds(current) {
        p.outcome = Outcome::Conflict;
        p.failed = true;
        return false;
    }
    let Some(raw) = raw else { return true };
    if !p.revived && says(rule.status, status(raw.state, raw.version)) && same(raw) {
        p.outcome = Outcome::Unchanged;
        return true;
    }
    p.outcome = Outcome::Updated;
    p.version = raw.version + 1;
    p.keep_former = true;
    // The record must be newer than what it replaces, or a resend would undo it.
    let last = raw.seen.unwrap_or(raw.updated).max(raw.updated);
    if p.updated <= last {
        p.updated = now.max(last + 1);
        p.dated = true;
    }
    true
}

/// Whether a written status is the one that is shown: `final` of a later version shows as
/// `corrected`.
fn says(written: Status, shown: &str) -> bool {
    match written {
        Status::Final => matches!(shown, "final" | "corrected"),
        Status::Amended => shown == "amended",
        Status::Corrected => shown == "corrected",
    }
}

/// What a status makes of a row.
pub(super) fn state(status: Status, first: bool) -> i64 {
    match status {
        Status::Amended => AMENDED,
        // Every later version is one, without being told.
        Status::Corrected if first => CORRECTED,
        Status::Corrected | Status::Final => 0,
    }
}

/// A field and its value, for people; `text` is that of a text or code.
fn told(field: &Field, cell: Cell, text: &str) -> String {
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
