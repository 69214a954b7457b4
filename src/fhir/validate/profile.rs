//! Profiles that are known here: R4's own vital signs
//! (<https://hl7.org/fhir/R4/observation-vitalsigns.html>).
//!
//! What a resource claims, or is asked for, and is not known here is told: nothing is said
//! to be valid that was not looked at.

use serde_json::Value;

use super::Finding;
use super::rule::{codings, items, value};
use crate::fault::{Severity, shorten};
use crate::time::{self, JST, Precision};

const HL7: &str = "http://hl7.org/fhir/StructureDefinition/";
const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// A vital sign: its profile, its code, and the units it may have; none for a panel.
struct VitalSign {
    profile: &'static str,
    code: &'static str,
    units: &'static [&'static str],
    /// Codes and units of the components that must be there.
    parts: &'static [(&'static str, &'static [&'static str])],
}

const fn sign(
    profile: &'static str,
    code: &'static str,
    units: &'static [&'static str],
) -> VitalSign {
    VitalSign {
        profile,
        code,
        units,
        parts: &[],
    }
}

static VITAL_SIGNS: &[VitalSign] = &[
    sign("bodyheight", "8302-2", &["cm", "[in_i]"]),
    sign("bodytemp", "8310-5", &["Cel", "[degF]"]),
    sign("bodyweight", "29463-7", &["g", "kg", "[lb_av]"]),
    sign("bmi", "39156-5", &["kg/m2"]),
    VitalSign {
        parts: &[("8480-6", &["mm[Hg]"]), ("8462-4", &["mm[Hg]"])],
        ..sign("bp", "85354-9", &[])
    },
    sign("heartrate", "8867-4", &["/min"]),
    sign("headcircum", "9843-4", &["cm", "[in_i]"]),
    sign("oxygensat", "2708-6", &["%"]),
    sign("resprate", "9279-1", &["/min"]),
];

/// Judges a resource by the profiles that it claims, and by these.
pub fn judge(resource: &Value, name: &str, asked: &[&str], out: &mut Vec<Finding>) {
    let claimed = items(&resource["meta"]["profile"]);
    let claimed = claimed.iter().filter_map(Value::as_str);
    let claimed = claimed.filter(|profile| !asked.contains(profile));
    for (profile, is_asked) in asked
        .iter()
        .map(|p| (*p, true))
        .chain(claimed.map(|p| (p, false)))
    {
        let own = profile
            .strip_prefix(HL7)
            .map(|rest| rest.split('|').next().unwrap_or(rest));
        let sign = VITAL_SIGNS.iter().find(|sign| own == Some(sign.profile));
        if own == Some(name) || own == Some("Resource") || own == Some("DomainResource") {
            continue;
        }
        if (sign.is_none() && own != Some("vitalsigns")) || name != "Observation" {
            out.push(unknown(profile, name, is_asked));
            continue;
        }
        vital_sign(resource, out);
        if let Some(sign) = sign {
            of_sign(resource, sign, out);
        }
    }
}

fn unknown(profile: &str, name: &str, is_asked: bool) -> Finding {
    let profile = shorten(profile);
    let at = if is_asked {
        name.to_owned()
    } else {
        format!("{name}.meta.profile")
    };
    let en = format!("the profile {profile} is not known here, so that it was not checked");
    let ja = format!("プロファイル {profile} はこのサーバーにないため、検証していません");
    Finding {
        // Who asks for it must not think that it was looked at.
        severity: if is_asked {
            Severity::Error
        } else {
            Severity::Information
        },
        ..Finding::error("", "not-supported", &at, &en, &ja)
    }
}

/// What all vital signs have in common.
fn vital_sign(resource: &Value, out: &mut Vec<Finding>) {
    let mut required = |is_there: bool, at: &str, en: &str, ja: &str| {
        if !is_there {
            out.push(Finding::error("vitalsigns", "required", at, en, ja));
        }
    };
    let categories = items(&resource["category"]);
    required(
        categories
            .iter()
            .any(|c| codings(c).any(|c| c == (CATEGORY, "vital-signs"))),
        "Observation.category",
        "the category vital-signs is mandatory",
        "カテゴリー vital-signs が必須です",
    );
    required(
        resource.get("subject").is_some(),
        "Observation.subject",
        "subject is mandatory",
        "subject が必須です",
    );
    let effective = ["effectiveDateTime", "effectivePeriod"];
    required(
        effective.iter().any(|name| resource.get(name).is_some()),
        "Observation.effective",
        "effectiveDateTime or effectivePeriod is mandatory",
        "effectiveDateTime か effectivePeriod が必須です",
    );
    let at = resource["effectiveDateTime"]
        .as_str()
        .and_then(|text| time::parse_fhir(text, JST));
    if at.is_some_and(|at| matches!(at.precision, Precision::Year | Precision::Month)) {
        out.push(Finding::error(
            "vs-1",
            "invariant",
            "Observation.effectiveDateTime",
            "the time is given to the day at least",
            "日時は日以上の精度が必要です",
        ));
    }
    let says =
        |element: &Value| value(element).is_some() || element.get("dataAbsentReason").is_some();
    let has_parts = ["component", "hasMember"]
        .iter()
        .any(|name| resource.get(name).is_some());
    if !has_parts && !says(resource) {
        out.push(Finding::error(
            "vs-2",
            "invariant",
            "Observation",
            "without components or members there is a value or a dataAbsentReason",
            "component も hasMember もないときは value か dataAbsentReason が必要です",
        ));
    }
    for (i, part) in items(&resource["component"]).iter().enumerate() {
        if !says(part) {
            out.push(Finding::error(
                "vs-3",
                "invariant",
                &format!("Observation.component[{i}]"),
                "there is a value or a dataAbsentReason",
                "value か dataAbsentReason が必要です",
            ));
        }
    }
}

/// What one vital sign asks for.
fn of_sign(resource: &Value, sign: &VitalSign, out: &mut Vec<Finding>) {
    if !codings(&resource["code"]).any(|c| c == (LOINC, sign.code)) {
        let en = format!("the LOINC code {} is mandatory", sign.code);
        let ja = format!("LOINC コード {} が必須です", sign.code);
        out.push(Finding::error(
            sign.profile,
            "required",
            "Observation.code",
            &en,
            &ja,
        ));
    }
    quantity(resource, "Observation", sign.profile, sign.units, out);
    let parts = items(&resource["component"]);
    for (code, units) in sign.parts {
        let found = parts
            .iter()
            .position(|p| codings(&p["code"]).any(|c| c == (LOINC, *code)));
        match found {
            Some(i) => {
                let at = format!("Observation.component[{i}]");
                quantity(&parts[i], &at, sign.profile, units, out);
            }
            None => {
                let en = format!("a component with the LOINC code {code} is mandatory");
                let ja = format!("LOINC コード {code} の component が必須です");
                out.push(Finding::error(
                    sign.profile,
                    "required",
                    "Observation.component",
                    &en,
                    &ja,
                ));
            }
        }
    }
}

/// A quantity has one of the units, in UCUM.
fn quantity(
    element: &Value,
    at: &str,
    profile: &'static str,
    units: &[&str],
    out: &mut Vec<Finding>,
) {
    let Some(quantity) = value(element).filter(|_| !units.is_empty()) else {
        return;
    };
    let code = quantity["code"].as_str().unwrap_or_default();
    if quantity["system"] != UCUM || !units.contains(&code) || quantity.get("value").is_none() {
        let units = units.join(", ");
        let en = format!("a quantity in UCUM is expected, in one of these units: {units}");
        let ja = format!("UCUM の単位 {units} のいずれかによる量が必要です");
        out.push(Finding::error(
            profile,
            "value",
            &format!("{at}.value"),
            &en,
            &ja,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;
    use serde_json::json;

    fn golden() -> Value {
        let text = include_str!("../../../tests/golden/home_blood_pressure/resource.json");
        serde_json::from_str(text).unwrap()
    }

    /// The errors of a change to the example.
    fn broken(change: impl Fn(&mut Value)) -> Vec<(&'static str, String)> {
        let mut resource = golden();
        change(&mut resource);
        let found = rules(&resource, &[]).into_iter();
        let errors = found.filter(|f| f.severity == Severity::Error);
        errors.map(|f| (f.rule, f.at)).collect()
    }

    #[test]
    fn a_blood_pressure_has_its_code_its_parts_and_their_units() {
        assert_eq!(broken(|_| {}), []);
        let remove = |name: &'static str| {
            move |r: &mut Value| {
                r.as_object_mut().unwrap().remove(name);
            }
        };
        assert_eq!(
            broken(remove("category")),
            [("vitalsigns", "Observation.category".to_owned())]
        );
        assert_eq!(
            broken(remove("subject")),
            [("vitalsigns", "Observation.subject".to_owned())]
        );
        assert_eq!(
            broken(remove("effectiveDateTime")),
            [("vitalsigns", "Observation.effective".to_owned())]
        );
        assert_eq!(
            broken(|r| r["effectiveDateTime"] = json!("2016-09")),
            [("vs-1", "Observation.effectiveDateTime".to_owned())]
        );
        assert_eq!(
            broken(|r| r["code"]["coding"][0]["code"] = json!("8867-4")),
            [("bp", "Observation.code".to_owned())]
        );
        assert_eq!(
            broken(|r| {
                r["component"].as_array_mut().unwrap().remove(0);
            }),
            [("bp", "Observation.component".to_owned())]
        );
        assert_eq!(
            broken(|r| r["component"][1]["valueQuantity"]["code"] = json!("kPa")),
            [("bp", "Observation.component[1].value".to_owned())]
        );
        assert_eq!(
            broken(|r| {
                r["component"][2]
                    .as_object_mut()
                    .unwrap()
                    .remove("valueQuantity");
            }),
            [("vs-3", "Observation.component[2]".to_owned())]
        );
    }

    #[test]
    fn a_profile_that_is_not_known_is_never_said_to_hold() {
        let of = |profile: &str| {
            let found = rules(&golden(), &[profile]);
            let about = found.into_iter().find(|f| f.en.contains(profile));
            about.map(|f| f.severity)
        };
        assert_eq!(
            of("http://other/StructureDefinition/x"),
            Some(Severity::Error)
        );
        assert_eq!(
            of("http://hl7.org/fhir/StructureDefinition/Patient"),
            Some(Severity::Error)
        );
        assert_eq!(
            of("http://hl7.org/fhir/StructureDefinition/Observation"),
            None
        );
        assert_eq!(of("http://hl7.org/fhir/StructureDefinition/bp|4.0.1"), None);
        // That of JP Core is claimed, and told to be unknown.
        let claimed = rules(&golden(), &[]);
        assert!(
            claimed
                .iter()
                .any(|f| f.severity == Severity::Information && f.en.contains("JP_"))
        );
        let weight = rules(
            &golden(),
            &["http://hl7.org/fhir/StructureDefinition/bodyweight"],
        );
        assert!(weight.iter().any(|f| f.rule == "bodyweight"));
    }
}
