//! The rules that a FHIR server is judged by, each with the tests that show it.
//!
//! A test says in its name which rules it shows: `c1_07_…`, wherever it stands. The rules are
//! listed in [`catalogue`]; `docs/rules.md` is written from both. A rule without a test, a test
//! of a rule that is not listed, and a page that is out of date fail.

mod catalogue;
mod conditional;
mod defects;
mod history;
mod media;
mod ordered;
mod parameters;
mod profiles;
mod read;
mod search;
mod security;
mod transaction;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use catalogue::{PARTS, Part, Rule};

const PAGE: &str = "docs/rules.md";
const UPDATE: &str = "UPDATE=1 cargo test --test fhir rules";

/// A test, and the file it stands in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    name: String,
    file: String,
}

/// The tests of each rule (`c1`, 7), of all files with tests.
fn tests() -> BTreeMap<(String, u32), BTreeSet<Shown>> {
    let mut found: BTreeMap<_, BTreeSet<Shown>> = BTreeMap::new();
    for folder in ["src", "tests"] {
        each_source(Path::new(folder), &mut |file, text| {
            for name in test_names(text) {
                for rule in rules_of(name) {
                    let (name, file) = (name.to_owned(), file.to_owned());
                    found.entry(rule).or_default().insert(Shown { name, file });
                }
            }
        });
    }
    found
}

fn each_source(folder: &Path, tell: &mut impl FnMut(&str, &str)) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        // The clients of the end-to-end checks are installed beside them.
        if path.is_dir() && !path.ends_with("e2e") {
            each_source(&path, tell);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.to_str().unwrap().replace('\\', "/");
            tell(&name, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The functions that `cargo test` runs.
fn test_names(text: &str) -> Vec<&str> {
    let (mut is_test, mut is_ignored) = (false, false);
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_ignored |= line.starts_with("#[ignore");
            continue;
        }
        let name = line
            .split_once("fn ")
            .and_then(|(_, rest)| rest.split_once('('));
        if let (true, false, Some((name, _))) = (is_test, is_ignored, name) {
            names.push(name);
        }
        (is_test, is_ignored) = (false, false);
    }
    names
}

/// The rules that a test names: `c1_15_c1_17_only_json_is_given` shows two.
fn rules_of(name: &str) -> Vec<(String, u32)> {
    let words: Vec<&str> = name.split('_').collect();
    words
        .windows(2)
        .filter(|pair| PARTS.iter().any(|part| part.id == pair[0]))
        .filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?)))
        .collect()
}

fn page(tests: &BTreeMap<(String, u32), BTreeSet<Shown>>) -> String {
    let mut out = format!(
        "<!-- Written by `{UPDATE}` from tests/fhir/rules/. -->\n\n{}",
        catalogue::INTRODUCTION
    );
    for part in PARTS {
        write!(out, "\n## {}\n\n{}\n\n", part.title, part.about).unwrap();
        out += "| # | rule | source | result | shown by |\n|---|---|---|---|---|\n";
        for (n, rule) in numbered(part) {
            let none = BTreeSet::new();
            let shown = tests.get(&(part.id.to_owned(), n)).unwrap_or(&none);
            writeln!(out, "| {n} | {} |", row(rule, shown)).unwrap();
        }
    }
    out
}

fn numbered(part: &'static Part) -> impl Iterator<Item = (u32, &'static Rule)> {
    (1..).zip(part.rules)
}

fn row(rule: &Rule, shown: &BTreeSet<Shown>) -> String {
    let source = match rule.source.split_once('#') {
        Some((page, _)) if page.ends_with(".html") => {
            format!("[{}](https://hl7.org/fhir/R4/{0})", rule.source)
        }
        _ => rule.source.to_owned(),
    };
    let result = match rule.not_met {
        None => "held".to_owned(),
        Some(why) => format!("not met: {why}"),
    };
    let shown: Vec<String> = shown
        .iter()
        .map(|s| format!("[`{}`](../{})", s.name, s.file))
        .collect();
    // A cell ends at a bar.
    let text = rule.text.replace('|', "\\|");
    format!("{text} | {source} | {result} | {}", shown.join("<br>"))
}

#[test]
fn every_rule_is_shown_by_a_test_or_says_why_not() {
    let tests = tests();
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for part in PARTS {
        for (n, rule) in numbered(part) {
            let id = (part.id.to_owned(), n);
            if tests.contains_key(&id) == rule.not_met.is_some() {
                wrong.push(format!("{}_{n:02}: {}", part.id, rule.text));
            }
            listed.insert(id);
        }
    }
    assert!(
        wrong.is_empty(),
        "either a test or a reason, not both and not neither:\n{}",
        wrong.join("\n")
    );
    let unknown: Vec<_> = tests
        .iter()
        .filter(|(id, _)| !listed.contains(id))
        .collect();
    assert!(unknown.is_empty(), "tests of no rule: {unknown:?}");
}

#[test]
fn the_page_of_rules_is_up_to_date() {
    let page = page(&tests());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all("docs").unwrap();
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "{PAGE} is out of date: {UPDATE}");
}

#[test]
fn tests_are_found_as_cargo_finds_them() {
    let text = "#[test]\nfn c1_07_a() {}\n#[tokio::test]\n#[ignore]\nasync fn c1_08_b() {}\n\
                fn c1_09_c() {}\n  #[tokio::test(flavor = \"x\")]\n  async fn c1_10_c3_2_d() {}\n";
    assert_eq!(test_names(text), ["c1_07_a", "c1_10_c3_2_d"]);
    let rules = |name| rules_of(name);
    assert_eq!(rules("c1_07_a"), [("c1".to_owned(), 7)]);
    let two = [("c1".to_owned(), 10), ("c3".to_owned(), 2)];
    assert_eq!(rules("c1_10_c3_2_d"), two);
    assert!(rules("a_slash_at_the_end_c1").is_empty());
}
