//! Random searches of all resources but Observation against a plain reading of the
//! specification: what a parameter reads is evaluated, as the CapabilityStatement says it, over
//! the resources as they are answered.
//!
//! `KENKO_SEARCHES=1000000 cargo test --release --test fhir model_rows` makes the long run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kenko_fhir::fold::fold;
use kenko_fhir::registry::{self, List};
use serde_json::{Value, json};

use crate::reading::{compares, interval};
use crate::server::{BASE, Server, link, matches};

/// A search parameter, as the CapabilityStatement tells it.
struct Parameter {
    name: String,
    ty: String,
    /// The FHIRPath of what it reads.
    reads: String,
    modifiers: Vec<String>,
}

struct World {
    server: Server,
    /// All resources by type, as they are answered.
    all: BTreeMap<String, Vec<Value>>,
    parameters: BTreeMap<String, Vec<Parameter>>,
    /// `Type/id` to the resource.
    referred: HashMap<String, Value>,
}

/// Systems of elements of type `code`, which their value sets imply.
const IMPLIED: [(&str, &str); 6] = [
    (
        "Patient.gender",
        "http://hl7.org/fhir/administrative-gender",
    ),
    ("Patient.address.use", "http://hl7.org/fhir/address-use"),
    ("Device.status", "http://hl7.org/fhir/device-status"),
    ("Group.type", "http://hl7.org/fhir/group-type"),
    (
        "ResearchStudy.status",
        "http://hl7.org/fhir/research-study-status",
    ),
    (
        "ResearchSubject.status",
        "http://hl7.org/fhir/research-subject-status",
    ),
];

/// The keys of `_sort`: type, parameter, and where the resource has what is compared.
const SORTED: [(&str, &str, &str); 13] = [
    ("Device", "manufacturer", "Device.manufacturer"),
    ("Device", "model", "Device.modelNumber"),
    ("Device", "device-name", "Device.deviceName.name"),
    ("Device", "_lastUpdated", "Resource.meta.lastUpdated"),
    (
        "DeviceDefinition",
        "_lastUpdated",
        "Resource.meta.lastUpdated",
    ),
    ("Group", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("Organization", "name", "Organization.name"),
    ("Organization", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("Patient", "birthdate", "Patient.birthDate"),
    ("Patient", "_lastUpdated", "Resource.meta.lastUpdated"),
    ("Provenance", "recorded", "Provenance.recorded"),
    ("ResearchStudy", "title", "ResearchStudy.title"),
    ("ResearchSubject", "date", "ResearchSubject.period.start"),
];

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
    async fn new() -> World {
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
        World {
            server,
            all,
            parameters,
            referred,
        }
    }

    fn parameter(&self, resource: &str, name: &str) -> &Parameter {
        let mut own = self.parameters[resource].iter();
        own.find(|p| p.name == name).unwrap()
    }

    /// What a parameter reads of a resource.
    fn values(&self, parameter: &Parameter, body: &Value) -> Vec<Value> {
        let found = evaluate(&parameter.reads, body);
        match parameter.reads.contains("resolve() is Patient") {
            true => {
                let patients = found.into_iter();
                let patients = patients.filter(|v| {
                    v["reference"]
                        .as_str()
                        .is_some_and(|r| r.starts_with("Patient/"))
                });
                patients.collect()
            }
            false => found,
        }
    }

    /// The identifiers of what a reference leads to, and those that stand in itself.
    fn identifiers(&self, reference: &Value) -> Vec<Value> {
        let target = reference["reference"].as_str();
        let target = target.and_then(|r| self.referred.get(r));
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

impl Parameter {
    fn new(told: &Value) -> Parameter {
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

/// The values of the few forms of FHIRPath that R4's search parameters have.
fn evaluate(expression: &str, body: &Value) -> Vec<Value> {
    if expression.contains(".exists() and ") {
        // Of nobody is it known: it is not there, so it is false.
        let name = expression.split('.').nth(1).unwrap();
        assert!(members(body, name, None).is_empty());
        return vec![json!(false)];
    }
    let mut out = Vec::new();
    for part in expression.split(" | ") {
        let part = part.trim();
        let (path, of) = match part.strip_prefix('(').and_then(|p| p.strip_suffix(')')) {
            Some(inner) => {
                let (path, of) = inner.split_once(" as ").unwrap();
                (path, Some(of))
            }
            None => (part, None),
        };
        let steps: Vec<&str> = path.split('.').skip(1).collect();
        let mut here = vec![body.clone()];
        for (n, step) in steps.iter().enumerate() {
            if let Some(condition) = step.strip_prefix("where(") {
                if let Some((name, value)) = condition.trim_end_matches(')').split_once('=') {
                    here.retain(|v| v[name] == value.trim_matches('\''));
                }
                continue;
            }
            if step.starts_with("resolve()") {
                continue;
            }
            let of = of.filter(|_| n + 1 == steps.len());
            here = here.iter().flat_map(|v| members(v, step, of)).collect();
        }
        out.extend(here);
    }
    out
}

/// The values of a member, or of one with a choice of types.
fn members(value: &Value, name: &str, of: Option<&str>) -> Vec<Value> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    let chosen = of.map(|of| format!("{name}{}{}", of[..1].to_uppercase(), &of[1..]));
    let is = |member: &str| match &chosen {
        Some(chosen) => member == chosen,
        None => {
            let rest = member.strip_prefix(name);
            rest.is_some_and(|r| r.is_empty() || r.starts_with(char::is_uppercase))
        }
    };
    let found = object.iter().filter(|(member, _)| is(member));
    let each = found.flat_map(|(_, value)| match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    });
    each.collect()
}

/// System and code of what a token can mean in a value.
fn codings(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pair = |v: &Value, code: &str| vec![(text(&v["system"]), text(&v[code]))];
    match value {
        Value::Bool(value) => vec![(
            "http://hl7.org/fhir/special-values".into(),
            value.to_string(),
        )],
        Value::String(code) => {
            let implied = IMPLIED.iter().find(|(path, _)| *path == parameter.reads);
            vec![(
                implied.map_or("", |(_, system)| system).to_owned(),
                code.clone(),
            )]
        }
        concept if concept["coding"].is_array() => {
            let codings = concept["coding"].as_array().unwrap().iter();
            codings.flat_map(|c| pair(c, "code")).collect()
        }
        identifier if identifier["value"].is_string() => pair(identifier, "value"),
        coding => pair(coding, "code"),
    }
}

/// The texts of a value that `:text` reads.
fn displays(value: &Value) -> Vec<String> {
    let codings = value["coding"].as_array().cloned().unwrap_or_default();
    let displays = codings
        .iter()
        .map(|c| &c["display"])
        .chain([&value["text"]]);
    displays
        .filter_map(|t| t.as_str().map(str::to_owned))
        .collect()
}

/// The texts of a value that a string parameter reads.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        address => [
            "text",
            "line",
            "city",
            "district",
            "state",
            "postalCode",
            "country",
        ]
        .iter()
        .flat_map(|part| members(address, part, None))
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect(),
    }
}

/// The interval of a date, or of a period that may be open.
fn span(value: &Value) -> (i64, i64) {
    match value {
        Value::String(text) => interval(text),
        period => (
            period["start"].as_str().map_or(i64::MIN, |t| interval(t).0),
            period["end"].as_str().map_or(i64::MAX, |t| interval(t).1),
        ),
    }
}

/// One condition of a search.
#[derive(Debug, Clone)]
enum Asked {
    Is {
        parameter: String,
        modifier: Option<String>,
        values: Vec<String>,
    },
    /// By a reference parameter, the type it leads to, and what is asked there.
    Chain(String, String, Box<Asked>),
    /// By the type that refers, its parameter, and what is asked of it.
    Has(String, String, Box<Asked>),
}

impl Asked {
    fn name(&self) -> String {
        match self {
            Asked::Is {
                parameter,
                modifier: Some(modifier),
                ..
            } => format!("{parameter}:{modifier}"),
            Asked::Is { parameter, .. } => parameter.clone(),
            Asked::Chain(by, to, inner) => format!("{by}:{to}.{}", inner.name()),
            Asked::Has(from, by, inner) => format!("_has:{from}:{by}:{}", inner.name()),
        }
    }

    fn values(&self) -> &[String] {
        match self {
            Asked::Is { values, .. } => values,
            Asked::Chain(_, _, inner) | Asked::Has(_, _, inner) => inner.values(),
        }
    }

    /// Name and value, as a client writes them.
    fn written(&self) -> String {
        let escaped = self.values().iter().map(|v| match self.is_token() {
            true => v.clone(),
            false => v.replace('\\', "\\\\").replace(',', "\\,"),
        });
        let value = escaped.collect::<Vec<_>>().join(",");
        let mut out = self.name();
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => out.push(byte as char),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    }

    fn is_token(&self) -> bool {
        self.values().iter().any(|v| v.contains('|'))
    }

    /// Whether a resource matches, by the words of the specification.
    fn matches(&self, world: &World, resource: &str, body: &Value) -> bool {
        match self {
            Asked::Is {
                parameter,
                modifier,
                values,
            } => {
                let parameter = world.parameter(resource, parameter);
                let found = world.values(parameter, body);
                match modifier.as_deref() {
                    Some("missing") => values.iter().any(|v| (v == "true") == found.is_empty()),
                    Some("not") => !values
                        .iter()
                        .any(|v| one(world, parameter, None, v, &found)),
                    modifier => values
                        .iter()
                        .any(|v| one(world, parameter, modifier, v, &found)),
                }
            }
            Asked::Chain(by, to, inner) => {
                let found = world.values(world.parameter(resource, by), body);
                found.iter().any(|reference| {
                    let reference = reference["reference"].as_str().unwrap_or_default();
                    let target = world.referred.get(reference);
                    reference.starts_with(&format!("{to}/"))
                        && target.is_some_and(|t| inner.matches(world, to, t))
                })
            }
            Asked::Has(from, by, inner) => {
                let own = format!("{resource}/{}", body["id"].as_str().unwrap());
                let parameter = world.parameter(from, by);
                world.all[from].iter().any(|other| {
                    let found = world.values(parameter, other);
                    found.iter().any(|r| r["reference"] == own.as_str())
                        && inner.matches(world, from, other)
                })
            }
        }
    }
}

/// Whether one value of a parameter is met by any of what it reads.
fn one(
    world: &World,
    parameter: &Parameter,
    modifier: Option<&str>,
    asked: &str,
    found: &[Value],
) -> bool {
    let token = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .any(|(system, code)| match asked.split_once('|') {
                None => code == asked,
                Some(("", c)) => system.is_empty() && code == c,
                Some((s, "")) => system == s,
                Some((s, c)) => system == s && code == c,
            })
    };
    found
        .iter()
        .any(|value| match (parameter.ty.as_str(), modifier) {
            ("token", Some("text")) => displays(value)
                .iter()
                .any(|t| fold(t).starts_with(&fold(asked))),
            ("token", _) => token(&codings(parameter, value)),
            ("string", Some("exact")) => texts(value).iter().any(|t| t == asked),
            ("string", Some("contains")) => {
                texts(value).iter().any(|t| fold(t).contains(&fold(asked)))
            }
            ("string", _) => texts(value)
                .iter()
                .any(|t| fold(t).starts_with(&fold(asked))),
            ("date", _) => {
                let (prefix, date) = asked.split_at(asked.len().min(2));
                let (prefix, date) = match prefix.bytes().all(|b| b.is_ascii_lowercase()) {
                    true => (prefix, date),
                    false => ("", asked),
                };
                let stored = match parameter.reads.contains("lastUpdated")
                    || parameter.name == "recorded"
                    || parameter.name == "when"
                {
                    // An instant of a millisecond.
                    true => (span(value).0, span(value).0 + 1),
                    false => span(value),
                };
                compares(prefix, interval(date), stored)
            }
            ("reference", Some("identifier")) => world
                .identifiers(value)
                .iter()
                .any(|identifier| token(&codings(parameter, identifier))),
            ("reference", of) => {
                let reference = value["reference"].as_str().unwrap_or_default();
                let path = asked.strip_prefix(BASE).map_or(asked, |p| &p[1..]);
                let (ty, id) = reference.split_once('/').unwrap_or_default();
                of.is_none_or(|of| of == ty) && (path == reference || path == id) && !id.is_empty()
            }
            ("uri", Some("below")) => {
                let value = value.as_str().unwrap();
                value == asked || value.starts_with(&format!("{}/", asked.trim_end_matches('/')))
            }
            ("uri", Some("above")) => {
                let value = value.as_str().unwrap();
                value == asked || asked.starts_with(&format!("{value}/"))
            }
            ("uri", _) => value == asked,
            ("composite", _) => {
                // The only one: a characteristic and its value.
                let (code, of) = asked.split_once('$').unwrap();
                let meets = |name: &str, asked: &str| {
                    let (found, parameter) =
                        (evaluate(name, value), world.parameter("Group", "value"));
                    one(world, parameter, None, asked, &found)
                };
                meets("characteristic.code", code)
                    && meets("(characteristic.value as CodeableConcept)", of)
            }
            (ty, modifier) => panic!("{ty} {modifier:?}"),
        })
}

/// Small random numbers, always the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, these: &'a [T]) -> Option<&'a T> {
        these.get(self.below(these.len()))
    }
}

/// A condition on a resource.
fn asked(world: &World, resource: &str, dice: &mut Dice, depth: usize) -> Asked {
    let parameters = &world.parameters[resource];
    let parameter = dice.of(parameters).unwrap();
    if depth > 0 {
        let targets: Vec<String> = targets(world, resource, parameter);
        if let Some(to) = dice.of(&targets).filter(|to| *to != "Observation") {
            let inner = asked(world, to, dice, depth - 1);
            return Asked::Chain(parameter.name.clone(), to.clone(), Box::new(inner));
        }
        let referring: Vec<(&String, &Parameter)> = world
            .parameters
            .iter()
            .flat_map(|(from, all)| all.iter().map(move |p| (from, p)))
            .filter(|(from, p)| targets_of(world, from, p).contains(resource))
            .collect();
        if dice.below(3) == 0
            && let Some((from, by)) = dice.of(&referring)
        {
            let inner = match from.as_str() {
                "Observation" => {
                    let code = ["29463-7", "4548-4", "http://loinc.org|"][dice.below(3)];
                    let date = ["2018-01-10", "ge2018-01-11", "2019"][dice.below(3)];
                    let [parameter, value] = [["code", code], ["date", date]][dice.below(2)];
                    Asked::Is {
                        parameter: parameter.into(),
                        modifier: None,
                        values: vec![value.into()],
                    }
                }
                _ => asked(world, from, dice, depth - 1),
            };
            return Asked::Has((*from).clone(), by.name.clone(), Box::new(inner));
        }
    }
    let modifiers: Vec<Option<&String>> = [None, None, None]
        .into_iter()
        .chain(parameter.modifiers.iter().map(Some))
        .filter(|m| {
            !m.is_some_and(|m| {
                ["in", "not-in", "below", "above"].contains(&m.as_str()) && parameter.ty == "token"
            })
        })
        .collect();
    let modifier = dice.of(&modifiers).unwrap().cloned();
    let number = 1 + dice.below(2);
    let values = (0..number).map(|_| value(world, resource, parameter, modifier.as_deref(), dice));
    Asked::Is {
        parameter: parameter.name.clone(),
        values: values.collect(),
        modifier,
    }
}

fn targets(world: &World, resource: &str, parameter: &Parameter) -> Vec<String> {
    targets_of(world, resource, parameter).into_iter().collect()
}

/// The types that a reference parameter leads to in fact.
fn targets_of(world: &World, resource: &str, parameter: &Parameter) -> BTreeSet<String> {
    if parameter.ty != "reference" {
        return BTreeSet::new();
    }
    let found = world.all[resource].iter();
    let found = found.flat_map(|body| world.values(parameter, body));
    let types = found.filter_map(|v| {
        let reference = v["reference"].as_str()?;
        Some(reference.split_once('/')?.0.to_owned())
    });
    types.collect()
}

/// A value near what is stored.
fn value(
    world: &World,
    resource: &str,
    parameter: &Parameter,
    modifier: Option<&str>,
    dice: &mut Dice,
) -> String {
    if modifier == Some("missing") {
        return ["true", "false"][dice.below(2)].into();
    }
    let body = dice.of(&world.all[resource]).unwrap();
    let found = world.values(parameter, body);
    let found = dice.of(&found);
    let token = |pairs: &[(String, String)], dice: &mut Dice| {
        let Some((system, code)) = dice.of(pairs).cloned() else {
            return "nothing".to_owned();
        };
        match dice.below(6) {
            0 | 1 => code,
            2 | 3 if !system.is_empty() => format!("{system}|{code}"),
            4 if !system.is_empty() => format!("{system}|"),
            _ => format!("|{code}"),
        }
    };
    match (parameter.ty.as_str(), modifier) {
        ("token", Some("text")) => {
            let texts = found.map(displays).unwrap_or_default();
            let text = dice.of(&texts).cloned().unwrap_or_else(|| "x".into());
            cut(&text, dice)
        }
        ("token", _) => token(
            &found.map(|v| codings(parameter, v)).unwrap_or_default(),
            dice,
        ),
        ("string", modifier) => {
            let texts = found.map(texts).unwrap_or_default();
            let text = dice.of(&texts).cloned().unwrap_or_else(|| "アクメ".into());
            match modifier {
                Some("exact") if dice.below(4) > 0 => text,
                Some("contains") => {
                    let from = dice.below(text.chars().count());
                    disguise(
                        &cut(&text.chars().skip(from).collect::<String>(), dice),
                        dice,
                    )
                }
                _ => disguise(&cut(&text, dice), dice),
            }
        }
        ("date", _) => {
            let dates = match found {
                Some(Value::String(date)) => vec![date.clone()],
                Some(period) => ["start", "end"]
                    .iter()
                    .filter_map(|end| period[*end].as_str().map(str::to_owned))
                    .collect(),
                None => Vec::new(),
            };
            let date = dice
                .of(&dates)
                .cloned()
                .unwrap_or_else(|| "2017-06-15".into());
            let lengths = [4, 7, 10, date.len()];
            let date = &date[..lengths[dice.below(4)].min(date.len())];
            let prefix = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"][dice.below(9)];
            format!("{prefix}{date}")
        }
        ("reference", Some("identifier")) => {
            let identifiers = found.map(|v| world.identifiers(v)).unwrap_or_default();
            let pairs = identifiers.iter().flat_map(|i| codings(parameter, i));
            token(&pairs.collect::<Vec<_>>(), dice)
        }
        ("reference", _) => {
            let reference = found.and_then(|v| v["reference"].as_str());
            let reference = reference.unwrap_or("Patient/unknown");
            match dice.below(3) {
                0 => reference.split_once('/').unwrap().1.to_owned(),
                1 => reference.to_owned(),
                _ => format!("{BASE}/{reference}"),
            }
        }
        ("uri", modifier) => {
            let uri = found.and_then(Value::as_str).unwrap_or("http://x/y/z");
            match modifier {
                Some("below") => uri.rsplit_once('/').unwrap().0.to_owned(),
                Some("above") => format!("{uri}/more"),
                _ => uri.to_owned(),
            }
        }
        ("composite", _) => {
            let codes = ["4548-4", "medication_codes", "http://loinc.org|4548-4"];
            let values = ["1", "3", "4"];
            format!("{}${}", codes[dice.below(3)], values[dice.below(3)])
        }
        (ty, _) => panic!("{ty}"),
    }
}

/// The first letters of a text, one at least.
fn cut(text: &str, dice: &mut Dice) -> String {
    let length = 1 + dice.below(text.chars().count());
    text.chars().take(length).collect()
}

/// The same letters, written in another way.
fn disguise(text: &str, dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => text
            .chars()
            .map(|c| match c {
                'ァ'..='ヶ' => char::from_u32(u32::from(c) - 0x60).unwrap(),
                '!'..='~' => char::from_u32(u32::from(c) + 0xFEE0).unwrap(),
                c => c,
            })
            .collect(),
        _ => text.to_owned(),
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
    let mut found: Vec<Value> = Vec::new();
    let mut pages: Vec<Vec<Value>> = Vec::new();
    let mut next = Some(path.clone());
    let mut last = Value::Null;
    while let Some(url) = next {
        let answer = world
            .server
            .send("GET", &url, &[("prefer", "handling=strict")], "")
            .await;
        if answer.status != 200 {
            return Err(format!("{url}: {} {}", answer.status, answer.text));
        }
        last = answer.json();
        if last["total"].as_u64() != Some(want.len() as u64) {
            let (total, want) = (&last["total"], want.len());
            return Err(format!("{url}: total {total} instead of {want}"));
        }
        let here = matches(&last);
        next = link(&last, "next");
        if here.len() > count || (next.is_some() && here.len() < count) {
            return Err(format!("{url}: {} on a page", here.len()));
        }
        found.extend_from_slice(&here);
        pages.push(here);
        if pages.len() > 500 {
            return Err(format!("{path}: no end"));
        }
    }
    let ids: Vec<&str> = found.iter().map(|f| f["id"].as_str().unwrap()).collect();
    let once: BTreeSet<&str> = ids.iter().copied().collect();
    if once != want || once.len() != ids.len() {
        let missing: Vec<_> = want.difference(&once).collect();
        let wrong: Vec<_> = once.difference(&want).collect();
        return Err(format!(
            "{path}: missing {missing:?}, wrong {wrong:?}, {} in all",
            ids.len()
        ));
    }
    if let Some(((_, _, reads), down)) = sort {
        let key = |body: &Value| {
            let values = evaluate(reads, body);
            values.first().map(|v| fold(v.as_str().unwrap()))
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
        let Some(url) = link(&last, "previous") else {
            return Err(format!("{path}: no way back"));
        };
        last = world.server.get(&url).await.json();
        if matches(&last) != *former {
            return Err(format!("{url}: another page than on the way there"));
        }
    }
    match link(&last, "previous") {
        Some(url) if !matches(&world.server.get(&url).await.json()).is_empty() => {
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
