//! Stored records as Observations, written straight into the bytes of an answer.
//!
//! What records of a page share is worked out once: references of laboratories, and the
//! registry rows from which a kind's derived values come (the class of an HbA1c method).
//! Those rows are read with the page and not kept, so that a change of the registry, by this
//! process or another, shows at once.

use std::collections::HashMap;

use serde_json::Value;

use super::{id, residue};
use crate::mapping::{Context, Meta, Registered};
use crate::record::Record;
use crate::registry::List;
use crate::store::{Records, Result, Store, StoredRecord};

/// A column of a registry list, by key.
struct Column {
    list: String,
    column: String,
    values: HashMap<String, String, foldhash::fast::RandomState>,
}

/// The registry rows that the derived values of some records come from.
#[derive(Default)]
struct Snapshot(Vec<Column>);

impl Registered for Snapshot {
    fn column(&self, list: &str, key: &str, column: &str) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|c| c.list == list && c.column == column)?;
        found.values.get(key).map(String::as_str)
    }
}

impl Snapshot {
    async fn of(store: &Store, records: &Records) -> Result<Snapshot> {
        // (list, column) and the keys that records name; few kinds derive anything.
        let mut wanted: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for row in &records.rows {
            let record = records.record(row);
            for derived in &record.kind.mapping.derived {
                let key = record.text(derived.from);
                if key.is_empty() {
                    continue;
                }
                let (list, column) = (derived.list.as_str(), derived.column.as_str());
                let found = wanted
                    .iter()
                    .position(|(l, c, _)| *l == list && *c == column);
                let at = found.unwrap_or_else(|| {
                    wanted.push((list, column, Vec::new()));
                    wanted.len() - 1
                });
                if !wanted[at].2.contains(&key) {
                    wanted[at].2.push(key);
                }
            }
        }
        let mut columns = Vec::with_capacity(wanted.len());
        for (list, column, keys) in wanted {
            let Some(known) = List::by_name(list) else {
                continue;
            };
            let values = store.registered(known, column, &keys).await?;
            columns.push(Column {
                list: list.to_owned(),
                column: column.to_owned(),
                values: values.into_iter().collect(),
            });
        }
        Ok(Snapshot(columns))
    }
}

/// Writes the records of one page.
pub struct Renderer<'a> {
    records: &'a Records,
    snapshot: Snapshot,
    laboratories: HashMap<String, String, foldhash::fast::RandomState>,
    scratch: String,
}

impl<'a> Renderer<'a> {
    /// A writer for these records.
    ///
    /// # Errors
    /// [`Error::Database`](crate::store::Error::Database).
    pub async fn new(store: &Store, records: &'a Records) -> Result<Renderer<'a>> {
        Ok(Renderer {
            records,
            snapshot: Snapshot::of(store, records).await?,
            laboratories: HashMap::default(),
            scratch: String::new(),
        })
    }

    /// Bytes that the Observations of all of them take, but for what is kept beside some.
    pub fn size(&self) -> usize {
        let rows = self.records.rows.iter();
        let each = rows.map(|row| self.records.record(row).kind.mapping.panel.program.size());
        each.sum()
    }

    /// Whether the Observation of a record shows rows of registries, which change without it.
    pub fn shows_registry(&self, row: &StoredRecord) -> bool {
        let record = self.records.record(row);
        let mut derived = record.kind.mapping.derived.iter();
        derived.any(|derived| !record.text(derived.from).is_empty())
    }

    /// Appends the Observation of one of the records.
    pub fn write(&mut self, row: &StoredRecord, out: &mut Vec<u8>) {
        let record = self.records.record(row);
        self.know_laboratory(&record);
        let context = Context {
            key: &row.id,
            meta: Some(Meta {
                version: row.version,
                updated: row.last_updated,
            }),
            status: row.status,
            subject: &row.person.reference,
            device: row.device.as_ref().map_or("", |d| &d.reference),
            laboratory: self.laboratories.get(&self.scratch).map_or("", |r| r),
            registry: &self.snapshot,
            item: None,
        };
        let from = out.len();
        let program = &record.kind.mapping.panel.program;
        program.write(out, &record, &context);
        if let Some(residue) = &row.residue {
            with_residue(out, from, residue);
        }
    }

    /// Leaves in `scratch` the key of the record's laboratory, whose reference is known then.
    fn know_laboratory(&mut self, record: &Record) {
        self.scratch.clear();
        let Some(field) = record.kind.laboratory else {
            return;
        };
        let laboratory = record.text(field);
        if laboratory.is_empty() {
            return;
        }
        // No consortium id has a colon.
        self.scratch.push_str(record.consortium_id);
        self.scratch.push(':');
        self.scratch.push_str(laboratory);
        if !self.laboratories.contains_key(&self.scratch) {
            let id = id::laboratory(record.consortium_id, laboratory);
            let reference = format!("Organization/{id}");
            self.laboratories.insert(self.scratch.clone(), reference);
        }
    }
}

/// Lays what was written beyond the record onto the resource at the end of the bytes.
fn with_residue(out: &mut Vec<u8>, from: usize, kept: &str) {
    let resource = serde_json::from_slice::<Value>(&out[from..]);
    let (Ok(mut resource), Ok(kept)) = (resource, serde_json::from_str::<Vec<Value>>(kept)) else {
        return;
    };
    for form in &kept {
        residue::onto(&mut resource, form);
    }
    out.truncate(from);
    out.extend_from_slice(resource.to_string().as_bytes());
}
