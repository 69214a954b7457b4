//! `convert`

use serde_json::Value;

use crate::run::{Place, first, repository};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn types(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().unwrap();
    let name = |e: &Value| e["resource"]["resourceType"].as_str().unwrap().to_owned();
    entries.iter().map(name).collect()
}

/// The first submission, with one fault.
fn faulty() -> String {
    let text = std::fs::read_to_string(first()).unwrap();
    text.replace("\"body_weight\":65.50", "\"body_weight\":65.505")
}

#[test]
fn a_submission_becomes_a_collection_bundle() {
    let place = Place::new();
    let ended = place.run(&["convert", &first()]).exits(0);
    assert_eq!(ended.err, "");
    let bundle = json(&ended.out);
    assert_eq!(bundle["type"], "collection");
    let types = types(&bundle);
    for name in ["Patient", "Device", "Organization", "Observation"] {
        assert!(types.iter().any(|t| t == name), "{name}");
    }
    assert_eq!(types.iter().filter(|t| *t == "Observation").count(), 11);
    assert!(
        ended.out.contains("\"value\":65.50"),
        "decimals stay as written"
    );
}

#[test]
fn stdin_is_converted_where_no_file_is_named() {
    let place = Place::new();
    let text = std::fs::read(first()).unwrap();
    let none = place.feed(&text, &["convert"]).exits(0).out;
    let dash = place.feed(&text, &["convert", "-"]).exits(0).out;
    assert_eq!(none, dash);
    assert_eq!(none, place.run(&["convert", &first()]).exits(0).out);
}

#[test]
fn the_forms_are_bundle_transaction_and_ndjson() {
    let place = Place::new();
    let lists = repository("examples/registries");
    let run = |form: &str| {
        place
            .run(&["convert", "--as", form, "--registries", &lists, &first()])
            .exits(0)
            .out
    };
    let transaction = json(&run("transaction"));
    assert_eq!(transaction["type"], "transaction");
    for entry in transaction["entry"].as_array().unwrap() {
        assert!(entry["fullUrl"].as_str().unwrap().starts_with("urn:uuid:"));
        assert!(entry["request"]["method"].is_string());
    }
    let ndjson = run("ndjson");
    let mut lines = ndjson.lines().map(json);
    let envelope = lines.next().unwrap();
    assert_eq!(envelope["resourceType"], "Bundle");
    assert!(envelope.get("entry").is_none());
    assert_eq!(
        lines.count(),
        json(&run("bundle"))["entry"].as_array().unwrap().len()
    );
}

#[test]
fn several_inputs_give_a_document_a_line_in_their_order() {
    let place = Place::new();
    let other = std::fs::read_to_string(first()).unwrap();
    place.write(
        "other.json",
        other.replace("20161006030000000", "20161006040000000"),
    );
    let ended = place.run(&["convert", &first(), "other.json"]).exits(0);
    let sent: Vec<Value> = ended
        .out
        .lines()
        .map(|l| json(l)["timestamp"].clone())
        .collect();
    assert_eq!(
        sent,
        [
            "2016-10-06T03:00:00.000+09:00",
            "2016-10-06T04:00:00.000+09:00"
        ]
    );
    // The same in one input of several lines.
    let line = |text: &str| text.lines().map(str::trim).collect::<String>() + "\n";
    let first = line(&std::fs::read_to_string(first()).unwrap());
    let ndjson = first + &line(&place.read("other.json"));
    assert_eq!(place.feed(ndjson, &["convert"]).exits(0).out, ended.out);
}

#[test]
fn a_folder_takes_a_file_for_each_input() {
    let place = Place::new();
    let text = std::fs::read(first()).unwrap();
    place.write("in/a.json", &text);
    place.write("in/b.x.json", &text);
    let inputs = ["in/a.json", "in/b.x.json"];
    let run = |options: &[&str]| {
        let all = [&["convert"][..], options, &inputs].concat();
        place.run(&all)
    };
    // One that ends in / is made.
    let ended = run(&["-o", "new/deep/"]).exits(0);
    assert_eq!(ended.out, "converted 2 files into new/deep/\n");
    for name in ["new/deep/a.json", "new/deep/b.x.json"] {
        assert_eq!(json(&place.read(name))["type"], "collection");
    }
    // One that stands there needs no /.
    run(&["-o", "new", "--as", "ndjson"]).exits(0);
    assert!(place.read("new/a.ndjson").lines().count() > 11);
    // A file takes all documents.
    run(&["-o", "all.ndjson"]).exits(0);
    assert_eq!(place.read("all.ndjson").lines().count(), 2);
    // Two inputs of one name, and an output on its input, are mistakes.
    place.write("in2/a.json", &text);
    place
        .run(&["convert", "-o", "new", "in/a.json", "in2/a.json"])
        .exits(2)
        .says("in2/a.json");
    run(&["-o", "in"]).exits(2).says("in/a.json");
    assert_eq!(std::fs::read(place.path("in/a.json")).unwrap(), text);
}

#[test]
fn a_submission_with_faults_writes_nothing() {
    let place = Place::new();
    place.write("faulty.json", faulty());
    let ended = place.run(&["convert", "faulty.json"]).exits(1);
    assert_eq!(ended.out, "");
    assert!(
        ended
            .err
            .starts_with("faulty.json:10:62: /person_information/0/"),
        "{}",
        ended.err
    );
    assert_eq!(ended.err.lines().count(), 1);
    place.write("before.json", "before");
    place
        .run(&["convert", "-o", "before.json", "faulty.json"])
        .exits(1);
    assert_eq!(place.read("before.json"), "before");
    place
        .run(&["convert", "-o", "out/", "faulty.json"])
        .exits(1);
    assert!(!place.path("out").exists());
    // The others are converted all the same.
    let ended = place.run(&["convert", "faulty.json", &first()]).exits(1);
    assert_eq!(ended.out.lines().count(), 1);
}

#[test]
fn lenient_writes_the_good_records() {
    let place = Place::new();
    place.write("faulty.json", faulty());
    let ended = place.run(&["convert", "--lenient", "faulty.json"]).exits(1);
    let types = types(&json(&ended.out));
    assert_eq!(types.iter().filter(|t| *t == "Observation").count(), 10);
    ended.says("decimals");
    // A broken envelope leaves nothing to write.
    place.write("broken.json", faulty().replace("\"1.0\"", "\"2.0\""));
    let ended = place.run(&["convert", "--lenient", "broken.json"]).exits(1);
    assert_eq!(ended.out, "");
}

#[test]
fn registries_refuse_and_enrich() {
    let place = Place::new();
    let lists = repository("examples/registries");
    let text = std::fs::read_to_string(first()).unwrap();
    place.write(
        "stranger.json",
        text.replace("P0000000000000000002", "P0000000000000000003"),
    );
    let arguments = ["convert", "--registries", &lists, "stranger.json"];
    let ended = place.run(&arguments).exits(1).says("participant-unknown");
    assert_eq!(ended.out, "");
    place.run(&["convert", "stranger.json"]).exits(0);
    let ended = place
        .run(&["convert", "--registries", &lists, &first()])
        .exits(0);
    assert!(ended.out.contains("七福神健康コンソーシアム"));
}

#[test]
fn every_form_and_shape_comes_back_as_the_submission() {
    let place = Place::new();
    let sent = json(&std::fs::read_to_string(first()).unwrap());
    for form in ["bundle", "transaction", "ndjson"] {
        for shape in ["panel", "split"] {
            let arguments = ["convert", "--as", form, "--shape", shape, &first()];
            let fhir = place.run(&arguments).exits(0).out;
            let back = place.feed(&fhir, &["convert"]).exits(0);
            assert_eq!(back.out.lines().count(), 1);
            assert_eq!(json(&back.out), sent, "{form} {shape}");
            if shape == "panel" {
                assert_eq!(back.err, "", "{form}: nothing to say");
            }
        }
    }
}

#[test]
fn the_edition_decides_the_names() {
    let place = Place::new();
    let fhir = place.run(&["convert", &first()]).exits(0).out;
    let new = place.feed(&fhir, &["convert"]).exits(0).out;
    assert!(new.contains("data_input_code") && !new.contains("input_method_code"));
    let old = place
        .feed(&fhir, &["convert", "--edition", "2016"])
        .exits(0)
        .out;
    assert!(old.contains("input_method_code") && !old.contains("data_input_code"));
    // A Bundle says which edition it was made from.
    let fhir = place.feed(&old, &["convert"]).exits(0).out;
    let tags = json(&fhir)["meta"]["tag"].clone();
    assert!(
        tags.as_array().unwrap().iter().any(|t| t["code"] == "2016"),
        "{tags}"
    );
}

/// A Bundle of ours with one Observation that is refused.
fn with_a_refusal(place: &Place) -> Value {
    let mut bundle = json(&place.run(&["convert", &first()]).exits(0).out);
    let entries = bundle["entry"].as_array_mut().unwrap();
    let body = entries
        .iter_mut()
        .rev()
        .find(|e| !e["resource"]["valueQuantity"].is_null());
    body.unwrap()["resource"]["valueQuantity"]["unit"] = "stone".into();
    let entries = bundle["entry"].as_array_mut().unwrap();
    let body = entries
        .iter_mut()
        .rev()
        .find(|e| !e["resource"]["valueQuantity"].is_null());
    body.unwrap()["resource"]["valueQuantity"]["code"] = "[stone_av]".into();
    bundle
}

fn records(submission: &Value) -> usize {
    let persons = submission["person_information"].as_array().unwrap();
    let sections = persons.iter().flat_map(|p| p.as_object().unwrap().values());
    let arrays = sections
        .filter_map(Value::as_object)
        .flat_map(|s| s.values());
    arrays.map(|a| a.as_array().unwrap().len()).sum()
}

#[test]
fn what_can_be_converted_is_and_the_outcome_tells_the_rest() {
    let place = Place::new();
    let bundle = with_a_refusal(&place).to_string();
    let ended = place.feed(&bundle, &["convert"]).exits(1);
    assert_eq!(records(&json(&ended.out)), 10);
    let outcome = json(&ended.err);
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let issue = &outcome["issue"][0];
    assert_eq!(issue["severity"], "error");
    assert_eq!(issue["details"]["coding"][0]["code"], "unit-unknown");
    assert!(
        issue["expression"][0]
            .as_str()
            .unwrap()
            .starts_with("Bundle.entry[")
    );
    let line = ended.err.lines().nth(1).unwrap();
    assert!(
        line.contains("\"diagnostics\":\"-:1:"),
        "an issue a line: {line}"
    );
    // In a file, and the reasons of refusals as lines on stderr.
    let arguments = ["convert", "--outcome", "outcome.json", "-o", "out.json"];
    let ended = place.feed(&bundle, &arguments).exits(1);
    assert_eq!(json(&place.read("outcome.json")), outcome);
    assert_eq!(records(&json(&place.read("out.json"))), 10);
    assert!(ended.err.starts_with("-:1:"), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1);
    // Nothing to say is said in the file.
    let fine = place.run(&["convert", &first()]).exits(0).out;
    place.feed(&fine, &arguments).exits(0);
    assert_eq!(
        json(&place.read("outcome.json"))["issue"][0]["code"],
        "informational"
    );
}

#[test]
fn where_nothing_can_be_converted_nothing_is_written() {
    let place = Place::new();
    for text in [
        "",
        "{",
        r#"{"resourceType":"Bundle","type":"collection"}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"}}"#,
        r#"{"resourceType":"MedicationRequest"}"#,
        r#"{"resourceType":"Patient","nam":[]}"#,
    ] {
        let arguments = ["convert", "--to", "exchange", "-o", "out.json"];
        let ended = place.feed(text, &arguments).exits(1);
        assert_eq!(json(&ended.err)["issue"][0]["severity"], "error", "{text}");
        assert!(!place.path("out.json").exists(), "{text}");
    }
}

#[test]
fn what_is_not_ours_is_no_refusal() {
    let place = Place::new();
    let mut bundle = json(&place.run(&["convert", &first()]).exits(0).out);
    let foreign = serde_json::json!({ "resource": { "resourceType": "Practitioner", "id": "x" } });
    let entries = bundle["entry"].as_array_mut().unwrap();
    entries.push(foreign.clone());
    entries.push(foreign);
    let ended = place.feed(bundle.to_string(), &["convert"]).exits(0);
    assert_eq!(records(&json(&ended.out)), 11);
    let outcome = json(&ended.err);
    assert_eq!(outcome["issue"].as_array().unwrap().len(), 1);
    assert_eq!(outcome["issue"][0]["severity"], "information");
    assert_eq!(
        outcome["issue"][0]["expression"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn several_consortia_give_a_submission_a_line() {
    let place = Place::new();
    let other = std::fs::read_to_string(first())
        .unwrap()
        .replace("A00001", "B00001");
    place.write("other.json", other);
    let mut ndjson = String::new();
    for file in [first(), "other.json".to_owned()] {
        let lines = place
            .run(&["convert", "--as", "ndjson", &file])
            .exits(0)
            .out;
        ndjson.extend(lines.lines().skip(1).flat_map(|l| [l, "\n"]));
    }
    let ended = place.feed(ndjson, &["convert"]).exits(0);
    let consortia: Vec<Value> = ended
        .out
        .lines()
        .map(|l| json(l)["consortium_id"].clone())
        .collect();
    assert_eq!(consortia, ["A00001", "B00001"]);
}

#[test]
fn both_directions_in_one_run() {
    let place = Place::new();
    let fhir = place.run(&["convert", &first()]).exits(0).out;
    place.write("fhir.json", fhir);
    place.write("submission.json", std::fs::read(first()).unwrap());
    place
        .run(&[
            "convert",
            "--as",
            "ndjson",
            "-o",
            "out/",
            "fhir.json",
            "submission.json",
        ])
        .exits(0);
    assert_eq!(
        json(&place.read("out/fhir.json"))["consortium_id"],
        "A00001"
    );
    assert!(place.read("out/submission.ndjson").lines().count() > 11);
}

#[test]
fn a3_04_times_do_not_depend_on_the_zone_of_the_host() {
    let place = Place::new();
    let mut seen = Vec::new();
    for zone in ["UTC", "Asia/Tokyo", "America/New_York"] {
        let env = [("TZ", zone)];
        let bundle = place.run_with(&env, &["convert", &first()]).exits(0).out;
        assert!(bundle.contains("\"effectiveDateTime\":\"2016-09-01T07:30:15+09:00\""));
        place.write("bundle.json", &bundle);
        let back = place
            .run_with(&env, &["convert", "bundle.json"])
            .exits(0)
            .out;
        assert!(
            back.contains("\"observation_time\":\"20160901073015\""),
            "{back}"
        );
        seen.push((zone, bundle, back));
    }
    for (zone, bundle, back) in &seen {
        assert_eq!((bundle, back), (&seen[0].1, &seen[0].2), "{zone}");
    }
}

#[test]
fn the_lists_of_a_folder_tell_whom_a_hospital_means() {
    let place = Place::new();
    let lists = repository("examples/registries");
    let result = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"4548-4"}]},
"subject":{"identifier":{"system":"urn:oid:1.2.392.100495.20.3.51.12312345678","value":"00012345"}},
"performer":[{"identifier":{"system":"http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no","value":"2312345678"}}],
"effectiveDateTime":"2016-11-01","issued":"2016-11-02T00:00:00+09:00","valueQuantity":{"value":6.1,"unit":"%"}}"#;
    let args = ["convert", "--to", "exchange", "-"];
    let refused = place.feed(result.as_bytes(), &args).exits(1);
    assert!(
        refused.err.contains("participant-unknown"),
        "{}",
        refused.err
    );
    let args = ["convert", "--to", "exchange", "--registries", &lists, "-"];
    let ended = place.feed(result.as_bytes(), &args).exits(0);
    let submission = json(&ended.out);
    assert_eq!(submission["consortium_id"], "A00001");
    let person = &submission["person_information"][0];
    assert_eq!(person["person_id"], "P0000000000000000001");
    let record = &person["health_checkup_information"]["hba1c"][0];
    assert_eq!(record["test_lab_id"], "000000000001");
    assert!(ended.err.contains("fallback-used"), "{}", ended.err);
}
