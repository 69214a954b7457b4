//! Patient, Device, DeviceDefinition, Organization, ResearchStudy, ResearchSubject, Provenance.

use kenko_fhir::fhir::instance::{self, Origin};
use kenko_fhir::fhir::resource;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::Access;
use serde_json::{Value, json};

use crate::server::{PERSON, Server, link, matches, weight};

const SID: &str = "https://kenko-fhir.example/fhir/sid";

#[tokio::test]
async fn registry_resources_are_found_by_id_and_identifier() {
    let server = Server::with_example().await;
    for (query, number) in [
        ("Patient", 2),
        ("Patient?identifier=P0000000000000000001", 1),
        (
            "Patient?identifier=P0000000000000000001,P0000000000000000002",
            2,
        ),
        (
            &format!("Patient?identifier={SID}/consortium/A00001/person|P0000000000000000001"),
            1,
        ),
        (
            &format!("Patient?identifier={SID}/consortium/A00001/person|"),
            2,
        ),
        (
            &format!("Patient?identifier={SID}/consortium/A00002/person|P0000000000000000001"),
            0,
        ),
        (
            "Patient?identifier=urn:oid:1.2.392.100495.20.3.51.12312345678|00012345",
            1,
        ),
        (
            "Patient?identifier=urn:oid:1.2.392.100495.20.3.51.12312345678|",
            1,
        ),
        ("Patient?identifier=00012345", 1),
        ("Patient?identifier=|00012345", 0),
        ("Patient?identifier=nobody", 0),
        ("ResearchSubject", 2),
        ("ResearchSubject?identifier=P0000000000000000002", 1),
        ("ResearchSubject?identifier=00012345", 0),
        ("ResearchStudy", 1),
        ("ResearchStudy?identifier=A00001", 1),
        (
            &format!("ResearchStudy?identifier={SID}/consortium|A00002"),
            0,
        ),
        ("Organization", 3),
        (
            &format!("Organization?identifier={SID}/consortium|A00001"),
            1,
        ),
        (&format!("Organization?identifier={SID}/consortium|"), 1),
        (
            &format!("Organization?identifier={SID}/consortium/A00001/test-lab|000000000001"),
            1,
        ),
        (
            &format!("Organization?identifier={SID}/consortium/A00001/test-lab|"),
            2,
        ),
        ("Organization?identifier=000000000002,A00001", 2),
        (
            "Organization?identifier=http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no|2312345678",
            1,
        ),
        ("Device", 6),
        ("Device?identifier=ACME:WS-100:WS0001234", 1),
        (
            &format!("Device?identifier={SID}/device|ACME:WS-100:WS0001234"),
            1,
        ),
        (&format!("Device?identifier={SID}/device|"), 6),
        ("Device?identifier=ACME:WS-100", 0),
        ("DeviceDefinition", 4),
        (
            &format!("DeviceDefinition?identifier={SID}/device-model|ACME:AM-500"),
            1,
        ),
        ("Provenance", 2),
    ] {
        assert_eq!(server.number(&format!("/{query}")).await, number, "{query}");
        let counted = if query.contains('?') { "&" } else { "?" };
        let total = server
            .found(&format!("/{query}{counted}_summary=count"))
            .await;
        assert_eq!(total["total"], number, "{query}");
    }
}

#[tokio::test]
async fn every_registry_resource_reads_with_its_version() {
    let server = Server::with_example().await;
    for resource in [
        "Patient",
        "Device",
        "DeviceDefinition",
        "Organization",
        "ResearchStudy",
        "ResearchSubject",
        "Provenance",
    ] {
        for found in server.matches(&format!("/{resource}")).await {
            let id = found["id"].as_str().unwrap();
            let answer = server.get(&format!("/{resource}/{id}")).await;
            assert_eq!(answer.json(), found);
            let version = found["meta"]["versionId"].as_str().unwrap();
            assert_eq!(answer.header("etag"), format!("W/\"{version}\""));
            assert!(!answer.header("last-modified").is_empty());
            let versioned = server
                .found(&format!("/{resource}/{id}/_history/{version}"))
                .await;
            assert_eq!(versioned, found);
            assert_eq!(server.id(&format!("/{resource}?_id={id}")).await, id);
            assert_eq!(
                server
                    .number(&format!("/{resource}?_id={id},unknown&_id={id}"))
                    .await,
                1
            );
        }
        assert_eq!(server.number(&format!("/{resource}?_id=unknown")).await, 0);
    }
}

#[tokio::test]
async fn many_instances_are_read_in_one_go() {
    let server = Server::with_example().await;
    let access = Access::operator();
    let origin = Origin {
        store: &server.store,
        access: &access,
    };
    for resource in resource::RESOURCES {
        let name = resource.name();
        if name == "Observation" {
            continue;
        }
        let listed = server.matches(&format!("/{name}")).await;
        let mut ids: Vec<&str> = listed.iter().map(|r| r["id"].as_str().unwrap()).collect();
        ids.extend(["unknown", "AAAAAAAAAAAAAAAA", "x.AAAAAAAAAAAAAAAA", ids[0]]);
        let found = instance::by_ids(origin, resource, &ids).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|i| i.body).collect();
        assert_eq!(found, listed, "{name}");
    }
}

#[tokio::test]
async fn references_of_observations_lead_to_resources() {
    let server = Server::with_example().await;
    for found in server.matches("/Observation").await {
        for reference in [
            &found["subject"]["reference"],
            &found["device"]["reference"],
            &found["performer"][0]["reference"],
        ] {
            if let Some(reference) = reference.as_str() {
                server.found(&format!("/{reference}")).await;
            }
        }
    }
    for found in server.matches("/Device").await {
        if let Some(reference) = found["definition"]["reference"].as_str() {
            server.found(&format!("/{reference}")).await;
        }
    }
}

#[tokio::test]
async fn pages_of_rows_have_each_once() {
    let server = Server::with_example().await;
    for (resource, number) in [
        ("Organization", 3),
        ("Device", 6),
        ("Provenance", 2),
        ("Patient", 2),
    ] {
        let mut seen = Vec::new();
        let mut next = Some(format!("/{resource}?_count=1"));
        while let Some(url) = next {
            let page = server.found(&url).await;
            seen.extend(matches(&page).iter().map(|m| m["id"].to_string()));
            next = link(&page, "next");
            assert!(seen.len() <= number);
        }
        let listed = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((listed, seen.len()), (number, number), "{resource}");
    }
}

#[tokio::test]
async fn a_device_changes_with_its_model() {
    let server = Server::with_example().await;
    let id = server.id("/Device?identifier=ACME:WS-100:WS0001234").await;
    let before = server.found(&format!("/Device/{id}")).await;
    assert_eq!(before["deviceName"][0]["name"], "アクメ体組成計WS-100");
    let list = kenko_fhir::registry::List::by_name("devices").unwrap();
    let json = r#"[{"model_manufacturer_code":"ACME","model_number":"WS-100","manufacturer_name":"A","device_name":"新しい名前","device_type_code":"1"}]"#;
    let rows = kenko_fhir::registry::read_json(list, json.as_bytes(), &Default::default()).unwrap();
    server
        .store
        .change_registry(list, &rows.rows, false)
        .await
        .unwrap()
        .unwrap();
    let after = server.found(&format!("/Device/{id}")).await;
    assert_eq!(after["deviceName"][0]["name"], "新しい名前");
    assert_ne!(after["meta"]["versionId"], before["meta"]["versionId"]);
    assert!(after["meta"]["lastUpdated"].as_str() >= before["meta"]["lastUpdated"].as_str());
}

#[tokio::test]
async fn a_provenance_tells_what_a_write_did() {
    let server = Server::with_example().await;
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    let of_first = |all: &[serde_json::Value]| {
        let found = all
            .iter()
            .filter(|p| p["id"].as_str().unwrap().ends_with(&patient));
        found.cloned().collect::<Vec<_>>()
    };
    let first = of_first(&server.matches("/Provenance").await);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["target"].as_array().unwrap().len(), 5);
    assert_eq!(first[0]["activity"]["coding"][0]["code"], "CREATE");
    assert_eq!(
        first[0]["agent"][0]["type"]["coding"][0]["code"],
        "assembler"
    );
    for target in first[0]["target"].as_array().unwrap() {
        server
            .found(&format!("/{}", target["reference"].as_str().unwrap()))
            .await;
    }
    // A new version, a deletion: the first still tells what it brought.
    server
        .submit(&weight(
            PERSON,
            "20160901073015",
            "65.4",
            "20160902081500123",
        ))
        .await;
    let id = server
        .id("/Observation?code=29463-7&date=2016-09-01T07:30:15")
        .await;
    server
        .send("DELETE", &format!("/Observation/{id}"), &[], "")
        .await;
    let all = of_first(&server.matches("/Provenance").await);
    let activities: Vec<&str> = all
        .iter()
        .map(|p| p["activity"]["coding"][0]["code"].as_str().unwrap())
        .collect();
    assert_eq!(activities, ["CREATE", "UPDATE", "DELETE"]);
    assert_eq!(all[0]["target"].as_array().unwrap().len(), 5);
    for one in &all {
        let id = one["id"].as_str().unwrap();
        assert_eq!(server.found(&format!("/Provenance/{id}")).await, *one);
    }
    assert_eq!(server.found("/Provenance?_count=0").await["total"], 4);
}

#[tokio::test]
async fn an_entity_tag_changes_with_the_registry_rows_that_are_shown() {
    let server = Server::with_example().await;
    let put = async |list: &str, rows: Value| {
        let list = List::by_name(list).unwrap();
        let text = rows.to_string();
        let read = registry::read_json(list, text.as_bytes(), &registry::Options::default());
        let rows = read.unwrap().rows;
        server
            .store
            .change_registry(list, &rows, false)
            .await
            .unwrap()
            .unwrap();
    };
    let hba1c = server.matches("/Observation?code=4548-4&_count=10").await;
    let shown = hba1c.iter().find(|one| one.get("method").is_some());
    let path = format!("/Observation/{}", shown.unwrap()["id"].as_str().unwrap());
    let former = server.get(&path).await;
    let tag = former.header("etag").to_owned();
    let modified = former.header("last-modified").to_owned();
    let unchanged = async |name: &str, value: &str| {
        let answer = server.send("GET", &path, &[(name, value)], "").await;
        answer.status == 304
    };
    assert!(unchanged("if-none-match", &tag).await);
    put(
        "hba1c-methods",
        json!([{ "measurement_method_code": "000001", "method_class_code": "1", "method_name": "x" }]),
    )
    .await;
    let now = server.get(&path).await;
    assert_ne!(now.json(), former.json());
    assert_ne!(now.header("etag"), tag);
    assert!(!unchanged("if-none-match", &tag).await);
    assert!(!unchanged("if-modified-since", &modified).await);
    assert!(unchanged("if-none-match", now.header("etag")).await);
    // The version is the same, and that is what a write is for.
    let versions = [&former, &now].map(|answer| answer.json()["meta"]["versionId"].clone());
    assert_eq!(versions[0], versions[1]);
    for tag in [tag.as_str(), "W/\"1\""] {
        let headers = [("if-match", tag)];
        let answer = server.write("PUT", &path, &headers, &now.json()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let headers = [("if-match", "W/\"2-00000000\"")];
    let answer = server.write("PUT", &path, &headers, &now.json()).await;
    assert_eq!(answer.status, 412);
}

#[tokio::test]
async fn a_device_has_no_version_twice_when_its_model_goes() {
    let server = Server::with_example().await;
    let devices = server.matches("/Device").await;
    let id = devices[0]["id"].as_str().unwrap();
    let path = format!("/Device/{id}");
    let list = List::by_name("devices").unwrap();
    let registered = server.get(&path).await;
    server
        .store
        .change_registry(list, &[], true)
        .await
        .unwrap()
        .unwrap_err();
    // Rows that records name stay; take one that nothing has been measured with.
    let part = json!({ "resourceType": "Device", "manufacturer": "Other", "modelNumber": "M-1", "serialNumber": "S" });
    let made = server.create(&part).await;
    let other = format!("/Device/{}", made["id"].as_str().unwrap());
    let mut tags = vec![server.get(&other).await.header("etag").to_owned()];
    assert_ne!(registered.header("etag"), "");
    for name in ["one", "two"] {
        let rows = json!([{ "model_manufacturer_code": "Other", "model_number": "M-1", "device_name": name, "device_type_code": "1" }]);
        let read = registry::read_json(list, rows.to_string().as_bytes(), &Default::default());
        let rows = read.unwrap().rows;
        let done = server.store.change_registry(list, &rows, false).await;
        done.unwrap().unwrap();
        tags.push(server.get(&other).await.header("etag").to_owned());
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count, "{tags:?}");
}
