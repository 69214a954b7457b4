//! What a Device tells that was written over FHIR, beside maker, model and serial: further
//! identifiers and names. The elements are kept as they were written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::db::{bind, query};
use super::work::{PENDING, Work};
use super::{Error, Result};
use crate::fold::fold;

/// Further identifiers and names of a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Elements of `Device.identifier`.
    pub identifiers: Vec<Value>,
    /// Elements of `Device.deviceName`.
    pub names: Vec<Value>,
}

impl Told {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.identifiers.is_empty() && self.names.is_empty()
    }

    /// What is kept of it, where it was kept.
    pub(super) fn read(content: Option<&str>) -> Result<Told> {
        content.map_or(Ok(Told::default()), |content| {
            serde_json::from_str(content).map_err(|e| Error::Damaged(e.to_string()))
        })
    }
}

impl Work {
    /// Keeps what a device tells, in place of what it told.
    pub(super) async fn tell(&mut self, device: i64, version: u32, told: &Told) -> Result<()> {
        let content = serde_json::to_string(told).map_err(|e| Error::Damaged(e.to_string()))?;
        query(
            "INSERT INTO device_told (device, version, updated_at, content) VALUES (?, ?, ?, ?) \
             ON CONFLICT (device) DO UPDATE SET version = excluded.version, \
             updated_at = excluded.updated_at, content = excluded.content",
        )
        .bind(device)
        .bind(i64::from(version))
        .bind(PENDING)
        .bind(content)
        .execute(&mut self.tx)
        .await?;
        self.told.push(device);
        for table in ["device_identifier", "device_name"] {
            let text = format!("DELETE FROM {table} WHERE device = ?");
            bind(&text, &[device.into()]).execute(&mut self.tx).await?;
        }
        let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        for identifier in &told.identifiers {
            query(
                "INSERT INTO device_identifier (value, system, device) VALUES (?, ?, ?) \
                 ON CONFLICT (value, system, device) DO NOTHING",
            )
            .bind(text(identifier, "value"))
            .bind(text(identifier, "system"))
            .bind(device)
            .execute(&mut self.tx)
            .await?;
        }
        for name in &told.names {
            let name = text(name, "name");
            query(
                "INSERT INTO device_name (device, name, folded) VALUES (?, ?, ?) \
                 ON CONFLICT (device, name) DO NOTHING",
            )
            .bind(device)
            .bind(name.as_str())
            .bind(fold(&name))
            .execute(&mut self.tx)
            .await?;
        }
        Ok(())
    }
}
