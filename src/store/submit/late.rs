//! Values that come after their record: they make its next version (mapping specification
//! §5.5).

use std::fmt::Debug;
use std::sync::Arc;

use super::decide::state;
use super::rows::{count, keep_former, upsert};
use super::{NULL, Pending};
use crate::fault::Fault;
use crate::fhir::id::{Hash96, ObservationKey};
use crate::kind::Kinds;
use crate::mapping::Status;
use crate::record::{Cell, Record};
use crate::store::by_id::at_time;
use crate::store::layout::{KindLayout, Slot};
use crate::store::read::{DELETED, Raw};
use crate::store::tally::Changes;
use crate::store::work::Work;
use crate::store::{Change, Outcome, Residue, Result, Store, residue};

/// A value for a stored record that lacks it.
#[derive(Debug, Clone)]
pub struct LateValue {
    /// Whose record it is.
    pub participant: Hash96,
    /// Place of the record's kind.
    pub kind: usize,
    /// The record's time, in seconds since the epoch.
    pub seconds: i64,
    /// The record's source, where that is told.
    pub source: Option<Hash96>,
    /// The field.
    pub field: usize,
    /// Its value, a number.
    pub value: Cell,
    /// Its `update_time`, in milliseconds since the epoch.
    pub updated: i64,
    /// The status that was written.
    pub status: Status,
    /// What else is said with it.
    pub said: Arc<dyn Said>,
}

/// What is said with a value beside it: known only by who wrote it, and what becomes of it
/// only with the record at hand.
pub trait Said: Debug + Send + Sync {
    /// Whether it says nothing of the record otherwise than the record.
    fn agrees(&self, record: &Record) -> bool;

    /// What is beyond the record once this has come to what was `kept` of it (in the JSON of
    /// the store), and what there is to say of what found no place there. The record is given
    /// as it was and as it is with the value.
    fn residue(
        &self,
        kinds: &Kinds,
        was_and_is: [&Record; 2],
        kept: Option<&str>,
    ) -> (Option<Residue>, Vec<Fault>);
}

/// What became of a value that came late.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The record that it joined.
    pub record: ObservationKey,
    /// What became of that.
    pub change: Change,
    /// What there is to say of it.
    pub notices: Vec<Fault>,
}

impl Store {
    /// Adds values to the records that lack them, and what was said with them to what is kept
    /// beside those; `None` where there is not one such record.
    /// This is no resend: the record's `update_time` is the later of the two.
    pub(in crate::store) async fn join_late(
        &self,
        work: &mut Work,
        values: &[LateValue],
    ) -> Result<Vec<Option<Joined>>> {
        let mut out = Vec::with_capacity(values.len());
        for value in values {
            out.push(self.join_value(work, value).await?);
        }
        Ok(out)
    }

    async fn join_value(&self, work: &mut Work, value: &LateValue) -> Result<Option<Joined>> {
        let layout = self.layout.of(value.kind);
        let Some(Slot::Column(column)) = layout.slots.get(value.field) else {
            return Ok(None);
        };
        let column = *column;
        let kind = self.kinds.at(value.kind);
        let there = at_time(
            &mut work.tx,
            kind,
            layout,
            &value.participant,
            value.seconds,
        );
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for (raw, source) in there.await? {
            if raw.state == DELETED || value.source.is_some_and(|named| named != source) {
                continue;
            }
            match raw.columns[column] {
                None => without.push((raw, source)),
                Some(there) => {
                    let same = Cell::from_raw(Some(there)).scaled() == value.value.scaled();
                    with.extend(same.then_some((raw, source)));
                }
            }
        }
        let (raw, source) = match (without.as_slice(), with.as_slice()) {
            ([one], _) => one,
            // It came before.
            ([], [one]) => one,
            _ => return Ok(None),
        };
        let last = raw.seen.unwrap_or(raw.updated).max(raw.updated);
        let mut next = raw.clone();
        if without.is_empty() {
            next.updated = last;
        } else {
            next.updated = value.updated.max(last);
            next.columns[column] = value.value.raw();
        }
        let both = vec![raw.clone(), next.clone()];
        let both = self.resolve_in(&mut (&mut work.tx).into(), both).await?;
        let [was, is] = [0, 1].map(|i| both.record(&both.rows[i]));
        if !value.said.agrees(&was) {
            return Ok(None);
        }
        let kept = both.rows[0].residue.as_deref();
        let (residue, notices) = value.said.residue(&self.kinds, [&was, &is], kept);
        let mut joined = Joined {
            record: ObservationKey {
                participant: value.participant,
                kind: kind.hash,
                seconds: value.seconds,
                source: *source,
            },
            change: Change::done(Outcome::Unchanged, raw.version as u32, false),
            notices,
        };
        let contents = residue::contents(&mut work.tx, raw.residue.as_slice()).await?;
        let stored = raw.residue.and_then(|id| contents.get(&id));
        if without.is_empty() && residue::same(stored, residue.as_ref()) {
            return Ok(Some(joined));
        }
        if let Some(residue) = residue.filter(|residue| !residue.is(kept)) {
            let ids = work.keep(&[(raw.participant, &residue)]).await?;
            next.residue = ids.first().copied();
        }
        next.version += 1;
        next.state = state(value.status, false);
        self.replace(work, layout, raw, &next).await?;
        joined.change = Change::done(Outcome::Updated, next.version as u32, false);
        Ok(Some(joined))
    }

    /// Writes the next version of a record.
    async fn replace(
        &self,
        work: &mut Work,
        layout: &KindLayout,
        raw: &Raw,
        next: &Raw,
    ) -> Result<()> {
        let pending = [Pending {
            row: 0,
            participant: next.participant,
            time: next.time,
            source: next.source,
            device: next.device.unwrap_or(NULL),
            updated: next.updated,
            columns: 0,
            outcome: Outcome::Updated,
            version: next.version,
            keep_former: true,
            seen: false,
            state: next.state,
            residue: next.residue.unwrap_or(NULL),
            fresh: false,
            dated: false,
            revived: false,
            failed: false,
        }];
        let columns: Vec<i64> = next.columns.iter().map(|c| c.unwrap_or(NULL)).collect();
        let mut changes = Changes::default();
        changes.values(layout, &raw.columns, -1);
        count(layout, &pending, &columns, &mut changes);
        let write = work.write().await?;
        keep_former(&mut work.tx, layout, &pending).await?;
        upsert(&mut work.tx, layout, &pending, &columns, write).await?;
        changes.write(&mut work.tx).await
    }
}
