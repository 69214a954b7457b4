//! `$meta`: profiles, security labels and tags
//! (<https://hl7.org/fhir/R4/resource-operation-meta.html>).
//!
//! What the instances of a type carry is said by the tables and the mappings, so that no
//! instance need be read: a type, or all of them, have what any instance may have.

use serde_json::{Map, Value, json};

use super::capability::profiles;
use super::resource::Resource;
use crate::kind::Kinds;
use crate::mapping::Node;

/// The labels that instances of these types may have, each once.
pub fn of_types<'a>(kinds: &Kinds, resources: impl Iterator<Item = &'a Resource>) -> Value {
    let mut all = Map::new();
    let mut add = |name: &str, label: Value| {
        let labels = all.entry(name.to_owned()).or_insert_with(|| json!([]));
        if let Some(labels) = labels.as_array_mut().filter(|l| !l.contains(&label)) {
            labels.push(label);
        }
    };
    for resource in resources {
        for profile in profiles(kinds, resource) {
            add("profile", profile.into());
        }
        if resource.name() != "Observation" {
            continue;
        }
        for kind in kinds.iter() {
            let meta = kind.mapping.panel.root.get("meta");
            for name in ["security", "tag"] {
                let labels = meta.and_then(|m| m.get(name)).map_or(&[][..], Node::items);
                labels
                    .iter()
                    .filter_map(constant)
                    .for_each(|label| add(name, label));
            }
        }
    }
    all.into()
}

/// A node of a template without holes, as a value.
fn constant(node: &Node) -> Option<Value> {
    match node {
        Node::Const(constant) => serde_json::from_str(&constant.json).ok(),
        Node::Hole(_) => None,
        Node::Object(members) => {
            let members = members
                .iter()
                .map(|(name, node)| Some((name.clone(), constant(node)?)));
            members
                .collect::<Option<Map<String, Value>>>()
                .map(Value::Object)
        }
        Node::Array(items) => items.iter().map(constant).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::resource::RESOURCES;

    #[test]
    fn a_type_has_what_its_instances_may_have() {
        let kinds = Kinds::embedded().unwrap();
        let all = of_types(&kinds, RESOURCES.iter());
        let all = all["profile"].as_array().unwrap();
        for profile in [
            "http://hl7.org/fhir/StructureDefinition/bp",
            "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Patient",
        ] {
            assert_eq!(all.iter().filter(|p| *p == profile).count(), 1, "{profile}");
        }
        let device = RESOURCES.iter().filter(|r| r.name() == "Device");
        assert_eq!(of_types(&kinds, device), json!({}));
    }
}
