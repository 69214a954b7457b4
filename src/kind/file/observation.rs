//! The Observation of a kind: the frame and what stands in it, and the Observations that its
//! `split` makes of it.

use super::accepts::complete;
use super::reader::{Reader, members, text};
use crate::fhir::id;
use crate::kind::{Field, Type};
use crate::mapping::forward::{self, Derived};
use crate::mapping::template::{self, Names, Node};
use crate::mapping::{Hole, LABORATORY, Mapping, Part, Piece, Shape};

impl Reader<'_> {
    pub(super) fn mapping(&mut self, kind: &str, fields: &[Field]) -> Mapping {
        let derived = self.derived(fields);
        let value = self.value;
        let derived_names: Vec<String> = members(&value["derived"])
            .map(|(name, _)| name.clone())
            .take(derived.len())
            .collect();
        let names = Names {
            fields,
            derived: &derived_names,
            base: self.canonical.base(),
            kind,
        };
        let observation = &value["observation"];
        let frame_name = text(&observation["$frame"]);
        let frame_value = &self.protocol["frames"][&frame_name];
        if !frame_value.is_object() {
            self.fault(
                "/observation/$frame",
                format!("there is no frame {frame_name:?}"),
            );
        }
        let mut told = Vec::new();
        let own = names.read(observation, "/observation", &mut told);
        let mut in_frame = Vec::new();
        let frame = names.read(frame_value, "", &mut in_frame);
        let part_frame = names.read(&self.protocol["frames"]["part"], "", &mut in_frame);
        // A hole of the frame that the kind cannot fill is a fault of the kind's parts.
        told.extend(
            in_frame
                .into_iter()
                .map(|(_, reason)| ("/observation/$frame".into(), reason)),
        );
        let mut root = template::merge(frame.clone(), own.clone());
        template::sort_elements(&mut root);
        for (i, field) in fields.iter().enumerate() {
            let piece = carried_by_piece(&root, fields, i);
            if !root.contains(Hole::Field(i)) && !piece {
                told.push((
                    "/observation".into(),
                    format!("no hole {{{}}}: the value would be lost", field.name),
                ));
            }
        }
        let mut parts = Vec::new();
        let mut moved = Vec::new();
        for (item, entry) in members(&value["split"]) {
            let pointer = format!("/split/{item}");
            let field = fields.iter().position(|f| &f.name == item);
            let component = field.and_then(|i| {
                root.get("component")?
                    .items()
                    .iter()
                    .find(|c| c.contains(Hole::Field(i)))
            });
            let (Some(field), Some(component)) = (field, component) else {
                told.push((pointer, "no component carries this field".into()));
                continue;
            };
            let over = names.read(entry, &pointer, &mut told);
            let node = part_node(&frame, &own, &part_frame, component, over);
            moved.push(field);
            parts.push(Part {
                field,
                hash: id::kind_hash(&format!("{kind}:{item}")),
                shape: Shape::new(node, fields),
            });
        }
        for (pointer, reason) in told {
            self.fault(pointer, reason);
        }
        let anchor =
            (!parts.is_empty()).then(|| Shape::new(without_components(&root, &moved), fields));
        let mut mapping = Mapping {
            main: main_field(&root, fields),
            panel: Shape::new(root, fields),
            anchor,
            parts,
            derived,
            accepts: self.accepts(fields),
        };
        complete(&mut mapping, fields);
        mapping
    }

    fn derived(&mut self, fields: &[Field]) -> Vec<Derived> {
        let mut out = Vec::new();
        let value = self.value;
        let entries = || members(&value["derived"]);
        if entries().count() > forward::DERIVED_MAX {
            self.fault(
                "/derived",
                format!("more than {} derived values", forward::DERIVED_MAX),
            );
        }
        for (name, entry) in entries().take(forward::DERIVED_MAX) {
            if fields.iter().any(|f| &f.name == name) {
                self.fault(format!("/derived/{name}"), "a field has this name");
            }
            let from = text(&entry["from"]);
            let place = fields
                .iter()
                .position(|f| f.name == from && matches!(f.ty, Type::Text { .. }));
            if place.is_none() {
                self.fault(format!("/derived/{name}/from"), "not a field of type str");
            }
            out.push(Derived {
                // Where there is a fault, this stands in, so that the holes keep their places.
                from: place.unwrap_or_default(),
                list: text(&entry["list"]),
                column: text(&entry["column"]),
                values: members(&entry["values"])
                    .map(|(k, v)| (k.clone(), text(v)))
                    .collect(),
            });
        }
        out
    }
}

/// Whether a field's value goes out through a named piece instead of a hole of its own.
fn carried_by_piece(root: &Node, fields: &[Field], i: usize) -> bool {
    let device = [
        "model_manufacturer_code",
        "model_number",
        "production_specification_serial",
    ];
    let name = fields[i].name.as_str();
    (name == LABORATORY && root.contains(Hole::Piece(Piece::Laboratory)))
        || (device.contains(&name) && root.contains(Hole::Piece(Piece::Device)))
}

/// The field in `value[x]` of the Observation itself.
fn main_field(root: &Node, fields: &[Field]) -> Option<usize> {
    let value = root.value()?;
    (0..fields.len()).find(|&i| value.contains(Hole::Field(i)))
}

/// A part: the frame and what the panel repeats, with the component's code and value and
/// what the `split` entry says instead.
fn part_node(frame: &Node, own: &Node, part_frame: &Node, component: &Node, over: Node) -> Node {
    let Node::Object(own) = own else {
        return Node::Object(Vec::new());
    };
    let Node::Object(component) = component.clone() else {
        return Node::Object(Vec::new());
    };
    let Node::Object(over) = over else {
        return Node::Object(Vec::new());
    };
    let mut members: Vec<(String, Node)> = own
        .iter()
        .filter(|(name, _)| name != "code" && name != "component" && !name.starts_with("value"))
        .cloned()
        .chain(component)
        .collect();
    for (name, node) in over {
        match members.iter().position(|(n, _)| *n == name) {
            Some(i) => members[i].1 = node,
            None => members.push((name, node)),
        }
    }
    let frame = template::merge(frame.clone(), part_frame.clone());
    let mut root = template::merge(frame, Node::Object(members));
    template::sort_elements(&mut root);
    root
}

/// The panel without the components of the fields that the split shape moves out.
fn without_components(root: &Node, moved: &[usize]) -> Node {
    let Node::Object(members) = root else {
        return root.clone();
    };
    let members = members
        .iter()
        .filter_map(|(name, node)| {
            if name != "component" {
                return Some((name.clone(), node.clone()));
            }
            let kept: Vec<Node> = node
                .items()
                .iter()
                .filter(|c| !moved.iter().any(|&i| c.contains(Hole::Field(i))))
                .cloned()
                .collect();
            (!kept.is_empty()).then(|| (name.clone(), Node::Array(kept)))
        })
        .collect();
    Node::Object(members)
}
