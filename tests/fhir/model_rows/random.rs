//! Random conditions near what is stored.

use serde_json::Value;

use super::condition::Asked;
use super::paths::{codings, displays, texts};
use super::{Parameter, World, without_version};
use crate::server::BASE;

/// Small random numbers, always the same for a seed.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    pub(crate) fn of<'a, T>(&mut self, these: &'a [T]) -> Option<&'a T> {
        these.get(self.below(these.len()))
    }
}

/// A condition on a resource.
pub(super) fn asked(world: &World, resource: &str, dice: &mut Dice, depth: usize) -> Asked {
    let parameters = &world.parameters[resource];
    let parameter = dice.of(parameters).unwrap();
    if depth > 0 {
        let targets = targets_of(world, resource, parameter);
        if let Some(&to) = dice.of(&targets).filter(|to| **to != "Observation") {
            let inner = asked(world, to, dice, depth - 1);
            return Asked::Chain(parameter.name.clone(), to.clone(), Box::new(inner));
        }
        let referring: Vec<(&String, &Parameter)> = world
            .parameters
            .iter()
            .flat_map(|(from, all)| all.iter().map(move |p| (from, p)))
            .filter(|(from, p)| targets_of(world, from, p).iter().any(|to| *to == resource))
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

/// The types that a reference parameter leads to in fact.
fn targets_of<'a>(world: &'a World, resource: &str, parameter: &Parameter) -> Vec<&'a String> {
    let key = (resource.to_owned(), parameter.name.clone());
    world.targets.get(&key).into_iter().flatten().collect()
}

/// A value near what is stored.
pub(super) fn value(
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
    let found = dice.of(&found).copied();
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
            let reference = without_version(reference.unwrap_or("Patient/unknown"));
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
pub(super) fn cut(text: &str, dice: &mut Dice) -> String {
    let length = 1 + dice.below(text.chars().count());
    text.chars().take(length).collect()
}

/// The same letters, written in another way.
pub(super) fn disguise(text: &str, dice: &mut Dice) -> String {
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
