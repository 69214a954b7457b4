//! What references lead to: registry rows and devices by the hashes in their ids.

use std::collections::HashMap;

use super::db::query;
use super::{Access, Result, Store, sql};
use crate::fhir::id::{self, Hash96};

/// What a reference leads to, by the names that records carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referred {
    /// A participant.
    Participant {
        /// Of which consortium.
        consortium_id: String,
        /// Who.
        person_id: String,
    },
    /// A laboratory.
    Laboratory {
        /// Of which consortium.
        consortium_id: String,
        /// Which.
        test_lab_id: String,
    },
    /// A device: maker, model, serial.
    Device([String; 3]),
    /// A device model: maker, model.
    Model([String; 2]),
    /// Something that no record names.
    Other,
}

/// Where a type's targets stand, and what each is: the rows begin with the hash.
type Lookup = (&'static str, &'static str, fn(&[String]) -> Referred);

const LOOKUPS: [Lookup; 5] = [
    (
        "Patient",
        "SELECT hash, consortium_id, person_id FROM participant",
        |names| Referred::Participant {
            consortium_id: names[0].clone(),
            person_id: names[1].clone(),
        },
    ),
    (
        "Organization",
        "SELECT hash, consortium_id, test_lab_id FROM laboratory",
        |names| Referred::Laboratory {
            consortium_id: names[0].clone(),
            test_lab_id: names[1].clone(),
        },
    ),
    (
        "Organization",
        "SELECT hash, consortium_id, consortium_id FROM consortium",
        |_| Referred::Other,
    ),
    (
        "Device",
        "SELECT hash, model_manufacturer_code, model_number, production_specification_serial \
         FROM device",
        |names| Referred::Device([0, 1, 2].map(|i| names[i].clone())),
    ),
    (
        "DeviceDefinition",
        "SELECT hash, model_manufacturer_code, model_number FROM device_model",
        |names| Referred::Model([0, 1].map(|i| names[i].clone())),
    ),
];

impl Store {
    /// Whether references to a type can be looked up here.
    pub fn can_refer(resource_type: &str) -> bool {
        LOOKUPS.iter().any(|(name, ..)| *name == resource_type)
    }

    /// What references by type and id lead to; `None` where there is nothing.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn referred(
        &self,
        _access: &Access,
        references: &[(&str, &str)],
    ) -> Result<Vec<Option<Referred>>> {
        let mut out = vec![None; references.len()];
        for (name, select, make) in LOOKUPS {
            let mut places: HashMap<Hash96, Vec<usize>> = HashMap::new();
            for (place, (resource_type, id)) in references.iter().enumerate() {
                if let (true, Some(hash)) = (*resource_type == name, id::decode_hash(id)) {
                    places.entry(hash).or_default().push(place);
                }
            }
            let hashes: Vec<Hash96> = places.keys().copied().collect();
            let columns = select.split(',').count();
            for chunk in sql::sets(&hashes) {
                let text = format!("{select} WHERE hash IN ({})", sql::list(chunk.len()));
                let rows = query(text).bind_all(&chunk).fetch_all(&self.read).await?;
                for row in rows {
                    let hash: Vec<u8> = row.try_get(0)?;
                    let names = (1..columns).map(|i| row.try_get(i));
                    let found = make(&names.collect::<Result<Vec<String>>>()?);
                    let Ok(hash) = Hash96::try_from(hash) else {
                        continue;
                    };
                    for &place in places.get(&hash).into_iter().flatten() {
                        out[place] = Some(found.clone());
                    }
                }
            }
        }
        Ok(out)
    }
}
