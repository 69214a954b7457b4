//! `consortia` → Group, and the Groups of the stages of HbA1c (mapping specification §3.2).
//!
//! A Group tells how many there are and never who: `quantity`, no `member`. The stages are
//! definitions (`actual` is false), a consortium is a set of people.

use serde_json::{Map, Number, Value, json};

use super::{Element, Meta, key, reference};
use crate::fhir::canonical::{Canonical, LOINC, UCUM};
use crate::fhir::id;
use crate::registry::{HBA1C, Row, Stage, TREATMENTS};

const CONSORTIUM: &str = "consortium-";
/// The text of the treatments that make a participant [`Stage::Treated`].
pub const TREATED_BY: &str = "経口血糖降下薬、インスリン、透析のいずれか";

/// `Group/{id}` of a consortium.
pub fn consortium_group_id(consortium_id: &str) -> String {
    format!("{CONSORTIUM}{consortium_id}")
}

/// The consortium of a Group's id.
pub fn consortium_of_group(id: &str) -> Option<&str> {
    id.strip_prefix(CONSORTIUM)
}

/// The Group of a consortium's `quantity` participants, from its row of `consortia`.
pub fn consortium_group(row: &Row, quantity: u64, meta: Option<&Meta>) -> Value {
    let consortium_id = key(row, "consortium_id");
    let active = row.text("end_date").is_none();
    let mut out = group(&consortium_group_id(consortium_id), active, true, meta);
    out.put_some("name", row.text("consortium_name"));
    out.put("quantity", quantity);
    let organization = reference("Organization", &id::consortium(consortium_id));
    out.put("managingEntity", organization);
    out.done()
}

/// The Group of a stage, with `quantity` participants in it now.
pub fn stage_group(base: &Canonical, stage: Stage, quantity: u64, meta: Option<&Meta>) -> Value {
    let mut out = group(stage.id(), true, false, meta);
    out.put("name", stage.title());
    out.put("quantity", quantity);
    out.put("characteristic", vec![characteristic(base, stage)]);
    out.done()
}

fn group(id: &str, active: bool, actual: bool, meta: Option<&Meta>) -> Element {
    let mut out = Element::resource("Group", id, meta, None);
    out.put("active", active);
    out.put("type", "person");
    out.put("actual", actual);
    out
}

/// What all in a stage share.
fn characteristic(base: &Canonical, stage: Stage) -> Value {
    if stage == Stage::Treated {
        let system = base.code_system("medication-status");
        let coding = |code| json!({ "system": system, "code": code });
        return json!({
            "code": { "coding": [
                { "system": base.code_system("protocol-item"), "code": "medication_codes" }
            ] },
            // All characteristics of a Group hold at once; any of these codes is meant.
            "valueCodeableConcept": {
                "coding": TREATMENTS.map(coding),
                "text": TREATED_BY,
            },
            "exclude": false,
        });
    }
    let (low, high) = stage.range();
    let mut range = Map::new();
    for (name, bound) in [("low", low), ("high", high)] {
        if let Some(value) = bound.and_then(|digits| digits.parse::<Number>().ok()) {
            let quantity = json!({ "value": value, "unit": "%", "system": UCUM, "code": "%" });
            range.insert(name.to_owned(), quantity);
        }
    }
    json!({
        "code": {
            "coding": [{
                "system": LOINC, "code": HBA1C,
                "display": "Hemoglobin A1c/Hemoglobin.total in Blood",
            }],
            "text": "HbA1c(NGSP)",
        },
        "valueRange": range,
        "exclude": false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_golden, row};
    use super::*;
    use crate::registry::CONSORTIA;

    #[test]
    fn a_consortium_is_a_group_without_members() {
        let row = row(
            &CONSORTIA,
            &json!({ "consortium_id": "A00001", "consortium_name": "七福神健康コンソーシアム" }),
        );
        assert_golden(
            &consortium_group(&row, 2, None),
            include_str!("../../../tests/golden/registry/Group-consortium.json"),
        );
        assert_eq!(consortium_of_group("consortium-A00001"), Some("A00001"));
        assert_eq!(consortium_of_group("treated"), None);
    }

    #[test]
    fn each_stage_is_a_group() {
        let base = Canonical::default();
        for (stage, golden) in [
            (
                Stage::Normal,
                include_str!("../../../tests/golden/registry/Group-hba1c-normal.json"),
            ),
            (
                Stage::Pre,
                include_str!("../../../tests/golden/registry/Group-hba1c-pre.json"),
            ),
            (
                Stage::Mild,
                include_str!("../../../tests/golden/registry/Group-hba1c-mild.json"),
            ),
            (
                Stage::Treated,
                include_str!("../../../tests/golden/registry/Group-treated.json"),
            ),
        ] {
            let made = stage_group(&base, stage, 1, None);
            assert_golden(&made, golden);
            assert_eq!(crate::fhir::check::check(&made), Ok(()));
        }
    }
}
