use proptest::prelude::*;
use serde_json::{Value, json};

use super::{add, of, onto};

fn rendered() -> Value {
    json!({
        "resourceType": "Observation", "status": "final",
        "code": {
            "coding": [
                { "system": "l", "code": "1", "display": "One" },
                { "system": "j", "code": "2" } ],
            "text": "ours" },
        "subject": { "reference": "Patient/1" },
        "effectiveDateTime": "2016-09-01T07:30:15+09:00",
        "valueQuantity": number("65.50"),
        "component": [
            { "code": { "coding": [{ "system": "l", "code": "a" }] }, "valueQuantity": number("1") },
            { "code": { "coding": [{ "system": "l", "code": "b" }] }, "valueQuantity": number("2") } ],
    })
}

fn number(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    json!({ "value": value, "unit": "kg", "system": "u", "code": "kg" })
}

fn back(rendered: &Value, residue: &Value) -> Value {
    let mut back = rendered.clone();
    onto(&mut back, residue);
    back
}

/// Writes something, and reads it back.
fn kept(written: &Value) -> Value {
    let residue = of(&rendered(), written).expect("a residue");
    let back = back(&rendered(), &residue);
    assert!(holds(&back, written), "{residue}\n{back}");
    residue
}

/// Everything of `b` is in `a`.
fn holds(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut members = b.iter();
            members.all(|(name, v)| a.get(name).is_some_and(|own| holds(own, v)))
        }
        (Value::Array(a), Value::Array(b)) => b.iter().all(|v| a.iter().any(|own| holds(own, v))),
        _ => a == b,
    }
}

#[test]
fn what_the_record_says_is_no_residue() {
    assert_eq!(of(&rendered(), &rendered()), None);
    let mut twice = rendered();
    let again = twice["component"][0].clone();
    twice["component"].as_array_mut().unwrap().push(again);
    assert_eq!(of(&rendered(), &twice), None);
    let mut less = rendered();
    less.as_object_mut().unwrap().remove("component");
    less["code"]["coding"].as_array_mut().unwrap().remove(0);
    assert_eq!(of(&rendered(), &less), None);
}

#[test]
fn everything_else_comes_back() {
    let mut written = rendered();
    written["note"] = json!([{ "text": "after a meal" }, { "text": "after a meal" }]);
    written["subject"]["display"] = "A. Person".into();
    written["code"]["text"] = "theirs".into();
    written["code"]["coding"] = json!([
        { "system": "x", "code": "9" },
        { "system": "l", "code": "1", "display": "Eins" } ]);
    written["component"] = json!([
        { "code": { "coding": [{ "system": "l", "code": "c" }] }, "valueQuantity": number("3") },
        { "code": { "coding": [{ "system": "l", "code": "b" }] }, "valueQuantity": number("2"),
          "interpretation": [{ "text": "high" }] } ]);
    let residue = kept(&written);
    assert_eq!(
        back(&rendered(), &residue)["note"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_value_of_another_type_stands_instead() {
    let mut written = rendered();
    let members = written.as_object_mut().unwrap();
    members.remove("effectiveDateTime");
    members.insert(
        "effectivePeriod".into(),
        json!({ "start": "2016-09-01T07:30:15+09:00" }),
    );
    let residue = kept(&written);
    let now = back(&rendered(), &residue);
    assert_eq!(now.get("effectiveDateTime"), None);
    let mut next = rendered();
    next["effectiveDateTime"] = "2017-01-01".into();
    assert_eq!(back(&next, &residue), next);
}

#[test]
fn it_outlives_a_correction_but_not_a_value_that_changed() {
    let mut written = rendered();
    written["note"] = json!([{ "text": "n" }]);
    written["interpretation"] = json!([{ "text": "high" }]);
    written["component"][1]["interpretation"] = json!([{ "text": "high" }]);
    written["valueQuantity"] = number("65.5");
    let residue = kept(&written);
    let mut next = rendered();
    next["valueQuantity"] = number("66.10");
    next["component"].as_array_mut().unwrap().remove(0);
    let next = back(&next, &residue);
    assert_eq!(next["valueQuantity"]["value"].to_string(), "66.10");
    assert_eq!(next["note"][0]["text"], "n");
    assert_eq!(next["component"][0]["interpretation"][0]["text"], "high");
    assert_eq!(next.get("interpretation"), None);
}

#[test]
fn what_the_record_says_by_now_is_not_said_twice() {
    let mut written = rendered();
    written["code"]["coding"][1] = json!({ "system": "j", "code": "3", "display": "Three" });
    written["method"] = json!({ "text": "theirs" });
    let residue = kept(&written);
    let mut next = rendered();
    next["code"]["coding"][1] = json!({ "system": "j", "code": "3" });
    next["method"] = json!({ "text": "ours" });
    let next = back(&next, &residue);
    assert_eq!(next["code"]["coding"].as_array().unwrap().len(), 2);
    assert_eq!(next["code"]["coding"][1]["display"], "Three");
    assert_eq!(next["method"]["text"], "ours");
}

#[test]
fn parts_come_together_and_what_has_no_place_is_told() {
    let mut first = rendered();
    first["note"] = json!([{ "text": "n" }]);
    first["encounter"] = json!({ "display": "visit" });
    let mut whole = rendered();
    assert!(add(&mut whole, &of(&rendered(), &first).unwrap()).is_empty());
    let mut second = rendered();
    second["note"] = json!([{ "text": "m" }]);
    second["encounter"] = json!({ "display": "visit", "reference": "Encounter/1" });
    second["method"] = json!({ "text": "by hand" });
    assert!(add(&mut whole, &of(&rendered(), &second).unwrap()).is_empty());
    assert_eq!(whole["note"], json!([{ "text": "n" }, { "text": "m" }]));
    assert_eq!(whole["encounter"]["reference"], "Encounter/1");
    let mut third = rendered();
    third["encounter"] = json!({ "display": "another", "identifier": { "value": "2" } });
    third["code"]["text"] = "theirs".into();
    third["method"] = json!({ "text": "by machine" });
    let lost = add(&mut whole, &of(&rendered(), &third).unwrap());
    assert_eq!(lost, ["encounter", "method"]);
    // Of what contradicts, nothing comes.
    assert_eq!(whole["encounter"].get("identifier"), None);
    assert_eq!(whole["code"]["text"], "theirs");
}

/// Resources of a few names and values, so that two of them have much in common.
fn resource() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        (0..3_i32).prop_map(Value::from),
        "[ab]".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    let coding = ("[lj]", "[123]", proptest::option::of("[xy]")).prop_map(|(s, c, d)| {
        let mut coding = json!({ "system": s, "code": c });
        if let Some(d) = d {
            coding["display"] = d.into();
        }
        coding
    });
    let leaf = prop_oneof![scalar, coding];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            proptest::collection::btree_map("[abc]", inner, 1..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    });
    proptest::collection::btree_map("[abcd]", value, 0..4)
        .prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn whatever_was_written_comes_back(ours in resource(), theirs in resource()) {
        let back = match of(&ours, &theirs) {
            Some(residue) => back(&ours, &residue),
            None => ours.clone(),
        };
        prop_assert!(holds(&back, &theirs), "{back}");
        prop_assert_eq!(of(&back, &theirs), None);
    }

    #[test]
    fn what_is_added_is_there_or_is_told(ours in resource(), theirs in resource(), third in resource()) {
        let mut whole = ours.clone();
        for written in [&theirs, &third] {
            let Some(form) = of(&ours, written) else { continue };
            let before = whole.clone();
            let lost = add(&mut whole, &form);
            if before == ours {
                prop_assert_eq!(&lost, &Vec::<String>::new());
                prop_assert!(holds(&whole, written), "{}", whole);
            }
            // Once more, it is there.
            let once = whole.clone();
            let again = add(&mut whole, &form);
            prop_assert!(again.len() <= lost.len(), "{again:?} {lost:?}");
            prop_assert_eq!(&whole, &once);
        }
    }
}
