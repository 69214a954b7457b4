//! Outputs: what stood there is kept until the new content is whole, and nothing half stays.

#![cfg(unix)]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Place, first};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The names in a folder, in order.
fn names(place: &Place, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_keeps_its_mode_and_a_link_its_target() {
    let place = Place::new();
    let old = place.write("old.json", "old");
    for kept in [0o600, 0o640] {
        fs::set_permissions(&old, fs::Permissions::from_mode(kept)).unwrap();
        place.run(&["convert", &first(), "-o", "old.json"]).exits(0);
        assert_eq!(mode(&old), kept);
    }
    symlink("old.json", place.path("link.json")).unwrap();
    place.write("old.json", "old");
    place
        .run(&["convert", &first(), "-o", "link.json"])
        .exits(0);
    assert!(place.path("link.json").is_symlink());
    assert!(place.read("old.json").contains("resourceType"));
    place.run(&["convert", &first(), "-o", "new.json"]).exits(0);
    assert_eq!(mode(&place.path("new.json")), 0o600, "personal data");
}

#[test]
fn what_is_no_regular_file_is_written_into() {
    let place = Place::new();
    let fifo = place.path("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let mut reading = Command::new("cat")
        .arg(&fifo)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    place.run(&["convert", &first(), "-o", "fifo"]).exits(0);
    let mut text = String::new();
    reading
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    reading.wait().unwrap();
    assert!(text.contains("resourceType"));
    assert!(!fs::metadata(&fifo).unwrap().is_file());
    place
        .run(&["convert", &first(), "-o", "/dev/null"])
        .exits(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let out = place
        .run(&["convert", &first(), "-o", "/dev/stdout"])
        .exits(0)
        .out;
    assert!(out.contains("resourceType"));
    let outcome = [
        "convert",
        &first(),
        "-o",
        "/dev/null",
        "--outcome",
        "/dev/null",
    ];
    place.run(&outcome).exits(0);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_refused_conversion_leaves_what_stood_there_and_nothing_else() {
    let place = Place::new();
    place.write("out/a.json", "former");
    place.write("broken.json", "{\"format_version\":");
    place
        .run(&["convert", "broken.json", "-o", "out/a.json"])
        .exits(1);
    assert_eq!(place.read("out/a.json"), "former");
    assert_eq!(names(&place, "out"), ["a.json"]);
}

#[test]
fn an_interrupted_command_leaves_no_draft_and_says_how_far_it_came() {
    let place = Place::new();
    place.write("out/kept.json", "former");
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let mut child = place
            .command(&["convert", &first(), "-", "-o", "out/kept.json"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The first input is written by then: its draft is there.
        let begun = Instant::now();
        while names(&place, "out").len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{said}");
        assert!(said.contains(" of 2 files converted"), "{said}");
        assert_eq!(names(&place, "out"), ["kept.json"]);
        assert_eq!(place.read("out/kept.json"), "former");
    }
}

#[test]
fn exports_are_for_their_owner_only() {
    let place = Place::new();
    let lists = crate::run::repository("examples/registries");
    place.run(&["import", &lists, &first()]).exits(0);
    let said = place
        .run(&["export", "--to", "ndjson", "-o", "out"])
        .exits(0)
        .out;
    assert!(
        said.contains("exported ") && said.contains(" resources in "),
        "{said}"
    );
    for name in names(&place, "out") {
        assert_eq!(mode(&place.path("out").join(name)), 0o600);
    }
    let quiet = place
        .run(&["export", "-q", "--to", "exchange", "-o", "out"])
        .exits(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
}

#[test]
fn two_outputs_never_share_a_file() {
    let place = Place::new();
    for other in ["--outcome", "--report"] {
        let arguments = ["convert", &first(), "-o", "a.json", other, "a.json"];
        place.run(&arguments).exits(2).says("a.json");
        assert!(!place.path("a.json").exists());
    }
}
