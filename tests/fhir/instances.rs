//! Several programs on one database: what one writes is what the others answer, and programs
//! whose mappings contradict one another do not write side by side.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use kenko_fhir::fhir::canonical::Canonical;
use kenko_fhir::http::Settings;
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::{self, PARTICIPANTS};
use kenko_fhir::store::{Error, Store};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::server::Server;

/// Runs a statement on the database, past the program.
async fn run(url: &str, sql: &'static str) {
    if url.starts_with("sqlite:") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
}

/// Another server on the database of one, with these record kinds.
async fn beside(server: &Server, kinds: Kinds) -> Server {
    let store = Store::open(server.url(), Arc::new(kinds)).await;
    server.beside(store.unwrap())
}

/// How many records a search has, and how many of them it lists.
async fn total(server: &Server, query: &str) -> u64 {
    let path = format!("/Observation?{query}&_total=accurate&_count=1000");
    let found = server.found(&path).await;
    let total = found["total"].as_u64().unwrap();
    assert_eq!(total, crate::server::matches(&found).len() as u64, "{path}");
    total
}

/// The `quantity` of each Group.
async fn quantities(server: &Server) -> Vec<(String, u64)> {
    let mut out: Vec<(String, u64)> = server
        .matches("/Group")
        .await
        .iter()
        .map(|group| {
            let id = group["id"].as_str().unwrap().to_owned();
            (id, group["quantity"].as_u64().unwrap_or(0))
        })
        .collect();
    out.sort();
    out
}

/// A new Observation like a stored one, at another time.
async fn like(server: &Server, query: &str, time: &str) -> Value {
    let mut observation = server
        .matches(&format!("/Observation?{query}"))
        .await
        .remove(0);
    for member in ["id", "meta", "identifier"] {
        observation.as_object_mut().unwrap().remove(member);
    }
    observation["effectiveDateTime"] = json!(time);
    observation
}

#[tokio::test]
async fn what_one_program_writes_is_what_the_others_count_and_find() {
    let one = Server::with_example().await;
    let other = beside(&one, Kinds::embedded().unwrap()).await;
    let both = [&one, &other];
    let further = "code=urn:further%7Cx";
    for server in both {
        assert_eq!(server.number(&format!("/Observation?{further}")).await, 0);
    }
    assert_eq!(quantities(&one).await, quantities(&other).await);
    // In turn, each sees what the other wrote at once.
    for round in 0..6 {
        let (writes, reads) = (both[round % 2], both[(round + 1) % 2]);
        let before = total(reads, "code=4548-4").await;
        let time = format!("2016-10-03T1{round}:00:00+09:00");
        let mut observation = like(writes, "code=4548-4", &time).await;
        let coding = json!({ "system": "urn:further", "code": "x" });
        observation["code"]["coding"]
            .as_array_mut()
            .unwrap()
            .push(coding);
        observation["valueQuantity"]["value"] = json!(7);
        writes.create(&observation).await;
        assert_eq!(total(reads, "code=4548-4").await, before + 1, "{round}");
        for server in both {
            let found = server.number(&format!("/Observation?{further}")).await;
            assert_eq!(found, round + 1);
            let high = total(server, "code=4548-4&value-quantity=ge6.5").await;
            let low = total(server, "code=4548-4&value-quantity=lt6.5").await;
            assert_eq!(high + low, before + 1);
        }
        assert_eq!(quantities(&one).await, quantities(&other).await);
    }
}

#[tokio::test]
async fn the_quantity_of_a_group_goes_by_writes_and_not_by_clocks() {
    let one = Server::with_example().await;
    let other = beside(&one, Kinds::embedded().unwrap()).await;
    let text = std::fs::read_to_string("examples/registries/participants.json").unwrap();
    let mut treated = false;
    for round in 0..4 {
        let (writes, reads) = match round % 2 {
            0 => (&one, &other),
            _ => (&other, &one),
        };
        let before = quantities(reads).await;
        treated = !treated;
        // As many participants as before, of whom one is treated now, or no longer.
        let codes = if treated { "[\"2\"]" } else { "[\"0\"]" };
        let rows = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        std::fs::write(rows.path(), text.replace("[\"0\"]", codes)).unwrap();
        let options = registry::Options::default();
        let read = registry::read_file(&PARTICIPANTS, rows.path(), &options).unwrap();
        let done = writes
            .store
            .change_registry(&PARTICIPANTS, &read.rows, false);
        done.await.unwrap().unwrap();
        // By a clock that is behind all others.
        run(one.url(), "UPDATE participant SET updated_at = 1").await;
        let after = quantities(reads).await;
        assert_ne!(before, after, "{round}");
        assert_eq!(after, quantities(writes).await);
    }
}

/// Blood glucose, as its mapping file says after `change`.
fn glucose(change: impl FnOnce(&mut Value)) -> Kinds {
    let text = std::fs::read_to_string("mappings/optional/blood_glucose.json").unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    change(&mut file);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("glucose.json"), file.to_string()).unwrap();
    let kinds = Kinds::load(Some(folder.path()), Canonical::default());
    kinds.unwrap_or_else(|faults| panic!("{faults}"))
}

fn without_index() -> Kinds {
    glucose(|file| {
        file["fields"]["glucose_value"]
            .as_object_mut()
            .unwrap()
            .remove("index");
    })
}

/// A submission of one blood glucose at an hour.
fn submission(hour: u32) -> String {
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P0000000000000000001","health_checkup_information":{{"blood_glucose":[{{"observation_time":"20161003{hour:02}3000","glucose_value":104.5,"sampling_condition_code":"1","test_lab_id":"000000000001","data_input_code":"0","update_time":"20161005120000000"}}]}}}}]}}"#
    )
}

async fn submit(server: &Server, hour: u32) -> (u16, bool, String) {
    let request = Request::post("/exchange/submissions")
        .header("host", "h.example")
        .header("content-type", "application/json")
        .body(Body::from(submission(hour)))
        .unwrap();
    let answer = server.call(request).await;
    let again = answer.headers.contains_key("retry-after");
    (answer.status.as_u16(), again, answer.text)
}

async fn ready(server: &Server) -> u16 {
    let request = Request::get("/health/ready").header("host", "h.example");
    let answer = server.call(request.body(Body::empty()).unwrap()).await;
    answer.status.as_u16()
}

#[track_caller]
fn is_outdated((status, again, text): (u16, bool, String)) {
    assert_eq!((status, again), (503, true), "{text}");
    assert!(text.contains("another mapping of blood_glucose"), "{text}");
}

#[tokio::test]
async fn numbers_are_counted_by_all_programs_or_by_none_that_writes() {
    let old = Server::of(without_index(), Settings::default()).await;
    assert_eq!(submit(&old, 1).await.0, 201);
    // A start that wants them counted: who does not count them writes nothing any more.
    let indexed = beside(&old, glucose(|_| ())).await;
    is_outdated(submit(&old, 2).await);
    assert_eq!((ready(&old).await, ready(&indexed).await), (503, 200));
    assert_eq!(submit(&indexed, 2).await.0, 201);
    // A start that does not ask for it counts them nevertheless.
    let plain = beside(&indexed, without_index()).await;
    assert_eq!(submit(&plain, 3).await.0, 201);
    assert_eq!(submit(&indexed, 4).await.0, 201);
    assert_eq!((ready(&plain).await, ready(&indexed).await), (200, 200));
    for server in [&old, &plain, &indexed] {
        for query in [
            "value-quantity=104.5",
            "value-quantity=ge100",
            "value-quantity=lt200",
        ] {
            assert_eq!(total(server, &format!("code=2339-0&{query}")).await, 4);
        }
        assert_eq!(total(server, "code=2339-0").await, 4);
    }
}

#[tokio::test]
async fn a_further_field_or_kind_is_taken_and_who_lacks_the_field_writes_nothing() {
    let embedded = Server::empty().await;
    let first = beside(&embedded, glucose(|_| ())).await;
    assert_eq!(submit(&first, 1).await.0, 201);
    let example = std::fs::read_to_string("examples/first.json").unwrap();
    assert_eq!(embedded.submit(&example).await.status, 201);
    let title = json!({ "ja": "備考", "en": "Note" });
    let field = json!({ "type": "str(20)", "optional": true, "title": title });
    let more = glucose(|file| {
        file["fields"]["remark"] = field;
        file["observation"]["bodySite"] = json!({ "text": "{remark}" });
    });
    let second = beside(&first, more).await;
    is_outdated(submit(&first, 2).await);
    let observation = like(&embedded, "code=4548-4", "2016-10-03T11:00:00+09:00").await;
    let outcome = first.write("POST", "/Observation", &[], &observation).await;
    assert_eq!(outcome.status, 503);
    assert!(outcome.issue().contains("another mapping of blood_glucose"));
    // Reads go on, and who does not know of the kind is not concerned.
    assert_eq!(total(&first, "code=2339-0").await, 1);
    embedded.create(&observation).await;
    assert_eq!((ready(&embedded).await, ready(&first).await), (200, 503));
    assert_eq!(submit(&second, 2).await.0, 201);
    // The former mapping lacks what stored records may have.
    let former = Store::open(first.url(), Arc::new(glucose(|_| ()))).await;
    assert!(matches!(former, Err(Error::Layout(_))));
    assert_eq!(submit(&second, 3).await.0, 201);
}

#[tokio::test]
async fn records_are_identified_by_the_same_fields_as_before() {
    let by_device = glucose(|file| {
        file["parts"] = json!(["device", "entry", "clock", "version"]);
        file["observation"]["$frame"] = json!("device");
    });
    // The same columns, and a laboratory in the place of the device.
    let by_laboratory = glucose(|file| {
        let protocol = std::fs::read_to_string("mappings/protocol.json").unwrap();
        let protocol: Value = serde_json::from_str(&protocol).unwrap();
        let mut origin = protocol["parts"]["clock"]["origin_of_time_code"].clone();
        origin["optional"] = json!(true);
        file["fields"]["origin_of_time_code"] = origin;
        file["observation"]["bodySite"] = json!({ "coding": [{
            "system": "{base}/CodeSystem/origin-of-time", "code": "{origin_of_time_code}"
        }] });
    });
    let first = Server::of(by_device, Settings::default()).await;
    let of_device = |hour: u32| {
        let device = r#""model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"S1","origin_of_time_code":"1""#;
        submission(hour).replace(r#""test_lab_id":"000000000001""#, device)
    };
    let receipt = first.submit(&of_device(1)).await;
    assert_eq!(receipt.status, 201, "{receipt:?}");
    let other = Store::open(first.url(), Arc::new(by_laboratory)).await;
    let Err(Error::Layout(told)) = other else {
        panic!("it is opened");
    };
    assert!(
        told.contains("blood_glucose") && told.contains("device"),
        "{told}"
    );
    assert_eq!(first.submit(&of_device(2)).await.status, 201);
}
