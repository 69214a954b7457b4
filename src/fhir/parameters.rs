//! What an operation is given: the parameters of an address and those of a Parameters
//! resource, as one list (<https://hl7.org/fhir/R4/operations.html#executing>).

use serde_json::Value;

use super::operation::{Operation, Takes};
use super::search::form::{Pair, escape};
use super::search::{CURSOR, Ignored, Invalid};

/// What a parameter says.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A primitive, as it is written.
    Text(String),
    /// A complex value: Coding, Period …
    Value(Value),
    /// A resource.
    Resource(Value),
}

/// What an operation is given.
#[derive(Debug, Default)]
pub struct Arguments {
    given: Vec<(&'static str, Given)>,
    /// The parameters that go to the search which the operation makes.
    pub search: Vec<Pair>,
    /// `_summary` and `_elements`, where the operation makes no search of its own.
    pub parts: Vec<Pair>,
    /// Where the page begins that a link of an earlier one leads to.
    pub cursor: Option<String>,
    /// What was passed over.
    pub ignored: Vec<Ignored>,
}

/// How an answer is written; who writes it reads them from the address.
const FORMAT: [&str; 2] = ["_format", "_pretty"];
/// Which parts of resources are given.
const PARTS: [&str; 2] = ["_summary", "_elements"];

impl Arguments {
    /// Reads what stands in the address and in the body.
    ///
    /// # Errors
    /// [`Invalid`] for a body that is none of the operation, a parameter that stands twice
    /// and may not, and one that is missing.
    pub fn read(
        operation: &Operation,
        pairs: &[Pair],
        body: Option<Value>,
    ) -> Result<Arguments, Invalid> {
        let mut out = Arguments::default();
        for pair in pairs {
            out.text(operation, pair)?;
        }
        match body {
            None => {}
            Some(Value::Object(mut members))
                if members
                    .get("resourceType")
                    .is_some_and(|t| t == "Parameters") =>
            {
                let parameters = match members.remove("parameter") {
                    None => Vec::new(),
                    Some(Value::Array(parameters)) => parameters,
                    Some(_) => return Err(not_parameters()),
                };
                for parameter in parameters {
                    out.parameter(operation, parameter)?;
                }
            }
            Some(resource) if operation.takes == Takes::Resource && resource.is_object() => {
                out.add(operation, "resource", Given::Resource(resource))?;
            }
            Some(_) => return Err(not_parameters()),
        }
        for parameter in operation.parameters.iter().filter(|p| p.required) {
            if !out.given.iter().any(|(name, _)| *name == parameter.name) {
                return Err(Invalid::new(
                    parameter.name,
                    format!("is required: {}", parameter.about),
                    format!("は必須です（{}）", parameter.ty),
                ));
            }
        }
        Ok(out)
    }

    /// A parameter of the address.
    fn text(&mut self, operation: &Operation, pair: &Pair) -> Result<(), Invalid> {
        let name = pair.name.as_str();
        if operation.parameter(name).is_some() {
            let value = pair.value()?;
            if value.is_empty() {
                self.pass_over(name, "has no value", "値がありません");
                return Ok(());
            }
            return self.add(operation, name, Given::Text(value));
        }
        if name == CURSOR {
            self.cursor = Some(pair.value()?);
        } else if operation.searches.is_some() {
            self.search.push(pair.clone());
        } else if PARTS.contains(&name) {
            self.parts.push(pair.clone());
        } else if !FORMAT.contains(&name) {
            self.unknown(operation, name);
        }
        Ok(())
    }

    /// A parameter of a Parameters resource.
    fn parameter(&mut self, operation: &Operation, parameter: Value) -> Result<(), Invalid> {
        let Value::Object(members) = parameter else {
            return Err(not_parameters());
        };
        let Some(name) = members
            .get("name")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return Err(not_parameters());
        };
        let mut given = None;
        for (member, value) in members {
            if member == "resource" {
                given = Some(Given::Resource(value));
            } else if let Some(ty) = member.strip_prefix("value").filter(|ty| !ty.is_empty()) {
                given = Some(match value {
                    Value::String(text) => Given::Text(text),
                    Value::Bool(_) | Value::Number(_) => Given::Text(value.to_string()),
                    // What a search is given is written as a search has it.
                    complex if operation.parameter(&name).is_none() => {
                        Given::Text(searched(ty, &complex).ok_or_else(|| unsearchable(&name))?)
                    }
                    complex => Given::Value(complex),
                });
            }
        }
        match given {
            None => self.pass_over(&name, "has no value", "値がありません"),
            Some(given) if operation.parameter(&name).is_some() => {
                self.add(operation, &name, given)?;
            }
            Some(Given::Text(text)) if operation.searches.is_some() => {
                self.search.push(Pair::new(&name, &text));
            }
            Some(Given::Text(text)) if PARTS.contains(&name.as_str()) => {
                self.parts.push(Pair::new(&name, &text));
            }
            Some(_) if FORMAT.contains(&name.as_str()) => {}
            Some(_) => self.unknown(operation, &name),
        }
        Ok(())
    }

    fn add(&mut self, operation: &Operation, name: &str, given: Given) -> Result<(), Invalid> {
        let Some(parameter) = operation.parameter(name) else {
            self.unknown(operation, name);
            return Ok(());
        };
        let before = self.given.iter().any(|(n, _)| *n == parameter.name);
        if before && !parameter.repeats {
            return Err(Invalid::new(
                name,
                "may be given once",
                "は一度だけ指定できます",
            ));
        }
        self.given.push((parameter.name, given));
        Ok(())
    }

    fn unknown(&mut self, operation: &Operation, name: &str) {
        let operation = operation.name;
        self.pass_over(
            name,
            &format!("is no parameter of ${operation} here"),
            &format!("${operation} のパラメータではありません"),
        );
    }

    fn pass_over(&mut self, name: &str, en: &str, ja: &str) {
        self.ignored.push(Ignored {
            name: name.to_owned(),
            en: en.to_owned(),
            ja: ja.to_owned(),
        });
    }

    /// What was given for a parameter, in its order.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &Given> {
        self.given
            .iter()
            .filter(move |(n, _)| *n == name)
            .map(|(_, given)| given)
    }

    /// The resource given for a parameter.
    pub fn resource(&self, name: &'static str) -> Option<&Value> {
        self.all(name).find_map(|given| match given {
            Given::Resource(resource) => Some(resource),
            _ => None,
        })
    }

    /// The primitives given for a parameter.
    ///
    /// # Errors
    /// [`Invalid`] for what is none.
    pub fn texts(&self, name: &'static str) -> Result<Vec<&str>, Invalid> {
        self.all(name)
            .map(|given| match given {
                Given::Text(text) => Ok(text.as_str()),
                _ => Err(Invalid::new(
                    name,
                    "a primitive value is expected",
                    "プリミティブ型の値を指定してください",
                )),
            })
            .collect()
    }

    /// The primitive given for a parameter that stands once.
    ///
    /// # Errors
    /// As [`Arguments::texts`].
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Invalid> {
        Ok(self.texts(name)?.first().copied())
    }

    /// A number of 1 or more.
    ///
    /// # Errors
    /// [`Invalid`] for anything else.
    pub fn positive(&self, name: &'static str) -> Result<Option<usize>, Invalid> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<usize>() {
            Ok(number) if digits && number > 0 => Ok(Some(number)),
            // More digits than fit.
            Err(_) if digits && text.bytes().any(|b| b != b'0') => Ok(Some(usize::MAX)),
            _ => Err(Invalid::new(
                name,
                "a whole number, 1 or more, is expected",
                "1 以上の整数を指定してください",
            )),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// [`Invalid`] for anything else.
    pub fn flag(&self, name: &'static str) -> Result<bool, Invalid> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Invalid::new(
                name,
                "true or false is expected",
                "true か false を指定してください",
            )),
        }
    }
}

/// A complex value as a search parameter writes it.
fn searched(ty: &str, value: &Value) -> Option<String> {
    let part = |name: &str| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
        escape(text)
    };
    match ty {
        "Coding" => Some(token(&part("system"), &part("code"))),
        "Identifier" => Some(token(&part("system"), &part("value"))),
        "Reference" => Some(escape(value.get("reference")?.as_str()?)),
        "CodeableConcept" => {
            let codings = value.get("coding")?.as_array()?;
            let tokens: Option<Vec<String>> =
                codings.iter().map(|c| searched("Coding", c)).collect();
            tokens.map(|t| t.join(","))
        }
        "Quantity" => {
            let number = value.get("value")?;
            Some(format!("{number}|{}|{}", part("system"), part("code")))
        }
        _ => None,
    }
}

/// A code with its system; without one, a code of any system.
fn token(system: &str, code: &str) -> String {
    match system {
        "" => code.to_owned(),
        system => format!("{system}|{code}"),
    }
}

fn not_parameters() -> Invalid {
    Invalid::new(
        "Parameters",
        "a Parameters resource with parameter.name and a value or resource is expected",
        "parameter.name と値またはリソースを持つ Parameters を送ってください",
    )
}

fn unsearchable(name: &str) -> Invalid {
    Invalid::new(
        name,
        "a value of this type cannot be searched for; send it as valueString",
        "この型の値では検索できません。valueString で送ってください",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::operation::OPERATIONS;
    use crate::fhir::search::form::pairs;
    use serde_json::json;

    fn read(name: &str, query: &str, body: Option<Value>) -> Result<Arguments, Invalid> {
        let operation = OPERATIONS.iter().find(|o| o.name == name).unwrap();
        Arguments::read(operation, &pairs(query).unwrap(), body)
    }

    #[test]
    fn address_and_body_add_up() {
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "_type", "valueCode": "Device" },
            { "name": "_count", "valueInteger": 7 },
            { "name": "other", "valueBoolean": true },
        ] });
        let got = read("everything", "_type=Patient&_format=json", Some(body)).unwrap();
        assert_eq!(got.texts("_type").unwrap(), ["Patient", "Device"]);
        assert_eq!(got.positive("_count").unwrap(), Some(7));
        assert_eq!(got.ignored.len(), 1);
        assert_eq!(got.ignored[0].name, "other");
    }

    #[test]
    fn what_a_search_is_given_is_written_as_a_search_has_it() {
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "code", "valueCoding": { "system": "http://loinc.org", "code": "4548-4" } },
            { "name": "patient", "valueReference": { "reference": "Patient/a" } },
            { "name": "category", "valueCodeableConcept": { "coding": [{ "code": "a,b" }, { "code": "c" }] } },
            { "name": "max", "valuePositiveInt": 2 },
        ] });
        let got = read("lastn", "", Some(body)).unwrap();
        let values: Vec<String> = got.search.iter().map(|p| p.value().unwrap()).collect();
        assert_eq!(values, ["http://loinc.org|4548-4", "Patient/a", "a\\,b,c"]);
        assert_eq!(got.positive("max").unwrap(), Some(2));
    }

    #[test]
    fn what_is_no_argument_is_refused() {
        for body in [
            json!([]),
            json!({ "resourceType": "Patient" }),
            json!({ "resourceType": "Parameters", "parameter": {} }),
            json!({ "resourceType": "Parameters", "parameter": [{ "valueString": "x" }] }),
            json!({ "resourceType": "Parameters", "parameter": [7] }),
        ] {
            assert!(
                read("everything", "", Some(body.clone())).is_err(),
                "{body}"
            );
        }
        assert!(read("everything", "_count=1&_count=2", None).is_err());
        for wrong in ["0", "-1", "x", "1.5", "+1"] {
            let got = read("everything", &format!("_count={wrong}"), None).unwrap();
            assert!(got.positive("_count").is_err(), "{wrong}");
        }
        assert_eq!(
            read("everything", "_count=", None).unwrap().ignored.len(),
            1
        );
    }
}
