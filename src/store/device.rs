//! The devices that records name: one row a device part seen.

use super::db::{Transaction, query};
use super::work::Work;
use super::{
    Access, Change, DeviceChange, Did, Outcome, Result, Store, Told, Which, registry, sql,
};
use crate::fhir::id::{self, Hash96};
use crate::registry::{DEVICES, Row, Value};

/// A device part, with what the registry says about its model.
#[derive(Debug, Clone)]
pub struct StoredDevice {
    /// `device.id`
    pub id: i64,
    /// Maker.
    pub maker: String,
    /// Model.
    pub model: String,
    /// Serial.
    pub serial: String,
    /// Key and name of the model, where it is registered.
    pub registered: Option<Row>,
    /// What else it tells.
    pub told: Told,
    /// `meta.versionId`
    pub version: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
}

/// Device parts, with the names of their models. One that no write kept (all of its records
/// were refused) is not shown.
pub(super) const SHOWN: &str = "(SELECT d.id, d.hash, d.model_manufacturer_code, d.model_number, \
    d.production_specification_serial, m.id AS model_id, m.version AS model_version, \
    m.device_name, m.folded AS name_folded, x.version AS told_version, x.content AS told, \
    CASE WHEN x.updated_at > coalesce(m.updated_at, 0) AND x.updated_at > w.at THEN x.updated_at \
    WHEN m.updated_at > w.at THEN m.updated_at ELSE w.at END AS updated_at \
    FROM device d JOIN write w ON w.id = d.first_write LEFT JOIN device_model m \
    ON m.model_manufacturer_code = d.model_manufacturer_code AND m.model_number = d.model_number \
    LEFT JOIN device_told x ON x.device = d.id)";

/// Device models, which change with their recording times.
pub(super) const MODELS: &str = "(SELECT m.id, m.hash, m.device_type_code, \
    CASE WHEN t.updated_at > m.updated_at THEN t.updated_at ELSE m.updated_at END AS updated_at \
    FROM device_model m LEFT JOIN activity_recording_time t ON t.hash = m.hash)";

impl Store {
    /// Devices by what tells them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn devices(&self, access: &Access, which: Which<'_>) -> Result<Vec<StoredDevice>> {
        let mut out = Vec::new();
        for set in which.sets() {
            let text = format!(
                "SELECT d.id, d.model_manufacturer_code, d.model_number, \
                 d.production_specification_serial, d.model_id, d.device_name, \
                 coalesce(d.model_version, 0), d.updated_at, coalesce(d.told_version, 0), d.told \
                 FROM {SHOWN} d WHERE d.{} IN ({})",
                which.column(),
                sql::list(set.len())
            );
            let statement = query(text).bind_all(set);
            for row in statement.fetch_all(&self.read).await? {
                let (maker, model): (String, String) = (row.try_get(1)?, row.try_get(2)?);
                let name: Option<String> = row.try_get(5)?;
                let registered = row.try_get::<Option<i64>>(4)?.is_some();
                out.push(StoredDevice {
                    id: row.try_get(0)?,
                    registered: registered.then(|| {
                        let mut row = Row::new(&DEVICES);
                        row.set("model_manufacturer_code", Value::Text(maker.clone()));
                        row.set("model_number", Value::Text(model.clone()));
                        row.set("device_name", name.map_or(Value::Absent, Value::Text));
                        row
                    }),
                    maker,
                    model,
                    serial: row.try_get(3)?,
                    told: Told::read(row.try_get::<Option<String>>(9)?.as_deref())?,
                    version: 1 + (row.try_get::<i64>(6)? + row.try_get::<i64>(8)?) as u32,
                    updated_at: row.try_get(7)?,
                });
            }
        }
        // The versions of a model that is no longer registered still count.
        let gone = |device: &StoredDevice| model_hash(&device.maker, &device.model);
        let hashes = out.iter().filter(|d| d.registered.is_none()).map(gone);
        let hashes: Vec<Hash96> = hashes.collect();
        let hashes: Vec<&Hash96> = hashes.iter().collect();
        let last = self.last_versions(access, &DEVICES, &hashes).await?;
        for device in out.iter_mut().filter(|d| d.registered.is_none()) {
            device.version += last.get(&gone(device)).copied().unwrap_or(0);
        }
        Ok(out)
    }
}

impl Store {
    /// Makes devices known that no record names yet, and keeps what they tell.
    pub(super) async fn know_devices(
        &self,
        work: &mut Work,
        changes: &[DeviceChange],
    ) -> Result<Vec<Change>> {
        let mut out = Vec::with_capacity(changes.len());
        for change in changes {
            out.push(self.know_device(work, change).await?);
        }
        Ok(out)
    }

    async fn know_device(&self, work: &mut Work, change: &DeviceChange) -> Result<Change> {
        let part = change.part.each_ref().map(String::as_str);
        let [maker, model, serial] = part;
        let hash = id::hash96("device", &[maker, model, serial]);
        let device = query(
            "SELECT d.id, coalesce(x.version, 0), x.content FROM device d \
             LEFT JOIN device_told x ON x.device = d.id WHERE d.hash = ? AND d.first_write > 0",
        );
        // A device that no write kept is not there.
        let device = device.bind(&hash).fetch_optional(&mut work.tx).await?;
        let registered = query(
            "SELECT version, device_name FROM device_model \
             WHERE model_manufacturer_code = ? AND model_number = ?",
        );
        let registered = registered.bind(maker).bind(model);
        let registered = registered.fetch_optional(&mut work.tx).await?;
        let (mut version, mut told) = (1, change.told.clone());
        if registered.is_none() {
            let hash = model_hash(maker, model);
            let last = registry::last(&mut work.tx, &DEVICES, &[&hash]).await?;
            version += last.get(&hash).copied().unwrap_or(0);
        }
        if let Some(row) = registered {
            version += row.try_get::<i64>(0)? as u32;
            // What the registry says of it comes back, and is kept there.
            let name: Option<String> = row.try_get(1)?;
            told.names
                .retain(|told| told["name"].as_str() != name.as_deref());
        }
        let Some(row) = device else {
            if !change.condition.holds(None) {
                return Ok(Change::failed(None));
            }
            let ids = work.device_numbers(&[(part, hash)]).await?;
            work.devices_seen().await?;
            if let (Some(&id), false) = (ids.first(), told.is_empty()) {
                work.tell(id, 0, &told).await?;
            }
            work.registers(0, "Device", hash, version, Did::Came);
            return Ok(Change::done(Outcome::Created, version, true));
        };
        let former = row.try_get::<i64>(1)? as u32;
        version += former;
        if !change.condition.holds(Some(version)) {
            return Ok(Change::failed(Some(version)));
        }
        let content: Option<String> = row.try_get(2)?;
        let nothing = told.is_empty() && !change.replaces;
        if nothing || Told::read(content.as_deref())? == told {
            return Ok(Change::done(Outcome::Unchanged, version, false));
        }
        work.tell(row.try_get(0)?, former + 1, &told).await?;
        work.registers(0, "Device", hash, version + 1, Did::Changed);
        Ok(Change::done(Outcome::Updated, version + 1, false))
    }
}

/// The hash of the registry row of a model.
fn model_hash(maker: &str, model: &str) -> Hash96 {
    registry::key_hash(&DEVICES, &[maker, model])
}

/// Notes the write that saw devices first.
pub(super) async fn first_seen(tx: &mut Transaction, write: i64, ids: &[i64]) -> Result<()> {
    for chunk in sql::chunks(ids) {
        let text = format!(
            "UPDATE device SET first_write = ? WHERE first_write = 0 AND id IN ({})",
            sql::list(chunk.len())
        );
        let statement = query(text).bind(write).bind_all(chunk);
        statement.execute(&mut *tx).await?;
    }
    Ok(())
}
