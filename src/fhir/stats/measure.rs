//! Which numbers of which record kinds a code means.

use serde_json::{Map, Value, json};

use crate::fhir::search::token::Token;
use crate::kind::{Kind, Kinds};
use crate::mapping::{Hole, Node};

/// A number that the Observations of a kind carry, in `valueQuantity` or in that of a
/// component.
struct Measure<'k> {
    kind: &'k Kind,
    /// The CodeableConcept that says what it is.
    code: &'k Node,
    field: usize,
    unit: Unit,
}

/// The unit of a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// For people.
    pub text: String,
    /// Its code system.
    pub system: String,
    /// Its code.
    pub code: String,
}

/// Numbers that can be put together: they say the same in the same unit.
#[derive(Debug)]
pub struct Group {
    /// The CodeableConcept of the statistics.
    pub code: Value,
    /// The unit.
    pub unit: Unit,
    /// Place of the kind, and field.
    pub fields: Vec<(usize, usize)>,
    /// The most decimals of the fields.
    pub decimals: u8,
}

/// The groups that a code means: the number with that code, or of a panel each of the
/// numbers in it.
pub fn meant_by(kinds: &Kinds, token: &Token) -> Vec<Group> {
    let mut out: Vec<(Key, Group)> = Vec::new();
    for kind in kinds.iter() {
        let root = &kind.mapping.panel.root;
        let own = measure(kind, root);
        let parts = root.get("component").map_or(&[][..], Node::items);
        let parts = parts.iter().filter_map(|part| measure(kind, part));
        let is_meant = |code: &Node| find(kind, code, token).is_some();
        let is_panel = own.is_none() && root.get("code").is_some_and(is_meant);
        for measure in own.into_iter().chain(parts) {
            let asked = find(kind, measure.code, token);
            let Some(coding) = asked.or_else(|| is_panel.then(|| first(measure.code)).flatten())
            else {
                continue;
            };
            let key = (
                coding.system.clone(),
                coding.code.clone(),
                measure.unit.code.clone(),
            );
            let field = (measure.kind.place, measure.field);
            let decimals = kind.fields[measure.field].ty.decimals();
            match out.iter_mut().find(|(k, _)| *k == key) {
                Some((_, group)) => {
                    group.fields.push(field);
                    group.decimals = group.decimals.max(decimals);
                }
                None => out.push((
                    key,
                    Group {
                        code: concept(&coding, measure.code),
                        unit: measure.unit,
                        fields: vec![field],
                        decimals,
                    },
                )),
            }
        }
    }
    out.into_iter().map(|(_, group)| group).collect()
}

/// System and code of what is measured, and the code of its unit.
type Key = (String, String, String);

/// The number in `valueQuantity` of an Observation or a component.
fn measure<'k>(kind: &'k Kind, element: &'k Node) -> Option<Measure<'k>> {
    let quantity = element.get("valueQuantity")?;
    let Some(Node::Hole(Hole::Field(field))) = quantity.get("value") else {
        return None;
    };
    let part = |name: &str| {
        let constant = quantity.get(name).and_then(Node::constant);
        constant.unwrap_or_default().to_owned()
    };
    Some(Measure {
        kind,
        code: element.get("code")?,
        field: *field,
        unit: Unit {
            text: part("unit"),
            system: part("system"),
            code: part("code"),
        },
    })
}

/// A coding of a template.
#[derive(Debug)]
struct Coding {
    system: String,
    code: String,
    display: Option<String>,
}

/// The coding of a concept that a token means; a derived one with the code asked for.
fn find(kind: &Kind, concept: &Node, token: &Token) -> Option<Coding> {
    let codings = concept.get("coding").map_or(&[][..], Node::items);
    let text =
        |coding: &Node, name: &str| coding.get(name).and_then(Node::constant).map(str::to_owned);
    codings.iter().find_map(|coding| {
        let system = text(coding, "system").unwrap_or_default();
        if !token.takes_system(&system) {
            return None;
        }
        let code = match coding.get("code")? {
            Node::Const(code) => Some(code.text.clone()),
            Node::Hole(Hole::Derived(i)) => {
                let values = kind.mapping.derived.get(*i)?.values.iter();
                values
                    .map(|(_, code)| code)
                    .find(|code| token.takes_code(code))
                    .cloned()
            }
            _ => None,
        };
        Some(Coding {
            system,
            code: code.filter(|code| token.takes_code(code))?,
            display: text(coding, "display"),
        })
    })
}

/// The first coding of a concept.
fn first(concept: &Node) -> Option<Coding> {
    let coding = concept.get("coding")?.items().first()?;
    let text = |name: &str| coding.get(name).and_then(Node::constant).map(str::to_owned);
    Some(Coding {
        system: text("system")?,
        code: text("code")?,
        display: text("display"),
    })
}

fn concept(coding: &Coding, concept: &Node) -> Value {
    let mut out = Map::new();
    out.insert("system".into(), coding.system.as_str().into());
    out.insert("code".into(), coding.code.as_str().into());
    if let Some(display) = &coding.display {
        out.insert("display".into(), display.as_str().into());
    }
    let mut whole = json!({ "coding": [out] });
    if let Some(text) = concept.get("text").and_then(Node::constant) {
        whole["text"] = text.into();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(asked: &str) -> Vec<(String, String, usize)> {
        let kinds = Kinds::embedded().unwrap();
        let token = Token::read("code", asked).unwrap();
        let groups = meant_by(&kinds, &token);
        let told = groups.iter().map(|g| {
            let code = g.code["coding"][0]["code"].as_str().unwrap();
            (code.to_owned(), g.unit.code.clone(), g.fields.len())
        });
        told.collect()
    }

    #[test]
    fn a_code_means_a_number_wherever_it_stands() {
        let of = |code: &str, unit: &str, fields| (code.to_owned(), unit.to_owned(), fields);
        assert_eq!(groups("http://loinc.org|29463-7"), [of("29463-7", "kg", 1)]);
        // At home and at a check-up.
        assert_eq!(groups("8480-6"), [of("8480-6", "mm[Hg]", 2)]);
        let panel = groups("http://loinc.org|85354-9");
        assert!(panel.contains(&of("8480-6", "mm[Hg]", 2)), "{panel:?}");
        assert!(panel.contains(&of("8462-4", "mm[Hg]", 2)));
        assert_eq!(groups("http://snomed.info/sct|8480-6"), []);
        assert_eq!(groups("17856-6").len(), 1);
    }
}
