//! Random searches against a plain reading of the specification, over the resources as they
//! are answered.
//!
//! `KENKO_SEARCHES=1000000 cargo test --release --test fhir model` makes the long run.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDateTime, TimeDelta};
use kenko_fhir::registry::{self, List};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::reading::{self, VALUE_SETS, codings, concepts, interval, text};
use crate::server::{BASE, Server, link, matches};

const JST: i32 = 9 * 3600;

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

/// What is stored, as it is answered.
struct World {
    server: Server,
    all: reading::World,
}

/// The types that are searched.
const TYPES: [&str; 4] = ["Observation", "Patient", "Device", "Organization"];

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
            let path = format!("/Observation/{}", text(&deleted["id"]));
            assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
        }
        let mut all = reading::World::new();
        for ty in TYPES {
            all.insert(ty, server.matches(&format!("/{ty}?_count=1000")).await);
        }
        let number = all["Observation"].len();
        assert!(number > 150 && number < 1000, "{number}");
        World { server, all }
    }

    fn observations(&self) -> &[Value] {
        &self.all["Observation"]
    }
}

/// A search: its parameters as they are written, each with its values.
#[derive(Debug, Clone)]
struct Asked {
    ty: &'static str,
    parts: Vec<(String, String)>,
    sort: String,
    count: Option<usize>,
    total: bool,
}

const PREFIXES: [&str; 9] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];

/// Some of what is there to be asked for.
#[derive(Debug, Clone)]
struct Vocabulary {
    /// Codings by token parameter.
    codings: Vec<(&'static str, Vec<(String, String)>)>,
    /// Texts of concepts by token parameter.
    texts: Vec<(&'static str, Vec<String>)>,
    /// (parameter, its places' values with unit and code): `value-quantity` and the like.
    quantities: Vec<(String, String, String)>,
    /// Ids by type, one unknown.
    ids: Vec<(&'static str, Vec<String>)>,
    /// Identifiers by type.
    identifiers: Vec<(&'static str, Vec<(String, String)>)>,
    updated: Vec<i64>,
    profiles: Vec<String>,
}

const CONCEPTS: [&str; 6] = [
    "code",
    "category",
    "method",
    "combo-code",
    "component-code",
    "status",
];

impl Vocabulary {
    fn new(world: &World) -> Vocabulary {
        let all = world.observations();
        let distinct = |values: Vec<String>| -> Vec<String> {
            let set: BTreeSet<String> = values.into_iter().filter(|v| !v.is_empty()).collect();
            set.into_iter().collect()
        };
        let pairs = |name: &'static str| {
            let found = all.iter().flat_map(|o| concepts(o, name)).flat_map(codings);
            let mut set: BTreeSet<(String, String)> = found.collect();
            if name == "status" {
                let system = "http://hl7.org/fhir/observation-status";
                for code in ["final", "corrected", "amended", "preliminary"] {
                    set.insert((system.into(), code.into()));
                }
            }
            (name, set.into_iter().collect())
        };
        let texts = |name: &'static str| {
            let found = all.iter().flat_map(|o| concepts(o, name)).flat_map(|c| {
                let displays = c["coding"].as_array().into_iter().flatten();
                let displays = displays.map(|c| text(&c["display"]).to_owned());
                displays
                    .chain([text(&c["text"]).to_owned()])
                    .collect::<Vec<_>>()
            });
            (name, distinct(found.collect()))
        };
        let mut quantities = BTreeSet::new();
        for observation in all {
            let components = observation["component"].as_array().into_iter().flatten();
            for place in std::iter::once(observation).chain(components) {
                let quantity = &place["valueQuantity"];
                let code = codings(&place["code"]);
                if let (Some(_), Some((_, code))) = (quantity.get("value"), code.first()) {
                    let unit = text(&quantity["code"]).to_owned();
                    quantities.insert((quantity["value"].to_string(), unit, code.clone()));
                }
            }
        }
        let of_type = |ty: &'static str| {
            let mut ids: Vec<String> = world.all[ty]
                .iter()
                .map(|r| text(&r["id"]).to_owned())
                .collect();
            ids.truncate(40);
            ids.push("unknown".into());
            (ty, ids)
        };
        let identifiers = |ty: &'static str| {
            let found = world.all[ty].iter().flat_map(|r| {
                let identifiers = r["identifier"].as_array().into_iter().flatten();
                identifiers.map(|i| (text(&i["system"]).to_owned(), text(&i["value"]).to_owned()))
            });
            let set: BTreeSet<_> = found.collect();
            let mut list: Vec<_> = set.into_iter().take(60).collect();
            list.push(("urn:nobody".into(), "nobody".into()));
            (ty, list)
        };
        let updated = all
            .iter()
            .map(|o| interval(text(&o["meta"]["lastUpdated"])).0);
        let updated: BTreeSet<i64> = updated.collect();
        let profiles = all.iter().flat_map(|o| {
            let profiles = o["meta"]["profile"].as_array().into_iter().flatten();
            profiles.map(|p| text(p).to_owned())
        });
        let mut profiles = distinct(profiles.collect());
        profiles.push("http://hl7.org/fhir/StructureDefinition".into());
        Vocabulary {
            codings: CONCEPTS.map(pairs).to_vec(),
            texts: CONCEPTS[..5].iter().map(|name| texts(name)).collect(),
            quantities: quantities.into_iter().collect(),
            ids: TYPES.map(of_type).to_vec(),
            identifiers: TYPES.map(identifiers).to_vec(),
            updated: updated.into_iter().collect(),
            profiles,
        }
    }

    fn ids(&self, ty: &str) -> Vec<String> {
        let found = self.ids.iter().find(|(own, _)| *own == ty);
        found.unwrap().1.clone()
    }

    fn identifiers(&self, ty: &str) -> Vec<(String, String)> {
        let found = self.identifiers.iter().find(|(own, _)| *own == ty);
        found.unwrap().1.clone()
    }
}

/// The values of a parameter, one to three of them.
fn several(one: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(one, 1..3).prop_map(|values| values.join(","))
}

fn token(codings: Vec<(String, String)>) -> impl Strategy<Value = String> {
    (select(codings), 0..7_u8).prop_map(|((system, code), form)| match form {
        0 | 1 => code,
        2 | 3 => format!("{system}|{code}"),
        4 => format!("{system}|"),
        5 if system == "http://loinc.org" => format!("urn:oid:2.16.840.1.113883.6.1|{code}"),
        _ => format!("|{code}"),
    })
}

/// A token parameter with any of its modifiers.
fn concept(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
    let texts = vocabulary.texts.clone();
    let sets: Vec<String> = VALUE_SETS
        .iter()
        .map(|(url, _)| (*url).to_owned())
        .collect();
    let plain = select(vocabulary.codings.clone()).prop_flat_map(|(name, codings)| {
        let modifiers = ["", "", "", ":not", ":below", ":above"];
        (select(modifiers.to_vec()), several(token(codings)))
            .prop_map(move |(modifier, value)| (format!("{name}{modifier}"), value))
    });
    let of_text = select(texts)
        .prop_filter("there is a text", |(_, texts)| !texts.is_empty())
        .prop_flat_map(|(name, texts)| {
            (select(texts), any::<Index>()).prop_map(move |(text, at)| {
                let length = 1 + at.index(text.chars().count());
                let begin: String = text.chars().take(length).collect();
                let escaped = begin.replace('\\', "").replace([',', '|', '$', '+'], "");
                let value = if escaped.is_empty() {
                    "x".into()
                } else {
                    escaped
                };
                (format!("{name}:text"), value)
            })
        });
    let within = (
        select(&CONCEPTS[..5]),
        select(&["in", "not-in"][..]),
        several(select(sets)),
    )
        .prop_map(|(name, modifier, value)| (format!("{name}:{modifier}"), value));
    prop_oneof![6 => plain, 1 => of_text, 1 => within]
}

/// A number near one that is there, in a unit or none.
fn quantity(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
    let prefixes = [&PREFIXES[..], &["ap"]].concat();
    (
        select(vocabulary.quantities.clone()),
        select(prefixes),
        0..10_u8,
        0..8_u8,
    )
        .prop_map(|((value, unit, code), prefix, form, unit_form)| {
            let number: f64 = value.parse().unwrap();
            let number = match form {
                0..=3 => value,
                4 => format!("{:.0}", number),
                5 => format!("{:.1}", number + 0.1),
                6 => format!("{:.3}", number - 0.005),
                7 => format!("{:e}", number.round()),
                8 => format!("{:.2}", number),
                _ => format!("{:.0}", number + 1.0),
            };
            let other = match unit.as_str() {
                "kg" => "g",
                "mm[Hg]" => "kPa",
                "/min" => "/d",
                "/d" => "/min",
                "kcal" => "kJ",
                "min" => "h",
                _ => "mol",
            };
            let ucum = "http://unitsofmeasure.org";
            let quantity = match unit_form {
                0..=2 => format!("{prefix}{number}"),
                3 => format!("{prefix}{number}|{ucum}|{unit}"),
                4 => format!("{prefix}{number}||{unit}"),
                5 => format!("{prefix}{number}|{ucum}|{other}"),
                6 => format!("{prefix}{number}||{other}"),
                _ => format!("{prefix}{number}|http://other.example|{unit}"),
            };
            (quantity, code)
        })
}

/// `value-quantity` and its kin, alone or with a code.
fn measured(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
    let quantities = prop::collection::vec(quantity(vocabulary), 1..3);
    let place = select(&["", "component-", "combo-"][..]);
    (quantities, place, any::<bool>()).prop_map(|(quantities, place, coded)| {
        let values = quantities.into_iter().map(|(quantity, code)| match coded {
            true => format!("{code}${quantity}"),
            false => quantity,
        });
        let code = if coded { "code-" } else { "" };
        let values: Vec<String> = values.collect();
        (format!("{place}{code}value-quantity"), values.join(","))
    })
}

/// A time near one that was measured, as precisely as it happens.
fn date() -> impl Strategy<Value = String> {
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
            format!("{prefix}{text}")
        })
}

fn updated(vocabulary: &Vocabulary) -> impl Strategy<Value = String> + use<> {
    let times = select(vocabulary.updated.clone());
    (select(&PREFIXES[..]), times, -1..2_i64, 0..3_u8).prop_map(
        |(prefix, at, offset, precision)| {
            let zone = FixedOffset::east_opt(JST).unwrap();
            let at = DateTime::from_timestamp_millis(at + offset).unwrap();
            let format = match precision {
                0 => "%Y-%m-%d",
                1 => "%Y-%m-%dT%H:%M:%S%:z",
                _ => "%Y-%m-%dT%H:%M:%S%.3f%:z",
            };
            format!("{prefix}{}", at.with_timezone(&zone).format(format))
        },
    )
}

/// A reference by one of its forms.
fn reference(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
    let references = [
        ("patient", "Patient"),
        ("subject", "Patient"),
        ("device", "Device"),
        ("performer", "Patient"),
        ("performer", "Organization"),
    ];
    let vocabulary = vocabulary.clone();
    select(references.to_vec()).prop_flat_map(move |(name, ty)| {
        let by_id = several(
            (select(vocabulary.ids(ty)), 0..5_u8).prop_map(move |(id, form)| match form {
                0 | 1 => id,
                2 => format!("{ty}/{id}"),
                3 => format!("Group/{id}"),
                _ => format!("{BASE}/{ty}/{id}"),
            }),
        );
        let identified = several(token(vocabulary.identifiers(ty)));
        let identified_too = several(token(vocabulary.identifiers(ty)));
        let typed = select(vocabulary.ids(ty)).prop_map(move |id| (format!("{name}:{ty}"), id));
        prop_oneof![
            4 => by_id.prop_map(move |value| (name.to_owned(), value)),
            1 => typed,
            2 => identified.prop_map(move |value| (format!("{name}:{ty}.identifier"), value)),
            1 => identified_too.prop_map(move |value| (format!("{name}:identifier"), value)),
        ]
    })
}

fn missing() -> impl Strategy<Value = (String, String)> {
    let names = [
        "code",
        "category",
        "method",
        "component-code",
        "combo-code",
        "status",
        "date",
        "device",
        "performer",
        "patient",
        "specimen",
        "encounter",
        "data-absent-reason",
        "value-quantity",
        "component-value-quantity",
        "component-code-value-quantity",
        "_id",
        "identifier",
        "_tag",
        "_profile",
    ];
    (select(names.to_vec()), select(&["true", "false"][..]))
        .prop_map(|(name, value)| (format!("{name}:missing"), value.to_owned()))
}

/// What an Observation is asked for.
fn of_observation(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
    let ids = several(select(vocabulary.ids("Observation")));
    let own = several(token(vocabulary.identifiers("Observation")));
    let profiles = select(vocabulary.profiles.clone());
    let modifiers = select(&["", ":below"][..]);
    prop_oneof![
        5 => concept(vocabulary),
        4 => measured(vocabulary),
        4 => several(date()).prop_map(|value| ("date".into(), value)),
        1 => several(updated(vocabulary)).prop_map(|value| ("_lastUpdated".into(), value)),
        4 => reference(vocabulary),
        2 => missing(),
        1 => ids.prop_map(|value| ("_id".into(), value)),
        1 => own.prop_map(|value| ("identifier".into(), value)),
        1 => (modifiers, profiles).prop_map(|(m, value)| (format!("_profile{m}"), value)),
    ]
}

fn asked(vocabulary: &Vocabulary) -> impl Strategy<Value = Asked> + use<> {
    let sorts = [
        "",
        "",
        "",
        "date",
        "-date",
        "_lastUpdated",
        "-_lastUpdated",
        "code,-date",
        "status,date",
        "-value-quantity",
        "value-quantity,-date",
        "-code,value-quantity,_lastUpdated",
    ];
    let observations = prop::collection::vec(of_observation(vocabulary), 0..4);
    let others = {
        let links = [
            ("Patient", "patient"),
            ("Patient", "subject"),
            ("Patient", "performer"),
            ("Device", "device"),
            ("Organization", "performer"),
        ];
        let vocabulary = vocabulary.clone();
        (select(links.to_vec()), of_observation(&vocabulary)).prop_flat_map(
            move |((ty, reference), (name, value))| {
                let has = (format!("_has:Observation:{reference}:{name}"), value);
                let own = several(token(vocabulary.identifiers(ty)));
                let own = own.prop_map(|value| ("identifier".to_owned(), value));
                (Just(ty), prop::option::of(own)).prop_map(move |(ty, own)| {
                    (ty, [Some(has.clone()), own].into_iter().flatten().collect())
                })
            },
        )
    };
    let parts = prop_oneof![
        8 => observations.prop_map(|parts| ("Observation", parts)),
        1 => others,
    ];
    (
        parts,
        select(sorts.to_vec()),
        prop::option::of(prop_oneof![3..40_usize, 100..1000_usize]),
        any::<bool>(),
    )
        .prop_map(|((ty, parts), sort, count, total)| Asked {
            ty,
            parts,
            sort: if ty == "Observation" {
                sort.to_owned()
            } else {
                String::new()
            },
            count,
            total,
        })
}

/// A value in an address.
fn encoded(value: &str) -> String {
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
    let mut found: Vec<Value> = Vec::new();
    let mut pages: Vec<usize> = Vec::new();
    let mut last = None;
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
        pages.push(here.len());
        found.extend(here);
        last = Some(page);
    }
    let ids: Vec<&str> = found.iter().map(|f| text(&f["id"])).collect();
    let once: BTreeSet<&str> = ids.iter().copied().collect();
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
    sorted(&found, &asked.sort)
        .then_some(())
        .ok_or_else(|| format!("{path}: not in order"))
}

/// Walks back from the last page: the same pages, the other way.
async fn back(
    world: &World,
    path: &str,
    ids: &[&str],
    pages: &[usize],
    mut page: Option<Value>,
) -> Result<(), String> {
    let mut until = ids.len() - pages.last().copied().unwrap_or(0);
    while until > 0 {
        let previous = page.as_ref().and_then(|page| link(page, "previous"));
        let url = previous.ok_or_else(|| format!("{path}: no way back at {until}"))?;
        let found = world.server.get(&url).await.json();
        let here = matches(&found);
        let from = until - here.len().min(until);
        let here: Vec<&str> = here.iter().map(|f| text(&f["id"])).collect();
        if here.is_empty() || here != ids[from..until] {
            return Err(format!("{url}: not the page before {until}"));
        }
        until = from;
        page = Some(found);
    }
    let first = page.as_ref().and_then(|page| link(page, "previous"));
    match first {
        Some(url) if pages.len() > 1 => Err(format!("{path}: {url} leads before the first page")),
        _ => Ok(()),
    }
}

/// Whether matches are in the order of these keys; what has no value comes last.
fn sorted(found: &[Value], keys: &str) -> bool {
    let compare = |a: &Value, b: &Value| {
        for key in keys.split(',').filter(|key| !key.is_empty()) {
            let (name, down) = match key.strip_prefix('-') {
                Some(name) => (name, true),
                None => (key, false),
            };
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

#[test]
fn searches_find_what_a_plain_reading_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
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
