//! Former versions of registry rows, and the versions that say that a row went.

use std::collections::HashMap;

use super::{Stored, key_hash, read, select};
use crate::fhir::id::Hash96;
use crate::registry::{self, List, Options, Row, write};
use crate::store::db::{Transaction, bind, query};
use crate::store::{Access, Error, Result, Store, sql};

/// One version of a registry row.
#[derive(Debug, Clone)]
pub struct RowVersion {
    /// `meta.versionId`
    pub version: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub updated_at: i64,
    /// The row; `None` for a deletion.
    pub row: Option<Row>,
}

/// Keeps rows that are about to be replaced or removed.
pub(super) async fn keep(tx: &mut Transaction, rows: &[&Stored]) -> Result<()> {
    for chunk in sql::chunks(rows) {
        let text = format!(
            "INSERT INTO registry_version (list, hash, version, updated_at, content) VALUES {}",
            sql::values(chunk.len(), 5)
        );
        let mut statement = query(text);
        for stored in chunk {
            let list = stored.row.list();
            let mut content = Vec::new();
            write::json_row(&stored.row, &mut content);
            let content = String::from_utf8(content).map_err(|e| Error::Damaged(e.to_string()))?;
            statement = statement
                .bind(list.table)
                .bind(&key_hash(list, &stored.row.key()))
                .bind(i64::from(stored.version))
                .bind(stored.updated_at)
                .bind(content);
        }
        statement.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Notes that a row went, which was kept before; the number of the version that says so.
pub(super) async fn went(tx: &mut Transaction, stored: &Stored, at: i64) -> Result<u32> {
    let list = stored.row.list();
    let version = stored.version + 1;
    query("INSERT INTO registry_version (list, hash, version, updated_at) VALUES (?, ?, ?, ?)")
        .bind(list.table)
        .bind(&key_hash(list, &stored.row.key()))
        .bind(i64::from(version))
        .bind(at)
        .execute(tx)
        .await?;
    Ok(version)
}

/// The last versions of rows that went, by hash.
pub(super) async fn last(
    tx: &mut Transaction,
    list: &List,
    hashes: &[&Hash96],
) -> Result<HashMap<Hash96, u32>> {
    let mut out = HashMap::new();
    for chunk in sql::chunks(hashes) {
        let text = format!(
            "SELECT hash, max(version) FROM registry_version WHERE list = ? AND hash IN ({}) \
             GROUP BY hash",
            sql::list(chunk.len())
        );
        let statement = query(text).bind(list.table).bind_all(chunk.iter().copied());
        for row in statement.fetch_all(&mut *tx).await? {
            let hash: Vec<u8> = row.try_get(0)?;
            if let Ok(hash) = Hash96::try_from(hash) {
                out.insert(hash, row.try_get::<i64>(1)? as u32);
            }
        }
    }
    Ok(out)
}

impl Store {
    /// All versions of the row of a list with this hash, the newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn row_versions(
        &self,
        _access: &Access,
        list: &'static List,
        hash: &Hash96,
    ) -> Result<Vec<RowVersion>> {
        let mut out = Vec::new();
        let current = select(list, "WHERE hash = ?");
        let current = bind(&current, &[hash.into()])
            .fetch_optional(&self.read)
            .await?;
        if let Some(row) = current {
            let stored = read(list, &row)?;
            out.push(RowVersion {
                version: stored.version,
                updated_at: stored.updated_at,
                row: Some(stored.row),
            });
        }
        let former = query(
            "SELECT version, updated_at, content FROM registry_version \
             WHERE list = ? AND hash = ? ORDER BY version DESC",
        )
        .bind(list.table)
        .bind(hash)
        .fetch_all(&self.read)
        .await?;
        for row in former {
            let content: Option<String> = row.try_get(2)?;
            out.push(RowVersion {
                version: row.try_get::<i64>(0)? as u32,
                updated_at: row.try_get(1)?,
                row: content.map(|text| row_of(list, &text)).transpose()?,
            });
        }
        Ok(out)
    }
}

fn row_of(list: &'static List, content: &str) -> Result<Row> {
    let text = format!("[{content}]");
    let read = registry::read_json(list, text.as_bytes(), &Options::default())
        .map_err(|e| Error::Damaged(e.to_string()))?;
    let row = read.rows.into_iter().next();
    row.ok_or_else(|| Error::Damaged("a former version of a registry row".into()))
}
