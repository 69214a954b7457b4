//! What is told of a submission: counts and entries of its receipt, and its refused records
//! in quarantine.

use super::{Placed, Written};
use crate::exchange::Submission;
use crate::fault::{Code, Fault};
use crate::mapping::forward;
use crate::registry::Verdicts;
use crate::store::entries::{Compact, Entry, Outcome};
use crate::store::quarantine::{NewRow, Waiting, identity};
use crate::store::receipt::Receipt;
use crate::store::work::Work;
use crate::store::{Result, Store};

/// Report of the refused records of a submission, which does not depend on the records
/// that are stored.
#[derive(Default)]
pub(super) struct Refused {
    /// Their entries, in the order of the rows: as many as faults are listed at most.
    entries: Vec<Entry>,
    /// The faults of those that have no entry.
    unlisted_faults: u64,
    /// All of them, for the quarantine; empty in strict handling.
    pub quarantine: Vec<NewRow>,
}

impl Store {
    /// Report of the refused records of a submission, also of those that `verdicts` which
    /// were not applied to it refuse.
    pub(super) fn refused(
        &self,
        s: &Submission,
        verdicts: Option<&Verdicts>,
        lenient: bool,
    ) -> Refused {
        let mut told = Refused::default();
        let mut judged = verdicts.map_or(&[][..], Verdicts::rows);
        for (i, (row, own)) in s.faults_by_row().enumerate() {
            let end = judged
                .iter()
                .take_while(|(of, _)| *of as usize == i)
                .count();
            let (more, rest) = judged.split_at(end);
            judged = rest;
            if !row.refused && !more.iter().any(|(_, fault)| fault.is_error()) {
                continue;
            }
            let faults = own.iter().chain(more).map(|(_, fault)| fault.clone());
            let faults: Vec<Fault> = faults.collect();
            let pointer = s.pointer(&self.kinds, row);
            if lenient {
                told.quarantine.push(NewRow {
                    pointer: pointer.clone(),
                    observation: identity(&s.record(&self.kinds, row)),
                    faults: serde_json::to_string(&faults).unwrap_or_else(|_| "[]".into()),
                });
            }
            if told.entries.len() < s.faults_max() {
                told.entries.push(Entry {
                    pointer,
                    outcome: Outcome::Refused,
                    reference: None,
                    faults,
                });
            } else {
                told.unlisted_faults += faults.len() as u64;
            }
        }
        told
    }

    /// Fills counts, faults and the entries that say something.
    pub(super) fn tell(
        &self,
        s: &Submission,
        receipt: &mut Receipt,
        told: Refused,
        written: &Written,
        refused: bool,
    ) {
        receipt.faults = s.envelope.clone();
        let unlisted = &mut receipt.unlisted;
        unlisted.records = s.unlisted;
        unlisted.entries = s.unlisted;
        unlisted.faults = s.untold + told.unlisted_faults;
        let mut entries = told.entries.into_iter();
        let counts = &mut receipt.counts;
        counts.received = s.rows.len() as u64 + s.unlisted;
        counts.refused = s.unlisted;
        for (i, (row, own)) in s.faults_by_row().enumerate() {
            if row.refused {
                counts.add(Outcome::Refused);
                let entry = entries.next();
                unlisted.entries += u64::from(entry.is_none());
                receipt.entries.extend(entry);
                continue;
            }
            let outcome = match written.outcomes.get(i).copied().flatten() {
                Some(placed) if !refused || placed.outcome == Outcome::Conflict => {
                    Some(placed.outcome)
                }
                // The person of the record has no id, or nothing was tried.
                None if !refused => Some(Outcome::Refused),
                _ => own
                    .iter()
                    .any(|(_, f)| f.code == Code::Conflict)
                    .then_some(Outcome::Conflict),
            };
            let Some(outcome) = outcome else { continue };
            counts.add(outcome);
            let stored = matches!(outcome, Outcome::Created | Outcome::Updated);
            counts.warned += u64::from(row.warned && stored);
            if matches!(outcome, Outcome::Created | Outcome::Unchanged) && !row.warned {
                continue;
            }
            let record = s.record(&self.kinds, row);
            let reference = (outcome != Outcome::Refused).then(|| {
                format!(
                    "Observation/{}",
                    forward::key(&record, record.kind).encode()
                )
            });
            receipt.entries.push(Entry {
                pointer: s.pointer(&self.kinds, row),
                outcome,
                reference,
                faults: own.iter().map(|(_, fault)| fault.clone()).collect(),
            });
        }
    }

    /// What was stored now no longer waits in quarantine.
    pub(in crate::store) async fn mend_stored(
        &self,
        work: &mut Work,
        s: &Submission,
        waiting: Waiting,
        written: &Written,
    ) -> Result<()> {
        let is_new = |row: usize| {
            let placed = written.outcomes.get(row).copied().flatten();
            placed.is_some_and(|p: Placed| matches!(p.outcome, Outcome::Created | Outcome::Updated))
        };
        if !(0..s.rows.len()).any(is_new) {
            return Ok(());
        }
        self.mend(&mut work.tx, s, waiting, is_new, &work.id).await
    }
}

impl Written {
    /// The entries of all records in compact form.
    pub(super) fn compact<'a>(
        &'a self,
        kind_ids: &'a [i64],
        s: &'a Submission,
        refused: bool,
    ) -> impl Iterator<Item = Compact> + 'a {
        s.rows.iter().enumerate().filter_map(move |(i, row)| {
            let known = self.outcomes.get(i).copied().flatten();
            let (outcome, participant, time, source) = match known {
                Some(p) if !row.refused && !refused => (p.outcome, p.participant, p.time, p.source),
                _ if row.refused || !refused => (Outcome::Refused, -1, 0, 0),
                _ => return None,
            };
            Some(Compact {
                outcome,
                kind: kind_ids[usize::from(row.kind)],
                person: i64::from(row.position.person),
                element: row.position.element.map_or(0, |e| i64::from(e) + 1),
                index: i64::from(row.position.index),
                participant,
                time,
                source,
            })
        })
    }
}
