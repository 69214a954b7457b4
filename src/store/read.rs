//! What a row that was read becomes.

use std::collections::HashMap;
use std::sync::Arc;

use super::db::{self, Db, RowRef};
use super::dictionary::{DevicePart, Numbered, Word};
use super::layout::Slot;
use super::{Error, RecordKey, Result, Store, residue};
use crate::fhir::id::{NO_SOURCE, ObservationKey};
use crate::kind::{Kinds, Type};
use crate::record::{Cell, Record, Texts};

pub use super::dictionary::Person;

/// The columns of a record before the numbered ones.
pub(super) const FIXED: &str = "r.participant, r.time, r.source, r.version, r.updated, r.seen, r.write, r.device, r.state, r.residue";
pub(super) const FIXED_COUNT: usize = 10;
/// `state`: deleted.
pub(super) const DELETED: i64 = 2;
/// `state`: amended.
pub(super) const AMENDED: i64 = 1;

/// `state`: corrected, though it is the first version.
pub(super) const CORRECTED: i64 = 3;

/// `Observation.status` of a version that is no deletion.
pub(super) fn status(state: i64, version: i64) -> &'static str {
    match state {
        AMENDED => "amended",
        CORRECTED => "corrected",
        _ if version > 1 => "corrected",
        _ => "final",
    }
}

/// One version of one stored record.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// Its primary key and write.
    pub key: RecordKey,
    /// Place of its kind.
    pub kind: usize,
    /// `meta.versionId`
    pub version: u32,
    /// `meta.lastUpdated`, in milliseconds since the epoch.
    pub last_updated: i64,
    /// A newer `update_time` of the same content, which the protocol export gives.
    pub seen: Option<i64>,
    /// Whether this version is a deletion.
    pub deleted: bool,
    /// `Observation.status`
    pub status: &'static str,
    /// Whose it is.
    pub person: Arc<Person>,
    /// What measured it.
    pub device: Option<Arc<DevicePart>>,
    /// What the logical id says.
    pub id: ObservationKey,
    /// What was written of it beyond its fields ([`Residue::content`](super::Residue)).
    pub residue: Option<Arc<str>>,
    cells: usize,
}

/// A set of stored records with the texts they name.
#[derive(Debug)]
pub struct Records {
    kinds: Arc<Kinds>,
    /// The records, in the order asked for.
    pub rows: Vec<StoredRecord>,
    cells: Vec<Cell>,
    texts: Texts,
}

impl Records {
    /// None yet.
    pub(super) fn new(kinds: &Arc<Kinds>) -> Records {
        Records {
            kinds: kinds.clone(),
            rows: Vec::new(),
            cells: Vec::new(),
            texts: Texts::default(),
        }
    }

    /// One of them as a record.
    pub fn record<'a>(&'a self, row: &'a StoredRecord) -> Record<'a> {
        let kind = self.kinds.at(row.kind);
        Record {
            kind,
            consortium_id: &row.person.consortium_id,
            person_id: &row.person.person_id,
            cells: &self.cells[row.cells..row.cells + kind.fields.len()],
            texts: &self.texts,
        }
    }

    /// The record as the protocol export gives it: a newer `update_time` of the same
    /// content replaces the version's.
    pub fn with_seen(&mut self) {
        for row in &self.rows {
            if let Some(seen) = row.seen {
                let update = self.kinds.at(row.kind).update;
                self.cells[row.cells + update] = Cell::plain(seen);
            }
        }
    }
}

/// A row as it was read, before its numbers are resolved.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub kind: usize,
    pub participant: i64,
    pub time: i64,
    pub source: i64,
    pub version: i64,
    pub updated: i64,
    pub seen: Option<i64>,
    pub write: i64,
    pub device: Option<i64>,
    pub state: i64,
    pub residue: Option<i64>,
    pub columns: Vec<Option<i64>>,
}

impl Raw {
    pub fn read(kind: usize, columns: usize, row: &RowRef<'_>) -> Result<Raw> {
        let mut numbered = Vec::with_capacity(columns);
        for at in FIXED_COUNT..FIXED_COUNT + columns {
            numbered.push(row.try_get(at)?);
        }
        Ok(Raw {
            kind,
            participant: row.try_get(0)?,
            time: row.try_get(1)?,
            source: row.try_get(2)?,
            version: row.try_get(3)?,
            updated: row.try_get(4)?,
            seen: row.try_get(5)?,
            write: row.try_get(6)?,
            device: row.try_get(7)?,
            state: row.try_get(8)?,
            residue: row.try_get(9)?,
            columns: numbered,
        })
    }
}

impl Store {
    /// A range of times as ranges of write ids.
    pub(super) async fn write_ranges(&self, ranges: &[(i64, i64)]) -> Result<Vec<(i64, i64)>> {
        let mut out = Vec::new();
        for (from, until) in ranges {
            let row = db::query("SELECT min(id), max(id) FROM write WHERE at >= ? AND at < ?")
                .bind(from)
                .bind(until)
                .fetch_one(&self.read)
                .await?;
            let (low, high): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
            out.extend(low.zip(high));
        }
        Ok(out)
    }

    /// Resolves the numbers of rows: people, texts, devices, writes.
    pub(super) async fn resolve(&self, raw: Vec<Raw>) -> Result<Records> {
        self.resolve_in(&mut self.read.db(), raw).await
    }

    /// The same, of rows that were read there.
    pub(super) async fn resolve_in(&self, db: &mut Db<'_>, raw: Vec<Raw>) -> Result<Records> {
        let known = self.known(db, raw.iter()).await?;
        self.made_of(&known, raw)
    }

    /// What the numbers of rows mean.
    pub(super) async fn known<'r>(
        &self,
        db: &mut Db<'_>,
        raw: impl Iterator<Item = &'r Raw> + Clone,
    ) -> Result<Known> {
        let mut ids: Vec<i64> = raw.clone().map(|r| r.participant).collect();
        let people = self.dictionary.people(db, &ids).await?;
        ids.clear();
        ids.extend(raw.clone().filter_map(|r| r.device));
        let devices = self.dictionary.devices(db, &ids).await?;
        ids.clear();
        ids.extend(raw.clone().map(|r| r.write));
        let writes = self.dictionary.writes(db, &ids).await?;
        ids.clear();
        for r in raw.clone() {
            if r.source != 0 {
                ids.push(r.source);
            }
            let kind = self.kinds.at(r.kind);
            for (slot, field) in self.layout.of(r.kind).slots.iter().zip(&kind.fields) {
                if let (Slot::Column(n), Type::Text { .. }) = (slot, field.ty) {
                    ids.extend(r.columns[*n]);
                }
            }
        }
        let words = self.dictionary.words(db, &ids).await?;
        let residues = residue::read(db, raw.filter_map(|r| r.residue)).await?;
        Ok(Known {
            people,
            devices,
            writes,
            words,
            residues,
        })
    }

    /// Rows as records, by what their numbers mean.
    pub(super) fn made_of(&self, known: &Known, raw: Vec<Raw>) -> Result<Records> {
        let Known {
            people,
            devices,
            writes,
            words,
            residues,
        } = known;
        let mut out = Records::new(&self.kinds);
        out.rows.reserve(raw.len());
        let mut places = Places {
            map: HashMap::default(),
        };
        for r in raw {
            let damaged =
                |what: &str| Error::Damaged(format!("a record names a {what} that is not there"));
            let kind = self.kinds.at(r.kind);
            let layout = self.layout.of(r.kind);
            let person = people
                .get(r.participant)
                .ok_or_else(|| damaged("participant"))?;
            let device = match r.device {
                Some(id) => Some(devices.get(id).ok_or_else(|| damaged("device"))?.clone()),
                None => None,
            };
            let source = match r.source {
                0 => None,
                id => Some(words.get(id).ok_or_else(|| damaged("source"))?),
            };
            let cells = out.cells.len();
            for (i, (slot, field)) in layout.slots.iter().zip(&kind.fields).enumerate() {
                let cell = match slot {
                    Slot::Time => Cell::plain(r.time),
                    Slot::Updated => Cell::plain(r.updated),
                    Slot::Source => match source {
                        Some(word) => places.word(&mut out.texts, r.source, word),
                        None => Cell::ABSENT,
                    },
                    Slot::Device => match (&device, kind.device) {
                        (Some(device), Some([maker, _, _])) => {
                            let (at, text) = if i == maker {
                                (0, &device.maker)
                            } else {
                                (1, &device.model)
                            };
                            places.device(&mut out.texts, r.device.unwrap_or(0) * 2 + at, text)
                        }
                        _ => Cell::ABSENT,
                    },
                    Slot::Column(n) => match (r.columns[*n], field.ty) {
                        (None, _) => Cell::ABSENT,
                        (Some(id), Type::Code) => {
                            let place = layout.code_place(i, id);
                            Cell::plain(place.ok_or_else(|| damaged("code"))?)
                        }
                        (Some(id), Type::Text { .. }) => {
                            let word = words.get(id).ok_or_else(|| damaged("text"))?;
                            places.word(&mut out.texts, id, word)
                        }
                        (raw, _) => Cell::from_raw(raw),
                    },
                };
                out.cells.push(cell);
            }
            out.rows.push(StoredRecord {
                key: RecordKey {
                    participant: r.participant,
                    kind: layout.id,
                    time: r.time,
                    source: r.source,
                    write: r.write,
                },
                kind: r.kind,
                version: r.version as u32,
                last_updated: writes.get(r.write).copied().unwrap_or_default(),
                seen: r.seen,
                deleted: r.state == DELETED,
                status: status(r.state, r.version),
                id: ObservationKey {
                    participant: person.hash,
                    kind: kind.hash,
                    seconds: r.time,
                    source: source.map_or(*NO_SOURCE, |w| w.hash),
                },
                residue: r.residue.and_then(|id| residues.get(&id).cloned()),
                person: person.clone(),
                device,
                cells,
            });
        }
        Ok(out)
    }
}

/// What the numbers of rows mean.
pub(super) struct Known {
    people: Numbered<Arc<Person>>,
    devices: Numbered<Arc<DevicePart>>,
    writes: Numbered<i64>,
    words: Numbered<Arc<Word>>,
    residues: HashMap<i64, Arc<str>>,
}

/// Where texts were put in the page's [`Texts`]: by `text.id`, or by device and part.
struct Places {
    map: HashMap<(bool, i64), u32, foldhash::fast::RandomState>,
}

impl Places {
    fn word(&mut self, texts: &mut Texts, id: i64, word: &Word) -> Cell {
        self.place(texts, (false, id), &word.text)
    }
    fn device(&mut self, texts: &mut Texts, id: i64, text: &Arc<str>) -> Cell {
        self.place(texts, (true, id), text)
    }
    fn place(&mut self, texts: &mut Texts, key: (bool, i64), text: &Arc<str>) -> Cell {
        let place = *self
            .map
            .entry(key)
            .or_insert_with(|| texts.push(text.clone()));
        Cell::plain(i64::from(place))
    }
}
