//! What was written of Observations beyond their records, as search parameters read it
//! ([`crate::fhir::residue`]).
//!
//! A parameter of type token, reference or uri reads elements whose paths stand in its row
//! ([`Parameter::reads`]). What an Observation has there that its record does not render is
//! kept as values by parameter, and a filter is asked of them as well.

use std::collections::BTreeSet;

use serde_json::Value;

use super::form::unescape;
use super::reference::Target;
use super::token::System;
use super::{Filter, Invalid, Modifier, OBSERVATION, Parameter, ParameterType, Scope};
use crate::fold::fold;
use crate::kind::Kinds;
use crate::store::{Holds, ResidueTest, ResidueValue, Test};

/// Texts of codes stand under the parameter with this behind it.
const TEXT: &str = ":text";
/// So do the identifiers of references.
const IDENTIFIER: &str = ":identifier";

/// Whether a parameter reads what may be written beyond a record.
fn reads_residue(parameter: &Parameter) -> bool {
    let ty = parameter.ty;
    // These are the record's own.
    let own = matches!(parameter.name, "_id" | "status" | "subject");
    let is_read = matches!(
        ty,
        ParameterType::Token | ParameterType::Reference | ParameterType::Uri
    );
    is_read && !own && !parameter.reads.contains(['(', '$'])
}

/// What searches find in an Observation that its record does not render.
pub fn values(kinds: &Kinds, rendered: &Value, whole: &Value) -> Vec<ResidueValue> {
    let mut out = BTreeSet::new();
    let mut own = BTreeSet::new();
    for parameter in OBSERVATION.parameters.iter().filter(|p| reads_residue(p)) {
        for path in parameter.reads.split(" | ") {
            for (resource, values) in [(rendered, &mut own), (whole, &mut out)] {
                let mut reader = Reader {
                    kinds,
                    parameter: parameter.name,
                    values,
                };
                reader.path(path, resource);
            }
        }
    }
    out.difference(&own).cloned().collect()
}

struct Reader<'a> {
    kinds: &'a Kinds,
    parameter: &'static str,
    values: &'a mut BTreeSet<ResidueValue>,
}

impl Reader<'_> {
    /// Reads `Observation.component.code`, or `Observation.value as CodeableConcept`.
    fn path(&mut self, path: &str, resource: &Value) {
        let (path, of_type) = match path.split_once(" as ") {
            Some((path, of_type)) => (path, of_type),
            None => (path, ""),
        };
        let mut names: Vec<String> = path.split('.').skip(1).map(str::to_owned).collect();
        if let Some(last) = names.last_mut() {
            last.push_str(of_type);
        }
        self.walk(&names, resource);
    }

    fn walk(&mut self, names: &[String], value: &Value) {
        match (value, names) {
            (Value::Array(items), _) => items.iter().for_each(|item| self.walk(names, item)),
            (value, []) => self.element(value),
            (Value::Object(members), [name, rest @ ..]) => {
                if let Some(value) = members.get(name) {
                    self.walk(rest, value);
                }
            }
            _ => {}
        }
    }

    fn element(&mut self, element: &Value) {
        match element {
            Value::String(text) => self.put("", "", text),
            Value::Object(members) if members.contains_key("reference") => {
                if let Some(reference) = members["reference"].as_str() {
                    self.put("", "", reference);
                }
                self.identifier(&element["identifier"]);
            }
            Value::Object(members) if members.contains_key("coding") => {
                let codings = members["coding"].as_array().into_iter().flatten();
                codings.for_each(|coding| self.coding(coding));
                self.text(&element["text"]);
            }
            Value::Object(members) if members.contains_key("identifier") => {
                self.identifier(&element["identifier"]);
            }
            Value::Object(_) => {
                self.coding(element);
                self.text(&element["text"]);
            }
            _ => {}
        }
    }

    /// A Coding, or an Identifier.
    fn coding(&mut self, coding: &Value) {
        let system = coding["system"].as_str().unwrap_or_default();
        let code = coding["code"].as_str().or(coding["value"].as_str());
        if let Some(code) = code {
            let system = self.kinds.systems.canonical(system).to_owned();
            self.put("", &system, code);
        }
        self.text(&coding["display"]);
    }

    fn identifier(&mut self, identifier: &Value) {
        let text = |name: &str| identifier[name].as_str().unwrap_or_default();
        if !text("value").is_empty() {
            self.put(IDENTIFIER, text("system"), text("value"));
        }
    }

    fn text(&mut self, text: &Value) {
        let folded = fold(text.as_str().unwrap_or_default());
        if !folded.is_empty() {
            self.put(TEXT, "", &folded);
        }
    }

    fn put(&mut self, suffix: &str, system: &str, value: &str) {
        self.values.insert(ResidueValue {
            parameter: format!("{}{suffix}", self.parameter),
            system: system.to_owned(),
            value: value.to_owned(),
        });
    }
}

/// What a filter means where what it asks for may be written beyond the record; `means` is
/// what it means for the record itself.
///
/// # Errors
/// [`Invalid`] for a value that is wrong.
pub fn also(scope: &Scope, filter: &Filter, means: Test) -> Result<Test, Invalid> {
    if !reads_residue(filter.parameter) {
        return Ok(means);
    }
    let test = |suffix: &str, holds: Holds| {
        Test::Residue(ResidueTest {
            parameter: format!("{}{suffix}", filter.parameter.name),
            holds,
        })
    };
    Ok(match (filter.parameter.ty, filter.modifier) {
        (_, Some(Modifier::Missing)) => {
            let any = || test("", Holds::Present);
            Test::any(filter.values.iter().map(|value| match value.as_str() {
                "true" => Test::all([means.clone(), any().negated()]),
                _ => Test::any([means.clone(), any()]),
            }))
        }
        (_, Some(Modifier::Text)) => {
            let starts = filter.values.iter().map(|v| fold(&unescape(v))).collect();
            Test::any([means, test(TEXT, Holds::Begins(starts))])
        }
        (_, Some(Modifier::Identifier)) => {
            Test::any([means, test(IDENTIFIER, tokens(scope, filter)?)])
        }
        // Value sets list what kinds have.
        (_, Some(Modifier::In | Modifier::NotIn)) => means,
        (ParameterType::Token, modifier) => {
            let found = test("", tokens(scope, filter)?);
            match modifier {
                Some(Modifier::Not) => Test::all([means, found.negated()]),
                _ => Test::any([means, found]),
            }
        }
        (ParameterType::Reference, modifier) => {
            let these = references(scope, filter, modifier)?;
            Test::any([means, test("", Holds::Is(these))])
        }
        _ => {
            let these = filter.values.iter().map(|v| (None, Some(unescape(v))));
            Test::any([means, test("", Holds::Is(these.collect()))])
        }
    })
}

fn tokens(scope: &Scope, filter: &Filter) -> Result<Holds, Invalid> {
    // The record's own identifier is no residue.
    let own = scope.kinds.canonical.sid("record");
    let tokens = filter.canonical_tokens(scope)?.into_iter();
    let tokens = tokens.filter(|token| token.system != System::Is(own.clone()));
    let these = tokens.map(|token| {
        let system = match token.system {
            System::Any => None,
            System::Absent => Some(String::new()),
            System::Is(system) => Some(system),
        };
        (system, token.code)
    });
    Ok(Holds::Is(these.collect()))
}

/// A system and a value; any where either is absent.
type Pair = (Option<String>, Option<String>);

/// References as they may stand in a resource.
fn references(
    scope: &Scope,
    filter: &Filter,
    modifier: Option<Modifier>,
) -> Result<Vec<Pair>, Invalid> {
    let targets = filter.read(|name, value| Target::read(name, value, scope.base))?;
    let mut out = Vec::new();
    for (target, value) in targets.iter().zip(&filter.values) {
        let Target::Own { resource, id } = target else {
            out.push((None, Some(unescape(value))));
            continue;
        };
        let any = filter.parameter.types.iter().copied();
        let types: Vec<&str> = match (modifier, resource) {
            (Some(Modifier::Type(name)), _) => vec![name],
            (_, Some(own)) => vec![own],
            _ => any.collect(),
        };
        for ty in types {
            let relative = format!("{ty}/{id}");
            out.push((None, Some(format!("{}/{relative}", scope.base))));
            out.push((None, Some(relative)));
        }
    }
    Ok(out)
}
