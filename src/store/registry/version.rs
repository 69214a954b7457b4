//! Former versions of registry rows, and the versions that say that a row went.

use std::collections::HashMap;

use super::{Stored, hash, key_hash, read, select};
use crate::fhir::id::Hash96;
use crate::registry::{self, List, Options, Row, write};
use crate::store::db::{Db, Transaction, bind, query};
use crate::store::query::Condition;
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

/// A version among those of all rows of a list.
#[derive(Debug, Clone)]
pub struct RowChange {
    /// The hash of the row's key.
    pub hash: Hash96,
    /// The version.
    pub version: RowVersion,
}

/// Which versions of a list's rows are asked for.
#[derive(Debug, Clone)]
pub struct RowChangeQuery {
    /// Stored in this range of milliseconds (from included, until not).
    pub updated: (i64, i64),
    /// Beyond this one: its time, its row, its number.
    pub from: Option<(i64, Hash96, u32)>,
    /// Whether the oldest of them are asked for, not the newest.
    pub newer: bool,
    /// So many at most.
    pub limit: usize,
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
pub(in crate::store) async fn last(
    db: impl Into<Db<'_>>,
    list: &List,
    hashes: &[&Hash96],
) -> Result<HashMap<Hash96, u32>> {
    let mut db = db.into();
    let mut out = HashMap::new();
    for chunk in sql::sets(hashes) {
        let text = format!(
            "SELECT hash, max(version) FROM registry_version WHERE list = ? AND hash IN ({}) \
             GROUP BY hash",
            sql::list(chunk.len())
        );
        let statement = query(text).bind(list.table).bind_all(chunk.iter().copied());
        for row in statement.fetch_all(db.again()).await? {
            let hash: Vec<u8> = row.try_get(0)?;
            if let Ok(hash) = Hash96::try_from(hash) {
                out.insert(hash, row.try_get::<i64>(1)? as u32);
            }
        }
    }
    Ok(out)
}

impl Store {
    /// The last versions of those rows of a list that went, by the hashes of their keys.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn last_versions(
        &self,
        _access: &Access,
        list: &'static List,
        hashes: &[&Hash96],
    ) -> Result<HashMap<Hash96, u32>> {
        last(&self.read, list, hashes).await
    }

    /// Versions of a list's rows by the time they were stored, the newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn row_changes(
        &self,
        _access: &Access,
        list: &'static List,
        query: &RowChangeQuery,
    ) -> Result<Vec<RowChange>> {
        let (beyond, direction) = match query.newer {
            true => ('>', "ASC"),
            false => ('<', "DESC"),
        };
        let mut condition = Condition::default();
        let (from, until) = query.updated;
        let range = [from.into(), until.into()];
        condition.and("updated_at >= ? AND updated_at < ?", &range);
        if let Some((at, hash, version)) = &query.from {
            let place = [(*at).into(), hash.into(), i64::from(*version).into()];
            let beyond = format!("(updated_at, hash, version) {beyond} (?, ?, ?)");
            condition.and(&beyond, &place);
        }
        let order = format!(
            "ORDER BY updated_at {direction}, hash {direction}, version {direction} LIMIT {}",
            query.limit
        );
        let mut out = self.both(list, &condition, &order).await?;
        let key = |c: &RowChange| (c.version.updated_at, c.hash, c.version.version);
        out.sort_by_key(|change| std::cmp::Reverse(key(change)));
        if query.newer {
            // The nearest are the last of the newest first.
            out.drain(..out.len().saturating_sub(query.limit));
        }
        out.truncate(query.limit);
        Ok(out)
    }

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
        let this = Condition::new("hash = ?", vec![hash.into()]);
        let mut out = self.both(list, &this, "").await?;
        out.sort_by_key(|change| std::cmp::Reverse(change.version.version));
        Ok(out.into_iter().map(|change| change.version).collect())
    }

    /// Current and former versions of a list's rows that meet a condition; `rest` ends the select
    /// of each. One statement reads both tables: meanwhile a version may go from one to the other.
    async fn both(
        &self,
        list: &'static List,
        condition: &Condition,
        rest: &str,
    ) -> Result<Vec<RowChange>> {
        let current = select(list, &format!("WHERE {} {rest}", condition.sql));
        let nothing = ", NULL".repeat(list.fields.len());
        let text = format!(
            "SELECT 0, v.version, v.updated_at, 0{nothing}, v.content, v.hash FROM \
             (SELECT version, updated_at, content, hash FROM registry_version \
             WHERE {} AND list = ? {rest}) AS v \
             UNION ALL SELECT c.*, NULL, NULL FROM ({current}) AS c",
            condition.sql
        );
        let of = [list.table.into()];
        let bound = [condition.bound.as_slice(), &of, &condition.bound].concat();
        let mut out = Vec::new();
        let content = 4 + list.fields.len();
        for row in bind(&text, &bound).fetch_all(&self.read).await? {
            let former: Option<Vec<u8>> = row.try_get(content + 1)?;
            out.push(if let Some(former) = former {
                let text: Option<String> = row.try_get(content)?;
                RowChange {
                    hash: hash(former)?,
                    version: RowVersion {
                        version: row.try_get::<i64>(1)? as u32,
                        updated_at: row.try_get(2)?,
                        row: text.map(|text| row_of(list, &text)).transpose()?,
                    },
                }
            } else {
                let stored = read(list, &row)?;
                RowChange {
                    hash: key_hash(list, &stored.row.key()),
                    version: RowVersion {
                        version: stored.version,
                        updated_at: stored.updated_at,
                        row: Some(stored.row),
                    },
                }
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
