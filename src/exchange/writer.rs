//! Writes submissions in normal form: objects for sections, no empty arrays, records by
//! person, kind, time and source, the field names of one edition.

use std::io::{self, Write};

use super::Submission;
use crate::decimal;
use crate::json;
use crate::kind::{Edition, Kinds, Type};
use crate::record::Record;
use crate::time;

/// What stands around the records.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// `format_version`.
    pub format_version: &'a str,
    /// `send_time`, in milliseconds since the epoch.
    pub send_time: i64,
    /// `consortium_id`.
    pub consortium_id: &'a str,
}

/// Writes one submission, record by record.
pub struct Writer<W> {
    out: W,
    edition: Edition,
    buf: Vec<u8>,
    person: String,
    /// The kind whose array is open.
    kind: Option<usize>,
    section: String,
    persons: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a submission.
    ///
    /// # Errors
    /// What the output says.
    pub fn new(out: W, envelope: &Envelope, edition: Edition) -> io::Result<Self> {
        let mut buf = Vec::with_capacity(64 << 10);
        buf.extend_from_slice(b"{\"format_version\":");
        json::string_into(&mut buf, envelope.format_version);
        buf.extend_from_slice(b",\"send_time\":\"");
        time::write17(&mut buf, envelope.send_time);
        buf.extend_from_slice(b"\",\"consortium_id\":");
        json::string_into(&mut buf, envelope.consortium_id);
        buf.extend_from_slice(b",\"person_information\":[");
        Ok(Writer {
            out,
            edition,
            buf,
            person: String::new(),
            kind: None,
            section: String::new(),
            persons: 0,
        })
    }

    /// Adds a record. Records come by person, and within a person by kind.
    ///
    /// # Errors
    /// What the output says.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        let kind = record.kind;
        if self.persons == 0 || self.person != record.person_id {
            self.close_person();
            if self.persons > 0 {
                self.buf.push(b',');
            }
            self.persons += 1;
            self.person.clear();
            self.person.push_str(record.person_id);
            self.buf.extend_from_slice(b"{\"person_id\":");
            json::string_into(&mut self.buf, record.person_id);
        }
        if self.kind == Some(kind.place) {
            self.buf.push(b',');
        } else {
            if self.kind.is_some() {
                self.buf.push(b']');
            }
            self.buf.push(b',');
            if self.section != kind.section {
                if self.kind.is_some() {
                    self.buf.pop();
                    self.buf.extend_from_slice(b"},");
                }
                json::string_into(&mut self.buf, &kind.section);
                self.buf.extend_from_slice(b":{");
                self.section.clear();
                self.section.push_str(&kind.section);
            }
            json::string_into(&mut self.buf, &kind.array);
            self.buf.extend_from_slice(b":[");
            self.kind = Some(kind.place);
        }
        write_record(&mut self.buf, record, self.edition);
        if self.buf.len() >= 60 << 10 {
            self.out.write_all(&self.buf)?;
            self.buf.clear();
        }
        Ok(())
    }

    /// The output, for one that is emptied as it fills.
    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Ends the submission and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.close_person();
        self.buf.extend_from_slice(b"]}");
        self.out.write_all(&self.buf)?;
        Ok(self.out)
    }

    fn close_person(&mut self) {
        if self.kind.take().is_some() {
            self.buf.extend_from_slice(b"]}");
        }
        self.section.clear();
        if self.persons > 0 {
            self.buf.push(b'}');
        }
    }
}

/// Writes one record as an object of the protocol.
pub fn write_record(out: &mut Vec<u8>, record: &Record, edition: Edition) {
    let mut separator = b'{';
    for (field, &cell) in record.kind.fields.iter().zip(record.cells) {
        if cell.is_absent() {
            continue;
        }
        out.push(separator);
        separator = b',';
        out.push(b'"');
        out.extend_from_slice(field.name_in(edition).as_bytes());
        out.extend_from_slice(b"\":");
        match field.ty {
            Type::Number { decimals, .. } => decimal::write(out, cell, decimals),
            Type::Text { .. } => json::string_into(out, record.texts.get(cell.value())),
            Type::Code => {
                let code = field.codes.get(cell.value() as usize);
                json::string_into(out, code.map_or("", |c| &c.code));
            }
            Type::Time14 => {
                out.push(b'"');
                time::write14(out, cell.value());
                out.push(b'"');
            }
            Type::Time17 => {
                out.push(b'"');
                time::write17(out, cell.value());
                out.push(b'"');
            }
        }
    }
    out.push(b'}');
}

/// Writes a submission that was read: what is refused is left out, the rest in normal form.
///
/// # Errors
/// What the output says.
pub fn write<W: Write>(
    out: W,
    kinds: &Kinds,
    submission: &Submission,
    edition: Edition,
) -> io::Result<W> {
    let envelope = Envelope {
        format_version: &submission.format_version,
        send_time: submission.send_time,
        consortium_id: &submission.consortium_id,
    };
    let mut writer = Writer::new(out, &envelope, edition)?;
    for i in submission.canonical_order(kinds) {
        writer.record(&submission.record(kinds, &submission.rows[i as usize]))?;
    }
    writer.finish()
}
