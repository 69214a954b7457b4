//! Searches in compartments.

use kenko_fhir::fhir::compartment::COMPARTMENTS;

use crate::server::{PERSON, Server, link};

#[tokio::test]
async fn a_compartment_has_what_is_about_its_resource() {
    let server = Server::with_example().await;
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    let own = server
        .found(&format!("/Observation?patient={patient}&_sort=date"))
        .await;
    let path = format!("/Patient/{patient}/Observation?_sort=date");
    let within = server.found(&path).await;
    assert_eq!(within["entry"], own["entry"]);
    assert_eq!(link(&within, "self").unwrap(), path);
    // Other parameters narrow it.
    let weights = format!("/Patient/{patient}/Observation?code=29463-7");
    let all = format!("/Observation?patient={patient}&code=29463-7");
    assert_eq!(server.number(&weights).await, server.number(&all).await);
    let none = format!("/Patient/{patient}/Observation?patient=other");
    assert_eq!(server.number(&none).await, 0);
    // Pages go on in it.
    let mut next = Some(format!("/Patient/{patient}/Observation?_count=3"));
    let mut walked = 0;
    while let Some(at) = next {
        assert!(
            at.starts_with(&format!("/Patient/{patient}/Observation?")),
            "{at}"
        );
        let page = server.found(&at).await;
        walked += page["entry"].as_array().unwrap().len();
        next = link(&page, "next");
    }
    assert_eq!(
        walked,
        server
            .number(&format!("/Observation?patient={patient}"))
            .await
    );
    // By a form.
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/Patient/{patient}/Observation/_search");
    let form = server.send("POST", &path, &headers, "code=29463-7").await;
    assert_eq!(form.json()["entry"], server.found(&weights).await["entry"]);
}

#[tokio::test]
async fn a_resource_that_is_not_there_has_none() {
    let server = Server::with_example().await;
    for path in [
        "/Patient/AAAAAAAAAAAAAAAA/Observation",
        "/Patient/x/Observation?code=29463-7",
        "/Patient/x/Nothing",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        answer.issue();
    }
    let answer = server.get("/Observation/x/Observation").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn compartments_are_claimed_as_they_are_routed() {
    let server = Server::with_example().await;
    let statement = server.found("/metadata").await;
    let claimed = statement["rest"][0]["compartment"].as_array().unwrap();
    let mut members = 0;
    for compartment in COMPARTMENTS {
        for member in compartment.members() {
            let canonical = compartment.definition().into();
            assert!(claimed.contains(&canonical), "{canonical}");
            let of = member.of.name();
            let found = server.matches(&format!("/{of}?_count=1")).await;
            let id = found[0]["id"].as_str().unwrap();
            server
                .found(&format!("/{of}/{id}/{}", member.resource.name()))
                .await;
            members += 1;
        }
    }
    assert_eq!(members, 4);
}
