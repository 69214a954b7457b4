//! The quarantine: refused records of lenient submissions that wait to be mended.
//!
//! A row waits until a record of its identity is stored, an operator dismisses it, or it is
//! older than the store keeps such rows ([`Store::keep_quarantine`]).

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::db::{Db, Row, Transaction, query};
use super::{Access, Error, Result, Store, sql};
use crate::exchange::Submission;
use crate::fault::Fault;
use crate::mapping::forward;
use crate::record::Record;
use crate::time;

/// How long rows of the quarantine are kept, unless the store is told otherwise.
pub const QUARANTINE_TTL: Duration = Duration::from_secs(400 * 86_400);

/// Expired rows that a submission deletes at least, where there are so many.
const EXPIRED_AT_ONCE: usize = 500;

/// A refused record that waits to be mended.
#[derive(Debug, Clone)]
pub struct QuarantineRow {
    /// Its number.
    pub id: i64,
    /// The receipt that tells of it.
    pub receipt: String,
    /// Whose record it is.
    pub consortium_id: String,
    /// JSON pointer in its submission.
    pub pointer: String,
    /// Why it was refused.
    pub faults: Vec<Fault>,
    /// When, in milliseconds since the epoch.
    pub received_at: i64,
}

/// A row that is about to be written.
pub(super) struct NewRow {
    /// JSON pointer in its submission.
    pub pointer: String,
    /// `Observation.id` that the record would have, where its identity is known.
    pub observation: Option<String>,
    /// Its faults as JSON.
    pub faults: String,
}

/// Rows that wait for records of a submission, as they were found before the right to write
/// was held.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Number of a quarantine row, and the row of the submission that may mend it.
    rows: Vec<(i64, u32)>,
    /// The newest row of the quarantine that was there, where others may have come since.
    newest: Option<i64>,
}

impl Store {
    /// Keeps rows of the quarantine for so long, from now on.
    pub fn keep_quarantine(&self, ttl: Duration) {
        let millis = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        self.quarantine_ttl.store(millis, Ordering::Relaxed);
    }

    /// Rows received before this time have expired, in milliseconds since the epoch.
    fn expiry(&self, now: i64) -> i64 {
        now.saturating_sub(self.quarantine_ttl.load(Ordering::Relaxed))
    }

    /// Refused records that nothing has mended yet, oldest first, after the row `after`.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database), [`Error::Damaged`](super::Error::Damaged).
    pub async fn quarantine(
        &self,
        _access: &Access,
        consortium_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>> {
        let filter = if consortium_id.is_some() {
            "consortium_id = ? AND "
        } else {
            ""
        };
        let sql = format!(
            "SELECT id, submission, consortium_id, pointer, faults, received_at FROM quarantine \
             WHERE {filter}id > ? AND left_at IS NULL AND received_at >= ? ORDER BY id LIMIT ?"
        );
        let rows = query(sql)
            .bind_all(consortium_id)
            .bind(after)
            .bind(self.expiry(time::now_millis()))
            .bind(limit as i64)
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Takes a row off the quarantine; it stays recorded when and by whom. False where it is
    /// not on the list.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn dismiss(&self, _access: &Access, id: i64, client: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = time::now_millis();
        let done = query(
            "UPDATE quarantine SET left_at = ?, left_by = ? \
             WHERE id = ? AND left_at IS NULL AND received_at >= ?",
        )
        .bind(now)
        .bind(format!("client:{client}"))
        .bind(id)
        .bind(self.expiry(now))
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(done > 0)
    }

    /// The rows that wait for records of a submission: an index is asked for the identities
    /// that the submission brings, and only where anything of its consortium waits.
    pub(super) async fn waiting(&self, db: &mut Db<'_>, s: &Submission) -> Result<Waiting> {
        let mut waiting = Waiting::default();
        if db.is_durable() {
            let newest = query("SELECT max(id) FROM quarantine");
            let newest = newest.fetch_one(db.again()).await?;
            waiting.newest = Some(newest.try_get::<Option<i64>>(0)?.unwrap_or(0));
        }
        if !any_waits(db, &s.consortium_id).await? {
            return Ok(waiting);
        }
        let mut identities = self.identities(s);
        identities.sort_unstable();
        let keys: Vec<&str> = identities.iter().map(|(key, _)| key.as_str()).collect();
        for set in sql::sets(&keys) {
            let text = format!(
                "SELECT id, observation FROM quarantine \
                 WHERE left_at IS NULL AND observation IN ({})",
                sql::list(set.len())
            );
            for row in query(text).bind_all(set).fetch_all(db.again()).await? {
                let (id, observation): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
                let at = keys.binary_search(&observation.as_str());
                waiting
                    .rows
                    .extend(at.ok().map(|at| (id, identities[at].1)));
            }
        }
        Ok(waiting)
    }

    /// Takes off the quarantine what waited for the records that `is_new` tells, also what came
    /// to wait since `waiting` was found.
    pub(super) async fn mend(
        &self,
        tx: &mut Transaction,
        s: &Submission,
        mut waiting: Waiting,
        is_new: impl Fn(usize) -> bool,
        receipt: &str,
    ) -> Result<()> {
        let mut later = Vec::new();
        if let Some(newest) = waiting.newest {
            let statement = query(
                "SELECT id, observation FROM quarantine WHERE consortium_id = ? \
                 AND left_at IS NULL AND id > ? AND observation IS NOT NULL",
            );
            let statement = statement.bind(&s.consortium_id).bind(newest);
            later = statement.fetch_all(&mut *tx).await?;
        }
        if !later.is_empty() {
            let identities: HashMap<String, u32> = self.identities(s).into_iter().collect();
            for row in later {
                let (id, observation): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
                let found = identities.get(&observation);
                waiting.rows.extend(found.map(|&at| (id, at)));
            }
        }
        let mended = waiting.rows.into_iter();
        let mended: Vec<i64> = mended
            .filter(|(_, row)| is_new(*row as usize))
            .map(|(id, _)| id)
            .collect();
        for set in sql::sets(&mended) {
            let text = format!(
                "UPDATE quarantine SET left_at = ?, left_by = ? \
                 WHERE left_at IS NULL AND id IN ({})",
                sql::list(set.len())
            );
            query(text)
                .bind(time::now_millis())
                .bind(format!("submission:{receipt}"))
                .bind_all(set)
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }

    /// The identities of the records that may be stored, each with its row.
    fn identities(&self, s: &Submission) -> Vec<(String, u32)> {
        let rows = s.rows.iter().enumerate();
        rows.filter(|(_, row)| !row.refused && !row.repeated)
            .filter_map(|(i, row)| Some((identity(&s.record(&self.kinds, row))?, i as u32)))
            .collect()
    }

    /// Deletes rows that have expired, among the oldest: at least twice as many as come new,
    /// and never the newest row, whose number would be given again.
    pub(super) async fn expire(&self, tx: &mut Transaction, now: i64, new: usize) -> Result<u64> {
        let limit = EXPIRED_AT_ONCE.max(2 * new);
        query(
            "DELETE FROM quarantine WHERE id IN (SELECT id FROM \
             (SELECT id, received_at FROM quarantine ORDER BY id LIMIT ?) AS oldest \
             WHERE received_at < ? AND id < (SELECT max(id) FROM quarantine))",
        )
        .bind(limit as i64)
        .bind(self.expiry(now))
        .execute(tx)
        .await
    }
}

/// Whether anything of a consortium waits.
async fn any_waits(db: &mut Db<'_>, consortium_id: &str) -> Result<bool> {
    let any = query("SELECT 1 FROM quarantine WHERE consortium_id = ? AND left_at IS NULL LIMIT 1");
    let any = any.bind(consortium_id).fetch_optional(db.again()).await?;
    Ok(any.is_some())
}

/// `Observation.id` of a record, where its person, time and source are known.
pub(super) fn identity(record: &Record) -> Option<String> {
    let kind = record.kind;
    let sourceless = kind
        .source
        .is_some_and(|f| kind.fields[f].required && record.cells[f].is_absent());
    let known = !record.person_id.is_empty() && !record.cells[kind.time].is_absent();
    (known && !sourceless).then(|| forward::key(record, kind).encode())
}

/// Writes rows of a receipt.
pub(super) async fn insert(
    tx: &mut Transaction,
    rows: &[NewRow],
    receipt: &super::Receipt,
) -> Result<()> {
    for chunk in sql::chunks(rows) {
        let text = format!(
            "INSERT INTO quarantine (submission, consortium_id, pointer, observation, faults, \
             received_at) VALUES {}",
            sql::values(chunk.len(), 6)
        );
        let mut statement = query(text);
        for row in chunk {
            statement = statement
                .bind(&receipt.id)
                .bind(&receipt.consortium_id)
                .bind(&row.pointer)
                .bind(row.observation.as_deref())
                .bind(&row.faults)
                .bind(receipt.received_at);
        }
        statement.execute(&mut *tx).await?;
    }
    Ok(())
}

fn read(row: &Row) -> Result<QuarantineRow> {
    let faults: String = row.try_get(4)?;
    Ok(QuarantineRow {
        id: row.try_get(0)?,
        receipt: row.try_get(1)?,
        consortium_id: row.try_get(2)?,
        pointer: row.try_get(3)?,
        faults: serde_json::from_str(&faults).map_err(|e| Error::Damaged(e.to_string()))?,
        received_at: row.try_get(5)?,
    })
}
