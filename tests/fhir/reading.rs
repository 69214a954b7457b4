//! The plain reading of R4's search pages: whether a resource, as it is answered, matches a
//! parameter, as it is written. Slow and simple, to compare with.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use kenko_fhir::fold::fold;
use serde_json::Value;

use crate::server::BASE;

const JST: i64 = 9 * 3600;

/// All resources, by type.
pub type World = BTreeMap<&'static str, Vec<Value>>;

/// Systems that stand for others.
const ALIASES: [(&str, &str); 2] = [
    ("urn:oid:2.16.840.1.113883.6.1", "http://loinc.org"),
    (
        "urn:oid:1.2.392.200119.4.804",
        "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode",
    ),
];

/// Value sets and the system of which they have all codes.
pub const VALUE_SETS: [(&str, &str); 3] = [
    (
        "http://hl7.org/fhir/ValueSet/observation-category",
        "http://terminology.hl7.org/CodeSystem/observation-category",
    ),
    ("http://loinc.org/vs", "http://loinc.org"),
    (
        "https://kenko-fhir.example/fhir/ValueSet/record-kind",
        "https://kenko-fhir.example/fhir/CodeSystem/record-kind",
    ),
];

/// What one UCUM unit is of another: (code, base, numerator, denominator).
const UNITS: [(&str, &str, i128, i128); 11] = [
    ("kg", "g", 1000, 1),
    ("g", "g", 1, 1),
    ("[lb_av]", "g", 45_359_237, 100_000),
    ("mm[Hg]", "Pa", 133_322, 1000),
    ("kPa", "Pa", 1000, 1),
    ("min", "s", 60, 1),
    ("h", "s", 3600, 1),
    ("/min", "/s", 1, 60),
    ("/d", "/s", 1, 86_400),
    ("kcal", "J", 4184, 1),
    ("kJ", "J", 1000, 1),
];

/// Whether a resource matches a parameter.
pub fn holds(world: &World, of: &Value, name: &str, value: &str) -> bool {
    if let Some(rest) = name.strip_prefix("_has:") {
        let parts: Vec<&str> = rest.splitn(3, ':').collect();
        let [ty, reference, inner] = parts[..] else {
            panic!("{name}");
        };
        let own = format!("{}/{}", text(&of["resourceType"]), text(&of["id"]));
        return world[ty].iter().any(|other| {
            references(other, reference).contains(&own) && holds(world, other, inner, value)
        });
    }
    if let Some((own, chain)) = name.split_once('.') {
        let (base, ty) = own.split_once(':').unwrap_or((own, ""));
        return references(of, base).iter().any(|reference| {
            let target = target(world, reference);
            reference.starts_with(ty) && target.is_some_and(|t| holds(world, t, chain, value))
        });
    }
    let (base, modifier) = name.split_once(':').unwrap_or((name, ""));
    let values = value.split(',');
    if modifier == "missing" {
        let missing = is_missing(of, base);
        return values.map(|v| v == "true").any(|asked| asked == missing);
    }
    match base {
        "date" => values
            .map(prefix)
            .any(|(p, d)| compares(p, interval(d), interval(text(&of["effectiveDateTime"])))),
        "_lastUpdated" => {
            let at = interval(text(&of["meta"]["lastUpdated"])).0;
            values
                .map(prefix)
                .any(|(p, d)| compares(p, interval(d), (at, at + 1)))
        }
        "_profile" => {
            let profiles = of["meta"]["profile"].as_array();
            values.into_iter().any(|v| {
                profiles
                    .into_iter()
                    .flatten()
                    .any(|own| text(own) == v || modifier == "below" && text(own).starts_with(v))
            })
        }
        "patient" | "subject" | "device" | "performer" | "organization" => {
            let own = references(of, base);
            values
                .into_iter()
                .any(|v| own.iter().any(|own| refers(world, own, modifier, v)))
        }
        "value-quantity" | "component-value-quantity" | "combo-value-quantity" => values
            .into_iter()
            .any(|v| places(of, base).iter().any(|p| has_quantity(p, v))),
        "code-value-quantity" | "component-code-value-quantity" | "combo-code-value-quantity" => {
            values.into_iter().any(|v| {
                let (code, quantity) = v.split_once('$').unwrap();
                places(of, base).iter().any(|place| {
                    has_token(&codings(&place["code"]), code) && has_quantity(place, quantity)
                })
            })
        }
        _ => token(of, base, modifier, value),
    }
}

fn token(of: &Value, base: &str, modifier: &str, value: &str) -> bool {
    let mut values = value.split(',');
    let pairs = pairs(of, base);
    match modifier {
        "" | "below" | "above" => values.any(|v| has_token(&pairs, v)),
        "not" => !values.any(|v| has_token(&pairs, v)),
        "in" | "not-in" => {
            let within = values.any(|v| {
                let system = VALUE_SETS.iter().find(|(url, _)| *url == v).unwrap().1;
                pairs.iter().any(|(s, _)| s == system)
            });
            within == (modifier == "in")
        }
        "text" => {
            let concepts = concepts(of, base);
            values.any(|v| {
                let begins = |text: &str| !text.is_empty() && fold(text).starts_with(&fold(v));
                concepts.iter().any(|concept| {
                    begins(text(&concept["text"]))
                        || items(&concept["coding"]).any(|c| begins(text(&c["display"])))
                })
            })
        }
        other => panic!("{other}"),
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The codings of a concept.
pub fn codings(concept: &Value) -> Vec<(String, String)> {
    let codings = items(&concept["coding"]);
    codings
        .map(|c| (text(&c["system"]).to_owned(), text(&c["code"]).to_owned()))
        .collect()
}

/// The concepts that a parameter reads.
pub fn concepts<'a>(of: &'a Value, base: &str) -> Vec<&'a Value> {
    let own = |name: &str| {
        of.get(name)
            .into_iter()
            .flat_map(|v| match v.as_array() {
                Some(items) => items.iter().collect(),
                None => vec![v],
            })
            .collect::<Vec<_>>()
    };
    let components = || items(&of["component"]).map(|c| &c["code"]);
    match base {
        "code" | "category" | "method" => own(base),
        "component-code" => components().collect(),
        "combo-code" => own("code").into_iter().chain(components()).collect(),
        _ => Vec::new(),
    }
}

/// Systems and codes that a token parameter reads.
fn pairs(of: &Value, base: &str) -> Vec<(String, String)> {
    let plain = |system: &str, code: &Value| vec![(system.to_owned(), text(code).to_owned())];
    match base {
        "_id" => plain("", &of["id"]),
        "status" => plain("http://hl7.org/fhir/observation-status", &of["status"]),
        "identifier" => items(&of["identifier"])
            .map(|i| (text(&i["system"]).to_owned(), text(&i["value"]).to_owned()))
            .collect(),
        _ => concepts(of, base).into_iter().flat_map(codings).collect(),
    }
}

pub fn has_token(pairs: &[(String, String)], token: &str) -> bool {
    let canonical = |system: &str| {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == system);
        alias.map_or(system, |(_, system)| *system).to_owned()
    };
    pairs
        .iter()
        .any(|(system, code)| match token.split_once('|') {
            None => code == token,
            Some((s, "")) => *system == canonical(s),
            Some((s, c)) => *system == canonical(s) && code == c,
        })
}

fn is_missing(of: &Value, base: &str) -> bool {
    match base {
        "_id" | "_lastUpdated" | "_profile" => false,
        "date" => of.get("effectiveDateTime").is_none(),
        "patient" | "subject" | "device" | "performer" => references(of, base).is_empty(),
        "value-quantity" | "component-value-quantity" | "combo-value-quantity" => places(of, base)
            .iter()
            .all(|place| place.get("valueQuantity").is_none()),
        "code-value-quantity" | "component-code-value-quantity" | "combo-code-value-quantity" => {
            is_missing(of, &base.replace("code-value", "value"))
        }
        "specimen" => of.get("specimen").is_none(),
        "encounter" => of.get("encounter").is_none(),
        "_tag" => of["meta"].get("tag").is_none(),
        "data-absent-reason" => true,
        _ => pairs(of, base).is_empty(),
    }
}

/// The references that a parameter reads, `Type/id` each.
fn references(of: &Value, base: &str) -> Vec<String> {
    let element = match base {
        "patient" => "subject",
        "organization" => "managingOrganization",
        other => other,
    };
    let found = of.get(element);
    let each = found.into_iter().flat_map(|v| match v.as_array() {
        Some(items) => items.iter().collect(),
        None => vec![v],
    });
    let references = each.map(|r| text(&r["reference"]).to_owned());
    let patients_only = base == "patient";
    references
        .filter(|r| !r.is_empty() && (!patients_only || r.starts_with("Patient/")))
        .collect()
}

fn target<'a>(world: &'a World, reference: &str) -> Option<&'a Value> {
    let (ty, id) = reference.split_once('/')?;
    world.get(ty)?.iter().find(|r| text(&r["id"]) == id)
}

fn refers(world: &World, own: &str, modifier: &str, value: &str) -> bool {
    if modifier == "identifier" {
        return target(world, own).is_some_and(|t| token(t, "identifier", "", value));
    }
    let value = value.strip_prefix(&format!("{BASE}/")).unwrap_or(value);
    let (ty, id) = own.split_once('/').unwrap();
    (modifier.is_empty() || modifier == ty)
        && match value.split_once('/') {
            Some((asked, asked_id)) => asked == ty && asked_id == id,
            None => value == id,
        }
}

/// The Observation, its components, or both.
fn places<'a>(of: &'a Value, base: &str) -> Vec<&'a Value> {
    let components = items(&of["component"]);
    match base.split('-').next().unwrap() {
        "component" => components.collect(),
        "combo" => std::iter::once(of).chain(components).collect(),
        _ => vec![of],
    }
}

/// A number over ten to the power of its decimals, as (mantissa, decimals).
fn number(text: &str) -> (i128, i32) {
    let (number, exponent) = match text.split_once('e') {
        Some((number, exponent)) => (number, exponent.parse::<i32>().unwrap()),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mantissa: i128 = format!("{whole}{fraction}").parse().unwrap();
    (mantissa, fraction.len() as i32 - exponent)
}

/// A fraction with a common denominator of ten to the tenth.
const ONE: i128 = 10_i128.pow(10);

fn scaled((mantissa, decimals): (i128, i32)) -> i128 {
    match decimals {
        d if d >= 0 => mantissa * (ONE / 10_i128.pow(d.unsigned_abs())),
        d => mantissa * ONE * 10_i128.pow(d.unsigned_abs()),
    }
}

fn has_quantity(place: &Value, value: &str) -> bool {
    let Some(quantity) = place.get("valueQuantity") else {
        return false;
    };
    let parts: Vec<&str> = value.split('|').collect();
    let (comparator, written) = prefix(parts[0]);
    let own = scaled(number(&quantity["value"].to_string()));
    // Both sides times what makes them whole: own × from = asked × to.
    let (mut own_times, mut asked_times) = (1, 1);
    if let [_, system, code] = parts[..] {
        let system_fits = system.is_empty() || system == text(&quantity["system"]);
        let code_fits =
            code == text(&quantity["code"]) || system.is_empty() && code == text(&quantity["unit"]);
        if !system_fits {
            return false;
        }
        if !code_fits {
            let unit = |code: &str| UNITS.iter().find(|u| u.0 == code);
            let (Some(asked), Some(own)) = (unit(code), unit(text(&quantity["code"]))) else {
                return false;
            };
            if asked.1 != own.1 {
                return false;
            }
            own_times = own.2 * asked.3;
            asked_times = asked.2 * own.3;
        }
    }
    let (mantissa, decimals) = number(written);
    let one_digit = written.contains('e') && mantissa.abs() < 10 && !written.contains('.');
    let last = scaled((1, decimals + i32::from(one_digit)));
    let asked = scaled((mantissa, decimals));
    let own = own * own_times * 20;
    let at = |value: i128| value * asked_times * 20;
    // In twentieths, so that halves and tenths are whole.
    let half = last * asked_times * 10;
    let (low, high) = (at(asked) - half, at(asked) + half);
    match comparator {
        "" | "eq" => low <= own && own < high,
        "ne" => !(low <= own && own < high),
        "gt" | "sa" => own > at(asked),
        "lt" | "eb" => own < at(asked),
        "ge" => own >= at(asked),
        "le" => own <= at(asked),
        "ap" => {
            let margin = (at(asked).abs() / 10).max(half);
            (own - at(asked)).abs() <= margin
        }
        other => panic!("{other}"),
    }
}

/// The prefix of a value, and the rest.
pub fn prefix(value: &str) -> (&str, &str) {
    let letters = value.len() > 2 && value.as_bytes()[..2].iter().all(u8::is_ascii_lowercase);
    if letters {
        value.split_at(2)
    } else {
        ("", value)
    }
}

/// The interval of a date or time, in milliseconds; without a zone in Japan.
pub fn interval(text: &str) -> (i64, i64) {
    let start = |year: i32, month: u32, day: u32| {
        let day = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        (day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() - JST) * 1000
    };
    let parts: Vec<u32> = match text.len() {
        ..=10 => text.split('-').map(|p| p.parse().unwrap()).collect(),
        _ => Vec::new(),
    };
    match parts.as_slice() {
        [y] => (start(*y as i32, 1, 1), start(*y as i32 + 1, 1, 1)),
        [y, 12] => (start(*y as i32, 12, 1), start(*y as i32 + 1, 1, 1)),
        [y, m] => (start(*y as i32, *m, 1), start(*y as i32, m + 1, 1)),
        [y, m, d] => {
            let from = start(*y as i32, *m, *d);
            (from, from + 86_400_000)
        }
        _ => {
            let zoned = text.ends_with('Z')
                || text[19.min(text.len())..].contains(['+', '-'])
                || text[16..].contains(['+', '-']);
            let whole = if zoned {
                text.to_owned()
            } else {
                format!("{text}+09:00")
            };
            let (format, step) = match text.get(16..17) {
                Some(":") if whole.contains('.') => ("%Y-%m-%dT%H:%M:%S%.f%:z", 1),
                Some(":") => ("%Y-%m-%dT%H:%M:%S%:z", 1000),
                _ => ("%Y-%m-%dT%H:%M%:z", 60_000),
            };
            let whole = whole.replace('Z', "+00:00");
            let from = match DateTime::parse_from_str(&whole, format) {
                Ok(at) => at.timestamp_millis(),
                Err(_) => {
                    // Seconds are needed by the parser.
                    let (local, zone) = whole.split_at(16);
                    let at = format!("{local}:00{zone}");
                    let at = DateTime::parse_from_str(&at, "%Y-%m-%dT%H:%M:%S%:z");
                    at.unwrap().timestamp_millis()
                }
            };
            (from, from + step)
        }
    }
}

/// The definition: a value with its prefix and what is stored, both as intervals.
pub fn compares(prefix: &str, (a, b): (i64, i64), (s, e): (i64, i64)) -> bool {
    let within = a <= s && e <= b;
    match prefix {
        "" | "eq" => within,
        "ne" => !within,
        "gt" => e > b,
        "lt" => s < a,
        "ge" => e > b || within,
        "le" => s < a || within,
        "sa" => s >= b,
        "eb" => e <= a,
        other => panic!("{other}"),
    }
}
