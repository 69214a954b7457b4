//! Resources that others refer to.

use std::collections::HashSet;

use serde_json::Value;

use super::id;
use super::instance::{self, Instance, Origin};
use super::resource::{Resource, by_name};
use crate::mapping::{Hole, Piece};
use crate::store::{Records, Result};

/// The references within a resource: `Patient/{id}`. Those to what is contained, or
/// elsewhere, are left out.
pub fn references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "reference" && split(text).is_some() => {
                        out.push(text.clone());
                    }
                    _ => references(value, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

/// What records refer to by one of the elements of their Observations: each reference once.
pub fn of_records(records: &Records, element: &str, out: &mut Vec<String>) {
    // Few devices and laboratories stand in many records: nothing is written twice.
    let mut known = HashSet::new();
    let mut laboratories = HashSet::new();
    for row in &records.rows {
        let record = records.record(row);
        let mut holes = Vec::new();
        if let Some(node) = record.kind.mapping.panel.root.get(element) {
            node.holes(&mut holes);
        }
        for hole in holes {
            let reference = match hole {
                Hole::Piece(Piece::Subject) => &row.person.reference,
                Hole::Piece(Piece::Device) => match &row.device {
                    Some(device) => &device.reference,
                    None => continue,
                },
                Hole::Piece(Piece::Laboratory) => {
                    let laboratory = record.kind.laboratory.map_or("", |f| record.text(f));
                    if !laboratory.is_empty()
                        && laboratories.insert((record.consortium_id, laboratory))
                    {
                        let id = id::laboratory(record.consortium_id, laboratory);
                        out.push(format!("Organization/{id}"));
                    }
                    continue;
                }
                _ => continue,
            };
            if known.insert(reference.as_str()) {
                out.push(reference.clone());
            }
        }
    }
}

/// The resource type, which must be served here, and the id of a reference.
pub fn split(reference: &str) -> Option<(&'static Resource, &str)> {
    let (name, id) = reference.split_once('/')?;
    let resource = by_name(name)?;
    (!id.contains('/')).then_some((resource, id))
}

/// What references lead to. `seen` has the references that were followed before, and gets
/// these; nothing is given twice. Observations are not followed.
///
/// # Errors
/// Those of the store.
pub async fn follow(
    from: Origin<'_>,
    references: &[String],
    seen: &mut HashSet<String>,
    wanted: impl Fn(&Resource) -> bool,
) -> Result<Vec<Instance>> {
    let mut by_type: Vec<(&'static Resource, Vec<&str>)> = Vec::new();
    for reference in references {
        let Some((resource, id)) = split(reference) else {
            continue;
        };
        if !wanted(resource) || !seen.insert(reference.clone()) {
            continue;
        }
        match by_type
            .iter_mut()
            .find(|(r, _)| r.name() == resource.name())
        {
            Some((_, ids)) => ids.push(id),
            None => by_type.push((resource, vec![id])),
        }
    }
    let mut out = Vec::new();
    for (resource, ids) in by_type {
        out.extend(instance::by_ids(from, resource, &ids).await?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let value = json!({
            "subject": { "reference": "Patient/a" },
            "agent": [{ "who": { "reference": "Device/b" } }],
            "contained": [{ "x": { "reference": "#c" } }],
            "other": { "reference": "http://h/Patient/d" },
            "unknown": { "reference": "Nothing/e" },
        });
        let mut out = Vec::new();
        references(&value, &mut out);
        assert_eq!(out, ["Patient/a", "Device/b"]);
    }
}
