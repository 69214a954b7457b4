//! Random searches of all resources but Observation against a plain reading of the
//! specification: what a parameter reads is evaluated, as the CapabilityStatement says it, over
//! the resources as they are answered.
//!
//! `KENKO_SEARCHES=1000000 cargo test --release --test fhir model_rows` makes the long run.

mod condition;
pub(crate) mod paths;
pub(crate) mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kenko_fhir::fold::fold;
use kenko_fhir::registry::{self, List};
use serde_json::{Value, json};

use crate::server::{Listed, Server};
use condition::Asked;
use paths::evaluate;
use random::{Dice, asked};

/// A search parameter, as the CapabilityStatement tells it.
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) ty: String,
    /// The FHIRPath of what it reads.
    pub(crate) reads: String,
    pub(crate) modifiers: Vec<String>,
}

pub(crate) struct World {
    pub(crate) server: Server,
    /// All resources by type, as they are answered.
    all: BTreeMap<String, Vec<Value>>,
    parameters: BTreeMap<String, Vec<Parameter>>,
    /// `Type/id` to the resource.
    referred: HashMap<String, Value>,
    /// The types that reference parameters lead to in fact, by resource and name.
    targets: HashMap<(String, String), BTreeSet<String>>,
}

/// The keys of `_sort`: type, parameter, and where the resource has what is compared.
const SORTED: [(&str, &str, &str); 20] = [
    ("Device", "_id", "Resource.id"),
    ("Device", "manufacturer", "Device.manufacturer"),
    ("Device", "model", "Device.modelNumber"),
    ("Device", "device-name", "Device.deviceName.name"),
    ("Device", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("DeviceDefinition", "_id", "Resource.id"),
    (
        "DeviceDefinition",
        "_lastUpdated",
        "Resource.meta.lastUpdated",
    ),
    ("Group", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("Organization", "_id", "Resource.id"),
    ("Organization", "name", "Organization.name"),
    ("Organization", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("Patient", "_id", "Resource.id"),
    ("Patient", "birthdate", "Patient.birthDate"),
    ("Patient", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("Provenance", "recorded", "Provenance.recorded"),
    ("ResearchStudy", "_id", "Resource.id"),
    ("ResearchStudy", "title", "ResearchStudy.title"),
    ("ResearchStudy", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("ResearchSubject", "_id", "Resource.id"),
    ("ResearchSubject", "date", "ResearchSubject.period.start"),
];

/// The alphabet of ids, which is their order.
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";

async fn put(server: &Server, list: &str, rows: Value) {
    let list = List::by_name(list).unwrap();
    let text = rows.to_string();
    let read = registry::read_json(list, text.as_bytes(), &registry::Options::default()).unwrap();
    assert_eq!(read.faults.kept(), []);
    let done = server.store.change_registry(list, &read.rows, false).await;
    done.unwrap().unwrap();
    // So that times of change differ.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
}

async fn register(server: &Server) {
    put(
        server,
        "consortia",
        json!([
            { "consortium_id": "B00002", "consortium_name": "アクメ健康組合", "start_date": "20170401", "end_date": "20180331" },
            { "consortium_id": "C00003", "consortium_name": "ＡＣＭＥ保険", "end_date": "20171231" },
            { "consortium_id": "D00004", "consortium_name": "Été Santé", "start_date": "20180101",
              "representative_organization": "x" },
        ]),
    )
    .await;
    let prefectures = ["13", "26", "27", "01", "23"];
    let people: Vec<Value> = (0..40_usize)
        .map(|n| {
            let consortium = ["A00001", "B00002", "C00003", "D00004"][n % 4];
            let sex = ["0", "1", "2", "9"][n % 4];
            let medication = ["0", "1", "4", "3"][n / 4 % 4];
            let mut row = json!({
                "consortium_id": consortium, "person_id": format!("M{}", n / 2),
                "birth_year_month": format!("19{}{:02}", 60 + n % 7, 1 + n % 12),
                "sex_code": sex,
                "participation_start_date": format!("2017{:02}{:02}", 1 + n % 12, 1 + n % 28),
                "medication_codes": [medication],
            });
            if n % 3 > 0 {
                row["residence_prefecture_code"] = prefectures[n % 5].into();
            }
            if n % 5 == 0 {
                row["participation_end_date"] = format!("2018{:02}15", 1 + n % 12).into();
                row["external_identifiers"] = json!([format!("urn:ehr|{n}")]);
            }
            row
        })
        .collect();
    put(server, "participants", json!(people)).await;
    let names = [
        "ｱｸﾒ検査",
        "アクメ検査",
        "あくめけんさ",
        "アグメ検査",
        "Lab 100%",
        "lab_1",
    ];
    let labs: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let consortium = ["A00001", "B00002"][n % 2];
            let prefecture = prefectures[n % 5];
            json!({
                "consortium_id": consortium, "test_lab_id": format!("L{n}"),
                "test_lab_name": name, "prefecture_code": prefecture,
                "institution_code": format!("231234567{n}"),
            })
        })
        .collect();
    put(server, "laboratories", json!(labs)).await;
    put(
        server,
        "devices",
        json!([
            { "model_manufacturer_code": "ＡＣＭＥ", "model_number": "Ｍ－1", "device_name": "ﾀｲｼﾞｭｳ計", "device_type_code": "1" },
            { "model_manufacturer_code": "acme", "model_number": "m_2", "device_name": "体重計", "device_type_code": "4" },
        ]),
    )
    .await;
    put(
        server,
        "activity-recording-times",
        json!([{ "model_manufacturer_code": "acme", "model_number": "m_2", "aggregation": "x" }]),
    )
    .await;
    for (n, (consortium, update)) in [
        ("A00001", "20190101000000000"),
        ("B00002", "20190102000000000"),
        ("A00001", "20190103000000000"),
    ]
    .into_iter()
    .enumerate()
    {
        let persons: Vec<Value> = (0..4).map(|p| records(consortium, p, n, update)).collect();
        let submission = json!({
            "format_version": "1.0", "send_time": format!("2019020{}000000000", n + 1),
            "consortium_id": consortium, "person_information": persons,
        });
        let receipt = server.submit(&submission.to_string()).await;
        assert_eq!(receipt.status, 201, "{receipt:?}");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    // What FHIR writes: names and identifiers of devices, a Patient and what becomes of one.
    for (serial, name, identifier) in [("S0", "居間のハカリ", "A-1"), ("S9", "はかり２", "A-2")]
    {
        let device = json!({
            "resourceType": "Device", "manufacturer": "acme", "modelNumber": "m_2",
            "serialNumber": serial, "deviceName": [{ "name": name, "type": "other" }],
            "identifier": [{ "system": "urn:maker", "value": identifier }, { "value": "plain" }],
        });
        server.create(&device).await;
    }
    let person = json!({
        "resourceType": "Patient", "gender": "other", "birthDate": "1990-01",
        "identifier": [{
            "system": "https://kenko-fhir.example/fhir/sid/consortium/B00002/person",
            "value": "F1",
        }],
    });
    let mut person = server.create(&person).await;
    person["gender"] = "female".into();
    let path = format!("/Patient/{}", person["id"].as_str().unwrap());
    assert_eq!(server.write("PUT", &path, &[], &person).await.status, 200);
    let deleted = server.matches("/Observation?_count=1").await;
    let path = format!("/Observation/{}", deleted[0]["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
}

/// A weight and an HbA1c of a person, on two days.
fn records(consortium: &str, person: usize, round: usize, update: &str) -> Value {
    // M0 and M1 are in A00001 and B00002, and so on.
    let id = 2 * person + usize::from(consortium == "B00002") / 2;
    let models = [("ＡＣＭＥ", "Ｍ－1"), ("acme", "m_2"), ("他社", "X")];
    let (maker, model) = models[person % 3];
    let weights: Vec<Value> = (0..2)
        .map(|day| {
            json!({
                "observation_time": format!("2018011{day}070000"), "body_weight": 60 + round + person,
                "model_manufacturer_code": maker, "model_number": model,
                "production_specification_serial": format!("S{person}"), "data_input_code": "0",
                "origin_of_time_code": "1", "update_time": update,
            })
        })
        .collect();
    let value = [5.4, 5.8, 6.2, 6.6][person];
    let laboratory = if consortium == "A00001" { "L0" } else { "L1" };
    let hba1c = json!([{
        "observation_time": format!("2018011{round}000000"), "hba1c_value": value,
        "test_lab_id": laboratory,
        "data_input_code": "0", "update_time": update,
    }]);
    json!({
        "person_id": format!("M{id}"),
        "healthcare_information": { "weighing_scale": weights },
        "health_checkup_information": { "hba1c": hba1c },
    })
}

impl World {
    pub(crate) async fn new() -> World {
        let server = Server::empty().await;
        register(&server).await;
        let statement = server.found("/metadata").await;
        let (mut all, mut parameters) = (BTreeMap::new(), BTreeMap::new());
        let mut referred = HashMap::new();
        for resource in statement["rest"][0]["resource"].as_array().unwrap() {
            let name = resource["type"].as_str().unwrap().to_owned();
            let found = server.matches(&format!("/{name}?_count=1000")).await;
            for one in &found {
                let id = one["id"].as_str().unwrap();
                referred.insert(format!("{name}/{id}"), one.clone());
            }
            let listed = resource["searchParam"].as_array().unwrap().iter();
            parameters.insert(name.clone(), listed.map(Parameter::new).collect());
            all.insert(name, found);
        }
        let mut world = World {
            server,
            all,
            parameters,
            referred,
            targets: HashMap::new(),
        };
        for (resource, own) in &world.parameters {
            for parameter in own.iter().filter(|p| p.ty == "reference") {
                let found = world.all[resource].iter();
                let found = found.flat_map(|body| world.values(parameter, body));
                let types = found.filter_map(|v| {
                    let reference = v["reference"].as_str()?;
                    Some(reference.split_once('/')?.0.to_owned())
                });
                let key = (resource.clone(), parameter.name.clone());
                world.targets.insert(key, types.collect());
            }
        }
        world
    }

    /// A page of a search of which nothing is passed over.
    async fn page(&self, url: &str) -> Result<Listed, String> {
        let strict = [("prefer", "handling=strict")];
        let answer = self.server.send("GET", url, &strict, "").await;
        match answer.status.as_u16() {
            200 => Ok(Listed::of(answer.text)),
            status => Err(format!("{url}: {status} {}", answer.text)),
        }
    }

    fn parameter(&self, resource: &str, name: &str) -> &Parameter {
        let mut own = self.parameters[resource].iter();
        own.find(|p| p.name == name).unwrap()
    }

    /// What a parameter reads of a resource.
    fn values<'a>(&self, parameter: &Parameter, body: &'a Value) -> Vec<&'a Value> {
        let mut found = evaluate(&parameter.reads, body);
        if parameter.reads.contains("resolve() is Patient") {
            found.retain(|v| {
                let reference = v["reference"].as_str();
                reference.is_some_and(|r| r.starts_with("Patient/"))
            });
        }
        found
    }

    /// The identifiers of what a reference leads to, and those that stand in itself.
    fn identifiers(&self, reference: &Value) -> Vec<Value> {
        let target = reference["reference"].as_str();
        let target = target.and_then(|r| self.referred.get(without_version(r)));
        let mut out: Vec<Value> = target
            .and_then(|t| t["identifier"].as_array())
            .cloned()
            .unwrap_or_default();
        if reference["identifier"].is_object() {
            out.push(reference["identifier"].clone());
        }
        out
    }
}

/// A reference without the version that it names.
fn without_version(reference: &str) -> &str {
    reference.split("/_history/").next().unwrap()
}

impl Parameter {
    pub(crate) fn new(told: &Value) -> Parameter {
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        let documentation = text("documentation");
        let after = |start: &str| {
            let rest = documentation.split_once(start)?.1;
            let end = rest.find(". ").unwrap_or(rest.len());
            Some(rest[..end].trim_end_matches('.').to_owned())
        };
        let modifiers = after("Modifiers: ").unwrap_or_default();
        let modifiers = modifiers.split(", ").filter_map(|m| m.strip_prefix(':'));
        Parameter {
            name: text("name"),
            ty: text("type"),
            reads: after("Reads ").unwrap(),
            modifiers: modifiers.map(str::to_owned).collect(),
        }
    }
}

/// Walks a search to its last page and back; says what is wrong with it.
async fn check(world: &World, resource: &str, dice: &mut Dice) -> Result<(), String> {
    let conditions: Vec<Asked> = (0..dice.below(3))
        .map(|_| asked(world, resource, dice, 2))
        .collect();
    let mut path = format!("/{resource}?");
    for condition in &conditions {
        path.push_str(&condition.written());
        path.push('&');
    }
    let keys: Vec<_> = SORTED.iter().filter(|(of, ..)| *of == resource).collect();
    let sort = (dice.below(2) == 0)
        .then(|| dice.of(&keys).map(|key| (**key, dice.below(2) == 0)))
        .flatten();
    if let Some(((_, key, _), down)) = sort {
        path.push_str(&format!("_sort={}{key}&", if down { "-" } else { "" }));
    }
    let count = 1 + dice.below(30);
    path.push_str(&format!("_count={count}&_total=accurate"));
    let want: BTreeSet<&str> = world.all[resource]
        .iter()
        .filter(|body| conditions.iter().all(|c| c.matches(world, resource, body)))
        .map(|body| body["id"].as_str().unwrap())
        .collect();
    let mut ids: Vec<String> = Vec::new();
    let mut pages: Vec<Vec<String>> = Vec::new();
    let mut next = Some(path.clone());
    let mut last = None;
    while let Some(url) = next {
        let page = world.page(&url).await?;
        if page.total != Some(want.len() as u64) {
            let (total, want) = (page.total, want.len());
            return Err(format!("{url}: total {total:?} instead of {want}"));
        }
        next = page.link("next");
        let here = page.ids.len();
        if here > count || (next.is_some() && here < count) {
            return Err(format!("{url}: {here} on a page"));
        }
        ids.extend_from_slice(&page.ids);
        pages.push(page.ids.clone());
        if pages.len() > 500 {
            return Err(format!("{path}: no end"));
        }
        last = Some(page);
    }
    let once: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    if once != want || once.len() != ids.len() {
        let missing: Vec<_> = want.difference(&once).collect();
        let wrong: Vec<_> = once.difference(&want).collect();
        return Err(format!(
            "{path}: missing {missing:?}, wrong {wrong:?}, {} in all",
            ids.len()
        ));
    }
    let found = ids.iter();
    let found: Vec<&Value> = found
        .map(|id| &world.referred[&format!("{resource}/{id}")])
        .collect();
    if let Some(((_, _, reads), down)) = sort {
        let key = |body: &Value| {
            let values = evaluate(reads, body);
            let value = values.first()?.as_str().unwrap();
            Some(match reads {
                "Resource.id" => {
                    let places = value.chars().map(|c| ALPHABET.find(c).unwrap());
                    places.map(|place| char::from(place as u8)).collect()
                }
                _ => fold(value),
            })
        };
        let folded = ["name", "title", "device-name"]
            .iter()
            .any(|n| path.contains(n));
        let sorted = found.is_sorted_by(|a, b| match (key(a), key(b)) {
            (_, None) => true,
            (None, Some(_)) => false,
            // Codes are in the order of their characters, names in that of what is compared.
            (Some(_), Some(_)) if !folded && reads.starts_with("Device.m") => true,
            (Some(a), Some(b)) => {
                if down {
                    a >= b
                } else {
                    a <= b
                }
            }
        });
        if !sorted {
            return Err(format!("{path}: not in order"));
        }
    }
    // And back again.
    for former in pages.iter().rev().skip(1) {
        let Some(url) = last.as_ref().and_then(|page| page.link("previous")) else {
            return Err(format!("{path}: no way back"));
        };
        let page = world.page(&url).await?;
        if page.ids != *former {
            return Err(format!("{url}: another page than on the way there"));
        }
        last = Some(page);
    }
    match last.and_then(|page| page.link("previous")) {
        Some(url) if !world.page(&url).await?.ids.is_empty() => {
            Err(format!("{url}: something before the first"))
        }
        _ => Ok(()),
    }
}

#[test]
fn searches_of_all_resources_find_what_a_plain_reading_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    let cases = std::env::var("KENKO_SEARCHES").map_or(1000, |n| n.parse().unwrap());
    let resources: Vec<&String> = world.all.keys().filter(|r| *r != "Observation").collect();
    let mut wrong = Vec::new();
    for case in 0..cases {
        let mut dice = Dice(case);
        let resource = resources[case as usize % resources.len()];
        wrong.extend(runtime.block_on(check(&world, resource, &mut dice)).err());
        assert!(wrong.len() < 20, "{}", wrong.join("\n"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
