//! Rules of R4: invariants, required codes, and how dates and ids are written.
//!
//! Each is a row: the element that it is about, by its path or by the names under which its
//! data type stands, and a function that says whether it is broken. The names are R4's own
//! (<https://hl7.org/fhir/R4/observation.html#invs>,
//! <https://hl7.org/fhir/R4/datatypes.html>).

use serde_json::Value;

use super::Finding;
use crate::fhir::search::reference::is_id;
use crate::time::{self, JST};

/// What a rule is about.
enum About {
    /// The element at this path, without places in lists.
    Path(&'static str),
    /// Elements of these names, wherever they stand.
    Names(&'static [&'static str]),
    /// Elements whose names end so.
    Ending(&'static str),
}

impl About {
    fn fits(&self, path: &str, name: &str) -> bool {
        match self {
            About::Path(own) => *own == path,
            About::Names(names) => names.contains(&name),
            About::Ending(end) => name.ends_with(end),
        }
    }
}

/// A rule about an element.
struct Rule {
    key: &'static str,
    about: About,
    en: &'static str,
    ja: &'static str,
    broken: fn(&Value) -> bool,
}

static RULES: &[Rule] = &[
    Rule {
        key: "obs-3",
        about: About::Path("Observation.referenceRange"),
        en: "a reference range has at least a low, a high or a text",
        ja: "referenceRange には low、high、text のいずれかが必要です",
        broken: |range| !has_any(range, &["low", "high", "text"]),
    },
    Rule {
        key: "obs-6",
        about: About::Path("Observation"),
        en: "dataAbsentReason stands only where there is no value[x]",
        ja: "dataAbsentReason は value[x] がないときだけ記述できます",
        broken: |observation| has(observation, "dataAbsentReason") && value(observation).is_some(),
    },
    Rule {
        key: "obs-7",
        about: About::Path("Observation"),
        en: "with a component of the same code there is no value[x]",
        ja: "同じコードの component があるときは value[x] を記述できません",
        broken: |observation| {
            let codes = codings(&observation["code"]);
            let parts = items(&observation["component"]);
            value(observation).is_some()
                && parts
                    .iter()
                    .any(|part| codings(&part["code"]).any(|c| codes.clone().any(|own| own == c)))
        },
    },
    Rule {
        key: "pat-1",
        about: About::Path("Patient.contact"),
        en: "a contact has a name, telecom, address or organization",
        ja: "contact には name、telecom、address、organization のいずれかが必要です",
        broken: |contact| !has_any(contact, &["name", "telecom", "address", "organization"]),
    },
    Rule {
        key: "org-1",
        about: About::Path("Organization"),
        en: "an organization has a name or an identifier",
        ja: "Organization には name か identifier が必要です",
        broken: |organization| !has_any(organization, &["name", "identifier"]),
    },
    Rule {
        key: "org-2",
        about: About::Path("Organization.address"),
        en: "an address of an organization is not of use home",
        ja: "Organization.address の use に home は使えません",
        broken: |address| address["use"] == "home",
    },
    Rule {
        key: "org-3",
        about: About::Path("Organization.telecom"),
        en: "the telecom of an organization is not of use home",
        ja: "Organization.telecom の use に home は使えません",
        broken: |telecom| telecom["use"] == "home",
    },
    Rule {
        key: "grp-1",
        about: About::Path("Group"),
        en: "only an actual group has members",
        ja: "member は actual が true の Group だけに記述できます",
        broken: |group| has(group, "member") && group["actual"] != true,
    },
    Rule {
        key: "per-1",
        about: About::Names(&["period", "effectivePeriod", "occurredPeriod", "valuePeriod"]),
        en: "a period does not end before it starts",
        ja: "期間の end が start より前です",
        broken: |period| {
            let at = |name: &str| time::parse_fhir(period[name].as_str()?, JST);
            at("start")
                .zip(at("end"))
                .is_some_and(|(start, end)| end.until <= start.from)
        },
    },
    Rule {
        key: "ext-1",
        about: About::Names(&["extension", "modifierExtension"]),
        en: "an extension has either a value or extensions, and its url",
        ja: "extension には url と、値または内側の extension のどちらか一方が必要です",
        broken: |extension| {
            !has(extension, "url") || has(extension, "extension") == value(extension).is_some()
        },
    },
    Rule {
        key: "qty-3",
        about: About::Ending("Quantity"),
        en: "the code of a unit has its system",
        ja: "単位の code には system が必要です",
        broken: |quantity| has(quantity, "code") && !has(quantity, "system"),
    },
    Rule {
        key: "cpt-2",
        about: About::Names(&["telecom"]),
        en: "the value of a contact point has its system",
        ja: "telecom の value には system が必要です",
        broken: |telecom| has(telecom, "value") && !has(telecom, "system"),
    },
];

/// Codes that R4 requires (<https://hl7.org/fhir/R4/terminologies.html#required>).
static CODES: &[(About, &[&str])] = &[
    (
        About::Path("Observation.status"),
        &[
            "registered",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "cancelled",
            "entered-in-error",
            "unknown",
        ],
    ),
    (About::Path("Patient.gender"), GENDER),
    (About::Path("Patient.contact.gender"), GENDER),
    (
        About::Path("Patient.link.type"),
        &["replaced-by", "replaces", "refer", "seealso"],
    ),
    (
        About::Path("Device.status"),
        &["active", "inactive", "entered-in-error", "unknown"],
    ),
    (About::Path("Device.deviceName.type"), DEVICE_NAME),
    (About::Path("DeviceDefinition.deviceName.type"), DEVICE_NAME),
    (
        About::Path("ResearchStudy.status"),
        &[
            "active",
            "administratively-completed",
            "approved",
            "closed-to-accrual",
            "closed-to-accrual-and-intervention",
            "completed",
            "disapproved",
            "in-review",
            "temporarily-closed-to-accrual",
            "temporarily-closed-to-accrual-and-intervention",
            "withdrawn",
        ],
    ),
    (
        About::Path("ResearchSubject.status"),
        &[
            "candidate",
            "eligible",
            "follow-up",
            "ineligible",
            "not-registered",
            "off-study",
            "on-study",
            "on-study-intervention",
            "on-study-observation",
            "pending-on-study",
            "potential-candidate",
            "screening",
            "withdrawn",
        ],
    ),
    (
        About::Path("Group.type"),
        &[
            "person",
            "animal",
            "practitioner",
            "device",
            "medication",
            "substance",
        ],
    ),
    (
        About::Path("Patient.identifier.use"),
        &["usual", "official", "temp", "secondary", "old"],
    ),
    (
        About::Path("Patient.name.use"),
        &[
            "usual",
            "official",
            "temp",
            "nickname",
            "anonymous",
            "old",
            "maiden",
        ],
    ),
    (
        About::Path("Patient.address.use"),
        &["home", "work", "temp", "old", "billing"],
    ),
    (About::Path("Patient.telecom.system"), TELECOM),
    (About::Path("Organization.telecom.system"), TELECOM),
    (About::Names(&["comparator"]), &["<", "<=", ">=", ">"]),
];

const GENDER: &[&str] = &["male", "female", "other", "unknown"];
const TELECOM: &[&str] = &["phone", "fax", "email", "pager", "url", "sms", "other"];
const DEVICE_NAME: &[&str] = &[
    "udi-label-name",
    "user-friendly-name",
    "patient-reported-name",
    "manufacturer-name",
    "model-name",
    "other",
];

/// How a primitive is written.
struct Written {
    about: About,
    expected: &'static str,
    ja: &'static str,
    wrong: fn(&str) -> bool,
}

static WRITTEN: &[Written] = &[
    Written {
        about: About::Names(&["birthDate"]),
        expected: "a date is expected, such as 2016-09-01, 2016-09 or 2016",
        ja: "2016-09-01、2016-09、2016 のような日付が必要です",
        wrong: |text| text.contains('T') || time::parse_fhir(text, JST).is_none(),
    },
    Written {
        about: About::Ending("DateTime"),
        expected: "a time is expected, such as 2016-09-01T07:30:00+09:00, or a date",
        ja: "2016-09-01T07:30:00+09:00 のような日時か日付が必要です",
        wrong: is_no_time,
    },
    Written {
        about: About::Names(&["start", "end"]),
        expected: "a time is expected, such as 2016-09-01T07:30:00+09:00, or a date",
        ja: "2016-09-01T07:30:00+09:00 のような日時か日付が必要です",
        wrong: is_no_time,
    },
    Written {
        about: About::Names(&["issued", "recorded", "lastUpdated"]),
        expected: "an instant is expected, such as 2016-09-01T07:30:00+09:00",
        ja: "2016-09-01T07:30:00+09:00 のような時点が必要です",
        wrong: |text| !time::parse_fhir(text, JST).is_some_and(|at| at.zoned),
    },
];

fn is_no_time(text: &str) -> bool {
    let at = time::parse_fhir(text, JST);
    // A time of the day has its zone.
    at.is_none_or(|at| text.contains('T') && !at.zoned)
}

/// Judges a resource and all that is in it.
pub fn judge(resource: &Value, name: &str, out: &mut Vec<Finding>) {
    if let Some(id) = resource["id"].as_str().filter(|id| !is_id(id)) {
        let en = format!(
            "{:?} is no id: 1 to 64 letters, digits, - and . are",
            crate::fault::shorten(id)
        );
        let ja = "id は英数字と - . の 1〜64 文字です";
        out.push(Finding::error("", "value", &format!("{name}.id"), &en, ja));
    }
    element(resource, name, name, "", out);
}

/// Judges an element. `path` has no places in lists, `at` has them.
fn element(value: &Value, at: &str, path: &str, name: &str, out: &mut Vec<Finding>) {
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                element(item, &format!("{at}[{i}]"), path, name, out);
            }
        }
        Value::Object(members) => {
            for rule in RULES.iter().filter(|rule| rule.about.fits(path, name)) {
                if (rule.broken)(value) {
                    out.push(Finding::error(rule.key, "invariant", at, rule.en, rule.ja));
                }
            }
            for (name, value) in members.iter().filter(|(name, _)| *name != "contained") {
                element(
                    value,
                    &format!("{at}.{name}"),
                    &format!("{path}.{name}"),
                    name,
                    out,
                );
            }
        }
        Value::String(text) => primitive(text, at, path, name, out),
        _ => {}
    }
}

fn primitive(text: &str, at: &str, path: &str, name: &str, out: &mut Vec<Finding>) {
    let required = CODES.iter().find(|(about, _)| about.fits(path, name));
    if let Some((_, codes)) = required.filter(|(_, codes)| !codes.contains(&text)) {
        let codes = codes.join(", ");
        let en = format!("one of these codes is required: {codes}");
        let ja = format!("次のコードのいずれかが必要です: {codes}");
        out.push(Finding::error("", "code-invalid", at, &en, &ja));
    }
    for written in WRITTEN
        .iter()
        .filter(|w| w.about.fits(path, name) && (w.wrong)(text))
    {
        out.push(Finding::error(
            "",
            "value",
            at,
            written.expected,
            written.ja,
        ));
    }
}

fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some()
}

fn has_any(value: &Value, names: &[&str]) -> bool {
    names.iter().any(|name| has(value, name))
}

/// The `value[x]` of an element.
pub fn value(element: &Value) -> Option<&Value> {
    let mut members = element.as_object()?.iter();
    let found = members.find(|(name, _)| super::is_member("value[x]", name));
    found.map(|(_, value)| value)
}

/// The elements of a list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// System and code of the codings of a CodeableConcept.
pub fn codings(concept: &Value) -> impl Iterator<Item = (&str, &str)> + Clone {
    items(&concept["coding"])
        .iter()
        .filter_map(|coding| Some((coding["system"].as_str()?, coding["code"].as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;
    use serde_json::json;

    fn observation(more: Value) -> Value {
        let mut out = json!({
            "resourceType": "Observation", "status": "final",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
        });
        for (name, value) in more.as_object().unwrap() {
            out[name] = value.clone();
        }
        out
    }

    #[test]
    fn each_rule_is_broken_where_it_is() {
        let pulse = json!({ "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] });
        let patient = |more: &str, value: Value| json!({ "resourceType": "Patient", more: value });
        for (resource, key, at) in [
            (
                observation(json!({ "valueString": "x", "dataAbsentReason": { "text": "y" } })),
                "obs-6",
                "Observation",
            ),
            (
                observation(json!({ "valueString": "x", "component": [{ "code": pulse }] })),
                "obs-7",
                "Observation",
            ),
            (
                observation(json!({ "referenceRange": [{ "type": { "text": "x" } }] })),
                "obs-3",
                "Observation.referenceRange[0]",
            ),
            (
                observation(
                    json!({ "effectivePeriod": { "start": "2016-09-02", "end": "2016-09-01" } }),
                ),
                "per-1",
                "Observation.effectivePeriod",
            ),
            (
                observation(json!({ "extension": [{ "url": "u" }] })),
                "ext-1",
                "Observation.extension[0]",
            ),
            (
                observation(json!({ "valueQuantity": { "value": 1, "code": "kg" } })),
                "qty-3",
                "Observation.valueQuantity",
            ),
            (
                observation(json!({ "status": "done" })),
                "code-invalid",
                "Observation.status",
            ),
            (
                observation(json!({ "issued": "2016-09-01" })),
                "value",
                "Observation.issued",
            ),
            (
                observation(json!({ "effectiveDateTime": "2016-09-01T07:00:00" })),
                "value",
                "Observation.effectiveDateTime",
            ),
            (
                observation(json!({ "effectiveDateTime": "1.9.2016" })),
                "value",
                "Observation.effectiveDateTime",
            ),
            (
                observation(json!({ "id": "a_b" })),
                "value",
                "Observation.id",
            ),
            (
                patient("contact", json!([{ "gender": "male" }])),
                "pat-1",
                "Patient.contact[0]",
            ),
            (
                patient("gender", json!("m")),
                "code-invalid",
                "Patient.gender",
            ),
            (
                patient("birthDate", json!("1961-04-01T00:00:00Z")),
                "value",
                "Patient.birthDate",
            ),
            (
                patient("telecom", json!([{ "value": "x" }])),
                "cpt-2",
                "Patient.telecom[0]",
            ),
            (
                json!({ "resourceType": "Organization", "active": true }),
                "org-1",
                "Organization",
            ),
            (
                json!({ "resourceType": "Group", "type": "person", "actual": false, "member": [{ "entity": { "display": "x" } }] }),
                "grp-1",
                "Group",
            ),
        ] {
            assert_eq!(
                found(&resource),
                [(key.to_owned(), at.to_owned())],
                "{resource}"
            );
        }
    }

    #[test]
    fn every_rule_is_named_once() {
        let mut keys: Vec<&str> = RULES.iter().map(|rule| rule.key).collect();
        keys.sort_unstable();
        let before = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), before);
    }
}
