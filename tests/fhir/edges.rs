//! The largest, smallest and most exact numbers that types of fields have: what is submitted is
//! stored, read and found as it was written, and comes back by FHIR.

use kenko_fhir::fhir::canonical::Canonical;
use kenko_fhir::http::Settings;
use kenko_fhir::kind::Kinds;
use serde_json::{Value, json};

use crate::server::Server;

/// Types of a kind's value, with numbers at their edges.
const TYPES: [(&str, &str, &[&str]); 6] = [
    ("int1", "int(1)", &["0", "9"]),
    (
        "int15",
        "int(15)",
        &["0", "1", "999999999999999", "100000000000000"],
    ),
    (
        "dec2",
        "dec(15,2)",
        &["0.00", "0.01", "999999999999999", "999999999999.99"],
    ),
    (
        "dec5",
        "dec(12,5)",
        &["0.00001", "999999999999", "999999.99999", "1.50000"],
    ),
    (
        "dec7",
        "dec(10,7)",
        &["0.0000001", "0.0000000", "9999999999", "99.9999999"],
    ),
    ("dec0", "dec(15,0)", &["0", "999999999999999"]),
];

fn kind(name: &str, ty: &str) -> Value {
    json!({
        "kind": name, "at": format!("health_checkup_information.{name}"),
        "title": { "ja": name, "en": name },
        "parts": ["laboratory", "entry", "version"], "midnight": "instant",
        "fields": { "amount": {
            "type": ty, "unit": "kg", "index": true, "title": { "ja": "量", "en": "Amount" }
        } },
        "observation": {
            "$frame": "checkup",
            "category": [{ "coding": [{ "system": "urn:c", "code": "exam" }] }],
            "code": { "coding": [{ "system": "urn:x", "code": name }], "text": name },
            "valueQuantity": { "value": "{amount}", "unit": "kg",
                "system": "http://unitsofmeasure.org", "code": "kg" }
        },
        "accepts": { "amount": { "units": {
            "kg": { "text": ["kg"] }, "g": { "divide": "1000" }
        } } }
    })
}

fn kinds() -> Kinds {
    let folder = tempfile::tempdir().unwrap();
    for (name, ty, _) in TYPES {
        let file = folder.path().join(format!("{name}.json"));
        std::fs::write(file, kind(name, ty).to_string()).unwrap();
    }
    Kinds::load(Some(folder.path()), Canonical::default())
        .unwrap_or_else(|faults| panic!("{faults}"))
}

fn submission() -> String {
    let arrays = TYPES.map(|(name, _, values)| {
        let records = values.iter().enumerate().map(|(n, value)| {
            format!(
                r#"{{"observation_time":"2016100309{n:02}00","amount":{value},"test_lab_id":"000000000001","data_input_code":"0","update_time":"20161005120000000"}}"#
            )
        });
        format!("\"{name}\":[{}]", records.collect::<Vec<_>>().join(","))
    });
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P0000000000000000001","health_checkup_information":{{{}}}}}]}}"#,
        arrays.join(",")
    )
}

#[tokio::test]
async fn numbers_at_the_edges_of_their_types_come_back_as_they_were_written() {
    let server = Server::of(kinds(), Settings::default()).await;
    let again = Server::of(kinds(), Settings::default()).await;
    let receipt = server.submit(&submission()).await;
    assert!(!receipt.is_refused(), "{receipt:?}");
    for (name, ty, values) in TYPES {
        for (n, value) in values.iter().enumerate() {
            let at =
                format!("/Observation?code=urn:x%7C{name}&date=2016-10-03T09:{n:02}:00%2B09:00");
            let written = format!("\"value\":{value},");
            let read = server.get(&at).await;
            assert!(read.text.contains(&written), "{ty} {value}: {}", read.text);
            // As FHIR to another server, and from there.
            let observation = server
                .get(&format!("/Observation/{}", server.id(&at).await))
                .await;
            let headers = [("content-type", "application/fhir+json")];
            let created = again
                .send("POST", "/Observation", &headers, &observation.text)
                .await;
            assert_eq!(created.status, 201, "{ty} {value}: {}", created.text);
            let read = again.get(&at).await;
            assert!(read.text.contains(&written), "{ty} {value}: {}", read.text);
        }
        for server in [&server, &again] {
            let number = async |query: &str| {
                let path = format!("/Observation?code=urn:x%7C{name}&_total=accurate&{query}");
                let found = server.found(&path).await;
                let matches = crate::server::matches(&found).len();
                assert_eq!(found["total"], json!(matches), "{path}");
                matches
            };
            let all = values.len();
            for value in values {
                assert!(
                    number(&format!("value-quantity={value}")).await >= 1,
                    "{ty} {value}"
                );
                let (not, above) = (format!("ne{value}"), format!("gt{value}"));
                let below = number(&format!("value-quantity=le{value}")).await;
                let above = number(&format!("value-quantity={above}")).await;
                assert_eq!(below + above, all, "{ty} {value}");
                assert!(number(&format!("value-quantity={not}")).await < all);
            }
            for (query, expected) in [
                ("gt1e60", 0),
                ("lt1e60", all),
                ("1e60", 0),
                ("ne1e60", all),
                ("gt-1e60", all),
                ("gt1e60%7Chttp://unitsofmeasure.org%7Cg", 0),
                ("ge0%7Chttp://unitsofmeasure.org%7Cg", all),
            ] {
                let found = number(&format!("value-quantity={query}")).await;
                assert_eq!(found, expected, "{ty} {query}");
            }
        }
    }
    // In one order, also where the common decimals of all kinds are more than fit.
    let mut path = "/Observation?_sort=value-quantity&_count=3".to_owned();
    let mut seen: Vec<f64> = Vec::new();
    loop {
        let page = server.found(&path).await;
        for found in crate::server::matches(&page) {
            seen.push(found["valueQuantity"]["value"].to_string().parse().unwrap());
        }
        let Some(next) = crate::server::link(&page, "next") else {
            break;
        };
        path = next;
    }
    assert_eq!(
        seen.len(),
        TYPES
            .iter()
            .map(|(_, _, values)| values.len())
            .sum::<usize>()
    );
    let exact: Vec<&f64> = seen.iter().filter(|value| **value < 1e11).collect();
    assert!(exact.is_sorted(), "{seen:?}");
    assert!(
        seen.iter().skip(exact.len()).all(|value| *value >= 1e11),
        "{seen:?}"
    );
    for refused in [
        "gt1e300",
        "1e-300",
        "1e2147483647",
        "1e-2147483648",
        &"9".repeat(400),
    ] {
        let answer = server
            .get(&format!("/Observation?value-quantity={refused}"))
            .await;
        assert_eq!(answer.status, 400, "{refused}");
    }
}

#[tokio::test]
async fn numbers_beyond_a_type_are_refused_and_never_another_number() {
    let server = Server::of(kinds(), Settings::default()).await;
    server.submit(&submission()).await;
    for (name, ty, values) in TYPES {
        let path = format!("/Observation?code=urn:x%7C{name}");
        let template = server.matches(&path).await.remove(0);
        for value in [
            "1152921504606846976",
            "2305843009213693952",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551616",
            "1e28",
            "1e300",
            "-1",
            "1e-300",
        ] {
            let mut observation = template.clone();
            observation["effectiveDateTime"] = json!("2016-10-03T11:00:00+09:00");
            for member in ["id", "meta", "identifier"] {
                observation.as_object_mut().unwrap().remove(member);
            }
            observation["valueQuantity"]["value"] = serde_json::from_str("123456789").unwrap();
            let text = observation.to_string().replace("123456789", value);
            let headers = [("content-type", "application/fhir+json")];
            let answer = server.send("POST", "/Observation", &headers, &text).await;
            // What is beyond the decimals of the type is rounded.
            let expected = if value == "1e-300" { 201 } else { 422 };
            assert_eq!(answer.status, expected, "{ty} {value}: {}", answer.text);
        }
        assert_eq!(server.number(&path).await, values.len() + 1);
        let zero = format!("{path}&date=2016-10-03T11:00:00%2B09:00&value-quantity=0");
        assert_eq!(server.number(&zero).await, 1, "{ty}");
    }
}
