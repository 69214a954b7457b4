//! `_include` and `_revinclude`.

use std::collections::HashSet;

use serde_json::Value;

use crate::server::{BASE, PERSON, Server, entries, link, matches, weight};

/// References of the entries of a mode, whose addresses are absolute.
fn of(bundle: &Value, mode: &str) -> Vec<String> {
    let all = entries(bundle);
    let some = all.iter().filter(|e| e["search"]["mode"] == mode);
    some.map(|e| {
        let url = e["fullUrl"].as_str().unwrap();
        let reference = url.strip_prefix(BASE).and_then(|r| r.strip_prefix('/'));
        let reference = reference.expect(url).to_owned();
        assert!(reference.ends_with(e["resource"]["id"].as_str().unwrap()));
        reference
    })
    .collect()
}

/// The types of what came along, each once and in order.
fn types(bundle: &Value) -> Vec<String> {
    let mut out: Vec<String> = of(bundle, "include")
        .iter()
        .map(|r| r.split('/').next().unwrap().to_owned())
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

#[tokio::test]
async fn what_matches_refer_to_comes_along_once() {
    let server = Server::with_example().await;
    let page = server
        .found("/Observation?_include=Observation:device&_include=Observation:subject")
        .await;
    let included = of(&page, "include");
    assert_eq!(types(&page), ["Device", "Patient"]);
    assert_eq!(
        included.iter().collect::<HashSet<_>>().len(),
        included.len()
    );
    // All that they refer to, and nothing else.
    let mut wanted = HashSet::new();
    for observation in matches(&page) {
        for element in ["device", "subject"] {
            if let Some(reference) = observation[element]["reference"].as_str() {
                wanted.insert(reference.to_owned());
            }
        }
    }
    assert_eq!(included.into_iter().collect::<HashSet<_>>(), wanted);
    assert!(
        link(&page, "self")
            .unwrap()
            .contains("_include=Observation:device")
    );
    let plain = server.found("/Observation").await;
    assert_eq!(matches(&plain), matches(&page));
    assert_eq!(of(&plain, "include").len(), 0);
}

#[tokio::test]
async fn matches_are_counted_and_not_repeated() {
    let server = Server::with_example().await;
    let path = "/Observation?_include=Observation:patient&_count=2&_total=accurate";
    let mut next = Some(path.to_owned());
    let mut seen = HashSet::new();
    let mut pages = 0;
    while let Some(at) = next {
        let page = server.found(&at).await;
        assert_eq!(page["total"], 11);
        let found = of(&page, "match");
        assert!((1..=2).contains(&found.len()));
        assert!(found.iter().all(|f| seen.insert(f.clone())));
        // The person of these records, on each page.
        assert_eq!(types(&page), ["Patient"]);
        pages += 1;
        next = link(&page, "next");
    }
    assert_eq!((seen.len(), pages), (11, 6));
    let count = server
        .found("/Observation?_include=Observation:patient&_count=0")
        .await;
    assert_eq!(count.get("entry"), None);
}

#[tokio::test]
async fn a_target_and_a_wildcard_choose() {
    let server = Server::with_example().await;
    let of_type = |value: &str| format!("/Observation?_include={value}");
    let patients = server.found(&of_type("Observation:subject:Patient")).await;
    assert_eq!(types(&patients), ["Patient"]);
    let all = server.found(&of_type("Observation:*")).await;
    assert!(
        types(&all).contains(&"Device".to_owned()) && types(&all).contains(&"Patient".to_owned())
    );
    assert_eq!(
        of(&server.found(&of_type("*")).await, "include"),
        of(&all, "include")
    );
    for wrong in [
        "Observation:nothing",
        "Nothing:x",
        "Patient:organization",
        "Observation:code",
        "Observation",
    ] {
        let told = server.found(&of_type(wrong)).await;
        assert_eq!(of(&told, "include").len(), 0, "{wrong}");
        assert!(told.to_string().contains("not-supported"), "{wrong}");
        assert_eq!(link(&told, "self").unwrap(), "/Observation");
        let strict = [("prefer", "handling=strict")];
        let answer = server.send("GET", &of_type(wrong), &strict, "").await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn what_refers_to_matches_comes_along() {
    let server = Server::with_example().await;
    let path = format!("/Patient?identifier={PERSON}&_revinclude=Observation:patient");
    let page = server.found(&path).await;
    let patient = of(&page, "match").remove(0);
    let id = patient.strip_prefix("Patient/").unwrap();
    let own: Vec<String> = of(
        &server.found(&format!("/Observation?patient={id}")).await,
        "match",
    );
    assert_eq!(of(&page, "include"), own);
    // And what they refer to in turn.
    let path = format!("{path}&_include:iterate=Observation:device");
    assert_eq!(types(&server.found(&path).await), ["Device", "Observation"]);
    let once = format!(
        "/Patient?identifier={PERSON}&_revinclude=Observation:patient&_include=Observation:device"
    );
    assert!(!types(&server.found(&once).await).contains(&"Device".to_owned()));
}

#[tokio::test]
async fn parts_of_matches_come_with_whole_includes() {
    let server = Server::with_example().await;
    let page = server
        .found("/Observation?_elements=device&_include=Observation:device")
        .await;
    for entry in entries(&page) {
        let part = entry["resource"]["meta"]["tag"]
            .to_string()
            .contains("SUBSETTED");
        assert_eq!(part, entry["search"]["mode"] == "match");
    }
    let summary = server
        .found("/Observation?_summary=true&_include=Observation:device")
        .await;
    for entry in entries(&summary) {
        assert!(
            entry["resource"]["meta"]["tag"]
                .to_string()
                .contains("SUBSETTED")
        );
    }
    let answer = server
        .get("/Observation?_summary=text&_include=Observation:device")
        .await;
    assert_eq!(answer.status, 400);
    answer.issue();
}

#[tokio::test]
async fn more_than_a_page_takes_is_told() {
    let server = Server::with_example().await.since_new_year().await;
    let one: Value =
        serde_json::from_str(&weight(PERSON, "20160601070000", "60", "20160930080000000")).unwrap();
    let mut many = one.clone();
    let path = "/person_information/0/healthcare_information/weighing_scale";
    let record = one.pointer(path).unwrap()[0].clone();
    let records = (0..1100).map(|i| {
        let mut record = record.clone();
        record["observation_time"] = format!("20160601{:02}{:02}00", i / 60, i % 60).into();
        record
    });
    *many.pointer_mut(path).unwrap() = records.collect();
    assert_eq!(server.submit(&many.to_string()).await.status, 201);
    let path = format!("/Patient?identifier={PERSON}&_revinclude=Observation:patient");
    let page = server.found(&path).await;
    assert_eq!(of(&page, "match").len(), 1);
    assert_eq!(of(&page, "include").len(), 1000);
    let told = entries(&page).pop().unwrap();
    assert_eq!(told["search"]["mode"], "outcome");
    assert_eq!(told["resource"]["issue"][0]["code"], "incomplete");
    assert_eq!(told["resource"]["issue"][0]["severity"], "warning");
}

#[tokio::test]
async fn references_of_every_resource_are_followed() {
    let server = Server::with_example().await;
    for (path, came) in [
        ("/Patient?_include=Patient:organization", "Organization"),
        (
            "/Patient?_revinclude=ResearchSubject:individual",
            "ResearchSubject",
        ),
        (
            "/ResearchSubject?_include=ResearchSubject:study",
            "ResearchStudy",
        ),
        (
            "/ResearchStudy?_include=ResearchStudy:sponsor",
            "Organization",
        ),
        (
            "/Observation?code=29463-7&_revinclude=Provenance:target",
            "Provenance",
        ),
        ("/Provenance?_include=Provenance:target", "Observation"),
        ("/Device?_revinclude=Observation:device", "Observation"),
        (
            "/Observation?code=4548-4&_include=Observation:performer",
            "Organization",
        ),
    ] {
        let page = server.found(path).await;
        assert!(!matches(&page).is_empty(), "{path}");
        assert_eq!(types(&page), [came], "{path}: {:?}", page["entry"]);
    }
    let chain = "/Observation?code=29463-7&_include=Observation:subject&_include:iterate=Patient:organization";
    assert_eq!(
        types(&server.found(chain).await),
        ["Organization", "Patient"]
    );
}
