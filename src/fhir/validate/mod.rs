//! `$validate`: whether a resource is valid
//! (<https://hl7.org/fhir/R4/resource-operation-validate.html>).
//!
//! From the general to the particular: the structure of R4 ([`check`](super::check)), what is
//! mandatory ([`elements`](super::elements)), the rules of R4 ([`rule`]), and those of the
//! profiles that are known here ([`profile`]). Whether a resource can be stored is another
//! question, which the reader of FHIR answers ([`inbound`](super::inbound)).

mod profile;
mod rule;

use serde_json::Value;

use super::check;
use super::elements::{self, is_member};
use super::outcome::Issue;
use crate::fault::{Fault, Lang, Place, Severity};
use crate::tape::View;

/// Something to say about a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A code of FHIR's `issue-type`.
    pub issue_type: &'static str,
    /// The name of the rule: `obs-7`.
    pub rule: &'static str,
    /// What it says, in English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
    /// The element, as FHIRPath.
    pub at: String,
}

impl Finding {
    fn error(
        rule: &'static str,
        issue_type: &'static str,
        at: &str,
        en: &str,
        ja: &str,
    ) -> Finding {
        Finding {
            severity: Severity::Error,
            issue_type,
            rule,
            en: en.to_owned(),
            ja: ja.to_owned(),
            at: at.to_owned(),
        }
    }

    /// As an OperationOutcome tells it.
    pub fn issue(&self, lang: Lang) -> Issue {
        let text = match lang {
            Lang::En => &self.en,
            Lang::Ja => &self.ja,
        };
        let text = match self.rule {
            "" => text.clone(),
            rule => format!("{rule}: {text}"),
        };
        let mut issue = Issue::new(self.severity, self.issue_type, text);
        issue.expression.push(elements::fhir_path(&self.at));
        issue
    }
}

/// What is wrong with the structure of a resource.
pub fn structure(resource: View) -> Vec<Fault> {
    let misfits = check::misfits(resource).into_iter();
    misfits
        .map(|misfit| {
            Fault::new(misfit.code, misfit.path, Place::default())
                .expected(misfit.expected)
                .found(&misfit.found)
        })
        .collect()
}

/// What a resource of sound structure breaks: what is mandatory, the rules of R4, and those
/// of its profiles and of these.
pub fn rules(resource: &Value, profiles: &[&str]) -> Vec<Finding> {
    let name = resource["resourceType"].as_str().unwrap_or_default();
    let mut out = Vec::new();
    for element in elements::of(name).unwrap_or_default() {
        if element.is_mandatory() {
            let path: Vec<&str> = element.path.split('.').collect();
            missing(resource, &path, name, &mut out);
        }
    }
    rule::judge(resource, name, &mut out);
    profile::judge(resource, name, profiles, &mut out);
    out
}

/// Tells where the element around a mandatory one stands, and it does not.
fn missing(value: &Value, path: &[&str], at: &str, out: &mut Vec<Finding>) {
    if let Value::Array(items) = value {
        for (i, item) in items.iter().enumerate() {
            missing(item, path, &format!("{at}[{i}]"), out);
        }
        return;
    }
    let (Some((name, rest)), Value::Object(members)) = (path.split_first(), value) else {
        return;
    };
    let mut found = members.iter().filter(|(member, _)| is_member(name, member));
    if !rest.is_empty() {
        for (member, value) in found {
            missing(value, rest, &format!("{at}.{member}"), out);
        }
    } else if found.next().is_none() {
        let element = name.trim_end_matches("[x]");
        out.push(Finding::error(
            "",
            "required",
            &format!("{at}.{element}"),
            &format!("{name} is mandatory"),
            &format!("{name} は必須です"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Rule (or issue type, of mandatory elements) and place of what is found.
    pub(super) fn found(resource: &Value) -> Vec<(String, String)> {
        let found = rules(resource, &[]).into_iter();
        let errors = found.filter(|f| f.severity == Severity::Error);
        let told = errors.map(|f| {
            let rule = if f.rule.is_empty() {
                f.issue_type
            } else {
                f.rule
            };
            (rule.to_owned(), f.at)
        });
        told.collect()
    }

    #[test]
    fn the_golden_resources_break_no_rule() {
        let mut checked = 0;
        for folder in std::fs::read_dir("tests/golden").unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let value: Value = serde_json::from_str(&text).unwrap();
                if value.get("resourceType").is_some() {
                    assert_eq!(found(&value), [], "{}", path.display());
                    checked += 1;
                }
            }
        }
        assert!(checked > 10);
    }

    #[test]
    fn what_is_mandatory_is_missed_where_its_element_stands() {
        let observation = json!({
            "resourceType": "Observation", "code": { "text": "x" },
            "component": [{ "code": { "text": "y" } }, { "valueString": "z" }],
        });
        let required = |at: &str| ("required".to_owned(), at.to_owned());
        assert_eq!(
            found(&observation),
            [
                required("Observation.status"),
                required("Observation.component[1].code")
            ]
        );
        let group = json!({ "resourceType": "Group", "type": "person", "actual": false,
            "characteristic": [{ "code": { "text": "x" }, "exclude": false }] });
        assert_eq!(found(&group), [required("Group.characteristic[0].value")]);
    }
}
