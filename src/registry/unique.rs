//! What may be there only once: keys, external identifiers, stand-ins (protocol
//! specification §4, crosswalk columns).
//!
//! Within one file this is checked while reading. Against what is stored, the store calls
//! [`check_unique`] once more.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};

use super::faults::Faults;
use super::list::List;
use super::row::Row;
use crate::fault::{Code, Fault};
use crate::fhir::canonical::INSTITUTION_NO;
use crate::fhir::id::{Hash96, hash96};

/// Finds what occurs twice among the rows of one list.
///
/// - a key: `duplicate-key` at the last field of the key;
/// - within a consortium, a `system|value` of `external_identifiers` (`institution_code`
///   counts as one too) at two participants, or at two laboratories; a client in
///   `default_for` of two laboratories; a record kind in `fallback_for` of two devices:
///   `duplicate-identity` at the item.
///
/// Only hashes are kept, 16 bytes for each.
#[derive(Debug, Default)]
pub struct Unique {
    keys: HashMap<Hash96, u32>,
    claims: HashMap<Hash96, u32>,
}

/// Something that a row claims for itself alone.
struct Claim {
    field: &'static str,
    /// The item of a list field.
    item: Option<usize>,
    hash: Hash96,
    expected: &'static str,
}

impl Unique {
    /// Nothing seen yet.
    pub fn new() -> Unique {
        Unique::default()
    }

    /// Takes note of a row; false, with a fault for each thing that was there already.
    /// `index` is the row's number in its file, for the pointer.
    pub fn add(&mut self, row: &Row, index: u64, faults: &mut Faults) -> bool {
        let before = faults.total();
        let line = row.place().line;
        if let Some(first) = self.keys.insert(key_hash(row), line) {
            let last = row.key().len() - 1;
            let name = row.list().fields[last].name;
            let expected = with_line("each key once", first);
            faults.push(
                Fault::new(Code::DuplicateKey, format!("/{index}/{name}"), row.place())
                    .expected(expected)
                    .found(&row.key().join(" ")),
            );
            // One fault tells it all: what a repeated row claims was claimed before.
            return false;
        }
        for claim in claims(row) {
            if let Some(first) = self.claims.insert(claim.hash, line) {
                let pointer = match claim.item {
                    Some(item) => format!("/{index}/{}/{item}", claim.field),
                    None => format!("/{index}/{}", claim.field),
                };
                let found = match claim.item {
                    Some(item) => row.items(claim.field).get(item).map(String::as_str),
                    None => row.text(claim.field),
                };
                faults.push(
                    Fault::new(Code::DuplicateIdentity, pointer, row.place())
                        .expected(with_line(claim.expected, first))
                        .found(found.unwrap_or_default()),
                );
            }
        }
        faults.total() == before
    }
}

fn with_line(expected: &str, line: u32) -> String {
    match line {
        0 => format!("{expected} (another row has it)"),
        _ => format!("{expected} (line {line} has it)"),
    }
}

fn key_hash(row: &Row) -> Hash96 {
    hash96("key", &row.key())
}

fn claims(row: &Row) -> Vec<Claim> {
    let list: &List = row.list();
    let consortium = row.text("consortium_id").unwrap_or_default();
    let mut out = Vec::new();
    for (item, identifier) in row.items("external_identifiers").iter().enumerate() {
        out.push(Claim {
            field: "external_identifiers",
            item: Some(item),
            hash: hash96("identifier", &[list.name, consortium, identifier]),
            expected: "an identifier of one row of the consortium",
        });
    }
    if let Some(code) = row.text("institution_code") {
        let identifier = format!("{INSTITUTION_NO}|{code}");
        let hash = hash96("identifier", &[list.name, consortium, &identifier]);
        // A row may give its institution code as an identifier too.
        if !out.iter().any(|claim: &Claim| claim.hash == hash) {
            out.push(Claim {
                field: "institution_code",
                item: None,
                hash,
                expected: "an identifier of one row of the consortium",
            });
        }
    }
    for (item, client) in row.items("default_for").iter().enumerate() {
        out.push(Claim {
            field: "default_for",
            item: Some(item),
            hash: hash96("default_for", &[consortium, client]),
            expected: "one laboratory for each consortium and client",
        });
    }
    for (item, kind) in row.items("fallback_for").iter().enumerate() {
        out.push(Claim {
            field: "fallback_for",
            item: Some(item),
            hash: hash96("fallback_for", &[kind]),
            expected: "one device for each record kind",
        });
    }
    out
}

/// Checks `rows` against one another and against the rows `stored`, of which those with the
/// key of a new row are left out, since they will be replaced. Stored rows without
/// crosswalk columns claim nothing and need not be given.
pub fn check_unique(
    stored: impl IntoIterator<Item = impl Borrow<Row>>,
    rows: &[Row],
    faults: &mut Faults,
) {
    let replaced: HashSet<Hash96> = rows.iter().map(key_hash).collect();
    let mut unique = Unique::new();
    for row in stored {
        let row = row.borrow();
        if !replaced.contains(&key_hash(row)) {
            // What is stored was checked when it was stored.
            unique.add(row, 0, &mut Faults::with_max(0));
        }
    }
    for (index, row) in (0..).zip(rows) {
        unique.add(row, index, faults);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Place;
    use crate::registry::{DEVICES, LABORATORIES, PARTICIPANTS};

    fn row(list: &'static List, line: u32, values: &[(&str, &str)]) -> Row {
        let mut row = Row::new(list).at(Place { line, column: 1 });
        for (field, text) in values {
            row.put(field, text).unwrap();
        }
        row
    }

    fn found(stored: &[Row], rows: &[Row]) -> Vec<(Code, String)> {
        let mut faults = Faults::default();
        check_unique(stored, rows, &mut faults);
        let told = faults.into_kept().into_iter();
        told.map(|fault| (fault.code, fault.pointer)).collect()
    }

    fn participant(c: &str, p: &str, identifier: &str) -> Row {
        let values = [
            ("consortium_id", c),
            ("person_id", p),
            ("external_identifiers", identifier),
        ];
        row(&PARTICIPANTS, 0, &values)
    }

    #[test]
    fn an_identifier_belongs_to_one_participant_of_a_consortium() {
        let a = participant("A00001", "P1", "urn:x|1");
        let b = participant("A00001", "P2", "urn:x|1");
        let elsewhere = participant("B00001", "P2", "urn:x|1");
        assert_eq!(found(&[], &[a.clone(), elsewhere]), []);
        let clash = [(
            Code::DuplicateIdentity,
            "/1/external_identifiers/0".to_owned(),
        )];
        assert_eq!(found(&[], &[a.clone(), b.clone()]), clash);
        let clash = [(
            Code::DuplicateIdentity,
            "/0/external_identifiers/0".to_owned(),
        )];
        assert_eq!(
            found(std::slice::from_ref(&a), std::slice::from_ref(&b)),
            clash
        );
        // The stored row gives the identifier up, so another may have it.
        assert_eq!(
            found(&[a], &[participant("A00001", "P1", "urn:x|2"), b]),
            []
        );
    }

    #[test]
    fn a_key_occurs_once() {
        let a = participant("A00001", "P1", "urn:x|1");
        assert_eq!(
            found(&[], &[a.clone(), a.clone()]),
            [(Code::DuplicateKey, "/1/person_id".to_owned())]
        );
        assert_eq!(
            found(std::slice::from_ref(&a), std::slice::from_ref(&a)),
            []
        );
    }

    #[test]
    fn laboratories_and_devices_stand_in_once() {
        let lab = |line, id, field, value| {
            let key = [("consortium_id", "A00001"), ("test_lab_id", id)];
            row(&LABORATORIES, line, &[key[0], key[1], (field, value)])
        };
        let rows = [
            lab(2, "1", "default_for", "*"),
            lab(3, "2", "default_for", "ehr"),
            lab(4, "3", "default_for", "*"),
            lab(5, "4", "institution_code", "2312345678"),
            lab(
                6,
                "5",
                "external_identifiers",
                &format!("{INSTITUTION_NO}|2312345678"),
            ),
        ];
        assert_eq!(
            found(&[], &rows),
            [
                (Code::DuplicateIdentity, "/2/default_for/0".to_owned()),
                (
                    Code::DuplicateIdentity,
                    "/4/external_identifiers/0".to_owned()
                ),
            ]
        );
        let device = |model| {
            let key = [("model_manufacturer_code", "ACME"), ("model_number", model)];
            row(&DEVICES, 0, &[key[0], key[1], ("fallback_for", "hba1c")])
        };
        assert_eq!(
            found(&[], &[device("1"), device("2")]),
            [(Code::DuplicateIdentity, "/1/fallback_for/0".to_owned())]
        );
    }
}
