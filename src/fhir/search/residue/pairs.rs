//! Codes with a `valueCodeableConcept` beside them, written beyond records: what composites of
//! both find.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::element::Where;
use super::{codings_of, items};
use crate::kind::Kinds;
use crate::store::{Holds, Pair, ResidueTest, ResidueValue, Test};

/// Codes with the concept beside them, in the Observation and in components.
const OWN_CONCEPT: &str = "code-value-concept";
const COMPONENT_CONCEPT: &str = "component-code-value-concept";

/// Pairs of a code and a concept by which composites find a resource.
pub(super) fn values(kinds: &Kinds, resource: &Value) -> Vec<ResidueValue> {
    let components = items(&resource["component"]).map(|place| (COMPONENT_CONCEPT, place));
    let places = [(OWN_CONCEPT, resource)].into_iter().chain(components);
    let each = places.flat_map(|(parameter, place)| {
        let pairs = pairs_of(kinds, place).into_iter();
        pairs.map(move |value| ResidueValue {
            parameter: parameter.to_owned(),
            system: String::new(),
            value,
        })
    });
    each.collect()
}

/// The composites that find a place with a code and a `valueCodeableConcept`: each form of
/// the one token with each of the other.
fn pairs_of(kinds: &Kinds, place: &Value) -> BTreeSet<String> {
    let forms = |concept: &Value| {
        let codings = codings_of(kinds, concept).into_iter();
        let each = codings.flat_map(|(system, code)| {
            let some = (!system.is_empty()).then(|| pair_token(Some(&system), None));
            let code = Some(code.as_str());
            [pair_token(None, code), pair_token(Some(&system), code)]
                .into_iter()
                .chain(some)
        });
        each.collect::<Vec<String>>()
    };
    let has = |name: &str| place.get(name).is_some();
    if !has("valueCodeableConcept") || !has("code") {
        return BTreeSet::new();
    }
    let (codes, values) = (forms(&place["code"]), forms(&place["valueCodeableConcept"]));
    let each = codes.iter().flat_map(|code| {
        let values = values.iter();
        values.map(move |value| json!([code, value]).to_string())
    });
    // They are there, whatever they can be found by.
    each.chain([String::new()]).collect()
}

/// A token as one text: no two that ask for something else have the same.
fn pair_token(system: Option<&str>, code: Option<&str>) -> String {
    json!([system, code]).to_string()
}

/// Which records have a code beside a concept beyond them.
pub(in crate::fhir::search) fn paired(of: Where, codes: &[Pair], values: &[Pair]) -> Test {
    let text = |(system, code): &Pair| pair_token(system.as_deref(), code.as_deref());
    let each = codes.iter().flat_map(|code| {
        let values = values.iter();
        values.map(move |value| (None, Some(json!([text(code), text(value)]).to_string())))
    });
    of_pairs(of, &Holds::Is(each.collect()))
}

/// Which records have any code beside a concept beyond them.
pub(in crate::fhir::search) fn has_paired(of: Where) -> Test {
    of_pairs(of, &Holds::Present)
}

fn of_pairs(of: Where, holds: &Holds) -> Test {
    let parameters: &[&str] = match of {
        Where::Own => &[OWN_CONCEPT],
        Where::Components => &[COMPONENT_CONCEPT],
        Where::Both => &[OWN_CONCEPT, COMPONENT_CONCEPT],
    };
    Test::any(parameters.iter().map(|parameter| {
        Test::Residue(ResidueTest::Value {
            parameter: (*parameter).to_owned(),
            holds: holds.clone(),
        })
    }))
}
