//! The devices that records name: one row a device part seen.

use super::db::{Transaction, query};
use super::work::Work;
use super::{Access, Change, DeviceChange, Outcome, Result, Store, sql};
use crate::fhir::id;
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
    /// `meta.versionId`
    pub version: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
}

/// Device parts, with the names of their models. One that no write kept (all of its records
/// were refused) is not shown.
pub(super) const SHOWN: &str = "(SELECT d.id, d.hash, d.model_manufacturer_code, d.model_number, \
    d.production_specification_serial, m.id AS model_id, m.version AS model_version, \
    m.device_name, m.folded AS name_folded, \
    CASE WHEN m.updated_at > w.at THEN m.updated_at ELSE w.at END AS updated_at \
    FROM device d JOIN write w ON w.id = d.first_write LEFT JOIN device_model m \
    ON m.model_manufacturer_code = d.model_manufacturer_code AND m.model_number = d.model_number)";

/// Device models, which change with their recording times.
pub(super) const MODELS: &str = "(SELECT m.id, m.hash, m.device_type_code, \
    CASE WHEN t.updated_at > m.updated_at THEN t.updated_at ELSE m.updated_at END AS updated_at \
    FROM device_model m LEFT JOIN activity_recording_time t ON t.hash = m.hash)";

impl Store {
    /// Devices by their numbers.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn devices(&self, _access: &Access, ids: &[i64]) -> Result<Vec<StoredDevice>> {
        let mut out = Vec::with_capacity(ids.len());
        for chunk in sql::chunks(ids) {
            let text = format!(
                "SELECT d.id, d.model_manufacturer_code, d.model_number, \
                 d.production_specification_serial, d.model_id, d.device_name, \
                 coalesce(d.model_version, 0), d.updated_at FROM {SHOWN} d WHERE d.id IN ({})",
                sql::list(chunk.len())
            );
            let statement = query(text).bind_all(chunk);
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
                    version: 1 + row.try_get::<i64>(6)? as u32,
                    updated_at: row.try_get(7)?,
                });
            }
        }
        Ok(out)
    }
}

impl Store {
    /// Makes devices known that no record names yet.
    pub(super) async fn know_devices(
        &self,
        work: &mut Work,
        changes: &[DeviceChange],
    ) -> Result<Vec<Change>> {
        let mut out = Vec::with_capacity(changes.len());
        let mut new = Vec::new();
        for change in changes {
            let part = change.part.each_ref().map(String::as_str);
            let [maker, model, serial] = part;
            let hash = id::hash96("device", &[maker, model, serial]);
            let row = query(
                "SELECT (SELECT first_write FROM device WHERE hash = ?), \
                 (SELECT version FROM device_model WHERE model_manufacturer_code = ? AND model_number = ?)",
            )
            .bind(&hash)
            .bind(maker)
            .bind(model)
            .fetch_one(&mut work.tx)
            .await?;
            // A device that no write kept is not there.
            let there = row
                .try_get::<Option<i64>>(0)?
                .is_some_and(|write| write > 0);
            let version = 1 + row.try_get::<Option<i64>>(1)?.unwrap_or(0) as u32;
            let current = there.then_some(version);
            out.push(match &change.condition {
                Some(condition) if !condition.holds(current) => Change::failed(current),
                _ if there => Change::done(Outcome::Unchanged, version, false),
                _ => {
                    new.push((part, hash));
                    Change::done(Outcome::Created, version, true)
                }
            });
        }
        if !new.is_empty() {
            work.device_numbers(&new).await?;
            work.devices_seen().await?;
        }
        Ok(out)
    }
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
