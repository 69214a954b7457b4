//! What each mistake in a file is told as.

use std::path::Path;

use serde_json::{Value, json};

use super::{faults, grip};
use crate::fhir::canonical::Canonical;
use crate::kind::Kinds;

/// The faults of `grip.json` after `change`.
fn faults_of(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut file = grip();
    change(&mut file);
    faults(&[("grip.json", &file.to_string())])
}

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().expect("an object").remove(name);
}

#[test]
fn each_mistake_is_told_with_its_place_and_reason() {
    type Change = fn(&mut Value);
    let table: &[(&str, Change)] = &[
        (
            "/observation/valueQuantity/value: {forse} is neither a field, a derived value nor a named piece",
            |f| {
                f["observation"]["valueQuantity"]["value"] = json!("{forse}");
                f["observation"]["component"][0]["valueQuantity"]["value"] = json!("{force}");
                remove(&mut f["fields"], "trials");
            },
        ),
        ("/fieldz: no such keyword here", |f| f["fieldz"] = json!({})),
        ("/fields/force/plausable: no such keyword here", |f| {
            f["fields"]["force"]["plausable"] = json!([1, 2])
        }),
        (": \"midnight\" is a required property", |f| {
            remove(f, "midnight")
        }),
        ("/midnight: value is not one of", |f| {
            f["midnight"] = json!("noon")
        }),
        ("/kind: value does not match", |f| {
            f["kind"] = json!("Grip Strength")
        }),
        ("/at: value does not match", |f| f["at"] = json!("grip")),
        ("/title: \"ja\" is a required property", |f| {
            f["title"] = json!({ "en": "Grip" })
        }),
        ("/fields/force/type: not a type:", |f| {
            f["fields"]["force"]["type"] = json!("decimal(4,1)")
        }),
        ("/fields/force/type: not a type:", |f| {
            f["fields"]["force"]["type"] = json!("dec(2,1)")
        }),
        ("/fields/force/type: not a type:", |f| {
            f["fields"]["force"]["type"] = json!("dec(16,1)")
        }),
        ("/fields/force/type: not a type:", |f| {
            f["fields"]["force"]["type"] = json!("dec(15,7)")
        }),
        ("/fields/force/type: not a type:", |f| {
            f["fields"]["force"]["type"] = json!("dec(15,3)")
        }),
        ("/fields/trials/type: not a type:", |f| {
            f["fields"]["trials"]["type"] = json!("int(16)")
        }),
        ("/fields/trials/type: not a type:", |f| {
            f["fields"]["trials"]["type"] = json!("int(256)")
        }),
        (
            "/fields/force/plausible: not the lower and the upper bound",
            |f| {
                f["fields"]["force"]["plausible"] = json!([0, 9e17]);
            },
        ),
        (
            "/fields/force/plausible: not the lower and the upper bound",
            |f| {
                f["fields"]["force"]["plausible"] = json!([0, 1e300]);
            },
        ),
        (
            "/accepts/force/units/N/times: not a number of at most 28 digits",
            |f| {
                let times = "1".repeat(29);
                f["accepts"]["force"]["units"]["N"] = json!({ "times": times });
            },
        ),
        ("/accepts/force/units/N: times, divide and plus", |f| {
            let digits = format!("0.{}", "1".repeat(27));
            f["accepts"]["force"]["units"]["N"] = json!({ "times": digits });
        }),
        ("/fields: a name here:", |f| {
            f["fields"]["Force 2"] = f["fields"]["trials"].clone();
            f["observation"]["valueInteger"] = json!("{Force 2}");
        }),
        (
            "/fields/force/plausible: not the lower and the upper bound",
            |f| {
                f["fields"]["force"]["plausible"] = json!([80, 5]);
            },
        ),
        (
            "/fields/hand_code/plausible: not the lower and the upper bound",
            |f| {
                f["fields"]["hand_code"]["plausible"] = json!([1, 2]);
            },
        ),
        (
            "/fields/hand_code/codes: a field of type code lists its codes",
            |f| {
                remove(&mut f["fields"]["hand_code"], "codes");
            },
        ),
        (
            "/fields/force/codes: a field of type code lists its codes",
            |f| {
                f["fields"]["force"]["codes"] = f["fields"]["hand_code"]["codes"].clone();
            },
        ),
        ("/fields: the name \"update_time\" stands twice", |f| {
            f["fields"]["trials"]["aliases"] = json!(["update_time"]);
        }),
        ("/parts/0: there is no part \"labratory\"", |f| {
            f["parts"][0] = json!("labratory")
        }),
        ("/parts: ", |f| f["parts"] = json!(["laboratory", "entry"])),
        ("/parts: a kind has either the part", |f| {
            f["parts"] = json!(["entry", "version"])
        }),
        ("/parts: a kind has either the part", |f| {
            f["parts"] = json!(["device", "laboratory", "entry", "version"]);
        }),
        (
            "/observation/$frame: {origin_of_time_code} is neither",
            |f| f["observation"]["$frame"] = json!("device"),
        ),
        (
            "/observation: no hole {hand_code}: the value would be lost",
            |f| {
                remove(&mut f["observation"], "bodySite");
            },
        ),
        (
            "/observation: no hole {origin_of_time_code}: the value would be lost",
            |f| {
                f["parts"] = json!(["laboratory", "entry", "clock", "version"]);
            },
        ),
        ("/observation/bodysite: no such keyword here", |f| {
            f["observation"]["bodysite"] = json!({ "text": "x" })
        }),
        (
            "/observation/code/coding/0: \"code\" is a required property",
            |f| {
                remove(&mut f["observation"]["code"]["coding"][0], "code");
            },
        ),
        (
            "/observation/bodySite/coding/0: \"code\" is a required property",
            |f| {
                remove(&mut f["observation"]["bodySite"]["coding"][0], "code");
            },
        ),
        (
            "/observation/component/0: \"code\" is a required property",
            |f| {
                remove(&mut f["observation"]["component"][0], "code");
            },
        ),
        ("/observation/component/0: ", |f| {
            remove(&mut f["observation"]["component"][0], "valueQuantity")
        }),
        (
            "/observation/valueQuantity: \"system\" is a required property",
            |f| {
                remove(&mut f["observation"]["valueQuantity"], "system");
            },
        ),
        (
            "/observation/valueQuantity/system: \"http://unitsofmeasure.org\" was expected",
            |f| {
                f["observation"]["valueQuantity"]["system"] = json!("http://unitsofmeasure.com");
            },
        ),
        (
            "/observation/valueQuantity/value: value does not match",
            |f| {
                f["observation"]["valueQuantity"]["value"] = json!("{force");
            },
        ),
        (
            "/observation/bodySite/coding/0/display: {force.display} needs a coded field",
            |f| {
                f["observation"]["bodySite"]["coding"][0]["display"] = json!("{force.display}");
            },
        ),
        (
            "/observation/bodySite/coding/0/display: there is no named piece {$hand}",
            |f| {
                f["observation"]["bodySite"]["coding"][0]["display"] = json!("{$hand}");
            },
        ),
        ("/split/trial: no component carries this field", |f| {
            f["split"] = json!({ "trial": {} })
        }),
        ("/split/force: no component carries this field", |f| {
            f["split"] = json!({ "force": {} })
        }),
        ("/split/trials/text: no such keyword here", |f| {
            f["split"] = json!({ "trials": { "text": "x" } })
        }),
        (
            "/above/0: not two number fields of the same decimals",
            |f| f["above"] = json!([["force", "trials"]]),
        ),
        ("/not_above/0: not two number fields", |f| {
            f["not_above"] = json!([["trials", "trial"]])
        }),
        (
            "/above/0: not two number fields of the same decimals",
            |f| f["above"] = json!([["force"]]),
        ),
        ("/derived/hand/from: not a field of type str", |f| {
            f["derived"] = json!({ "hand": { "from": "hand_code", "list": "hba1c-methods",
                "column": "method_class_code", "values": { "1": "x" } } });
        }),
        ("/derived/force: a field has this name", |f| {
            f["derived"] = json!({ "force": { "from": "test_lab_id", "list": "hba1c-methods",
                "column": "method_class_code", "values": { "1": "x" } } });
        }),
        ("/derived/h/list: value is not one of", |f| {
            f["derived"] = json!({ "h": { "from": "test_lab_id", "list": "methods",
                "column": "method_class_code", "values": { "1": "x" } } });
        }),
        ("/accepts/grip: neither \"code\" nor a field", |f| {
            f["accepts"]["grip"] = json!({})
        }),
        (
            "/accepts/force/codes/0: there is no system \"lonic\"",
            |f| {
                f["accepts"]["force"]["codes"] = json!(["lonic|1-8"]);
            },
        ),
        ("/accepts/force/codes/0: not a system and a code", |f| {
            f["accepts"]["force"]["codes"] = json!(["1-8"])
        }),
        ("/accepts/force/units/[lb_av]/times: not a number", |f| {
            f["accepts"]["force"]["units"]["[lb_av]"] = json!({ "times": "1/2" });
        }),
        (
            "/accepts/force/units/[lb_av]/times: value is not of type \"string\"",
            |f| {
                f["accepts"]["force"]["units"]["[lb_av]"] = json!({ "times": 0.45 });
            },
        ),
        (
            "/accepts/force/units/N~1m/warn: there is no fault of this code",
            |f| {
                f["accepts"]["force"]["units"]["N/m"] = json!({ "warn": "converted-somehow" });
            },
        ),
        ("/accepts/force/units/N/divide: divides by zero", |f| {
            f["accepts"]["force"]["units"]["N"] = json!({ "divide": "0.0" });
        }),
        (
            "/accepts/observation_time/period: value is not one of",
            |f| {
                f["accepts"]["observation_time"] = json!({ "period": "week" });
            },
        ),
        ("/at: the kind hba1c stands there", |f| {
            f["at"] = json!("health_checkup_information.hba1c")
        }),
        (
            "/observation/code: the code http://loinc.org|4548-4 is also that of hba1c",
            |f| {
                f["observation"]["code"]["coding"][0] =
                    json!({ "system": "http://loinc.org", "code": "4548-4" });
            },
        ),
        ("/fields: more than 48 fields", |f| {
            for i in 0..48 {
                f["fields"][format!("trials{i}")] = f["fields"]["trials"].clone();
            }
        }),
    ];
    assert_eq!(faults_of(|_| ()), [""; 0]);
    for (expected, change) in table {
        let told = faults_of(change);
        let expected = format!("grip.json: {expected}");
        assert!(
            told.iter().any(|fault| fault.starts_with(&expected)),
            "expected {expected:?}, told {told:#?}"
        );
    }
}

#[test]
fn derived_values_with_a_fault_keep_the_places_of_the_others() {
    let derived = |from: &str| {
        json!({ "from": from, "list": "hba1c-methods", "column": "method_class_code",
            "values": { "1": "x" } })
    };
    let told = faults_of(|f| {
        f["derived"] = json!({ "a": derived("nothing"), "b": derived("test_lab_id") });
        f["observation"]["code"]["coding"][0]["code"] = json!("{b}");
    });
    assert_eq!(
        told,
        ["grip.json: /derived/a/from: not a field of type str"]
    );
    let told = faults_of(|f| {
        for i in 0..20 {
            f["derived"][format!("d{i}")] = derived("test_lab_id");
        }
        f["observation"]["code"]["coding"][0]["code"] = json!("{d19}");
    });
    assert!(
        told.contains(&"grip.json: /derived: more than 14 derived values".into()),
        "{told:#?}"
    );
}

#[test]
fn what_is_not_json_or_not_there_is_told() {
    let told = faults(&[("grip.json", "{ \"kind\": \"grip\", }")]);
    assert_eq!(told, ["grip.json: : trailing comma at line 1 column 19"]);
    let nowhere = Path::new("/nowhere/at/all");
    let Err(told) = Kinds::load(Some(nowhere), Canonical::default()) else {
        panic!("a directory that is not there");
    };
    assert!(told.to_string().starts_with("/nowhere/at/all: /: "));
}

#[test]
fn a_name_that_stands_twice_in_its_object_is_told() {
    let text = grip().to_string();
    let text = text.replacen("\"trials\":", "\"force\":", 1);
    let told = faults(&[("grip.json", &text)]);
    assert!(
        told.contains(&"grip.json: /fields/force: the name stands twice in its object".into()),
        "{told:#?}"
    );
}

#[test]
fn two_files_of_one_kind_in_the_directory_are_told() {
    let text = grip().to_string();
    let told = faults(&[("a.json", &text), ("b.json", &text)]);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("b.json: /kind: the kind \"grip\" is also that of "));
    assert!(told[0].ends_with("a.json"));
}

#[test]
fn all_faults_of_all_files_are_told_at_once() {
    let mut one = grip();
    one["fields"]["force"]["type"] = json!("float");
    one["observation"]["bodysite"] = json!({});
    one["accepts"]["grip"] = json!({});
    remove(&mut one["observation"], "bodySite");
    let mut two = grip();
    two["kind"] = json!("reach");
    two["at"] = json!("health_checkup_information.reach");
    two["observation"]["code"]["coding"][0]["code"] = json!("reach");
    two["parts"][0] = json!("labratory");
    let mut told = faults(&[
        ("grip.json", &one.to_string()),
        ("reach.json", &two.to_string()),
        ("third.json", "[1,"),
    ]);
    told.iter_mut().for_each(|f| {
        f.truncate(
            f.find(": ")
                .map_or(0, |i| i + 2 + f[i + 2..].find(':').unwrap_or(0)),
        )
    });
    told.sort();
    assert_eq!(
        told,
        [
            "grip.json: /accepts/grip",
            "grip.json: /fields/force/type",
            "grip.json: /observation",
            "grip.json: /observation/bodysite",
            "reach.json: /parts/0",
            "third.json: ",
        ]
    );
}
