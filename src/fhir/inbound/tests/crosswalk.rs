//! Who and what others' identifiers mean, by the registries (mapping specification §5.2).

use super::build::*;
use super::registry::{CONSORTIA, DEVICES, HBA1C_METHODS, LABORATORIES, PARTICIPANTS};
use super::*;
use crate::fhir::canonical::{INSTITUTION_NO, JP_ECS_INSTITUTION};

const MRN: &str = "http://ehr/mrn";

/// A participant of A00001 with a patient number, a laboratory with an institution code.
fn known() -> Registries {
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

fn identifier(system: &str, value: &str) -> Value {
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

fn collection(resources: Vec<Value>) -> String {
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

fn resource(kind: &str, id: &str, more: Value) -> Value {
    let mut out = json!({"resourceType": kind, "id": id});
    for (name, value) in more.as_object().unwrap() {
        out[name] = value.clone();
    }
    out
}

/// What there is to say about fallbacks: field and source.
fn fallbacks(outcome: &Outcome) -> Vec<(String, String)> {
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
fn a_device_that_is_not_told_is_the_one_that_stands_in() {
    let mut lists = known();
    let mut scale = Row::new(&DEVICES);
    for (field, value) in [
        ("model_manufacturer_code", "ACME"),
        ("model_number", "WS-0"),
        ("device_name", "Scale"),
        ("fallback_for", "weighing_scale"),
        ("ledger_number", "-0042"),
    ] {
        scale.put(field, value).unwrap();
    }
    lists.insert(scale);
    let with = |device: Option<Value>| {
        let mut out = weight(quantity("65.5", "kg"));
        out["subject"] = json!({"identifier": identifier(MRN, "42")});
        match device {
            None => {
                out.as_object_mut().unwrap().shift_remove("device");
            }
            Some(device) if device.get("resourceType").is_some() => {
                out["device"] = json!({"reference": "#d"});
                out["contained"] = json!([device]);
            }
            Some(device) => out["device"] = device,
        }
        collection(vec![out])
    };
    let device = |more: Value| Some(resource("Device", "d", more));
    for text in [
        with(None),
        with(Some(json!({"display": "the scale at the entrance"}))),
        with(Some(
            json!({"identifier": identifier("http://ehr/device", "1")}),
        )),
        with(device(json!({"manufacturer": "M", "modelNumber": "N"}))),
        with(device(json!({"modelNumber": "N", "serialNumber": "S"}))),
        with(device(
            json!({"deviceName": [{"name": "a scale", "type": "other"}]}),
        )),
    ] {
        let (submissions, outcome) = read_by(&lists, &text);
        assert_eq!(errors(&outcome), [], "{text}");
        let record = &records(&submissions)[0];
        assert_eq!(record["model_number"], "WS-0");
        assert_eq!(record["production_specification_serial"], "A00001-0042");
        // It does not count as resolving.
        assert_eq!(record["data_input_code"], "0");
        let told = fallbacks(&outcome);
        assert!(
            told.iter()
                .any(|(field, source)| source == "devices.fallback_for"
                    && field.contains("production_specification_serial"))
        );
        assert!(told.contains(&("data_input_code".into(), "default".into())));
    }
    // Where only the model is missing, nothing stands in; nor where no model is configured.
    let model = with(device(json!({"manufacturer": "M", "serialNumber": "S"})));
    for (lists, text) in [(&lists, model), (&known(), with(None))] {
        let (_, outcome) = read_by(lists, &text);
        let expected = "Bundle.entry[0].resource.device".to_owned();
        assert_eq!(errors(&outcome), [(Code::DeviceUnidentified, expected)]);
    }
}

#[test]
fn a_device_that_stands_in_does_not_make_a_pressure_one_of_home() {
    let mut lists = known();
    let mut cuff = Row::new(&DEVICES);
    for (field, value) in [
        ("model_manufacturer_code", "ACME"),
        ("model_number", "BP-0"),
        ("device_name", "Cuff"),
        ("fallback_for", "home_blood_pressure"),
        ("ledger_number", "1"),
    ] {
        cuff.put(field, value).unwrap();
    }
    lists.insert(cuff);
    let mut out = pressure((LOINC, "85354-9"));
    out["subject"] = json!({"identifier": identifier(MRN, "42")});
    out.as_object_mut().unwrap().shift_remove("device");
    let (submissions, _) = read_by(&lists, &collection(vec![out.clone()]));
    assert!(written(&submissions[0]).contains("health_checkup_information"));
    // A person at home without a device is at home, and typed it in.
    out["performer"] = json!([{"type": "Patient", "display": "the person"}]);
    let (submissions, outcome) = read_by(&lists, &collection(vec![out]));
    assert_eq!(errors(&outcome), []);
    let record = &records(&submissions)[0];
    assert_eq!(record["production_specification_serial"], "A000011");
    assert_eq!(record["data_input_code"], "1");
}

#[test]
fn a_definition_gives_maker_and_model() {
    let model = json!({"identifier": [{"system": "https://kenko-fhir.example/fhir/sid/device-model",
        "value": "ACME:WS%3A1"}]});
    let mut out = weight(quantity("65.5", "kg"));
    out["subject"] = json!({"identifier": identifier(MRN, "42")});
    out["device"] = json!({"reference": "#d"});
    out["contained"] = json!([
        resource(
            "Device",
            "d",
            json!({"serialNumber": "S", "definition": {"reference": "#m"}})
        ),
        resource("DeviceDefinition", "m", model)
    ]);
    let (submissions, outcome) = read_by(&known(), &collection(vec![out]));
    assert_eq!(errors(&outcome), []);
    let record = &records(&submissions)[0];
    assert_eq!(record["model_manufacturer_code"], "ACME");
    assert_eq!(record["model_number"], "WS:1");
    assert!(fallbacks(&outcome).contains(&("model_number".into(), "Device.definition".into())));
}

#[test]
fn the_recording_time_of_the_model_stands_in_for_that_of_the_day() {
    let mut lists = known();
    for minutes in ["1380"] {
        let mut row = Row::new(&registry::ACTIVITY_RECORDING_TIMES);
        for (field, value) in [
            ("model_manufacturer_code", "ACME"),
            ("model_number", "X-1"),
            ("recorded_minutes", minutes),
            ("aggregation", "a day"),
        ] {
            row.put(field, value).unwrap();
        }
        lists.insert(row);
    }
    let mut out = steps("41950-7", quantity("8523", "/d"));
    out.as_object_mut().unwrap().shift_remove("component");
    let text = bundle(vec![out]).to_string();
    let (submissions, outcome) = read_by(&lists, &text);
    assert_eq!(errors(&outcome), []);
    assert_eq!(
        field(&records(&submissions)[0], "total_active_duration"),
        "1380"
    );
    let source = "activity-recording-times.recorded_minutes";
    assert!(fallbacks(&outcome).contains(&("total_active_duration".into(), source.into())));
    let (_, outcome) = read_by(&known(), &text);
    let expected = "Bundle.entry[3].resource".to_owned();
    assert_eq!(errors(&outcome), [(Code::RequiredMissing, expected)]);
}

#[test]
fn a_method_is_told_by_the_codes_of_its_class() {
    let method = |code: &'static str, class: &'static str| -> (&'static List, Vec<(&str, &str)>) {
        let fields = vec![
            ("measurement_method_code", code),
            ("method_class_code", class),
            ("method_name", "a method"),
        ];
        (&HBA1C_METHODS, fields)
    };
    let rows = [
        method("000001", "2"),
        method("000002", "1"),
        method("000003", "1"),
    ];
    let rows: Vec<(&List, &[(&str, &str)])> = rows.iter().map(|(l, f)| (*l, &f[..])).collect();
    let lists = lists(&rows);
    const JLAC10: &str = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";
    const CLINS: &str =
        "http://jpfhir.jp/fhir/clins/CodeSystem/JLAC11/JP_CLINS_ObsLabResult_CoreLabo_CS";
    const TOKUTEI: &str = "urn:oid:1.2.392.200119.6.1005";
    const METHOD: &str = "urn:oid:1.2.392.200119.6.1007";
    let hplc = "3D046000001920402";
    for (codes, method, expected) in [
        (vec![(JLAC10, hplc)], None, Some("000001")),
        (
            vec![("urn:oid:1.2.392.200119.4.504", hplc)],
            None,
            Some("000001"),
        ),
        (vec![(CLINS, hplc)], None, Some("000001")),
        (vec![(TOKUTEI, hplc)], None, Some("000001")),
        (vec![(LOINC, "17856-6")], None, Some("000001")),
        (vec![(LOINC, "4548-4")], Some("3D04620000"), Some("000001")),
        (vec![(LOINC, "4548-4")], None, None),
        // Two methods are of this class, none of that one, and those do not agree.
        (vec![(JLAC10, "3D046000001906202")], None, None),
        (vec![(JLAC10, "3D046000001927102")], None, None),
        (vec![(JLAC10, hplc)], Some("3D04630000"), None),
        // A code of a method that the list does not tell.
        (vec![(JLAC10, "3D046000001920401")], None, None),
    ] {
        let mut out = hba1c(&codes, quantity("6.1", "%"));
        if let Some(code) = method {
            out["method"] = concept(&[(METHOD, code)]);
        }
        let (submissions, outcome) = read_by(&lists, &bundle(vec![out]).to_string());
        assert_eq!(errors(&outcome), []);
        let record = &records(&submissions)[0];
        let found = record
            .get("measurement_method_code")
            .and_then(Value::as_str);
        assert_eq!(found, expected, "{codes:?} {method:?}");
        let told = fallbacks(&outcome);
        let told = told
            .iter()
            .any(|(field, _)| field == "measurement_method_code");
        assert_eq!(told, expected.is_some());
    }
    // The protocol's own code needs no other.
    let mut own = hba1c(&[(JLAC10, hplc)], quantity("6.1", "%"));
    own["method"] = concept(&[(
        "https://kenko-fhir.example/fhir/CodeSystem/hba1c-method",
        "000009",
    )]);
    let (submissions, _) = read_by(&lists, &bundle(vec![own]).to_string());
    assert_eq!(
        records(&submissions)[0]["measurement_method_code"],
        "000009"
    );
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
    assert_eq!(
        asked.participants.into_iter().collect::<Vec<_>>(),
        ["http://ehr/mrn|42"]
    );
    let institution = format!("{INSTITUTION_NO}|1311234567");
    assert_eq!(
        asked.laboratories.into_iter().collect::<Vec<_>>(),
        [institution]
    );
    assert_eq!(asked.having, [(&LABORATORIES, "default_for")]);
}
