//! The table of faults through `POST /exchange/submissions`: the same faults at the same
//! places as everywhere else.

use serde_json::Value;

use crate::server::*;
use crate::table::{self, Expected};

/// Faults by the registries: the table leaves them out where it is not about them.
const BY_REGISTRIES: [&str; 7] = [
    "consortium-unknown",
    "participant-unknown",
    "laboratory-unknown",
    "method-unknown",
    "outside-participation",
    "device-unregistered",
    "device-inaccurate",
];

fn told(answer: &Answer) -> Vec<Expected> {
    let json = answer.json();
    let own = json["faults"].as_array().into_iter().flatten();
    let entries = json["entries"].as_array().into_iter().flatten();
    let theirs = entries.flat_map(|e| e["faults"].as_array().into_iter().flatten());
    let mut all: Vec<Expected> = own
        .chain(theirs)
        .map(|fault: &Value| serde_json::from_value(fault.clone()).unwrap())
        .collect();
    all.sort();
    // A fault of a person is told of the person and of each of their records.
    all.dedup();
    all
}

#[tokio::test]
async fn every_fault_of_the_table_is_told_at_its_place() {
    let folder = table::folder().join("registries");
    let folder = folder.to_str().unwrap();
    let mut wrong = Vec::new();
    let mut server = None;
    for case in table::cases() {
        let here = match server.take() {
            Some(server) => server,
            None => {
                let fresh = Server::empty().await;
                fresh.register(folder).await;
                fresh
            }
        };
        let answer = if case.lenient {
            here.submit_lenient(&case.text).await
        } else {
            here.submit(&case.text).await
        };
        let mut got = told(&answer);
        if !case.registries {
            got.retain(|f| !BY_REGISTRIES.contains(&f.code.as_str()));
        }
        if got != case.expect {
            wrong.push(format!(
                "{}:\n{}\n  expected {:?}\n  told     {:?}",
                case.name, case.text, case.expect, got
            ));
        }
        let errors = case.expect.iter().any(|f| f.severity == "error");
        let fine = match answer.status {
            200 | 201 => !errors || case.lenient,
            400 => case.expect.iter().all(|f| f.code == "json"),
            422 => errors || !case.registries,
            _ => false,
        };
        assert!(fine, "{}: {} {}", case.name, answer.status, answer.text());
        // What was stored would be in the way of the next case.
        if answer.status >= 300 {
            server = Some(here);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
