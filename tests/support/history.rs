//! The whole history of a patient as a hospital's system exports it: thousands of resources of
//! other kinds, and a few Observations of ours among them, each of which is preliminary before
//! it is final.

use std::io::{self, Write};

use kenko_fhir::fhir::canonical::DEFAULT_BASE;
use serde_json::{Value, json};

/// Encounters between two results of HbA1c.
const APART: usize = 8;

/// Writes a `collection` Bundle of at least so many bytes; how many of its Observations are
/// records, and as many others are refused.
///
/// Each encounter brings what such exports bring: a condition, a procedure, a prescription,
/// vital signs that the protocol has no kind for, a report that lists them, a note, a claim
/// and its benefits, all of which refer to each other by `urn:uuid`.
///
/// # Errors
/// What the output says.
pub fn write(out: &mut dyn Write, least: usize) -> io::Result<usize> {
    let mut written = 0;
    let mut put = |text: String| {
        written += text.len();
        out.write_all(text.as_bytes()).map(|()| written)
    };
    put(format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{}",
        entry("Patient", 0, patient())
    ))?;
    let mut records = 0;
    for visit in 1.. {
        let mut reached = 0;
        for (place, (name, resource)) in (1..).zip(visit_of(visit)) {
            reached = put(format!(",{}", entry(name, visit * 16 + place, resource)))?;
        }
        if visit % APART == 0 {
            for (place, status) in [(14, "preliminary"), (15, "final")] {
                let result = hba1c(visit, status);
                put(format!(
                    ",{}",
                    entry("Observation", visit * 16 + place, result)
                ))?;
            }
            records += 1;
            if reached >= least {
                break;
            }
        }
    }
    put("]}".to_owned())?;
    Ok(records)
}

fn entry(name: &str, number: usize, mut resource: Value) -> String {
    let uuid = uuid(name, number);
    resource["resourceType"] = name.into();
    resource["id"] = uuid.clone().into();
    json!({ "fullUrl": format!("urn:uuid:{uuid}"), "resource": resource }).to_string()
}

fn uuid(name: &str, number: usize) -> String {
    let kind: u32 = name
        .bytes()
        .fold(7, |sum, b| sum * 31 % 65_521 + u32::from(b));
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

fn reference(name: &str, number: usize) -> Value {
    json!({ "reference": format!("urn:uuid:{}", uuid(name, number)) })
}

fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code, "display": display }], "text": display })
}

/// One visit a day, from 2010 on.
fn day(visit: usize) -> String {
    let from = chrono::NaiveDate::from_ymd_opt(2010, 1, 1).unwrap();
    (from + chrono::Days::new(visit as u64)).to_string()
}

fn patient() -> Value {
    json!({
        "identifier": [
            { "system": "urn:oid:1.2.392.100495.20.3.51.11310000001", "value": "0000123456" },
            { "system": format!("{DEFAULT_BASE}/sid/consortium/A00001/person"), "value": "P0000000000000000001" },
        ],
        "name": [{ "use": "official", "family": "Yamada", "given": ["Hanako"] }],
        "gender": "female",
        "birthDate": "1960-04-01",
    })
}

fn hba1c(visit: usize, status: &str) -> Value {
    json!({
        "status": status,
        "code": concept("http://loinc.org", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
        "subject": reference("Patient", 0),
        "encounter": reference("Encounter", visit * 16 + 1),
        "performer": [{ "identifier": {
            "system": format!("{DEFAULT_BASE}/sid/consortium/A00001/test-lab"), "value": "000000000001",
        } }],
        "effectiveDateTime": format!("{}T09:00:00+09:00", day(visit)),
        "issued": format!("{}T10:00:00+09:00", day(visit)),
        "valueQuantity": {
            "value": 6.5, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%",
        },
    })
}

fn visit_of(visit: usize) -> Vec<(&'static str, Value)> {
    const SNOMED: &str = "http://snomed.info/sct";
    const LOINC: &str = "http://loinc.org";
    let number = visit * 16;
    let (subject, encounter) = (reference("Patient", 0), reference("Encounter", number + 1));
    let at = format!("{}T09:00:00+09:00", day(visit));
    let until = format!("{}T09:30:00+09:00", day(visit));
    let period = json!({ "start": at, "end": until });
    let vital = |code: &str, display: &str, value: usize, unit: &str| {
        json!({
            "status": "final",
            "category": [concept(
                "http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs",
            )],
            "code": concept(LOINC, code, display),
            "subject": subject, "encounter": encounter,
            "effectiveDateTime": at, "issued": until,
            "valueQuantity": {
                "value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit,
            },
        })
    };
    let item = |sequence: usize| {
        json!({
            "sequence": sequence,
            "productOrService": concept(SNOMED, "162673000", "General examination of patient"),
            "servicedPeriod": period,
            "encounter": [encounter],
            "net": { "value": 129.16, "currency": "JPY" },
            "adjudication": [
                { "category": concept("https://bluebutton.cms.gov/resources/variables/line_coinsrnc_amt",
                    "line_coinsrnc_amt", "Line Beneficiary Coinsurance Amount"),
                  "amount": { "value": 25.83, "currency": "JPY" } },
                { "category": concept("https://bluebutton.cms.gov/resources/variables/line_alowd_chrg_amt",
                    "line_alowd_chrg_amt", "Line Allowed Charge Amount"),
                  "amount": { "value": 129.16, "currency": "JPY" } },
            ],
        })
    };
    let items: Vec<Value> = (1..=4).map(item).collect();
    let results: Vec<Value> = (3..=4)
        .map(|n| reference("Observation", number + n))
        .collect();
    let paid = json!({
        "status": "active", "use": "claim", "patient": subject, "billablePeriod": period,
        "created": until, "insurer": { "display": "Kokuho" }, "provider": { "display": "Clinic" },
        "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "professional", "Professional"),
        "item": items, "total": { "value": 516.64, "currency": "JPY" },
    });
    let mut benefit = paid.clone();
    benefit["outcome"] = "complete".into();
    benefit["claim"] = reference("Claim", number + 8);
    vec![
        (
            "Encounter",
            json!({
                "status": "finished",
                "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
                "type": [concept(SNOMED, "162673000", "General examination of patient (procedure)")],
                "subject": subject, "period": period,
                "serviceProvider": { "display": "Clinic" },
            }),
        ),
        (
            "Condition",
            json!({
                "clinicalStatus": concept(
                    "http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
                "code": concept(SNOMED, "714628002", "Prediabetes (finding)"),
                "subject": subject, "encounter": encounter, "onsetDateTime": at, "recordedDate": at,
            }),
        ),
        ("Observation", vital("8302-2", "Body Height", 160, "cm")),
        (
            "Observation",
            vital("9279-1", "Respiratory rate", 14, "/min"),
        ),
        (
            "DiagnosticReport",
            json!({
                "status": "final", "code": concept(LOINC, "34117-2", "History and physical note"),
                "subject": subject, "encounter": encounter, "effectiveDateTime": at, "issued": until,
                "result": results,
                "presentedForm": [{ "contentType": "text/plain; charset=utf-8", "data": "QUJD".repeat(300) }],
            }),
        ),
        (
            "Procedure",
            json!({
                "status": "completed", "code": concept(SNOMED, "430193006", "Medication Reconciliation"),
                "subject": subject, "encounter": encounter, "performedPeriod": period,
            }),
        ),
        (
            "MedicationRequest",
            json!({
                "status": "stopped", "intent": "order", "subject": subject, "encounter": encounter,
                "medicationCodeableConcept": concept(
                    "http://www.nlm.nih.gov/research/umls/rxnorm", "860975",
                    "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"),
                "authoredOn": at,
            }),
        ),
        ("Claim", paid),
        ("ExplanationOfBenefit", benefit),
        (
            "DocumentReference",
            json!({
                "status": "superseded", "subject": subject, "date": until,
                "type": concept(LOINC, "34117-2", "History and physical note"),
                "content": [{ "attachment": {
                    "contentType": "text/plain; charset=utf-8", "data": "5Lq65rCR".repeat(200),
                } }],
            }),
        ),
    ]
}
