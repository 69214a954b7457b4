//! What the FHIRPath of a parameter reads of a resource.

use serde_json::Value;

use super::Parameter;
use crate::reading::interval;

/// Systems of elements of type `code`, which their value sets imply.
const IMPLIED: [(&str, &str); 7] = [
    (
        "Observation.status",
        "http://hl7.org/fhir/observation-status",
    ),
    (
        "Patient.gender",
        "http://hl7.org/fhir/administrative-gender",
    ),
    ("Patient.address.use", "http://hl7.org/fhir/address-use"),
    ("Device.status", "http://hl7.org/fhir/device-status"),
    ("Group.type", "http://hl7.org/fhir/group-type"),
    (
        "ResearchStudy.status",
        "http://hl7.org/fhir/research-study-status",
    ),
    (
        "ResearchSubject.status",
        "http://hl7.org/fhir/research-subject-status",
    ),
];

static FALSE: Value = Value::Bool(false);

/// The values of the few forms of FHIRPath that R4's search parameters have.
pub(crate) fn evaluate<'a>(expression: &str, body: &'a Value) -> Vec<&'a Value> {
    if expression.contains(".exists() and ") {
        // Of nobody is it known: it is not there, so it is false.
        let name = expression.split('.').nth(1).unwrap();
        assert!(members(body, name, None).is_empty());
        return vec![&FALSE];
    }
    let mut out = Vec::new();
    for part in expression.split(" | ") {
        let part = part.trim();
        let inner = part.strip_prefix('(').and_then(|p| p.strip_suffix(')'));
        let (path, of) = match inner.unwrap_or(part).split_once(" as ") {
            Some((path, of)) => (path, Some(of)),
            None => (part, None),
        };
        let steps: Vec<&str> = path.split('.').skip(1).collect();
        let mut here = vec![body];
        for (n, step) in steps.iter().enumerate() {
            if let Some(condition) = step.strip_prefix("where(") {
                if let Some((name, value)) = condition.trim_end_matches(')').split_once('=') {
                    here.retain(|v| v[name] == value.trim_matches('\''));
                }
                continue;
            }
            if step.starts_with("resolve()") {
                continue;
            }
            let of = of.filter(|_| n + 1 == steps.len());
            here = here.iter().flat_map(|v| members(v, step, of)).collect();
        }
        out.extend(here);
    }
    out
}

/// The values of a member, or of one with a choice of types.
pub(crate) fn members<'a>(value: &'a Value, name: &str, of: Option<&str>) -> Vec<&'a Value> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    let chosen = of.map(|of| format!("{name}{}{}", of[..1].to_uppercase(), &of[1..]));
    let is = |member: &str| match &chosen {
        Some(chosen) => member == chosen,
        None => {
            let rest = member.strip_prefix(name);
            rest.is_some_and(|r| r.is_empty() || r.starts_with(char::is_uppercase))
        }
    };
    let found = object.iter().filter(|(member, _)| is(member));
    let each = found.flat_map(|(_, value)| match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    });
    each.collect()
}

/// System and code of what a token can mean in a value.
pub(crate) fn codings(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pair = |v: &Value, code: &str| vec![(text(&v["system"]), text(&v[code]))];
    match value {
        Value::Bool(value) => vec![(
            "http://hl7.org/fhir/special-values".into(),
            value.to_string(),
        )],
        Value::String(code) => {
            let implied = IMPLIED.iter().find(|(path, _)| *path == parameter.reads);
            vec![(
                implied.map_or("", |(_, system)| system).to_owned(),
                code.clone(),
            )]
        }
        concept if concept["coding"].is_array() => {
            let codings = concept["coding"].as_array().unwrap().iter();
            codings.flat_map(|c| pair(c, "code")).collect()
        }
        identifier if identifier["value"].is_string() => pair(identifier, "value"),
        coding => pair(coding, "code"),
    }
}

/// The texts of a value that `:text` reads.
pub(crate) fn displays(value: &Value) -> Vec<String> {
    let codings = value["coding"].as_array().cloned().unwrap_or_default();
    let displays = codings
        .iter()
        .map(|c| &c["display"])
        .chain([&value["text"]]);
    displays
        .filter_map(|t| t.as_str().map(str::to_owned))
        .collect()
}

/// The texts of a value that a string parameter reads.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        address => [
            "text",
            "line",
            "city",
            "district",
            "state",
            "postalCode",
            "country",
        ]
        .iter()
        .flat_map(|part| members(address, part, None))
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect(),
    }
}

/// The interval of a date, or of a period that may be open.
pub(crate) fn span(value: &Value) -> (i64, i64) {
    match value {
        Value::String(text) => interval(text),
        period => (
            period["start"].as_str().map_or(i64::MIN, |t| interval(t).0),
            period["end"].as_str().map_or(i64::MAX, |t| interval(t).1),
        ),
    }
}
