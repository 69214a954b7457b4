//! A resource that is read can be written back, and is found by its own elements: reading, searching and
//! writing agree.
//!
//! `KENKO_AGREEMENTS=100000 cargo test --release --test fhir agree` makes the long run.

mod shown;
mod written;

use std::collections::BTreeMap;

use kenko_fhir::fhir::check;
use serde_json::Value;

use crate::model_rows::Parameter;
use crate::model_rows::paths::{codings, displays, evaluate, texts};
use crate::model_rows::random::Dice;
use crate::server::Server;

/// Observations in one database.
const OF_ONE: usize = 2000;

/// Values that a resource shows, as searches that must find it: name and value.
fn shown(parameter: &Parameter, resource: &Value) -> Vec<(String, String)> {
    let name = &parameter.name;
    let mut out = Vec::new();
    let mut ask = |modifier: &str, value: String| out.push((format!("{name}{modifier}"), value));
    if parameter.ty == "composite" {
        for (code, value) in pairs(&parameter.reads, resource) {
            ask(":missing", "false".into());
            for code in codings(parameter, code).into_iter().flat_map(tokens) {
                let values = match value.get("value") {
                    Some(_) => quantities(value),
                    None => codings(parameter, value)
                        .into_iter()
                        .flat_map(tokens)
                        .collect(),
                };
                for value in values {
                    ask("", format!("{code}${value}"));
                }
            }
        }
        return out;
    }
    let mut found = evaluate(&parameter.reads, resource);
    if parameter.reads.contains("resolve() is Patient") {
        found.retain(|v| {
            v["reference"]
                .as_str()
                .is_some_and(|r| r.starts_with("Patient/"))
        });
    }
    let takes = |modifier: &str| parameter.modifiers.iter().any(|m| m == modifier);
    if takes("missing") {
        ask(":missing", found.is_empty().to_string());
    }
    for value in found {
        match parameter.ty.as_str() {
            "token" => {
                let found = codings(parameter, value).into_iter();
                for token in found.flat_map(tokens) {
                    // A `code` has the system of its value set, or one that is not told.
                    if !(value.is_string() && token.starts_with('|')) {
                        ask("", token);
                    }
                }
                if takes("text") {
                    for text in displays(value) {
                        ask(":text", escaped(&text));
                        ask(":text", escaped(&text.chars().take(3).collect::<String>()));
                    }
                }
            }
            "reference" => {
                if let Some(reference) = value["reference"].as_str().filter(|r| !r.starts_with('#'))
                {
                    ask("", escaped(reference));
                    let unversioned = reference.split("/_history/").next().unwrap();
                    if let Some((ty, id)) = unversioned
                        .split_once('/')
                        .filter(|_| !unversioned.contains(':'))
                    {
                        ask("", unversioned.to_owned());
                        ask("", id.to_owned());
                        if takes(ty) {
                            ask(&format!(":{ty}"), id.to_owned());
                        }
                    }
                }
                if value["identifier"].is_object() && takes("identifier") {
                    for token in codings(parameter, &value["identifier"])
                        .into_iter()
                        .flat_map(tokens)
                    {
                        ask(":identifier", token);
                    }
                }
            }
            "date" => match value {
                Value::String(at) => {
                    for prefix in ["", "ge", "le", "eq"] {
                        ask("", format!("{prefix}{at}"));
                    }
                }
                period => {
                    for (end, prefix) in [("start", "ge"), ("end", "le")] {
                        if let Some(at) = period[end].as_str() {
                            ask("", format!("{prefix}{at}"));
                        }
                    }
                }
            },
            "quantity" => quantities(value)
                .into_iter()
                .for_each(|value| ask("", value)),
            "uri" => {
                let uri = value.as_str().unwrap();
                ask("", escaped(uri));
                ask(":below", escaped(uri));
                if let Some((above, _)) = uri.rsplit_once('/').filter(|_| takes("below")) {
                    ask(":below", above.to_owned());
                }
            }
            "string" => {
                for text in texts(value) {
                    for modifier in ["", ":exact", ":contains"] {
                        ask(modifier, escaped(&text));
                    }
                }
            }
            other => panic!("{other}"),
        }
    }
    out
}

/// The values of a composite parameter that meet in one place.
fn pairs<'a>(reads: &str, resource: &'a Value) -> Vec<(&'a Value, &'a Value)> {
    let mut out = Vec::new();
    for part in reads.split(" | ") {
        let Some((code, value)) = part.split_once(" $ ") else {
            for place in evaluate(part, resource) {
                let values = evaluate("Group.value as CodeableConcept", place).into_iter();
                out.extend(values.map(|value| (&place["code"], value)));
            }
            continue;
        };
        let below = |place: &'a Value, path: &str| {
            let path = path.replace("Observation.component.", "Observation.");
            evaluate(&path, place)
        };
        let places: Vec<&Value> = match code.starts_with("Observation.component.") {
            true => evaluate("Observation.component", resource),
            false => vec![resource],
        };
        for place in places {
            for code in below(place, code) {
                out.extend(below(place, value).into_iter().map(|value| (code, value)));
            }
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '\\' | ',' | '$' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The tokens that a coding is found by.
fn tokens((system, code): (String, String)) -> Vec<String> {
    if code.is_empty() {
        return Vec::new();
    }
    let (system, code) = (escaped(&system), escaped(&code));
    let mut out = vec![code.clone(), format!("{system}|{code}")];
    if !system.is_empty() {
        out.push(format!("{system}|"));
    }
    out
}

/// The values that a Quantity is found by; none for a bound.
fn quantities(value: &Value) -> Vec<String> {
    if value.get("comparator").is_some() {
        return Vec::new();
    }
    let number = value["value"].to_string();
    let text = |name: &str| escaped(value[name].as_str().unwrap_or_default());
    let mut out = vec![number.clone()];
    for unit in ["code", "unit"] {
        if !text(unit).is_empty() {
            out.push(format!("{number}||{}", text(unit)));
        }
    }
    if !text("system").is_empty() {
        out.push(format!("{number}|{}|{}", text("system"), text("code")));
    }
    out
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The parameters of each type, as the CapabilityStatement tells them.
async fn parameters(server: &Server) -> BTreeMap<String, Vec<Parameter>> {
    let statement = server.found("/metadata").await;
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let each = resources.iter().map(|resource| {
        let listed = resource["searchParam"].as_array().unwrap().iter();
        (
            resource["type"].as_str().unwrap().to_owned(),
            listed.map(Parameter::new).collect(),
        )
    });
    each.collect()
}

/// A search by what a resource shows finds it.
async fn is_found(
    server: &Server,
    resource: &Value,
    (name, value): &(String, String),
) -> Result<(), String> {
    let (ty, id) = (
        resource["resourceType"].as_str().unwrap(),
        resource["id"].as_str().unwrap(),
    );
    let path = format!("/{ty}?_id={id}&{name}={}", encoded(value));
    let strict = [("prefer", "handling=strict")];
    let answer = server.send("GET", &path, &strict, "").await;
    let is = answer.status == 200 && answer.text.contains("\"mode\":\"match\"");
    is.then_some(()).ok_or_else(|| {
        format!(
            "not found by {name}={value}: {} {}",
            answer.status,
            &answer.text[..answer.text.len().min(400)]
        )
    })
}

/// Writes an Observation and reads it, writes it back and searches for it; `None` where it is
/// refused.
async fn agrees(
    server: &Server,
    of: &[Parameter],
    sent: &Value,
    dice: &mut Dice,
) -> Result<Option<()>, String> {
    let answer = server.write("POST", "/Observation", &[], sent).await;
    if answer.status != 201 {
        let refused = answer.status.is_client_error() && answer.status != 409;
        return refused
            .then_some(None)
            .ok_or_else(|| format!("{}: {}", answer.status, answer.text));
    }
    let path = format!("/Observation/{}", answer.json()["id"].as_str().unwrap());
    let read = server.get(&path).await;
    let shown_of = read.json();
    check::check(&shown_of).map_err(|e| format!("{e:?}: {}", read.text))?;
    written_back(server, &path).await?;
    let all: Vec<_> = of.iter().flat_map(|p| shown(p, &shown_of)).collect();
    for _ in 0..8 {
        let asked = dice.of(&all).unwrap();
        is_found(server, &shown_of, asked)
            .await
            .map_err(|e| format!("{e}\n{}", read.text))?;
    }
    Ok(Some(()))
}

/// Writes a resource back as it is read: it stays what it is.
pub(crate) async fn written_back(server: &Server, path: &str) -> Result<(), String> {
    let read = server.get(path).await;
    if read.status != 200 {
        return Ok(());
    }
    let headers = [
        ("content-type", "application/fhir+json"),
        ("if-match", read.header("etag")),
    ];
    let answer = server.send("PUT", path, &headers, &read.text).await;
    // Somebody else was there before.
    let is_late = answer.status == 412;
    let is_same = answer.status == 200 && answer.text == read.text;
    (is_same || is_late).then_some(()).ok_or_else(|| {
        format!(
            "written back: {} {}\n{}",
            answer.status, answer.text, read.text
        )
    })
}

#[test]
fn what_is_written_is_read_found_and_written_back() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cases = std::env::var("KENKO_AGREEMENTS").map_or(150, |n| n.parse().unwrap());
    let mut wrong = Vec::new();
    let mut refused: BTreeMap<bool, usize> = BTreeMap::new();
    runtime.block_on(async {
        let mut world = None;
        for case in 0..cases {
            if case % OF_ONE == 0 {
                let server = Server::with_example().await.since_new_year().await;
                let mut all = parameters(&server).await;
                world = Some((server, all.remove("Observation").unwrap()));
            }
            let (server, of) = world.as_ref().unwrap();
            let mut dice = Dice(case as u64);
            let sent = written::observation(case % OF_ONE, &mut dice);
            match agrees(server, of, &sent, &mut dice).await {
                Ok(done) => *refused.entry(done.is_none()).or_default() += 1,
                Err(error) => wrong.push(format!("case {case}: {error}\nsent {sent}\n")),
            }
            assert!(wrong.len() < 20, "{}", wrong.join("\n"));
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let of = |is| refused.get(&is).copied().unwrap_or_default();
    assert!(of(false) > 2 * of(true), "{refused:?}");
}

#[tokio::test]
async fn resources_of_every_type_are_found_by_what_they_show() {
    let world = crate::model_rows::World::new().await;
    let server = &world.server;
    let mut wrong = Vec::new();
    for (ty, of) in parameters(server).await {
        let mut seen = BTreeMap::new();
        for resource in server.matches(&format!("/{ty}?_count=100")).await {
            for parameter in &of {
                for asked in shown(parameter, &resource) {
                    // Each sort of value of a parameter some times.
                    let times: &mut usize = seen.entry(asked.0.clone()).or_default();
                    *times += 1;
                    if *times < 40 {
                        wrong.extend(is_found(server, &resource, &asked).await.err());
                    }
                }
            }
        }
        assert!(!seen.is_empty(), "{ty}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
