//! Option over environment over TOML file over default. The visible option is
//! `--listen`: an address that may not be served is named by the refusal.

use crate::run::{Place, first};

const TOML: &str = "listen = '192.0.2.3:3'\n";

#[test]
fn option_beats_environment_beats_file_beats_default() {
    let place = Place::new();
    place.write("kenko.toml", TOML);
    let file = ["--config", "kenko.toml", "serve"];
    let environment = [("KENKO_LISTEN", "192.0.2.2:2")];
    place.run(&file).exits(2).says("192.0.2.3:3:");
    place
        .run_with(&environment, &file)
        .exits(2)
        .says("192.0.2.2:2:");
    let option = ["--config", "kenko.toml", "serve", "--listen", "192.0.2.1:1"];
    place
        .run_with(&environment, &option)
        .exits(2)
        .says("192.0.2.1:1:");
    let help = place.run(&["serve", "--help"]).exits(0).out;
    assert!(help.contains("[default: 127.0.0.1:8080]"), "{help}");
    assert!(help.contains("KENKO_LISTEN"), "{help}");
}

#[test]
fn the_file_is_named_before_or_after_the_command_or_in_the_environment() {
    let place = Place::new();
    place.write("kenko.toml", TOML);
    place
        .run(&["serve", "--config=kenko.toml"])
        .exits(2)
        .says("192.0.2.3:3:");
    place
        .run_with(&[("KENKO_CONFIG", "kenko.toml")], &["serve"])
        .exits(2)
        .says("192.0.2.3:3:");
    place
        .run(&["serve", "--config", "no-such.toml"])
        .exits(2)
        .says("no-such.toml");
}

#[test]
fn a_required_option_may_stand_in_the_file_or_the_environment() {
    let place = Place::new();
    place.write("kenko.toml", "participants = 1\ndays = 1\n");
    let arguments = ["--config", "kenko.toml", "synth", "-o", "a"];
    place.run(&arguments).exits(0);
    let environment = [("KENKO_PARTICIPANTS", "1"), ("KENKO_DAYS", "1")];
    place.run_with(&environment, &["synth", "-o", "b"]).exits(0);
    assert_eq!(
        place.read("a/registries/participants.json"),
        place.read("b/registries/participants.json")
    );
}

#[test]
fn an_unknown_key_is_refused_by_its_name() {
    let place = Place::new();
    for (toml, key) in [
        ("lisen = '127.0.0.1:1'", "lisen"),
        ("Listen = '127.0.0.1:1'", "Listen"),
        ("[consent]\ndeidentified = 'opt-in'", "consent"),
        ("[serve]\nlisten = '127.0.0.1:1'", "serve"),
        ("config = 'other.toml'", "config"),
        ("help = true", "help"),
        // What says what a converter reads and writes is an option only.
        ("to = 'fhir'", "to"),
        ("as = 'ndjson'", "as"),
        ("shape = 'split'", "shape"),
        ("edition = '2016'", "edition"),
        ("output = 'x'", "output"),
    ] {
        place.write("kenko.toml", toml);
        place
            .run(&["--config", "kenko.toml", "validate", &first()])
            .exits(2)
            .says(&format!("kenko.toml: unknown key {key}\n"));
    }
}

#[test]
fn a_value_that_the_option_does_not_take_is_refused_by_its_key() {
    let place = Place::new();
    for (toml, key) in [
        ("body-limit = '64MB'", "body-limit"),
        ("body_limit = -1", "body_limit"),
        ("listen = '::1:8080'", "listen"),
        ("listen = ['127.0.0.1:1', '127.0.0.1:2']", "listen"),
        ("listen = true", "listen"),
        ("auth = 'smart'", "auth"),
        ("demo = 'yes'", "demo"),
        ("cors-origin = [1, true]", "cors-origin"),
        ("participants = 'many'", "participants"),
    ] {
        place.write("kenko.toml", toml);
        place
            .run(&["--config", "kenko.toml", "validate", &first()])
            .exits(2)
            .says(&format!("kenko.toml: {key}: "));
    }
    place.write("kenko.toml", "listen = ");
    place
        .run(&["--config", "kenko.toml", "validate", &first()])
        .exits(2)
        .says("kenko.toml: ");
}

#[test]
fn settings_of_other_commands_are_taken() {
    let place = Place::new();
    place.write(
        "kenko.toml",
        "body_limit = '1M'\nbase-url = 'http://x'\ncors-origin = ['http://a', 'http://b']\n\
         demo = true\nauth = 'off'\nlenient = false\ndatabase = 'sqlite://x.db'\n",
    );
    place
        .run(&["--config", "kenko.toml", "validate", &first()])
        .exits(0);
}

#[test]
fn a_flag_may_be_set_by_file_and_environment() {
    let place = Place::new();
    let faulty = std::fs::read_to_string(first())
        .unwrap()
        .replace("\"body_weight\":65.50", "\"body_weight\":65.505");
    place.write("faulty.json", faulty);
    place.write("kenko.toml", "lenient = true");
    let convert = ["convert", "faulty.json"];
    let strict = place.run(&convert).exits(1);
    assert_eq!(strict.out, "");
    for ended in [
        place.run(&["--config", "kenko.toml", "convert", "faulty.json"]),
        place.run_with(&[("KENKO_LENIENT", "true")], &convert),
        place.run_with(&[("KENKO_LENIENT", "1")], &convert),
    ] {
        assert_ne!(ended.exits(1).out, "");
    }
    let over = place.run_with(
        &[("KENKO_LENIENT", "false")],
        &["--config", "kenko.toml", "convert", "faulty.json"],
    );
    assert_eq!(over.exits(1).out, "");
    place
        .run_with(&[("KENKO_LENIENT", "perhaps")], &convert)
        .exits(2)
        .says("--lenient");
}

#[test]
fn what_a_converter_writes_is_not_in_the_environment() {
    let place = Place::new();
    let environment = [
        ("KENKO_TO", "exchange"),
        ("KENKO_AS", "ndjson"),
        ("KENKO_SHAPE", "split"),
        ("KENKO_OUTPUT", "x"),
    ];
    let plain = place.run(&["convert", &first()]).exits(0).out;
    let with = place
        .run_with(&environment, &["convert", &first()])
        .exits(0);
    assert_eq!(with.out, plain);
}

#[test]
fn help_does_not_show_a_password() {
    let place = Place::new();
    let environment = [("KENKO_DATABASE", "postgres://kenko:secret@db/kenko")];
    let help = place.run_with(&environment, &["serve", "--help"]).exits(0);
    assert!(!help.out.contains("secret"), "{}", help.out);
}
