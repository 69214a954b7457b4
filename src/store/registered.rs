//! What a write over FHIR did to rows of registries and to devices: what its Provenance tells,
//! beside the records.

use std::collections::HashMap;

use super::db::{bind, query};
use super::provenance::DeliveryKey;
use super::query::Condition;
use super::work::Work;
use super::{Result, Store, sql};
use crate::fhir::id::Hash96;

/// What a write did to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// It was there, and is another one now.
    Changed,
    /// It is there, and was not.
    Came,
    /// It is not there any more.
    Went,
}

/// Something that a write made another version of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// `Patient`, `ResearchSubject` or `Device`.
    pub resource: String,
    /// The hash of its id.
    pub hash: Hash96,
    /// The version.
    pub version: u32,
    /// What was done.
    pub did: Did,
}

impl Work {
    /// Notes what was done, of a participant (0 where it is about none).
    pub(super) fn registers(
        &mut self,
        participant: i64,
        resource: &str,
        hash: Hash96,
        version: u32,
        did: Did,
    ) {
        let done = Registered {
            resource: resource.to_owned(),
            hash,
            version,
            did,
        };
        self.registered.push((participant, done));
    }

    /// Writes what was noted.
    pub(super) async fn write_registered(&mut self) -> Result<()> {
        let registered = std::mem::take(&mut self.registered);
        if registered.is_empty() {
            return Ok(());
        }
        let write = self.write().await?;
        for chunk in sql::chunks(&registered) {
            let text = format!(
                "INSERT INTO registry_write (write, participant, resource, hash, version, did) \
                 VALUES {} ON CONFLICT (write, participant, resource, hash) DO UPDATE SET \
                 version = excluded.version, did = excluded.did",
                sql::values(chunk.len(), 6)
            );
            let mut statement = query(text);
            for (participant, done) in chunk {
                statement = statement
                    .bind(write)
                    .bind(*participant)
                    .bind(done.resource.as_str())
                    .bind(&done.hash)
                    .bind(i64::from(done.version))
                    .bind(done.did as i64);
            }
            statement.execute(&mut self.tx).await?;
        }
        Ok(())
    }
}

impl Store {
    /// What writes did to what is no record; `these` says which, of a table that is called `t`.
    pub(super) async fn registered_by(
        &self,
        these: &Condition,
    ) -> Result<HashMap<DeliveryKey, Vec<Registered>>> {
        let text = format!(
            "SELECT t.write, t.participant, t.resource, t.hash, t.version, t.did \
             FROM registry_write t WHERE {} ORDER BY 1, 2, 3, 4",
            these.sql
        );
        let mut out: HashMap<DeliveryKey, Vec<Registered>> = HashMap::new();
        for row in bind(&text, &these.bound).fetch_all(&self.read).await? {
            let key = DeliveryKey {
                write: row.try_get(0)?,
                participant: row.try_get(1)?,
            };
            out.entry(key).or_default().push(Registered {
                resource: row.try_get(2)?,
                hash: super::registry::hash(row.try_get(3)?)?,
                version: row.try_get::<i64>(4)? as u32,
                did: match row.try_get::<i64>(5)? {
                    1 => Did::Came,
                    2 => Did::Went,
                    _ => Did::Changed,
                },
            });
        }
        Ok(out)
    }
}
