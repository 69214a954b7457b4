//! What was sent as the numbers that rows keep: participants, texts, devices.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::NULL;
use crate::exchange::Submission;
use crate::fhir::id::{self, Hash96};
use crate::fold::fold;
use crate::store::db::{Transaction, query};
use crate::store::work::Work;
use crate::store::{Result, Store, dictionary, sql};

/// `device.id` by the places of the texts of its three parts.
pub(super) type Devices = HashMap<[i64; 3], i64, foldhash::fast::RandomState>;

impl Store {
    /// The numbers of a submission's texts, by their places.
    pub(super) async fn text_numbers(&self, work: &mut Work, s: &Submission) -> Result<Vec<i64>> {
        let texts: Vec<Arc<str>> = s.texts.iter().cloned().collect();
        let ids = dictionary::text_ids(&mut work.tx, &self.dictionary.numbers, &texts).await?;
        work.new_texts
            .extend(texts.into_iter().zip(ids.iter().copied()));
        Ok(ids)
    }

    /// The numbers of a submission's device parts, by the places of their texts.
    pub(super) async fn device_numbers(
        &self,
        work: &mut Work,
        s: &Submission,
        good: &[u32],
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
        let parts: Vec<DeviceKey> = missing
            .iter()
            .map(|(part, hash)| (part.map(|place| s.texts.get(place)), *hash))
            .collect();
        let ids = work.device_numbers(&parts).await?;
        for ((part, _), id) in missing.into_iter().zip(ids) {
            out.insert(part, id);
        }
        Ok(out)
    }
}

/// Maker, model and serial of a device, and their hash.
pub(in crate::store) type DeviceKey<'a> = ([&'a str; 3], Hash96);

impl Work {
    /// Notes the makers and models of devices that may be new.
    async fn note_models(&mut self, devices: &[DeviceKey<'_>]) -> Result<()> {
        let models = devices
            .iter()
            .map(|([maker, model, _], _)| [*maker, *model]);
        let models: BTreeSet<[&str; 2]> = models.collect();
        let models: Vec<[&str; 2]> = models.into_iter().collect();
        for chunk in sql::chunks(&models) {
            let text = format!(
                "INSERT INTO seen_model (model_manufacturer_code, model_number, \
                 manufacturer_folded, number_folded) VALUES {} \
                 ON CONFLICT (model_manufacturer_code, model_number) DO NOTHING",
                sql::values(chunk.len(), 4)
            );
            let values = chunk.iter().flat_map(|&[maker, model]| {
                [maker.to_owned(), model.to_owned(), fold(maker), fold(model)]
            });
            query(text).bind_all(values).execute(&mut self.tx).await?;
        }
        Ok(())
    }

    /// The numbers of device parts, given to those that have none.
    pub(in crate::store) async fn device_numbers(
        &mut self,
        parts: &[DeviceKey<'_>],
    ) -> Result<Vec<i64>> {
        let mut out = Vec::with_capacity(parts.len());
        self.note_models(parts).await?;
        for chunk in sql::chunks(parts) {
            let text = format!(
                "INSERT INTO device (hash, model_manufacturer_code, model_number, \
                 production_specification_serial, first_write) VALUES {} \
                 ON CONFLICT (hash) DO NOTHING",
                sql::values(chunk.len(), 5)
            );
            let mut statement = query(text);
            for (part, hash) in chunk {
                statement = statement.bind(hash).bind_all(*part).bind(0);
            }
            statement.execute(&mut self.tx).await?;
            let text = format!(
                "SELECT hash, id FROM device WHERE hash IN ({})",
                sql::list(chunk.len())
            );
            let statement = query(text).bind_all(chunk.iter().map(|(_, hash)| hash));
            let mut ids: HashMap<Vec<u8>, i64> = HashMap::new();
            for row in statement.fetch_all(&mut self.tx).await? {
                ids.insert(row.try_get(0)?, row.try_get(1)?);
            }
            for (_, hash) in chunk {
                let id = ids.get(&hash[..]).copied().unwrap_or(NULL);
                out.push(id);
                if id != NULL {
                    self.new_devices.push((*hash, id));
                }
            }
        }
        Ok(out)
    }
}

/// `participant.id` of each person, in their order; 0 for one who is not registered.
pub(super) async fn participants(
    tx: &mut Transaction,
    consortium: &str,
    persons: &[String],
) -> Result<Vec<i64>> {
    let mut found: HashMap<String, i64> = HashMap::with_capacity(persons.len());
    for chunk in sql::sets(persons) {
        let text = format!(
            "SELECT person_id, id FROM participant WHERE consortium_id = ? AND person_id IN ({})",
            sql::list(chunk.len())
        );
        let statement = query(text).bind(consortium).bind_all(chunk);
        for row in statement.fetch_all(&mut *tx).await? {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(persons
        .iter()
        .map(|p| found.get(p).copied().unwrap_or(0))
        .collect())
}
