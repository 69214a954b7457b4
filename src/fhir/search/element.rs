//! What the Observations of a kind hold, as its mapping says: their concepts, values and
//! components, with the test of the records that have them.

use super::concept::{Code, Coding, Concept};
use crate::kind::{Kind, Type};
use crate::mapping::{Hole, Node, Piece};
use crate::registry::List;
use crate::store::{FieldTest, QuantityUnit, Test};

/// A place with a code and a value: the Observation itself, or one of its components.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    kind: &'a Kind,
    node: &'a Node,
    component: bool,
}

/// Which places a parameter reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// The Observation itself.
    Own,
    /// Its components.
    Components,
    /// Both.
    Both,
}

/// A number with a unit, in a field of a record.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// The field.
    pub field: usize,
    /// Its unit.
    pub unit: QuantityUnit,
    /// Which records have it.
    pub when: Test,
}

/// The places of the Observations of a kind.
pub fn places(kind: &Kind, of: Where) -> Vec<Place<'_>> {
    let root = &kind.mapping.panel.root;
    let own = (of != Where::Components).then_some(Place {
        kind,
        node: root,
        component: false,
    });
    let components = match of {
        Where::Own => &[][..],
        _ => root.get("component").map_or(&[][..], Node::items),
    };
    let components = components.iter().map(|node| Place {
        kind,
        node,
        component: true,
    });
    own.into_iter().chain(components).collect()
}

impl<'a> Place<'a> {
    /// Which records have the place: a component goes where it has no value.
    fn when(&self) -> Test {
        match self.component {
            true => present(self.kind, self.node),
            false => Test::ALWAYS,
        }
    }

    /// Its code.
    pub fn code(&self) -> Vec<Concept> {
        let code = self.node.get("code").into_iter();
        code.map(|node| self.within(concept(self.kind, node)))
            .collect()
    }

    /// Its `valueCodeableConcept`.
    pub fn concept(&self) -> Vec<Concept> {
        let value = self.node.get("valueCodeableConcept").into_iter();
        value
            .map(|node| self.within(concept(self.kind, node)))
            .collect()
    }

    fn within(&self, concept: Concept) -> Concept {
        Concept {
            when: Test::all([self.when(), concept.when]),
            ..concept
        }
    }

    /// The systems and codes that stand there, whatever the record says.
    pub fn codes(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let codings = self.code().into_iter().flat_map(|concept| concept.codings);
        codings.filter_map(|coding| match coding.code {
            Code::Is(code) => Some((coding.system.into_owned(), code.into_owned())),
            Code::Field(_) => None,
        })
    }

    /// What further codes of the place, written beyond the record, stand under in residues.
    pub fn residue_codes(&self) -> Option<String> {
        match self.component {
            false => Some("code".into()),
            true => {
                let field = self.quantity()?.field;
                Some(format!("component-code:{}", self.kind.fields[field].name))
            }
        }
    }

    /// Its `valueQuantity`.
    pub fn quantity(&self) -> Option<Quantity> {
        let node = self.node.get("valueQuantity")?;
        let Some(Node::Hole(Hole::Field(field))) = node.get("value") else {
            return None;
        };
        let text = |name: &str| {
            let text = node.get(name).and_then(Node::constant);
            text.unwrap_or_default().to_owned()
        };
        Some(Quantity {
            field: *field,
            unit: QuantityUnit {
                system: text("system"),
                code: text("code"),
                unit: text("unit"),
                decimals: self.kind.fields[*field].ty.decimals(),
            },
            when: Test::all([self.when(), has(self.kind, *field)]),
        })
    }
}

/// Concepts that stand in an element, or in each item of one.
pub fn concepts(kind: &Kind, element: &str) -> Vec<Concept> {
    match kind.mapping.panel.root.get(element) {
        Some(Node::Array(items)) => items.iter().map(|node| concept(kind, node)).collect(),
        Some(node) => vec![concept(kind, node)],
        None => Vec::new(),
    }
}

/// Which records of a kind have an element of the Observation.
pub fn has_element(kind: &Kind, element: &str) -> Test {
    let node = kind.mapping.panel.root.get(element);
    node.map_or(Test::NEVER, |node| present(kind, node))
}

fn concept(kind: &Kind, node: &Node) -> Concept {
    let codings = node.get("coding").map_or(&[][..], Node::items);
    let text = node.get("text").and_then(Node::constant);
    Concept {
        when: present(kind, node),
        codings: codings.iter().flat_map(|c| coding(kind, c)).collect(),
        text: text.unwrap_or_default().to_owned().into(),
    }
}

/// The codings that a coding can become.
fn coding(kind: &Kind, node: &Node) -> Vec<Coding> {
    let text = |name: &str| {
        let text = node.get(name).and_then(Node::constant);
        text.unwrap_or_default().to_owned()
    };
    let system = text("system");
    let made = |code: Code, display: String, when: Test| Coding {
        system: system.clone().into(),
        code,
        display: display.into(),
        when,
    };
    match node.get("code") {
        Some(Node::Hole(Hole::Field(field))) => {
            let of = &kind.fields[*field];
            if of.ty != Type::Code {
                let when = has(kind, *field);
                return vec![made(Code::Field(*field), text("display"), when)];
            }
            let items = of.codes.iter().enumerate();
            let each = items.map(|(place, item)| {
                let display = match node.get("display") {
                    Some(Node::Hole(Hole::Display(_))) => item.title.ja.clone(),
                    _ => text("display"),
                };
                let test = FieldTest::Code(vec![place]);
                let when = Test::Field {
                    field: *field,
                    test,
                };
                made(Code::Is(item.code.clone().into()), display, when)
            });
            each.collect()
        }
        Some(Node::Hole(Hole::Derived(i))) => {
            let derived = &kind.mapping.derived[*i];
            let each = derived.values.iter().map(|(class, code)| {
                let display = match node.get("display") {
                    Some(Node::Hole(Hole::Derived(other))) => {
                        let values = &kind.mapping.derived[*other].values;
                        let found = values.iter().find(|(own, _)| own == class);
                        found.map_or(String::new(), |(_, text)| text.clone())
                    }
                    _ => text("display"),
                };
                let when = registered(kind, *i, std::slice::from_ref(class));
                made(Code::Is(code.clone().into()), display, when)
            });
            each.collect()
        }
        Some(Node::Const(code)) => {
            let when = present(kind, node);
            vec![made(
                Code::Is(code.text.clone().into()),
                text("display"),
                when,
            )]
        }
        _ => Vec::new(),
    }
}

/// The records whose derived value comes from one of these values of the column.
fn registered(kind: &Kind, derived: usize, values: &[String]) -> Test {
    let derived = &kind.mapping.derived[derived];
    let list = List::by_name(&derived.list);
    let column = list.and_then(|list| list.field(&derived.column));
    match (list, column) {
        (Some(list), Some(column)) => Test::Field {
            field: derived.from,
            test: FieldTest::Registered {
                list,
                column: column.name,
                values: values.to_vec(),
            },
        },
        _ => Test::NEVER,
    }
}

/// The records that have a value in a field.
fn has(kind: &Kind, field: usize) -> Test {
    match kind.fields[field].required {
        true => Test::ALWAYS,
        false => Test::Field {
            field,
            test: FieldTest::Present,
        },
    }
}

/// Which records have a node. It is written as the mapping's compiler says: where all of
/// its own holes have values; where it has none of its own, where an array within it keeps
/// an element; and always where there are only constants.
fn present(kind: &Kind, node: &Node) -> Test {
    let mut content = Content::default();
    content.gather(kind, node);
    match content {
        Content { own, .. } if !own.is_empty() => Test::all(own),
        Content { kept, holes, .. } if holes => Test::any(kept),
        Content { constants, .. } => Test::Constant(constants),
    }
}

/// What stands in a node, arrays within counted by their elements.
#[derive(Default)]
struct Content {
    constants: bool,
    /// Whether it has holes at any depth.
    holes: bool,
    /// Which records have the holes outside the arrays within.
    own: Vec<Test>,
    /// Which records keep an element of the arrays within.
    kept: Vec<Test>,
}

impl Content {
    fn gather(&mut self, kind: &Kind, node: &Node) {
        match node {
            Node::Const(_) => self.constants = true,
            Node::Hole(hole) => {
                self.holes = true;
                self.own.push(filled(kind, *hole));
            }
            Node::Object(members) => members.iter().for_each(|(_, n)| self.gather(kind, n)),
            Node::Array(items) => {
                let mut holes = Vec::new();
                node.holes(&mut holes);
                if holes.is_empty() {
                    self.constants |= !items.is_empty();
                } else {
                    self.holes = true;
                    self.kept
                        .extend(items.iter().map(|item| present(kind, item)));
                }
            }
        }
    }
}

/// Which records have a value for a hole.
fn filled(kind: &Kind, hole: Hole) -> Test {
    match hole {
        Hole::Field(field) | Hole::Display(field) => has(kind, field),
        Hole::Derived(i) => {
            let values = &kind.mapping.derived[i].values;
            let values: Vec<String> = values.iter().map(|(class, _)| class.clone()).collect();
            registered(kind, i, &values)
        }
        Hole::Piece(Piece::Laboratory) => match kind.laboratory {
            Some(field) => has(kind, field),
            None => Test::NEVER,
        },
        Hole::Piece(_) => Test::ALWAYS,
    }
}
