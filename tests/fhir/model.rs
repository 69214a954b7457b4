//! Random searches against a plain reading of the specification, over the resources as they
//! are answered.
//!
//! `KENKO_SEARCHES=1000000 cargo test --release --test fhir model` makes the long run.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, NaiveDateTime, TimeDelta};
use kenko_fhir::registry::{self, List};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::server::{BASE, Server, link, matches};

const JST: i64 = 9 * 3600;

/// People: consortium and person; one person id twice.
const PEOPLE: [(&str, &str); 5] = [
    ("A00001", "P1"),
    ("A00001", "P2"),
    ("A00001", "P3"),
    ("B00002", "P1"),
    ("B00002", "Q9"),
];
/// Times at which something was measured: edges of days, months and years in both zones.
const TIMES: [&str; 12] = [
    "20161231235959",
    "20170101000000",
    "20170101000001",
    "20170101085959",
    "20170101090000",
    "20170131235959",
    "20170201000000",
    "20170201120000",
    "20170201120030",
    "20170228150000",
    "20170301000000",
    "20180301000000",
];

async fn register(server: &Server) {
    let people: Vec<Value> = PEOPLE
        .iter()
        .map(|(consortium, person)| {
            json!({
                "consortium_id": consortium, "person_id": person, "birth_year_month": "196104",
                "sex_code": "1", "participation_start_date": "20160101",
                "external_identifiers": [format!("urn:ehr|{person}-{consortium}")],
            })
        })
        .collect();
    let lab = |consortium: &str| json!({ "consortium_id": consortium, "test_lab_id": "L1", "test_lab_name": "x", "prefecture_code": "23" });
    let lists = [
        (
            "consortia",
            json!([{ "consortium_id": "B00002", "consortium_name": "x" }]),
        ),
        ("participants", json!(people)),
        ("laboratories", json!([lab("A00001"), lab("B00002")])),
    ];
    for (name, rows) in lists {
        let list = List::by_name(name).unwrap();
        let text = rows.to_string();
        let read = registry::read_json(list, text.as_bytes(), &registry::Options::default());
        let rows = read.unwrap().rows;
        let done = server.store.change_registry(list, &rows, false).await;
        done.unwrap().unwrap();
    }
}

/// Four records a person and time, of kinds that change with both.
fn submission((consortium, person): (&str, &str), round: usize, update: &str) -> String {
    let mut kinds: [Vec<Value>; 5] = Default::default();
    for (n, time) in TIMES
        .iter()
        .enumerate()
        .filter(|(n, _)| !(n + round).is_multiple_of(3))
    {
        let device = json!({
            "observation_time": time, "model_manufacturer_code": "ACME", "model_number": "M",
            "production_specification_serial": format!("S{}", n % 2), "data_input_code": "0",
            "origin_of_time_code": "1", "update_time": update,
        });
        let laboratory = json!({
            "observation_time": time, "test_lab_id": "L1", "data_input_code": "0",
            "update_time": update,
        });
        let with = |base: &Value, more: Value| {
            let mut out = base.clone();
            for (name, value) in more.as_object().unwrap() {
                out[name] = value.clone();
            }
            out
        };
        let method = ["000001", "000002", "000003", "000009"][n % 4];
        kinds[0].push(with(&device, json!({ "body_weight": 60 + round })));
        kinds[1].push(with(
            &device,
            json!({ "systolic": 120 + round, "diastolic": 80, "pulse_rate": 60 }),
        ));
        if n % 2 == 0 {
            let activity = json!({ "step": 100 + round, "total_active_duration": 1440, "measurement_position_code": "21" });
            kinds[2].push(with(&device, activity));
        } else {
            let pressure = json!({ "systolic": 120 + round, "diastolic": 80 });
            kinds[4].push(with(&laboratory, pressure));
        }
        let value = json!({ "hba1c_value": 6.5 });
        let mut hba1c = with(&laboratory, value);
        if n % 5 > 0 {
            hba1c["measurement_method_code"] = method.into();
        }
        kinds[3].push(hba1c);
    }
    let [weights, pressures, activities, hba1c, checkups] = kinds;
    json!({
        "format_version": "1.0", "send_time": "20190101000000000", "consortium_id": consortium,
        "person_information": [{
            "person_id": person,
            "healthcare_information": { "weighing_scale": weights, "blood_pressure": pressures, "physical_activity": activities },
            "health_checkup_information": { "hba1c": hba1c, "blood_pressure": checkups },
        }],
    })
    .to_string()
}

/// What is stored, as it is answered.
struct World {
    server: Server,
    all: Vec<Seen>,
    patients: Vec<Value>,
    codings: Vec<(String, String)>,
    categories: Vec<(String, String)>,
}

/// An Observation and what the searches read of it.
struct Seen {
    id: String,
    body: Value,
    /// The effective time as milliseconds, the end excluded.
    effective: (i64, i64),
    updated: i64,
}

impl World {
    async fn new() -> World {
        let server = Server::empty().await;
        register(&server).await;
        for (round, update) in ["20180601000000000", "20180701000000000"]
            .iter()
            .enumerate()
        {
            for (n, person) in PEOPLE.iter().enumerate() {
                let receipt = server.submit(&submission(*person, round + n, update)).await;
                assert_eq!(receipt.status, 201, "{receipt:?}");
                // So that writes differ in their time.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        let listed = server.matches("/Observation?_count=1000").await;
        for deleted in listed.iter().step_by(17) {
            let path = format!("/Observation/{}", deleted["id"].as_str().unwrap());
            assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
        }
        let all: Vec<Seen> = server
            .matches("/Observation?_count=1000")
            .await
            .into_iter()
            .map(Seen::new)
            .collect();
        assert!(all.len() > 150 && all.len() < 1000, "{}", all.len());
        let codings = |concepts: fn(&Value) -> Vec<&Value>| {
            let pairs = all.iter().flat_map(|seen| concepts(&seen.body));
            let pairs: BTreeSet<(String, String)> = pairs.flat_map(pairs_of).collect();
            pairs.into_iter().collect()
        };
        let patients = server.matches("/Patient").await;
        World {
            patients,
            codings: codings(|body| vec![&body["code"]]),
            categories: codings(|body| body["category"].as_array().unwrap().iter().collect()),
            all,
            server,
        }
    }
}

impl Seen {
    fn new(body: Value) -> Seen {
        let effective = interval(body["effectiveDateTime"].as_str().unwrap());
        let updated = body["meta"]["lastUpdated"].as_str().unwrap();
        Seen {
            id: body["id"].as_str().unwrap().to_owned(),
            effective,
            updated: interval(updated).0,
            body,
        }
    }
}

/// The codings of a concept.
fn pairs_of(concept: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let codings = concept["coding"].as_array().unwrap().iter();
    codings
        .map(|c| (text(&c["system"]), text(&c["code"])))
        .collect()
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

/// One parameter of a search, with its values.
#[derive(Debug, Clone)]
enum Part {
    Code(Vec<String>),
    Category(Vec<String>),
    Date(Vec<(&'static str, String)>),
    Updated(Vec<(&'static str, String)>),
    /// Places among the patients; one beyond them is unknown.
    Patient(Vec<(usize, u8)>),
    /// The same by identifier.
    Identified(Vec<(usize, u8)>),
    Ids(Vec<usize>),
}

#[derive(Debug, Clone)]
struct Asked {
    parts: Vec<Part>,
    sort: &'static str,
    count: Option<usize>,
    total: bool,
}

const PREFIXES: [&str; 9] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];

fn tokens(codings: &[(String, String)]) -> impl Strategy<Value = Vec<String>> + use<> {
    let token = (select(codings.to_vec()), 0..6_u8).prop_map(|((system, code), form)| match form {
        0 | 1 => code,
        2 | 3 => format!("{system}|{code}"),
        4 => format!("{system}|"),
        _ => format!("|{code}"),
    });
    prop::collection::vec(token, 1..3)
}

/// A time near one that was measured, as precisely as it happens.
fn date() -> impl Strategy<Value = (&'static str, String)> {
    let offsets = [-86_400, -3600, -60, -1, 0, 0, 0, 1, 60, 3600, 86_400];
    let zones = ["", "+09:00", "Z", "-05:00"];
    (
        select(&PREFIXES[..]),
        select(&TIMES[..]),
        select(offsets.to_vec()),
        0..6_u8,
        select(zones.to_vec()),
    )
        .prop_map(|(prefix, time, offset, precision, zone)| {
            let at = NaiveDateTime::parse_from_str(time, "%Y%m%d%H%M%S").unwrap();
            let at = at + TimeDelta::seconds(offset);
            let hours = match zone {
                "Z" => 0,
                "-05:00" => -5,
                _ => 9,
            };
            let there = at + TimeDelta::hours(hours - 9);
            let text = match precision {
                0 => format!("{:04}", at.year()),
                1 => at.format("%Y-%m").to_string(),
                2 => at.format("%Y-%m-%d").to_string(),
                3 => format!("{}{zone}", there.format("%Y-%m-%dT%H:%M")),
                _ => format!("{}{zone}", there.format("%Y-%m-%dT%H:%M:%S")),
            };
            (prefix, text)
        })
}

fn asked(world: &World) -> impl Strategy<Value = Asked> + use<> {
    let updated: BTreeSet<i64> = world.all.iter().map(|seen| seen.updated).collect();
    let updated: Vec<i64> = updated.into_iter().collect();
    let instant = (select(&PREFIXES[..]), select(updated), -1..2_i64, 0..3_u8).prop_map(
        |(prefix, at, offset, precision)| {
            let zone = FixedOffset::east_opt(JST as i32).unwrap();
            let at = DateTime::from_timestamp_millis(at + offset).unwrap();
            let format = match precision {
                0 => "%Y-%m-%d",
                1 => "%Y-%m-%dT%H:%M:%S%:z",
                _ => "%Y-%m-%dT%H:%M:%S%.3f%:z",
            };
            (prefix, at.with_timezone(&zone).format(format).to_string())
        },
    );
    let people = world.patients.len() + 1;
    let person = move || prop::collection::vec((0..people, 0..4_u8), 1..3);
    let part = prop_oneof![
        3 => tokens(&world.codings).prop_map(Part::Code),
        2 => tokens(&world.categories).prop_map(Part::Category),
        4 => prop::collection::vec(date(), 1..3).prop_map(Part::Date),
        1 => prop::collection::vec(instant, 1..3).prop_map(Part::Updated),
        3 => person().prop_map(Part::Patient),
        2 => person().prop_map(Part::Identified),
        1 => prop::collection::vec(0..world.all.len(), 1..4).prop_map(Part::Ids),
    ];
    let sorts = ["", "date", "-date", "_lastUpdated", "-_lastUpdated"];
    (
        prop::collection::vec(part, 0..4),
        select(sorts.to_vec()),
        prop::option::of(prop_oneof![3..40_usize, 100..1000_usize]),
        any::<bool>(),
    )
        .prop_map(|(parts, sort, count, total)| Asked {
            parts,
            sort,
            count,
            total,
        })
}

impl Part {
    /// Name and value, as a client writes them.
    fn written(&self, world: &World) -> (&'static str, String) {
        let patient = |place: usize| world.patients.get(place);
        let or = |values: Vec<String>| values.join(",");
        match self {
            Part::Code(tokens) => ("code", or(tokens.clone())),
            Part::Category(tokens) => ("category", or(tokens.clone())),
            Part::Date(dates) => ("date", or(prefixed(dates))),
            Part::Updated(dates) => ("_lastUpdated", or(prefixed(dates))),
            Part::Patient(people) => {
                let written = people.iter().map(|(place, form)| {
                    let id = patient(*place).map_or("unknown", |p| p["id"].as_str().unwrap());
                    match form {
                        0 | 1 => id.to_owned(),
                        2 => format!("Patient/{id}"),
                        _ => format!("{BASE}/Patient/{id}"),
                    }
                });
                ("patient", or(written.collect()))
            }
            Part::Identified(people) => {
                let written = people.iter().map(|(place, form)| {
                    let Some(patient) = patient(*place) else {
                        return "nobody".to_owned();
                    };
                    let identifiers = patient["identifier"].as_array().unwrap();
                    let one = &identifiers[usize::from(*form) % identifiers.len()];
                    let (system, value) = (&one["system"], one["value"].as_str().unwrap());
                    match form {
                        0 | 1 => format!("{}|{value}", system.as_str().unwrap()),
                        2 => format!("{}|", system.as_str().unwrap()),
                        _ => value.to_owned(),
                    }
                });
                ("patient.identifier", or(written.collect()))
            }
            Part::Ids(places) => {
                let ids = places.iter().map(|place| world.all[*place].id.clone());
                ("_id", or(ids.collect()))
            }
        }
    }

    /// Whether an Observation matches, by the words of the specification.
    fn matches(&self, world: &World, seen: &Seen) -> bool {
        let (_, written) = self.written(world);
        let mut values = written.split(',');
        match self {
            Part::Code(_) => values.any(|token| has_token(&pairs_of(&seen.body["code"]), token)),
            Part::Category(_) => {
                let categories = seen.body["category"].as_array().unwrap();
                let all: Vec<_> = categories.iter().flat_map(pairs_of).collect();
                values.any(|token| has_token(&all, token))
            }
            Part::Date(dates) => dates
                .iter()
                .any(|(p, d)| compares(p, interval(d), seen.effective)),
            Part::Updated(dates) => {
                let stored = (seen.updated, seen.updated + 1);
                dates.iter().any(|(p, d)| compares(p, interval(d), stored))
            }
            Part::Patient(_) => {
                let subject = seen.body["subject"]["reference"].as_str().unwrap();
                values.any(|v| v.rsplit('/').next() == subject.strip_prefix("Patient/"))
            }
            Part::Identified(_) => {
                let subject = seen.body["subject"]["reference"].as_str().unwrap();
                let patient = world
                    .patients
                    .iter()
                    .find(|p| subject.strip_prefix("Patient/") == p["id"].as_str());
                let identifiers = patient.unwrap()["identifier"].as_array().unwrap();
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let pairs: Vec<_> = identifiers
                    .iter()
                    .map(|i| (text(&i["system"]), text(&i["value"])))
                    .collect();
                values.any(|token| has_token(&pairs, token))
            }
            Part::Ids(_) => values.any(|id| id == seen.id),
        }
    }
}

fn prefixed(dates: &[(&'static str, String)]) -> Vec<String> {
    dates
        .iter()
        .map(|(prefix, date)| format!("{prefix}{date}"))
        .collect()
}

fn has_token(pairs: &[(String, String)], token: &str) -> bool {
    pairs
        .iter()
        .any(|(system, code)| match token.split_once('|') {
            None => code == token,
            Some((s, "")) => system == s,
            Some((s, c)) => system == s && code == c,
        })
}

/// Runs the search to its last page; says what is wrong with it.
async fn check(world: &World, asked: &Asked) -> Result<(), String> {
    let mut path = String::from("/Observation?");
    for part in &asked.parts {
        let (name, value) = part.written(world);
        path.push_str(&format!("{name}={}&", value.replace('|', "%7C")));
    }
    if !asked.sort.is_empty() {
        path.push_str(&format!("_sort={}&", asked.sort));
    }
    if let Some(count) = asked.count {
        path.push_str(&format!("_count={count}&"));
    }
    if asked.total {
        path.push_str("_total=accurate");
    }
    let want: BTreeSet<&str> = world
        .all
        .iter()
        .filter(|seen| asked.parts.iter().all(|part| part.matches(world, seen)))
        .map(|seen| seen.id.as_str())
        .collect();
    let mut found: Vec<Value> = Vec::new();
    let mut next = Some(path.clone());
    while let Some(url) = next {
        let answer = world.server.get(&url).await;
        if answer.status != 200 {
            return Err(format!("{url}: {} {}", answer.status, answer.text));
        }
        let page = answer.json();
        let total = asked.total.then_some(want.len() as u64);
        if page["total"].as_u64() != total {
            return Err(format!(
                "{url}: total {} instead of {total:?}",
                page["total"]
            ));
        }
        let here = matches(&page);
        next = link(&page, "next");
        let full = asked.count.unwrap_or(50);
        if here.len() > full || (next.is_some() && here.len() < full) {
            return Err(format!("{url}: {} on a page", here.len()));
        }
        found.extend(here);
    }
    let ids: Vec<&str> = found.iter().map(|f| f["id"].as_str().unwrap()).collect();
    let once: BTreeSet<&str> = ids.iter().copied().collect();
    if once.len() != ids.len() {
        return Err(format!("{path}: a match came twice"));
    }
    if once != want {
        let missing = want.difference(&once).count();
        let wrong = once.difference(&want).count();
        return Err(format!("{path}: {missing} missing, {wrong} wrong"));
    }
    let keys: Vec<i64> = found
        .into_iter()
        .map(Seen::new)
        .map(|seen| match asked.sort.trim_start_matches('-') {
            "date" => seen.effective.0,
            "_lastUpdated" => seen.updated,
            _ => 0,
        })
        .collect();
    let down = asked.sort.starts_with('-');
    let sorted = keys.is_sorted_by(|a, b| if down { a >= b } else { a <= b });
    sorted
        .then_some(())
        .ok_or_else(|| format!("{path}: not in order"))
}

#[test]
fn searches_find_what_a_plain_reading_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    let cases = std::env::var("KENKO_SEARCHES").map_or(1000, |n| n.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&asked(&world), |asked| {
        runtime
            .block_on(check(&world, &asked))
            .map_err(TestCaseError::fail)
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
