//! What was written of Observations beyond their records, as search parameters read it
//! ([`crate::fhir::residue`]).
//!
//! A parameter of type token, reference or uri reads elements whose paths stand in its row
//! ([`Parameter::reads`]). What an Observation has there that its record does not render is
//! kept as values by parameter, and a filter is asked of them as well. Quantities are kept with
//! the codes beside them, for the parameters that compare numbers.

mod pairs;
mod time;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::element::{Where, places};
use super::form::unescape;
use super::quantity::{QuantityTest, WHOLE_MAX};
use super::reference::Target;
use super::token::System;
use super::valueset::{self, Codes};
use super::{Filter, Invalid, Modifier, OBSERVATION, Parameter, ParameterType, Scope};
use crate::decimal::{self, Decimal, PLACES_MAX};
use crate::fold::fold;
use crate::kind::{Kind, Kinds};
use crate::store::{
    Amount, Asked, Compares, Holds, Pair, QuantityUnit, ResiduePlace, ResidueQuantity, ResidueTest,
    ResidueValue, Test,
};

pub(super) use pairs::{has_paired, paired};
pub(super) use time::at_time;

/// Texts of codes stand under the parameter with this behind it.
const TEXT: &str = ":text";
/// So do the identifiers of references.
const IDENTIFIER: &str = ":identifier";
/// So do the ids of references that may lead to any type.
const ID: &str = ":id";
/// So do elements that have nothing to be found by: they are there.
const OTHER: &str = ":other";

/// Slashes of an address at most whose beginnings are looked for: each is as long as the address.
const PARTS_MAX: usize = 64;

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

/// What searches find in an Observation of a kind that its record does not render.
pub fn values(kinds: &Kinds, kind: &Kind, rendered: &Value, whole: &Value) -> Vec<ResidueValue> {
    let mut out = BTreeSet::new();
    let mut own = BTreeSet::new();
    for parameter in OBSERVATION.parameters.iter().filter(|p| reads_residue(p)) {
        for path in parameter.reads.split(" | ") {
            for (resource, values) in [(rendered, &mut own), (whole, &mut out)] {
                let mut reader = Reader {
                    kinds,
                    put: 0,
                    parameter,
                    values,
                };
                reader.path(path, resource);
            }
        }
    }
    for (resource, values) in [(rendered, &mut own), (whole, &mut out)] {
        values.extend(pairs::values(kinds, resource));
    }
    for place in places(kind, Where::Components) {
        let Some(parameter) = place.residue_codes() else {
            continue;
        };
        let codes: Vec<(String, String)> = place.codes().collect();
        for (resource, values) in [(rendered, &mut own), (whole, &mut out)] {
            for component in items(&resource["component"]) {
                let codings = codings(kinds, component);
                if codings.iter().any(|coding| codes.contains(coding)) {
                    values.extend(codings.into_iter().map(|(system, value)| ResidueValue {
                        parameter: parameter.clone(),
                        system,
                        value,
                    }));
                }
            }
        }
    }
    out.difference(&own).cloned().collect()
}

/// The quantities of an Observation that stand in places of their own, each with the codes
/// beside it: the values of the record are found as those, whatever they are by then.
pub fn quantities(kinds: &Kinds, rendered: &Value, whole: &Value) -> Vec<ResidueQuantity> {
    let has_value = |place: &&Value| place.get("valueQuantity").is_some();
    let own = items(&rendered["component"]).filter(has_value);
    let own: Vec<_> = own.flat_map(|place| codings(kinds, place)).collect();
    let of_record = |(component, place): &(bool, &Value)| match component {
        false => has_value(&rendered),
        true => codings(kinds, place).iter().any(|code| own.contains(code)),
    };
    let components = items(&whole["component"]).map(|component| (true, component));
    let places = std::iter::once((false, whole)).chain(components);
    let mut out: BTreeSet<ResidueQuantity> = time::shown(rendered, whole).into_iter().collect();
    for (component, place) in places.filter(|place| !of_record(place)) {
        let Some((number, unit)) = quantity(kinds, &place["valueQuantity"]) else {
            continue;
        };
        let mut codings = codings(kinds, place);
        if codings.is_empty() {
            codings.push(Default::default());
        }
        out.extend(codings.into_iter().map(|(system, code)| ResidueQuantity {
            place: match component {
                true => ResiduePlace::Component,
                false => ResiduePlace::Own,
            },
            system,
            code,
            number,
            unit: unit.clone(),
        }));
    }
    out.into_iter().collect()
}

/// A number and its unit. `None` for a bound (`<5`), which is no number, and for one of more
/// digits than are compared.
fn quantity(kinds: &Kinds, quantity: &Value) -> Option<(i64, QuantityUnit)> {
    let Value::Number(value) = quantity.get("value")? else {
        return None;
    };
    let text = value.to_string();
    let text = decimal::written_out(&text)?;
    let kept = decimal::significant(&text, PLACES_MAX.into());
    let (number, decimals) = Decimal::parse(kept)?.whole()?;
    if quantity.get("comparator").is_some() || !(-WHOLE_MAX..WHOLE_MAX).contains(&number) {
        return None;
    }
    let text = |name: &str| quantity[name].as_str().unwrap_or_default();
    let unit = QuantityUnit {
        system: kinds.systems.canonical(text("system")).to_owned(),
        code: text("code").to_owned(),
        unit: text("unit").to_owned(),
        decimals,
    };
    Some((number, unit))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The codings of a place with a code: systems as we write them, and codes.
fn codings(kinds: &Kinds, place: &Value) -> Vec<(String, String)> {
    codings_of(kinds, &place["code"])
}

/// The codings of a concept: systems as we write them, and codes.
fn codings_of(kinds: &Kinds, concept: &Value) -> Vec<(String, String)> {
    let codings = items(&concept["coding"]).filter_map(|coding| {
        let system = coding["system"].as_str().unwrap_or_default();
        let system = kinds.systems.canonical(system).to_owned();
        Some((system, coding["code"].as_str()?.to_owned()))
    });
    codings.collect()
}

/// Which records have a quantity beyond them, beside one of these codes (any where none is
/// asked for), that passes one of these tests.
pub(super) fn measured(of: Where, codes: Option<&[Pair]>, tests: &[QuantityTest]) -> Test {
    if tests.is_empty() {
        return Test::NEVER;
    }
    let each = tests
        .iter()
        .map(|test| Arc::new(test.clone()) as Arc<dyn Compares>);
    let asked = Amount::Asked(Asked(each.collect()));
    of_quantity(of, codes, &asked)
}

/// Which records have a quantity beyond them.
pub(super) fn has_measured(of: Where) -> Test {
    of_quantity(of, None, &Amount::Present)
}

fn of_quantity(of: Where, codes: Option<&[Pair]>, amount: &Amount) -> Test {
    let places: &[ResiduePlace] = match of {
        Where::Own => &[ResiduePlace::Own],
        Where::Components => &[ResiduePlace::Component],
        Where::Both => &[ResiduePlace::Own, ResiduePlace::Component],
    };
    Test::any(places.iter().map(|&place| {
        Test::Residue(ResidueTest::Quantity {
            place,
            codes: codes.map(<[Pair]>::to_vec),
            amount: amount.clone(),
        })
    }))
}

/// Which records have one of these codes beyond them, under this name.
pub(super) fn coded(parameter: String, codes: &[Pair]) -> Test {
    Test::Residue(ResidueTest::Value {
        parameter,
        holds: Holds::Is(codes.to_vec()),
    })
}

struct Reader<'a> {
    kinds: &'a Kinds,
    /// How many values were put.
    put: usize,
    parameter: &'static Parameter,
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
        if !self.found_by(element) {
            self.put(OTHER, "", "");
        }
    }

    /// Keeps what an element is found by; whether there is anything.
    fn found_by(&mut self, element: &Value) -> bool {
        let before = self.put;
        match element {
            Value::String(text) => self.put("", "", text),
            Value::Object(members) if members.contains_key("reference") => {
                if let Some(reference) = members["reference"].as_str() {
                    self.reference(reference);
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
        self.put > before
    }

    /// A reference, which a version that it names does not make another.
    fn reference(&mut self, reference: &str) {
        self.put("", "", reference);
        let (path, _) = reference
            .split_once("/_history/")
            .unwrap_or((reference, ""));
        if path != reference {
            self.put("", "", path);
        }
        if let Some((ty, id)) = path.split_once('/')
            && self.parameter.types.is_empty()
            && !ty.contains(':')
        {
            self.put(ID, "", id);
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
        self.put += 1;
        self.values.insert(ResidueValue {
            parameter: format!("{}{suffix}", self.parameter.name),
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
        Test::Residue(ResidueTest::Value {
            parameter: format!("{}{suffix}", filter.parameter.name),
            holds,
        })
    };
    Ok(match (filter.parameter.ty, filter.modifier) {
        (_, Some(Modifier::Missing)) => {
            let any = || {
                let beside: &[&str] = match filter.parameter.ty {
                    ParameterType::Token => &["", TEXT, OTHER],
                    ParameterType::Reference => &["", TEXT, IDENTIFIER, OTHER],
                    _ => &[""],
                };
                Test::any(beside.iter().map(|suffix| test(suffix, Holds::Present)))
            };
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
            let these = tokens(scope, filter)?;
            Test::any([means, test(IDENTIFIER, Holds::Is(these))])
        }
        (ParameterType::Token, modifier) => {
            let these = match modifier {
                Some(Modifier::In | Modifier::NotIn) => sets(scope, filter)?,
                _ => tokens(scope, filter)?,
            };
            let found = test("", Holds::Is(these));
            match modifier {
                Some(Modifier::Not | Modifier::NotIn) => Test::all([means, found.negated()]),
                _ => Test::any([means, found]),
            }
        }
        (ParameterType::Reference, modifier) => {
            let these = references(scope, filter, modifier)?;
            let found = test("", Holds::Is(these));
            if !filter.parameter.types.is_empty() {
                return Ok(Test::any([means, found]));
            }
            let ids = filter.values.iter().map(|v| (None, Some(unescape(v))));
            Test::any([means, found, test(ID, Holds::Is(ids.collect()))])
        }
        (_, Some(Modifier::Below)) => {
            let below = |uri: &str| match uri.ends_with('/') {
                true => uri.to_owned(),
                false => format!("{uri}/"),
            };
            let uris: Vec<String> = filter.values.iter().map(|v| unescape(v)).collect();
            let under = uris.iter().map(|uri| below(uri)).collect();
            let these = uris.into_iter().map(|uri| (None, Some(uri))).collect();
            Test::any([
                means,
                test("", Holds::Is(these)),
                test("", Holds::Begins(under)),
            ])
        }
        (_, Some(Modifier::Above)) => {
            let uris = filter.read(|name, value| match value.matches('/').count() {
                ..=PARTS_MAX => Ok(unescape(value)),
                _ => Err(Invalid::new(
                    name,
                    format!("an address with :above has {PARTS_MAX} slashes at most"),
                    format!(":above のアドレスに含められるスラッシュは {PARTS_MAX} 個までです"),
                )),
            })?;
            let these = uris.into_iter().flat_map(|uri| {
                let ends = uri.match_indices('/').flat_map(|(at, _)| [at, at + 1]);
                let ends: BTreeSet<usize> = ends.chain([uri.len()]).collect();
                let each = ends
                    .into_iter()
                    .map(|end| (None, Some(uri[..end].to_owned())));
                each.collect::<Vec<Pair>>()
            });
            Test::any([means, test("", Holds::Is(these.collect()))])
        }
        _ => {
            let these = filter.values.iter().map(|v| (None, Some(unescape(v))));
            Test::any([means, test("", Holds::Is(these.collect()))])
        }
    })
}

/// The codes of value sets.
fn sets(scope: &Scope, filter: &Filter) -> Result<Vec<Pair>, Invalid> {
    let mut out = Vec::new();
    for set in filter.read(|name, value| valueset::read(scope, name, value))? {
        let (system, codes) = set.codes();
        let one = |code: Option<&str>| (Some(system.to_owned()), code.map(str::to_owned));
        match codes {
            Codes::All => out.push(one(None)),
            Codes::Listed(codes) => out.extend(codes.iter().map(|code| one(Some(code)))),
        }
    }
    Ok(out)
}

/// The codes, or identifiers, that tokens mean.
pub(super) fn tokens(scope: &Scope, filter: &Filter) -> Result<Vec<Pair>, Invalid> {
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
    Ok(these.collect())
}

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
