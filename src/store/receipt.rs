//! Receipts.

use serde::{Deserialize, Serialize};

use super::db::{self, Transaction};
use super::entries::{self, Compact, Entry, Outcome};
use super::{Access, Result, Store};
use crate::exchange::{self, Position, Submission};
use crate::fault::{Fault, Place};
use crate::fhir::id::{self, ObservationKey};
use crate::metrics;

/// How many records came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records in the submission.
    pub received: u64,
    /// First seen.
    pub created: u64,
    /// The next version.
    pub updated: u64,
    /// The same content.
    pub unchanged: u64,
    /// Older than what is stored.
    pub stale: u64,
    /// Equal `update_time`, different content.
    pub conflict: u64,
    /// Refused by their faults.
    pub refused: u64,
    /// Stored with a warning.
    pub warned: u64,
}

impl Counts {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Stale => &mut self.stale,
            Outcome::Conflict => &mut self.conflict,
            Outcome::Refused => &mut self.refused,
        } += 1;
    }

    /// Adds the counts of a stored submission to the metrics.
    pub(super) fn measure(&self) {
        for (outcome, count) in [
            (Outcome::Created, self.created),
            (Outcome::Updated, self.updated),
            (Outcome::Unchanged, self.unchanged),
            (Outcome::Stale, self.stale),
            (Outcome::Conflict, self.conflict),
            (Outcome::Refused, self.refused),
        ] {
            metrics::records("exchange", outcome.as_str(), count);
        }
    }
}

/// What became of a submission (interface specification, "The receipt").
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The receipt's id, a ULID.
    pub id: String,
    /// Whose submission it was.
    pub consortium_id: String,
    /// `send_time`, in milliseconds since the epoch.
    pub send_time: i64,
    /// When it came, in milliseconds since the epoch.
    pub received_at: i64,
    /// Lenient handling, else strict.
    pub lenient: bool,
    /// The HTTP status of the answer: 201, 200 or 422.
    pub status: u16,
    /// Faults of the envelope.
    pub faults: Vec<Fault>,
    /// How many records came to which end.
    pub counts: Counts,
    /// The entries that say something, or all of them.
    pub entries: Vec<Entry>,
    /// Counts of what the entries leave out.
    pub unlisted: Unlisted,
}

/// Counts of what the entries of a receipt leave out, because a submission has more faults or refused
/// records than are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// Refused records that were only counted: they are not in the quarantine either.
    pub records: u64,
    /// Refused records without an entry, those that were only counted among them.
    pub entries: u64,
    /// Faults of records that no entry tells.
    pub faults: u64,
}

impl Unlisted {
    /// Whether anything is left out.
    pub fn is_any(&self) -> bool {
        *self != Unlisted::default()
    }
}

impl Receipt {
    /// A receipt that tells nothing yet but whose submission it is of.
    pub(super) fn new(id: String, s: &Submission, lenient: bool, received_at: i64) -> Receipt {
        Receipt {
            id,
            consortium_id: s.consortium_id.clone(),
            send_time: s.send_time,
            received_at,
            lenient,
            status: 422,
            faults: Vec::new(),
            counts: Counts::default(),
            entries: Vec::new(),
            unlisted: Unlisted::default(),
        }
    }

    /// Whether nothing was stored because of faults or conflicts.
    pub fn is_refused(&self) -> bool {
        self.status == 422
    }
}

/// Which receipts are asked for. Newest first.
#[derive(Debug, Clone, Default)]
pub struct ReceiptQuery {
    /// Of this consortium only.
    pub consortium_id: Option<String>,
    /// Received then or later, in milliseconds since the epoch.
    pub since: Option<i64>,
    /// Older than this receipt.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

const COLUMNS: &str = "id, consortium_id, send_time, received_at, lenient, status, received, \
    created, updated, unchanged, stale, conflict, refused, warned, faults, entries, \
    unlisted_records, unlisted_entries, unlisted_faults";

/// What is written of a receipt beside itself.
pub(super) struct Extra {
    pub client: Option<String>,
    pub write: Option<i64>,
    pub all: Vec<u8>,
}

/// The texts of a receipt as they are kept.
pub(super) struct Packed {
    faults: Vec<u8>,
    entries: Vec<u8>,
}

impl Packed {
    /// Those of a receipt.
    pub fn of(receipt: &Receipt) -> Result<Packed> {
        Ok(Packed {
            faults: entries::pack_json(&receipt.faults)?,
            entries: entries::pack_json(&receipt.entries)?,
        })
    }
}

pub(super) async fn insert(
    tx: &mut Transaction,
    receipt: &Receipt,
    packed: &Packed,
    extra: &Extra,
) -> Result<()> {
    let c = &receipt.counts;
    let mut insert = db::query(
        "INSERT INTO submission (id, consortium_id, send_time, received_at, lenient, status, \
         received, created, updated, unchanged, stale, conflict, refused, warned, faults, entries, \
         client, write, all_entries, unlisted_records, unlisted_entries, unlisted_faults) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&receipt.id)
    .bind(&receipt.consortium_id)
    .bind(receipt.send_time)
    .bind(receipt.received_at)
    .bind(i64::from(receipt.lenient))
    .bind(i64::from(receipt.status));
    for n in [
        c.received,
        c.created,
        c.updated,
        c.unchanged,
        c.stale,
        c.conflict,
        c.refused,
        c.warned,
    ] {
        insert = insert.bind(n as i64);
    }
    let Unlisted {
        records,
        entries,
        faults,
    } = receipt.unlisted;
    insert
        .bind(packed.faults.as_slice())
        .bind(packed.entries.as_slice())
        .bind(extra.client.as_deref())
        .bind(extra.write)
        .bind(extra.all.as_slice())
        .bind_all([records, entries, faults].map(|n| n as i64))
        .execute(tx)
        .await?;
    Ok(())
}

fn read(row: &db::Row) -> Result<Receipt> {
    let n = |i: usize| row.try_get::<i64>(i).map(|n| n as u64);
    Ok(Receipt {
        id: row.try_get(0)?,
        consortium_id: row.try_get(1)?,
        send_time: row.try_get(2)?,
        received_at: row.try_get(3)?,
        lenient: row.try_get::<i64>(4)? != 0,
        status: row.try_get::<i64>(5)? as u16,
        counts: Counts {
            received: n(6)?,
            created: n(7)?,
            updated: n(8)?,
            unchanged: n(9)?,
            stale: n(10)?,
            conflict: n(11)?,
            refused: n(12)?,
            warned: n(13)?,
        },
        faults: entries::unpack_json(&row.try_get::<Vec<u8>>(14)?)?,
        entries: entries::unpack_json(&row.try_get::<Vec<u8>>(15)?)?,
        unlisted: Unlisted {
            records: n(16)?,
            entries: n(17)?,
            faults: n(18)?,
        },
    })
}

impl Store {
    /// The receipt with this id; with `all`, every record has its entry.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn receipt(&self, _access: &Access, id: &str, all: bool) -> Result<Option<Receipt>> {
        let sql = format!("SELECT {COLUMNS}, all_entries FROM submission WHERE id = ?");
        let row = db::query(sql).bind(id).fetch_optional(&self.read).await?;
        let Some(row) = row else { return Ok(None) };
        let mut receipt = read(&row)?;
        if all {
            let compact = entries::unpack(&row.try_get::<Vec<u8>>(19)?)?;
            receipt.unlisted.entries = receipt.unlisted.records;
            receipt.entries = self.all_entries(&compact, receipt.entries).await?;
        }
        Ok(Some(receipt))
    }

    async fn all_entries(&self, compact: &[Compact], told: Vec<Entry>) -> Result<Vec<Entry>> {
        let ids = |f: fn(&Compact) -> i64| -> Vec<i64> {
            compact
                .iter()
                .filter(|c| c.participant >= 0)
                .map(f)
                .filter(|&id| id > 0)
                .collect()
        };
        let people = self
            .dictionary
            .people(&mut self.read.db(), &ids(|c| c.participant))
            .await?;
        let words = self
            .dictionary
            .words(&mut self.read.db(), &ids(|c| c.source))
            .await?;
        let mut told = told.into_iter().peekable();
        let mut out = Vec::with_capacity(compact.len());
        for c in compact {
            let Some(place) = self.layout.place(c.kind) else {
                continue;
            };
            let kind = self.kinds.at(place);
            let position = Position {
                person: c.person as u32,
                element: (c.element > 0).then(|| (c.element - 1) as u16),
                index: c.index as u32,
                place: Place::default(),
            };
            let pointer = exchange::pointer(kind, &position);
            if told.peek().is_some_and(|e| e.pointer == pointer) {
                out.extend(told.next());
                continue;
            }
            let source = if c.source == 0 {
                Some(*id::NO_SOURCE)
            } else {
                words.get(c.source).map(|w| w.hash)
            };
            let reference = people
                .get(c.participant)
                .zip(source)
                .map(|(person, source)| {
                    let key = ObservationKey {
                        participant: person.hash,
                        kind: kind.hash,
                        seconds: c.time,
                        source,
                    };
                    format!("Observation/{}", key.encode())
                });
            out.push(Entry {
                pointer,
                outcome: c.outcome,
                reference,
                faults: Vec::new(),
            });
        }
        out.extend(told);
        Ok(out)
    }

    /// Receipts, newest first.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn receipts(&self, _access: &Access, query: &ReceiptQuery) -> Result<Vec<Receipt>> {
        let mut sql = format!("SELECT {COLUMNS} FROM submission WHERE 1 = 1");
        for (given, part) in [
            (query.consortium_id.is_some(), " AND consortium_id = ?"),
            (query.since.is_some(), " AND received_at >= ?"),
            (query.before.is_some(), " AND id < ?"),
        ] {
            if given {
                sql.push_str(part);
            }
        }
        sql.push_str(" ORDER BY id DESC LIMIT ?");
        let rows = db::query(sql)
            .bind_all(&query.consortium_id)
            .bind_all(query.since)
            .bind_all(&query.before)
            .bind(query.limit as i64)
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(read).collect()
    }
}
