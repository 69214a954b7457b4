//! `consortia` → Organization and ResearchStudy, `laboratories` → Organization (mapping
//! specification §3.1, §3.3).

use serde_json::{Value, json};

use super::{Element, Meta, external_identifiers, identifier, key, period, reference};
use crate::fhir::canonical::{Canonical, INSTITUTION_NO, JP_CORE};
use crate::fhir::id;
use crate::registry::{Row, prefecture_name};

const ORGANIZATION_TYPE: &str = "http://terminology.hl7.org/CodeSystem/organization-type";
const CONTACT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/contactentity-type";
const PREFECTURE_EXTENSION: &str =
    "http://jpfhir.jp/fhir/core/Extension/StructureDefinition/JP_Organization_PrefectureNo";
const PREFECTURE_NO: &str = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/PrefectureNo-2digits";

fn organization(id: &str, meta: Option<&Meta>) -> Element {
    let profile = format!("{JP_CORE}JP_Organization");
    Element::resource("Organization", id, meta, Some(profile))
}

/// The Organization of a row of `consortia`.
pub fn organization_consortium(base: &Canonical, row: &Row, meta: Option<&Meta>) -> Value {
    let consortium_id = key(row, "consortium_id");
    let mut out = organization(&id::consortium(consortium_id), meta);
    let mut own = Element::new();
    own.put("system", base.sid("consortium"));
    own.put("value", consortium_id);
    own.put_some("period", period(row, "start_date", "end_date"));
    out.put("identifier", vec![own.done()]);
    out.put("active", row.text("end_date").is_none());
    out.put("type", organization_type());
    out.put_some("name", row.text("consortium_name"));
    let contact = row.text("representative_organization").map(|name| {
        json!([{
            "purpose": { "coding": [
                { "system": CONTACT_TYPE, "code": "ADMIN", "display": "Administrative" }
            ] },
            "name": { "text": name },
        }])
    });
    out.put_some("contact", contact);
    out.done()
}

/// The Organization of a consortium that is known by its id only; whether it is active is
/// not known.
pub fn organization_consortium_minimal(base: &Canonical, consortium_id: &str) -> Value {
    let mut out = organization(&id::consortium(consortium_id), None);
    let own = identifier(&base.sid("consortium"), consortium_id);
    out.put("identifier", vec![own]);
    out.put("type", organization_type());
    out.done()
}

fn organization_type() -> Value {
    json!([{ "coding": [
        { "system": ORGANIZATION_TYPE, "code": "other", "display": "Other" }
    ] }])
}

/// The ResearchStudy of a row of `consortia`. It has the id of the Organization.
pub fn research_study(base: &Canonical, row: &Row, meta: Option<&Meta>) -> Value {
    let consortium_id = key(row, "consortium_id");
    let own_id = id::consortium(consortium_id);
    let mut out = Element::resource("ResearchStudy", &own_id, meta, None);
    let own = identifier(&base.sid("consortium"), consortium_id);
    out.put("identifier", vec![own]);
    out.put_some("title", row.text("consortium_name"));
    let status = match row.text("end_date") {
        Some(_) => "completed",
        None => "active",
    };
    out.put("status", status);
    out.put_some("period", period(row, "start_date", "end_date"));
    out.put("sponsor", reference("Organization", &own_id));
    out.put(
        "arm",
        json!([{ "name": "intervention" }, { "name": "control" }]),
    );
    out.done()
}

/// The Organization of a row of `laboratories`.
pub fn organization_laboratory(base: &Canonical, row: &Row, meta: Option<&Meta>) -> Value {
    let (consortium_id, test_lab_id) = (key(row, "consortium_id"), key(row, "test_lab_id"));
    let mut out = organization(&id::laboratory(consortium_id, test_lab_id), meta);
    let prefecture = row.text("prefecture_code");
    let extension = prefecture.map(|code| {
        json!([{
            "url": PREFECTURE_EXTENSION,
            "valueCoding": { "system": PREFECTURE_NO, "code": code },
        }])
    });
    out.put_some("extension", extension);
    let mut identifiers = vec![identifier(&base.test_lab_sid(consortium_id), test_lab_id)];
    if let Some(code) = row.text("institution_code") {
        identifiers.push(identifier(INSTITUTION_NO, code));
    }
    for further in external_identifiers(row) {
        // The institution code may be given as an identifier too.
        if !identifiers.contains(&further) {
            identifiers.push(further);
        }
    }
    out.put("identifier", identifiers);
    out.put_some("name", row.text("test_lab_name"));
    let state = prefecture.and_then(prefecture_name);
    out.put_some(
        "address",
        state.map(|name| json!([{ "state": name, "country": "JP" }])),
    );
    out.done()
}

/// The Organization of a laboratory that is known by its id only.
pub fn organization_laboratory_minimal(
    base: &Canonical,
    consortium_id: &str,
    test_lab_id: &str,
) -> Value {
    let mut out = organization(&id::laboratory(consortium_id, test_lab_id), None);
    let own = identifier(&base.test_lab_sid(consortium_id), test_lab_id);
    out.put("identifier", vec![own]);
    out.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_golden, row};
    use super::*;
    use crate::registry::{CONSORTIA, LABORATORIES};

    fn consortium() -> Row {
        row(
            &CONSORTIA,
            &json!({
                "consortium_id": "A00001", "consortium_name": "七福神健康コンソーシアム",
                "representative_organization": "七福神大学医学部附属病院",
                "start_date": "20160901",
            }),
        )
    }

    #[test]
    fn a_consortium_is_an_organization_and_a_study() {
        let base = Canonical::default();
        assert_golden(
            &organization_consortium(&base, &consortium(), None),
            include_str!("../../../tests/golden/registry/Organization-consortium.json"),
        );
        assert_golden(
            &research_study(&base, &consortium(), None),
            include_str!("../../../tests/golden/registry/ResearchStudy.json"),
        );
    }

    #[test]
    fn a_consortium_that_ended_is_not_active() {
        let mut row = consortium();
        row.put("end_date", "20180331").unwrap();
        let made = organization_consortium(&Canonical::default(), &row, None);
        assert_eq!(made["active"], false);
        assert_eq!(made["identifier"][0]["period"]["end"], "2018-03-31");
        let made = research_study(&Canonical::default(), &row, None);
        assert_eq!(made["status"], "completed");
    }

    #[test]
    fn a_laboratory_is_an_organization() {
        let base = Canonical::default();
        let mut row = row(
            &LABORATORIES,
            &json!({
                "consortium_id": "A00001", "test_lab_id": "000000000001",
                "test_lab_name": "名古屋健診センター", "prefecture_code": "23",
                "institution_code": "2312345678",
                "external_identifiers": [format!("{INSTITUTION_NO}|2312345678")],
            }),
        );
        assert_golden(
            &organization_laboratory(&base, &row, None),
            include_str!("../../../tests/golden/registry/Organization-laboratory.json"),
        );
        row.put("external_identifiers", "urn:x|9").unwrap();
        let made = organization_laboratory(&base, &row, None);
        assert_eq!(
            made["identifier"][2],
            json!({ "system": "urn:x", "value": "9" })
        );
    }

    #[test]
    fn organizations_known_by_id_only_have_the_ids_of_the_registered_ones() {
        let base = Canonical::default();
        let made = organization_consortium_minimal(&base, "A00001");
        let full = organization_consortium(&base, &consortium(), None);
        assert_eq!(made["id"], full["id"]);
        assert_eq!(made.get("active"), None);
        let made = organization_laboratory_minimal(&base, "A00001", "1");
        assert_eq!(made["id"], id::laboratory("A00001", "1"));
    }
}
