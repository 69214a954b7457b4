//! The generated parts of the specification in `docs/`: whatever the mapping files know is written
//! from them. `UPDATE=1 cargo test --test docs` rewrites the parts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Pages with generated parts. A part stands between `<!-- NAME of KIND -->` and `<!-- end -->`.
const PAGES: [&str; 2] = ["docs/protocol.md", "docs/mapping.md"];
const END: &str = "<!-- end -->";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A record kind and what all kinds share.
struct Kind {
    file: Value,
    shared: Value,
}

impl Kind {
    fn read(name: &str) -> Kind {
        Kind {
            file: json(&format!("mappings/{name}.json")),
            shared: json("mappings/protocol.json"),
        }
    }

    /// Fields in their order: name, definition, and whether they may be absent.
    fn fields(&self) -> Vec<(&String, &Value, bool)> {
        let parts = self.file["parts"].as_array().unwrap().iter().map(text);
        let parts = parts.map(|part| match part.strip_suffix('?') {
            Some(part) => (&self.shared["parts"][part], true),
            None => (&self.shared["parts"][part], false),
        });
        let own = [&self.shared["parts"]["time"], &self.file["fields"]];
        let all = own.map(|part| (part, false)).into_iter().chain(parts);
        let fields = all.flat_map(|(part, optional)| {
            let fields = part.as_object().unwrap().iter();
            fields.map(move |(name, field)| (name, field, optional || field["optional"] == true))
        });
        fields.collect()
    }

    /// The short name of a code system, or the system itself.
    fn system(&self, system: &str) -> String {
        let systems = self.shared["systems"].as_object().unwrap().iter();
        let mut known = systems.filter(|(_, own)| own["system"] == system);
        known.next().map_or_else(
            || system.replace("{base}", "B"),
            |(name, _)| name.to_owned(),
        )
    }

    /// `loinc 8480-6 Systolic blood pressure; …`
    fn codings(&self, concept: &Value) -> String {
        let codings = concept["coding"].as_array().into_iter().flatten();
        let texts = codings.map(|coding| {
            let system = self.system(text(&coding["system"]));
            let display = coding["display"].as_str();
            let display = display.map(|d| format!(" {d}")).unwrap_or_default();
            format!("{system} `{}`{display}", text(&coding["code"]))
        });
        texts.collect::<Vec<_>>().join("; ")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A row of a table; bars within its cells do not end them.
fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let mut out = row(&head) + &"|---".repeat(head.len()) + "|\n";
    rows.into_iter()
        .for_each(|cells| out.push_str(&row(&cells)));
    out
}

fn listed(codes: &Value) -> String {
    let codes = codes.as_array().into_iter().flatten();
    let codes: Vec<String> = codes
        .map(|code| format!("`{}`", text(code).replace('|', " ")))
        .collect();
    codes.join(", ")
}

/// Fields of the protocol.
fn fields(kind: &Kind) -> String {
    let rows = kind.fields().into_iter().map(|(name, field, optional)| {
        let mut names = format!("`{name}`");
        if let Some(former) = field["name 2016"].as_str() {
            let _ = write!(names, " (2016: `{former}`)");
        }
        let codes = field["codes"].as_object().into_iter().flatten();
        let codes: Vec<String> = codes
            .map(|(code, title)| format!("{code} {}", text(&title["ja"])))
            .collect();
        let plausible = field["plausible"].as_array();
        let plausible = plausible.map(|range| format!("{}–{}", range[0], range[1]));
        vec![
            names,
            text(&field["title"]["ja"]).to_owned(),
            text(&field["type"]).to_owned(),
            text(&field["unit"]).to_owned(),
            if optional { "▲" } else { "●" }.to_owned(),
            plausible.unwrap_or_default(),
            codes.join("; "),
        ]
    });
    let head = [
        "field",
        "項目",
        "type",
        "unit",
        "req.",
        "plausible",
        "codes",
    ];
    table(&head, rows)
}

/// Constants of the Observation, and where each field stands in it.
fn observation(kind: &Kind) -> String {
    let observation = &kind.file["observation"];
    let profiles = observation["meta"]["profile"].as_array().unwrap().iter();
    let profiles: Vec<String> = profiles.map(|p| format!("`{}`", text(p))).collect();
    let categories = observation["category"].as_array().unwrap().iter();
    let categories: Vec<String> = categories.map(|c| kind.codings(c)).collect();
    let mut out = table(
        &["element", "value"],
        [
            vec!["`meta.profile`".into(), profiles.join(", ")],
            vec!["`category`".into(), categories.join(" · ")],
            vec!["`code`".into(), kind.codings(&observation["code"])],
            vec![
                "`code.text`".into(),
                text(&observation["code"]["text"]).to_owned(),
            ],
        ],
    );
    let mut holes = Vec::new();
    find_holes(observation, "", None, &mut holes);
    let names: Vec<&String> = kind.fields().into_iter().map(|(name, ..)| name).collect();
    let rows = holes.into_iter().filter_map(|hole| {
        let name = names
            .iter()
            .find(|name| hole.text == format!("{{{name}}}"))?;
        Some(vec![
            format!("`{name}`"),
            format!("`{}`", hole.path),
            hole.component
                .map_or_else(String::new, |c| kind.codings(&c["code"])),
            hole.unit,
        ])
    });
    out.push('\n');
    out.push_str(&table(
        &["field", "element", "codes of the component", "unit"],
        rows,
    ));
    out
}

struct Hole<'a> {
    text: &'a str,
    path: String,
    component: Option<&'a Value>,
    unit: String,
}

fn find_holes<'a>(
    value: &'a Value,
    path: &str,
    component: Option<&'a Value>,
    out: &mut Vec<Hole<'a>>,
) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let separator = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{separator}{name}");
                if let Value::String(text) = member
                    && text.starts_with('{')
                {
                    let unit = match (members.get("unit"), members.get("code")) {
                        (Some(unit), Some(code)) if name == "value" => {
                            format!("{} / `{}`", self::text(unit), self::text(code))
                        }
                        _ => String::new(),
                    };
                    out.push(Hole {
                        text,
                        path,
                        component,
                        unit,
                    });
                } else {
                    find_holes(member, &path, component, out);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let component = (path == "component").then_some(item).or(component);
                find_holes(item, path, component, out);
            }
        }
        _ => {}
    }
}

/// Further codes and units that are read.
fn accepted(kind: &Kind) -> String {
    let accepts = kind.file["accepts"].as_object().unwrap();
    let mut rows = Vec::new();
    for (name, rule) in accepts {
        let by_code = rule["by code"].as_array().into_iter().flatten();
        for (quantity, rule) in [(None, rule)]
            .into_iter()
            .chain(by_code.map(|rule| (rule["quantity"].as_str().or(Some("")), rule)))
        {
            let mut codes = listed(&rule["codes"]);
            for (code, with) in rule["only with"].as_object().into_iter().flatten() {
                let code = code.replace('|', " ");
                let value = text(&with["value"]).replace('|', " ");
                let component = text(&with["component"]).replace('|', " ");
                let comma = if codes.is_empty() { "" } else { ", " };
                let _ = write!(
                    codes,
                    "{comma}`{code}` only beside `{component}` = `{value}`"
                );
            }
            let units = rule["units"].as_object().into_iter().flatten();
            let units: Vec<String> = units.map(|(unit, rule)| unit_text(unit, rule)).collect();
            let refused = listed(&rule["refuse"]);
            if codes.is_empty() && units.is_empty() && refused.is_empty() {
                continue;
            }
            let quantity = quantity.filter(|q| !q.is_empty());
            let quantity = quantity.map(|q| format!(" ({q})")).unwrap_or_default();
            rows.push(vec![
                format!("`{name}`{quantity}"),
                codes,
                units.join("; "),
                refused,
            ]);
        }
    }
    table(
        &[
            "element",
            "further codes",
            "units (texts), factor",
            "refused",
        ],
        rows,
    )
}

fn unit_text(unit: &str, rule: &Value) -> String {
    let mut out = match unit {
        "" => "none".to_owned(),
        unit => format!("`{unit}`"),
    };
    let texts = rule["text"].as_array().into_iter().flatten();
    let texts: Vec<&str> = texts.map(text).collect();
    if !texts.is_empty() {
        let _ = write!(out, " ({})", texts.join(", "));
    }
    for (key, sign) in [("times", "×"), ("divide", "÷"), ("plus", "+ ")] {
        if let Some(number) = rule[key].as_str() {
            let _ = write!(out, " {sign}{number}");
        }
    }
    if let Some(notice) = rule["warn"].as_str() {
        let _ = write!(out, " `{notice}`");
    }
    out
}

/// A record and its Observation.
fn example(kind: &Kind) -> String {
    let name = text(&kind.file["kind"]);
    let mut out = String::new();
    for file in ["record", "resource"] {
        let value = read(&format!("tests/golden/{name}/{file}.json"));
        let _ = write!(out, "```json\n{}\n```\n", value.trim_end());
    }
    out
}

/// Code systems that the mapping files call by a short name.
fn systems(kind: &Kind) -> String {
    let systems = kind.shared["systems"].as_object().unwrap().iter();
    let rows = systems.map(|(name, system)| {
        vec![
            name.clone(),
            format!("`{}`", text(&system["system"]).replace("{base}", "B")),
            listed(&system["aliases"]),
        ]
    });
    table(&["short name", "written", "read as well"], rows)
}

type Part = fn(&Kind) -> String;

/// The page with its parts as they are to be.
fn written(page: &str, used: &mut BTreeMap<String, usize>) -> String {
    let parts: BTreeMap<&str, Part> = BTreeMap::from([
        ("fields", fields as Part),
        ("observation", observation),
        ("accepted", accepted),
        ("example", example),
        ("systems", systems),
    ]);
    let mut out = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        let named = line
            .strip_prefix("<!-- ")
            .and_then(|l| l.strip_suffix(" -->"));
        let Some((part, kind)) = named.and_then(|named| named.split_once(" of ")) else {
            continue;
        };
        let Some(make) = parts.get(part) else {
            continue;
        };
        *used.entry(format!("{part} of {kind}")).or_default() += 1;
        out.push_str(&make(&Kind::read(kind)));
        assert!(lines.by_ref().any(|line| line == END), "{line}: no {END}");
        let _ = writeln!(out, "{END}");
    }
    out
}

#[test]
fn what_the_mappings_know_is_written_from_them() {
    let mut used = BTreeMap::new();
    for page in PAGES {
        let now = read(page);
        let new = written(&now, &mut used);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(repository(page), &new).unwrap();
        } else {
            assert_eq!(now, new, "{page}: run UPDATE=1 cargo test --test docs");
        }
    }
    for file in std::fs::read_dir(repository("mappings")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let Some(kind) = name.strip_suffix(".json") else {
            continue;
        };
        if ["protocol", "mapping.schema"].contains(&kind) {
            continue;
        }
        for part in ["fields", "observation", "accepted", "example"] {
            let part = format!("{part} of {kind}");
            assert_eq!(used.get(&part), Some(&1), "{part}");
        }
    }
}

/// Places that comments of the code and other pages refer to, as `docs/mapping.md §5.2`.
fn cited(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (at, _) in text.match_indices(".md §") {
        let start = text[..at].rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let page = &text[start.map_or(0, |start| start + 1)..at];
        let place = &text[at + ".md §".len()..];
        let end = place.find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let place = &place[..end.unwrap_or(place.len())];
        if page.is_empty() {
            continue;
        }
        out.push((page.to_owned(), place.trim_end_matches('.').to_owned()));
    }
    out
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The clients of the end-to-end checks are installed beside them.
        if path.is_dir() && !path.ends_with("e2e") {
            files(&path, out);
        } else if path
            .extension()
            .is_some_and(|e| ["rs", "md", "json"].iter().any(|x| e == *x))
        {
            out.push(path);
        }
    }
}

#[test]
fn every_section_that_is_cited_is_there() {
    let mut all = Vec::new();
    for folder in ["src", "tests", "mappings", "docs"] {
        files(&repository(folder), &mut all);
    }
    all.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(repository));
    let mut number = 0;
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        for (page, place) in cited(&text) {
            number += 1;
            let pages = ["protocol", "mapping", "api", "access", "design"];
            let is_page = pages.contains(&page.as_str());
            assert!(is_page, "{}: {page}.md §{place}", path.display());
            let anchor = format!("<a id=\"s{place}\"></a>");
            let there = read(&format!("docs/{page}.md")).contains(&anchor);
            assert!(there, "{}: docs/{page}.md has no §{place}", path.display());
        }
    }
    assert!(number > 10, "{number} citations");
}
