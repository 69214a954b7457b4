//! The tree of a resource with holes, read from a mapping file.
//!
//! A string that is nothing but `{name}` is a hole; a string that begins with
//! `{base}` stands under the canonical base; everything else is constant. Forward
//! compiles the tree ([`super::forward`]), backward matches against it
//! ([`super::backward`]). The grammar is the page `mappings/README.md`.

use serde_json::Value;

use crate::json;
use crate::kind::{Field, Type};

/// A place in a resource where a value of the record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// `{body_weight}`: the value of a field.
    Field(usize),
    /// `{measurement_position_code.display}`: what the code of a field is called.
    Display(usize),
    /// `{jlac10}`: derived from a registry, see [`super::Derived`]; write-only.
    Derived(usize),
    /// `{$subject}`: a named piece that all kinds share.
    Piece(Piece),
}

/// The named pieces that a mapping file refers to by `{$name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// `{$id}`: the logical id, a function of the record's identity.
    Id,
    /// `{$version}`: `meta.versionId`; left out where there is no server.
    Version,
    /// `{$updated}`: `meta.lastUpdated`; left out where there is no server.
    Updated,
    /// `{$record}`: the identity of the record as one string.
    Record,
    /// `{$measurement}`: the identity of one part of the split shape.
    Measurement,
    /// `{$status}`: `final` or `corrected`.
    Status,
    /// `{$subject}`: a reference to the Patient.
    Subject,
    /// `{$device}`: a reference to the Device.
    Device,
    /// `{$laboratory}`: a reference to the Organization; left out where none is named.
    Laboratory,
}

impl Piece {
    /// All pieces with their names.
    pub const ALL: [(&'static str, Piece); 9] = [
        ("$id", Piece::Id),
        ("$version", Piece::Version),
        ("$updated", Piece::Updated),
        ("$record", Piece::Record),
        ("$measurement", Piece::Measurement),
        ("$status", Piece::Status),
        ("$subject", Piece::Subject),
        ("$device", Piece::Device),
        ("$laboratory", Piece::Laboratory),
    ];
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub enum Node {
    /// A constant scalar.
    Const(Const),
    /// A hole.
    Hole(Hole),
    /// An object, members in written order.
    Object(Vec<(String, Node)>),
    /// An array.
    Array(Vec<Node>),
}

/// A constant scalar of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Const {
    /// As JSON text.
    pub json: String,
    /// Its plain text: the content of a string, the number or literal as written.
    pub text: String,
}

impl Node {
    /// The member of an object.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Node::Object(members) => members.iter().find(|(k, _)| k == name).map(|(_, n)| n),
            _ => None,
        }
    }

    /// The `value[x]` of an Observation or a component.
    pub fn value(&self) -> Option<&Node> {
        match self {
            Node::Object(members) => members
                .iter()
                .find(|(name, _)| name.starts_with("value"))
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The elements of an array; none for any other node.
    pub fn items(&self) -> &[Node] {
        match self {
            Node::Array(items) => items,
            _ => &[],
        }
    }

    /// The text of a constant.
    pub fn constant(&self) -> Option<&str> {
        match self {
            Node::Const(c) => Some(&c.text),
            _ => None,
        }
    }

    /// Whether `hole` stands anywhere in this node.
    pub fn contains(&self, hole: Hole) -> bool {
        match self {
            Node::Const(_) => false,
            Node::Hole(h) => *h == hole,
            Node::Object(members) => members.iter().any(|(_, n)| n.contains(hole)),
            Node::Array(items) => items.iter().any(|n| n.contains(hole)),
        }
    }

    /// All holes of this node.
    pub fn holes(&self, out: &mut Vec<Hole>) {
        match self {
            Node::Const(_) => {}
            Node::Hole(h) => out.push(*h),
            Node::Object(members) => members.iter().for_each(|(_, n)| n.holes(out)),
            Node::Array(items) => items.iter().for_each(|n| n.holes(out)),
        }
    }
}

/// What a template may name.
pub struct Names<'a> {
    /// The fields of the kind.
    pub fields: &'a [Field],
    /// The derived values of the kind.
    pub derived: &'a [String],
    /// The canonical base, which `{base}` stands for.
    pub base: &'a str,
    /// The name of the kind, which `{$kind}` stands for.
    pub kind: &'a str,
}

impl Names<'_> {
    /// Reads a template. Faults are pushed as (JSON pointer, reason).
    pub fn read(&self, value: &Value, pointer: &str, faults: &mut Vec<(String, String)>) -> Node {
        match value {
            Value::Object(members) => Node::Object(
                members
                    .iter()
                    .filter(|(key, _)| !key.starts_with('$'))
                    .map(|(key, v)| {
                        let pointer = format!("{pointer}/{}", json::pointer_part(key));
                        (key.clone(), self.read(v, &pointer, faults))
                    })
                    .collect(),
            ),
            Value::Array(items) => Node::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, v)| self.read(v, &format!("{pointer}/{i}"), faults))
                    .collect(),
            ),
            Value::String(s) => self.string(s, pointer, faults),
            other => {
                let text = other.to_string();
                Node::Const(Const {
                    json: text.clone(),
                    text,
                })
            }
        }
    }

    fn string(&self, s: &str, pointer: &str, faults: &mut Vec<(String, String)>) -> Node {
        if let Some(rest) = s.strip_prefix("{base}") {
            return constant(&format!("{}{rest}", self.base));
        }
        let Some(name) = s.strip_prefix('{').and_then(|s| s.strip_suffix('}')) else {
            return constant(s);
        };
        if name == "$kind" {
            return constant(self.kind);
        }
        match self.hole(name) {
            Ok(hole) => Node::Hole(hole),
            Err(reason) => {
                faults.push((pointer.to_owned(), reason));
                constant("")
            }
        }
    }

    fn hole(&self, name: &str) -> Result<Hole, String> {
        if name.starts_with('$') {
            return Piece::ALL
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, piece)| Hole::Piece(*piece))
                .ok_or_else(|| format!("there is no named piece {{{name}}}"));
        }
        if let Some(field) = name.strip_suffix(".display") {
            let place = self.fields.iter().position(|f| f.name == field);
            return match place {
                Some(i) if self.fields[i].ty == Type::Code => Ok(Hole::Display(i)),
                _ => Err(format!("{{{name}}} needs a coded field {field:?}")),
            };
        }
        if let Some(i) = self.fields.iter().position(|f| f.name == name) {
            return Ok(Hole::Field(i));
        }
        if let Some(i) = self.derived.iter().position(|d| d == name) {
            return Ok(Hole::Derived(i));
        }
        Err(format!(
            "{{{name}}} is neither a field, a derived value nor a named piece"
        ))
    }
}

/// A constant string.
pub fn constant(text: &str) -> Node {
    let mut out = Vec::new();
    json::string_into(&mut out, text);
    Node::Const(Const {
        json: String::from_utf8(out).unwrap_or_default(),
        text: text.to_owned(),
    })
}

/// The tree of a frame filled by a kind's own: objects merge, arrays join (a kind's
/// categories stand before the frame's, else the frame's elements come first), anything
/// else the kind's own replaces.
pub fn merge(frame: Node, own: Node) -> Node {
    merge_under("", frame, own)
}

fn merge_under(key: &str, frame: Node, own: Node) -> Node {
    match (frame, own) {
        (Node::Object(mut members), Node::Object(own)) => {
            for (key, node) in own {
                match members.iter().position(|(k, _)| *k == key) {
                    Some(i) => {
                        let former = std::mem::replace(&mut members[i].1, Node::Array(Vec::new()));
                        members[i].1 = merge_under(&key, former, node);
                    }
                    None => members.push((key, node)),
                }
            }
            Node::Object(members)
        }
        (Node::Array(mut frame), Node::Array(mut own)) => {
            if key == "category" {
                own.append(&mut frame);
                Node::Array(own)
            } else {
                frame.append(&mut own);
                Node::Array(frame)
            }
        }
        (_, own) => own,
    }
}

/// The elements of an Observation in the order of the R4 definition.
const ORDER: [&str; 28] = [
    "resourceType",
    "id",
    "meta",
    "implicitRules",
    "language",
    "text",
    "contained",
    "extension",
    "modifierExtension",
    "identifier",
    "basedOn",
    "partOf",
    "status",
    "category",
    "code",
    "subject",
    "focus",
    "encounter",
    "effectiveDateTime",
    "effectivePeriod",
    "issued",
    "performer",
    "valueQuantity",
    "valueCodeableConcept",
    "valueString",
    "valueInteger",
    "dataAbsentReason",
    "interpretation",
];
const ORDER_AFTER: [&str; 9] = [
    "note",
    "bodySite",
    "method",
    "specimen",
    "device",
    "referenceRange",
    "hasMember",
    "derivedFrom",
    "component",
];

/// Sorts the members of an Observation as R4 defines them.
pub fn sort_elements(node: &mut Node) {
    if let Node::Object(members) = node {
        members.sort_by_key(|(name, _)| {
            ORDER
                .iter()
                .chain(&ORDER_AFTER)
                .position(|n| n == name)
                .unwrap_or(usize::MAX)
        });
    }
}
