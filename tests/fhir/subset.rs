//! `_summary` and `_elements` of reads and histories.

use serde_json::Value;

use crate::server::{PERSON, Server, entries};

fn names(resource: &Value) -> Vec<&str> {
    resource
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Whether it is marked as a part.
fn is_subsetted(resource: &Value) -> bool {
    let tags = resource["meta"]["tag"].as_array();
    tags.is_some_and(|tags| tags.iter().any(|t| t["code"] == "SUBSETTED"))
}

#[tokio::test]
async fn a_read_gives_the_elements_asked_for_and_what_is_mandatory() {
    let server = Server::with_example().await;
    let weight = server
        .matches("/Observation?code=29463-7&_count=1")
        .await
        .remove(0);
    let path = format!("/Observation/{}", weight["id"].as_str().unwrap());
    for asked in ["value", "valueQuantity", "value[x]"] {
        let part = server.found(&format!("{path}?_elements={asked}")).await;
        assert_eq!(
            names(&part),
            [
                "resourceType",
                "id",
                "meta",
                "status",
                "code",
                "valueQuantity"
            ],
            "{asked}"
        );
        assert!(is_subsetted(&part));
        // The digits stay as they were written.
        assert_eq!(part["valueQuantity"], weight["valueQuantity"]);
        assert_eq!(part["meta"]["versionId"], weight["meta"]["versionId"]);
    }
    let patient = server
        .matches(&format!("/Patient?identifier={PERSON}"))
        .await
        .remove(0);
    let patient = format!("/Patient/{}", patient["id"].as_str().unwrap());
    let part = server
        .found(&format!("{patient}?_elements=birthDate,no-such"))
        .await;
    assert_eq!(names(&part), ["resourceType", "id", "meta", "birthDate"]);
    let version = server
        .found(&format!("{path}/_history/1?_elements=device"))
        .await;
    assert!(is_subsetted(&version) && version.get("issued").is_none());
}

#[tokio::test]
async fn a_summary_leaves_out_what_r4_does_not_mark() {
    let server = Server::with_example().await;
    let whole = server
        .matches("/Observation?code=85354-9&_count=1")
        .await
        .remove(0);
    let path = format!("/Observation/{}", whole["id"].as_str().unwrap());
    assert!(!is_subsetted(&whole));
    let summary = server.found(&format!("{path}?_summary=true")).await;
    assert!(is_subsetted(&summary));
    for left_out in ["category", "device", "extension"] {
        assert!(
            whole.get(left_out).is_some() && summary.get(left_out).is_none(),
            "{left_out}"
        );
    }
    assert_eq!(summary["component"], whole["component"]);
    let text = server.found(&format!("{path}?_summary=text")).await;
    assert_eq!(
        names(&text),
        ["resourceType", "id", "meta", "status", "code"]
    );
    let data = server.found(&format!("{path}?_summary=data")).await;
    assert!(is_subsetted(&data) && data.get("device").is_some());
    assert_eq!(server.found(&format!("{path}?_summary=false")).await, whole);
    for wrong in ["count", "maybe", "True"] {
        let answer = server.get(&format!("{path}?_summary={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.issue().contains("_summary"));
    }
}

#[tokio::test]
async fn versions_are_summed_up_in_a_history_too() {
    let server = Server::with_example().await;
    for path in [
        "/Observation/_history?_summary=true",
        "/Observation/_history?_elements=code",
    ] {
        let history = server.found(path).await;
        let all = entries(&history);
        assert!(!all.is_empty());
        assert!(all.iter().all(|e| is_subsetted(&e["resource"])), "{path}");
        assert!(all.iter().all(|e| e["resource"].get("category").is_none()));
    }
    let id = server.id("/Observation?code=4548-4&_count=1").await;
    let history = server
        .found(&format!("/Observation/{id}/_history?_summary=data"))
        .await;
    assert!(is_subsetted(&entries(&history)[0]["resource"]));
}
