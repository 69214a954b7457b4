//! The registry lists in the database: one table each, columns by their physical names.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::layout::Slot;
use super::query::Bound;
use super::read::bind;
use super::{Access, Error, Result, Store, sql};
use crate::fault::{Code, Fault};
use crate::fhir::canonical::INSTITUTION_NO;
use crate::fhir::id::{Hash96, hash96};
use crate::registry::{
    self, CONSORTIA, DEVICES, Faults, HBA1C_METHODS, LABORATORIES, List, PARTICIPANTS, Row, Value,
    split_identifier,
};
use crate::time;

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

/// What a change of a list did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// New rows.
    pub created: u64,
    /// Rows that were replaced by others.
    pub updated: u64,
    /// Rows that were there already.
    pub unchanged: u64,
    /// Rows that went (PUT only).
    pub removed: u64,
}

/// The hash of a row's key, as the ids of its resources carry it.
pub(super) fn key_hash(list: &List, key: &[&str]) -> Hash96 {
    let domain = match list.table {
        "activity_recording_time" => "device-model",
        table => table,
    };
    let domain = if domain == "device_model" {
        "device-model"
    } else {
        domain
    };
    hash96(domain, key)
}

fn columns(list: &List) -> String {
    let names: Vec<&str> = list.fields.iter().map(|f| f.name).collect();
    names.join(", ")
}

pub(super) fn read(list: &'static List, from: &SqliteRow) -> Result<Stored> {
    let mut row = Row::new(list);
    for (i, field) in list.fields.iter().enumerate() {
        let Some(text) = from.try_get::<Option<String>, _>(4 + i)? else {
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
    row.provisional = from.try_get::<i64, _>(3)? != 0;
    Ok(Stored {
        id: from.try_get(0)?,
        row,
        version: from.try_get::<i64, _>(1)? as u32,
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

fn column_text(value: &Value) -> Option<String> {
    match value {
        Value::Absent => None,
        Value::Text(text) => Some(text.clone()),
        Value::List(items) => serde_json::to_string(items).ok(),
    }
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
        let mut query = sqlx::query(AssertSqlSafe(text));
        for text in texts {
            query = query.bind(text);
        }
        let rows = query.bind(limit as i64).fetch_all(&self.read).await?;
        rows.iter().map(|row| read(list, row)).collect()
    }

    /// How many rows a list has.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn registry_count(&self, _access: &Access, list: &'static List) -> Result<u64> {
        let text = format!("SELECT count(*) FROM {}", list.table);
        let row = sqlx::query(AssertSqlSafe(text))
            .fetch_one(&self.read)
            .await?;
        Ok(row.try_get::<i64, _>(0)? as u64)
    }

    /// The row of a list whose resources carry this hash in their ids.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn registry_by_hash(
        &self,
        _access: &Access,
        list: &'static List,
        hash: &Hash96,
    ) -> Result<Option<Stored>> {
        let text = select(list, "WHERE hash = ?");
        let row = bind(&text, &[hash.into()])
            .fetch_optional(&self.read)
            .await?;
        row.as_ref().map(|row| read(list, row)).transpose()
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
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (name, value) in fields {
            if list.field(name).is_some() {
                query = query.bind((*value).to_owned());
            }
        }
        let rows = query.bind(limit as i64).fetch_all(&self.read).await?;
        rows.iter().map(|row| read(list, row)).collect()
    }

    /// Rows of participants or laboratories that have an identifier of others; any system
    /// where none is given.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Damaged`].
    pub async fn registry_identified(
        &self,
        _access: &Access,
        list: &'static List,
        system: Option<&str>,
        value: &str,
        limit: usize,
    ) -> Result<Vec<Stored>> {
        let by_system = if system.is_some() {
            " AND e.system = ?"
        } else {
            ""
        };
        let text = select(
            list,
            &format!(
                "WHERE id IN (SELECT e.owner FROM external_identifier e \
                 WHERE e.list = ? AND e.value = ?{by_system}) ORDER BY {} LIMIT ?",
                order(list)
            ),
        );
        let mut query = sqlx::query(AssertSqlSafe(text))
            .bind(list.table)
            .bind(value.to_owned());
        if let Some(system) = system {
            query = query.bind(system.to_owned());
        }
        let rows = query.bind(limit as i64).fetch_all(&self.read).await?;
        rows.iter().map(|row| read(list, row)).collect()
    }

    /// Adds or replaces rows; with `replace`, rows that are not among them go (of the
    /// consortium, where one is named).
    ///
    /// # Errors
    /// The outer error is the database's; the inner one says what is wrong with the rows,
    /// and nothing was changed: an external identifier of another, or a row that records
    /// refer to and that would go ([`Code::Conflict`]).
    pub async fn change_registry(
        &self,
        list: &'static List,
        rows: &[Row],
        replace: bool,
    ) -> Result<std::result::Result<Changed, Vec<Fault>>> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let now = time::now_millis();
        let mut changed = Changed::default();
        let mut faults = Faults::with_max(Faults::DEFAULT_MAX);
        if replace {
            changed.removed = self.remove_others(&mut tx, list, rows, &mut faults).await?;
        }
        unique(&mut tx, list, rows, &mut faults).await?;
        if faults.refuses() {
            tx.rollback().await?;
            return Ok(Err(faults.into_kept()));
        }
        for chunk in sql::chunks(rows) {
            upsert(&mut tx, list, chunk, now, &mut changed).await?;
        }
        tx.commit().await?;
        Ok(Ok(changed))
    }

    async fn remove_others(
        &self,
        tx: &mut SqliteConnection,
        list: &'static List,
        rows: &[Row],
        faults: &mut Faults,
    ) -> Result<u64> {
        let keep: HashSet<Hash96> = rows.iter().map(|r| key_hash(list, &r.key())).collect();
        let text = format!("SELECT id, hash FROM {}", list.table);
        let mut gone = Vec::new();
        for row in sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *tx).await? {
            let hash: Vec<u8> = row.try_get(1)?;
            if !<Hash96>::try_from(hash).is_ok_and(|hash| keep.contains(&hash)) {
                gone.push(row.try_get::<i64, _>(0)?);
            }
        }
        for &id in &gone {
            if let Some(key) = self.referred_to(tx, list, id).await? {
                faults.push(
                    Fault::new(Code::Conflict, "", crate::fault::Place::default())
                        .expected("every row that records refer to")
                        .found(&key),
                );
                continue;
            }
            let text = format!("DELETE FROM {} WHERE id = ?", list.table);
            bind(&text, &[id.into()]).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM external_identifier WHERE list = $1 AND owner = $2")
                .bind(list.table)
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        Ok(gone.len() as u64)
    }

    /// The key of a row, if records refer to it.
    async fn referred_to(
        &self,
        tx: &mut SqliteConnection,
        list: &'static List,
        id: i64,
    ) -> Result<Option<String>> {
        let text = select(list, "WHERE id = ?");
        let row = bind(&text, &[id.into()]).fetch_one(&mut *tx).await?;
        let stored = read(list, &row)?;
        let key: Vec<String> = stored.row.key().into_iter().map(str::to_owned).collect();
        let found = match list.table {
            t if t == PARTICIPANTS.table => {
                exists(
                    tx,
                    "SELECT 1 FROM record WHERE participant = ? LIMIT 1",
                    &[id.into()],
                    &[],
                )
                .await?
            }
            t if t == CONSORTIA.table => {
                let sql = "SELECT 1 FROM participant WHERE consortium_id = ? LIMIT 1";
                exists(tx, sql, &[], &key).await?
            }
            t if t == DEVICES.table => {
                let sql = "SELECT 1 FROM device WHERE model_manufacturer_code = ? AND model_number = ? LIMIT 1";
                exists(tx, sql, &[], &key).await?
            }
            t if t == LABORATORIES.table => self.laboratory_used(tx, &key).await?,
            t if t == HBA1C_METHODS.table => self.text_used(tx, list, &key[0]).await?,
            _ => false,
        };
        Ok(found.then(|| key.join(" ")))
    }

    async fn laboratory_used(&self, tx: &mut SqliteConnection, key: &[String]) -> Result<bool> {
        for kind in self.kinds.iter().filter(|k| k.laboratory.is_some()) {
            let sql = "SELECT 1 FROM participant p CROSS JOIN record r WHERE r.participant = p.id \
                       AND r.kind = ? AND p.consortium_id = ? \
                       AND r.source = (SELECT id FROM text WHERE value = ?) LIMIT 1";
            if exists(tx, sql, &[self.layout.of(kind.place).id.into()], key).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn text_used(&self, tx: &mut SqliteConnection, list: &List, text: &str) -> Result<bool> {
        for kind in self.kinds.iter() {
            let layout = self.layout.of(kind.place);
            for (field, _) in kind.registered.iter().filter(|(_, l)| l == list.name) {
                let Slot::Column(n) = layout.slots[*field] else {
                    continue;
                };
                let sql = format!(
                    "SELECT 1 FROM record WHERE kind = ? AND c{} = (SELECT id FROM text WHERE value = ?) LIMIT 1",
                    n + 1
                );
                if exists(tx, &sql, &[layout.id.into()], &[text.to_owned()]).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

async fn exists(
    tx: &mut SqliteConnection,
    sql: &str,
    numbers: &[Bound],
    texts: &[String],
) -> Result<bool> {
    let mut query = bind(sql, numbers);
    for text in texts {
        query = query.bind(text.clone());
    }
    Ok(query.fetch_optional(tx).await?.is_some())
}

/// What may be there only once, against what is stored.
async fn unique(
    tx: &mut SqliteConnection,
    list: &'static List,
    rows: &[Row],
    faults: &mut Faults,
) -> Result<()> {
    let stand_in = match list.table {
        t if t == LABORATORIES.table => {
            "WHERE default_for IS NOT NULL OR institution_code IS NOT NULL OR external_identifiers IS NOT NULL"
        }
        t if t == DEVICES.table => "WHERE fallback_for IS NOT NULL",
        t if t == PARTICIPANTS.table => return unique_identifiers(tx, list, rows, faults).await,
        _ => return Ok(()),
    };
    let text = select(list, stand_in);
    let mut stored = Vec::new();
    for row in sqlx::query(AssertSqlSafe(text)).fetch_all(&mut *tx).await? {
        stored.push(read(list, &row)?.row);
    }
    registry::check_unique(stored, rows, faults);
    Ok(())
}

async fn unique_identifiers(
    tx: &mut SqliteConnection,
    list: &'static List,
    rows: &[Row],
    faults: &mut Faults,
) -> Result<()> {
    let ours: HashSet<Hash96> = rows.iter().map(|r| key_hash(list, &r.key())).collect();
    for (n, row) in rows.iter().enumerate() {
        for (at, identifier) in row.items("external_identifiers").iter().enumerate() {
            let Some((system, value)) = split_identifier(identifier) else {
                continue;
            };
            let text = format!(
                "SELECT o.hash FROM external_identifier e JOIN {} o ON o.id = e.owner \
                 WHERE e.list = ? AND e.consortium_id = ? AND e.system = ? AND e.value = ?",
                list.table
            );
            let owner = sqlx::query(AssertSqlSafe(text))
                .bind(list.table)
                .bind(row.text("consortium_id").unwrap_or_default().to_owned())
                .bind(system.to_owned())
                .bind(value.to_owned())
                .fetch_optional(&mut *tx)
                .await?;
            let Some(owner) = owner else { continue };
            let hash: Vec<u8> = owner.try_get(0)?;
            // A row that is being replaced gives its identifiers up.
            if <Hash96>::try_from(hash).is_ok_and(|hash| ours.contains(&hash)) {
                continue;
            }
            let pointer = format!("/{n}/external_identifiers/{at}");
            faults.push(
                Fault::new(Code::DuplicateIdentity, pointer, row.place())
                    .expected("an identifier that no other participant of the consortium has")
                    .found(identifier),
            );
        }
    }
    Ok(())
}

/// Adds or replaces a few rows.
pub(super) async fn upsert(
    tx: &mut SqliteConnection,
    list: &'static List,
    rows: &[Row],
    now: i64,
    changed: &mut Changed,
) -> Result<()> {
    let hashes: Vec<Hash96> = rows.iter().map(|r| key_hash(list, &r.key())).collect();
    let text = select(
        list,
        &format!("WHERE hash IN ({})", sql::list(hashes.len())),
    );
    let bound: Vec<Bound> = hashes.iter().map(Bound::from).collect();
    let mut stored: HashMap<Hash96, Stored> = HashMap::new();
    for row in bind(&text, &bound).fetch_all(&mut *tx).await? {
        let stored_row = read(list, &row)?;
        stored.insert(key_hash(list, &stored_row.row.key()), stored_row);
    }
    let mut write: Vec<(&Row, &Hash96)> = Vec::new();
    for (row, hash) in rows.iter().zip(&hashes) {
        match stored.get(hash) {
            Some(former) if former.row == *row => changed.unchanged += 1,
            Some(_) => {
                changed.updated += 1;
                write.push((row, hash));
            }
            None => {
                changed.created += 1;
                write.push((row, hash));
            }
        }
    }
    let names = columns(list);
    let set: Vec<String> = list
        .fields
        .iter()
        .map(|f| format!("{0} = excluded.{0}", f.name))
        .collect();
    for chunk in sql::chunks(&write) {
        let text = format!(
            "INSERT INTO {0} (hash, provisional, updated_at, {names}) VALUES {1} \
             ON CONFLICT (hash) DO UPDATE SET provisional = excluded.provisional, \
             updated_at = excluded.updated_at, version = {0}.version + 1, {2}",
            list.table,
            sql::values(chunk.len(), list.fields.len() + 3),
            set.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for (row, hash) in chunk {
            query = query
                .bind(hash.to_vec())
                .bind(i64::from(row.provisional))
                .bind(now);
            for value in row.values() {
                query = query.bind(column_text(value));
            }
        }
        query.execute(&mut *tx).await?;
    }
    if list.field("external_identifiers").is_some() {
        // First all are given up, then taken: an identifier may move between two rows.
        let mut owners = Vec::new();
        for (row, hash) in &write {
            let claims = !row.items("external_identifiers").is_empty()
                || row.text("institution_code").is_some();
            if !claims && !stored.contains_key(*hash) {
                continue;
            }
            let text = format!("SELECT id FROM {} WHERE hash = ?", list.table);
            let id: i64 = bind(&text, &[(*hash).into()])
                .fetch_one(&mut *tx)
                .await?
                .try_get(0)?;
            if stored.contains_key(*hash) {
                sqlx::query("DELETE FROM external_identifier WHERE list = $1 AND owner = $2")
                    .bind(list.table)
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
            }
            owners.push((id, *row));
        }
        for (id, row) in owners {
            identifiers(tx, list, id, row).await?;
        }
    }
    Ok(())
}

async fn identifiers(tx: &mut SqliteConnection, list: &List, id: i64, row: &Row) -> Result<()> {
    let given = row
        .items("external_identifiers")
        .iter()
        .filter_map(|i| split_identifier(i));
    let institution = row
        .text("institution_code")
        .map(|code| (INSTITUTION_NO, code));
    for (system, value) in given.chain(institution) {
        sqlx::query(
            "INSERT INTO external_identifier (list, consortium_id, system, value, owner) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (list, consortium_id, system, value) DO UPDATE SET owner = excluded.owner",
        )
        .bind(list.table)
        .bind(row.text("consortium_id").unwrap_or_default())
        .bind(system)
        .bind(value)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
