//! A template compiled for reading: what stands where, and how the elements of an array
//! are told apart.

use crate::kind::Field;
use crate::mapping::template::{Hole, Node, Piece};

/// What a template says of a value.
#[derive(Debug)]
pub(super) enum Rule {
    /// A constant; anything else in its place is residue.
    Const(Box<str>),
    /// A hole.
    Hole(Hole),
    /// An object.
    Object(Box<[(Box<str>, Rule)]>),
    /// The Quantity of a number field; the members are its constants.
    Quantity(usize, Quantity),
    /// A reference to what the piece names.
    Reference(Piece),
    /// The components of an Observation.
    Components(Box<[Component]>),
    /// Any other array.
    Array(Box<[Item]>),
}

/// A Quantity as the template writes it.
#[derive(Debug, Default)]
pub(super) struct Quantity {
    /// `unit`
    pub unit: Box<str>,
    /// `system`
    pub system: Box<str>,
    /// `code`
    pub code: Box<str>,
}

/// A component of an Observation.
#[derive(Debug)]
pub(super) struct Component {
    /// The field whose value it carries; `None` where it is constant.
    pub field: Option<usize>,
    /// Its codings as the template writes them.
    pub codings: Box<[(Box<str>, Box<str>)]>,
    /// Everything in it.
    pub members: Box<[(Box<str>, Rule)]>,
}

/// An element of an array.
#[derive(Debug)]
pub(super) struct Item {
    /// Which element of a resource it is.
    pub select: Select,
    /// What stands in it.
    pub rule: Rule,
}

/// How an element of an array is told from the others.
#[derive(Debug)]
pub(super) enum Select {
    /// The only one of its kind.
    Any,
    /// A constant text, such as a profile.
    Text(Box<str>),
    /// An extension by its url.
    Url(Box<str>),
    /// A coding or an identifier by its system and, where it is constant, its code.
    System(Box<str>, Option<Box<str>>),
    /// A coding whose code is derived: one of the values that may be derived.
    Derived(Box<str>, usize),
    /// A CodeableConcept by the system and code of its first coding.
    Concept(Box<str>, Option<Box<str>>),
}

/// A template compiled for reading.
#[derive(Debug, Default)]
pub struct Matcher {
    pub(super) members: Box<[(Box<str>, Rule)]>,
    /// The codings of `code`, in the order in which they are written.
    pub(super) codings: Box<[(Box<str>, Box<str>)]>,
    /// Text fields in `{element}.text`, with the element.
    pub(super) texts: Box<[(usize, Box<str>)]>,
}

/// Compiles a template.
pub fn compile(root: &Node, fields: &[Field]) -> Matcher {
    let compiler = Compiler { fields };
    Matcher {
        members: compiler.members(root, true),
        codings: codings(root),
        texts: texts(root),
    }
}

fn texts(root: &Node) -> Box<[(usize, Box<str>)]> {
    let Node::Object(members) = root else {
        return Box::default();
    };
    members
        .iter()
        .filter_map(|(name, node)| match node.get("text") {
            Some(Node::Hole(Hole::Field(i))) => Some((*i, name.as_str().into())),
            _ => None,
        })
        .collect()
}

struct Compiler<'a> {
    fields: &'a [Field],
}

impl Compiler<'_> {
    fn members(&self, node: &Node, top: bool) -> Box<[(Box<str>, Rule)]> {
        let Node::Object(members) = node else {
            return Box::default();
        };
        let rule = |name: &str, node: &Node| match (name, node) {
            ("component", Node::Array(items)) if top => {
                Rule::Components(items.iter().map(|item| self.component(item)).collect())
            }
            _ => self.rule(node),
        };
        members
            .iter()
            .map(|(name, node)| (name.as_str().into(), rule(name, node)))
            .collect()
    }

    fn component(&self, node: &Node) -> Component {
        let mut holes = Vec::new();
        node.holes(&mut holes);
        let field = holes.iter().find_map(|hole| match hole {
            Hole::Field(i) => Some(*i),
            _ => None,
        });
        Component {
            field,
            codings: codings(node),
            members: self.members(node, false),
        }
    }

    fn rule(&self, node: &Node) -> Rule {
        match node {
            Node::Const(c) => Rule::Const(c.text.as_str().into()),
            Node::Hole(hole) => Rule::Hole(*hole),
            Node::Object(_) => {
                if let Some(Node::Hole(Hole::Field(i))) = node.get("value")
                    && self.fields.get(*i).is_some_and(|f| f.ty.is_number())
                {
                    let text = |name: &str| {
                        let text = node.get(name).and_then(Node::constant);
                        text.unwrap_or_default().into()
                    };
                    return Rule::Quantity(
                        *i,
                        Quantity {
                            unit: text("unit"),
                            system: text("system"),
                            code: text("code"),
                        },
                    );
                }
                if let Some(Node::Hole(Hole::Piece(piece))) = node.get("reference") {
                    return Rule::Reference(*piece);
                }
                Rule::Object(self.members(node, false))
            }
            Node::Array(items) => Rule::Array(
                items
                    .iter()
                    .map(|item| Item {
                        select: select(item),
                        rule: self.rule(item),
                    })
                    .collect(),
            ),
        }
    }
}

fn select(item: &Node) -> Select {
    if let Some(text) = item.constant() {
        return Select::Text(text.into());
    }
    if let Some(url) = item.get("url").and_then(Node::constant) {
        return Select::Url(url.into());
    }
    let code = |node: &Node| node.get("code").and_then(Node::constant).map(Into::into);
    let system = |node: &Node| node.get("system").and_then(Node::constant).map(Into::into);
    if let Some(first) = item.get("coding").and_then(|c| c.items().first())
        && let Some(system) = system(first)
    {
        return Select::Concept(system, code(first));
    }
    match (system(item), item.get("code")) {
        (Some(system), Some(Node::Hole(Hole::Derived(i)))) => Select::Derived(system, *i),
        (Some(system), _) => Select::System(system, code(item)),
        _ => Select::Any,
    }
}

/// The constant codings under `code`.
fn codings(node: &Node) -> Box<[(Box<str>, Box<str>)]> {
    let codings = node.get("code").and_then(|code| code.get("coding"));
    codings
        .map_or(&[][..], Node::items)
        .iter()
        .filter_map(|coding| {
            let system = coding.get("system")?.constant()?;
            Some((system.into(), coding.get("code")?.constant()?.into()))
        })
        .collect()
}
