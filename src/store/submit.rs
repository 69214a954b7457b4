//! Storing a submission: registry rules, the resend rule, one transaction.
//!
//! All of a submission is decided and written in one transaction that is answered only
//! after it is durable; a refused one leaves nothing but its receipt (protocol
//! specification §5, §6).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::entries::{self, Compact, Entry, Outcome};
use super::layout::{KindLayout, Slot};
use super::read::{DELETED, FIXED, Raw};
use super::receipt::{self, Counts, Extra, Receipt};
use super::{Result, Store, device, dictionary, registry, sql};
use crate::exchange::Submission;
use crate::fault::{Code, Fault, Severity};
use crate::fhir::id::{self, Hash96};
use crate::kind::{Kind, Type};
use crate::mapping::forward;
use crate::record::Cell;
use crate::registry::{
    CONSORTIA, DEVICES, LABORATORIES, List, PARTICIPANTS, Registries, Row, Value,
};
use crate::time;

/// What becomes of a submission with refused records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// One refused record and nothing is stored.
    #[default]
    Strict,
    /// The good records are stored, the refused ones quarantined.
    Lenient,
}

/// How to store a submission.
#[derive(Debug, Clone, Default)]
pub struct Submit {
    /// Strict or lenient.
    pub handling: Handling,
    /// `--registry auto`: unknown consortia, participants and laboratories are added.
    pub auto: bool,
    /// Who sent it.
    pub client: Option<String>,
}

/// A column without a value.
const NULL: i64 = i64::MIN;

/// A record on its way into its row.
struct Pending {
    row: u32,
    participant: i64,
    time: i64,
    source: i64,
    device: i64,
    updated: i64,
    columns: usize,
    outcome: Outcome,
    version: i64,
    /// The stored version is kept as a former one.
    keep_former: bool,
    /// Only the newer `update_time` is remembered.
    seen: bool,
}

impl Store {
    /// Stores a submission that was read and checked by itself.
    ///
    /// # Errors
    /// [`Error::Database`](super::Error::Database); then nothing was stored. What is wrong
    /// with the submission is in the receipt.
    pub async fn submit(&self, submission: &mut Submission, how: &Submit) -> Result<Receipt> {
        let lenient = how.handling == Handling::Lenient;
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let now = now(&mut tx).await?;
        let mut receipt = Receipt {
            id: self.new_id(),
            consortium_id: submission.consortium_id.clone(),
            send_time: submission.send_time,
            received_at: now,
            lenient,
            status: 422,
            faults: Vec::new(),
            counts: Counts::default(),
            entries: Vec::new(),
        };
        if !submission.consortium_id.is_empty() {
            if how.auto && !submission.broken && (lenient || !submission.has_errors()) {
                self.register_unknown(&mut tx, submission, now).await?;
            }
            let facts = self.facts(&mut tx, submission).await?;
            crate::registry::check(&self.kinds, submission, &facts);
        }
        let refused = submission.broken || (!lenient && submission.has_errors());
        let mut written = Written::default();
        if !refused {
            written = self.store(&mut tx, submission, &receipt, how).await?;
        }
        let conflict = written.conflicts > 0;
        if refused || (!lenient && conflict) {
            // Nothing of it stays but the receipt, which has a transaction of its own.
            tx.rollback().await?;
            let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
            self.tell(submission, &mut receipt, &written, true)?;
            let all = entries::pack(written.compact(&self.kinds_ids(), submission, true))?;
            let extra = Extra {
                client: how.client.clone(),
                write: None,
                all,
            };
            receipt::insert(&mut tx, &receipt, &extra).await?;
            tx.commit().await?;
            return Ok(receipt);
        }
        self.tell(submission, &mut receipt, &written, false)?;
        let c = receipt.counts;
        let nothing_good = lenient && c.received > 0 && c.refused + c.conflict == c.received;
        receipt.status = if nothing_good {
            422
        } else if c.created + c.updated > 0 {
            201
        } else {
            200
        };
        if c.created + c.updated > 0 {
            let stored: HashSet<String> = HashSet::new();
            let mut waiting = Mended {
                store: self,
                submission,
                written: &written,
                ids: stored,
            };
            waiting.mend(&mut tx, &receipt).await?;
        }
        if lenient {
            self.to_quarantine(&mut tx, submission, &receipt).await?;
        }
        let all = entries::pack(written.compact(&self.kinds_ids(), submission, false))?;
        let extra = Extra {
            client: how.client.clone(),
            write: written.write,
            all,
        };
        receipt::insert(&mut tx, &receipt, &extra).await?;
        tx.commit().await?;
        // Only now are the numbers certain.
        for (text, id) in written.new_texts {
            self.dictionary.numbers.insert(text, id);
        }
        // A device without a write is looked at again by the next one.
        if written.write.is_some() {
            for (hash, id) in written.new_devices {
                self.dictionary.device_numbers.insert(hash, id);
            }
        }
        Ok(receipt)
    }

    /// `kind.id` by place.
    fn kinds_ids(&self) -> Vec<i64> {
        (0..self.kinds.len())
            .map(|place| self.layout.of(place).id)
            .collect()
    }

    /// The registry rows that a submission names.
    async fn facts(&self, tx: &mut SqliteConnection, s: &Submission) -> Result<Registries> {
        let mut facts = Registries::new();
        let consortium = s.consortium_id.as_str();
        for row in keyed(tx, &CONSORTIA, None, &[consortium.to_owned()]).await? {
            facts.insert(row);
        }
        for row in keyed(tx, &PARTICIPANTS, Some(consortium), &s.persons).await? {
            facts.insert(row);
        }
        let named = self.named(s);
        for row in keyed(tx, &LABORATORIES, Some(consortium), &named.laboratories).await? {
            facts.insert(row);
        }
        for (list, keys) in &named.registered {
            if let Some(list) = List::by_name(list) {
                for row in keyed(tx, list, None, keys).await? {
                    facts.insert(row);
                }
            }
        }
        for (maker, model) in &named.models {
            let text = "SELECT mean_error_percent FROM device_model \
                        WHERE model_manufacturer_code = $1 AND model_number = $2";
            let row = sqlx::query(text)
                .bind(maker)
                .bind(model)
                .fetch_optional(&mut *tx)
                .await?;
            if let Some(found) = row {
                let mut row = Row::new(&DEVICES);
                row.set("model_manufacturer_code", Value::Text(maker.clone()));
                row.set("model_number", Value::Text(model.clone()));
                if let Some(error) = found.try_get::<Option<String>, _>(0)? {
                    row.set("mean_error_percent", Value::Text(error));
                }
                facts.insert(row);
            }
        }
        Ok(facts)
    }

    /// The keys of registry rows that a submission names, each once.
    pub(super) fn named(&self, s: &Submission) -> Named {
        let mut labs: HashSet<i64> = HashSet::new();
        let mut models: HashSet<(i64, i64)> = HashSet::new();
        let mut registered: HashMap<&str, HashSet<i64>> = HashMap::new();
        for row in &s.rows {
            let kind = self.kinds.at(usize::from(row.kind));
            let cells = s.cells(&self.kinds, row);
            labs.extend(kind.laboratory.and_then(|f| cells[f].raw()));
            if let Some([maker, model, _]) = kind.device {
                models.extend(cells[maker].raw().zip(cells[model].raw()));
            }
            for (field, list) in &kind.registered {
                registered
                    .entry(list)
                    .or_default()
                    .extend(cells[*field].raw());
            }
        }
        let text = |place: i64| s.texts.get(place).to_owned();
        Named {
            laboratories: labs.into_iter().map(text).collect(),
            models: models
                .into_iter()
                .map(|(a, b)| (text(a), text(b)))
                .collect(),
            registered: registered
                .into_iter()
                .map(|(list, places)| (list.to_owned(), places.into_iter().map(text).collect()))
                .collect(),
        }
    }

    /// Adds what `--registry auto` adds.
    async fn register_unknown(
        &self,
        tx: &mut SqliteConnection,
        s: &Submission,
        now: i64,
    ) -> Result<()> {
        let facts = self.facts(tx, s).await?;
        let consortium = s.consortium_id.as_str();
        let mut rows: Vec<Row> = Vec::new();
        if facts.consortium(consortium).is_none() {
            rows.push(Row::provisional(&CONSORTIA, &[consortium]));
        }
        let mut first: Vec<i64> = vec![i64::MAX; s.persons.len()];
        for row in s.rows.iter().filter(|row| !row.refused) {
            if let Some(person) = row.person {
                let time = s.record(&self.kinds, row).seconds();
                first[person as usize] = first[person as usize].min(time);
            }
        }
        for (person, first) in s.persons.iter().zip(first) {
            if first < i64::MAX && facts.participant(consortium, person).is_none() {
                let mut row = Row::provisional(&PARTICIPANTS, &[consortium, person]);
                row.set("sex_code", Value::Text("0".into()));
                let day = time::text(|out| time::write14(out, first));
                row.set("participation_start_date", Value::Text(day[..8].to_owned()));
                rows.push(row);
            }
        }
        for lab in &self.named(s).laboratories {
            if facts.laboratory(consortium, lab).is_none() {
                rows.push(Row::provisional(&LABORATORIES, &[consortium, lab]));
            }
        }
        for list in [&CONSORTIA, &PARTICIPANTS, &LABORATORIES] {
            let these: Vec<Row> = rows.iter().filter(|r| r.list() == list).cloned().collect();
            for chunk in sql::chunks(&these) {
                registry::upsert(tx, list, chunk, now, &mut registry::Changed::default()).await?;
            }
        }
        Ok(())
    }

    /// Decides and writes the records.
    async fn store(
        &self,
        tx: &mut SqliteConnection,
        s: &mut Submission,
        receipt: &Receipt,
        how: &Submit,
    ) -> Result<Written> {
        let mut written = Written {
            outcomes: vec![None; s.rows.len()],
            ..Written::default()
        };
        let people = participants(tx, &s.consortium_id, &s.persons).await?;
        let texts = self.text_numbers(tx, s, &mut written).await?;
        let good: Vec<u32> = (0..s.rows.len() as u32)
            .filter(|&i| {
                let row = &s.rows[i as usize];
                !row.refused && !row.repeated && row.person.is_some()
            })
            .collect();
        if good.is_empty() {
            return Ok(written);
        }
        let devices = self.device_numbers(tx, s, &good, &mut written).await?;
        let mut by_kind: Vec<Vec<Pending>> = (0..self.kinds.len()).map(|_| Vec::new()).collect();
        let mut columns: Vec<i64> = Vec::new();
        for &i in &good {
            let row = &s.rows[i as usize];
            let record = s.record(&self.kinds, row);
            let kind = record.kind;
            let layout = self.layout.of(kind.place);
            let at = columns.len();
            columns.resize(at + layout.columns, NULL);
            for (f, slot) in layout.slots.iter().enumerate() {
                if let Slot::Column(n) = slot {
                    columns[at + n] = column(kind, layout, &texts, f, record.cells[f]);
                }
            }
            by_kind[kind.place].push(Pending {
                row: i,
                participant: row.person.map_or(0, |p| people[p as usize]),
                time: record.seconds(),
                source: kind
                    .source
                    .and_then(|f| record.cells[f].raw())
                    .map_or(0, |place| texts[place as usize]),
                device: kind.device.map_or(NULL, |d| {
                    let part = d.map(|f| record.cells[f].value());
                    devices.get(&part).copied().unwrap_or(NULL)
                }),
                updated: record.updated(),
                columns: at,
                outcome: Outcome::Created,
                version: 1,
                keep_former: false,
                seen: false,
            });
        }
        for (place, pending) in by_kind.iter_mut().enumerate() {
            let kind = self.kinds.at(place).clone();
            pending.sort_unstable_by_key(|p| (p.participant, p.time, p.source));
            self.decide(tx, s, &kind, pending, &columns, &mut written)
                .await?;
        }
        if written.conflicts > 0 && how.handling == Handling::Strict {
            return Ok(written);
        }
        let changes = by_kind.iter().flatten().any(|p| p.writes());
        if changes {
            let row = sqlx::query(
                "INSERT INTO write (at, submission, client) VALUES ($1, $2, $3) RETURNING id",
            )
            .bind(receipt.received_at)
            .bind(&receipt.id)
            .bind(&how.client)
            .fetch_one(&mut *tx)
            .await?;
            let write = row.try_get(0)?;
            written.write = Some(write);
            let devices: Vec<i64> = written.new_devices.iter().map(|(_, id)| *id).collect();
            device::first_seen(tx, write, &devices).await?;
        }
        for (place, pending) in by_kind.iter().enumerate() {
            let layout = self.layout.of(place);
            let write = written.write.unwrap_or_default();
            keep_former(tx, layout, pending).await?;
            upsert(tx, layout, pending, &columns, write).await?;
            remember(tx, layout, pending).await?;
        }
        for p in by_kind.iter().flatten() {
            written.outcomes[p.row as usize] = Some((p.outcome, p.participant, p.time, p.source));
        }
        // A repetition shares the fate of what it repeats, and changes nothing itself.
        for (i, row) in s.rows.iter().enumerate().filter(|(_, row)| row.repeated) {
            let record = s.record(&self.kinds, row);
            let source = record.kind.source.and_then(|f| record.cells[f].raw());
            let source = source.map_or(0, |place| texts[place as usize]);
            let participant = row.person.map_or(-1, |p| people[p as usize]);
            written.outcomes[i] = Some((Outcome::Unchanged, participant, record.seconds(), source));
        }
        Ok(written)
    }

    /// The resend rule (protocol specification §5).
    async fn decide(
        &self,
        tx: &mut SqliteConnection,
        s: &mut Submission,
        kind: &Arc<Kind>,
        pending: &mut [Pending],
        columns: &[i64],
        written: &mut Written,
    ) -> Result<()> {
        let layout = self.layout.of(kind.place);
        let mut stored: HashMap<(i64, i64, i64), Raw, foldhash::fast::RandomState> =
            HashMap::default();
        for chunk in sql::chunks(pending) {
            let comma = if layout.columns > 0 { ", " } else { "" };
            let text = format!(
                "SELECT {FIXED}{comma}{} FROM (VALUES {}) AS v CROSS JOIN record r \
                 WHERE r.participant = v.column1 AND r.kind = {} \
                 AND r.time = v.column2 AND r.source = v.column3",
                layout.column_list("r."),
                sql::values(chunk.len(), 3),
                layout.id
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for p in chunk {
                query = query.bind(p.participant).bind(p.time).bind(p.source);
            }
            for row in query.fetch_all(&mut *tx).await? {
                let raw = Raw::read(kind.place, layout.columns, &row)?;
                stored.insert((raw.participant, raw.time, raw.source), raw);
            }
        }
        for p in pending.iter_mut() {
            let Some(raw) = stored.get(&(p.participant, p.time, p.source)) else {
                continue;
            };
            let last = raw.seen.unwrap_or(raw.updated).max(raw.updated);
            let mine = &columns[p.columns..p.columns + layout.columns];
            let same = same(kind, layout, raw, p.device, mine);
            let deleted = raw.state == DELETED;
            p.version = raw.version;
            p.outcome = if p.updated < last || (deleted && p.updated == last) {
                Outcome::Stale
            } else if p.updated == last {
                if same {
                    Outcome::Unchanged
                } else {
                    Outcome::Conflict
                }
            } else if same && !deleted {
                p.seen = true;
                Outcome::Unchanged
            } else {
                p.version = raw.version + 1;
                p.keep_former = true;
                Outcome::Updated
            };
            if p.outcome == Outcome::Conflict {
                written.conflicts += 1;
                let fault = self.conflict(s, p.row, kind, layout, raw, mine).await?;
                // The stored record is not touched; the fault tells both contents.
                s.faults.push((p.row, fault));
            }
            if p.outcome == Outcome::Stale {
                let pointer = s.pointer(&self.kinds, &s.rows[p.row as usize]);
                let place = s.rows[p.row as usize].position.place;
                let fault = Fault::new(Code::Stale, pointer, place)
                    .expected(format!(
                        "update_time after {}",
                        time::text(|o| time::write17(o, last))
                    ))
                    .found(&time::text(|o| time::write17(o, p.updated)));
                s.faults.push((p.row, fault));
            }
        }
        s.sort_faults();
        Ok(())
    }

    /// A conflict, with both contents where they differ.
    async fn conflict(
        &self,
        s: &Submission,
        row: u32,
        kind: &Kind,
        layout: &KindLayout,
        raw: &Raw,
        mine: &[i64],
    ) -> Result<Fault> {
        let row = &s.rows[row as usize];
        let record = s.record(&self.kinds, row);
        let mut stored = Vec::new();
        let mut sent = Vec::new();
        for (f, slot) in layout.slots.iter().enumerate() {
            let field = &kind.fields[f];
            let show = |cell: Cell, text: &str| -> String {
                let mut out = Vec::new();
                match field.ty {
                    _ if cell.is_absent() => out.extend_from_slice(b"nothing"),
                    Type::Number { decimals, .. } => {
                        crate::decimal::write(&mut out, cell, decimals)
                    }
                    _ => out.extend_from_slice(text.as_bytes()),
                }
                format!("{} {}", field.name, String::from_utf8_lossy(&out))
            };
            let Slot::Column(n) = slot else { continue };
            let theirs = raw.columns[*n].unwrap_or(NULL);
            if equal(field.ty.is_number(), theirs, mine[*n]) {
                continue;
            }
            let word = match field.ty {
                Type::Number { .. } => String::new(),
                _ => self.words_now(theirs).await?,
            };
            let cell = Cell::from_raw((theirs != NULL).then_some(theirs));
            stored.push(show(cell, &word));
            let text = match field.ty {
                Type::Code => {
                    let place = record.cells[f].raw().unwrap_or(-1);
                    field.codes.get(place as usize).map_or("", |c| &c.code)
                }
                Type::Text { .. } => record.text(f),
                _ => "",
            };
            sent.push(show(record.cells[f], text));
        }
        if stored.is_empty() {
            stored.push("another device".into());
            sent.push("this device".into());
        }
        let pointer = s.pointer(&self.kinds, row);
        Ok(Fault::new(Code::Conflict, pointer, row.position.place)
            .expected(format!("the stored content: {}", stored.join(", ")))
            .found(&sent.join(", ")))
    }

    async fn words_now(&self, id: i64) -> Result<String> {
        if id == NULL {
            return Ok(String::new());
        }
        let words = self.dictionary.words(&self.read, &[id]).await?;
        Ok(words
            .get(&id)
            .map(|w| w.text.to_string())
            .unwrap_or_default())
    }

    /// The numbers of a submission's texts, by their places.
    async fn text_numbers(
        &self,
        tx: &mut SqliteConnection,
        s: &Submission,
        written: &mut Written,
    ) -> Result<Vec<i64>> {
        let texts: Vec<Arc<str>> = s.texts.iter().cloned().collect();
        let ids = dictionary::text_ids(tx, &self.dictionary.numbers, &texts).await?;
        written.new_texts = texts.into_iter().zip(ids.iter().copied()).collect();
        Ok(ids)
    }

    /// The numbers of a submission's device parts, by the places of their texts.
    async fn device_numbers(
        &self,
        tx: &mut SqliteConnection,
        s: &Submission,
        good: &[u32],
        written: &mut Written,
    ) -> Result<HashMap<[i64; 3], i64, foldhash::fast::RandomState>> {
        let mut out: HashMap<[i64; 3], i64, foldhash::fast::RandomState> = HashMap::default();
        let mut missing: Vec<([i64; 3], Hash96)> = Vec::new();
        for &i in good {
            let record = s.record(&self.kinds, &s.rows[i as usize]);
            let Some(device) = record.kind.device else {
                continue;
            };
            let part = device.map(|f| record.cells[f].value());
            if out.contains_key(&part) {
                continue;
            }
            let [maker, model, serial] = part.map(|place| s.texts.get(place));
            let hash = id::hash96("device", &[maker, model, serial]);
            match self.dictionary.device_numbers.get(&hash) {
                Some(id) => {
                    out.insert(part, id);
                }
                None => {
                    out.insert(part, NULL);
                    missing.push((part, hash));
                }
            }
        }
        for chunk in sql::chunks(&missing) {
            let text = format!(
                "INSERT INTO device (hash, model_manufacturer_code, model_number, \
                 production_specification_serial, first_write) VALUES {} \
                 ON CONFLICT (hash) DO NOTHING",
                sql::values(chunk.len(), 5)
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for (part, hash) in chunk {
                query = query.bind(hash.to_vec());
                for place in part {
                    query = query.bind(s.texts.get(*place).to_owned());
                }
                query = query.bind(0_i64);
            }
            query.execute(&mut *tx).await?;
            let text = format!(
                "SELECT hash, id FROM device WHERE hash IN ({})",
                sql::list(chunk.len())
            );
            let mut query = sqlx::query(AssertSqlSafe(text));
            for (_, hash) in chunk {
                query = query.bind(hash.to_vec());
            }
            let mut ids: HashMap<Vec<u8>, i64> = HashMap::new();
            for row in query.fetch_all(&mut *tx).await? {
                ids.insert(row.try_get(0)?, row.try_get(1)?);
            }
            for (part, hash) in chunk {
                if let Some(&id) = ids.get(&hash[..]) {
                    out.insert(*part, id);
                    written.new_devices.push((*hash, id));
                }
            }
        }
        Ok(out)
    }

    /// Fills counts, faults and the entries that say something.
    fn tell(
        &self,
        s: &Submission,
        receipt: &mut Receipt,
        written: &Written,
        refused: bool,
    ) -> Result<()> {
        receipt.faults = s.envelope.clone();
        let counts = &mut receipt.counts;
        counts.received = s.rows.len() as u64 + s.unlisted;
        counts.refused = s.unlisted;
        let mut faults = s.faults.iter().peekable();
        for (i, row) in s.rows.iter().enumerate() {
            let mut own = Vec::new();
            while let Some((_, fault)) = faults.next_if(|(r, _)| *r as usize == i) {
                own.push(fault.clone());
            }
            let warned = own.iter().any(|f| f.severity == Severity::Warning);
            let outcome = match written.outcomes.get(i).copied().flatten() {
                _ if row.refused => Some(Outcome::Refused),
                Some((outcome, ..)) if !refused || outcome == Outcome::Conflict => Some(outcome),
                // The person of the record has no id, or nothing was tried.
                None if !refused => Some(Outcome::Refused),
                _ => own
                    .iter()
                    .any(|f| f.code == Code::Conflict)
                    .then_some(Outcome::Conflict),
            };
            let Some(outcome) = outcome else { continue };
            counts.add(outcome);
            let stored = matches!(outcome, Outcome::Created | Outcome::Updated);
            counts.warned += u64::from(warned && stored);
            if matches!(outcome, Outcome::Created | Outcome::Unchanged) && !warned {
                continue;
            }
            let record = s.record(&self.kinds, row);
            let reference = (outcome != Outcome::Refused).then(|| {
                format!(
                    "Observation/{}",
                    forward::key(&record, record.kind).encode()
                )
            });
            receipt.entries.push(Entry {
                pointer: s.pointer(&self.kinds, row),
                outcome,
                reference,
                faults: own,
            });
        }
        Ok(())
    }

    /// Refused records of a lenient submission wait to be mended.
    async fn to_quarantine(
        &self,
        tx: &mut SqliteConnection,
        s: &Submission,
        receipt: &Receipt,
    ) -> Result<()> {
        let mut entries = receipt
            .entries
            .iter()
            .filter(|e| e.outcome == Outcome::Refused);
        for row in s.rows.iter().filter(|row| row.refused) {
            let Some(entry) = entries.next() else { break };
            let record = s.record(&self.kinds, row);
            let kind = record.kind;
            let known = row.person.is_some()
                && !record.cells[kind.time].is_absent()
                && !kind
                    .source
                    .is_some_and(|f| kind.fields[f].required && record.cells[f].is_absent());
            let observation = known.then(|| forward::key(&record, kind).encode());
            let faults = serde_json::to_string(&entry.faults).unwrap_or_else(|_| "[]".into());
            sqlx::query(
                "INSERT INTO quarantine (submission, consortium_id, pointer, observation, faults, received_at) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&receipt.id)
            .bind(&receipt.consortium_id)
            .bind(&entry.pointer)
            .bind(observation)
            .bind(faults)
            .bind(receipt.received_at)
            .execute(&mut *tx)
            .await?;
        }
        Ok(())
    }
}

impl Pending {
    fn writes(&self) -> bool {
        matches!(self.outcome, Outcome::Created | Outcome::Updated)
    }
}

/// Finds, among what was stored, the records that waited in quarantine.
struct Mended<'a> {
    store: &'a Store,
    submission: &'a Submission,
    written: &'a Written,
    ids: HashSet<String>,
}

impl Mended<'_> {
    async fn mend(&mut self, tx: &mut SqliteConnection, receipt: &Receipt) -> Result<()> {
        let waiting = sqlx::query(
            "SELECT 1 FROM quarantine WHERE consortium_id = $1 AND left_at IS NULL LIMIT 1",
        )
        .bind(&receipt.consortium_id)
        .fetch_optional(&mut *tx)
        .await?;
        if waiting.is_none() {
            return Ok(());
        }
        for (row, outcome) in self.submission.rows.iter().zip(&self.written.outcomes) {
            if matches!(outcome, Some((Outcome::Created | Outcome::Updated, ..))) {
                let record = self.submission.record(&self.store.kinds, row);
                self.ids.insert(forward::key(&record, record.kind).encode());
            }
        }
        receipt::mend(
            tx,
            &receipt.consortium_id,
            |o| self.ids.contains(o),
            &receipt.id,
        )
        .await
    }
}

pub(super) struct Named {
    pub laboratories: Vec<String>,
    pub models: Vec<(String, String)>,
    pub registered: Vec<(String, Vec<String>)>,
}

/// What a transaction did, or would have done.
#[derive(Default)]
struct Written {
    /// By row: outcome, participant, time, source.
    outcomes: Vec<Option<(Outcome, i64, i64, i64)>>,
    conflicts: u64,
    write: Option<i64>,
    new_texts: Vec<(Arc<str>, i64)>,
    new_devices: Vec<(Hash96, i64)>,
}

impl Written {
    /// The entries of all records in compact form.
    fn compact<'a>(
        &'a self,
        kind_ids: &'a [i64],
        s: &'a Submission,
        refused: bool,
    ) -> impl Iterator<Item = Compact> + 'a {
        s.rows.iter().enumerate().filter_map(move |(i, row)| {
            let known = self.outcomes.get(i).copied().flatten();
            let (outcome, participant, time, source) = match known {
                Some(known) if !row.refused && !refused => known,
                _ if row.refused || !refused => (Outcome::Refused, -1, 0, 0),
                _ => return None,
            };
            Some(Compact {
                outcome,
                kind: kind_ids[usize::from(row.kind)],
                person: i64::from(row.position.person),
                element: row.position.element.map_or(0, |e| i64::from(e) + 1),
                index: i64::from(row.position.index),
                participant,
                time,
                source,
            })
        })
    }
}

/// A time for a write: now, and never before the write before it, so that a range of times
/// is a range of writes.
pub(super) async fn now(tx: &mut SqliteConnection) -> Result<i64> {
    let row = sqlx::query("SELECT at FROM write ORDER BY id DESC LIMIT 1")
        .fetch_optional(tx)
        .await?;
    let last = row
        .map(|row| row.try_get::<i64, _>(0))
        .transpose()?
        .unwrap_or(0);
    Ok(time::now_millis().max(last))
}

/// Rows of a list by the last part of their keys; only what the checks need of them.
async fn keyed(
    tx: &mut SqliteConnection,
    list: &'static List,
    consortium: Option<&str>,
    keys: &[String],
) -> Result<Vec<Row>> {
    let Some(last) = list.key().last() else {
        return Ok(Vec::new());
    };
    let wanted = [
        "participation_start_date",
        "participation_end_date",
        "method_class_code",
    ];
    let fields: Vec<&'static str> = list
        .fields
        .iter()
        .filter(|f| f.key || wanted.contains(&f.name))
        .map(|f| f.name)
        .collect();
    let mut out = Vec::new();
    for chunk in sql::chunks(keys) {
        let of = if consortium.is_some() {
            "consortium_id = ? AND "
        } else {
            ""
        };
        let text = format!(
            "SELECT {} FROM {} WHERE {of}{} IN ({})",
            fields.join(", "),
            list.table,
            last.name,
            sql::list(chunk.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        if let Some(consortium) = consortium {
            query = query.bind(consortium.to_owned());
        }
        for key in chunk {
            query = query.bind(key.clone());
        }
        for found in query.fetch_all(&mut *tx).await? {
            let mut row = Row::new(list);
            for (i, field) in fields.iter().enumerate() {
                if let Some(text) = found.try_get::<Option<String>, _>(i)? {
                    row.set(field, Value::Text(text));
                }
            }
            out.push(row);
        }
    }
    Ok(out)
}

/// `participant.id` of each person, in their order; 0 for one who is not registered.
async fn participants(
    tx: &mut SqliteConnection,
    consortium: &str,
    persons: &[String],
) -> Result<Vec<i64>> {
    let mut found: HashMap<String, i64> = HashMap::with_capacity(persons.len());
    for chunk in sql::chunks(persons) {
        let text = format!(
            "SELECT person_id, id FROM participant WHERE consortium_id = ? AND person_id IN ({})",
            sql::list(chunk.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(consortium.to_owned());
        for person in chunk {
            query = query.bind(person.clone());
        }
        for row in query.fetch_all(&mut *tx).await? {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    Ok(persons
        .iter()
        .map(|p| found.get(p).copied().unwrap_or(0))
        .collect())
}

/// A cell as its column keeps it.
fn column(kind: &Kind, layout: &KindLayout, texts: &[i64], field: usize, cell: Cell) -> i64 {
    let Some(value) = cell.raw() else { return NULL };
    match kind.fields[field].ty {
        Type::Code => layout.codes[field]
            .get(value as usize)
            .copied()
            .unwrap_or(NULL),
        Type::Text { .. } => texts.get(value as usize).copied().unwrap_or(NULL),
        _ => value,
    }
}

fn equal(number: bool, a: i64, b: i64) -> bool {
    a == b || (number && a != NULL && b != NULL && a >> 3 == b >> 3)
}

/// Whether a stored row has the same content: numbers by value.
fn same(kind: &Kind, layout: &KindLayout, raw: &Raw, device: i64, mine: &[i64]) -> bool {
    raw.device.unwrap_or(NULL) == device
        && layout
            .slots
            .iter()
            .zip(&kind.fields)
            .all(|(slot, field)| match slot {
                Slot::Column(n) => equal(
                    field.ty.is_number(),
                    raw.columns[*n].unwrap_or(NULL),
                    mine[*n],
                ),
                _ => true,
            })
}

/// Copies the stored versions that are about to be replaced.
async fn keep_former(
    tx: &mut SqliteConnection,
    layout: &KindLayout,
    pending: &[Pending],
) -> Result<()> {
    let these: Vec<&Pending> = pending.iter().filter(|p| p.keep_former).collect();
    for chunk in sql::chunks(&these) {
        let comma = if layout.columns > 0 { ", " } else { "" };
        let fixed = "participant, kind, time, source, version, updated, seen, write, device, state";
        let prefixed: Vec<String> = fixed.split(", ").map(|c| format!("r.{c}")).collect();
        let text = format!(
            "INSERT INTO record_version ({fixed}{comma}{}) SELECT {}{comma}{} \
             FROM (VALUES {}) AS v CROSS JOIN record r WHERE r.participant = v.column1 \
             AND r.kind = {} AND r.time = v.column2 AND r.source = v.column3",
            layout.column_list(""),
            prefixed.join(", "),
            layout.column_list("r."),
            sql::values(chunk.len(), 3),
            layout.id
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for p in chunk {
            query = query.bind(p.participant).bind(p.time).bind(p.source);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Writes new records and new versions.
async fn upsert(
    tx: &mut SqliteConnection,
    layout: &KindLayout,
    pending: &[Pending],
    columns: &[i64],
    write: i64,
) -> Result<()> {
    let these: Vec<&Pending> = pending.iter().filter(|p| p.writes()).collect();
    let mut set = vec![
        "version = excluded.version".to_owned(),
        "updated = excluded.updated".into(),
        "seen = NULL".into(),
        "write = excluded.write".into(),
        "device = excluded.device".into(),
        "state = 0".into(),
    ];
    set.extend((1..=layout.columns).map(|n| format!("c{n} = excluded.c{n}")));
    let set = set.join(", ");
    let comma = if layout.columns > 0 { ", " } else { "" };
    for chunk in sql::chunks(&these) {
        // What is the same for all of them stands in the text.
        let one = format!(
            "(?, {}, ?, ?, ?, ?, {write}, ?, 0{})",
            layout.id,
            ", ?".repeat(layout.columns)
        );
        let mut rows = String::with_capacity(chunk.len() * (one.len() + 1));
        for i in 0..chunk.len() {
            if i > 0 {
                rows.push(',');
            }
            rows.push_str(&one);
        }
        let text = format!(
            "INSERT INTO record (participant, kind, time, source, version, updated, write, device, state{comma}{}) \
             VALUES {rows} ON CONFLICT (participant, kind, time, source) DO UPDATE SET {set}",
            layout.column_list(""),
        );
        let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
        for p in chunk {
            query = query
                .bind(p.participant)
                .bind(p.time)
                .bind(p.source)
                .bind(p.version)
                .bind(p.updated)
                .bind((p.device != NULL).then_some(p.device));
            for &value in &columns[p.columns..p.columns + layout.columns] {
                query = query.bind((value != NULL).then_some(value));
            }
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Remembers the newer `update_time` of records with the same content.
async fn remember(
    tx: &mut SqliteConnection,
    layout: &KindLayout,
    pending: &[Pending],
) -> Result<()> {
    let these: Vec<&Pending> = pending.iter().filter(|p| p.seen).collect();
    for chunk in sql::chunks(&these) {
        let text = format!(
            "UPDATE record SET seen = v.column4 FROM (VALUES {}) AS v \
             WHERE record.participant = v.column1 AND record.kind = {} \
             AND record.time = v.column2 AND record.source = v.column3",
            sql::values(chunk.len(), 4),
            layout.id
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for p in chunk {
            query = query
                .bind(p.participant)
                .bind(p.time)
                .bind(p.source)
                .bind(p.updated);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}
