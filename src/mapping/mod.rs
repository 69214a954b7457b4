//! A mapping file is a FHIR resource with holes: forward fills them, backward reads them.

pub mod backward;
pub mod forward;
pub mod template;

use std::collections::HashMap;

use crate::decimal::Decimal;

pub use forward::{Context, Derived, Meta, Program, Registered, Unregistered};
pub use template::{Hole, Node, Piece};

/// The physical name of the laboratory field, which `{$laboratory}` refers to.
pub const LABORATORY: &str = "test_lab_id";

/// The FHIR side of a record kind.
#[derive(Debug)]
pub struct Mapping {
    /// One record as one Observation.
    pub panel: Shape,
    /// The panel without the components that the split shape moves out; absent where
    /// the kind has no split shape.
    pub anchor: Option<Shape>,
    /// The parts of the split shape.
    pub parts: Vec<Part>,
    /// Values derived from registries.
    pub derived: Vec<Derived>,
    /// What may vary on the way in.
    pub accepts: Accepts,
}

/// One shape of a resource: its tree, and the tree compiled.
#[derive(Debug)]
pub struct Shape {
    /// The tree, which backward matches.
    pub root: Node,
    /// The program, which forward runs.
    pub program: Program,
}

/// One part of the split shape.
#[derive(Debug)]
pub struct Part {
    /// The field that the part carries.
    pub field: usize,
    /// 24 bits of `kind:item`, as the ids of parts carry them.
    pub hash: [u8; 3],
    /// Its shape.
    pub shape: Shape,
}

/// A coding by system and code; the code may be a prefix (`9N006*` in the file).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePattern {
    /// The system, as we write it.
    pub system: String,
    /// The code, or its beginning.
    pub code: String,
    /// Whether `code` is the beginning of the codes meant.
    pub prefix: bool,
}

impl CodePattern {
    /// Whether a coding (with its canonical system) is meant.
    pub fn matches(&self, system: &str, code: &str) -> bool {
        self.system == system
            && if self.prefix {
                code.starts_with(&self.code)
            } else {
                self.code == code
            }
    }
}

/// A unit taken on the way in: value × `times` ÷ `divide` + `plus` is the field's value.
#[derive(Debug, Clone)]
pub struct Unit {
    /// UCUM code.
    pub code: String,
    /// Texts taken for it where neither system nor code is given.
    pub texts: Vec<String>,
    /// Factor.
    pub times: Option<Decimal>,
    /// Divisor.
    pub divide: Option<Decimal>,
    /// Offset, added last.
    pub plus: Option<Decimal>,
}

/// What may vary on the way in for one field.
#[derive(Debug, Default, Clone)]
pub struct FieldAccepts {
    /// Further codes for the field.
    pub codes: Vec<CodePattern>,
    /// Codes that are refused.
    pub refuse: Vec<CodePattern>,
    /// Units; the first is the field's own.
    pub units: Vec<Unit>,
}

/// What may vary on the way in.
#[derive(Debug, Default)]
pub struct Accepts {
    /// Codes of the Observation itself.
    pub code: FieldAccepts,
    /// By field.
    pub fields: HashMap<usize, FieldAccepts>,
}

impl Mapping {
    /// The codings of an Observation of this kind under `code`: (system, code), derived ones
    /// included.
    pub fn code_codings(&self) -> Vec<(String, String)> {
        self.panel
            .root
            .get("code")
            .map_or_else(Vec::new, |code| self.concept_codings(code))
    }

    /// The codings of all categories.
    pub fn category_codings(&self) -> Vec<(String, String)> {
        let categories = self.panel.root.get("category").map_or(&[][..], Node::items);
        categories
            .iter()
            .flat_map(|c| self.concept_codings(c))
            .collect()
    }

    /// The constant and derived codings of one CodeableConcept.
    pub fn concept_codings(&self, concept: &Node) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for coding in concept.get("coding").map_or(&[][..], Node::items) {
            let system = coding
                .get("system")
                .and_then(Node::constant)
                .unwrap_or_default();
            match coding.get("code") {
                Some(Node::Const(code)) => out.push((system.to_owned(), code.text.clone())),
                Some(Node::Hole(Hole::Derived(i))) => {
                    let values = &self.derived[*i].values;
                    out.extend(values.iter().map(|(_, v)| (system.to_owned(), v.clone())));
                }
                _ => {}
            }
        }
        out
    }
}
