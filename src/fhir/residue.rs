//! What a written resource says beyond its record: its *residue* (design.md, "The store keeps
//! records, not resources").
//!
//! In: the resource as the record renders it, and as it was written. Out: a small document
//! that, laid [`onto`] the rendered resource, gives back everything that was written. It is
//! kept beside the record, so it outlives a correction by the protocol: what it adds is
//! added to the new version, what it says differently of a value counts only while that
//! value is what it was.
//!
//! Elements of arrays are found by what they are (system and code or value, url, reference, a
//! shared coding), never by where they stand. What the record renders and the written
//! resource lacks is no residue: a foreign resource need not have our constants.
//!
//! The document is JSON, one form for each place:
//!
//! | form | means |
//! |---|---|
//! | `{"=": value}` | this stands here, where the record renders nothing |
//! | `…, "while": [numbers]` | the same, as long as the values beside it are these |
//! | `{"=": value, "for": [name, was]}` | this stands here instead of another type of the element, as long as that is what it was |
//! | `{"~": [was, is]}` | this stands here instead of what the record renders, as long as it renders that |
//! | `{"o": {name: form}}` | members of an object |
//! | `{"&": [form]}` | several of them, one after the other |
//! | `{"a": [[key, form]], "+": [value]}` | elements of an array, each by its key; elements more |
//! | `…, "*": [value]` | the same, beside one of that key |

use serde_json::{Map, Value, json};

use crate::decimal;

/// The residue of a resource; `None` where the record says it all.
pub fn of(rendered: &Value, written: &Value) -> Option<Value> {
    match (rendered, written) {
        (Value::Object(ours), Value::Object(theirs)) => object(ours, theirs),
        (Value::Array(ours), Value::Array(theirs)) => array(ours, theirs),
        _ if rendered == written => None,
        _ => Some(json!({ "~": [rendered, written] })),
    }
}

fn object(ours: &Map<String, Value>, theirs: &Map<String, Value>) -> Option<Value> {
    let mut members = Map::new();
    for (name, value) in theirs {
        let form = match (name.as_str(), value) {
            ("extension", Value::Array(extensions)) => extension(ours, extensions),
            _ => one(ours, name, value),
        };
        members.extend(form.map(|form| (name.clone(), form)));
    }
    (!members.is_empty()).then(|| json!({ "o": members }))
}

/// The form of a member.
fn one(ours: &Map<String, Value>, name: &str, value: &Value) -> Option<Value> {
    match ours.get(name) {
        Some(own) => of(own, value),
        None => Some(more(ours, name, value)),
    }
}

/// The form of the extensions, of which some are about the value beside them.
fn extension(ours: &Map<String, Value>, extensions: &[Value]) -> Option<Value> {
    let (about, others): (Vec<Value>, Vec<Value>) =
        extensions.iter().cloned().partition(is_original_value);
    let has_others = !others.is_empty();
    let others = has_others
        .then(|| one(ours, "extension", &others.into()))
        .flatten();
    if about.is_empty() {
        return others;
    }
    let sign = match ours.contains_key("extension") || has_others {
        true => "+",
        false => "=",
    };
    let about = json!({ sign: about, "while": numbers(ours) });
    Some(match others {
        Some(others) => json!({ "&": [others, about] }),
        None => about,
    })
}

/// Whether an extension holds a quantity as it was written before it was converted.
pub fn is_original_value(extension: &Value) -> bool {
    let url = extension["url"].as_str();
    url.is_some_and(|url| url.ends_with(ORIGINAL_VALUE))
}

/// The end of the address of the extension with a quantity as it was written.
pub const ORIGINAL_VALUE: &str = "/StructureDefinition/original-value";

/// The form of a member that the record does not render.
fn more(ours: &Map<String, Value>, name: &str, value: &Value) -> Value {
    // A narrative may tell the value.
    if name == "interpretation" || (name == "text" && value.is_object()) {
        return json!({ "=": value, "while": numbers(ours) });
    }
    let other = CHOICES.iter().find_map(|choice| {
        let is_one = |name: &str| {
            let rest = name.strip_prefix(choice);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        let mut others = ours.iter().filter(|(own, _)| is_one(own));
        is_one(name).then(|| others.next()).flatten()
    });
    match other {
        Some((other, was)) => json!({ "=": value, "for": [other, was] }),
        None => json!({ "=": value }),
    }
}

/// Elements of an Observation that may have several types, of which there is one.
const CHOICES: [&str; 2] = ["effective", "value"];

/// The values that an interpretation is about: of an object, and of its components.
fn numbers(of: &Map<String, Value>) -> Vec<&Value> {
    let components = of.get("component").and_then(Value::as_array);
    let components = components.into_iter().flatten();
    std::iter::once(of)
        .chain(components.filter_map(Value::as_object))
        .filter_map(|members| members.get("valueQuantity")?.get("value"))
        .collect()
}

fn array(ours: &[Value], theirs: &[Value]) -> Option<Value> {
    let mut used = vec![false; ours.len()];
    let mut others = Vec::new();
    for value in theirs {
        let says = |own: &Value| same(own, value) && of(own, value).is_none();
        match ours.iter().position(says) {
            // An array is a set: what one says once it need not say again.
            Some(at) => used[at] = true,
            None => others.push(value),
        }
    }
    let mut changed = Vec::new();
    let (mut more, mut beside) = (Vec::new(), Vec::new());
    for value in others {
        let alike: Vec<usize> = (0..ours.len()).filter(|&i| same(&ours[i], value)).collect();
        match alike.as_slice() {
            [] => more.push(value.clone()),
            &[at] if !used[at] => {
                used[at] = true;
                changed.extend(of(&ours[at], value).map(|form| json!([key(&ours[at]), form])));
            }
            _ => beside.push(value.clone()),
        }
    }
    let mut out = Map::new();
    if !changed.is_empty() {
        out.insert("a".into(), changed.into());
    }
    for (sign, list) in [("+", more), ("*", beside)] {
        if !list.is_empty() {
            out.insert(sign.into(), list.into());
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// Takes apart what alone makes no new version (mapping specification §5.2): `issued`, `meta`
/// and `text`, and numbers that are equal but for their digits. The rest comes first.
pub fn apart(mut form: Value) -> (Option<Value>, Option<Value>) {
    let mut aside = Map::new();
    if let Some(members) = form.get_mut("o").and_then(Value::as_object_mut) {
        for name in ["issued", "meta", "text"] {
            aside.extend(members.shift_remove(name).map(|form| (name.into(), form)));
        }
    }
    let (rest, digits) = without_digits(form);
    if let Some(Value::Object(members)) = digits.map(|mut digits| digits["o"].take()) {
        aside.extend(members);
    }
    (rest, (!aside.is_empty()).then(|| json!({ "o": aside })))
}

/// Takes apart overrides of numbers by equal ones.
fn without_digits(form: Value) -> (Option<Value>, Option<Value>) {
    if let Some([Value::Number(was), Value::Number(is)]) = form["~"].as_array().map(Vec::as_slice) {
        return if decimal::equal(was, is) {
            (None, Some(form))
        } else {
            (Some(form), None)
        };
    }
    let Value::Object(form) = form else {
        return (Some(form), None);
    };
    let (mut rest, mut digits) = (Map::new(), Map::new());
    for (sign, inner) in form {
        match (sign.as_str(), inner) {
            ("o", Value::Object(members)) => {
                let (mut those, mut these) = (Map::new(), Map::new());
                for (name, form) in members {
                    let (one, other) = without_digits(form);
                    those.extend(one.map(|form| (name.clone(), form)));
                    these.extend(other.map(|form| (name, form)));
                }
                rest.extend((!those.is_empty()).then(|| (sign.clone(), those.into())));
                digits.extend((!these.is_empty()).then(|| (sign, these.into())));
            }
            ("a", Value::Array(pairs)) => {
                let (mut those, mut these) = (Vec::new(), Vec::new());
                for mut pair in pairs {
                    let (one, other) = without_digits(pair[1].take());
                    let key = pair[0].take();
                    those.extend(one.map(|form| json!([key, form])));
                    these.extend(other.map(|form| json!([key, form])));
                }
                rest.extend((!those.is_empty()).then(|| (sign.clone(), those.into())));
                digits.extend((!these.is_empty()).then(|| (sign, these.into())));
            }
            (_, inner) => {
                rest.insert(sign, inner);
            }
        }
    }
    let some = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
    (some(rest), some(digits))
}

/// Lays a residue onto what a record renders.
pub fn onto(rendered: &mut Value, residue: &Value) {
    Laying::default().onto(rendered, residue);
}

/// Adds what a part of a record says to the whole. What stands there stays: members come to
/// where nothing stands, elements to arrays. The paths of what the whole says otherwise, and
/// which therefore could not be added.
pub fn add(whole: &mut Value, form: &Value) -> Vec<String> {
    let mut laying = Laying {
        adds: true,
        ..Laying::default()
    };
    laying.onto(whole, form);
    laying.lost
}

/// A residue on its way onto a resource.
#[derive(Default)]
struct Laying {
    /// Whether the resource has residue already, to which this comes.
    adds: bool,
    /// The names that lead to the element.
    at: Vec<String>,
    /// What found no place.
    lost: Vec<String>,
}

impl Laying {
    fn lose(&mut self) {
        if self.adds {
            self.lost.push(self.at.join("."));
        }
    }

    fn onto(&mut self, value: &mut Value, form: &Value) {
        if let Some([was, is]) = form["~"].as_array().map(Vec::as_slice) {
            if value == was {
                value.clone_from(is);
            } else if value != is {
                self.lose();
            }
            return;
        }
        match value {
            Value::Object(members) => {
                let before: Vec<Value> = numbers(members).into_iter().cloned().collect();
                for (name, form) in form["o"].as_object().into_iter().flatten() {
                    self.at.push(name.clone());
                    self.member(members, name, form, &before);
                    self.at.pop();
                }
            }
            Value::Array(items) => self.elements(items, form),
            _ => {}
        }
    }

    /// Lays a form onto a member; `before` are the values as the record renders them.
    fn member(
        &mut self,
        members: &mut Map<String, Value>,
        name: &str,
        form: &Value,
        before: &[Value],
    ) {
        let about = form.get("while").map(|of| of.as_array());
        if about.is_some_and(|about| about.is_none_or(|about| about != before)) {
            return self.lose();
        }
        if let Some(forms) = form["&"].as_array() {
            for form in forms {
                self.member(members, name, form, before);
            }
            return;
        }
        if let Some(own) = members.get_mut(name) {
            match form.get("=") {
                None => self.onto(own, form),
                Some(value) if self.adds => {
                    if !fill(own, value) {
                        self.lose();
                    }
                }
                // What only stood where there was nothing, the record says itself by now.
                Some(_) => {}
            }
            return;
        }
        let Some(value) = form.get("=") else {
            return self.lose();
        };
        if let Some([Value::String(other), was]) = form["for"].as_array().map(Vec::as_slice) {
            if members.get(other) != Some(was) {
                return self.lose();
            }
            members.shift_remove(other);
        }
        members.insert(name.to_owned(), value.clone());
    }

    fn elements(&mut self, items: &mut Vec<Value>, form: &Value) {
        let mut used = vec![false; items.len()];
        for pair in form["a"].as_array().into_iter().flatten() {
            let own = (0..items.len()).find(|&i| !used[i] && same(&items[i], &pair[0]));
            match own {
                Some(at) => {
                    used[at] = true;
                    self.onto(&mut items[at], &pair[1]);
                }
                None => self.lose(),
            }
        }
        for value in form["+"].as_array().into_iter().flatten() {
            let own = (0..used.len()).find(|&i| {
                !used[i] && same(&items[i], value) && (!self.adds || fill(&mut items[i], value))
            });
            let Some(at) = own else {
                items.push(value.clone());
                continue;
            };
            used[at] = true;
            // What a record renders may depend on what was registered since.
            if let Some(form) = of(&items[at], value).filter(|_| !self.adds) {
                self.onto(&mut items[at], &form);
            }
        }
        for value in form["*"].as_array().into_iter().flatten() {
            let is_said = |own: &Value| same(own, value) && of(own, value).is_none();
            if !items.iter().any(is_said) {
                items.push(value.clone());
            }
        }
    }
}

/// Puts a value to what stands in its place, which stays; false where they contradict one
/// another, and then nothing was changed.
fn fill(own: &mut Value, value: &Value) -> bool {
    match (own, value) {
        (Value::Object(own), Value::Object(more)) => {
            let mut whole = own.clone();
            for (name, value) in more {
                let own = whole.entry(name.clone()).or_insert_with(|| value.clone());
                if !fill(own, value) {
                    return false;
                }
            }
            *own = whole;
            true
        }
        (Value::Array(own), Value::Array(more)) => {
            let mut whole = own.clone();
            let mut used = vec![false; own.len()];
            for value in more {
                let alike = |&i: &usize| same(&own[i], value);
                let mut places = (0..used.len()).filter(alike);
                match places.find(|&i| !used[i] && fill(&mut whole[i], value)) {
                    Some(at) => used[at] = true,
                    // Two contained resources of one id cannot be told apart.
                    None if value.get("resourceType").is_some()
                        && (0..used.len()).any(|i| alike(&i)) =>
                    {
                        return false;
                    }
                    None => whole.push(value.clone()),
                }
            }
            *own = whole;
            true
        }
        (own, value) => own == value,
    }
}

/// What an element of an array is known by.
pub(super) fn key(element: &Value) -> Value {
    let Value::Object(members) = element else {
        return element.clone();
    };
    let pick = |names: &[&str]| {
        let named = names.iter().filter_map(|name| {
            let value = members.get(*name)?;
            Some(((*name).to_owned(), value.clone()))
        });
        Value::Object(named.collect())
    };
    for names in [
        &["url"][..],
        &["reference"],
        &["system", "code", "value"],
        &["resourceType", "id"],
    ] {
        if members.contains_key(names[0]) {
            return pick(names);
        }
    }
    let codings = |concept: &Value| {
        let codings = concept["coding"].as_array()?;
        let keys: Vec<Value> = codings.iter().map(key).collect();
        Some(json!({ "coding": keys }))
    };
    if let Some(codings) = codings(element) {
        return codings;
    }
    match codings(&element["code"]) {
        Some(codings) => json!({ "code": codings }),
        None => element.clone(),
    }
}

/// Whether two elements of arrays are the same thing: both have a key of one sort, and the
/// keys agree; of concepts one coding.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    let (Value::Object(ours), Value::Object(theirs)) = (a, b) else {
        return a == b;
    };
    let both = |name: &str| ours.contains_key(name) && theirs.contains_key(name);
    let alike = |name: &str| ours.get(name) == theirs.get(name);
    for name in ["url", "reference"] {
        if both(name) {
            return alike(name);
        }
    }
    if both("system") {
        return ["system", "code", "value"].into_iter().all(alike);
    }
    if both("resourceType") {
        return ["resourceType", "id"].into_iter().all(alike);
    }
    if both("coding") {
        return shares(&a["coding"], &b["coding"]);
    }
    if both("code") && a["code"].is_object() {
        return shares(&a["code"]["coding"], &b["code"]["coding"]);
    }
    a == b
}

fn shares(a: &Value, b: &Value) -> bool {
    let of = |list| Value::as_array(list).map_or(&[][..], Vec::as_slice);
    let (ours, theirs) = (of(a), of(b));
    ours.iter()
        .any(|own| theirs.iter().any(|their| same(own, their)))
}

#[cfg(test)]
mod tests;
