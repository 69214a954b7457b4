//! The devices that records name: one row a device part seen.

use super::db::{Transaction, bind, query};
use super::query::Condition;
use super::{Access, Result, Store, Table, Test, sql};
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

/// Which devices are asked for.
#[derive(Debug, Clone)]
pub struct DeviceQuery {
    /// What holds for the devices.
    pub test: Test,
    /// Devices after this number.
    pub after: i64,
    /// Devices at most.
    pub limit: usize,
}

/// A device part that no write kept (all of its records were refused) is not shown.
pub(super) const SHOWN: &str = "(SELECT d.*, w.at AS seen_at, m.id AS model_id, m.version AS model_version, \
    m.updated_at AS model_updated, m.device_name, \
    CASE WHEN m.updated_at > w.at THEN m.updated_at ELSE w.at END AS updated_at \
    FROM device d JOIN write w ON w.id = d.first_write LEFT JOIN device_model m \
    ON m.model_manufacturer_code = d.model_manufacturer_code AND m.model_number = d.model_number)";

impl Store {
    async fn device_condition(&self, query: &DeviceQuery) -> Result<Condition> {
        let mut condition = self
            .condition_on(&query.test, Table::Device, "device")
            .await?;
        condition.and("device.id > ?", &[query.after.into()]);
        Ok(condition)
    }

    /// The devices that a query asks for, at most `limit` of them.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn devices(
        &self,
        _access: &Access,
        query: &DeviceQuery,
    ) -> Result<Vec<StoredDevice>> {
        let condition = self.device_condition(query).await?;
        if condition.is_never() || query.limit == 0 {
            return Ok(Vec::new());
        }
        let text = format!(
            "SELECT id, model_manufacturer_code, model_number, production_specification_serial, \
             model_id, device_name, coalesce(model_version, 0), updated_at \
             FROM {SHOWN} device WHERE {} ORDER BY id LIMIT {}",
            condition.sql, query.limit
        );
        let rows = bind(&text, &condition.bound).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                let (maker, model): (String, String) = (row.try_get(1)?, row.try_get(2)?);
                let name: Option<String> = row.try_get(5)?;
                let registered = row.try_get::<Option<i64>>(4)?.is_some();
                Ok(StoredDevice {
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
                })
            })
            .collect()
    }

    /// How many devices a query matches, whatever its limit and place.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database).
    pub async fn device_count(&self, _access: &Access, query: &DeviceQuery) -> Result<u64> {
        let all = DeviceQuery {
            after: 0,
            ..query.clone()
        };
        let condition = self.device_condition(&all).await?;
        if condition.is_never() {
            return Ok(0);
        }
        let text = format!(
            "SELECT count(*) FROM {SHOWN} device WHERE {}",
            condition.sql
        );
        let row = bind(&text, &condition.bound).fetch_one(&self.read).await?;
        Ok(row.try_get::<i64>(0)? as u64)
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
