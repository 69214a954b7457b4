//! Walks through pages while others write: whatever is there from the first page to the last, and
//! is not written itself, comes once.
//!
//! `KENKO_WALKS=100000 cargo test --release --test fhir walks` makes the long run.

use std::collections::{BTreeMap, BTreeSet};

use kenko_fhir::fhir::id;
use kenko_fhir::registry;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::model::random::{Asked, Vocabulary, asked};
use crate::model::{PEOPLE, World, encoded, submission};
use crate::reading::text;
use crate::server::{Listed, PERSON, Server, link, matches, observation};

/// A component that no mapping knows, in a unit that is new with each number.
fn component(unit: &str, code: &str) -> Value {
    json!({
        "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
        "valueQuantity": { "value": 7, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit },
    })
}

/// Writes that change what a search looks up before it is planned.
async fn write(world: &World, n: usize, written: &mut BTreeSet<String>) {
    let server = &world.server;
    let listed = server.matches("/Observation?_count=200").await;
    let mut each = listed.iter();
    match n % 5 {
        0 => {
            let Some(one) = each.find(|one| one["component"].is_array()) else {
                return;
            };
            let mut one = one.clone();
            let unit = ["%", "kPa", "mm[Hg]", "{score}"][n / 5 % 4];
            let code = ["8478-0", "4548-4", "20564-1"][n / 5 % 3];
            one["component"]
                .as_array_mut()
                .unwrap()
                .push(component(unit, code));
            let id = text(&one["id"]).to_owned();
            let answer = server
                .write("PUT", &format!("/Observation/{id}"), &[], &one)
                .await;
            assert!(answer.status.is_success(), "{}", answer.text);
            written.insert(id);
        }
        1 => {
            let Some(one) = each.nth(n / 5 % 20) else {
                return;
            };
            let id = text(&one["id"]).to_owned();
            let answer = server
                .send("DELETE", &format!("/Observation/{id}"), &[], "")
                .await;
            assert_eq!(answer.status, 204, "{}", answer.text);
            written.insert(id);
        }
        2 => {
            // A code and a reference that only residues have, and a device of another person.
            let mut one = observation(&format!("2017-05-{:02}T07:00:00+09:00", 1 + n % 28), "60.5");
            let coding = json!({ "system": "http://hospital.example/codes", "code": format!("own-{}", n % 3) });
            one["code"]["coding"].as_array_mut().unwrap().push(coding);
            let person = PEOPLE[n / 5 % 3].1;
            let patient = format!("Patient/{}", id::participant("A00001", person));
            one["subject"] = json!({ "reference": patient });
            let device = id::device("ACME", "M", &format!("S{}", n / 15 % 2));
            one["device"] = json!({ "reference": format!("Device/{device}") });
            one["encounter"] = json!({ "reference": "Encounter/e1" });
            let answer = server.write("POST", "/Observation", &[], &one).await;
            if answer.status.is_success() {
                written.insert(text(&answer.json()["id"]).to_owned());
            }
        }
        3 => {
            let name = format!("a scale {n}");
            let rows = json!([{ "model_manufacturer_code": "ACME", "model_number": "M",
                "device_type_code": "3", "device_name": name }]);
            let text = rows.to_string();
            let read =
                registry::read_json(&registry::DEVICES, text.as_bytes(), &Default::default());
            let rows = read.unwrap().rows;
            let done = server
                .store
                .change_registry(&registry::DEVICES, &rows, false);
            done.await.unwrap().unwrap();
        }
        _ => {
            let person = PEOPLE[n / 5 % PEOPLE.len()];
            let update = format!("2018070{}0000{:05}", 1 + n / 5 % 9, n % 60_000);
            let before = versions(server).await;
            server.submit(&submission(person, n % 3, &update)).await;
            let after = versions(server).await;
            let others = after
                .into_iter()
                .filter(|(id, version)| before.get(id) != Some(version));
            written.extend(others.map(|(id, _)| id));
        }
    }
}

/// The versions of all Observations.
async fn versions(server: &Server) -> BTreeMap<String, String> {
    let all = server
        .matches("/Observation?_count=1000&_elements=id")
        .await;
    let each = all.iter();
    each.map(|one| {
        (
            text(&one["id"]).to_owned(),
            text(&one["meta"]["versionId"]).to_owned(),
        )
    })
    .collect()
}

async fn all(world: &World, path: &str) -> Result<BTreeSet<String>, String> {
    let mut out = BTreeSet::new();
    let mut next = Some(format!("{path}_count=1000"));
    while let Some(url) = next {
        let page = world.page(&url).await?;
        out.extend(page.ids.iter().cloned());
        next = page.link("next");
    }
    Ok(out)
}

/// Walks one way, writing after each page; the ids that came, and the last page.
async fn walk(
    world: &World,
    first: Listed,
    way: &str,
    n: &mut usize,
    written: &mut BTreeSet<String>,
) -> Result<(Vec<String>, Listed), String> {
    let (mut ids, mut page) = (first.ids.clone(), first);
    for _ in 0..400 {
        let Some(url) = page.link(way) else {
            return Ok((ids, page));
        };
        write(world, *n, written).await;
        *n += 1;
        page = world.page(&url).await?;
        ids.extend_from_slice(&page.ids);
    }
    Err(format!("{way}: no end"))
}

async fn check(world: &World, asked: &Asked, n: &mut usize) -> Result<(), String> {
    let mut path = format!("/{}?", asked.ty);
    for (name, value) in &asked.parts {
        path.push_str(&format!("{name}={}&", encoded(value)));
    }
    // Of another resource the place is that of a row, which a write to it moves.
    if !asked.sort.is_empty() && asked.ty == "Observation" {
        path.push_str(&format!("_sort={}&", asked.sort));
    }
    let count = all(world, &path).await?.len() / 4 + 1;
    let mut last = None;
    let mut written = BTreeSet::new();
    for way in ["next", "previous"] {
        // A last page whose records were all written over leads nowhere.
        if way == "previous" && last.is_none() {
            break;
        }
        let before = all(world, &path).await?;
        let first = match last.take() {
            None => world.page(&format!("{path}_count={count}")).await?,
            Some(last) => last,
        };
        let (ids, end) = walk(world, first, way, n, &mut written).await?;
        let after = all(world, &path).await?;
        for id in before
            .intersection(&after)
            .filter(|id| !written.contains(*id))
        {
            let came = ids.iter().filter(|other| *other == id).count();
            if came != 1 {
                return Err(format!(
                    "{path}_count={count}: {way}: {id} came {came} times"
                ));
            }
        }
        last = Some(end).filter(|page| !page.ids.is_empty());
    }
    Ok(())
}

#[test]
fn a_walk_goes_on_whatever_is_written() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new(false));
    let vocabulary = Vocabulary::new(&world);
    let cases = std::env::var("KENKO_WALKS").map_or(40, |n| n.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let n = std::cell::Cell::new(0);
    let run = runner.run(&asked(&vocabulary), |asked| {
        let mut at = n.get();
        let done = runtime.block_on(check(&world, &asked, &mut at));
        n.set(at);
        done.map_err(TestCaseError::fail)
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}

/// A check-up blood pressure with a component that no mapping knows.
fn pressure(unit: &str) -> Value {
    let number = |code: &str, value: u32| {
        json!({
            "code": { "coding": [{ "system": "http://loinc.org", "code": code }] },
            "valueQuantity": { "value": value, "system": "http://unitsofmeasure.org", "code": "mm[Hg]" },
        })
    };
    let mut out = observation("2016-11-01T09:30:00+09:00", "1");
    for gone in ["device", "valueQuantity"] {
        out.as_object_mut().unwrap().remove(gone);
    }
    out["code"] = json!({ "coding": [{ "system": "http://loinc.org", "code": "85354-9" }] });
    out["component"] = json!([
        number("8480-6", 128),
        number("8462-4", 82),
        component(unit, "8478-0")
    ]);
    out
}

/// HbA1c of one person at several times, the greatest first.
fn hba1c(number: usize) -> String {
    let one = |n: usize| {
        json!({ "observation_time": format!("2016{:02}01090000", 1 + n), "hba1c_value": 9.5 - n as f64 / 10.0,
            "test_lab_id": "000000000001", "data_input_code": "0", "measurement_method_code": "000001",
            "update_time": "20161101000000000" })
    };
    json!({ "format_version": "1.0", "send_time": "20161201000000000", "consortium_id": "A00001",
        "person_information": [{ "person_id": PERSON, "health_checkup_information":
            { "hba1c": (0..number).map(one).collect::<Vec<_>>() } }] })
    .to_string()
}

#[tokio::test]
async fn a_residue_that_comes_changes_no_walk() {
    let server = Server::with_example().await.since_new_year().await;
    let receipt = server.submit(&hba1c(9)).await;
    assert_eq!(receipt.status, 201, "{receipt:?}");
    let query =
        "/Observation?combo-value-quantity=ge6.5|http://unitsofmeasure.org|%25&code=4548-4,85354-9";
    let all = server.number(&format!("{query}&_count=100")).await;
    assert!(all >= 9, "{all}");
    let page = server.found(&format!("{query}&_count=3")).await;
    let mut ids: Vec<Value> = matches(&page).iter().map(|one| one["id"].clone()).collect();
    server.create(&pressure("%")).await;
    let mut next = link(&page, "next");
    let mut last = page;
    while let Some(url) = next {
        last = server.found(&url).await;
        ids.extend(matches(&last).iter().map(|one| one["id"].clone()));
        next = link(&last, "next");
    }
    let once: BTreeSet<String> = ids.iter().map(Value::to_string).collect();
    assert_eq!((ids.len(), once.len()), (all, all));
    let mut back = matches(&last).len();
    while let Some(url) = link(&last, "previous") {
        last = server.found(&url).await;
        back += matches(&last).len();
    }
    assert_eq!(back, all);
    // A new walk has it.
    assert_eq!(server.number(&format!("{query}&_count=100")).await, all + 1);
}

#[tokio::test]
async fn a_walk_ends_where_the_record_kinds_changed() {
    use kenko_fhir::fhir::canonical::Canonical;
    use kenko_fhir::kind::Kinds;
    use kenko_fhir::store::Store;

    let server = Server::with_example().await;
    let page = server.found("/Observation?_count=2").await;
    let next = link(&page, "next").unwrap();
    assert_eq!(server.get(&next).await.status, 200);
    let kinds = Kinds::load(Some("mappings/optional".as_ref()), Canonical::default()).unwrap();
    let store = Store::open(server.url(), std::sync::Arc::new(kinds))
        .await
        .unwrap();
    let other = server.beside(store);
    for (language, said) in [
        ("en", "start again without _cursor"),
        ("ja", "最初からやり直してください"),
    ] {
        let answer = other
            .send("GET", &next, &[("accept-language", language)], "")
            .await;
        assert_eq!(answer.status, 410, "{}", answer.text);
        assert!(answer.issue().contains(said), "{}", answer.text);
    }
    assert_eq!(other.get("/Observation?_count=2").await.status, 200);
    // Rows of other tables do not depend on the kinds.
    let page = server.found("/Device?_count=1").await;
    let next = link(&page, "next").unwrap();
    assert_eq!(other.get(&next).await.status, 200);
}
