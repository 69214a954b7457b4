//! What is wrong with a file before it is read as a kind: its shape (the schema), names that
//! stand twice; and what only shows in all kinds together.

use std::collections::{HashMap, HashSet};

use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::{File, MappingFault, SCHEMA, fault};
use crate::json::{self, Event};
use crate::kind::Kind;

/// What the schema says of each file.
pub(super) fn check_shape(schema: &Value, files: &[&File], faults: &mut Vec<MappingFault>) {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(e) => {
            faults.push(fault(SCHEMA, "", e.to_string()));
            return;
        }
    };
    for file in files {
        for error in validator.iter_errors(&file.value) {
            let pointer = error.instance_path().to_string();
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    for name in unexpected {
                        let pointer = format!("{pointer}/{}", json::pointer_part(name));
                        faults.push(file.fault(pointer, "no such keyword here"));
                    }
                }
                ValidationErrorKind::PropertyNames { error } => {
                    faults.push(file.fault(pointer, format!("a name here: {}", error.masked())));
                }
                _ => faults.push(file.fault(pointer, error.masked().to_string())),
            }
        }
    }
}

/// What only shows in all kinds together: places, hashes and codes that would not tell them
/// apart.
pub(super) fn check_together(list: &[(&File, Kind)], faults: &mut Vec<MappingFault>) {
    let mut by_path: HashMap<(&str, &str), &str> = HashMap::new();
    let mut by_hash: HashMap<[u8; 3], String> = HashMap::new();
    for (i, (file, kind)) in list.iter().enumerate() {
        if let Some(other) = by_path.insert((&kind.section, &kind.array), &kind.name) {
            faults.push(file.fault("/at", format!("the kind {other} stands there")));
        }
        let parts = kind.mapping.parts.iter();
        let parts = parts.map(|p| {
            (
                p.hash,
                format!("{}:{}", kind.name, kind.fields[p.field].name),
            )
        });
        for (hash, name) in std::iter::once((kind.hash, kind.name.clone())).chain(parts) {
            if let Some(other) = by_hash.insert(hash, name) {
                let reason = format!("has the same 24-bit hash as {other}: choose another name");
                faults.push(file.fault("/kind", reason));
            }
        }
        // A home and a check-up kind may share codes: device and laboratory tell them apart.
        let rivals = list[..i].iter().map(|(_, other)| other);
        for other in rivals.filter(|other| other.device.is_some() == kind.device.is_some()) {
            let theirs = other.mapping.observation_codes();
            let shared = kind.mapping.observation_codes();
            let shared = shared.iter().find(|c| theirs.iter().any(|t| t.overlaps(c)));
            if let Some(code) = shared {
                let reason = format!("the code {code} is also that of {}", other.name);
                faults.push(file.fault("/observation/code", reason));
            }
        }
    }
}

/// JSON pointers of names that stand twice in one object, which a parser would take the
/// last of without a word.
pub(super) fn repeated_names(text: &[u8]) -> Vec<String> {
    let mut json = json::Reader::new(text);
    let mut repeated = Vec::new();
    // The names met in each open object, or the elements counted in each open array.
    let mut open: Vec<(Option<HashSet<String>>, String, usize)> = Vec::new();
    loop {
        let event = match json.next() {
            Ok(Event::End) | Err(_) => return repeated,
            Ok(event) => event,
        };
        let is_value = !matches!(event, Event::Key | Event::ObjectEnd | Event::ArrayEnd);
        if is_value && let Some((None, step, count)) = open.last_mut() {
            *step = count.to_string();
            *count += 1;
        }
        match event {
            Event::ObjectStart => open.push((Some(HashSet::new()), String::new(), 0)),
            Event::ArrayStart => open.push((None, String::new(), 0)),
            Event::ObjectEnd | Event::ArrayEnd => {
                open.pop();
            }
            Event::Key => {
                let name = json.text().to_owned();
                let mut new = true;
                if let Some((Some(names), step, _)) = open.last_mut() {
                    *step = json::pointer_part(&name);
                    new = names.insert(name);
                }
                if !new {
                    repeated.push(open.iter().map(|(_, step, _)| format!("/{step}")).collect());
                }
            }
            _ => {}
        }
    }
}
