//! Reading mapping files: every fault of every file, with file, JSON pointer and reason.
//!
//! In: the embedded files and those of a folder ([`sources`]). [`check`] tells what is wrong
//! with a file's shape and between files; [`reader`] makes one file a [`Kind`], its fields in
//! [`fields`], its Observation in [`observation`], what is taken besides in [`accepts`].

mod accepts;
mod check;
mod fields;
mod observation;
mod reader;
mod sources;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Kinds, Systems};
use crate::fhir::canonical::Canonical;
use crate::fhir::id;
use check::{check_shape, check_together, repeated_names};
use reader::{Reader, members, strings, text};
use sources::{Source, sources};

/// What all kinds share.
const PROTOCOL: &str = "protocol.json";
/// The schema of a mapping file.
const SCHEMA: &str = "mapping.schema.json";

/// One fault of a mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFault {
    /// The file.
    pub file: String,
    /// JSON pointer to the place.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

/// All faults of all mapping files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFaults(pub Vec<MappingFault>);

impl fmt::Display for MappingFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let newline = if i > 0 { "\n" } else { "" };
            let pointer = if fault.pointer.is_empty() {
                "/"
            } else {
                &fault.pointer
            };
            write!(f, "{newline}{}: {pointer}: {}", fault.file, fault.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingFaults {}

/// A file that is JSON.
struct File {
    name: String,
    value: Value,
    /// Whether it stands in `--mappings DIR`.
    added: bool,
}

impl File {
    fn fault(&self, pointer: impl Into<String>, reason: impl Into<String>) -> MappingFault {
        fault(&self.name, pointer, reason)
    }
}

fn fault(file: &str, pointer: impl Into<String>, reason: impl Into<String>) -> MappingFault {
    MappingFault {
        file: file.to_owned(),
        pointer: pointer.into(),
        reason: reason.into(),
    }
}

pub(super) fn load(dir: Option<&Path>, canonical: Canonical) -> Result<Kinds, MappingFaults> {
    let mut faults = Vec::new();
    let mut protocol = None;
    let mut schema = Value::Null;
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut contents = vec![canonical.base().to_owned()];
    for Source { name, text, added } in sources(dir, &mut faults) {
        let base = name.rsplit('/').next().unwrap_or_default().to_owned();
        if base == SCHEMA && added {
            // A copy beside own files, for editors; what is checked is what this program knows.
            continue;
        }
        let value = match serde_json::from_slice::<Value>(&text) {
            Ok(value) => value,
            Err(e) => {
                faults.push(fault(&name, "", e.to_string()));
                continue;
            }
        };
        for pointer in repeated_names(&text) {
            faults.push(fault(&name, pointer, "the name stands twice in its object"));
        }
        contents.extend([base.clone(), value.to_string()]);
        let file = File { name, value, added };
        match base.as_str() {
            PROTOCOL => protocol = Some(file),
            SCHEMA => schema = file.value,
            _ => {
                // A kind of DIR replaces the embedded one of the same name.
                let kind = file.value["kind"].as_str().unwrap_or(&base).to_owned();
                if let Some(other) = files.get(&kind)
                    && other.added == file.added
                {
                    let reason = format!("the kind {kind:?} is also that of {}", other.name);
                    faults.push(file.fault("/kind", reason));
                    continue;
                }
                files.insert(kind, file);
            }
        }
    }
    let Some(protocol) = protocol else {
        return Err(MappingFaults(faults));
    };
    let protocol_schema = serde_json::json!({
        "$ref": "#/$defs/protocol", "$defs": schema["$defs"],
    });
    check_shape(&protocol_schema, &[&protocol], &mut faults);
    if !faults.iter().all(|f| f.file != protocol.name) {
        // Every kind would be told of what is wrong in one place.
        return Err(MappingFaults(faults));
    }
    // Where two do not go together, the added one is told.
    let mut all: Vec<&File> = files.values().collect();
    all.sort_by_key(|file| file.added);
    check_shape(&schema, &all, &mut faults);

    let systems = systems(&protocol.value, &canonical);
    let mut list = Vec::new();
    for file in all {
        if faults
            .iter()
            .any(|f| f.file == file.name && f.pointer.is_empty())
        {
            // A whole keyword is missing: whatever else is said would follow from that.
            continue;
        }
        let mut told = Vec::new();
        let mut reader = Reader {
            file: &file.name,
            value: &file.value,
            protocol: &protocol.value,
            systems: &systems,
            canonical: &canonical,
            faults: &mut told,
        };
        list.push((file, reader.kind()));
        // What the reader says of a place is clearer than what the schema says.
        faults.retain(|f| {
            told.iter()
                .all(|t| (&t.file, &t.pointer) != (&f.file, &f.pointer))
        });
        faults.append(&mut told);
    }
    check_together(&list, &mut faults);
    if !faults.is_empty() {
        return Err(MappingFaults(faults));
    }
    let mut list: Vec<Kind> = list.into_iter().map(|(_, kind)| kind).collect();
    list.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
    let list = list
        .into_iter()
        .enumerate()
        .map(|(place, kind)| Arc::new(Kind { place, ..kind }))
        .collect();
    let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
    let digest = id::hash96("mappings", &contents);
    Ok(Kinds::new(list, systems, canonical, digest))
}

fn systems(protocol: &Value, canonical: &Canonical) -> Systems {
    let mut systems = Systems::default();
    for (short, entry) in members(&protocol["systems"]) {
        let system = text(&entry["system"]).replace("{base}", canonical.base());
        for alias in strings(&entry["aliases"]) {
            systems.aliases.insert(alias, system.clone());
        }
        systems.short.insert(short.clone(), system);
    }
    systems
}
