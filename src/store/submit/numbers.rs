//! What was sent as the numbers that rows keep: participants, texts, devices.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::{NULL, Written};
use crate::exchange::Submission;
use crate::fhir::id::{self, Hash96};
use crate::store::{Result, Store, dictionary, sql};

/// `device.id` by the places of the texts of its three parts.
pub(super) type Devices = HashMap<[i64; 3], i64, foldhash::fast::RandomState>;

impl Store {
    /// The numbers of a submission's texts, by their places.
    pub(super) async fn text_numbers(
        &self,
        tx: &mut SqliteConnection,
        s: &Submission,
        written: &mut Written,
    ) -> Result<Vec<i64>> {
        let texts: Vec<Arc<str>> = s.texts.iter().cloned().collect();
        let ids = dictionary::text_ids(tx, &self.dictionary.numbers, &texts).await?;
        written.new_texts = texts.into_iter().zip(ids.iter().copied()).collect();
        Ok(ids)
    }

    /// The numbers of a submission's device parts, by the places of their texts.
    pub(super) async fn device_numbers(
        &self,
        tx: &mut SqliteConnection,
        s: &Submission,
        good: &[u32],
        written: &mut Written,
    ) -> Result<Devices> {
        let mut out = Devices::default();
        let mut missing: Vec<([i64; 3], Hash96)> = Vec::new();
        for &i in good {
            let record = s.record(&self.kinds, &s.rows[i as usize]);
            let Some(device) = record.kind.device else {
                continue;
            };
            let part = device.map(|f| record.cells[f].value());
            if out.contains_key(&part) {
                continue;
            }
            let [maker, model, serial] = part.map(|place| s.texts.get(place));
            let hash = id::hash96("device", &[maker, model, serial]);
            match self.dictionary.device_numbers.get(&hash) {
                Some(id) => {
                    out.insert(part, id);
                }
                None => {
                    out.insert(part, NULL);
                    missing.push((part, hash));
                }
            }
        }
        for chunk in sql::chunks(&missing) {
            let text = format!(
                "INSERT INTO device (hash, model_manufacturer_code, model_number, \
                 production_specification_serial, first_write) VALUES {} \
                 ON CONFLICT (hash) DO NOTHING",
                sql::values(chunk.len(), 5)
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for (part, hash) in chunk {
                query = query.bind(hash.to_vec());
                for place in part {
                    query = query.bind(s.texts.get(*place).to_owned());
                }
                query = query.bind(0_i64);
            }
            query.execute(&mut *tx).await?;
            let text = format!(
                "SELECT hash, id FROM device WHERE hash IN ({})",
                sql::list(chunk.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for (_, hash) in chunk {
                query = query.bind(hash.to_vec());
            }
            let mut ids: HashMap<Vec<u8>, i64> = HashMap::new();
            for row in query.fetch_all(&mut *tx).await? {
                ids.insert(row.try_get(0)?, row.try_get(1)?);
            }
            for (part, hash) in chunk {
                if let Some(&id) = ids.get(&hash[..]) {
                    out.insert(*part, id);
                    written.new_devices.push((*hash, id));
                }
            }
        }
        Ok(out)
    }
}

/// `participant.id` of each person, in their order; 0 for one who is not registered.
pub(super) async fn participants(
    tx: &mut SqliteConnection,
    consortium: &str,
    persons: &[String],
) -> Result<Vec<i64>> {
    let mut found: HashMap<String, i64> = HashMap::with_capacity(persons.len());
    for chunk in sql::chunks(persons) {
        let text = format!(
            "SELECT person_id, id FROM participant WHERE consortium_id = ? AND person_id IN ({})",
            sql::list(chunk.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(consortium.to_owned());
        for person in chunk {
            query = query.bind(person.clone());
        }
        for row in query.fetch_all(&mut *tx).await? {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(persons
        .iter()
        .map(|p| found.get(p).copied().unwrap_or(0))
        .collect())
}
