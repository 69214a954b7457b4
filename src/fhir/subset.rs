//! Parts of a resource: `_summary` and `_elements`
//! (<https://hl7.org/fhir/R4/search.html#summary>,
//! <https://hl7.org/fhir/R4/search.html#elements>).
//!
//! In: a resource as it is. Out: the same without the elements that were not asked for,
//! tagged `SUBSETTED` so that nobody writes it back as the whole. What identifies it (`id`,
//! `meta`), what is mandatory and what modifies its meaning always stays.

use serde_json::{Map, Value, json};

use super::elements::{self, CHOICES, Element, is_member};
use super::search::form::Pair;
use super::search::{Invalid, Search};
use crate::tape::View;

/// What `_summary` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summary {
    /// `false`: the whole resource.
    #[default]
    False,
    /// `true`: the elements that R4 marks as its summary.
    True,
    /// `text`: the narrative and what is mandatory.
    Text,
    /// `data`: all but the narrative.
    Data,
    /// `count`: of a search only the number of matches.
    Count,
}

impl Summary {
    /// Reads a value of `_summary`.
    ///
    /// # Errors
    /// [`Invalid`] for any other word.
    pub fn read(value: &str) -> Result<Summary, Invalid> {
        Ok(match value {
            "false" => Summary::False,
            "true" => Summary::True,
            "text" => Summary::Text,
            "data" => Summary::Data,
            "count" => Summary::Count,
            _ => {
                return Err(Invalid::new(
                    "_summary",
                    "true, text, data, count or false is expected",
                    "true、text、data、count、false のいずれかを指定してください",
                ));
            }
        })
    }
}

/// The part of each resource that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subset {
    summary: Summary,
    /// Names of elements, as they were written; empty: all.
    elements: Vec<String>,
}

const SUBSETTED: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

impl Subset {
    /// A part by both parameters, which hold together.
    pub fn new(summary: Summary, elements: Vec<String>) -> Subset {
        Subset { summary, elements }
    }

    /// The part that parameters ask for; those of other names are passed over.
    ///
    /// # Errors
    /// [`Invalid`] where `_summary` is none of its words, or the one that only searches know.
    pub fn asked(pairs: &[Pair]) -> Result<Subset, Invalid> {
        let mut out = Subset::default();
        for pair in pairs {
            match pair.name.as_str() {
                "_summary" => out.summary = Summary::read(&pair.value()?)?,
                "_elements" => {
                    let names = pair.value()?;
                    let names = names.split(',').map(|name| name.trim().to_owned());
                    out.elements.extend(names.filter(|name| !name.is_empty()));
                }
                _ => {}
            }
        }
        if out.summary == Summary::Count {
            return Err(Invalid::new(
                "_summary",
                "count is for searches; true, text, data or false is expected",
                "count は検索用です。true、text、data、false のいずれかを指定してください",
            ));
        }
        Ok(out)
    }

    /// The part that a search asks for.
    pub fn of(search: &Search) -> Subset {
        Subset::new(search.summary, search.elements.clone())
    }

    /// Whether all is asked for.
    pub fn is_all(&self) -> bool {
        matches!(self.summary, Summary::False | Summary::Count) && self.elements.is_empty()
    }

    /// The same for resources that came by an include: `_elements` does not apply to them.
    #[must_use]
    pub fn of_included(&self) -> Subset {
        Subset::new(self.summary, Vec::new())
    }

    /// Takes away what is not asked for. Types that are not served here stay as they are.
    pub fn apply(&self, resource: &mut Value) {
        let name = resource["resourceType"].as_str().unwrap_or_default();
        let (false, Some(table)) = (self.is_all(), elements::of(name)) else {
            return;
        };
        let wanted: Vec<&str> = self.elements.iter().map(|e| top_level(e, name)).collect();
        let Value::Object(members) = resource else {
            return;
        };
        match self.summary {
            Summary::False | Summary::Count => {}
            Summary::True => keep_summary(members, "", table),
            Summary::Text => members.retain(|name, _| name == "text" || is_basic(name, table)),
            Summary::Data => members.retain(|name, _| name != "text"),
        }
        if !wanted.is_empty() {
            members.retain(|name, _| {
                is_basic(name, table) || wanted.iter().any(|wanted| is_wanted(wanted, name))
            });
        }
        tag(members);
    }

    /// The same of a resource as it was written.
    pub fn applied(&self, written: Vec<u8>) -> serde_json::Result<Vec<u8>> {
        if self.is_all() {
            return Ok(written);
        }
        let mut resource: Value = serde_json::from_slice(&written)?;
        self.apply(&mut resource);
        serde_json::to_vec(&resource)
    }
}

/// `value` of `value`, `Observation.value` and `value.code`: elements are chosen whole.
fn top_level<'a>(element: &'a str, resource_type: &str) -> &'a str {
    let path = element
        .strip_prefix(resource_type)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(element);
    path.split('.').next().unwrap_or(path)
}

/// Whether a name of `_elements` means a member: a choice may be named with its type or
/// without (`value`, `value[x]`, `valueQuantity`).
fn is_wanted(wanted: &str, member: &str) -> bool {
    let stem = wanted.strip_suffix("[x]").unwrap_or(wanted);
    let member = member.strip_prefix('_').unwrap_or(member);
    member == stem || (CHOICES.contains(&stem) && is_member(&format!("{stem}[x]"), member))
}

/// What always stays of a resource.
fn is_basic(name: &str, table: &[Element]) -> bool {
    matches!(
        name,
        "resourceType" | "id" | "meta" | "implicitRules" | "modifierExtension"
    ) || table
        .iter()
        .any(|e| (e.is_mandatory() || e.is_modifier()) && is_member(e.path, name))
}

/// Keeps the summary of an element at `path`, and of the elements in it.
fn keep_summary(members: &mut Map<String, Value>, path: &str, table: &[Element]) {
    let own = |e: &Element| -> Option<&'static str> {
        let rest = match path {
            "" => e.path,
            path => e.path.strip_prefix(path)?.strip_prefix('.')?,
        };
        (!rest.contains('.')).then_some(rest)
    };
    members.retain(|name, _| {
        let basic = match path {
            "" => is_basic(name, &[]),
            _ => name == "modifierExtension",
        };
        basic
            || table.iter().any(|e| {
                let signed = e.is_summary() || e.is_mandatory() || e.is_modifier();
                signed && own(e).is_some_and(|element| is_member(element, name))
            })
    });
    for (name, value) in members {
        let within = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        // Only the parts of backbone elements have rows; data types are kept whole.
        let has_parts = table.iter().any(|e| {
            e.path
                .strip_prefix(&within)
                .is_some_and(|rest| rest.starts_with('.'))
        });
        if !has_parts {
            continue;
        }
        let items = match value {
            Value::Array(items) => items.as_mut_slice(),
            single => std::slice::from_mut(single),
        };
        for item in items {
            if let Value::Object(members) = item {
                keep_summary(members, &within, table);
            }
        }
    }
}

/// The tag that marks a resource as a part of itself.
pub fn tag_of(resource: View) -> Option<View> {
    let mut tags = resource.get("meta")?.get("tag")?.items();
    tags.find(|tag| {
        let system = tag.text_of("system");
        tag.text_of("code") == Some("SUBSETTED") && system.is_none_or(|s| s == SUBSETTED)
    })
}

/// Marks a resource as a part of itself.
fn tag(members: &mut Map<String, Value>) {
    let tag = json!({
        "system": SUBSETTED,
        "code": "SUBSETTED",
        "display": "Resource encoded in summary mode",
    });
    match members.get_mut("meta").and_then(Value::as_object_mut) {
        Some(meta) => match meta.get_mut("tag").and_then(Value::as_array_mut) {
            Some(tags) => tags.push(tag),
            None => {
                meta.insert("tag".into(), json!([tag]));
            }
        },
        None => {
            members.insert("meta".into(), json!({ "tag": [tag] }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::check;

    fn golden() -> Value {
        let text = include_str!("../../tests/golden/home_blood_pressure/resource.json");
        serde_json::from_str(text).unwrap()
    }

    fn names(subset: &Subset, resource: &Value) -> Vec<String> {
        let mut part = resource.clone();
        subset.apply(&mut part);
        assert_eq!(check::check(&part), Ok(()));
        let tags = part["meta"]["tag"].as_array().unwrap();
        assert_eq!(tags.last().unwrap()["code"], "SUBSETTED");
        part.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn what_is_mandatory_or_modifies_the_meaning_stays() {
        let elements = |names: &[&str]| {
            let names = names.iter().map(|n| (*n).to_owned()).collect();
            Subset::new(Summary::False, names)
        };
        let always = ["resourceType", "id", "meta", "status", "code"];
        assert_eq!(names(&elements(&["no-such"]), &golden()), always);
        for wanted in [
            "effective",
            "effective[x]",
            "effectiveDateTime",
            "Observation.effective",
        ] {
            assert_eq!(
                names(&elements(&[wanted]), &golden()),
                [&always[..], &["effectiveDateTime"]].concat(),
                "{wanted}"
            );
        }
        assert_eq!(
            names(&elements(&["component.valueQuantity", "device"]), &golden()),
            [&always[..], &["device", "component"]].concat()
        );
        assert_eq!(
            names(&Subset::new(Summary::Text, Vec::new()), &golden()),
            always
        );
    }

    #[test]
    fn a_summary_has_what_r4_marks_at_every_depth() {
        let mut resource = golden();
        resource["text"] = json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>" });
        resource["component"][0]["interpretation"] = json!([{ "text": "high" }]);
        let summary = Subset::new(Summary::True, Vec::new());
        assert_eq!(
            names(&summary, &resource),
            [
                "resourceType",
                "id",
                "meta",
                "identifier",
                "status",
                "code",
                "subject",
                "effectiveDateTime",
                "issued",
                "performer",
                "component"
            ]
        );
        summary.apply(&mut resource);
        let first = resource["component"][0].as_object().unwrap();
        assert_eq!(first.keys().collect::<Vec<_>>(), ["code", "valueQuantity"]);
    }

    #[test]
    fn data_is_all_but_the_narrative() {
        let mut resource = golden();
        resource["text"] = json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>" });
        let before = golden().as_object().unwrap().len();
        let subset = Subset::new(Summary::Data, Vec::new());
        assert_eq!(names(&subset, &resource).len(), before);
    }

    #[test]
    fn all_is_untouched() {
        for summary in [Summary::False, Summary::Count] {
            let subset = Subset::new(summary, Vec::new());
            assert!(subset.is_all());
            let mut resource = golden();
            subset.apply(&mut resource);
            assert_eq!(resource, golden());
        }
        assert_eq!(Subset::default().applied(b"{}".to_vec()).unwrap(), b"{}");
        let elements = Subset::new(Summary::Data, vec!["x".into()]);
        assert!(elements.of_included().elements.is_empty());
    }

    #[test]
    fn words_of_summary() {
        assert_eq!(Summary::read("data"), Ok(Summary::Data));
        assert!(Summary::read("True").is_err());
    }
}
