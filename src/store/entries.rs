//! What became of each record of a submission, kept compactly.
//!
//! The entries that say something (all but those plainly created or unchanged) are kept as
//! JSON. All entries (`?entries=all`) are kept as a deflated run of small differences, a
//! few bytes a record: enough to tell pointer, outcome and reference again.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::fault::Fault;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// First seen: version 1.
    Created,
    /// Newer and different: the next version.
    Updated,
    /// The same content.
    Unchanged,
    /// Older than what is stored.
    Stale,
    /// Equal `update_time`, different content.
    Conflict,
    /// Refused by its faults.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 6] = [
        Outcome::Created,
        Outcome::Updated,
        Outcome::Unchanged,
        Outcome::Stale,
        Outcome::Conflict,
        Outcome::Refused,
    ];

    /// The word that receipts write.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Unchanged => "unchanged",
            Outcome::Stale => "stale",
            Outcome::Conflict => "conflict",
            Outcome::Refused => "refused",
        }
    }
}

/// One entry of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// JSON pointer of the record.
    pub pointer: String,
    /// What became of it.
    pub outcome: Outcome,
    /// `Observation/{id}` where there is one.
    pub reference: Option<String>,
    /// Its faults and warnings.
    pub faults: Vec<Fault>,
}

/// One entry of the compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compact {
    /// What became of it.
    pub outcome: Outcome,
    /// `kind.id`
    pub kind: i64,
    /// Element of `person_information`.
    pub person: i64,
    /// Element of the section plus one; 0 where it was an object.
    pub element: i64,
    /// Element of the array.
    pub index: i64,
    /// `participant.id`, or -1 where there is no reference.
    pub participant: i64,
    /// Seconds since the epoch.
    pub time: i64,
    /// `text.id` of the source.
    pub source: i64,
}

impl Compact {
    fn numbers(self) -> [i64; 7] {
        let Compact {
            kind,
            person,
            element,
            index,
            participant,
            time,
            source,
            ..
        } = self;
        [kind, person, element, index, participant, time, source]
    }
}

/// Entries to compact bytes.
pub fn pack(entries: impl IntoIterator<Item = Compact>) -> Result<Vec<u8>> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::fast());
    let mut before = [0i64; 7];
    let mut buf = Vec::with_capacity(64);
    for entry in entries {
        buf.clear();
        buf.push(entry.outcome as u8);
        let now = entry.numbers();
        for (a, b) in now.iter().zip(before) {
            varint(&mut buf, a.wrapping_sub(b));
        }
        before = now;
        out.write_all(&buf).map_err(damaged)?;
    }
    out.finish().map_err(damaged)
}

/// Compact bytes to entries.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Compact>> {
    let mut plain = Vec::new();
    DeflateDecoder::new(bytes)
        .read_to_end(&mut plain)
        .map_err(damaged)?;
    let mut out = Vec::new();
    let mut rest = plain.as_slice();
    let mut now = [0i64; 7];
    while let Some((&outcome, tail)) = rest.split_first() {
        rest = tail;
        let outcome = *Outcome::ALL
            .get(usize::from(outcome))
            .ok_or_else(|| Error::Damaged("an entry of a receipt".into()))?;
        for n in &mut now {
            *n = n.wrapping_add(read_varint(&mut rest)?);
        }
        let [kind, person, element, index, participant, time, source] = now;
        out.push(Compact {
            outcome,
            kind,
            person,
            element,
            index,
            participant,
            time,
            source,
        });
    }
    Ok(out)
}

/// A value as deflated JSON.
pub fn pack_json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::fast());
    serde_json::to_writer(&mut out, value).map_err(|e| Error::Damaged(e.to_string()))?;
    out.finish().map_err(damaged)
}

/// A value from deflated JSON.
pub fn unpack_json<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    serde_json::from_reader(std::io::BufReader::new(DeflateDecoder::new(bytes)))
        .map_err(|e| Error::Damaged(e.to_string()))
}

fn damaged(e: std::io::Error) -> Error {
    Error::Damaged(e.to_string())
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut n = (value << 1 ^ value >> 63) as u64;
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn read_varint(rest: &mut &[u8]) -> Result<i64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let Some((&byte, tail)) = rest.split_first() else {
            break;
        };
        *rest = tail;
        n |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok((n >> 1) as i64 ^ -((n & 1) as i64));
        }
    }
    Err(Error::Damaged("an entry of a receipt".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_and_are_small() {
        let entries: Vec<Compact> = (0..1000)
            .map(|i| Compact {
                outcome: Outcome::ALL[(i % 100 / 99) as usize],
                kind: 1 + i / 300,
                person: i / 30,
                element: 0,
                index: i % 30,
                participant: 1000 + i / 30,
                time: 1_470_000_000 + i * 86_400 + i * 7919 % 60,
                source: 5,
            })
            .collect();
        let packed = pack(entries.iter().copied()).unwrap();
        assert_eq!(unpack(&packed).unwrap(), entries);
        assert!(packed.len() < 6 * entries.len(), "{} bytes", packed.len());
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
    }

    #[test]
    fn extreme_numbers_survive() {
        let mut out = Vec::new();
        for n in [0, 1, -1, i64::MAX, i64::MIN, 127, -128] {
            out.clear();
            varint(&mut out, n);
            assert_eq!(read_varint(&mut out.as_slice()).unwrap(), n);
        }
    }
}
