//! What is told of a submission: counts and entries of its receipt, and its refused records
//! in quarantine.

use std::collections::HashSet;

use super::{Placed, Written};
use crate::exchange::Submission;
use crate::fault::{Code, Severity};
use crate::mapping::forward;
use crate::store::db::{Transaction, query};
use crate::store::entries::{Compact, Entry, Outcome};
use crate::store::receipt::{self, Receipt};
use crate::store::work::Work;
use crate::store::{Result, Store};

impl Store {
    /// Fills counts, faults and the entries that say something.
    pub(super) fn tell(
        &self,
        s: &Submission,
        receipt: &mut Receipt,
        written: &Written,
        refused: bool,
    ) -> Result<()> {
        receipt.faults = s.envelope.clone();
        let counts = &mut receipt.counts;
        counts.received = s.rows.len() as u64 + s.unlisted;
        counts.refused = s.unlisted;
        let mut faults = s.faults.iter().peekable();
        for (i, row) in s.rows.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((_, fault)) = faults.next_if(|(r, _)| *r as usize == i) {
                own.push(fault.clone());
            }
            let warned = own.iter().any(|f| f.severity == Severity::Warning);
            let outcome = match written.outcomes.get(i).copied().flatten() {
                _ if row.refused => Some(Outcome::Refused),
                Some(placed) if !refused || placed.outcome == Outcome::Conflict => {
                    Some(placed.outcome)
                }
                // The person of the record has no id, or nothing was tried.
                None if !refused => Some(Outcome::Refused),
                _ => own
                    .iter()
                    .any(|f| f.code == Code::Conflict)
                    .then_some(Outcome::Conflict),
            };
            let Some(outcome) = outcome else { continue };
            counts.add(outcome);
            let stored = matches!(outcome, Outcome::Created | Outcome::Updated);
            counts.warned += u64::from(warned && stored);
            if matches!(outcome, Outcome::Created | Outcome::Unchanged) && !warned {
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
                faults: own,
            });
        }
        Ok(())
    }

    /// Refused records of a lenient submission wait to be mended.
    pub(super) async fn to_quarantine(
        &self,
        tx: &mut Transaction,
        s: &Submission,
        receipt: &Receipt,
    ) -> Result<()> {
        let mut entries = receipt
            .entries
            .iter()
            .filter(|e| e.outcome == Outcome::Refused);
        for row in s.rows.iter().filter(|row| row.refused) {
            let Some(entry) = entries.next() else { break };
            let record = s.record(&self.kinds, row);
            let kind = record.kind;
            let known = row.person.is_some()
                && !record.cells[kind.time].is_absent()
                && !kind
                    .source
                    .is_some_and(|f| kind.fields[f].required && record.cells[f].is_absent());
            let observation = known.then(|| forward::key(&record, kind).encode());
            let faults = serde_json::to_string(&entry.faults).unwrap_or_else(|_| "[]".into());
            query(
                "INSERT INTO quarantine (submission, consortium_id, pointer, observation, faults, received_at) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&receipt.id)
            .bind(&receipt.consortium_id)
            .bind(&entry.pointer)
            .bind(observation)
            .bind(faults)
            .bind(receipt.received_at)
            .execute(&mut *tx)
            .await?;
        }
        Ok(())
    }

    /// What was stored now no longer waits in quarantine.
    pub(in crate::store) async fn mend(
        &self,
        work: &mut Work,
        s: &Submission,
        written: &Written,
    ) -> Result<()> {
        let is_new = |placed: &Option<Placed>| {
            placed.is_some_and(|p| matches!(p.outcome, Outcome::Created | Outcome::Updated))
        };
        if !written.outcomes.iter().any(is_new) {
            return Ok(());
        }
        let waiting =
            query("SELECT 1 FROM quarantine WHERE consortium_id = ? AND left_at IS NULL LIMIT 1")
                .bind(&s.consortium_id)
                .fetch_optional(&mut work.tx)
                .await?;
        if waiting.is_none() {
            return Ok(());
        }
        let mut stored: HashSet<String> = HashSet::new();
        for (row, placed) in s.rows.iter().zip(&written.outcomes) {
            if is_new(placed) {
                let record = s.record(&self.kinds, row);
                stored.insert(forward::key(&record, record.kind).encode());
            }
        }
        let is_stored = |observation: &str| stored.contains(observation);
        receipt::mend(&mut work.tx, &s.consortium_id, is_stored, &work.id).await
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
