//! The registry lists in the database: one table each, columns by their physical names.
//!
//! Here they are read; [`change`] changes them.

mod change;
mod participant;
mod version;
mod zeros;

use super::db::{self, query};
use super::{Access, Error, Result, Store, sql};
use crate::fhir::id::{Hash96, hash96};
use crate::registry::{List, Row, Value};

pub use change::Changed;
pub(super) use change::upsert;
pub use participant::{ParticipantChange, ParticipantChanged, ParticipantDeletion};
pub(super) use version::last;
pub use version::{RowChange, RowChangeQuery, RowVersion};

/// A registry row as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its number.
    pub id: i64,
    /// The row.
    pub row: Row,
    /// `meta.versionId` of its resources.
    pub version: u32,
    /// `meta.lastUpdated` of its resources, in milliseconds since the epoch.
    pub updated_at: i64,
}

/// The hash of a row's key, as the ids of its resources carry it.
pub(super) fn key_hash(list: &List, key: &[&str]) -> Hash96 {
    let domain = match list.table {
        "device_model" | "activity_recording_time" => "device-model",
        table => table,
    };
    hash96(domain, key)
}

/// A hash as it is stored.
pub(super) fn hash(bytes: Vec<u8>) -> Result<Hash96> {
    Hash96::try_from(bytes).map_err(|_| Error::Damaged("a hash of another length".into()))
}

fn columns(list: &List) -> String {
    let names: Vec<&str> = list.fields.iter().map(|f| f.name).collect();
    names.join(", ")
}

pub(super) fn read(list: &'static List, from: &db::Row) -> Result<Stored> {
    let mut row = Row::new(list);
    for (i, field) in list.fields.iter().enumerate() {
        let Some(text) = from.try_get::<Option<String>>(4 + i)? else {
            continue;
        };
        let value = if field.list {
            let items = serde_json::from_str(&text).map_err(|e| Error::Damaged(e.to_string()))?;
            Value::List(items)
        } else {
            Value::Text(text)
        };
        row.set(field.name, value);
    }
    row.provisional = from.try_get::<i64>(3)? != 0;
    Ok(Stored {
        id: from.try_get(0)?,
        row,
        version: from.try_get::<i64>(1)? as u32,
        updated_at: from.try_get(2)?,
    })
}

pub(super) fn select(list: &List, rest: &str) -> String {
    format!(
        "SELECT id, version, updated_at, provisional, {} FROM {} {rest}",
        columns(list),
        list.table
    )
}

fn order(list: &List) -> String {
    let key: Vec<&str> = list.key().map(|f| f.name).collect();
    key.join(", ")
}

impl Store {
    /// Rows of a list in key order, after the key `after`; of one consortium where named.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn registry_page(
        &self,
        _access: &Access,
        list: &'static List,
        consortium_id: Option<&str>,
        after: Option<&Row>,
        limit: usize,
    ) -> Result<Vec<Stored>> {
        let mut condition = String::from("WHERE 1 = 1");
        let mut texts: Vec<String> = Vec::new();
        if let (Some(consortium), true) = (consortium_id, list.by_consortium()) {
            condition.push_str(" AND consortium_id = ?");
            texts.push(consortium.to_owned());
        }
        if let Some(row) = after {
            let n = list.key().count();
            condition.push_str(&format!(" AND ({}) > ({})", order(list), sql::list(n)));
            texts.extend(row.key().into_iter().map(str::to_owned));
        }
        let text = select(
            list,
            &format!("{condition} ORDER BY {} LIMIT ?", order(list)),
        );
        let rows = query(text)
            .bind_all(texts)
            .bind(limit as i64)
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(|row| read(list, row)).collect()
    }

    /// Rows of a list whose fields have these values.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn registry_where(
        &self,
        _access: &Access,
        list: &'static List,
        fields: &[(&'static str, &str)],
        limit: usize,
    ) -> Result<Vec<Stored>> {
        let mut condition = String::from("WHERE 1 = 1");
        for (name, _) in fields {
            if let Some(field) = list.field(name) {
                condition.push_str(&format!(" AND {} = ?", field.name));
            }
        }
        let text = select(
            list,
            &format!("{condition} ORDER BY {} LIMIT ?", order(list)),
        );
        let known = fields.iter().filter(|(name, _)| list.field(name).is_some());
        let rows = query(text)
            .bind_all(known.map(|(_, value)| *value))
            .bind(limit as i64)
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(|row| read(list, row)).collect()
    }
}
