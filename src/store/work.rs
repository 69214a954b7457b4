//! A transaction in the making: everything that is written goes through one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::db::{Transaction, query};
use super::registered::Registered;
use super::{Result, Store, device};
use crate::fhir::id::Hash96;
use crate::registry::List;
use crate::time;

/// The time of what a transaction writes, until it has its own ([`Work::stamp`]). Nobody else
/// ever sees it.
pub(super) const PENDING: i64 = i64::MAX;

/// One transaction, with what becomes certain when it is committed.
pub(super) struct Work {
    /// Where its statements run.
    pub tx: Transaction,
    /// Since when the right to write is held.
    began: Instant,
    /// When it began, in milliseconds since the epoch. Its rows have the time of its
    /// end ([`Work::stamp`]).
    pub now: i64,
    /// The time of its end, where that was taken.
    stamped: Option<i64>,
    /// The lists whose rows it wrote.
    lists: BTreeSet<&'static str>,
    /// The devices of which it kept what they tell.
    pub told: Vec<i64>,
    /// The id of its write: of the receipt, where it is a submission.
    pub id: String,
    /// Who writes.
    pub client: Option<String>,
    write: Option<i64>,
    /// Texts that were given numbers.
    pub new_texts: Vec<(Arc<str>, i64)>,
    /// Devices that were given numbers.
    pub new_devices: Vec<(Hash96, i64)>,
    /// Pairs of device and participant that were not known.
    pub new_uses: Vec<(i64, i64)>,
    /// Residues that were kept.
    pub residues: i64,
    /// What was done to rows of registries and to devices, by participant.
    pub registered: Vec<(i64, Registered)>,
}

impl Store {
    /// Begins a transaction that writes, alone in doing so.
    pub(super) async fn work(&self, client: Option<String>) -> Result<Work> {
        let tx = self.begin().await?;
        let began = Instant::now();
        Ok(Work {
            tx,
            began,
            now: time::now_millis(),
            stamped: None,
            lists: BTreeSet::new(),
            told: Vec::new(),
            id: self.new_id(),
            client,
            write: None,
            new_texts: Vec::new(),
            new_devices: Vec::new(),
            new_uses: Vec::new(),
            residues: 0,
            registered: Vec::new(),
        })
    }
}

impl Work {
    /// The number of its write, if it wrote anything.
    pub fn written(&self) -> Option<i64> {
        self.write
    }

    /// The number of its write, which is made when the first change needs it.
    pub async fn write(&mut self) -> Result<i64> {
        if let Some(write) = self.write {
            return Ok(write);
        }
        let row = query("INSERT INTO write (at, submission, client) VALUES (?, ?, ?) RETURNING id")
            .bind(PENDING)
            .bind(&self.id)
            .bind(self.client.as_deref())
            .fetch_one(&mut self.tx)
            .await?;
        let write = row.try_get(0)?;
        self.write = Some(write);
        Ok(write)
    }

    /// Notes that the devices which are new were seen by this write.
    pub async fn devices_seen(&mut self) -> Result<()> {
        let write = self.write().await?;
        let ids: Vec<i64> = self.new_devices.iter().map(|(_, id)| *id).collect();
        device::first_seen(&mut self.tx, write, &ids).await
    }

    /// Notes that rows of a list were written, at the time [`PENDING`].
    pub fn touches(&mut self, list: &'static List) {
        self.lists.insert(list.table);
    }

    /// Takes the time of what was written, in milliseconds since the epoch, and puts it in the
    /// place of [`PENDING`]; the same when it is called again.
    ///
    /// It is taken at the end, while nobody else can write, and is greater than that of every
    /// former write, of any instance and whatever its clock says: so times go in the order in
    /// which writes become visible.
    pub async fn stamp(&mut self) -> Result<i64> {
        if let Some(at) = self.stamped {
            return Ok(at);
        }
        let now = time::now_millis();
        let row =
            query("UPDATE clock SET at = CASE WHEN at < ? THEN ? ELSE at + 1 END WHERE id = 1 RETURNING at")
                .bind_all([now, now])
                .fetch_one(&mut self.tx)
                .await?;
        let at: i64 = row.try_get(0)?;
        if let Some(write) = self.write {
            let text = "UPDATE write SET at = ? WHERE id = ?";
            let statement = query(text).bind_all([at, write]);
            statement.execute(&mut self.tx).await?;
        }
        for table in &self.lists {
            let text = format!("UPDATE {table} SET updated_at = ? WHERE updated_at = ?");
            let statement = query(text).bind_all([at, PENDING]);
            statement.execute(&mut self.tx).await?;
            let text =
                "UPDATE registry_version SET updated_at = ? WHERE list = ? AND updated_at = ?";
            let statement = query(text).bind(at).bind(*table).bind(PENDING);
            statement.execute(&mut self.tx).await?;
        }
        for device in &self.told {
            let text = "UPDATE device_told SET updated_at = ? WHERE device = ?";
            let statement = query(text).bind_all([at, *device]);
            statement.execute(&mut self.tx).await?;
        }
        self.stamped = Some(at);
        Ok(at)
    }

    /// Makes it durable. Only then are its numbers certain and may be remembered.
    pub async fn commit(mut self, store: &Store) -> Result<()> {
        self.stamp().await?;
        let before = self.began.elapsed();
        self.tx.commit().await?;
        let (held, write) = (self.began.elapsed(), self.write);
        let commit = held.saturating_sub(before);
        tracing::debug!(?held, ?commit, write, "written");
        for (text, id) in self.new_texts {
            store.dictionary.numbers.insert(text, id);
        }
        for pair in self.new_uses {
            store.dictionary.uses.insert(pair, ());
        }
        if self.residues > 0 {
            store.has_residue.store(true, Ordering::Relaxed);
        }
        // A device without a write is looked at again by the next one.
        if self.write.is_some() {
            for (hash, id) in self.new_devices {
                store.dictionary.device_numbers.insert(hash, id);
            }
        }
        Ok(())
    }

    /// Gives it up: nothing of it stays.
    pub async fn rollback(self) -> Result<()> {
        self.tx.rollback().await
    }
}
