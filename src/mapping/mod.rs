//! A mapping file is a FHIR resource with holes: forward fills them, backward reads them.

pub mod backward;
pub mod forward;
pub mod template;

use std::collections::HashMap;
use std::fmt;

use crate::decimal::Decimal;
use crate::fault::Code;
use crate::kind::Field;

pub use backward::{Backward, Matcher, Reading, Role, Status, Verdict};
pub use forward::{Context, Derived, Meta, Program, Registered, Unregistered};
pub use template::{Hole, Node, Piece};

/// The physical name of the laboratory field, which `{$laboratory}` refers to.
pub const LABORATORY: &str = "test_lab_id";

/// The FHIR side of a record kind.
#[derive(Debug)]
pub struct Mapping {
    /// The field in `value[x]` of the Observation itself: its codes are the Observation's.
    pub main: Option<usize>,
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
    /// The program without `id`, for conditional updates of servers that choose ids.
    pub unnamed: Program,
    /// What stands where, which backward reads by.
    pub matcher: Matcher,
}

impl Shape {
    /// Compiles a tree.
    pub fn new(root: Node, fields: &[Field]) -> Shape {
        let without_id = match &root {
            Node::Object(members) => {
                let kept = members.iter().filter(|(name, _)| name != "id");
                Node::Object(kept.cloned().collect())
            }
            _ => root.clone(),
        };
        Shape {
            program: forward::compile(&root, fields),
            unnamed: forward::compile(&without_id, fields),
            matcher: backward::compile(&root, fields),
            root,
        }
    }
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
    /// Whether some coding is meant by both.
    pub fn overlaps(&self, other: &CodePattern) -> bool {
        self.system == other.system
            && match (self.prefix, other.prefix) {
                (true, true) => {
                    self.code.starts_with(&other.code) || other.code.starts_with(&self.code)
                }
                (true, false) => other.code.starts_with(&self.code),
                (false, true) => self.code.starts_with(&other.code),
                (false, false) => self.code == other.code,
            }
    }

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

impl fmt::Display for CodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.prefix { "*" } else { "" };
        write!(f, "{}|{}{star}", self.system, self.code)
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
    /// What is told whenever a value in this unit is taken (`"warn"`).
    pub warn: Option<Code>,
}

impl Unit {
    /// Whether a value in this unit is another number in the field's.
    pub fn converts(&self) -> bool {
        self.times.is_some() || self.divide.is_some() || self.plus.is_some()
    }
}

/// Codes that a field takes only in units of their own (`"by code"`).
#[derive(Debug, Clone)]
pub struct ByCode {
    /// The codes; none of them is in [`FieldAccepts::codes`].
    pub codes: Vec<CodePattern>,
    /// The units taken with them, instead of the field's.
    pub units: Vec<Unit>,
    /// The quantity that they mean where it is not the field's own: beside a code of the
    /// field, or of another quantity, they are `code-ambiguous`.
    pub quantity: Option<String>,
}

/// A code that counts only in an Observation that has a certain component (`"only with"`).
#[derive(Debug, Clone)]
pub struct OnlyWith {
    /// The code; it is not in [`FieldAccepts::codes`].
    pub code: CodePattern,
    /// The code of the component.
    pub component: CodePattern,
    /// A coding of the component's `valueCodeableConcept`.
    pub value: CodePattern,
}

/// How a value that came as an Observation of its own finds its record (`"join"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// Only where the kind splits it: by `identifier[record]`, else by subject, instant and
    /// device; alone it is `required-missing`. The default.
    #[default]
    Part,
    /// It makes the record together with the other halves, of the same subject, time and
    /// device, performer or encounter; alone it is `required-missing`.
    Half,
    /// It joins a record of the same subject and instant (and device, if both name one);
    /// alone it is `code-unsupported`.
    Guest,
}

/// What may vary on the way in for one field.
#[derive(Debug, Default, Clone)]
pub struct FieldAccepts {
    /// The codes of the field: those of the template (derived ones included), then the
    /// further ones of the file.
    pub codes: Vec<CodePattern>,
    /// Codes that are refused. A code that matches a pattern of `codes` (or of a field)
    /// exactly is not refused by a prefix.
    pub refuse: Vec<CodePattern>,
    /// Units taken with `codes`; the template's own is always among them. An empty code
    /// means a value without any unit.
    pub units: Vec<Unit>,
    /// Codes with units of their own.
    pub by_code: Vec<ByCode>,
    /// Codes that count only beside a component.
    pub only_with: Vec<OnlyWith>,
    /// Codes taken only where the time is a whole day; else `time-precision`.
    pub whole_day: Vec<CodePattern>,
    /// How a value of its own joins.
    pub join: Join,
    /// Codes of numbered readings: a half with the n-th code pairs only with a half that has
    /// its own n-th code, and the first complete pair of an identity is the one kept.
    pub readings: Vec<CodePattern>,
    /// Where a text is read when it is not in its place: a path beside it, such as
    /// `coding.display` (of the first coding).
    pub or_else: Option<String>,
    /// The named piece that yields a required value which is absent: `recorded-minutes`.
    pub fallback: Option<String>,
}

/// What may vary on the way in.
#[derive(Debug, Default)]
pub struct Accepts {
    /// Codes of the Observation itself; those of the field in `value[x]` are the same.
    pub code: FieldAccepts,
    /// By field: every field of the template that has a code or a unit, or an entry in the file.
    pub fields: HashMap<usize, FieldAccepts>,
    /// Whether a Period of one JST day counts as that day. Else start and end must be equal.
    pub day_period: bool,
}

impl Mapping {
    /// The codes by which an Observation without our category is of this kind.
    pub fn observation_codes(&self) -> Vec<&CodePattern> {
        let main = self.main.and_then(|i| self.accepts.fields.get(&i));
        let by_code = main.into_iter().flat_map(|f| &f.by_code);
        let own = self.accepts.code.codes.iter();
        own.chain(by_code.flat_map(|b| &b.codes)).collect()
    }

    /// The codings of an Observation of this kind under `code`: (system, code), derived ones
    /// included.
    pub fn code_codings(&self) -> Vec<(String, String)> {
        self.panel
            .root
            .get("code")
            .map_or_else(Vec::new, |code| self.concept_codings(code))
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

#[cfg(test)]
mod tests;
