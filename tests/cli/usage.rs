//! Exit codes, help, and ends that are not the program's.

use std::io::Read;
use std::process::Stdio;

use crate::run::{Place, first};

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new();
    let none: [&str; 0] = [];
    place.run(&none).exits(2).says("Usage");
    for arguments in [
        &["report"][..],
        &["client", "add", "x"],
        &["serve", "--auth", "smart"],
        &["migrate", "--distribute"],
        &["export", "--to", "parquet", "-o", "x"],
        &["export", "--to", "ndjson", "--deidentified", "-o", "x"],
        &["export", "-o", "x"],
        &["validate"],
        &["validate", "no-such-file.json"],
        &["validate", "--registries", "no-such-folder", &first()],
        &["validate", "--mappings", "no-such-folder", &first()],
        &["convert", "no-such-file.json"],
        &["convert", "--edition", "2018", &first()],
        &["convert", "--as", "xml", &first()],
        &["import"],
        &["registry"],
        &["registry", "show", "people"],
        &["synth", "--participants", "1"],
        &["synth", "--participants", "-1", "--days", "1", "-o", "x"],
        &["serve", "--body-limit", "64MB"],
        &["serve", "--listen", "::1:8080"],
        &["--no-such-option"],
    ] {
        let ended = place.run(arguments).exits(2);
        assert!(!ended.err.is_empty(), "{arguments:?} says why");
        assert!(ended.out.is_empty(), "{arguments:?} says it on stderr");
    }
}

#[test]
fn an_address_that_others_reach_is_refused_without_authentication() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        place
            .run(&["serve", "--listen", address])
            .exits(2)
            .says("loopback")
            .says(address);
    }
}

#[test]
fn a_mistake_in_a_mapping_names_file_place_and_reason() {
    let place = Place::new();
    place.write("mappings/bad.json", r#"{"kind": "bad", "at": 1}"#);
    place
        .run(&["validate", "--mappings", "mappings", &first()])
        .exits(2)
        .says("bad.json: /at");
    place.write("mappings/bad.json", "{");
    place
        .run(&["convert", "--mappings", "mappings", &first()])
        .exits(2)
        .says("bad.json");
}

#[test]
fn help_and_version_are_no_mistakes() {
    let place = Place::new();
    let version = place.run(&["--version"]).exits(0);
    assert!(version.out.starts_with("kenko-fhir "));
    assert!(place.run(&["help"]).exits(0).out.contains("Usage"));
}

#[test]
fn every_help_shows_an_example() {
    let place = Place::new();
    let commands = |help: &str| -> Vec<String> {
        let list = help.split("Commands:\n").nth(1).unwrap();
        list.lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect()
    };
    let help = place.run(&["--help"]).exits(0).out;
    let mut all = vec![vec![]];
    for command in commands(&help) {
        if command == "registry" {
            let help = place.run(&["registry", "--help"]).exits(0).out;
            all.extend(
                commands(&help)
                    .into_iter()
                    .map(|c| vec![command.clone(), c]),
            );
        }
        all.push(vec![command]);
    }
    assert_eq!(all.len(), 14, "{all:?}");
    for mut command in all {
        let shown = command.join(" ");
        for flag in ["--help", "-h"] {
            command.push(flag.into());
            let help = place.run(&command).exits(0).out;
            let example = help.split("Example:\n").nth(1);
            let example = example.unwrap_or_else(|| panic!("{shown} {flag}: no example"));
            let line = format!("  kenko-fhir {shown}");
            assert!(
                example.contains(line.trim_end()),
                "{shown} {flag}: {example}"
            );
            command.pop();
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let place = Place::new();
    // More than a pipe holds, so that the program is still writing.
    let many = vec![first(); 200];
    let mut arguments = vec!["convert".to_owned()];
    arguments.extend(many);
    let mut child = place
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begin = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut begin).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn resources_that_are_imported_are_told_once_and_not_field_by_field() {
    let place = Place::new();
    place
        .run(&["convert", "--as", "ndjson", "-o", "fhir.ndjson", &first()])
        .exits(0);
    for arguments in [
        &["import", "fhir.ndjson"][..],
        &["import", "--lenient", "fhir.ndjson"],
    ] {
        let told = place
            .run(arguments)
            .exits(1)
            .says("convert --to exchange")
            .err;
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.starts_with("fhir.ndjson:1:"), "{told}");
    }
}

#[test]
fn roots_and_origins_that_lead_nowhere_stop_the_start() {
    let place = Place::new();
    for (option, value) in [
        ("--base-url", "foo"),
        ("--cors-origin", "https://a.example/"),
        // Without authentication any page could read everything.
        ("--cors-origin", "*"),
    ] {
        place.run(&["serve", option, value]).exits(2).says(option);
    }
}

#[test]
fn logs_in_a_file_have_no_colours() {
    let place = Place::new();
    let ended = place.run_with(&[("RUST_LOG", "kenko_fhir=trace")], &["migrate"]);
    let ended = ended.exits(0).says("TRACE");
    assert!(!ended.err.contains('\u{1b}'), "{}", ended.err);
}

#[test]
fn a_log_that_nobody_reads_any_more_stops_nothing() {
    let place = Place::new();
    let mut child = place
        .command(&["migrate"])
        .env("RUST_LOG", "trace")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let begun = std::time::Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > std::time::Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it hangs");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(0));
}
