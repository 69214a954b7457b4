//! Mutations of inputs: of their structure where they are JSON, else of their bytes.

use serde_json::Value;

use crate::random::Random;
use crate::targets::Target;

/// Numbers at the boundaries of what is read.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "0.0",
    "1e400",
    "1E-400",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "2147483648",
    "0.000000000000000000001",
    "65.50",
    "6.5e1",
    "999999999999999999999999999999",
    "4294967295",
    "65536",
    "1e19",
];
/// Texts that readers treat in ways of their own.
const TEXTS: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "\u{feff}",
    "\u{3000}",
    "健康",
    "ﾊﾝｶｸ",
    "𠮟",
    "e\u{301}",
    "\u{202e}",
    "null",
    "00010101000000",
    "99991231235959999",
    "20160230000000",
    "20160901240000",
    "2016-09-01",
    "2016-02-29T23:59:60Z",
    "9999-12-31T23:59:59+14:00",
    "0000-00-00",
    "urn:uuid:",
    "#",
    "#x",
    "a|b|c",
    "$,|\\",
    "%",
    "-",
    "/",
    "~0",
    "~1",
    "..",
    "Patient/",
    "http://a/b",
    "kg",
    "[lb_av]",
];
/// Accepted inputs that are mutated further.
const KEPT: usize = 512;
/// Depth of a nest.
const DEEP: usize = 3000;

/// Source of inputs.
pub struct Mutator<'a> {
    target: &'a Target,
    random: Random,
    length: usize,
    kept: Vec<Vec<u8>>,
}

impl<'a> Mutator<'a> {
    /// Mutations of a target's corpus, at most so long.
    pub fn new(target: &'a Target, random: Random, length: usize) -> Mutator<'a> {
        Mutator {
            target,
            random,
            length,
            kept: Vec::new(),
        }
    }

    /// Mutates an accepted input further, too.
    pub fn keep(&mut self, input: Vec<u8>) {
        match self.kept.len() < KEPT {
            true => self.kept.push(input),
            false => {
                let at = self.random.below(KEPT);
                self.kept[at] = input;
            }
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.base();
        for _ in 0..1 + self.random.below(4) {
            let parsed = match self.random.below(5) {
                0 => None,
                _ => serde_json::from_slice::<Value>(&input).ok(),
            };
            match parsed {
                Some(mut value) => {
                    self.value(&mut value);
                    input = value.to_string().into_bytes();
                }
                None => self.bytes(&mut input),
            }
        }
        input.truncate(self.length);
        input
    }

    fn base(&mut self) -> Vec<u8> {
        let corpus = &self.target.corpus;
        match self.kept.is_empty() || self.random.below(2) == 0 {
            true => self.random.pick(corpus).clone(),
            false => self.random.pick(&self.kept).clone(),
        }
    }

    /// Changes one node of a document.
    fn value(&mut self, document: &mut Value) {
        let nodes = count(document);
        let other = self.base();
        let other: Value = serde_json::from_slice(&other).unwrap_or(Value::Null);
        let of_other = self.random.below(count(&other));
        let given = match self.random.below(8) {
            0 => self
                .random
                .pick(NUMBERS)
                .parse()
                .map_or(Value::Null, Value::Number),
            1 => (*self.random.pick(TEXTS)).into(),
            2 => self.random.pick(self.target.tokens).to_string().into(),
            3 => [
                Value::Null,
                true.into(),
                Vec::<Value>::new().into(),
                Value::Object(Default::default()),
            ][self.random.below(4)]
            .clone(),
            _ => node(&mut other.clone(), of_other)
                .cloned()
                .unwrap_or_default(),
        };
        let at = self.random.below(nodes);
        let Some(found) = node(document, at) else {
            return;
        };
        let (how, place) = (self.random.below(6), self.random.below(64));
        match (found, how) {
            (Value::Object(members), 0) => {
                let name = self.random.pick(self.target.tokens).to_string();
                members.insert(name, given);
            }
            (Value::Object(members), 1) if !members.is_empty() => {
                let name = members.keys().nth(place % members.len()).cloned();
                let _ = name.and_then(|name| members.shift_remove(&name));
            }
            (Value::Array(items), 0) => items.insert(place % (items.len() + 1), given),
            (Value::Array(items), 1) if !items.is_empty() => {
                let item = items[place % items.len()].clone();
                items.extend(std::iter::repeat_n(item, 1 + place));
            }
            (Value::Array(items), 2) if !items.is_empty() => {
                items.remove(place % items.len());
            }
            (Value::Number(number), 0..4) => {
                let text = self.random.pick(NUMBERS);
                if let Ok(parsed) = text.parse() {
                    *number = parsed;
                }
            }
            (Value::String(text), 0..3) => {
                let mut bytes = std::mem::take(text).into_bytes();
                self.bytes(&mut bytes);
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
            (found, _) => *found = given,
        }
    }

    /// Changes some bytes.
    fn bytes(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        let end = (at + self.random.below(32)).min(input.len());
        match self.random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            1 => drop(input.drain(at..end)),
            2 => {
                let part = input[at..end].to_vec();
                let times = 1 + self.random.below(64);
                drop(input.splice(at..at, part.repeat(times)));
            }
            3 => {
                let other = self.base();
                let from = self.random.below(other.len() + 1);
                let to = (from + self.random.below(256)).min(other.len());
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
            4 => {
                let token = *self.random.pick(self.target.tokens);
                drop(input.splice(at..at, token.bytes()));
            }
            5 => drop(input.splice(at..end, self.random.pick(NUMBERS).bytes())),
            6 => drop(input.splice(at..end, self.random.pick(TEXTS).bytes())),
            7 if self.random.below(20) == 0 => {
                let nest = *self
                    .random
                    .pick(&["[", "{\"a\":", "(", "_has:", "\"", "~", "%"]);
                drop(input.splice(at..at, nest.repeat(DEEP).into_bytes()));
            }
            _ => input.insert(at, self.random.below(256) as u8),
        }
    }
}

/// Nodes of a document.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The node of this number, in the order of the text.
fn node(value: &mut Value, mut number: usize) -> Option<&mut Value> {
    if number == 0 {
        return Some(value);
    }
    number -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        let nodes = count(child);
        if number < nodes {
            return node(child, number);
        }
        number -= nodes;
    }
    None
}
