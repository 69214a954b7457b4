//! What a write did to the records of one participant, and over FHIR to the participant: the
//! source of a Provenance, which is derived and not stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::db::{Bound, bind, query};
use super::dictionary::person;
use super::query::Condition;
use super::read::{DELETED, Person};
use super::registered::{Did, Registered};
use super::{Access, Error, Result, Store, Table, Test, registry, sql};
use crate::fhir::id::{Hash96, NO_SOURCE, ObservationKey};
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
        let mut writes: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for key in keys {
            writes.entry(key.participant).or_default().push(key.write);
        }
        let mut touched = HashMap::with_capacity(keys.len());
        // One statement a participant.
        for (participant, writes) in writes {
            for set in sql::sets(&writes) {
                let mut these = Condition::new("t.participant = ?", vec![participant.into()]);
                these.and_also(among(&set));
                touched.extend(self.touched(&these).await?);
            }
        }
        let mut writes: Vec<i64> = keys.iter().map(|key| key.write).collect();
        writes.sort_unstable();
        writes.dedup();
        let mut registered = HashMap::new();
        for set in sql::sets(&writes) {
            registered.extend(self.registered_by(&among(&set)).await?);
        }
        self.told(keys, &touched, registered).await
    }

    /// What writes after a place did to one person's records and to the person, of those writes
    /// for which a test holds: the first of them, and whether there are more.
    ///
    /// All of it is read once, and what the writes are is seen by that: a person has that much.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn deliveries_of(
        &self,
        _access: &Access,
        person: &Hash96,
        test: &Test,
        after: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Delivery>, bool)> {
        let own = "t.participant = (SELECT id FROM participant WHERE hash = ?)";
        let mut these = Condition::new(own, vec![person.into()]);
        these.and_also(self.condition_on(test, Table::Delivery, "t").await?);
        if let Some(write) = after {
            these.and("t.write > ?", &[write.into()]);
        }
        if these.is_never() {
            return Ok((Vec::new(), false));
        }
        let touched = self.touched(&these).await?;
        let registered = self.registered_by(&these).await?;
        let keys = touched.keys().chain(registered.keys());
        let keys: BTreeSet<DeliveryKey> = keys.copied().collect();
        let more = keys.len() > limit;
        let keys: Vec<DeliveryKey> = keys.into_iter().take(limit).collect();
        Ok((self.told(&keys, &touched, registered).await?, more))
    }

    /// Deliveries by what they did.
    async fn told(
        &self,
        keys: &[DeliveryKey],
        touched: &HashMap<DeliveryKey, Vec<Touched>>,
        mut registered: HashMap<DeliveryKey, Vec<Registered>>,
    ) -> Result<Vec<Delivery>> {
        let ids: Vec<i64> = keys.iter().map(|k| k.participant).collect();
        let mut people = self.dictionary.people(&mut self.read.db(), &ids).await?;
        let writes = self.senders(keys).await?;
        let mut sources: Vec<i64> = touched.values().flatten().map(|t| t.source).collect();
        sources.sort_unstable();
        sources.dedup();
        // No source is no text.
        sources.retain(|&source| source != 0);
        let words = self.dictionary.words(&mut self.read.db(), &sources).await?;
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            if key.participant != 0 && people.get(key.participant).is_none() {
                let person = self.gone(key.participant).await?.ok_or_else(|| {
                    Error::Damaged("a record names a participant that is not there".into())
                })?;
                people.insert(key.participant, person);
            }
            let person = people.get(key.participant);
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
                        .get(record.source)
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

    /// The records that writes touched, former versions included; `these` says which versions,
    /// of a table that is called `t`.
    async fn touched(&self, these: &Condition) -> Result<HashMap<DeliveryKey, Vec<Touched>>> {
        let select = |table| {
            format!(
                "SELECT t.write, t.participant, t.kind, t.time, t.source, t.version, t.state \
                 FROM {table} t WHERE {}",
                these.sql
            )
        };
        let text = [select("record"), select("record_version")].join(" UNION ALL ");
        let bound = [these.bound.as_slice(), &these.bound].concat();
        let touched = bind(&text, &bound).read(&self.read, |row| {
            let key = DeliveryKey {
                write: row.try_get(0)?,
                participant: row.try_get(1)?,
            };
            let touched = Touched {
                kind: row.try_get(2)?,
                time: row.try_get(3)?,
                source: row.try_get(4)?,
                version: row.try_get(5)?,
                state: row.try_get(6)?,
            };
            Ok((key, touched))
        });
        let mut out: HashMap<DeliveryKey, Vec<Touched>> = HashMap::new();
        for (key, touched) in touched.await? {
            out.entry(key).or_default().push(touched);
        }
        for touched in out.values_mut() {
            touched.sort_unstable_by_key(|record| (record.kind, record.time, record.source));
        }
        Ok(out)
    }
}

/// What is of one of these writes.
fn among(writes: &[i64]) -> Condition {
    let list = sql::list(writes.len());
    let bound = writes.iter().map(Bound::from).collect();
    Condition::new(format!("t.write IN ({list})"), bound)
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
