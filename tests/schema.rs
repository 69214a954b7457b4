//! The reader and the JSON Schema of the protocol say the same: what the reader takes is
//! valid, and what is valid the reader takes, but for what a schema cannot say
//! ([`schema::NOT_SAID`]).

mod faults;

use std::sync::LazyLock;

use jsonschema::Validator;
use kenko_fhir::exchange::{self, Submission, schema};
use kenko_fhir::fault::{Code, Fault};
use kenko_fhir::kind::Kinds;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use unicode_normalization::UnicodeNormalization;

static KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds::embedded().unwrap());
static SCHEMA: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema::submission(&KINDS)).unwrap());

fn read(text: &str) -> Submission {
    exchange::read(&KINDS, exchange::Options::default(), text.as_bytes()).unwrap()
}

/// The value that a fault points at, where it is there.
fn value_at<'a>(document: &'a Value, fault: &Fault) -> Option<&'a Value> {
    document.pointer(&fault.pointer)
}

/// Whether a fault of the reader is one that the schema cannot say.
fn is_not_said(document: &Value, fault: &Fault) -> bool {
    let number = match value_at(document, fault) {
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    match fault.code {
        // Decimals, exponents, and the characters that decimals need.
        Code::Decimals => true,
        Code::Digits if number.is_empty() => is_decomposed(document, fault),
        Code::Digits => number.contains(['.', 'e', 'E']),
        // A minus sign before zero.
        Code::Range => number.parse::<f64>() == Ok(0.0),
        Code::TimeInvalid | Code::FutureTime | Code::DuplicateKey | Code::DuplicateIdentity => true,
        _ => false,
    }
}

/// A string whose length depends on its normalisation.
fn is_decomposed(document: &Value, fault: &Fault) -> bool {
    let text = value_at(document, fault)
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.nfc().count() != text.chars().count()
}

/// Holds both to the same document; the text may say more than the document (duplicate keys).
fn agree(document: &Value) -> Result<(), TestCaseError> {
    let text = document.to_string();
    let submission = read(&text);
    let valid = SCHEMA.is_valid(document);
    if !submission.has_errors() {
        // The reader counts characters after normalisation.
        let normal: Value = serde_json::from_str(&text.nfc().collect::<String>()).unwrap();
        let errors: Vec<String> = SCHEMA
            .iter_errors(&normal)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        prop_assert!(
            errors.is_empty(),
            "taken but not valid: {:?}\n{}",
            errors,
            text
        );
    }
    if valid {
        for fault in submission.all_faults().filter(|f| f.is_error()) {
            prop_assert!(
                is_not_said(document, fault),
                "valid but: {:?}\n{}",
                fault,
                text
            );
        }
    }
    Ok(())
}

/// A valid submission with a record of each kind.
fn whole() -> Value {
    let mut persons = Vec::new();
    for case in faults::cases() {
        if case.name.ends_with(" is fine") && !case.registries && case.name != "empty is fine" {
            let document: Value = serde_json::from_str(&case.text).unwrap();
            persons.push(document["person_information"][0].clone());
        }
    }
    assert_eq!(persons.len(), KINDS.len());
    json!({ "format_version": "1.0", "send_time": "20161006030000000",
            "consortium_id": "A00001", "person_information": persons })
}

/// All JSON pointers of a document, its root included.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, &format!("{at}/{name}"), out);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{i}"), out);
            }
        }
        _ => {}
    }
}

/// A change of a document.
#[derive(Debug, Clone)]
enum Change {
    /// Another value.
    Put(Index, Value),
    /// Another value like the one that stands there.
    Like(Index, Value),
    /// No value.
    Remove(Index),
    /// Another name for a member.
    Rename(Index, String),
    /// A further member.
    Add(Index, String, Value),
    /// An element twice.
    Repeat(Index),
    /// An object as an array of one.
    Wrap(Index),
    /// The value of another place.
    Copy(Index, Index),
}

fn number() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,4})?",
        "-?[0-9](\\.[0-9])?[eE][+-]?[0-9]{1,3}",
        Just("-0".to_owned()),
        Just("-0.00".to_owned()),
        Just("999999".to_owned()),
        Just("9999.99".to_owned()),
    ];
    text.prop_map(|text| serde_json::from_str(&text).unwrap())
}

fn string() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[0-9A-Za-z]{0,22}",
        "20(15|16)[01][0-9][0-3][0-9][0-2][0-9][0-6][0-9][0-6][0-9]([0-9]{3})?",
        "1\\.[0-9]{1,2}",
        "[0-5][0-9]?",
        "\\PC{0,60}",
        "[か\u{3099}\u{0085}\t\u{7f}x]{1,52}",
        "字{50,51}",
        "字{200,201}",
        Just(String::new()),
    ];
    text.prop_map(Value::String)
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        number(),
        string(),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        Just(json!([])),
        Just(json!({})),
        Just(json!([{}])),
        Just(json!([null])),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = [
        "person_id",
        "person_information",
        "send_time",
        "healthcare_information",
        "health_checkup_information",
        "note",
    ]
    .map(str::to_owned)
    .into();
    for kind in KINDS.iter() {
        names.push(kind.array.clone());
        names.extend(kind.names.keys().cloned());
    }
    names.sort();
    names.dedup();
    proptest::sample::select(names)
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), any_value()).prop_map(|(i, v)| Change::Put(i, v)),
        4 => (at(), prop_oneof![number(), string()]).prop_map(|(i, v)| Change::Like(i, v)),
        1 => at().prop_map(Change::Remove),
        2 => (at(), name()).prop_map(|(i, n)| Change::Rename(i, n)),
        2 => (at(), name(), any_value()).prop_map(|(i, n, v)| Change::Add(i, n, v)),
        1 => at().prop_map(Change::Repeat),
        1 => at().prop_map(Change::Wrap),
        1 => (at(), at()).prop_map(|(i, j)| Change::Copy(i, j)),
    ]
}

fn split(pointer: &str) -> Option<(&str, &str)> {
    pointer.rsplit_once('/')
}

fn apply(document: &mut Value, change: &Change) {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    let pick = |i: &Index| i.get(&all).clone();
    match change {
        Change::Put(i, value) => *document.pointer_mut(&pick(i)).unwrap() = value.clone(),
        Change::Like(i, value) => {
            let same = |v: &Value| std::mem::discriminant(v) == std::mem::discriminant(value);
            let alike: Vec<&String> = all
                .iter()
                .filter(|at| document.pointer(at).is_some_and(same))
                .collect();
            if !alike.is_empty() {
                let at = (*i.get(&alike)).clone();
                *document.pointer_mut(&at).unwrap() = value.clone();
            }
        }
        Change::Remove(i) => {
            let at = pick(i);
            let Some((parent, name)) = split(&at) else {
                return;
            };
            match document.pointer_mut(parent).unwrap() {
                Value::Object(members) => drop(members.shift_remove(name)),
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                _ => {}
            }
        }
        Change::Rename(i, new) => {
            let at = pick(i);
            let Some((parent, name)) = split(&at) else {
                return;
            };
            if let Value::Object(members) = document.pointer_mut(parent).unwrap() {
                let renamed: Map<String, Value> = std::mem::take(members)
                    .into_iter()
                    .map(|(n, v)| (if n == name { new.clone() } else { n }, v))
                    .collect();
                *members = renamed;
            }
        }
        Change::Add(i, name, value) => {
            if let Value::Object(members) = document.pointer_mut(&pick(i)).unwrap() {
                members.insert(name.clone(), value.clone());
            }
        }
        Change::Repeat(i) => {
            if let Value::Array(items) = document.pointer_mut(&pick(i)).unwrap() {
                items.extend(items.first().cloned());
            }
        }
        Change::Wrap(i) => {
            let at = document.pointer_mut(&pick(i)).unwrap();
            *at = Value::Array(vec![at.take()]);
        }
        Change::Copy(i, j) => {
            let value = document.pointer(&pick(j)).unwrap().clone();
            *document.pointer_mut(&pick(i)).unwrap() = value;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn reader_and_schema_agree_on_changed_submissions(
        changes in proptest::collection::vec(change(), 1..4)
    ) {
        let mut document = whole();
        for change in &changes {
            apply(&mut document, change);
        }
        agree(&document)?;
    }
}

#[test]
fn reader_and_schema_agree_on_the_table_of_faults() {
    let mut checked = 0;
    for case in faults::cases() {
        let text = case.text.trim_start_matches('\u{feff}');
        let Ok(document) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        // A repeated key is one that a document no longer has; nesting is bounded.
        let apart = ["duplicate-key", "json"];
        if case.lenient || case.expect.iter().any(|e| apart.contains(&e.code.as_str())) {
            continue;
        }
        agree(&document).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        checked += 1;
    }
    assert!(checked > 800);
}

#[test]
fn the_whole_submission_is_valid_and_taken() {
    let document = whole();
    assert!(SCHEMA.is_valid(&document));
    assert!(read(&document.to_string()).all_faults().next().is_none());
}
