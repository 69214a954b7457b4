//! Who and what others' identifiers mean, by the registries (mapping specification §5.2).

use super::build::*;
use super::registry::{CONSORTIA, LABORATORIES, PARTICIPANTS};
use super::*;
use crate::fhir::canonical::{INSTITUTION_NO, JP_ECS_INSTITUTION};

pub const MRN: &str = "http://ehr/mrn";

/// A participant of A00001 with a patient number, a laboratory with an institution code.
pub fn known() -> Registries {
    lists(&[
        (&CONSORTIA, &[("consortium_id", "A00001")]),
        (
            &PARTICIPANTS,
            &[
                ("consortium_id", "A00001"),
                ("person_id", "P1"),
                ("external_identifiers", "http://ehr/mrn|42"),
                ("external_identifiers", "http://insurer|7"),
            ],
        ),
        (
            &LABORATORIES,
            &[
                ("consortium_id", "A00001"),
                ("test_lab_id", "LAB1"),
                ("institution_code", "1311234567"),
                ("external_identifiers", "http://ehr/org|o1"),
            ],
        ),
        (
            &LABORATORIES,
            &[
                ("consortium_id", "B00001"),
                ("test_lab_id", "LAB9"),
                ("external_identifiers", "http://ehr/org|o9"),
            ],
        ),
    ])
}

pub fn identifier(system: &str, value: &str) -> Value {
    json!({"system": system, "value": value})
}

/// An HbA1c of the participant with the patient number 42.
fn result() -> Value {
    let mut out = hba1c(&[(LOINC, "4548-4")], quantity("6.1", "%"));
    out["subject"] = json!({"identifier": identifier(MRN, "42")});
    out.as_object_mut().unwrap().shift_remove("device");
    out.as_object_mut().unwrap().shift_remove("performer");
    out
}

/// An HbA1c whose laboratory is `LAB1` by its performer.
fn plain() -> Value {
    let mut out = result();
    out["performer"] = json!([{"identifier": identifier(INSTITUTION_NO, "1311234567")}]);
    out
}

pub fn collection(resources: Vec<Value>) -> String {
    let entries: Vec<Value> = resources
        .into_iter()
        .enumerate()
        .map(|(i, resource)| {
            let kind = resource["resourceType"].as_str().unwrap();
            let id = resource["id"].as_str().map_or(i.to_string(), str::to_owned);
            json!({"fullUrl": format!("http://ehr/{kind}/{id}"), "resource": resource})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "collection",
        "timestamp": "2016-10-05T12:00:05.123+09:00", "entry": entries})
    .to_string()
}

pub fn resource(kind: &str, id: &str, more: Value) -> Value {
    let mut out = json!({"resourceType": kind, "id": id});
    for (name, value) in more.as_object().unwrap() {
        out[name] = value.clone();
    }
    out
}

/// What there is to say about fallbacks: field and source.
pub fn fallbacks(outcome: &Outcome) -> Vec<(String, String)> {
    let issues = outcome.issues.iter().map(|i| &i.fault);
    issues
        .filter(|f| f.code == Code::FallbackUsed)
        .map(|f| (f.expected.to_string(), f.found.clone()))
        .collect()
}

#[track_caller]
fn laboratory(resources: Vec<Value>) -> (String, Vec<(String, String)>) {
    let (submissions, outcome) = read_by(&known(), &collection(resources));
    assert_eq!(errors(&outcome), []);
    let records = records(&submissions);
    let laboratory = records[0]["test_lab_id"].as_str().unwrap_or_default();
    let told = fallbacks(&outcome);
    let told = told.into_iter().filter(|(field, _)| field == "test_lab_id");
    (laboratory.to_owned(), told.collect())
}

#[test]
fn a_person_is_known_by_any_identifier_that_is_registered() {
    let patient = |identifiers: Value| resource("Patient", "p", json!({"identifier": identifiers}));
    let of = |subject: Value| {
        let mut out = plain();
        out["subject"] = subject;
        out
    };
    let reference = json!({"reference": "Patient/p"});
    let mut contained = of(json!({"reference": "#p"}));
    contained["contained"] = json!([patient(json!([identifier(MRN, "42")]))]);
    for (name, resources) in [
        ("subject.identifier", vec![plain()]),
        (
            "the second identifier of a Patient",
            vec![
                of(reference.clone()),
                patient(json!([
                    identifier("http://other", "1"),
                    identifier("http://insurer", "7")
                ])),
            ],
        ),
        ("a contained Patient", vec![contained]),
        (
            "the identifier beside a reference that leads nowhere",
            vec![of(json!({"reference": "http://elsewhere/Patient/9",
                "identifier": identifier(MRN, "42")}))],
        ),
        (
            "the identifier of a Patient with another that is registered",
            vec![
                of(json!({"identifier": identifier("http://other", "1")})),
                patient(json!([
                    identifier("http://other", "1"),
                    identifier(MRN, "42")
                ])),
            ],
        ),
    ] {
        let (submissions, outcome) = read_by(&known(), &collection(resources));
        assert_eq!(errors(&outcome), [], "{name}");
        assert_eq!(submissions[0].persons, ["P1"], "{name}");
        assert_eq!(submissions[0].consortium_id, "A00001", "{name}");
        let told = (
            "person_id".to_owned(),
            "participants.external_identifiers".to_owned(),
        );
        assert!(fallbacks(&outcome).contains(&told), "{name}");
    }
}

#[test]
fn a_person_whom_nobody_registered_is_refused_with_the_identifier() {
    let (submissions, outcome) = read_by(&Registries::new(), &collection(vec![plain()]));
    assert!(records(&submissions).is_empty());
    let fault = &outcome
        .issues
        .iter()
        .find(|i| i.fault.is_error())
        .unwrap()
        .fault;
    assert_eq!(fault.code, Code::ParticipantUnknown);
    assert_eq!(fault.pointer, "Bundle.entry[0].resource.subject");
    assert_eq!(fault.found, "http://ehr/mrn|42");
    assert!(fault.expected.contains("participants.external_identifiers"));
}

#[test]
fn a_person_known_in_two_consortia_is_ambiguous() {
    let mut lists = known();
    let mut row = Row::new(&PARTICIPANTS);
    for (field, value) in [
        ("consortium_id", "B00001"),
        ("person_id", "Q1"),
        ("external_identifiers", "http://insurer|7"),
    ] {
        row.put(field, value).unwrap();
    }
    lists.insert(row);
    let mut out = plain();
    out["subject"] = json!({"reference": "#p"});
    // By the one identifier it is one, by the other another.
    out["contained"] = json!([resource(
        "Patient",
        "p",
        json!({"identifier": [identifier(MRN, "42"), identifier("http://insurer", "7")]})
    )]);
    let (submissions, outcome) = read_by(&lists, &collection(vec![out]));
    assert!(records(&submissions).is_empty());
    let expected = "Bundle.entry[0].resource.subject".to_owned();
    assert_eq!(errors(&outcome), [(Code::ParticipantAmbiguous, expected)]);
    // What only one of them has is not.
    let (submissions, outcome) = read_by(&lists, &collection(vec![plain()]));
    assert_eq!(errors(&outcome), []);
    assert_eq!(submissions[0].persons, ["P1"]);
}

#[test]
fn a_laboratory_is_found_wherever_a_document_names_it() {
    let with = |name: &str, value: Value| {
        let mut out = result();
        out["id"] = json!("r");
        out[name] = value;
        out
    };
    let organization = |id: &str, system: &str, value: &str| {
        resource(
            "Organization",
            id,
            json!({"identifier": [identifier(system, value)]}),
        )
    };
    let hospital = || organization("o", INSTITUTION_NO, "1311234567");
    let at_hospital = json!({"reference": "Organization/o"});
    let encounter = resource("Encounter", "e", json!({"serviceProvider": at_hospital}));
    let mut contained = with("encounter", json!({"reference": "#e"}));
    contained["contained"] = json!([encounter, hospital()]);
    contained["contained"][0]["serviceProvider"] = json!({"reference": "#o"});
    let report = resource(
        "DiagnosticReport",
        "d",
        json!({"performer": [{"reference": "Practitioner/x"}, at_hospital],
            "result": [{"reference": "Observation/other"}, {"reference": "Observation/r"}]}),
    );
    let extension = json!([{"url": JP_ECS_INSTITUTION,
        "valueIdentifier": identifier(INSTITUTION_NO, "1311234567")}]);
    let composition = resource("Composition", "c", json!({"custodian": at_hospital}));
    let entry = |source: &str| vec![("test_lab_id".to_owned(), source.to_owned())];
    for (resources, source) in [
        (
            vec![with("performer", json!([at_hospital])), hospital()],
            "performer",
        ),
        (
            vec![
                with("performer", json!([at_hospital])),
                organization("o", "http://ehr/org", "o1"),
            ],
            "performer",
        ),
        (
            vec![
                with("encounter", json!({"reference": "Encounter/e"})),
                encounter.clone(),
                hospital(),
            ],
            "encounter.serviceProvider",
        ),
        (vec![contained], "encounter.serviceProvider"),
        (
            vec![composition.clone(), result(), hospital()],
            "Composition.custodian",
        ),
        (
            vec![
                report.clone(),
                with("note", json!([{"text": "fasting"}])),
                hospital(),
            ],
            "DiagnosticReport.performer",
        ),
        (
            vec![with("extension", extension.clone())],
            "JP_eCS_InstitutionNumber",
        ),
    ] {
        assert_eq!(
            laboratory(resources),
            ("LAB1".into(), entry(source)),
            "{source}"
        );
    }
    // The first that is known counts: nobody knows the performer, and the laboratory of the
    // encounter is one of another consortium.
    let mut all = with("encounter", json!({"reference": "#e"}));
    all["performer"] = json!([{"identifier": identifier("http://ehr/org", "unknown")}]);
    all["extension"] = extension;
    all["contained"] = json!([resource(
        "Encounter",
        "e",
        json!({"serviceProvider": {"identifier": identifier("http://ehr/org", "o9")}})
    )]);
    assert_eq!(
        laboratory(vec![all.clone(), composition, report, hospital()]),
        ("LAB1".into(), entry("Composition.custodian"))
    );
    assert_eq!(
        laboratory(vec![all]),
        ("LAB1".into(), entry("JP_eCS_InstitutionNumber"))
    );
    // Our own identifier needs no list, and is nothing to tell of.
    let own = "https://kenko-fhir.example/fhir/sid/consortium/A00001/test-lab";
    let own = with(
        "performer",
        json!([{"identifier": identifier(own, "LAB7")}]),
    );
    assert_eq!(laboratory(vec![own]), ("LAB7".into(), vec![]));
}

#[test]
fn a_laboratory_that_no_one_names_is_that_of_the_sender() {
    let mut lists = known();
    let (_, outcome) = read_by(&lists, &collection(vec![result()]));
    let expected = "Bundle.entry[0].resource.performer".to_owned();
    assert_eq!(errors(&outcome), [(Code::LaboratoryUnknown, expected)]);
    let mut default = |client: &str, laboratory: &str| {
        let mut row = Row::new(&LABORATORIES);
        row.put("consortium_id", "A00001").unwrap();
        row.put("test_lab_id", laboratory).unwrap();
        row.put("default_for", client).unwrap();
        lists.insert(row);
    };
    default("ehr", "EHR");
    default("*", "ANY");
    let text = collection(vec![result()]);
    for (client, expected) in [(Some("ehr"), "EHR"), (Some("other"), "ANY"), (None, "ANY")] {
        let known = Known {
            lists: &lists,
            client,
        };
        let input = read_any(kinds(), options(), text.as_bytes()).unwrap();
        let (submissions, outcome) = input.finish(kinds(), known);
        assert_eq!(records(&submissions)[0]["test_lab_id"], expected);
        let told = (
            "test_lab_id".to_owned(),
            "laboratories.default_for".to_owned(),
        );
        assert!(fallbacks(&outcome).contains(&told));
    }
}

#[test]
fn a_checkup_blood_pressure_does_without_a_laboratory() {
    let mut out = pressure((LOINC, "85354-9"));
    out["subject"] = json!({"identifier": identifier(MRN, "42")});
    out["encounter"] = json!({"display": "a check-up"});
    out["performer"] = json!([{"display": "somebody"}]);
    let (submissions, outcome) = read_by(&known(), &collection(vec![out]));
    assert_eq!(errors(&outcome), []);
    assert_eq!(records(&submissions)[0].get("test_lab_id"), None);
}

#[test]
fn only_what_is_needed_is_asked_of_the_registries() {
    let wanted = |text: &str| {
        let input = read_any(kinds(), options(), text.as_bytes()).unwrap();
        input.wanted(kinds())
    };
    // The golden files are ours: they tell all by our own names.
    for name in [
        "weighing_scale",
        "home_blood_pressure",
        "physical_activity",
        "hba1c",
        "checkup_blood_pressure",
    ] {
        let file = format!("tests/golden/{name}/resource.json");
        let own: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let device = own["device"]["reference"].as_str().unwrap_or("Device/d");
        let id = device.split('/').nth(1).unwrap();
        let device = resource(
            "Device",
            id,
            json!({"manufacturer": "ACME",
            "modelNumber": "1", "serialNumber": "2"}),
        );
        let lines = [own.to_string(), device.to_string()].join("\n");
        assert_eq!(wanted(&lines), Default::default(), "{name}");
    }
    let asked = wanted(&collection(vec![plain()]));
    // A performer that tells no type may be a person as well.
    assert_eq!(
        asked.participants.into_iter().collect::<Vec<_>>(),
        [
            "http://ehr/mrn|42".to_owned(),
            format!("{INSTITUTION_NO}|1311234567")
        ]
    );
    let institution = format!("{INSTITUTION_NO}|1311234567");
    assert_eq!(
        asked.laboratories.into_iter().collect::<Vec<_>>(),
        [institution]
    );
    assert_eq!(asked.having, [(&LABORATORIES, "default_for")]);
}
