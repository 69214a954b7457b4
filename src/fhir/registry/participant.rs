//! `participants` → Patient and ResearchSubject (mapping specification §3.2).

use serde_json::{Value, json};

use super::{Element, Meta, date, external_identifiers, identifier, key, period, reference};
use crate::fhir::canonical::{Canonical, JP_CORE};
use crate::fhir::id;
use crate::registry::{PARTICIPANTS, Row, prefecture_name};

/// The Patient of a row of `participants`. A provisional one may lack `birthDate` and `gender`.
pub fn patient(base: &Canonical, row: &Row, meta: Option<&Meta>) -> Value {
    let (consortium_id, person_id) = (key(row, "consortium_id"), key(row, "person_id"));
    let organization = reference("Organization", &id::consortium(consortium_id));
    let mut out = Element::resource(
        "Patient",
        &id::participant(consortium_id, person_id),
        meta,
        Some(format!("{JP_CORE}JP_Patient")),
    );
    let mut identifiers = vec![json!({
        "use": "usual",
        "system": base.person_sid(consortium_id),
        "value": person_id,
        "assigner": organization,
    })];
    identifiers.extend(external_identifiers(row));
    out.put("identifier", identifiers);
    out.put_some("gender", row.text("sex_code").and_then(gender));
    out.put_some("birthDate", row.text("birth_year_month").map(date));
    let prefecture = row
        .text("residence_prefecture_code")
        .and_then(prefecture_name);
    out.put_some(
        "address",
        prefecture.map(|name| json!([{ "use": "home", "state": name, "country": "JP" }])),
    );
    out.put("managingOrganization", organization);
    out.done()
}

/// The Patient of someone who is known by their id only.
pub fn patient_minimal(base: &Canonical, consortium_id: &str, person_id: &str) -> Value {
    let row = Row::provisional(&PARTICIPANTS, &[consortium_id, person_id]);
    patient(base, &row, None)
}

/// The `gender` of a `sex_code`.
fn gender(sex_code: &str) -> Option<&'static str> {
    match sex_code {
        "0" => Some("unknown"),
        "1" => Some("male"),
        "2" => Some("female"),
        "9" => Some("other"),
        _ => None,
    }
}

/// The ResearchSubject of a row of `participants`: its period of participation, its arm, and
/// what was registered about the person (commuting, medication, where the monitor is worn).
/// It has the id of the Patient.
pub fn research_subject(base: &Canonical, row: &Row, meta: Option<&Meta>) -> Value {
    let (consortium_id, person_id) = (key(row, "consortium_id"), key(row, "person_id"));
    let own_id = id::participant(consortium_id, person_id);
    let mut out = Element::resource("ResearchSubject", &own_id, meta, None);
    let extension = |name: &str, system: &str, code: &str| {
        json!({
            "url": base.extension(name),
            "valueCoding": { "system": base.code_system(system), "code": code },
        })
    };
    let mut extensions = Vec::new();
    if let Some(code) = row.text("commute_code") {
        extensions.push(extension("commute", "commute", code));
    }
    for code in row.items("medication_codes") {
        extensions.push(extension("medication-status", "medication-status", code));
    }
    if let Some(code) = row.text("measurement_position_code") {
        extensions.push(extension("usual-wear-position", "wear-position", code));
    }
    out.put_all("extension", extensions);
    out.put(
        "identifier",
        vec![identifier(&base.person_sid(consortium_id), person_id)],
    );
    let status = match row.text("participation_end_date") {
        Some(_) => "off-study",
        None => "on-study",
    };
    out.put("status", status);
    out.put_some(
        "period",
        period(row, "participation_start_date", "participation_end_date"),
    );
    out.put(
        "study",
        reference("ResearchStudy", &id::consortium(consortium_id)),
    );
    out.put("individual", reference("Patient", &own_id));
    let arm = match row.text("study_arm_code") {
        Some("1") => Some("intervention"),
        Some("2") => Some("control"),
        _ => None,
    };
    out.put_some("assignedArm", arm);
    out.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_golden, row};
    use super::*;

    fn participant() -> Row {
        row(
            &PARTICIPANTS,
            &json!({
                "consortium_id": "A00001", "person_id": "P0000000000000000001",
                "birth_year_month": "196104", "sex_code": "1",
                "participation_start_date": "20160901", "residence_prefecture_code": "23",
                "commute_code": "3", "medication_codes": ["1", "4"],
                "measurement_position_code": "21", "study_arm_code": "1",
                "external_identifiers": ["urn:oid:1.2.392.100495.20.3.51.12312345678|00012345"],
            }),
        )
    }

    #[test]
    fn a_participant_is_a_patient_and_a_research_subject() {
        let base = Canonical::default();
        assert_golden(
            &patient(&base, &participant(), None),
            include_str!("../../../tests/golden/registry/Patient.json"),
        );
        assert_golden(
            &research_subject(&base, &participant(), None),
            include_str!("../../../tests/golden/registry/ResearchSubject.json"),
        );
    }

    #[test]
    fn an_end_of_participation_shows() {
        let mut row = participant();
        row.put("participation_end_date", "20170331").unwrap();
        row.put("study_arm_code", "2").unwrap();
        let subject = research_subject(&Canonical::default(), &row, None);
        assert_eq!(subject["status"], "off-study");
        assert_eq!(subject["period"]["end"], "2017-03-31");
        assert_eq!(subject["assignedArm"], "control");
    }

    #[test]
    fn a_person_known_by_id_only_has_an_identifier_only() {
        let made = patient_minimal(&Canonical::new("http://b"), "A00001", "P1");
        let members: Vec<_> = made.as_object().unwrap().keys().collect();
        assert_eq!(
            members,
            [
                "resourceType",
                "id",
                "meta",
                "identifier",
                "managingOrganization"
            ]
        );
        assert_eq!(
            made["identifier"][0]["system"],
            "http://b/sid/consortium/A00001/person"
        );
        assert_eq!(made["id"], id::participant("A00001", "P1"));
    }
}
