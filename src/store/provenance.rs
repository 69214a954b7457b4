//! What a write did to the records of one participant, and over FHIR to the participant: the
//! source of a Provenance, which is derived and not stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::db::{Bound, bind, query};
use super::dictionary::person;
use super::read::{DELETED, Person};
use super::registered::{Did, Registered};
use super::{Access, Error, Result, Store, registry, sql};
use crate::fhir::id::{NO_SOURCE, ObservationKey};
use crate::registry::PARTICIPANTS;

/// A write and a participant, as the store numbers them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// `write.id`
    pub write: i64,
    /// `participant.id`; 0 for what is about none.
    pub participant: i64,
}

/// What one write did to one participant's records.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its place in the order of pages.
    pub key: DeliveryKey,
    /// The id of the write: of its submission, where it had one.
    pub id: String,
    /// When it was stored, in milliseconds since the epoch.
    pub at: i64,
    /// Who sent it.
    pub client: Option<String>,
    /// When a submission was sent, in milliseconds since the epoch.
    pub send_time: Option<i64>,
    /// Whose records it touched; of devices nobody's.
    pub person: Option<Arc<Person>>,
    /// Whether anything was new.
    pub created: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The records.
    pub targets: Vec<ObservationKey>,
    /// What else it changed.
    pub registered: Vec<Registered>,
}

impl Store {
    /// These deliveries.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn deliveries(
        &self,
        _access: &Access,
        keys: &[DeliveryKey],
    ) -> Result<Vec<Delivery>> {
        let ids: Vec<i64> = keys.iter().map(|k| k.participant).collect();
        let mut people = self.dictionary.people(&mut self.read.db(), &ids).await?;
        let writes = self.senders(keys).await?;
        let mut registered = self.registered_by(keys).await?;
        let touched = self.touched(keys).await?;
        let mut sources: Vec<i64> = touched.values().flatten().map(|t| t.source).collect();
        sources.sort_unstable();
        sources.dedup();
        // No source is no text.
        sources.retain(|&source| source != 0);
        let words = self.dictionary.words(&mut self.read.db(), &sources).await?;
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            if key.participant != 0 && !people.contains_key(&key.participant) {
                let person = self.gone(key.participant).await?.ok_or_else(|| {
                    Error::Damaged("a record names a participant that is not there".into())
                })?;
                people.insert(key.participant, person);
            }
            let person = people.get(&key.participant);
            let others = registered.remove(key).unwrap_or_default();
            // A write without an id is none that anybody sent.
            let Some(sender) = writes.get(&key.write) else {
                continue;
            };
            let records = touched.get(key).map_or(&[][..], Vec::as_slice);
            let targets = records.iter().filter_map(|record| {
                Some(ObservationKey {
                    participant: person?.hash,
                    kind: self.kinds.at(self.layout.place(record.kind)?).hash,
                    seconds: record.time,
                    source: words
                        .get(&record.source)
                        .map_or(*NO_SOURCE, |word| word.hash),
                })
            });
            out.push(Delivery {
                key: *key,
                id: sender.id.clone(),
                at: sender.at,
                client: sender.client.clone(),
                send_time: sender.send_time,
                created: records.iter().any(|record| record.version == 1)
                    || others.iter().any(|other| other.did == Did::Came),
                deleted: records.iter().any(|record| record.state == DELETED)
                    || others.iter().any(|other| other.did == Did::Went),
                targets: targets.collect(),
                registered: others,
                person: person.cloned(),
            });
        }
        Ok(out)
    }

    /// A participant who was deleted, as a former version tells.
    async fn gone(&self, participant: i64) -> Result<Option<Arc<Person>>> {
        let row = query(
            "SELECT w.hash FROM registry_write w WHERE w.participant = ? \
             AND w.resource IN ('Patient', 'ResearchSubject') LIMIT 1",
        );
        let row = row.bind(participant).fetch_optional(&self.read).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let hash = registry::hash(row.try_get(0)?)?;
        let access = Access::operator();
        let versions = self.row_versions(&access, &PARTICIPANTS, &hash).await?;
        let mut rows = versions.into_iter().filter_map(|v| v.row);
        Ok(rows.next().map(|row| {
            let text = |field| row.text(field).unwrap_or_default().to_owned();
            person(participant, text("consortium_id"), text("person_id"))
        }))
    }

    /// Who sent these writes, and when.
    async fn senders(&self, keys: &[DeliveryKey]) -> Result<HashMap<i64, Sender>> {
        let mut ids: Vec<i64> = keys.iter().map(|key| key.write).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut out = HashMap::with_capacity(ids.len());
        for chunk in sql::sets(&ids) {
            let text = format!(
                "SELECT w.id, w.submission, w.at, coalesce(w.client, s.client), s.send_time \
                 FROM write w LEFT JOIN submission s ON s.id = w.submission WHERE w.id IN ({})",
                sql::list(chunk.len())
            );
            let bound: Vec<Bound> = chunk.into_iter().map(Bound::Int).collect();
            for row in bind(&text, &bound).fetch_all(&self.read).await? {
                if let Some(id) = row.try_get::<Option<String>>(1)? {
                    let sender = Sender {
                        id,
                        at: row.try_get(2)?,
                        client: row.try_get(3)?,
                        send_time: row.try_get(4)?,
                    };
                    out.insert(row.try_get(0)?, sender);
                }
            }
        }
        Ok(out)
    }

    /// The records that writes touched, former versions included: one statement a
    /// participant.
    async fn touched(&self, keys: &[DeliveryKey]) -> Result<HashMap<DeliveryKey, Vec<Touched>>> {
        let mut writes: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for key in keys {
            writes.entry(key.participant).or_default().push(key.write);
        }
        let columns = "write, kind, time, source, version, state";
        let mut out: HashMap<DeliveryKey, Vec<Touched>> = HashMap::with_capacity(keys.len());
        for (participant, writes) in writes {
            for chunk in sql::sets(&writes) {
                let these = format!("participant = ? AND write IN ({})", sql::list(chunk.len()));
                let text = format!(
                    "SELECT {columns} FROM record WHERE {these} \
                     UNION ALL SELECT {columns} FROM record_version WHERE {these}"
                );
                let own = std::iter::once(participant).chain(chunk.iter().copied());
                let bound: Vec<Bound> = own.clone().chain(own).map(Bound::Int).collect();
                let touched = bind(&text, &bound).read(&self.read, |row| {
                    let touched = Touched {
                        kind: row.try_get(1)?,
                        time: row.try_get(2)?,
                        source: row.try_get(3)?,
                        version: row.try_get(4)?,
                        state: row.try_get(5)?,
                    };
                    Ok((row.try_get(0)?, touched))
                });
                for (write, touched) in touched.await? {
                    let key = DeliveryKey { write, participant };
                    out.entry(key).or_default().push(touched);
                }
            }
        }
        for touched in out.values_mut() {
            touched.sort_unstable_by_key(|record| (record.kind, record.time, record.source));
        }
        Ok(out)
    }
}

/// Who sent a write.
struct Sender {
    id: String,
    at: i64,
    client: Option<String>,
    send_time: Option<i64>,
}

/// A record that a write touched.
struct Touched {
    kind: i64,
    time: i64,
    source: i64,
    version: i64,
    state: i64,
}
