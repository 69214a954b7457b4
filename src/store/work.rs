//! A transaction in the making: everything that is written goes through one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::db::{Transaction, query};
use super::registered::Registered;
use super::{Result, Store, device};
use crate::fhir::id::Hash96;
use crate::time;

/// One transaction, with what becomes certain when it is committed.
pub(super) struct Work {
    /// Where its statements run.
    pub tx: Transaction,
    /// Since when the right to write is held.
    began: Instant,
    /// When it is written, in milliseconds since the epoch: now, and never before the write
    /// before it, so that a range of times is a range of writes.
    pub now: i64,
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
        let mut tx = self.begin().await?;
        let began = Instant::now();
        let row = query("SELECT at FROM write ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut tx)
            .await?;
        let last = row.map(|row| row.try_get::<i64>(0)).transpose()?;
        Ok(Work {
            tx,
            began,
            now: time::now_millis().max(last.unwrap_or(0)),
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
            .bind(self.now)
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

    /// Makes it durable. Only then are its numbers certain and may be remembered.
    pub async fn commit(self, store: &Store) -> Result<()> {
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
