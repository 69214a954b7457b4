//! inverse(forward(record)) is the record, in every shape and form and in any order.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::fhir::bundle::{self, Shape};
use crate::kind::{Kind, Type};
use crate::record::{Cell, Texts};
use crate::registry::Registries;
use crate::time;

#[test]
fn the_worked_examples_read_back() {
    for name in [
        "weighing_scale",
        "home_blood_pressure",
        "physical_activity",
        "hba1c",
        "checkup_blood_pressure",
    ] {
        let file = |file: &str| {
            let text = std::fs::read_to_string(format!("tests/golden/{name}/{file}.json"));
            serde_json::from_str::<Value>(&text.unwrap()).unwrap()
        };
        let (record, resource) = (file("record"), file("resource"));
        let text = |field: &str| record[field].as_str().unwrap_or_default();
        let id = |reference: &Value| {
            let reference = reference.as_str().unwrap_or("x/x");
            reference.split('/').nth(1).unwrap().to_owned()
        };
        let device = json!({"resourceType": "Device", "id": id(&resource["device"]["reference"]),
            "manufacturer": text("model_manufacturer_code"), "modelNumber": text("model_number"),
            "serialNumber": text("production_specification_serial")});
        let mut lines = vec![resource.to_string()];
        if resource.get("device").is_some() {
            lines.push(device.to_string());
        }
        let (submissions, outcome) = read(&lines.join("\n"));
        assert_eq!(outcome.issues, [], "{name}");
        let read = records(&submissions);
        assert_eq!(read.len(), 1, "{name}");
        assert_eq!(read[0], record, "{name}");
        assert_eq!(submissions[0].consortium_id, "A00001");
    }
}

/// Times that are easily got wrong, and any other.
fn seconds() -> impl Strategy<Value = i64> {
    let edges = [
        "20160901000000",
        "20160901000001",
        "20160901235959",
        "20160229120000",
        "20200229000000",
        "20161231235959",
        "20170101000000",
        "19700101090000",
        "19691231235959",
    ];
    prop_oneof![
        prop::sample::select(edges.map(|t| time::parse14(t).unwrap()).to_vec()),
        -1_000_000_000_i64..4_000_000_000,
    ]
}

fn text(max: u16) -> impl Strategy<Value = String> {
    let chars = "aZ09-.:%\"\\/|,$& ~<左体😀é".chars().collect::<Vec<_>>();
    let max = usize::from(max).min(12);
    prop::collection::vec(prop::sample::select(chars), 1..=max)
        .prop_map(|chars| chars.into_iter().collect::<String>())
}

#[derive(Debug, Clone)]
enum Draw {
    Number(u64, u8),
    Text(String),
    Code(usize),
    Time(i64),
    Absent,
}

fn draw(kind: &Kind) -> impl Strategy<Value = Vec<Draw>> + use<> {
    let fields: Vec<BoxedStrategy<Draw>> = kind
        .fields
        .iter()
        .map(|field| {
            let value = match field.ty {
                Type::Number {
                    digits, decimals, ..
                } => (0..=decimals)
                    .prop_flat_map(move |written| {
                        let point = u32::from(written > 0);
                        let room = u32::from(digits) - point - u32::from(written);
                        (0..10_u64.pow(room + u32::from(written)), Just(written))
                    })
                    .prop_map(|(value, written)| Draw::Number(value, written))
                    .boxed(),
                Type::Text { max } => text(max).prop_map(Draw::Text).boxed(),
                Type::Code => (0..field.codes.len()).prop_map(Draw::Code).boxed(),
                Type::Time14 => seconds().prop_map(Draw::Time).boxed(),
                Type::Time17 => (seconds(), 0..1000_i64)
                    .prop_map(|(s, ms)| Draw::Time(s * 1000 + ms))
                    .boxed(),
            };
            if field.required {
                value
            } else {
                prop_oneof![value, Just(Draw::Absent)].boxed()
            }
        })
        .collect();
    fields
}

fn cells(kind: &Kind, drawn: &[Draw], texts: &mut Texts) -> Vec<Cell> {
    let cell = |(draw, field): (&Draw, &crate::kind::Field)| match draw {
        Draw::Number(value, written) => {
            let power = 10_i64.pow(u32::from(field.ty.decimals() - written));
            Cell::number(*value as i64 * power, *written)
        }
        Draw::Text(text) => Cell::plain(i64::from(texts.intern(text))),
        Draw::Code(place) => Cell::plain(*place as i64),
        Draw::Time(at) => Cell::plain(*at),
        Draw::Absent => Cell::ABSENT,
    };
    drawn.iter().zip(&kind.fields).map(cell).collect()
}

/// One record of every kind, each for one of two persons.
fn submission() -> impl Strategy<Value = Submission> {
    let drawn: Vec<_> = kinds().iter().map(|kind| (draw(kind), 0..2_u32)).collect();
    (drawn, 4_200_000_000_000_i64..4_300_000_000_000).prop_map(|(drawn, send_time)| {
        let mut out = Submission::new(100);
        out.format_version = "1.0".into();
        out.send_time = send_time;
        out.consortium_id = "A00001".into();
        out.persons = vec!["P1".into(), "P2".into()];
        for (kind, (drawn, person)) in kinds().iter().zip(&drawn) {
            let mut texts = std::mem::take(&mut out.texts);
            let cells = cells(kind, drawn, &mut texts);
            out.texts = texts;
            out.push(*person, kind, &cells);
        }
        out
    })
}

/// Puts members and elements in another order.
fn shuffle(value: &mut Value, seed: &mut u64) {
    let mut next = |n: usize| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 33) as usize % n.max(1)
    };
    match value {
        Value::Object(members) => {
            let mut list: Vec<_> = std::mem::take(members).into_iter().collect();
            for i in (1..list.len()).rev() {
                list.swap(i, next(i + 1));
            }
            list.iter_mut().for_each(|(_, v)| shuffle(v, seed));
            *members = list.into_iter().collect::<Map<_, _>>();
        }
        Value::Array(items) => {
            for i in (1..items.len()).rev() {
                items.swap(i, next(i + 1));
            }
            items.iter_mut().for_each(|v| shuffle(v, seed));
        }
        _ => {}
    }
}

fn forms(submission: &Submission, shape: Shape) -> [String; 3] {
    let registries = Registries::new();
    let options = bundle::Options {
        shape,
        edition: Edition::E2017,
        base_url: "",
        registries: &registries,
    };
    let kinds = kinds();
    [
        bundle::write_collection(Vec::new(), kinds, submission, &options),
        bundle::write_transaction(Vec::new(), kinds, submission, &options),
        bundle::write_ndjson(Vec::new(), kinds, submission, &options),
    ]
    .map(|out| String::from_utf8(out.unwrap()).unwrap())
}

fn assert_back(text: &str, expected: &str) {
    let (submissions, outcome) = read(text);
    let said: Vec<_> = outcome
        .issues
        .iter()
        .filter(|i| i.fault.code != Code::Implausible)
        .collect();
    assert!(said.is_empty(), "{said:#?}\n{text}");
    assert_eq!(submissions.len(), 1);
    assert_eq!(written(&submissions[0]), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_record_comes_back(submission in submission(), seed in any::<u64>()) {
        let expected = written(&submission);
        for shape in [Shape::Panel, Shape::Split] {
            let [collection, transaction, ndjson] = forms(&submission, shape);
            for text in [&collection, &transaction, &ndjson] {
                assert_back(text, &expected);
            }
            let mut seed = seed;
            for text in [&collection, &transaction] {
                let mut value: Value = serde_json::from_str(text).unwrap();
                shuffle(&mut value, &mut seed);
                assert_back(&value.to_string(), &expected);
            }
            let mut lines: Vec<&str> = ndjson.lines().collect();
            lines.reverse();
            assert_back(&lines.join("\n"), &expected);
        }
    }
}
