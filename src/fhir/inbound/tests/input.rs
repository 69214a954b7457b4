//! Inputs as a whole: several consortia, what is not ours, what is broken or hostile.

use super::build::*;
use super::*;

#[test]
fn what_is_not_ours_is_counted() {
    let other = |code: &str| observation(concept(&[(LOINC, code)]), quantity("1", "kg"));
    let mut entries = vec![weight(quantity("65.5", "kg"))];
    entries.extend((0..1200).map(|_| other("1-1")));
    entries.push(other("2-2"));
    entries.push(json!({"resourceType": "Encounter", "id": "e"}));
    let (submissions, outcome) = read(&bundle(entries).to_string());
    assert_eq!(records(&submissions).len(), 1);
    assert_eq!(errors(&outcome), []);
    let not_ours: Vec<_> = outcome
        .issues
        .iter()
        .filter(|i| i.not_ours)
        .map(|i| (i.fault.found.as_str(), i.count, i.expressions.len()))
        .collect();
    assert_eq!(
        not_ours,
        [
            ("http://loinc.org|1-1", 1200, 1000),
            ("http://loinc.org|2-2", 1, 1),
            ("Encounter", 1, 1)
        ]
    );
    // Where nothing else came, that is why nothing was converted.
    let (_, outcome) = read(&bundle(vec![other("1-1")]).to_string());
    assert!(outcome.has_errors());
}

#[test]
fn consortia_give_a_submission_each() {
    let mut text = bundle(vec![weight(quantity("65.5", "kg"))]);
    let mut second = weight(quantity("70", "kg"));
    second["subject"] = json!({"reference": "Patient/q"});
    let entries = text["entry"].as_array_mut().unwrap();
    entries.push(json!({"fullUrl": "http://ehr/Observation/9", "resource": second}));
    entries.push(json!({"fullUrl": "http://ehr/Patient/q", "resource": {"resourceType": "Patient",
        "id": "q", "identifier": [{"system": "https://kenko-fhir.example/fhir/sid/consortium/A00000/person",
            "value": "Q1"}]}}));
    let (submissions, outcome) = read(&text.to_string());
    assert_eq!(errors(&outcome), []);
    let names: Vec<_> = submissions
        .iter()
        .map(|s| s.consortium_id.as_str())
        .collect();
    assert_eq!(names, ["A00000", "A00001"]);
    assert_eq!(records(&submissions).len(), 2);
    assert!(written(&submissions[0]).contains("ACME"));
}

#[test]
fn broken_input_is_told_and_never_stops_the_rest() {
    let (submissions, outcome) = read(
        r#"[1]
{"resourceType":"Patient","id":"x","id":"y"}
{"resourceType":"Patient","name":"x"}
{"status":"final"}
{"resourceType":"Observation","code":{}}
{"resourceType":"Bundle","entry":7,"timestamp":"x"}"#,
    );
    assert!(submissions.is_empty());
    let codes: Vec<_> = outcome.issues.iter().map(|i| i.fault.code).collect();
    assert_eq!(
        codes,
        [
            Code::Type,
            Code::DuplicateKey,
            Code::Type,
            Code::Type,
            Code::Type,
            Code::Type,
            Code::TimeInvalid
        ]
    );
    assert!(read_any(kinds(), options(), &b"{\"resourceType\":"[..]).is_err());
    let (none, outcome) = read("");
    assert!(none.is_empty() && outcome.issues.is_empty());
}

#[test]
fn a_resource_made_to_be_slow_is_not() {
    let start = std::time::Instant::now();
    let n = 50_000;
    let repeated = vec!["\"x\":1"; n].join(",");
    let (_, outcome) = read(&format!("{{\"resourceType\":\"Observation\",{repeated}}}"));
    assert_eq!(outcome.issues[0].fault.code, Code::DuplicateKey);
    let mut out = weight(quantity("65.5", "kg"));
    out["performer"] = (0..n).map(|_| json!({"reference": "#x"})).collect();
    out["contained"] = (0..n)
        .map(|i| json!({"resourceType": "Organization", "id": i.to_string()}))
        .collect();
    out["component"] = (0..n)
        .map(|_| json!({"code": concept(&[(LOINC, "41982-0")]), "valueString": "x"}))
        .collect();
    let (_, outcome) = read(&out.to_string());
    assert!(outcome.has_errors());
    assert!(outcome.issues.len() < 300);
    // Far from any limit when it is linear, hopeless when it is not.
    assert!(start.elapsed().as_secs() < 60);
}
