//! Logical ids: computed from what a resource names, never stored or drawn.
//!
//! The same record, participant, device or laboratory has the same id on every
//! node, in the converter and after every import. All ids use the 64 characters
//! of the FHIR id type (`[A-Za-z0-9\-.]`) as a base-64 alphabet, so that an
//! Observation id is 256 bits in 43 characters:
//!
//! | bits | what |
//! |---:|---|
//! | 96 | hash of consortium and person, which leads to the participant's row |
//! | 24 | hash of the kind (of kind and item for a part of the split shape) |
//! | 40 | seconds since the year 1 |
//! | 96 | hash of the source (serial number or laboratory) |
//!
//! so that an id leads to the primary key of its record without an index of its
//! own, and shows no person id.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
/// Seconds from 0001-01-01T00:00:00Z to the Unix epoch.
const YEAR_ONE: i64 = 62_135_596_800;

/// 96 bits of a hash, enough to tell a million participants apart (collision below 10⁻¹⁶).
pub type Hash96 = [u8; 12];

/// A hash over `domain` and `parts`, each with its length, so that no two lists collide.
pub fn hash96(domain: &str, parts: &[&str]) -> Hash96 {
    let mut sha = Sha256::new();
    for part in std::iter::once(&domain).chain(parts) {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    let digest = sha.finalize();
    let mut out = [0; 12];
    out.copy_from_slice(&digest[..12]);
    out
}

/// The hash of a participant: the first 96 bits of all ids about them.
pub fn participant_hash(consortium_id: &str, person_id: &str) -> Hash96 {
    hash96("participant", &[consortium_id, person_id])
}

/// The hash of no source.
pub static NO_SOURCE: LazyLock<Hash96> = LazyLock::new(|| source_hash(""));

/// The hash of a record's source: a serial number, a laboratory, or nothing.
pub fn source_hash(source: &str) -> Hash96 {
    hash96("source", &[source])
}

/// 24 bits for a record kind (or `kind:item` for a part of the split shape).
pub fn kind_hash(label: &str) -> [u8; 3] {
    let h = hash96("kind", &[label]);
    [h[0], h[1], h[2]]
}

/// What an Observation id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObservationKey {
    /// Hash of consortium and person.
    pub participant: Hash96,
    /// Hash of the kind.
    pub kind: [u8; 3],
    /// `observation_time` in seconds since the Unix epoch.
    pub seconds: i64,
    /// Hash of the source.
    pub source: Hash96,
}

impl ObservationKey {
    /// The logical id: 43 characters.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let mut bits = [0u8; 32];
        bits[..12].copy_from_slice(&self.participant);
        bits[12..15].copy_from_slice(&self.kind);
        let seconds = (self.seconds + YEAR_ONE).clamp(0, (1 << 40) - 1) as u64;
        bits[15..20].copy_from_slice(&seconds.to_be_bytes()[3..]);
        bits[20..].copy_from_slice(&self.source);
        encode_into(&bits, out);
    }

    /// The logical id as a string.
    pub fn encode(&self) -> String {
        let mut out = Vec::with_capacity(43);
        self.encode_into(&mut out);
        ascii(out)
    }

    /// Reads an id back; `None` for anything this program did not write.
    pub fn decode(id: &str) -> Option<ObservationKey> {
        let bits: [u8; 32] = decode(id)?.try_into().ok()?;
        let mut seconds = [0u8; 8];
        seconds[3..].copy_from_slice(&bits[15..20]);
        Some(ObservationKey {
            participant: bits[..12].try_into().ok()?,
            kind: bits[12..15].try_into().ok()?,
            seconds: i64::from_be_bytes(seconds) - YEAR_ONE,
            source: bits[20..].try_into().ok()?,
        })
    }
}

/// A 96-bit hash as 16 characters.
pub fn encode_hash(hash: &Hash96) -> String {
    let mut out = Vec::with_capacity(16);
    encode_into(hash, &mut out);
    ascii(out)
}

/// Reads a 16-character id back.
pub fn decode_hash(id: &str) -> Option<Hash96> {
    decode(id)?.try_into().ok()
}

/// `Patient/{id}` and `ResearchSubject/{id}` of a participant.
pub fn participant(consortium_id: &str, person_id: &str) -> String {
    encode_hash(&participant_hash(consortium_id, person_id))
}

/// `Organization/{id}` and `ResearchStudy/{id}` of a consortium.
pub fn consortium(consortium_id: &str) -> String {
    encode_hash(&hash96("consortium", &[consortium_id]))
}

/// `Organization/{id}` of a laboratory.
pub fn laboratory(consortium_id: &str, test_lab_id: &str) -> String {
    encode_hash(&hash96("laboratory", &[consortium_id, test_lab_id]))
}

/// `Device/{id}` of a device part.
pub fn device(maker: &str, model: &str, serial: &str) -> String {
    encode_hash(&hash96("device", &[maker, model, serial]))
}

/// `DeviceDefinition/{id}` of a device model.
pub fn device_model(maker: &str, model: &str) -> String {
    encode_hash(&hash96("device-model", &[maker, model]))
}

/// `Provenance/{id}` of a write and a participant; of a write alone where it is about none.
pub fn provenance(write: &str, participant: Option<&Hash96>) -> String {
    match participant {
        Some(participant) => format!("{write}.{}", encode_hash(participant)),
        None => write.to_owned(),
    }
}

/// A `urn:uuid` for what `reference` (`Patient/{id}`) names: always the same for the same.
/// Its layout is that of version 8 of RFC 9562, made from a hash.
pub fn urn_uuid(reference: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(reference.as_bytes());
    let mut out = String::with_capacity(45);
    out.push_str("urn:uuid:");
    for (i, &byte) in digest.iter().take(16).enumerate() {
        let byte = match i {
            6 => byte & 0x0F | 0x80,
            8 => byte & 0x3F | 0x80,
            _ => byte,
        };
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
    out
}

/// One part of a canonical string: `%` and `:` escaped (mapping specification §2.2).
pub fn escape_part(part: &str, out: &mut String) {
    for c in part.chars() {
        match c {
            '%' => out.push_str("%25"),
            ':' => out.push_str("%3A"),
            _ => out.push(c),
        }
    }
}

/// Parts joined by `:`, each escaped.
pub fn join(parts: &[&str]) -> String {
    let mut out = String::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push(':');
        }
        escape_part(part, &mut out);
    }
    out
}

/// The parts of a joined string, unescaped.
pub fn split(joined: &str) -> Vec<String> {
    joined
        .split(':')
        .map(|part| part.replace("%3A", ":").replace("%25", "%"))
        .collect()
}

/// Bytes in the alphabet of ids.
pub fn encode_bytes(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 1);
    encode_into(bytes, &mut out);
    ascii(out)
}

/// Reads bytes back; a text that [`encode_bytes`] does not write gives none.
pub fn decode_bytes(text: &str) -> Option<Vec<u8>> {
    decode(text)
}

fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    let (whole, rest) = bytes.as_chunks::<3>();
    let digits = |word: u32| [18, 12, 6, 0].map(|shift| ALPHABET[(word >> shift & 63) as usize]);
    for &[a, b, c] in whole {
        out.extend_from_slice(&digits(u32::from_be_bytes([0, a, b, c])));
    }
    if !rest.is_empty() {
        let mut word = [0u8; 4];
        word[1..=rest.len()].copy_from_slice(rest);
        out.extend_from_slice(&digits(u32::from_be_bytes(word))[..=rest.len()]);
    }
}

fn decode(id: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(id.len() * 3 / 4);
    for chunk in id.as_bytes().chunks(4) {
        if chunk.len() == 1 {
            return None;
        }
        let mut word = 0u32;
        for (i, &c) in chunk.iter().enumerate() {
            let digit = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'-' => 62,
                b'.' => 63,
                _ => return None,
            };
            word |= u32::from(digit) << (18 - 6 * i);
        }
        let bytes = word.to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
        // The spare bits of the last character are zero, so that an id has one spelling.
        if bytes[chunk.len()..].iter().any(|&b| b != 0) {
            return None;
        }
    }
    Some(out)
}

fn ascii(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_id_reads_back() {
        let key = ObservationKey {
            participant: participant_hash("A00001", "P1"),
            kind: kind_hash("hba1c"),
            seconds: -5,
            source: source_hash(""),
        };
        let id = key.encode();
        assert_eq!(id.len(), 43);
        assert_eq!(ObservationKey::decode(&id), Some(key));
        assert!(id.starts_with(&participant("A00001", "P1")));
    }

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!(decode("AB"), None);
        assert!(decode("AA").is_some());
        assert_eq!(ObservationKey::decode("not/an id"), None);
        assert_eq!(ObservationKey::decode("short"), None);
    }

    #[test]
    fn parts_with_colons_and_percent_signs_survive() {
        let parts = ["A:B", "50%", "%3A", "", "体重"];
        assert_eq!(split(&join(&parts)), parts);
    }

    #[test]
    fn a_uuid_is_the_same_for_the_same_reference() {
        let urn = urn_uuid("Patient/a");
        assert_eq!(urn, urn_uuid("Patient/a"));
        assert_ne!(urn, urn_uuid("Patient/b"));
        assert_eq!(urn.len(), 45);
        let bytes = urn.as_bytes();
        assert_eq!(bytes[23], b'8');
        assert!(matches!(bytes[28], b'8' | b'9' | b'a' | b'b'));
    }

    #[test]
    fn lists_that_join_alike_hash_apart() {
        assert_ne!(
            hash96("device", &["ab", "c", ""]),
            hash96("device", &["a", "bc", ""])
        );
    }
}
