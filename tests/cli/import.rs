//! `import` of whatever lies in a folder: every file has an outcome, and the summary adds up.

#![cfg(unix)]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::run::{Place, first, repository};

fn submission() -> String {
    std::fs::read_to_string(first()).unwrap()
}

fn list(name: &str) -> String {
    std::fs::read_to_string(repository(&format!("examples/registries/{name}.json"))).unwrap()
}

fn zip(place: &Place, name: &str, entries: &[(&str, &str)]) {
    place.write(name, "");
    let mut zip = ZipWriter::new(File::create(place.path(name)).unwrap());
    for (name, text) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

/// The number before or after a word in a summary.
fn number(out: &str, line: &str, word: &str) -> u64 {
    let line = out
        .lines()
        .find(|l| l.starts_with(line))
        .unwrap_or_else(|| panic!("{line}: {out}"));
    let after = line.split(&format!("{word}: ")).nth(1);
    let text = match after {
        Some(text) => text.split([',', ' ']).next(),
        None => line
            .split(&format!(" {word}"))
            .next()
            .and_then(|l| l.rsplit(' ').next()),
    };
    text.and_then(|t| t.parse().ok())
        .unwrap_or_else(|| panic!("{word}: {line}"))
}

/// Asserts that the outcomes of records add up to those received.
#[track_caller]
fn adds_up(out: &str, received: u64) {
    assert_eq!(number(out, "read:", "records"), received, "{out}");
    let words = [
        "created",
        "updated",
        "unchanged",
        "stale",
        "conflict",
        "refused",
    ];
    let sum: u64 = words.iter().map(|word| number(out, "created:", word)).sum();
    assert_eq!(sum, received, "{out}");
}

#[test]
fn one_unreadable_file_ends_nothing_and_is_told() {
    let place = Place::new();
    for name in ["consortia", "laboratories", "devices"] {
        place.write(&format!("in/{name}.json"), list(name));
    }
    // Lists by other names, in an archive, and in two files.
    let people: Vec<serde_json::Value> = serde_json::from_str(&list("participants")).unwrap();
    place.write("in/名簿.json", serde_json::to_string(&people[..1]).unwrap());
    zip(
        &place,
        "in/lists.zip",
        &[
            ("methods/2016.json", &list("hba1c-methods")),
            ("more.json", &serde_json::to_string(&people[1..]).unwrap()),
            ("__MACOSX/._more.json", "x"),
            (".DS_Store", "x"),
        ],
    );
    place.write("in/a.json", submission());
    for junk in [
        "in/.DS_Store",
        "in/Thumbs.db",
        "in/desktop.ini",
        "in/__MACOSX/x.json",
        "in/._a.json",
        "in/~$a.xlsx",
    ] {
        place.write(junk, "junk");
    }
    let whole = std::fs::read(place.path("in/lists.zip")).unwrap();
    place.write("in/broken.zip", &whole[..whole.len() - 30]);
    place.write("in/broken.json.gz", b"\x1f\x8b\x08\x00nothing");
    place.write("in/notes.txt", "notes");
    place.write("in/unknown.csv", "a,b\n1,2\n");
    symlink("nowhere", place.path("in/dangling.json")).unwrap();
    symlink(".", place.path("in/loop")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(place.path("in/fifo.json"))
            .status()
            .unwrap()
            .success()
    );
    let ended = place.run(&["import", "in"]).exits(1);
    for (name, why) in [
        ("in/broken.zip", "zip"),
        ("in/broken.json.gz", "gzip"),
        ("in/dangling.json", "a link to a file that is not there"),
        ("in/fifo.json", "not a regular file"),
        ("in/unknown.csv", "neither a submission nor a list"),
        ("in/notes.txt", "passed over"),
    ] {
        let line = ended.err.lines().find(|line| line.starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{name}: {}",
            ended.err
        );
    }
    for quiet in [
        ".DS_Store",
        "__MACOSX",
        "Thumbs.db",
        "desktop.ini",
        "._a",
        "~$a",
    ] {
        assert!(!ended.err.contains(quiet), "{quiet}: {}", ended.err);
    }
    let out = &ended.out;
    assert!(
        out.contains("participants: created: 2, updated: 0, unchanged: 0, refused: 0"),
        "{out}"
    );
    assert!(out.contains("hba1c-methods: created: 4"), "{out}");
    assert_eq!(number(out, "files:", "unreadable"), 4, "{out}");
    // Six of systems, notes.txt, the FIFO, and the two in the archive.
    assert_eq!(number(out, "files:", "passed over"), 10, "{out}");
    adds_up(out, 11);
    assert_eq!(number(out, "created:", "created"), 11, "{out}");
    // Again: nothing new, nothing refused but the unreadable.
    let again = place.run(&["import", "in"]).exits(1).out;
    assert!(
        again.contains("participants: created: 0, updated: 0, unchanged: 2"),
        "{again}"
    );
    adds_up(&again, 11);
}

#[test]
fn a_refused_submission_counts_each_of_its_records() {
    let place = Place::new();
    let lists = repository("examples/registries");
    place.run(&["import", &lists]).exits(0);
    let unknown = submission().replace("A00001", "Z99999");
    place.write("unknown.json", unknown);
    let faulty = submission().replace("\"body_weight\":65.50", "\"body_weight\":65.505");
    place.write("faulty.json", faulty);
    for file in ["unknown.json", "faulty.json"] {
        let out = place.run(&["import", file]).exits(1).out;
        adds_up(&out, 11);
        assert_eq!(number(&out, "created:", "refused"), 11, "{out}");
    }
    let out = place
        .run(&["import", "--lenient", "faulty.json"])
        .exits(1)
        .out;
    adds_up(&out, 11);
    assert_eq!(number(&out, "created:", "refused"), 1, "{out}");
}

#[test]
fn lists_that_only_share_columns_are_told_and_named_ones_are_not() {
    let place = Place::new();
    let both = "model_manufacturer_code,model_number\r\nACME,1\r\n";
    place.write("in/x.csv", both);
    place.run(&["import", "in"]).exits(1).says("devices.csv");
    place.write("devices.csv", both);
    let ended = place.run(&["import", "devices.csv"]).exits(1);
    assert!(
        ended.err.contains("/0/device_name: required-missing"),
        "{}",
        ended.err
    );
    assert!(
        ended
            .out
            .contains("devices: created: 0, updated: 0, unchanged: 0, refused: 1"),
        "{}",
        ended.out
    );
}

#[test]
fn validate_takes_folders_archives_and_lists() {
    let place = Place::new();
    place.write("in/sub/a.json", submission());
    zip(
        &place,
        "in/b.zip",
        &[
            ("x/b.json", &submission()),
            ("consortia.json", &list("consortia")),
        ],
    );
    let said = place.run(&["validate", "in"]).exits(0).out;
    assert!(said.contains("checked 3 files"), "{said}");
    let faulty = submission().replace("\"body_weight\":65.50", "\"body_weight\":65.505");
    zip(&place, "in/c.zip", &[("c.json", &faulty)]);
    place.write(
        "in/people.csv",
        "consortium_id,person_id,sex_code\r\nA00001,P1,7\r\n",
    );
    let said = place.run(&["validate", "in"]).exits(1).err;
    assert!(said.contains("in/c.zip!c.json:"), "{said}");
    assert!(said.contains("in/people.csv:2:"), "{said}");
}
