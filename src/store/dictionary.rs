//! Texts, devices and participants by their numbers, cached.
//!
//! Everything cached here never changes once it is committed (a number is not given
//! twice), so other processes on the same database cannot make it wrong. What a transaction
//! reads may never be committed, and is not cached.

use std::collections::HashMap;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::db::{Bound, Db, Reads, Transaction, query};
use super::{Result, sql};
use crate::fhir::id::{self, Hash96};

/// A text of the dictionary.
#[derive(Debug)]
pub struct Word {
    /// The text.
    pub text: Arc<str>,
    /// Its hash as a source, which Observation ids carry.
    pub hash: Hash96,
}

/// A device part.
#[derive(Debug)]
pub struct DevicePart {
    /// Maker.
    pub maker: Arc<str>,
    /// Model.
    pub model: Arc<str>,
    /// Serial.
    pub serial: Arc<str>,
    /// `Device/{id}`
    pub reference: String,
}

/// A participant, as far as they never change.
#[derive(Debug)]
pub struct Person {
    /// `participant.id`
    pub id: i64,
    /// The hash that ids carry.
    pub hash: Hash96,
    /// The consortium.
    pub consortium_id: String,
    /// The person.
    pub person_id: String,
    /// `Patient/{id}`
    pub reference: String,
}

/// The caches. Each is bounded.
pub struct Dictionary {
    pub words: Cache<i64, Arc<Word>>,
    pub numbers: Cache<Arc<str>, i64>,
    pub devices: Cache<i64, Arc<DevicePart>>,
    pub device_numbers: Cache<Hash96, i64>,
    /// Pairs of device and participant that are known.
    pub uses: Cache<(i64, i64), ()>,
    pub people: Cache<i64, Arc<Person>>,
    /// The number that a participant had when last seen. Who is deleted and comes back is
    /// given another: only what is found by this one shows that it holds.
    pub person_numbers: Cache<Hash96, i64>,
    pub writes: Cache<i64, i64>,
}

impl Dictionary {
    pub fn new() -> Dictionary {
        Dictionary {
            words: Cache::new(50_000),
            numbers: Cache::new(50_000),
            devices: Cache::new(50_000),
            device_numbers: Cache::new(50_000),
            uses: Cache::new(100_000),
            people: Cache::new(50_000),
            person_numbers: Cache::new(50_000),
            writes: Cache::new(20_000),
        }
    }

    /// The texts of these numbers.
    pub async fn words(&self, db: &mut Db<'_>, ids: &[i64]) -> Result<Numbered<Arc<Word>>> {
        let (mut out, missing) = known(&self.words, ids);
        for chunk in sql::sets(&missing) {
            let text = format!(
                "SELECT id, value FROM text WHERE id IN ({})",
                sql::list(chunk.len())
            );
            for row in query(text).bind_all(chunk).fetch_all(db.again()).await? {
                let (id, value): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
                let hash = id::source_hash(&value);
                let word = Arc::new(Word {
                    text: value.into(),
                    hash,
                });
                if db.is_durable() {
                    self.words.insert(id, word.clone());
                }
                out.insert(id, word);
            }
        }
        Ok(out)
    }

    /// The device parts of these numbers.
    pub async fn devices(&self, db: &mut Db<'_>, ids: &[i64]) -> Result<Numbered<Arc<DevicePart>>> {
        let (mut out, missing) = known(&self.devices, ids);
        for chunk in sql::sets(&missing) {
            let text = format!(
                "SELECT id, model_manufacturer_code, model_number, production_specification_serial \
                 FROM device WHERE id IN ({})",
                sql::list(chunk.len())
            );
            for row in query(text).bind_all(chunk).fetch_all(db.again()).await? {
                let id: i64 = row.try_get(0)?;
                let part = |i| row.try_get::<String>(i).map(Arc::<str>::from);
                let (maker, model, serial) = (part(1)?, part(2)?, part(3)?);
                let reference = format!("Device/{}", id::device(&maker, &model, &serial));
                let device = Arc::new(DevicePart {
                    maker,
                    model,
                    serial,
                    reference,
                });
                if db.is_durable() {
                    self.devices.insert(id, device.clone());
                }
                out.insert(id, device);
            }
        }
        Ok(out)
    }

    /// The participants of these numbers.
    pub async fn people(&self, db: &mut Db<'_>, ids: &[i64]) -> Result<Numbered<Arc<Person>>> {
        let (mut out, missing) = known(&self.people, ids);
        for person in self.people_by(db, "id", &missing).await? {
            out.insert(person.id, person);
        }
        Ok(out)
    }

    /// The numbers that participants have now, in the order of their hashes.
    pub async fn numbers_of(&self, db: &Reads, hashes: &[Hash96]) -> Result<Vec<Option<i64>>> {
        let people = self.people_by(&mut db.db(), "hash", hashes).await?;
        let number = |hash: &Hash96| people.iter().find(|p| p.hash == *hash).map(|p| p.id);
        Ok(hashes.iter().map(number).collect())
    }

    /// The participants with these values of a key, each remembered where that is durable.
    async fn people_by<T>(
        &self,
        db: &mut Db<'_>,
        key: &str,
        values: &[T],
    ) -> Result<Vec<Arc<Person>>>
    where
        T: Clone,
        for<'v> &'v T: Into<Bound>,
    {
        let mut out = Vec::with_capacity(values.len());
        for set in sql::sets(values) {
            let text = format!(
                "SELECT id, consortium_id, person_id FROM participant WHERE {key} IN ({})",
                sql::list(set.len())
            );
            for row in query(text).bind_all(&set).fetch_all(db.again()).await? {
                let person = person(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                if db.is_durable() {
                    self.people.insert(person.id, person.clone());
                    self.person_numbers.insert(person.hash, person.id);
                }
                out.push(person);
            }
        }
        Ok(out)
    }

    /// When these writes were made, in milliseconds since the epoch.
    pub async fn writes(&self, db: &mut Db<'_>, ids: &[i64]) -> Result<Numbered<i64>> {
        let (mut out, missing) = known(&self.writes, ids);
        for chunk in sql::sets(&missing) {
            let text = format!(
                "SELECT id, at FROM write WHERE id IN ({})",
                sql::list(chunk.len())
            );
            for row in query(text).bind_all(chunk).fetch_all(db.again()).await? {
                let (id, at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                if db.is_durable() {
                    self.writes.insert(id, at);
                }
                out.insert(id, at);
            }
        }
        Ok(out)
    }
}

/// What some numbers mean: few a page, so that a list serves better than a map.
#[derive(Debug)]
pub struct Numbered<V>(Vec<(i64, V)>);

impl<V> Numbered<V> {
    fn place(&self, id: i64) -> std::result::Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// What this one means.
    pub fn get(&self, id: i64) -> Option<&V> {
        self.place(id).ok().map(|at| &self.0[at].1)
    }

    /// Adds one.
    pub fn insert(&mut self, id: i64, value: V) {
        match self.place(id) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (id, value)),
        }
    }
}

/// What is cached of these numbers; and those that are not, each once.
fn known<V: Clone>(cache: &Cache<i64, V>, ids: &[i64]) -> (Numbered<V>, Vec<i64>) {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut out = Vec::with_capacity(ids.len());
    ids.retain(|id| match cache.get(id) {
        Some(value) => {
            out.push((*id, value));
            false
        }
        None => true,
    });
    (Numbered(out), ids)
}

/// A participant from their row.
pub fn person(id: i64, consortium_id: String, person_id: String) -> Arc<Person> {
    let hash = id::participant_hash(&consortium_id, &person_id);
    let reference = format!("Patient/{}", id::encode_hash(&hash));
    Arc::new(Person {
        id,
        hash,
        consortium_id,
        person_id,
        reference,
    })
}

/// The number of a text, given one where it is new.
pub async fn text_id(tx: &mut Transaction, text: &str) -> Result<i64> {
    query("INSERT INTO text (value) VALUES (?) ON CONFLICT (value) DO NOTHING")
        .bind(text)
        .execute(&mut *tx)
        .await?;
    let row = query("SELECT id FROM text WHERE value = ?")
        .bind(text)
        .fetch_one(tx)
        .await?;
    row.try_get(0)
}

/// The numbers of these texts, given ones where they are new, in their order.
pub async fn text_ids(
    tx: &mut Transaction,
    cache: &Cache<Arc<str>, i64>,
    texts: &[Arc<str>],
) -> Result<Vec<i64>> {
    let mut ids = vec![0; texts.len()];
    let mut missing: Vec<usize> = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match cache.get(text) {
            Some(id) => ids[i] = id,
            None => missing.push(i),
        }
    }
    let mut found: HashMap<String, i64> = HashMap::new();
    for chunk in sql::chunks(&missing) {
        let insert = format!(
            "INSERT INTO text (value) VALUES {} ON CONFLICT (value) DO NOTHING",
            sql::values(chunk.len(), 1)
        );
        let these = || chunk.iter().map(|&i| &*texts[i]);
        query(insert).bind_all(these()).execute(&mut *tx).await?;
        let select = format!(
            "SELECT value, id FROM text WHERE value IN ({})",
            sql::list(chunk.len())
        );
        let rows = query(select).bind_all(these()).fetch_all(&mut *tx).await?;
        for row in rows {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    for i in missing {
        ids[i] = found.get(&*texts[i]).copied().unwrap_or_default();
    }
    Ok(ids)
}
