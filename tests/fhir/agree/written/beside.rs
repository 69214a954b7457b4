//! Elements that FHIR lets an Observation have beside its record.

use serde_json::{Value, json};

use super::{HOSPITAL, LOINC, UCUM, digits};
use crate::model_rows::random::Dice;

/// A concept that no mapping knows.
pub(super) fn foreign(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!({ "text": "only a text" }),
        1 => json!({ "coding": [{ "system": HOSPITAL, "code": "x-1" }], "text": "X" }),
        2 => json!({ "coding": [{ "display": "only a display" }] }),
        _ => {
            json!({ "coding": [{ "system": HOSPITAL, "code": "x-2", "display": "Ein X" }, { "code": "bare" }] })
        }
    }
}

/// A component beside those of the record.
fn further(dice: &mut Dice) -> Value {
    let code = foreign(dice);
    match dice.below(6) {
        0 => json!({ "code": code, "valueString": "nothing to add" }),
        1 => json!({ "code": code, "valueCodeableConcept": foreign(dice) }),
        2 => json!({ "code": code, "dataAbsentReason": foreign(dice) }),
        3 => {
            json!({ "code": code, "valueQuantity": { "value": digits("3.5", dice), "unit": "points" } })
        }
        4 => json!({ "code": { "coding": [{ "system": LOINC, "code": "20564-1" }] },
            "valueQuantity": { "value": digits("97", dice), "system": UCUM, "code": "%" } }),
        _ => json!({ "code": code, "valueQuantity": {
            "value": digits("12", dice), "system": UCUM, "code": "kPa", "unit": "kPa" } }),
    }
}

/// Adds elements that FHIR lets any Observation have.
pub(super) fn more(body: &mut Value, dice: &mut Dice) {
    let references = [
        json!({ "reference": "Encounter/e-1" }),
        json!({ "reference": "Encounter/e-1/_history/3", "display": "a visit" }),
        json!({ "reference": "http://other.example/fhir/Encounter/e9" }),
        json!({ "display": "only a display" }),
        json!({ "identifier": { "system": HOSPITAL, "value": "visit|1" } }),
        json!({ "type": "Encounter", "identifier": { "value": "bare" } }),
    ];
    let reference = |dice: &mut Dice, ty: &str| {
        let mut one = references[dice.below(references.len())].clone();
        if let Some(text) = one["reference"].as_str() {
            one["reference"] = json!(text.replace("Encounter", ty));
        }
        if one.get("type").is_some() {
            one["type"] = json!(ty);
        }
        one
    };
    let push = |name: &str, value: Value, body: &mut Value| match body.get_mut(name) {
        Some(Value::Array(items)) => items.push(value),
        _ => body[name] = json!([value]),
    };
    for _ in 0..dice.below(5) {
        match dice.below(21) {
            0 => push("category", foreign(dice), body),
            1 => {
                let code = ["exam", "vital-signs", "laboratory"][dice.below(3)];
                push(
                    "category",
                    json!({ "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": code, "display": "Another display" }] }),
                    body,
                );
            }
            2 => push(
                "identifier",
                json!({ "system": HOSPITAL, "value": "47|11" }),
                body,
            ),
            3 => push(
                "identifier",
                json!({ "value": "no-system", "use": "secondary" }),
                body,
            ),
            4 => push(
                "note",
                json!({ "text": "after\nbreakfast", "time": "2016-10-01" }),
                body,
            ),
            5 => push("interpretation", foreign(dice), body),
            6 => push(
                "referenceRange",
                json!({ "low": { "value": digits("50", dice), "unit": "kg" } }),
                body,
            ),
            7 => push("basedOn", reference(dice, "ServiceRequest"), body),
            8 => push("partOf", reference(dice, "Procedure"), body),
            9 => push("focus", reference(dice, "Condition"), body),
            10 => push("hasMember", reference(dice, "QuestionnaireResponse"), body),
            11 => push("derivedFrom", reference(dice, "DocumentReference"), body),
            12 => body["specimen"] = reference(dice, "Specimen"),
            13 => body["encounter"] = reference(dice, "Encounter"),
            14 => body["method"] = foreign(dice),
            15 => body["bodySite"] = foreign(dice),
            16 => body["subject"]["display"] = json!("Participant 1"),
            17 => push(
                "extension",
                json!({ "url": "http://hospital.example/bed", "valueString": "7" }),
                body,
            ),
            18 => body["status"] = json!(["amended", "corrected"][dice.below(2)]),
            19 => {
                let profile = [
                    "http://hospital.example/StructureDefinition/w",
                    "http://hospital.example/p|1.0",
                ];
                body["meta"] = json!({
                    "profile": [profile[dice.below(2)]],
                    "tag": [{ "system": HOSPITAL, "code": "ward-3", "display": "Ward 3" }],
                    "security": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N" }],
                });
            }
            _ => {
                body["issued"] = json!(
                    [
                        "2016-10-05T12:00:00Z",
                        "2016-10-05T12:00:00.123456+09:00",
                        "2016-10-05T12:00:00.5-03:00",
                    ][dice.below(3)]
                )
            }
        }
    }
    for _ in 0..dice.below(3) / 2 {
        push("component", further(dice), body);
    }
}
