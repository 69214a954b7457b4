//! Page cursors: where the next page begins, as an opaque short text.
//!
//! A cursor is a few numbers and a checksum over them and the search they belong to, so that
//! one that was changed, or put into another search, is refused instead of skipping
//! matches. It is no secret: whoever has a cursor may read no more than without it.

use crate::fhir::id;

const CHECKSUM: usize = 6;
/// Characters of a cursor at most: a place of four sort keys with long texts has some hundred.
const LENGTH_MAX: usize = 16_384;

fn checksum(search: &str, bytes: &[u8]) -> [u8; CHECKSUM] {
    let written: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let hash = id::hash96("cursor", &[search, &written]);
    [hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]]
}

/// The cursor of `search` (its query without a cursor) that stands at `place`, for what
/// comes before it or after it.
pub fn encode(search: &str, before: bool, place: &[i64]) -> String {
    let mut bytes = Vec::with_capacity(32);
    bytes.push(u8::from(before));
    for &number in place {
        let mut n = (number << 1 ^ number >> 63) as u64;
        while n >= 0x80 {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
    }
    bytes.extend(checksum(search, &bytes));
    id::encode_bytes(&bytes)
}

/// Direction and place of a cursor of `search`, if it is one.
pub fn decode(search: &str, cursor: &str) -> Option<(bool, Vec<i64>)> {
    if cursor.len() > LENGTH_MAX {
        return None;
    }
    let bytes = id::decode_bytes(cursor)?;
    let (rest, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    if checksum(search, rest) != *sum {
        return None;
    }
    let (before, mut rest) = rest.split_first()?;
    let mut place = Vec::new();
    while !rest.is_empty() {
        let mut n = 0u64;
        let mut shift = 0;
        loop {
            let (&byte, tail) = rest.split_first()?;
            rest = tail;
            n |= u64::from(byte & 0x7F).checked_shl(shift)?;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        place.push((n >> 1) as i64 ^ -((n & 1) as i64));
    }
    Some((*before == 1, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back() {
        for place in [vec![0, 1, -1], vec![i64::MIN, i64::MAX, 1_472_655_600]] {
            for before in [false, true] {
                let cursor = encode("code=x", before, &place);
                assert!(cursor.len() < 60, "{cursor}");
                assert_eq!(decode("code=x", &cursor), Some((before, place.clone())));
            }
        }
    }

    #[test]
    fn a_changed_or_foreign_cursor_is_none() {
        let cursor = encode("code=x", false, &[1, 2, 3]);
        assert_eq!(decode("code=y", &cursor), None);
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(decode("code=x", &changed), None, "{changed}");
        }
        for bad in [
            "",
            "A",
            "AA",
            "日本",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(decode("code=x", bad), None);
        }
    }
}
