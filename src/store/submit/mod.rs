//! Storing a submission: registry rules, the resend rule, one transaction.
//!
//! All of a submission is decided and written in one transaction that is answered only
//! after it is durable; a refused one leaves nothing but its receipt (protocol
//! specification §5, §6).
//!
//! [`facts`] are the registry rows that the checks need, [`numbers`] stand in rows for what
//! was sent, [`decide`] is the resend rule, [`rows`] the statements over records, [`late`] adds
//! values to records that are there, and [`tell`] is what the receipt and the quarantine say of it all.

mod decide;
mod facts;
mod late;
mod numbers;
mod rows;
mod tell;
mod uses;

use super::entries::{self, Outcome};
use super::layout::Slot;
use super::quarantine;
use super::receipt::{self, Extra, Packed, Receipt};
use super::tally::Changes;
use super::work::Work;
use super::{Residue, Result, Rule, Store};
use crate::exchange::Submission;
use crate::record::Record;
use crate::registry::{self, Registries, Verdicts};
use decide::Ours;
use numbers::{Devices, participants};
use rows::{column, count, keep_former, remember, upsert};

pub use late::{Joined, LateValue, Said};

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
    /// What its status makes of the row: amended, say.
    state: i64,
    /// `residue.id`, that of the stored version until another is kept.
    residue: i64,
    /// Whether the residue that came with it is to be kept.
    fresh: bool,
    /// Whether it has the time of receipt in place of its own `update_time`.
    dated: bool,
    /// Whether the stored version is a deletion.
    revived: bool,
    /// Whether the condition of its rule failed; its outcome is a conflict then.
    failed: bool,
}

impl Store {
    /// Stores a submission that was read and checked by itself.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database); then nothing was stored. What is wrong
    /// with the submission is in the receipt.
    pub async fn submit(&self, submission: &mut Submission, how: &Submit) -> Result<Receipt> {
        let lenient = how.handling == Handling::Lenient;
        let early = self.judge_early(submission, how).await?;
        let early = match early {
            Some((_, verdicts)) if self.is_refused(submission, Some(&verdicts), lenient) => {
                verdicts.apply(submission);
                return self.refuse(submission, &Written::default(), how).await;
            }
            early => early.map(|(facts, verdicts)| {
                let told = self.refused(submission, Some(&verdicts), lenient);
                (facts, verdicts, told)
            }),
        };
        let waiting = self.waiting(&mut self.read.db(), submission).await?;
        let all = self.kind_ids();
        // From here on nobody else writes.
        let mut work = self.work(how.client.clone()).await?;
        if how.auto {
            self.register_unknown(&mut work, submission).await?;
        }
        let facts = self.facts(&mut (&mut work.tx).into(), submission).await?;
        let told = match early {
            Some((as_before, verdicts, told)) if as_before == facts => {
                verdicts.apply(submission);
                told
            }
            // The registries have changed meanwhile.
            _ => {
                registry::check(&self.kinds, submission, &facts);
                self.refused(submission, None, lenient)
            }
        };
        if self.is_refused(submission, None, lenient) {
            work.rollback().await?;
            return self.refuse(submission, &Written::default(), how).await;
        }
        let written = self
            .records(&mut work, submission, &[], how.handling)
            .await?;
        if !lenient && written.conflicts > 0 {
            work.rollback().await?;
            return self.refuse(submission, &written, how).await;
        }
        let mut receipt = Receipt::new(work.id.clone(), submission, lenient, work.now);
        self.mend_stored(&mut work, submission, waiting, &written)
            .await?;
        let mut told = told;
        let refused = std::mem::take(&mut told.quarantine);
        self.tell(submission, &mut receipt, told, &written, false);
        let c = receipt.counts;
        let nothing_good = lenient && c.received > 0 && c.refused + c.conflict == c.received;
        receipt.status = if nothing_good {
            422
        } else if c.created + c.updated > 0 {
            201
        } else {
            200
        };
        let extra = Extra {
            client: how.client.clone(),
            write: work.written(),
            all: entries::pack(written.compact(&all, submission, false))?,
        };
        let packed = Packed::of(&receipt)?;
        receipt.received_at = work.stamp().await?;
        quarantine::insert(&mut work.tx, &refused, &receipt).await?;
        self.expire(&mut work.tx, work.now, refused.len()).await?;
        receipt::insert(&mut work.tx, &receipt, &packed, &extra).await?;
        work.commit(self).await?;
        receipt.counts.measure();
        Ok(receipt)
    }

    /// Stores nothing of a submission but its receipt, which has a transaction of its own.
    async fn refuse(&self, s: &Submission, written: &Written, how: &Submit) -> Result<Receipt> {
        let lenient = how.handling == Handling::Lenient;
        let mut receipt = Receipt::new(self.new_id(), s, lenient, 0);
        let told = self.refused(s, None, false);
        self.tell(s, &mut receipt, told, written, true);
        let all = entries::pack(written.compact(&self.kind_ids(), s, true))?;
        let extra = Extra {
            client: how.client.clone(),
            write: None,
            all,
        };
        let packed = Packed::of(&receipt)?;
        let mut work = self.work(how.client.clone()).await?;
        receipt.received_at = work.stamp().await?;
        receipt::insert(&mut work.tx, &receipt, &packed, &extra).await?;
        work.commit(self).await?;
        receipt.counts.measure();
        Ok(receipt)
    }

    /// Judges a submission by the registries as they are now, before the right to write is
    /// held. Nothing where `auto` is to register first what the submission names.
    async fn judge_early(
        &self,
        s: &Submission,
        how: &Submit,
    ) -> Result<Option<(Registries, Verdicts)>> {
        let lenient = how.handling == Handling::Lenient;
        if how.auto && !self.is_refused(s, None, lenient) {
            return Ok(None);
        }
        let facts = self.facts(&mut self.read.db(), s).await?;
        let verdicts = Verdicts::of(&self.kinds, s, &facts);
        Ok(Some((facts, verdicts)))
    }

    /// Whether nothing of a submission can be stored, also by verdicts that were not applied.
    fn is_refused(&self, s: &Submission, verdicts: Option<&Verdicts>, lenient: bool) -> bool {
        s.broken
            || (!lenient && s.has_errors())
            || verdicts.is_some_and(|v| v.refuse_all() || (!lenient && v.refuse()))
    }

    /// Judges records by the registries, to which `auto` first adds what they name.
    pub(super) async fn judge(
        &self,
        work: &mut Work,
        s: &mut Submission,
        handling: Handling,
        auto: bool,
    ) -> Result<()> {
        if s.consortium_id.is_empty() {
            return Ok(());
        }
        let lenient = handling == Handling::Lenient;
        if auto && !self.is_refused(s, None, lenient) {
            self.register_unknown(work, s).await?;
        }
        let facts = self.facts(&mut (&mut work.tx).into(), s).await?;
        registry::check(&self.kinds, s, &facts);
        Ok(())
    }

    /// `kind.id` by place.
    fn kind_ids(&self) -> Vec<i64> {
        (0..self.kinds.len())
            .map(|place| self.layout.of(place).id)
            .collect()
    }

    /// Decides and writes the records that nothing refuses, by the rules of their rows (the
    /// resend rule where there are none). In strict handling nothing is written where one
    /// is in conflict.
    pub(super) async fn records(
        &self,
        work: &mut Work,
        s: &mut Submission,
        rules: &[Rule],
        handling: Handling,
    ) -> Result<Written> {
        let mut written = Written {
            outcomes: vec![None; s.rows.len()],
            conflicts: 0,
        };
        let people = participants(&mut work.tx, &s.consortium_id, &s.persons).await?;
        let texts = self.text_numbers(work, s).await?;
        let good: Vec<u32> = (0..s.rows.len() as u32)
            .filter(|&i| {
                let row = &s.rows[i as usize];
                !row.refused && !row.repeated && row.person.is_some()
            })
            .collect();
        if good.is_empty() {
            return Ok(written);
        }
        let devices = self.device_numbers(work, s, &good).await?;
        let (mut by_kind, columns) = self.pending(s, &good, &people, &texts, &devices);
        let mut changes = Changes::default();
        for (place, pending) in by_kind.iter_mut().enumerate() {
            pending.sort_unstable_by_key(|p| (p.participant, p.time, p.source));
            let ours = Ours {
                kind: self.kinds.at(place),
                columns: &columns,
                rules,
            };
            let conflicts = self.decide(work, s, &ours, pending, &mut changes).await?;
            written.conflicts += conflicts;
        }
        s.sort_faults();
        if written.conflicts > 0 && handling == Handling::Strict {
            self.place(s, &by_kind, &people, &texts, &mut written);
            return Ok(written);
        }
        if by_kind.iter().flatten().any(Pending::writes) {
            work.devices_seen().await?;
            self.note_uses(work, &by_kind).await?;
        }
        self.keep_residues(work, &mut by_kind, rules).await?;
        for (place, pending) in by_kind.iter().enumerate() {
            let layout = self.layout.of(place);
            let write = work.written().unwrap_or_default();
            let tx = &mut work.tx;
            count(layout, pending, &columns, &mut changes);
            keep_former(tx, layout, pending).await?;
            upsert(tx, layout, pending, &columns, write).await?;
            remember(tx, layout, pending).await?;
        }
        changes.write(&mut work.tx).await?;
        self.place(s, &by_kind, &people, &texts, &mut written);
        Ok(written)
    }

    /// Keeps what was written of records beyond their fields.
    async fn keep_residues(
        &self,
        work: &mut Work,
        by_kind: &mut [Vec<Pending>],
        rules: &[Rule],
    ) -> Result<()> {
        let mut fresh: Vec<(&mut Pending, &Residue)> = by_kind
            .iter_mut()
            .flatten()
            .filter(|p| p.fresh && p.writes())
            .filter_map(|p| {
                let residue = rules.get(p.row as usize)?.residue.as_ref()?;
                Some((p, residue))
            })
            .collect();
        let these: Vec<(i64, &Residue)> = fresh.iter().map(|(p, r)| (p.participant, *r)).collect();
        let ids = work.keep(&these).await?;
        for ((p, _), id) in fresh.iter_mut().zip(ids) {
            p.residue = id;
        }
        Ok(())
    }

    /// Notes what became of each row.
    fn place(
        &self,
        s: &Submission,
        by_kind: &[Vec<Pending>],
        people: &[i64],
        texts: &[i64],
        written: &mut Written,
    ) {
        for p in by_kind.iter().flatten() {
            written.outcomes[p.row as usize] = Some(Placed {
                outcome: p.outcome,
                participant: p.participant,
                time: p.time,
                source: p.source,
                version: p.version as u32,
                revived: p.revived,
                dated: p.dated,
                failed: p.failed,
            });
        }
        // A repetition shares the fate of what it repeats, and changes nothing itself.
        for (i, row) in s.rows.iter().enumerate().filter(|(_, row)| row.repeated) {
            let record = s.record(&self.kinds, row);
            written.outcomes[i] = Some(Placed {
                outcome: Outcome::Unchanged,
                participant: row.person.map_or(-1, |p| people[p as usize]),
                time: record.seconds(),
                source: source(&record, texts),
                version: 0,
                revived: false,
                dated: false,
                failed: false,
            });
        }
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
                state: 0,
                residue: NULL,
                fresh: false,
                dated: false,
                revived: false,
                failed: false,
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

    /// Whether it takes the place of a record that is there.
    fn replaces(&self) -> bool {
        self.outcome == Outcome::Updated && !self.revived
    }
}

/// What became of the records of a submission, or would have become.
#[derive(Default)]
pub(super) struct Written {
    /// By row; `None` where it was not tried.
    pub outcomes: Vec<Option<Placed>>,
    pub conflicts: u64,
}

/// What became of one record, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub outcome: Outcome,
    pub participant: i64,
    pub time: i64,
    pub source: i64,
    /// Its current version; 0 for a repetition.
    pub version: u32,
    /// Whether it had been deleted before.
    pub revived: bool,
    /// Whether it has the time of receipt in place of its own `update_time`.
    pub dated: bool,
    /// Whether the condition of its rule failed.
    pub failed: bool,
}
