//! Random searches against a plain reading of the specification, over the resources as they
//! are answered.
//!
//! `KENKO_SEARCHES=1000000 cargo test --release --test fhir model` makes the long run.

pub(crate) mod random;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kenko_fhir::registry::{self, List};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::reading::{self, codings, interval, text};
use crate::server::{Listed, Server};
use random::{Asked, Vocabulary, asked};

const JST: i32 = 9 * 3600;

/// People: consortium and person; one person id twice.
pub(crate) const PEOPLE: [(&str, &str); 5] = [
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
pub(crate) fn submission((consortium, person): (&str, &str), round: usize, update: &str) -> String {
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
        let with = |base: &Value, more: &str| {
            let mut out = base.clone();
            // As written: numbers keep their decimals.
            let more: Value = serde_json::from_str(more).unwrap();
            for (name, value) in more.as_object().unwrap() {
                out[name] = value.clone();
            }
            out
        };
        let method = ["000001", "000002", "000003", "000009"][n % 4];
        let fat = ["", r#", "body_fat": 20.5"#, r#", "body_fat": 18"#][n % 3];
        let written = ["", ".0", ".25", ".5"][n % 4];
        let weight = format!(r#"{{ "body_weight": {}{written}{fat} }}"#, 58 + round);
        kinds[0].push(with(&device, &weight));
        let pressure = format!(
            r#""systolic": {}, "diastolic": {}"#,
            118 + round + n,
            76 + n
        );
        let pulse = format!(r#"{{ {pressure}, "pulse_rate": {} }}"#, 58 + n);
        kinds[1].push(with(&device, &pulse));
        if n % 2 == 0 {
            let walked = if n % 4 == 0 {
                r#", "walk_time": 90, "calories": 200.5"#
            } else {
                ""
            };
            let activity = format!(
                r#"{{ "step": {}, "total_active_duration": 1440, "distance": 4.20{walked} }}"#,
                8640 + round * 1000
            );
            kinds[2].push(with(&device, &activity));
        } else {
            let pulse = if n % 3 == 0 {
                r#", "pulse_rate": 60"#
            } else {
                ""
            };
            kinds[4].push(with(&laboratory, &format!("{{ {pressure}{pulse} }}")));
        }
        let value = ["5.5", "6", "6.5", "6.4", "7.0"][(n + round) % 5];
        let mut hba1c = with(&laboratory, &format!(r#"{{ "hba1c_value": {value} }}"#));
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

/// An Observation with more than the protocol can say; what that is changes with `n`.
fn richer(observation: &Value, n: usize) -> Value {
    let mut out = observation.clone();
    let hospital = |code: &str, display: &str| json!({ "system": "http://hospital.example/codes", "code": code, "display": display });
    let number = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    if n.is_multiple_of(2) {
        let code = hospital(&format!("own-{}", n % 3), "Körperwert");
        out["code"]["coding"].as_array_mut().unwrap().push(code);
        out["performer"] = json!([{ "reference": format!("Practitioner/p{}", n % 3) }]);
    }
    if n.is_multiple_of(3) {
        out["category"].as_array_mut().unwrap().push(json!({
            "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "exam" }],
        }));
        out["encounter"] = json!({ "reference": "Encounter/e1" });
        out["meta"]["tag"] = json!([{ "code": "ward" }]);
    }
    let Some(components) = out.get_mut("component").and_then(Value::as_array_mut) else {
        return out;
    };
    let first = components[0]["code"]["coding"].as_array_mut().unwrap();
    first.push(hospital("first", "First"));
    let (value, unit) = [
        ("97", "mm[Hg]"),
        ("97.5", "mm[Hg]"),
        ("12.93", "kPa"),
        ("9.7e1", "mm[Hg]"),
    ][n % 4];
    components.push(json!({
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8478-0" }, hospital("mean", "Mean")] },
        "valueQuantity": { "value": number(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit },
    }));
    if n.is_multiple_of(3) {
        components.push(json!({
            "code": { "text": "a score" },
            "valueQuantity": { "value": number("3"), "unit": "{score}" },
        }));
    }
    out
}

/// What is stored, as it is answered.
pub(crate) struct World {
    pub(crate) server: Server,
    all: reading::World,
    /// Where the resource of an id is among those of its type.
    places: HashMap<String, usize>,
}

/// The types that are searched.
const TYPES: [&str; 4] = ["Observation", "Patient", "Device", "Organization"];

impl World {
    /// With what the protocol cannot say of some records, where it is `rich`.
    pub(crate) async fn new(rich: bool) -> World {
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
        let richer_ones = listed.iter().step_by(5).enumerate();
        for (n, observation) in richer_ones.filter(|_| rich) {
            let path = format!("/Observation/{}", text(&observation["id"]));
            let sent = richer(observation, n);
            let answer = server.write("PUT", &path, &[], &sent).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        for deleted in listed.iter().step_by(17) {
            let path = format!("/Observation/{}", text(&deleted["id"]));
            assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
        }
        let mut all = reading::World::new();
        for ty in TYPES {
            all.insert(ty, server.matches(&format!("/{ty}?_count=1000")).await);
        }
        let number = all["Observation"].len();
        assert!(number > 150 && number < 1000, "{number}");
        let each = all.values().flat_map(|these| these.iter().enumerate());
        let places = each.map(|(place, one)| (text(&one["id"]).to_owned(), place));
        World {
            places: places.collect(),
            server,
            all,
        }
    }

    /// A page, which is one of JSON.
    pub(crate) async fn page(&self, url: &str) -> Result<Listed, String> {
        let answer = self.server.get(url).await;
        match answer.status.as_u16() {
            200 => Ok(Listed::of(answer.text)),
            status => Err(format!("{url}: {status} {}", answer.text)),
        }
    }

    fn observations(&self) -> &[Value] {
        &self.all["Observation"]
    }
}

/// A value in an address.
pub(crate) fn encoded(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b':' | b'/' | b',' => {
                out.push(char::from(byte));
            }
            // Unencoded, as many clients send it.
            b'+' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Runs the search to its last page and back; says what is wrong with it.
async fn check(world: &World, asked: &Asked) -> Result<(), String> {
    let mut path = format!("/{}?", asked.ty);
    for (name, value) in &asked.parts {
        path.push_str(&format!("{name}={}&", encoded(value)));
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
    let want: BTreeSet<&str> = world.all[asked.ty]
        .iter()
        .filter(|one| {
            let mut parts = asked.parts.iter();
            parts.all(|(name, value)| reading::holds(&world.all, one, name, value))
        })
        .map(|one| text(&one["id"]))
        .collect();
    let mut ids: Vec<String> = Vec::new();
    let mut pages: Vec<usize> = Vec::new();
    let mut last = None;
    let mut next = Some(path.clone());
    while let Some(url) = next {
        let page = world.page(&url).await?;
        let total = asked.total.then_some(want.len() as u64);
        if page.total != total {
            return Err(format!(
                "{url}: total {:?} instead of {total:?}",
                page.total
            ));
        }
        next = page.link("next");
        let (here, full) = (page.ids.len(), asked.count.unwrap_or(50));
        if here > full || (next.is_some() && here < full) {
            return Err(format!("{url}: {here} on a page"));
        }
        pages.push(here);
        ids.extend_from_slice(&page.ids);
        last = Some(page);
    }
    let once: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    if once.len() != ids.len() {
        return Err(format!("{path}: a match came twice"));
    }
    if once != want {
        let missing = want.difference(&once).count();
        let wrong = once.difference(&want).count();
        return Err(format!("{path}: {missing} missing, {wrong} wrong"));
    }
    if asked.ty == "Observation" {
        back(world, &path, &ids, &pages, last).await?;
    }
    let found: Vec<&Value> = ids
        .iter()
        .map(|id| &world.all[asked.ty][world.places[id]])
        .collect();
    sorted(&found, &asked.sort)
        .then_some(())
        .ok_or_else(|| format!("{path}: not in order"))
}

/// Walks back from the last page: the same pages, the other way.
async fn back(
    world: &World,
    path: &str,
    ids: &[String],
    pages: &[usize],
    mut page: Option<Listed>,
) -> Result<(), String> {
    let mut until = ids.len() - pages.last().copied().unwrap_or(0);
    while until > 0 {
        let previous = page.as_ref().and_then(|page| page.link("previous"));
        let url = previous.ok_or_else(|| format!("{path}: no way back at {until}"))?;
        let found = world.page(&url).await?;
        let from = until - found.ids.len().min(until);
        if found.ids.is_empty() || found.ids != ids[from..until] {
            return Err(format!("{url}: not the page before {until}"));
        }
        until = from;
        page = Some(found);
    }
    let first = page.as_ref().and_then(|page| page.link("previous"));
    match first {
        Some(url) if pages.len() > 1 => Err(format!("{path}: {url} leads before the first page")),
        _ => Ok(()),
    }
}

/// Whether matches are in the order of these keys; what has no value comes last.
fn sorted(found: &[&Value], keys: &str) -> bool {
    let compare = |a: &Value, b: &Value| {
        for key in keys.split(',').filter(|key| !key.is_empty()) {
            let (name, down) = match key.strip_prefix('-') {
                Some(name) => (name, true),
                None => (key, false),
            };
            if name == "_id" {
                let ordering = of_ids(text(&a["id"]), text(&b["id"]));
                let ordering = if down { ordering.reverse() } else { ordering };
                if ordering.is_ne() {
                    return ordering;
                }
                continue;
            }
            let value = |of: &Value| -> Option<(f64, String)> {
                Some(match name {
                    "date" => (
                        interval(text(&of["effectiveDateTime"])).0 as f64,
                        String::new(),
                    ),
                    "_lastUpdated" => (
                        interval(text(&of["meta"]["lastUpdated"])).0 as f64,
                        String::new(),
                    ),
                    "code" => (0.0, codings(&of["code"])[0].1.clone()),
                    "status" => (0.0, text(&of["status"]).to_owned()),
                    "value-quantity" => {
                        let value = of.get("valueQuantity")?;
                        (value["value"].to_string().parse().unwrap(), String::new())
                    }
                    other => panic!("{other}"),
                })
            };
            let ordering = match (value(a), value(b)) {
                (Some(a), Some(b)) => {
                    let ordering = a.partial_cmp(&b).unwrap();
                    if down { ordering.reverse() } else { ordering }
                }
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        std::cmp::Ordering::Equal
    };
    found.is_sorted_by(|a, b| compare(a, b).is_le())
}

/// Ids of one person in the order of their alphabet, as far as they tell kind and second;
/// those of several go person by person.
fn of_ids(a: &str, b: &str) -> std::cmp::Ordering {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
    let places = |id: &str| -> Vec<_> { id[..26].chars().map(|c| ALPHABET.find(c)).collect() };
    match a[..16] == b[..16] {
        true => places(a).cmp(&places(b)),
        false => std::cmp::Ordering::Equal,
    }
}

#[test]
fn searches_find_what_a_plain_reading_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new(true));
    let vocabulary = Vocabulary::new(&world);
    let cases = std::env::var("KENKO_SEARCHES").map_or(1000, |n| n.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&asked(&vocabulary), |asked| {
        runtime
            .block_on(check(&world, &asked))
            .map_err(TestCaseError::fail)
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
