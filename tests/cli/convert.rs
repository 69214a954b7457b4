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
    assert_eq!(run(&["-o", "new/deep/"]).exits(0).out, "");
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
