//! The table of faulty submissions, `tests/data/faults/faults.json`: which faults each must
//! get. One table for every way in, so that they cannot disagree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The folder of the table.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/faults")
}

#[derive(Deserialize)]
struct Table {
    bases: BTreeMap<String, Vec<String>>,
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
struct RawCase {
    name: String,
    /// The base that `edits` change.
    base: Option<String>,
    /// What to find, exactly once, and what to put in its place.
    #[serde(default)]
    edits: Vec<(String, String)>,
    /// The whole text, where there is no base.
    text: Option<String>,
    #[serde(default)]
    registries: bool,
    #[serde(default)]
    lenient: bool,
    expect: Vec<Expected>,
}

/// A fault as far as it is a contract.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    pub line: u32,
    pub column: u32,
    pub pointer: String,
    pub code: String,
    pub severity: String,
}

/// One submission of the table.
pub struct Case {
    pub name: String,
    pub text: String,
    /// Whether it is judged with the lists in `registries/`.
    pub registries: bool,
    pub lenient: bool,
    /// Each fault once, in the order of their places.
    pub expect: Vec<Expected>,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("faults.json")).unwrap();
    let table: Table = serde_json::from_str(&text).unwrap();
    let bases = table.bases;
    let case = |raw: RawCase| {
        let mut text = match (&raw.base, raw.text) {
            (Some(base), None) => bases[base].join("\n"),
            (None, Some(text)) => text,
            _ => panic!("{}: a base or a text", raw.name),
        };
        for (find, replace) in &raw.edits {
            if find.is_empty() {
                text.insert_str(0, replace);
                continue;
            }
            assert_eq!(text.matches(find).count(), 1, "{}: {find}", raw.name);
            text = text.replacen(find, replace, 1);
        }
        let mut expect = raw.expect;
        expect.sort();
        Case {
            name: raw.name,
            text,
            registries: raw.registries,
            lenient: raw.lenient,
            expect,
        }
    };
    table.cases.into_iter().map(case).collect()
}
