//! Values that come after their record: they make its next version (mapping specification
//! §5.5).

use super::decide::state;
use super::rows::{count, keep_former, upsert};
use super::{NULL, Pending};
use crate::fhir::id::{Hash96, ObservationKey};
use crate::mapping::Status;
use crate::record::Cell;
use crate::store::layout::Slot;
use crate::store::read::{DELETED, at_time};
use crate::store::tally::Changes;
use crate::store::work::Work;
use crate::store::{Change, Outcome, Result, Store};

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
}

/// What became of a value that came late.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// The record that it joined.
    pub record: ObservationKey,
    /// What became of that.
    pub change: Change,
}

impl Store {
    /// Adds values to the records that lack them; `None` where there is not one such record.
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
        let record = |source| ObservationKey {
            participant: value.participant,
            kind: kind.hash,
            seconds: value.seconds,
            source,
        };
        let joined = |source, outcome, version: i64| Joined {
            record: record(source),
            change: Change::done(outcome, version as u32, false),
        };
        let (raw, source) = match (without.as_slice(), with.as_slice()) {
            ([one], _) => one,
            // It came before.
            ([], [(raw, source)]) => {
                return Ok(Some(joined(*source, Outcome::Unchanged, raw.version)));
            }
            _ => return Ok(None),
        };
        let pending = [Pending {
            row: 0,
            participant: raw.participant,
            time: raw.time,
            source: raw.source,
            device: raw.device.unwrap_or(NULL),
            updated: value
                .updated
                .max(raw.updated)
                .max(raw.seen.unwrap_or(raw.updated)),
            columns: 0,
            outcome: Outcome::Updated,
            version: raw.version + 1,
            keep_former: true,
            seen: false,
            state: state(value.status, false),
            residue: raw.residue.unwrap_or(NULL),
            fresh: false,
            dated: false,
            revived: false,
            failed: false,
        }];
        let mut columns: Vec<i64> = raw.columns.iter().map(|c| c.unwrap_or(NULL)).collect();
        columns[column] = value.value.raw().unwrap_or(NULL);
        let mut changes = Changes::default();
        changes.values(layout, &raw.columns, -1);
        count(layout, &pending, &columns, &mut changes);
        let write = work.write().await?;
        keep_former(&mut work.tx, layout, &pending).await?;
        upsert(&mut work.tx, layout, &pending, &columns, write).await?;
        changes.write(&mut work.tx).await?;
        Ok(Some(joined(*source, Outcome::Updated, raw.version + 1)))
    }
}
