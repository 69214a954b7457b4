//! Changing a registry list: rows added, replaced and removed, in one transaction.

use std::collections::{HashMap, HashSet};

use super::{Stored, columns, key_hash, read, select, version, zeros};
use crate::fault::{Area, Code, Fault, Place};
use crate::fhir::canonical::INSTITUTION_NO;
use crate::fhir::id::Hash96;
use crate::fold::fold;
use crate::registry::{
    self, CONSORTIA, DEVICES, Faults, HBA1C_METHODS, LABORATORIES, List, PARTICIPANTS, Row, Value,
    split_identifier,
};
use crate::store::db::{Bound, Transaction, bind, query};
use crate::store::layout::Slot;
use crate::store::work::{PENDING, Work};
use crate::store::{Result, Store, folded, sql};

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

impl Store {
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
        let mut work = self.work(None).await?;
        let mut changed = Changed::default();
        let mut faults = Faults::with_max(Faults::DEFAULT_MAX);
        if replace {
            changed.removed = self
                .remove_others(&mut work, list, rows, &mut faults)
                .await?;
        }
        of_known_consortia(&mut work.tx, list, rows, &mut faults).await?;
        unique(&mut work.tx, list, rows, &mut faults).await?;
        if faults.refuses() {
            work.rollback().await?;
            return Ok(Err(faults.into_kept()));
        }
        for chunk in sql::chunks(rows) {
            upsert(&mut work, list, chunk, &mut changed).await?;
        }
        work.commit(self).await?;
        Ok(Ok(changed))
    }

    /// Warnings about keys that may have lost their leading zeros in a spreadsheet: `3` beside
    /// `000000000003`, in the same file or stored already, and `3E+11`.
    ///
    /// # Errors
    /// [`Error::Database`](crate::store::Error::Database).
    pub async fn lost_zeros(&self, list: &'static List, rows: &[Row]) -> Result<Vec<Fault>> {
        zeros::warnings(&self.read, list, rows).await
    }

    async fn remove_others(
        &self,
        work: &mut Work,
        list: &'static List,
        rows: &[Row],
        faults: &mut Faults,
    ) -> Result<u64> {
        let keep: HashSet<Hash96> = rows.iter().map(|r| key_hash(list, &r.key())).collect();
        let text = format!("SELECT id, hash FROM {}", list.table);
        let mut gone = Vec::new();
        for row in query(text).fetch_all(&mut work.tx).await? {
            let hash: Vec<u8> = row.try_get(1)?;
            if !<Hash96>::try_from(hash).is_ok_and(|hash| keep.contains(&hash)) {
                gone.push(row.try_get::<i64>(0)?);
            }
        }
        for &id in &gone {
            let text = select(list, "WHERE id = ?");
            let row = bind(&text, &[id.into()]).fetch_one(&mut work.tx).await?;
            let stored = read(list, &row)?;
            if let Some(key) = self.referred_to(&mut work.tx, &stored).await? {
                faults.push(
                    Fault::new(Code::Conflict, "", Place::default())
                        .expected("every row that records refer to")
                        .found(&key),
                );
                continue;
            }
            remove(work, &stored).await?;
        }
        Ok(gone.len() as u64)
    }

    /// The key of a row, if records refer to it.
    pub(super) async fn referred_to(
        &self,
        tx: &mut Transaction,
        stored: &Stored,
    ) -> Result<Option<String>> {
        let (list, id) = (stored.row.list(), stored.id);
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
                let sql = "SELECT 1 FROM participant WHERE consortium_id = ? \
                           UNION ALL SELECT 1 FROM laboratory WHERE consortium_id = ? LIMIT 1";
                exists(tx, sql, &[], &[key[0].clone(), key[0].clone()]).await?
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

    async fn laboratory_used(&self, tx: &mut Transaction, key: &[String]) -> Result<bool> {
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

    async fn text_used(&self, tx: &mut Transaction, list: &List, text: &str) -> Result<bool> {
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

/// The consortia that rows name and that are registered.
pub(super) async fn known_consortia<'r>(
    tx: &mut Transaction,
    rows: impl Iterator<Item = &'r Row>,
) -> Result<HashSet<String>> {
    let mut named: Vec<&str> = rows.filter_map(|row| row.text("consortium_id")).collect();
    named.sort_unstable();
    named.dedup();
    let mut known = HashSet::new();
    for chunk in sql::sets(&named) {
        let text = format!(
            "SELECT consortium_id FROM {} WHERE consortium_id IN ({})",
            CONSORTIA.table,
            sql::list(chunk.len())
        );
        let statement = query(text).bind_all(chunk.iter().copied());
        for row in statement.fetch_all(&mut *tx).await? {
            known.insert(row.try_get(0)?);
        }
    }
    Ok(known)
}

/// Refuses rows of consortia that are not registered: nothing may refer to what is not there.
async fn of_known_consortia(
    tx: &mut Transaction,
    list: &'static List,
    rows: &[Row],
    faults: &mut Faults,
) -> Result<()> {
    if !list.by_consortium() || list == &CONSORTIA {
        return Ok(());
    }
    let known = known_consortia(tx, rows.iter()).await?;
    for (n, row) in rows.iter().enumerate() {
        let of = row.text("consortium_id").unwrap_or_default();
        if !known.contains(of) {
            let pointer = format!("/{n}/consortium_id");
            let fault = Fault::new(Code::ConsortiumUnknown, pointer, row.place());
            faults.push(fault.found(of).area(Area::Registry));
        }
    }
    Ok(())
}

async fn exists(
    tx: &mut Transaction,
    sql: &str,
    numbers: &[Bound],
    texts: &[String],
) -> Result<bool> {
    let statement = bind(sql, numbers).bind_all(texts);
    Ok(statement.fetch_optional(tx).await?.is_some())
}

/// Removes a row, which becomes a former version; the number of the version that says that
/// it went.
pub(super) async fn remove(work: &mut Work, stored: &Stored) -> Result<u32> {
    let list = stored.row.list();
    work.touches(list);
    let tx = &mut work.tx;
    version::keep(&mut *tx, &[stored]).await?;
    let version = version::went(&mut *tx, stored, PENDING).await?;
    let text = format!("DELETE FROM {} WHERE id = ?", list.table);
    bind(&text, &[stored.id.into()]).execute(&mut *tx).await?;
    query("DELETE FROM external_identifier WHERE list = ? AND owner = ?")
        .bind(list.table)
        .bind(stored.id)
        .execute(tx)
        .await?;
    Ok(version)
}

/// What may be there only once, against what is stored.
async fn unique(
    tx: &mut Transaction,
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
    for row in query(text).fetch_all(&mut *tx).await? {
        stored.push(read(list, &row)?.row);
    }
    registry::check_unique(stored, rows, faults);
    Ok(())
}

pub(super) async fn unique_identifiers(
    tx: &mut Transaction,
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
            let owner = query(text)
                .bind(list.table)
                .bind(row.text("consortium_id").unwrap_or_default())
                .bind(system)
                .bind(value)
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

/// Adds or replaces a few rows; the version of each afterwards. What is replaced becomes a
/// former version.
pub(in crate::store) async fn upsert(
    work: &mut Work,
    list: &'static List,
    rows: &[Row],
    changed: &mut Changed,
) -> Result<Vec<u32>> {
    let tx = &mut work.tx;
    let hashes: Vec<Hash96> = rows.iter().map(|r| key_hash(list, &r.key())).collect();
    let stored = stored(&mut *tx, list, &hashes).await?;
    let new: Vec<&Hash96> = hashes.iter().filter(|h| !stored.contains_key(*h)).collect();
    let went = version::last(&mut *tx, list, &new).await?;
    let mut write: Vec<Written> = Vec::new();
    let mut versions = Vec::with_capacity(rows.len());
    for (row, hash) in rows.iter().zip(&hashes) {
        let former = stored.get(hash);
        let version = match former {
            Some(former) if former.row == *row => {
                changed.unchanged += 1;
                versions.push(former.version);
                continue;
            }
            Some(former) => {
                changed.updated += 1;
                former.version + 1
            }
            None => {
                changed.created += 1;
                went.get(hash).map_or(1, |version| version + 1)
            }
        };
        versions.push(version);
        write.push(Written { row, hash, version });
    }
    if !write.is_empty() {
        work.touches(list);
    }
    let tx = &mut work.tx;
    let former: Vec<&Stored> = write.iter().filter_map(|w| stored.get(w.hash)).collect();
    version::keep(&mut *tx, &former).await?;
    let mut names = columns(list);
    let searched = folded::column(list.table);
    if searched.is_some() {
        names.push_str(", folded");
    }
    let set = names
        .split(", ")
        .map(|name| format!("{name} = excluded.{name}"));
    let set = set.collect::<Vec<_>>().join(", ");
    for chunk in sql::chunks(&write) {
        let text = format!(
            "INSERT INTO {0} (hash, provisional, version, updated_at, {names}) VALUES {1} \
             ON CONFLICT (hash) DO UPDATE SET provisional = excluded.provisional, \
             updated_at = excluded.updated_at, version = excluded.version, {set}",
            list.table,
            sql::values(chunk.len(), names.split(", ").count() + 4),
        );
        let mut statement = query(text);
        for Written { row, hash, version } in chunk {
            statement = statement
                .bind(*hash)
                .bind(i64::from(row.provisional))
                .bind(i64::from(*version))
                .bind(PENDING)
                .bind_all(row.values().iter().map(column_text));
            if let Some(column) = searched {
                statement = statement.bind(row.text(column).map(fold));
            }
        }
        statement.execute(&mut *tx).await?;
    }
    if list.field("external_identifiers").is_some() {
        identify(&mut *tx, list, &write, &stored).await?;
    }
    Ok(versions)
}

/// A row that is written.
struct Written<'a> {
    row: &'a Row,
    hash: &'a Hash96,
    version: u32,
}

/// The stored rows with these hashes.
pub(super) async fn stored(
    tx: &mut Transaction,
    list: &'static List,
    hashes: &[Hash96],
) -> Result<HashMap<Hash96, Stored>> {
    let mut out = HashMap::new();
    for chunk in sql::sets(hashes) {
        let text = select(list, &format!("WHERE hash IN ({})", sql::list(chunk.len())));
        let bound: Vec<Bound> = chunk.iter().map(Bound::from).collect();
        for row in bind(&text, &bound).fetch_all(&mut *tx).await? {
            let stored = read(list, &row)?;
            out.insert(key_hash(list, &stored.row.key()), stored);
        }
    }
    Ok(out)
}

/// Registers the identifiers that written rows name, in place of those they had.
async fn identify(
    tx: &mut Transaction,
    list: &List,
    written: &[Written<'_>],
    stored: &HashMap<Hash96, Stored>,
) -> Result<()> {
    // First all are given up, then taken: an identifier may move between two rows.
    let mut owners = Vec::new();
    for Written { row, hash, .. } in written {
        let claims =
            !row.items("external_identifiers").is_empty() || row.text("institution_code").is_some();
        if !claims && !stored.contains_key(*hash) {
            continue;
        }
        let text = format!("SELECT id FROM {} WHERE hash = ?", list.table);
        let id: i64 = bind(&text, &[(*hash).into()])
            .fetch_one(&mut *tx)
            .await?
            .try_get(0)?;
        if stored.contains_key(*hash) {
            query("DELETE FROM external_identifier WHERE list = ? AND owner = ?")
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
    Ok(())
}

async fn identifiers(tx: &mut Transaction, list: &List, id: i64, row: &Row) -> Result<()> {
    let given = row
        .items("external_identifiers")
        .iter()
        .filter_map(|i| split_identifier(i));
    let institution = row
        .text("institution_code")
        .map(|code| (INSTITUTION_NO, code));
    for (system, value) in given.chain(institution) {
        query(
            "INSERT INTO external_identifier (list, consortium_id, system, value, owner) \
             VALUES (?, ?, ?, ?, ?) \
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

fn column_text(value: &Value) -> Option<String> {
    match value {
        Value::Absent => None,
        Value::Text(text) => Some(text.clone()),
        Value::List(items) => serde_json::to_string(items).ok(),
    }
}
