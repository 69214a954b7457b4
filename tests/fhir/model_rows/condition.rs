//! A condition of a search, by the words of the specification.

use kenko_fhir::fold::fold;
use serde_json::Value;

use super::paths::{codings, displays, evaluate, span, texts};
use super::{Parameter, World, without_version};
use crate::reading::{compares, interval};
use crate::server::BASE;

/// One condition of a search.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Is {
        parameter: String,
        modifier: Option<String>,
        values: Vec<String>,
    },
    /// By a reference parameter, the type it leads to, and what is asked there.
    Chain(String, String, Box<Asked>),
    /// By the type that refers, its parameter, and what is asked of it.
    Has(String, String, Box<Asked>),
}

impl Asked {
    pub(super) fn name(&self) -> String {
        match self {
            Asked::Is {
                parameter,
                modifier: Some(modifier),
                ..
            } => format!("{parameter}:{modifier}"),
            Asked::Is { parameter, .. } => parameter.clone(),
            Asked::Chain(by, to, inner) => format!("{by}:{to}.{}", inner.name()),
            Asked::Has(from, by, inner) => format!("_has:{from}:{by}:{}", inner.name()),
        }
    }

    pub(super) fn values(&self) -> &[String] {
        match self {
            Asked::Is { values, .. } => values,
            Asked::Chain(_, _, inner) | Asked::Has(_, _, inner) => inner.values(),
        }
    }

    /// Name and value, as a client writes them.
    pub(super) fn written(&self) -> String {
        let escaped = self.values().iter().map(|v| match self.is_token() {
            true => v.clone(),
            false => v.replace('\\', "\\\\").replace(',', "\\,"),
        });
        let value = escaped.collect::<Vec<_>>().join(",");
        let mut out = self.name();
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => out.push(byte as char),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    }

    pub(super) fn is_token(&self) -> bool {
        self.values().iter().any(|v| v.contains('|'))
    }

    /// Whether a resource matches, by the words of the specification.
    pub(super) fn matches(&self, world: &World, resource: &str, body: &Value) -> bool {
        match self {
            Asked::Is {
                parameter,
                modifier,
                values,
            } => {
                let parameter = world.parameter(resource, parameter);
                let found = world.values(parameter, body);
                match modifier.as_deref() {
                    Some("missing") => values.iter().any(|v| (v == "true") == found.is_empty()),
                    Some("not") => !values
                        .iter()
                        .any(|v| one(world, parameter, None, v, &found)),
                    modifier => values
                        .iter()
                        .any(|v| one(world, parameter, modifier, v, &found)),
                }
            }
            Asked::Chain(by, to, inner) => {
                let found = world.values(world.parameter(resource, by), body);
                found.iter().any(|reference| {
                    let reference = reference["reference"].as_str().unwrap_or_default();
                    let reference = without_version(reference);
                    let target = world.referred.get(reference);
                    reference.starts_with(&format!("{to}/"))
                        && target.is_some_and(|t| inner.matches(world, to, t))
                })
            }
            Asked::Has(from, by, inner) => {
                let own = format!("{resource}/{}", body["id"].as_str().unwrap());
                let parameter = world.parameter(from, by);
                world.all[from].iter().any(|other| {
                    let found = world.values(parameter, other);
                    let refers = |r: &&Value| {
                        let reference = r["reference"].as_str().unwrap_or_default();
                        without_version(reference) == own
                    };
                    found.iter().any(refers) && inner.matches(world, from, other)
                })
            }
        }
    }
}

/// Whether one value of a parameter is met by any of what it reads.
pub(super) fn one(
    world: &World,
    parameter: &Parameter,
    modifier: Option<&str>,
    asked: &str,
    found: &[&Value],
) -> bool {
    let token = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .any(|(system, code)| match asked.split_once('|') {
                None => code == asked,
                Some(("", c)) => system.is_empty() && code == c,
                Some((s, "")) => system == s,
                Some((s, c)) => system == s && code == c,
            })
    };
    found
        .iter()
        .any(|value| match (parameter.ty.as_str(), modifier) {
            ("token", Some("text")) => displays(value)
                .iter()
                .any(|t| fold(t).starts_with(&fold(asked))),
            ("token", _) => token(&codings(parameter, value)),
            ("string", Some("exact")) => texts(value).iter().any(|t| t == asked),
            ("string", Some("contains")) => {
                texts(value).iter().any(|t| fold(t).contains(&fold(asked)))
            }
            ("string", _) => texts(value)
                .iter()
                .any(|t| fold(t).starts_with(&fold(asked))),
            ("date", _) => {
                let (prefix, date) = asked.split_at(asked.len().min(2));
                let (prefix, date) = match prefix.bytes().all(|b| b.is_ascii_lowercase()) {
                    true => (prefix, date),
                    false => ("", asked),
                };
                let stored = match parameter.reads.contains("lastUpdated")
                    || parameter.name == "recorded"
                    || parameter.name == "when"
                {
                    // An instant of a millisecond.
                    true => (span(value).0, span(value).0 + 1),
                    false => span(value),
                };
                compares(prefix, interval(date), stored)
            }
            ("reference", Some("identifier")) => world
                .identifiers(value)
                .iter()
                .any(|identifier| token(&codings(parameter, identifier))),
            ("reference", of) => {
                let reference = value["reference"].as_str().unwrap_or_default();
                let reference = without_version(reference);
                let path = asked.strip_prefix(BASE).map_or(asked, |p| &p[1..]);
                let (ty, id) = reference.split_once('/').unwrap_or_default();
                of.is_none_or(|of| of == ty) && (path == reference || path == id) && !id.is_empty()
            }
            ("uri", Some("below")) => {
                let value = value.as_str().unwrap();
                value == asked || value.starts_with(&format!("{}/", asked.trim_end_matches('/')))
            }
            ("uri", Some("above")) => {
                let value = value.as_str().unwrap();
                value == asked || asked.starts_with(&format!("{value}/"))
            }
            ("uri", _) => *value == asked,
            ("composite", _) => {
                // The only one: a characteristic and its value.
                let (code, of) = asked.split_once('$').unwrap();
                let meets = |name: &str, asked: &str| {
                    let (found, parameter) =
                        (evaluate(name, value), world.parameter("Group", "value"));
                    one(world, parameter, None, asked, &found)
                };
                meets("characteristic.code", code)
                    && meets("(characteristic.value as CodeableConcept)", of)
            }
            (ty, modifier) => panic!("{ty} {modifier:?}"),
        })
}
