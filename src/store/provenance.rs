//! What a write did to the records of one participant: the source of a Provenance, which
//! is derived and not stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::db::{self, Bound, bind};
use super::read::{DELETED, Person};
use super::{Access, Error, Result, Store, sql};
use crate::fhir::id::{self, Hash96, ObservationKey};

/// A write and a participant, as the store numbers them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// `write.id`
    pub write: i64,
    /// `participant.id`
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
    /// Whose records it touched.
    pub person: Arc<Person>,
    /// Whether any record was new.
    pub created: bool,
    /// Whether the records were deleted.
    pub deleted: bool,
    /// The records.
    pub targets: Vec<ObservationKey>,
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
        let people = self.dictionary.people(&self.read, &ids).await?;
        let mut out = Vec::with_capacity(keys.len());
        for key in keys {
            let person = people.get(&key.participant).ok_or_else(|| {
                Error::Damaged("a record names a participant that is not there".into())
            })?;
            out.extend(self.delivery(*key, person.clone()).await?);
        }
        Ok(out)
    }

    async fn delivery(&self, key: DeliveryKey, person: Arc<Person>) -> Result<Option<Delivery>> {
        let found = db::query(
            "SELECT w.submission, w.at, coalesce(w.client, s.client), s.send_time \
             FROM write w LEFT JOIN submission s ON s.id = w.submission WHERE w.id = ?",
        )
        .bind(key.write)
        .fetch_optional(&self.read)
        .await?;
        let Some(found) = found else { return Ok(None) };
        let Some(id) = found.try_get::<Option<String>>(0)? else {
            return Ok(None);
        };
        let columns = "kind, time, source, version, state";
        // The sign keeps SQLite, which does not count, from taking the longer way by participant.
        let these = "+participant = ? AND write = ?";
        let text = format!(
            "SELECT {columns} FROM record WHERE {these} \
             UNION ALL SELECT {columns} FROM record_version \
             WHERE {these} ORDER BY kind, time, source"
        );
        let bound: Vec<Bound> = [key.participant, key.write, key.participant, key.write]
            .map(Bound::Int)
            .to_vec();
        let rows = bind(&text, &bound).fetch_all(&self.read).await?;
        let mut sources: BTreeMap<i64, Hash96> = BTreeMap::from([(0, id::source_hash(""))]);
        let mut numbers = Vec::with_capacity(rows.len());
        let (mut created, mut deleted) = (false, false);
        for row in &rows {
            let (kind, time, source): (i64, i64, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            created |= row.try_get::<i64>(3)? == 1;
            deleted |= row.try_get::<i64>(4)? == DELETED;
            numbers.push((kind, time, source));
            sources.entry(source).or_insert([0; 12]);
        }
        let asked: Vec<i64> = sources.keys().copied().filter(|&id| id != 0).collect();
        for chunk in asked.chunks(sql::CHUNK) {
            for (id, word) in self.dictionary.words(&self.read, chunk).await? {
                sources.insert(id, word.hash);
            }
        }
        let targets = numbers.iter().filter_map(|(kind, time, source)| {
            Some(ObservationKey {
                participant: person.hash,
                kind: self.kinds.at(self.layout.place(*kind)?).hash,
                seconds: *time,
                source: *sources.get(source)?,
            })
        });
        Ok(Some(Delivery {
            key,
            id,
            at: found.try_get(1)?,
            client: found.try_get(2)?,
            send_time: found.try_get(3)?,
            created,
            deleted,
            targets: targets.collect(),
            person,
        }))
    }
}
