//! Storing a submission: registry rules, the resend rule, one transaction.
//!
//! All of a submission is decided and written in one transaction that is answered only
//! after it is durable; a refused one leaves nothing but its receipt (protocol
//! specification §5, §6).
//!
//! [`facts`] are the registry rows that the checks need, [`numbers`] stand in rows for what
//! was sent, [`decide`] is the resend rule, [`rows`] the statements over records, and
//! [`tell`] what the receipt and the quarantine say of it all.

mod decide;
mod facts;
mod numbers;
mod rows;
mod tell;
mod uses;

use std::sync::Arc;

use super::db::{Transaction, query};
use super::entries::{self, Outcome};
use super::layout::Slot;
use super::receipt::{self, Counts, Extra, Receipt};
use super::{Result, Store, device};
use crate::exchange::Submission;
use crate::fhir::id::Hash96;
use crate::record::Record;
use crate::time;
use numbers::{Devices, participants};
use rows::{column, keep_former, remember, upsert};

/// What becomes of a submission with refused records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// One refused record and nothing is stored.
    #[default]
    Strict,
    /// The good records are stored, the refused ones quarantined.
    Lenient,
}

/// How to store a submission.
#[derive(Debug, Clone, Default)]
pub struct Submit {
    /// Strict or lenient.
    pub handling: Handling,
    /// `--registry auto`: unknown consortia, participants and laboratories are added.
    pub auto: bool,
    /// Who sent it.
    pub client: Option<String>,
}

/// A column without a value.
const NULL: i64 = i64::MIN;

/// A record on its way into its row.
struct Pending {
    row: u32,
    participant: i64,
    time: i64,
    source: i64,
    device: i64,
    updated: i64,
    columns: usize,
    outcome: Outcome,
    version: i64,
    /// The stored version is kept as a former one.
    keep_former: bool,
    /// Only the newer `update_time` is remembered.
    seen: bool,
}

impl Store {
    /// Stores a submission that was read and checked by itself.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database); then nothing was stored. What is wrong
    /// with the submission is in the receipt.
    pub async fn submit(&self, submission: &mut Submission, how: &Submit) -> Result<Receipt> {
        let lenient = how.handling == Handling::Lenient;
        let mut tx = self.begin().await?;
        let now = now(&mut tx).await?;
        let mut receipt = Receipt {
            id: self.new_id(),
            consortium_id: submission.consortium_id.clone(),
            send_time: submission.send_time,
            received_at: now,
            lenient,
            status: 422,
            faults: Vec::new(),
            counts: Counts::default(),
            entries: Vec::new(),
        };
        if !submission.consortium_id.is_empty() {
            if how.auto && !submission.broken && (lenient || !submission.has_errors()) {
                self.register_unknown(&mut tx, submission, now).await?;
            }
            let facts = self.facts(&mut tx, submission).await?;
            crate::registry::check(&self.kinds, submission, &facts);
        }
        let refused = submission.broken || (!lenient && submission.has_errors());
        let mut written = Written::default();
        if !refused {
            written = self.store(&mut tx, submission, &receipt, how).await?;
        }
        let conflict = written.conflicts > 0;
        if refused || (!lenient && conflict) {
            // Nothing of it stays but the receipt, which has a transaction of its own.
            tx.rollback().await?;
            let mut tx = self.begin().await?;
            self.tell(submission, &mut receipt, &written, true)?;
            let all = entries::pack(written.compact(&self.kinds_ids(), submission, true))?;
            let extra = Extra {
                client: how.client.clone(),
                write: None,
                all,
            };
            receipt::insert(&mut tx, &receipt, &extra).await?;
            tx.commit().await?;
            return Ok(receipt);
        }
        self.tell(submission, &mut receipt, &written, false)?;
        let c = receipt.counts;
        let nothing_good = lenient && c.received > 0 && c.refused + c.conflict == c.received;
        receipt.status = if nothing_good {
            422
        } else if c.created + c.updated > 0 {
            201
        } else {
            200
        };
        if c.created + c.updated > 0 {
            self.mend(&mut tx, submission, &receipt, &written).await?;
        }
        if lenient {
            self.to_quarantine(&mut tx, submission, &receipt).await?;
        }
        let all = entries::pack(written.compact(&self.kinds_ids(), submission, false))?;
        let extra = Extra {
            client: how.client.clone(),
            write: written.write,
            all,
        };
        receipt::insert(&mut tx, &receipt, &extra).await?;
        tx.commit().await?;
        // Only now are the numbers certain.
        for (text, id) in written.new_texts {
            self.dictionary.numbers.insert(text, id);
        }
        for pair in written.new_uses {
            self.dictionary.uses.insert(pair, ());
        }
        // A device without a write is looked at again by the next one.
        if written.write.is_some() {
            for (hash, id) in written.new_devices {
                self.dictionary.device_numbers.insert(hash, id);
            }
        }
        Ok(receipt)
    }

    /// `kind.id` by place.
    fn kinds_ids(&self) -> Vec<i64> {
        (0..self.kinds.len())
            .map(|place| self.layout.of(place).id)
            .collect()
    }

    /// Decides and writes the records.
    async fn store(
        &self,
        tx: &mut Transaction,
        s: &mut Submission,
        receipt: &Receipt,
        how: &Submit,
    ) -> Result<Written> {
        let mut written = Written {
            outcomes: vec![None; s.rows.len()],
            ..Written::default()
        };
        let people = participants(tx, &s.consortium_id, &s.persons).await?;
        let texts = self.text_numbers(tx, s, &mut written).await?;
        let good: Vec<u32> = (0..s.rows.len() as u32)
            .filter(|&i| {
                let row = &s.rows[i as usize];
                !row.refused && !row.repeated && row.person.is_some()
            })
            .collect();
        if good.is_empty() {
            return Ok(written);
        }
        let devices = self.device_numbers(tx, s, &good, &mut written).await?;
        let (mut by_kind, columns) = self.pending(s, &good, &people, &texts, &devices);
        for (place, pending) in by_kind.iter_mut().enumerate() {
            let kind = self.kinds.at(place);
            pending.sort_unstable_by_key(|p| (p.participant, p.time, p.source));
            self.decide(tx, s, kind, pending, &columns, &mut written)
                .await?;
        }
        s.sort_faults();
        if written.conflicts > 0 && how.handling == Handling::Strict {
            return Ok(written);
        }
        let changes = by_kind.iter().flatten().any(|p| p.writes());
        if changes {
            let row =
                query("INSERT INTO write (at, submission, client) VALUES (?, ?, ?) RETURNING id")
                    .bind(receipt.received_at)
                    .bind(&receipt.id)
                    .bind(how.client.as_deref())
                    .fetch_one(&mut *tx)
                    .await?;
            let write = row.try_get(0)?;
            written.write = Some(write);
            let devices: Vec<i64> = written.new_devices.iter().map(|(_, id)| *id).collect();
            device::first_seen(tx, write, &devices).await?;
            self.note_uses(tx, &by_kind, &mut written).await?;
        }
        for (place, pending) in by_kind.iter().enumerate() {
            let layout = self.layout.of(place);
            let write = written.write.unwrap_or_default();
            keep_former(tx, layout, pending).await?;
            upsert(tx, layout, pending, &columns, write).await?;
            remember(tx, layout, pending).await?;
        }
        for p in by_kind.iter().flatten() {
            written.outcomes[p.row as usize] = Some((p.outcome, p.participant, p.time, p.source));
        }
        // A repetition shares the fate of what it repeats, and changes nothing itself.
        for (i, row) in s.rows.iter().enumerate().filter(|(_, row)| row.repeated) {
            let record = s.record(&self.kinds, row);
            let source = source(&record, &texts);
            let participant = row.person.map_or(-1, |p| people[p as usize]);
            written.outcomes[i] = Some((Outcome::Unchanged, participant, record.seconds(), source));
        }
        Ok(written)
    }

    /// The records as rows to be, by kind, and their columns.
    fn pending(
        &self,
        s: &Submission,
        good: &[u32],
        people: &[i64],
        texts: &[i64],
        devices: &Devices,
    ) -> (Vec<Vec<Pending>>, Vec<i64>) {
        let mut by_kind: Vec<Vec<Pending>> = (0..self.kinds.len()).map(|_| Vec::new()).collect();
        let mut columns: Vec<i64> = Vec::new();
        for &i in good {
            let row = &s.rows[i as usize];
            let record = s.record(&self.kinds, row);
            let kind = record.kind;
            let layout = self.layout.of(kind.place);
            let at = columns.len();
            columns.resize(at + layout.columns, NULL);
            for (f, slot) in layout.slots.iter().enumerate() {
                if let Slot::Column(n) = slot {
                    columns[at + n] = column(kind, layout, texts, f, record.cells[f]);
                }
            }
            let device = kind.device.and_then(|d| {
                let part = d.map(|f| record.cells[f].value());
                devices.get(&part).copied()
            });
            by_kind[kind.place].push(Pending {
                row: i,
                participant: row.person.map_or(0, |p| people[p as usize]),
                time: record.seconds(),
                source: source(&record, texts),
                device: device.unwrap_or(NULL),
                updated: record.updated(),
                columns: at,
                outcome: Outcome::Created,
                version: 1,
                keep_former: false,
                seen: false,
            });
        }
        (by_kind, columns)
    }
}

/// `text.id` of a record's source; 0 where it has none.
fn source(record: &Record, texts: &[i64]) -> i64 {
    let place = record.kind.source.and_then(|f| record.cells[f].raw());
    place.map_or(0, |place| texts[place as usize])
}

impl Pending {
    fn writes(&self) -> bool {
        matches!(self.outcome, Outcome::Created | Outcome::Updated)
    }
}

/// What a transaction did, or would have done.
#[derive(Default)]
struct Written {
    /// By row: outcome, participant, time, source.
    outcomes: Vec<Option<(Outcome, i64, i64, i64)>>,
    conflicts: u64,
    write: Option<i64>,
    new_texts: Vec<(Arc<str>, i64)>,
    new_devices: Vec<(Hash96, i64)>,
    /// Device and participant.
    new_uses: Vec<(i64, i64)>,
}

/// A time for a write: now, and never before the write before it, so that a range of times
/// is a range of writes.
pub(super) async fn now(tx: &mut Transaction) -> Result<i64> {
    let row = query("SELECT at FROM write ORDER BY id DESC LIMIT 1")
        .fetch_optional(tx)
        .await?;
    let last = row
        .map(|row| row.try_get::<i64>(0))
        .transpose()?
        .unwrap_or(0);
    Ok(time::now_millis().max(last))
}
