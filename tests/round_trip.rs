//! A submission to FHIR and back gives the same normal form, decimals to the digit, for random
//! records of every kind there is, the optional ones included.
//!
//! `KENKO_ROUND_TRIPS=1000000 cargo test --release --test round_trip` makes the long run.

use kenko_fhir::exchange::{self, Options};
use kenko_fhir::fhir::canonical::Canonical;
use kenko_fhir::fhir::{bundle, inbound};
use kenko_fhir::kind::{Edition, Field, Kind, Kinds, Type};
use kenko_fhir::registry::Registries;

/// xorshift64*: the same records on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % below
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.next(items.len() as u64) as usize]
    }
}

/// Characters that have been lost by others: separators of ours, quotes, controls of JSON,
/// Japanese in both widths, beyond the basic plane.
const CHARACTERS: [char; 20] = [
    'a', 'Z', '0', ':', '%', '"', '\\', '/', '{', '}', '<', '&', '体', 'ｱ', 'が', '〜', '😀', 'é',
    '-', '_',
];

fn text(random: &mut Random, max: u16) -> String {
    let length = match random.next(10) {
        0 => u64::from(max),
        _ => 1 + random.next(u64::from(max.min(12))),
    };
    (0..length).map(|_| *random.one_of(&CHARACTERS)).collect()
}

fn number(random: &mut Random, digits: u8, decimals: u8) -> String {
    let written = random.next(u64::from(decimals) + 1) as u8;
    let room = digits - if written > 0 { written + 1 } else { 0 };
    let places = 1 + random.next(u64::from(room));
    let whole = random.next(10_u64.pow(places as u32));
    if written == 0 {
        return whole.to_string();
    }
    let fraction = match random.next(3) {
        0 => 0,
        _ => random.next(10_u64.pow(u32::from(written))),
    };
    format!("{whole}.{fraction:0width$}", width = usize::from(written))
}

/// The time of the n-th record of a kind: a day of its own, and the hours that break things.
fn time14(random: &mut Random, day: u32) -> String {
    let date =
        chrono::NaiveDate::from_ymd_opt(2016, 2, 27).unwrap() + chrono::Days::new(day.into());
    let hour = match random.next(6) {
        0 | 1 => "000000".into(),
        2 => "000001".into(),
        3 => "235959".into(),
        _ => format!(
            "{:02}{:02}{:02}",
            random.next(24),
            random.next(60),
            random.next(60)
        ),
    };
    date.format("%Y%m%d").to_string() + &hour
}

fn value(random: &mut Random, field: &Field, day: u32) -> String {
    match field.ty {
        Type::Time14 => format!("\"{}\"", time14(random, day)),
        Type::Time17 => {
            let at = time14(random, day);
            format!("\"{at}{:03}\"", random.next(1000))
        }
        Type::Number {
            digits, decimals, ..
        } => number(random, digits, decimals),
        Type::Code => format!("\"{}\"", random.one_of(&field.codes).code),
        Type::Text { max } => serde_json::to_string(&text(random, max)).unwrap(),
    }
}

fn record(random: &mut Random, kind: &Kind, day: u32) -> String {
    let mut members: Vec<String> = Vec::new();
    for field in &kind.fields {
        if field.required || random.next(10) < 7 {
            members.push(format!("\"{}\":{}", field.name, value(random, field, day)));
        }
    }
    format!("{{{}}}", members.join(","))
}

/// A submission of some people with some records of every kind; how many records it has.
fn submission(random: &mut Random, kinds: &Kinds) -> (String, usize) {
    let mut records = 0;
    let mut people = Vec::new();
    for person in 0..1 + random.next(4) {
        let mut sections = Vec::new();
        for section in &kinds.sections {
            let mut arrays = Vec::new();
            for kind in kinds.iter().filter(|k| &k.section == section) {
                let days = random.next(12) as u32;
                if days == 0 {
                    continue;
                }
                records += days as usize;
                let list: Vec<String> = (0..days).map(|d| record(random, kind, d)).collect();
                arrays.push(format!("\"{}\":[{}]", kind.array, list.join(",")));
            }
            sections.push(format!("\"{section}\":{{{}}}", arrays.join(",")));
        }
        people.push(format!(
            "{{\"person_id\":\"P{person}\",{}}}",
            sections.join(",")
        ));
    }
    let text = format!(
        "{{\"format_version\":\"1.{}\",\"send_time\":\"20300101000000{:03}\",\"consortium_id\":\"A00001\",\"person_information\":[{}]}}",
        random.next(10),
        random.next(1000),
        people.join(",")
    );
    (text, records)
}

/// The normal form of what was read.
fn normal(kinds: &Kinds, submission: &exchange::Submission) -> String {
    assert!(
        !submission.has_errors(),
        "{:#?}",
        submission.all_faults().find(|f| f.is_error())
    );
    let out = exchange::write(Vec::new(), kinds, submission, Edition::E2017).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn to_fhir_and_back_gives_the_same_normal_form() {
    let most: usize = std::env::var("KENKO_ROUND_TRIPS").map_or(100_000, |n| n.parse().unwrap());
    let kinds = Kinds::load(Some("mappings/optional".as_ref()), Canonical::default()).unwrap();
    let registries = Registries::new();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut trips = 0;
    let mut per_kind = vec![0; kinds.len()];
    for round in 0.. {
        if trips >= most {
            break;
        }
        let (text, records) = submission(&mut random, &kinds);
        let sent = exchange::read(&kinds, Options::default(), text.as_bytes()).unwrap();
        let expected = normal(&kinds, &sent);
        sent.rows
            .iter()
            .for_each(|row| per_kind[usize::from(row.kind)] += 1);
        let options = bundle::Options {
            shape: if round % 2 == 0 {
                bundle::Shape::Panel
            } else {
                bundle::Shape::Split
            },
            edition: Edition::E2017,
            base_url: "",
            registries: &registries,
        };
        let fhir = match round % 3 {
            0 => bundle::write_collection(Vec::new(), &kinds, &sent, &options),
            1 => bundle::write_ndjson(Vec::new(), &kinds, &sent, &options),
            _ => bundle::write_transaction(Vec::new(), &kinds, &sent, &options),
        };
        let fhir = fhir.unwrap();
        let input = inbound::read_any(&kinds, inbound::Options::default(), &fhir[..]);
        let (back, outcome) = input
            .unwrap()
            .finish(&kinds, inbound::Known::of(&registries));
        assert!(!outcome.has_errors(), "{:#?}\n{text}", outcome.issues);
        if records > 0 {
            assert_eq!(back.len(), 1);
            assert_eq!(normal(&kinds, &back[0]), expected, "{text}");
        }
        trips += records;
    }
    assert!(
        per_kind.iter().all(|&n| n > most / 100),
        "every kind was tried: {per_kind:?}"
    );
}
