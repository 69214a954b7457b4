//! `validate`, and the table of faults through it.

use std::collections::BTreeMap;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::faults::{self, Expected};
use crate::run::{Place, first, repository};

/// A line of stderr: file and fault.
fn parse(line: &str) -> (String, Expected) {
    let fail = || panic!("not FILE:LINE:COLUMN: POINTER: message: {line}");
    let (place, rest) = line.split_once(": ").unwrap_or_else(fail);
    let mut place = place.rsplitn(3, ':');
    let mut next = || place.next().unwrap_or_else(|| fail().0);
    let (column, row, file) = (next(), next(), next());
    let (pointer, message) = rest.split_once(": ").unwrap_or_else(fail);
    let (severity, message) = match message.strip_prefix("warning: ") {
        Some(message) => ("warning", message),
        None => ("error", message),
    };
    let (code, text) = message.split_once(": ").unwrap_or_else(fail);
    assert!(!text.is_empty());
    let fault = Expected {
        line: row.parse().unwrap_or_else(|_| fail().0.parse().unwrap()),
        column: column.parse().unwrap_or_else(|_| fail().0.parse().unwrap()),
        pointer: pointer.into(),
        code: code.into(),
        severity: severity.into(),
    };
    (file.into(), fault)
}

/// Runs the cases that `choose` takes at once; gives what differs.
fn differences(arguments: &[&str], choose: impl Fn(&faults::Case) -> bool) -> Vec<String> {
    let place = Place::new();
    let cases: Vec<faults::Case> = faults::cases().into_iter().filter(choose).collect();
    assert!(!cases.is_empty());
    let mut all: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    for (i, case) in cases.iter().enumerate() {
        let name = format!("{i}.json");
        place.write(&name, &case.text);
        all.push(name);
    }
    all.insert(1, "--all".to_owned());
    let ended = place.run(&all);
    let mut told: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
    for line in ended.err.lines() {
        let (file, fault) = parse(line);
        told.entry(file).or_default().push(fault);
    }
    let mut out = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let mut told = told.remove(&format!("{i}.json")).unwrap_or_default();
        told.sort();
        if told != case.expect {
            out.push(format!(
                "{}:\n{}\n  expected {:?}\n  told {:?}",
                case.name, case.text, case.expect, told
            ));
        }
    }
    assert!(told.is_empty(), "{told:?}");
    out
}

#[track_caller]
fn assert_none(differences: &[String]) {
    assert!(
        differences.is_empty(),
        "{} cases:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

#[test]
fn every_fault_of_the_table_is_told_at_its_place() {
    assert_none(&differences(&["validate", "--as", "exchange"], |c| {
        !c.registries && !c.lenient
    }));
}

#[test]
fn every_fault_against_the_registries_is_told_at_its_place() {
    let lists = faults::folder().join("registries");
    let arguments = ["validate", "--registries", lists.to_str().unwrap()];
    assert_none(&differences(&arguments, |c| c.registries));
}

#[test]
fn lenient_handling_warns_about_unknown_fields() {
    assert_none(&differences(
        &["convert", "--to", "fhir", "--lenient"],
        |c| c.lenient,
    ));
}

#[test]
fn warnings_alone_exit_with_0_and_refusals_with_1() {
    let place = Place::new();
    let text = std::fs::read_to_string(first()).unwrap();
    place.write("warned.json", text.replace(":65.50", ":365.50"));
    place.write("refused.json", text.replace(":65.50", ":65.505"));
    let warned = place.run(&["validate", "warned.json"]).exits(0);
    assert_eq!(warned.err.lines().count(), 1);
    assert!(warned.out.contains("checked 1 files"), "{}", warned.out);
    place.run(&["validate", &first(), "refused.json"]).exits(1);
}

#[test]
fn the_line_is_the_contract() {
    let place = Place::new();
    let text = std::fs::read_to_string(first()).unwrap();
    place.write("a.json", text.replace(":65.50", ":65.505"));
    let ended = place.run(&["validate", "a.json"]).exits(1);
    assert_eq!(
        ended.err,
        "a.json:10:62: /person_information/0/healthcare_information/weighing_scale/0/body_weight: \
         decimals: too many decimals; expected at most 2 decimals; found 65.505; write the number \
         plainly with at most the decimals of the field\n"
    );
}

#[test]
fn messages_are_in_the_language_of_the_locale() {
    let place = Place::new();
    let validate = ["validate", "-"];
    let told = |env: &[(&str, &str)]| {
        place.write("bad.json", "{}");
        place.run_with(env, &["validate", "bad.json"]).exits(1).err
    };
    assert!(told(&[("LANG", "ja_JP.UTF-8")]).contains("必須項目がありません"));
    assert!(told(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "ja_JP.UTF-8")]).contains("必須項目"));
    assert!(told(&[("LANG", "ja_JP.UTF-8"), ("LC_ALL", "C")]).contains("required field"));
    assert!(told(&[("LANG", "ja_JP.UTF-8"), ("LC_ALL", "")]).contains("必須項目"));
    assert!(told(&[]).contains("required field"));
    assert!(
        place
            .feed("{}", &validate)
            .exits(1)
            .err
            .starts_with("-:1:1: ")
    );
}

#[test]
fn ndjson_and_gzip_are_read_as_they_are() {
    let place = Place::new();
    let text = std::fs::read_to_string(first()).unwrap();
    let line = |text: &str| text.lines().map(str::trim).collect::<String>() + "\n";
    let faulty = line(&text.replace(":65.50", ":65.505"));
    let ndjson = [line(&text), faulty, line(&text)].concat();
    place.write("many.ndjson", &ndjson);
    let ended = place.run(&["validate", "many.ndjson"]).exits(1);
    assert!(ended.err.starts_with("many.ndjson:2:"), "{}", ended.err);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, ndjson.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    place.write("many.ndjson.gz", &gzip);
    let ended = place.run(&["validate", "many.ndjson.gz"]).exits(1);
    assert!(ended.err.starts_with("many.ndjson.gz:2:"), "{}", ended.err);
    let ended = place.feed(&gzip, &["validate", "-"]).exits(1);
    assert!(ended.err.starts_with("-:2:"), "{}", ended.err);
    place.write("cut.gz", &gzip[..gzip.len() / 2]);
    place.run(&["validate", "cut.gz"]).exits(1).says(": json: ");
    place.write("garbage.gz", b"\x1F\x8Bnot gzip at all");
    place
        .run(&["validate", "garbage.gz"])
        .exits(1)
        .says(": json: ");
}

#[test]
fn text_that_is_not_utf8_is_not_json() {
    let place = Place::new();
    let ended = place
        .feed(b"{\"x\":\"\x83\x80\"}", &["validate", "-"])
        .exits(1);
    assert!(ended.err.starts_with("-:1:"), "{}", ended.err);
    ended.says(": json: ");
}

#[test]
fn faults_of_the_registries_are_refusals() {
    let place = Place::new();
    place.write("lists/consortia.json", "[\n {\"consortium_id\": 1}\n]");
    let arguments = ["validate", "--registries", "lists", &first()];
    let ended = place.run(&arguments).exits(1);
    assert!(ended.err.contains("consortia.json:2:"), "{}", ended.err);
    let lists = repository("examples/registries");
    let ended = place
        .run(&["validate", "--registries", &lists, &first()])
        .exits(0);
    assert_eq!(ended.err, "");
}

#[test]
fn resources_are_checked_as_resources() {
    let place = Place::new();
    let bundle = place.run(&["convert", &first()]).exits(0).out;
    assert_eq!(place.feed(&bundle, &["validate", "-"]).exits(0).err, "");
    for fine in [
        r#"{"resourceType":"Patient","id":"a","birthDate":"1961-04"}"#,
        r#"{"resourceType":"MedicationRequest","id":"x"}"#,
    ] {
        assert_eq!(place.feed(fine, &["validate", "-"]).exits(0).err, "");
    }
    let ended = place.feed(
        "{\"resourceType\":\"Patient\",\n\"nam\":[]}",
        &["validate", "-"],
    );
    let ended = ended.exits(1);
    assert!(
        ended.err.contains(": Patient.nam: unknown-field: "),
        "{}",
        ended.err
    );
    assert!(ended.err.starts_with("-:2:"), "{}", ended.err);
    place
        .feed("", &["validate", "--as", "fhir", "-"])
        .exits(1)
        .says(": json: ");
    // A submission is no resource, and a resource no submission.
    place.run(&["validate", "--as", "fhir", &first()]).exits(1);
    place
        .feed(&bundle, &["validate", "--as", "exchange", "-"])
        .exits(1);
}
