//! A submission as FHIR: a `collection` Bundle, a `transaction` Bundle or NDJSON.
//!
//! Everything is streamed: registry resources first (Organization, Patient,
//! DeviceDefinition, Device), then the Observations in canonical order. Hashes and
//! references of participants, devices, laboratories and sources are worked out once
//! each, so that an Observation costs little more than the copying of its constant bytes.
//!
//! In a transaction, nothing has an id: registry resources are conditional creates,
//! Observations conditional updates by their identifier, and references are `urn:uuid`
//! (made from the ids, so that the same submission gives the same Bundle), see
//! <https://hl7.org/fhir/R4/http.html#transaction>.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;

use crate::exchange::Submission;
use crate::fhir::id::{self, Hash96, ObservationKey};
use crate::fhir::registry;
use crate::json;
use crate::kind::{Edition, Kind, Kinds};
use crate::mapping::{Context, Program, forward};
use crate::record::{Cell, Record};
use crate::registry::Registries;
use crate::store::Told;
use crate::time;

/// Whether a record goes out as one Observation or as several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// One record, one Observation.
    #[default]
    Panel,
    /// Values that others search as Observations of their own stand so (mapping
    /// specification §2.6).
    Split,
}

impl Shape {
    /// `panel` or `split`.
    pub fn parse(text: &str) -> Option<Shape> {
        match text {
            "panel" => Some(Shape::Panel),
            "split" => Some(Shape::Split),
            _ => None,
        }
    }
}

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// One Observation a record, or several.
    pub shape: Shape,
    /// The edition that the Bundle names.
    pub edition: Edition,
    /// What `fullUrl`s begin with; the canonical base where it is empty.
    pub base_url: &'a str,
    /// Rows that Patients, Organizations and Devices are made from. Those it does not have
    /// are written with what the submission tells.
    pub registries: &'a Registries,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Collection,
    Transaction,
    Ndjson,
}

/// Writes a `collection` Bundle.
///
/// # Errors
/// What the output says.
pub fn write_collection<W: Write>(
    out: W,
    kinds: &Kinds,
    submission: &Submission,
    options: &Options,
) -> io::Result<W> {
    Writer::new(out, kinds, submission, options, Form::Collection).write()
}

/// Writes a `transaction` Bundle that any FHIR server takes.
///
/// # Errors
/// What the output says.
pub fn write_transaction<W: Write>(
    out: W,
    kinds: &Kinds,
    submission: &Submission,
    options: &Options,
) -> io::Result<W> {
    Writer::new(out, kinds, submission, options, Form::Transaction).write()
}

/// Writes NDJSON: the Bundle without its entries, then one resource a line.
///
/// # Errors
/// What the output says.
pub fn write_ndjson<W: Write>(
    out: W,
    kinds: &Kinds,
    submission: &Submission,
    options: &Options,
) -> io::Result<W> {
    Writer::new(out, kinds, submission, options, Form::Ndjson).write()
}

/// A participant, with what is worked out once.
struct Subject {
    hash: Hash96,
    reference: String,
}

type ByTexts<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

struct Writer<'a, W> {
    out: W,
    kinds: &'a Kinds,
    submission: &'a Submission,
    options: &'a Options<'a>,
    form: Form,
    base: &'a str,
    buf: Vec<u8>,
    entries: u64,
    /// By place in [`Submission::persons`]; those without a record to write stay out.
    subjects: Vec<Option<Subject>>,
    /// By the places of maker, model and serial.
    devices: ByTexts<[i64; 3], String>,
    /// By the place of `test_lab_id`.
    laboratories: ByTexts<i64, String>,
    /// By the place of the source's text.
    sources: ByTexts<i64, Hash96>,
    no_source: Hash96,
}

const FLUSH: usize = 60 << 10;

impl<'a, W: Write> Writer<'a, W> {
    fn new(
        out: W,
        kinds: &'a Kinds,
        submission: &'a Submission,
        options: &'a Options<'a>,
        form: Form,
    ) -> Self {
        let base = options.base_url.trim_end_matches('/');
        Writer {
            out,
            kinds,
            submission,
            options,
            form,
            base: if base.is_empty() {
                kinds.canonical.base()
            } else {
                base
            },
            buf: Vec::with_capacity(FLUSH + (8 << 10)),
            entries: 0,
            subjects: submission.persons.iter().map(|_| None).collect(),
            devices: HashMap::default(),
            laboratories: HashMap::default(),
            sources: HashMap::default(),
            no_source: *id::NO_SOURCE,
        }
    }

    fn write(mut self) -> io::Result<W> {
        self.head();
        let order = self.submission.canonical_order(self.kinds);
        self.registry(&order)?;
        for &row in &order {
            self.record(row)?;
        }
        if self.form != Form::Ndjson {
            self.buf
                .extend_from_slice(if self.entries > 0 { b"]}\n" } else { b"}\n" });
        }
        self.out.write_all(&self.buf)?;
        Ok(self.out)
    }

    /// The Bundle up to its entries.
    fn head(&mut self) {
        let canonical = &self.kinds.canonical;
        let sent = time::text(|out| time::write17(out, self.submission.send_time));
        let kind = match self.form {
            Form::Transaction => "transaction",
            _ => "collection",
        };
        let head = serde_json::json!({
            "resourceType": "Bundle",
            "meta": { "tag": [
                { "system": canonical.code_system("format-version"),
                  "code": self.submission.format_version },
                { "system": canonical.code_system("protocol-edition"),
                  "code": self.options.edition.as_str() } ] },
            "identifier": {
                "system": canonical.sid("transmission"),
                "value": format!("{}:{sent}", self.submission.consortium_id) },
            "type": kind,
            "timestamp": time::text(|out| time::write_instant(out, self.submission.send_time)),
        });
        let text = head.to_string();
        self.buf.extend_from_slice(text.as_bytes());
        if self.form == Form::Ndjson {
            self.buf.push(b'\n');
        } else {
            self.buf.pop();
        }
    }

    /// Begins an entry.
    fn begin(&mut self) -> io::Result<()> {
        if self.buf.len() >= FLUSH {
            self.out.write_all(&self.buf)?;
            self.buf.clear();
        }
        if self.form != Form::Ndjson {
            self.buf.extend_from_slice(if self.entries == 0 {
                b",\"entry\":[\n"
            } else {
                b",\n"
            });
            self.buf.extend_from_slice(b"{\"fullUrl\":\"");
        }
        self.entries += 1;
        Ok(())
    }

    /// A reference to a resource: `Patient/{id}`, or its `urn:uuid` in a transaction.
    fn reference(&self, kind: &str, id: &str) -> String {
        let plain = format!("{kind}/{id}");
        match self.form {
            Form::Transaction => id::urn_uuid(&plain),
            _ => plain,
        }
    }

    /// Registry resources of everything that the records name.
    fn registry(&mut self, order: &[u32]) -> io::Result<()> {
        let (kinds, submission) = (self.kinds, self.submission);
        let canonical = &kinds.canonical;
        let registries = self.options.registries;
        let consortium = submission.consortium_id.as_str();
        self.resource(match registries.consortium(consortium) {
            Some(row) => registry::organization_consortium(canonical, row, None),
            None => registry::organization_consortium_minimal(canonical, consortium),
        })?;
        let mut persons = Vec::new();
        let mut devices = Vec::new();
        let mut laboratories = Vec::new();
        for &place in order {
            let row = &submission.rows[place as usize];
            let record = submission.record(kinds, row);
            if let Some(person) = row.person.map(|p| p as usize)
                && self.subjects[person].is_none()
            {
                persons.push(person);
                self.subjects[person] = Some(Subject {
                    hash: id::participant_hash(consortium, record.person_id),
                    reference: self
                        .reference("Patient", &id::participant(consortium, record.person_id)),
                });
            }
            self.note_source(&record, &mut devices, &mut laboratories);
        }
        for laboratory in laboratories {
            let laboratory = submission.texts.get(laboratory);
            self.resource(match registries.laboratory(consortium, laboratory) {
                Some(row) => registry::organization_laboratory(canonical, row, None),
                None => {
                    registry::organization_laboratory_minimal(canonical, consortium, laboratory)
                }
            })?;
        }
        for person in persons {
            let person = submission.persons[person].as_str();
            self.resource(match registries.participant(consortium, person) {
                Some(row) => registry::patient(canonical, row, None),
                None => registry::patient_minimal(canonical, consortium, person),
            })?;
        }
        self.devices(&devices)
    }

    fn devices(&mut self, devices: &[[i64; 3]]) -> io::Result<()> {
        let canonical = &self.kinds.canonical;
        let registries = self.options.registries;
        let texts = &self.submission.texts;
        let mut models: Vec<[i64; 2]> = devices.iter().map(|d| [d[0], d[1]]).collect();
        models.sort_unstable();
        models.dedup();
        for model in models {
            let [maker, model] = model.map(|place| texts.get(place));
            if let Some(row) = registries.device(maker, model) {
                let times = registries.recording_time(maker, model);
                self.resource(registry::device_definition(canonical, row, times, None))?;
            }
        }
        for device in devices {
            let [maker, model, serial] = device.map(|place| texts.get(place));
            let row = registries.device(maker, model);
            let told = Told::default();
            let part = [maker, model, serial];
            self.resource(registry::device(canonical, part, row, &told, None))?;
        }
        Ok(())
    }

    /// Works out what a record's device, laboratory and source need, once each.
    fn note_source(
        &mut self,
        record: &Record,
        devices: &mut Vec<[i64; 3]>,
        laboratories: &mut Vec<i64>,
    ) {
        let kind = record.kind;
        if let Some(fields) = kind.device {
            let places = fields.map(|f| record.cells[f].value());
            if !self.devices.contains_key(&places) {
                let [maker, model, serial] = fields.map(|f| record.text(f));
                let reference = self.reference("Device", &id::device(maker, model, serial));
                self.devices.insert(places, reference);
                devices.push(places);
            }
        }
        if let Some(place) = kind.laboratory.and_then(|f| record.cells[f].raw())
            && !self.laboratories.contains_key(&place)
        {
            let laboratory = self.submission.texts.get(place);
            let id = id::laboratory(&self.submission.consortium_id, laboratory);
            let reference = self.reference("Organization", &id);
            self.laboratories.insert(place, reference);
            laboratories.push(place);
        }
        if let Some(place) = source_place(kind, record.cells) {
            self.sources
                .entry(place)
                .or_insert_with(|| id::source_hash(record.source()));
        }
    }

    /// A registry resource.
    fn resource(&mut self, mut resource: Value) -> io::Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&resource["resourceType"]);
        let plain = format!("{kind}/{}", text(&resource["id"]));
        let identifier = &resource["identifier"][0];
        let token = search_token(&text(&identifier["system"]), &text(&identifier["value"]));
        self.begin()?;
        if self.form == Form::Transaction {
            if let Some(members) = resource.as_object_mut() {
                members.shift_remove("id");
            }
            use_uuids(&mut resource);
            self.buf.extend_from_slice(id::urn_uuid(&plain).as_bytes());
        } else if self.form == Form::Collection {
            json::escape_into(&mut self.buf, self.base);
            self.buf.push(b'/');
            self.buf.extend_from_slice(plain.as_bytes());
        }
        self.form.middle(&mut self.buf);
        self.buf.extend_from_slice(resource.to_string().as_bytes());
        self.form.end(&mut self.buf, || {
            let first = format!("\"method\":\"POST\",\"url\":\"{kind}\",\"ifNoneExist\":\"");
            [first, token]
        });
        Ok(())
    }

    /// The Observations of a record.
    fn record(&mut self, place: u32) -> io::Result<()> {
        let row = &self.submission.rows[place as usize];
        let kinds = self.kinds;
        let record = self.submission.record(kinds, row);
        let kind = record.kind;
        let mapping = &kind.mapping;
        if self.options.shape == Shape::Split
            && let Some(anchor) = &mapping.anchor
        {
            let shape = (&anchor.program, &anchor.unnamed);
            self.observation(row.person, &record, kind.hash, shape, None)?;
            for part in &mapping.parts {
                if !record.cells[part.field].is_absent() {
                    let item = kind.fields[part.field].name.as_str();
                    let shape = (&part.shape.program, &part.shape.unnamed);
                    self.observation(row.person, &record, part.hash, shape, Some(item))?;
                }
            }
            return Ok(());
        }
        let shape = (&mapping.panel.program, &mapping.panel.unnamed);
        self.observation(row.person, &record, kind.hash, shape, None)
    }

    fn observation(
        &mut self,
        person: Option<u32>,
        record: &Record,
        hash: [u8; 3],
        (named, unnamed): (&Program, &Program),
        item: Option<&str>,
    ) -> io::Result<()> {
        self.begin()?;
        let kind = record.kind;
        let subject = person.and_then(|p| self.subjects[p as usize].as_ref());
        let source = source_place(kind, record.cells).and_then(|place| self.sources.get(&place));
        let key = ObservationKey {
            participant: subject.map_or([0; 12], |s| s.hash),
            kind: hash,
            seconds: record.seconds(),
            source: *source.unwrap_or(&self.no_source),
        };
        let device = kind
            .device
            .and_then(|fields| self.devices.get(&fields.map(|f| record.cells[f].value())));
        let laboratory = kind
            .laboratory
            .and_then(|f| self.laboratories.get(&record.cells[f].raw()?));
        let context = Context {
            key: &key,
            meta: None,
            status: "final",
            subject: subject.map_or("", |s| &s.reference),
            device: device.map_or("", String::as_str),
            laboratory: laboratory.map_or("", String::as_str),
            registry: self.options.registries,
            item,
        };
        let buf = &mut self.buf;
        match self.form {
            Form::Ndjson => {}
            Form::Collection => {
                json::escape_into(buf, self.base);
                buf.extend_from_slice(b"/Observation/");
                key.encode_into(buf);
            }
            Form::Transaction => {
                let urn = id::urn_uuid(&format!("Observation/{}", key.encode()));
                buf.extend_from_slice(urn.as_bytes());
            }
        }
        self.form.middle(buf);
        let program = if self.form == Form::Transaction {
            unnamed
        } else {
            named
        };
        program.write(buf, record, &context);
        self.form.end(buf, || {
            let canonical = &self.kinds.canonical;
            let identity = forward::identity(record);
            let token = match item {
                Some(item) => {
                    search_token(&canonical.sid("measurement"), &format!("{identity}:{item}"))
                }
                None => search_token(&canonical.sid("record"), &identity),
            };
            let first = "\"method\":\"PUT\",\"url\":\"Observation?";
            [first.to_owned(), token]
        });
        Ok(())
    }
}

impl Form {
    /// Between `fullUrl` and the resource.
    fn middle(self, out: &mut Vec<u8>) {
        if self != Form::Ndjson {
            out.extend_from_slice(b"\",\"resource\":");
        }
    }

    /// After a resource: what a server shall do with it, and the end of the entry.
    fn end(self, out: &mut Vec<u8>, request: impl FnOnce() -> [String; 2]) {
        match self {
            Form::Ndjson => out.push(b'\n'),
            Form::Collection => out.push(b'}'),
            Form::Transaction => {
                let [first, token] = request();
                out.extend_from_slice(b",\"request\":{");
                out.extend_from_slice(first.as_bytes());
                out.extend_from_slice(b"identifier=");
                out.extend_from_slice(token.as_bytes());
                out.extend_from_slice(b"\"}}");
            }
        }
    }
}

/// The place of the text that is the record's source.
fn source_place(kind: &Kind, cells: &[Cell]) -> Option<i64> {
    cells[kind.source?].raw()
}

/// Writes references as the `urn:uuid`s that a transaction gives its entries.
fn use_uuids(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "reference" => *text = id::urn_uuid(text),
                    _ => use_uuids(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(use_uuids),
        _ => {}
    }
}

/// `system|value` as a token of a search, ready to stand in a URL
/// (<https://hl7.org/fhir/R4/search.html#token>).
pub fn search_token(system: &str, value: &str) -> String {
    let mut out = String::with_capacity(system.len() + value.len() + 8);
    encode(system, &mut out);
    out.push_str("%7C");
    encode(value, &mut out);
    out
}

fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        // Characters that separate the values of a search are escaped by a backslash.
        if matches!(byte, b',' | b'|' | b'$' | b'\\') {
            out.push_str("%5C");
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests;
