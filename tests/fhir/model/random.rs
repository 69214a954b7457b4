//! Random searches near what is stored.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDateTime, TimeDelta};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{JST, TIMES, TYPES, World};
use crate::reading::{VALUE_SETS, codings, concepts, interval, text};
use crate::server::BASE;

/// A search: its parameters as they are written, each with its values.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) ty: &'static str,
    pub(crate) parts: Vec<(String, String)>,
    pub(crate) sort: String,
    pub(crate) count: Option<usize>,
    pub(crate) total: bool,
}

pub(super) const PREFIXES: [&str; 9] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];

/// Some of what is there to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
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

pub(super) const CONCEPTS: [&str; 6] = [
    "code",
    "category",
    "method",
    "combo-code",
    "component-code",
    "status",
];

impl Vocabulary {
    pub(crate) fn new(world: &World) -> Vocabulary {
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

/// The values of a parameter: one or two, and sometimes a long list.
pub(super) fn several(
    one: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = String> {
    let numbers = prop_oneof![9 => 1..3_usize, 1 => 17..60_usize];
    let one = one.boxed();
    numbers
        .prop_flat_map(move |n| prop::collection::vec(one.clone(), n))
        .prop_map(|values| values.join(","))
}

pub(super) fn token(codings: Vec<(String, String)>) -> impl Strategy<Value = String> {
    (select(codings), 0..7_u8).prop_map(|((system, code), form)| match form {
        0 | 1 => code,
        2 | 3 => format!("{system}|{code}"),
        4 => format!("{system}|"),
        5 if system == "http://loinc.org" => format!("urn:oid:2.16.840.1.113883.6.1|{code}"),
        _ => format!("|{code}"),
    })
}

/// A token parameter with any of its modifiers.
pub(super) fn concept(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
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
pub(super) fn quantity(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
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
                "kPa" => "mm[Hg]",
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
pub(super) fn measured(vocabulary: &Vocabulary) -> impl Strategy<Value = (String, String)> + use<> {
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
pub(super) fn date() -> impl Strategy<Value = String> {
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

pub(super) fn updated(vocabulary: &Vocabulary) -> impl Strategy<Value = String> + use<> {
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
pub(super) fn reference(
    vocabulary: &Vocabulary,
) -> impl Strategy<Value = (String, String)> + use<> {
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

pub(super) fn missing() -> impl Strategy<Value = (String, String)> {
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
pub(super) fn of_observation(
    vocabulary: &Vocabulary,
) -> impl Strategy<Value = (String, String)> + use<> {
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

pub(crate) fn asked(vocabulary: &Vocabulary) -> impl Strategy<Value = Asked> + use<> {
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
        "_id",
        "-_id",
        "status,_id",
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
