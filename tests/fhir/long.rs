//! Long queries: lists of a thousand values, deep chains, and the limits of both.

use kenko_fhir::http::Settings;

use crate::server::{PERSON, Server};

/// A list of values of which only the last finds something.
fn list(number: usize, filler: impl Fn(usize) -> String, last: &str) -> String {
    let fillers = (1..number).map(filler);
    let values: Vec<String> = fillers.chain([last.to_owned()]).collect();
    values.join(",")
}

#[tokio::test]
async fn a_long_list_finds_what_its_values_find() {
    let server = Server::with_example().await;
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    let weight = &server.matches("/Observation?code=29463-7").await[0];
    let id = weight["id"].as_str().unwrap().to_owned();
    let device = weight["device"]["reference"].as_str().unwrap();
    let device = server.found(&format!("/{device}")).await;
    let model = device["modelNumber"].as_str().unwrap().to_owned();
    let number = weight["valueQuantity"]["value"].to_string();
    type Filler = fn(usize) -> String;
    let cases: [(&str, &str, &str, Filler); 17] = [
        ("Observation", "code", "29463-7", |n| format!("c{n}")),
        ("Observation", "value-quantity", &number, |n| {
            format!("{}.25", 1000 + 2 * n)
        }),
        (
            "Observation",
            "code-value-quantity",
            &format!("29463-7${number}"),
            |n| format!("29463-7${}.25", 1000 + 2 * n),
        ),
        (
            "Observation",
            "combo-code-value-quantity",
            &format!("29463-7${number}"),
            |n| format!("c{n}${n}"),
        ),
        ("Observation", "date", "ge2000", |n| {
            format!("{:04}-01-01", 1000 + n % 990)
        }),
        ("Observation", "_id", &id, |n| format!("none{n}")),
        ("Observation", "subject", &patient, |n| format!("none{n}")),
        ("Observation", "patient.identifier", PERSON, |n| {
            format!("none{n}")
        }),
        ("Observation", "device.model", &model, |n| {
            format!("none{n}")
        }),
        ("Observation", "device.model:contains", &model, |n| {
            format!("none{n}")
        }),
        ("Observation", "device.model:exact", &model, |n| {
            format!("none{n}")
        }),
        ("Observation", "_lastUpdated", "ge2020", |n| {
            format!("{:04}-01-01", 1000 + n % 990)
        }),
        ("Patient", "_id", &patient, |n| format!("none{n}")),
        ("Patient", "identifier", PERSON, |n| format!("urn:s|v{n}")),
        ("Patient", "_lastUpdated", "ge2020", |n| {
            format!("{:04}-01-01", 1000 + n % 990)
        }),
        (
            "Patient",
            "_has:Observation:patient:value-quantity",
            &number,
            |n| format!("{}.25", 1000 + 2 * n),
        ),
        ("Provenance", "recorded", "ge2000", |n| {
            format!("{:04}-01-01", 1000 + n % 990)
        }),
    ];
    for (resource, name, value, filler) in cases {
        let alone = format!("/{resource}?_total=accurate&{name}={value}");
        let alone = server.found(&alone).await["total"].as_u64().unwrap();
        assert!(alone > 0, "{resource}?{name}={value}");
        // Below and above the length from which on a list is one value, and nearly at the limit.
        for n in [3, 40, 990] {
            let query = format!("{name}={}", list(n, filler, value));
            let many = server
                .found(&format!("/{resource}?_total=accurate&{query}"))
                .await;
            assert_eq!(
                many["total"].as_u64(),
                Some(alone),
                "{resource}?{query:.100} ({n})"
            );
        }
        let refused = server
            .get(&format!("/{resource}?{name}={}", list(1001, filler, value)))
            .await;
        assert_eq!(refused.status, 400, "{resource}?{name}");
        let issue = refused.issue();
        assert!(
            issue.contains("1000") && issue.contains("--search-values-max"),
            "{issue}"
        );
    }
}

#[tokio::test]
async fn a_chain_is_as_deep_as_its_limit() {
    let server = Server::with_example().await;
    let there = "_has:Observation:patient:patient.";
    let refused = |path: String| {
        let server = &server;
        async move {
            let refused = server.get(&path).await;
            assert_eq!(refused.status, 400, "{path:.100}");
            refused.issue()
        }
    };
    let one = server
        .number(&format!("/Patient?identifier={PERSON}"))
        .await;
    let two = format!("/Patient?{}identifier={PERSON}", there.repeat(2));
    assert_eq!(server.number(&two).await, one);
    let three = format!("/Patient?{}identifier={PERSON}", there.repeat(3));
    let issue = refused(three).await;
    assert!(
        issue.contains('4') && issue.contains("--search-depth-max"),
        "{issue}"
    );
    let many: Vec<String> = (0..70)
        .map(|n| format!("patient.identifier=v{n}"))
        .collect();
    let issue = refused(format!("/Observation?{}", many.join("&"))).await;
    assert!(
        issue.contains("64") && issue.contains("--search-joins-max"),
        "{issue}"
    );
    // A hundred nested ones end as soon as few.
    let issue = refused(format!("/Patient?{}_id=x", there.repeat(100))).await;
    assert!(issue.contains("--search-depth-max"), "{issue}");
    let wider = Settings {
        search_depth_max: 8,
        ..Settings::default()
    };
    let server = Server::with(wider).await;
    let deeper = format!("/Patient?{}identifier={PERSON}", there.repeat(4));
    assert_eq!(server.number(&deeper).await, 0);
}
