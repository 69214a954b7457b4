//! Canonical codes and units in what was written of an Observation: it shows those of its
//! record, and beside them the quantity as it was written (mapping specification §5.4).

use serde_json::{Map, Value, json};

use super::Inbound;
use crate::fhir::residue;
use crate::kind::Kinds;

impl Inbound<'_> {
    /// Puts a quantity that was converted into an extension, with the code that it had
    /// (mapping specification §5.4).
    pub(super) fn keep_original(&self, value: &mut Value, pointer: &str) {
        let Some((parent, name)) = pointer.rsplit_once('/') else {
            return;
        };
        let parent = match parent {
            "" => Some(value),
            parent => value.pointer_mut(parent),
        };
        let Some(parent) = parent.and_then(Value::as_object_mut) else {
            return;
        };
        let Some(quantity) = parent.shift_remove(name) else {
            return;
        };
        add_original(self.kinds, parent, &quantity);
        self.without_other_quantity(parent);
    }

    /// Takes the codes away that mean the quantity as it was written, not as it is kept.
    fn without_other_quantity(&self, parent: &mut Map<String, Value>) {
        let Some(code) = parent.get_mut("code").and_then(Value::as_object_mut) else {
            return;
        };
        let Some(codings) = code.get_mut("coding").and_then(Value::as_array_mut) else {
            return;
        };
        let before = codings.len();
        codings.retain(|coding| {
            let text = |name: &str| coding[name].as_str().unwrap_or_default();
            !self
                .backward
                .is_other_quantity(text("system"), text("code"))
        });
        if codings.len() == before {
            return;
        }
        code.shift_remove("text");
        if code["coding"].as_array().is_some_and(Vec::is_empty) {
            parent.shift_remove("code");
        }
    }
}

/// Adds the extension that holds a quantity as it was written, with the code that it had.
fn add_original(kinds: &Kinds, parent: &mut Map<String, Value>, quantity: &Value) {
    let mut parts = Vec::new();
    if let Some(code) = parent.get("code") {
        parts.push(json!({ "url": "code", "valueCodeableConcept": code }));
    }
    parts.push(json!({ "url": "value", "valueQuantity": quantity }));
    let url = format!("{}{}", kinds.canonical.base(), residue::ORIGINAL_VALUE);
    let original = json!({ "url": url, "extension": parts });
    match parent.get_mut("extension").and_then(Value::as_array_mut) {
        Some(extensions) => extensions.push(original),
        None => {
            parent.insert("extension".into(), json!([original]));
        }
    }
}

/// Shows quantities in the unit that the record has, as it writes that; the unit that was
/// written stands in an extension (mapping specification §5.4).
pub(super) fn with_own_units(kinds: &Kinds, own: &Value, written: &mut Value) {
    let Some(members) = written.as_object_mut() else {
        return;
    };
    let quantity = own.get("valueQuantity").and_then(Value::as_object);
    let theirs = members
        .get_mut("valueQuantity")
        .and_then(Value::as_object_mut);
    if let (Some(quantity), Some(theirs)) = (quantity, theirs)
        && theirs.contains_key("value")
    {
        const UNIT: [&str; 3] = ["unit", "system", "code"];
        let differs =
            |name: &&str| theirs.contains_key(*name) && theirs.get(*name) != quantity.get(*name);
        if UNIT.iter().any(differs) {
            let mut original = Map::new();
            original.extend(
                theirs
                    .get("value")
                    .map(|value| ("value".into(), value.clone())),
            );
            for name in UNIT {
                original.extend(theirs.shift_remove(name).map(|text| (name.into(), text)));
            }
            add_original(kinds, members, &original.into());
        }
    }
    let components = members.get_mut("component").and_then(Value::as_array_mut);
    for component in components.into_iter().flatten() {
        let ours = own["component"].as_array().into_iter().flatten();
        if let Some(ours) = ours.into_iter().find(|ours| residue::same(ours, component)) {
            with_own_units(kinds, ours, component);
        }
    }
}

/// Says by a coding of ours which component it is: its own codings stand beside that.
pub(super) fn with_coding(component: &mut Value, (system, code): (&str, &str)) {
    let codings = &mut component["code"]["coding"];
    let coding = json!({ "system": system, "code": code });
    match codings.as_array_mut() {
        Some(codings) => codings.insert(0, coding),
        None => *codings = json!([coding]),
    }
}

/// Writes the systems of codes as we write them; contained resources stay as they are.
pub(super) fn canonical_systems(kinds: &Kinds, value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("code")
                && let Some(Value::String(system)) = members.get_mut("system")
            {
                let canonical = kinds.systems.canonical(system);
                if canonical != system {
                    *system = canonical.to_owned();
                }
            }
            let others = members.iter_mut().filter(|(name, _)| *name != "contained");
            others.for_each(|(_, value)| canonical_systems(kinds, value));
        }
        Value::Array(items) => {
            items
                .iter_mut()
                .for_each(|item| canonical_systems(kinds, item));
        }
        _ => {}
    }
}
