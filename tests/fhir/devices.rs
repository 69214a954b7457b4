//! What a Device tells beside maker, model and serial.

use serde_json::{Value, json};

use crate::server::{Server, entries};

/// A device of the registry's first scale, which has a name there.
fn device(identifiers: Value, names: Value) -> Value {
    let mut out = json!({
        "resourceType": "Device",
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "TX1",
    });
    for (name, value) in [("identifier", identifiers), ("deviceName", names)] {
        if value.as_array().is_some_and(|v| !v.is_empty()) {
            out[name] = value;
        }
    }
    out
}

fn serial(value: &str) -> Value {
    json!({
        "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "SNO" }] },
        "system": "urn:maker:serial", "value": value,
    })
}

#[tokio::test]
async fn names_and_identifiers_are_kept_and_found() {
    let server = Server::with_example().await;
    let name = json!({ "name": "居間のタイジュウケイ", "type": "other" });
    let made = server
        .create(&device(json!([serial("A-1")]), json!([name])))
        .await;
    assert_eq!(made["identifier"].as_array().unwrap().len(), 2);
    assert_eq!(made["identifier"][1], serial("A-1"));
    // After that of the registry.
    let registered = made["deviceName"][0].clone();
    assert_eq!(registered["type"], "user-friendly-name");
    assert_eq!(made["deviceName"][1], name);
    let first: u32 = made["meta"]["versionId"].as_str().unwrap().parse().unwrap();
    let id = made["id"].as_str().unwrap();
    let path = format!("/Device/{id}");
    assert_eq!(server.found(&path).await, made);
    let version = format!("{path}/_history/{first}");
    assert_eq!(server.found(&version).await, made);
    for query in [
        "identifier=A-1",
        "identifier=urn:maker:serial%7CA-1",
        "identifier=urn:maker:serial%7C",
        "device-name=居間のﾀｲｼﾞｭｳ",
        "device-name:contains=タイジュウ",
        "device-name:exact=居間のタイジュウケイ",
    ] {
        assert_eq!(server.id(&format!("/Device?{query}")).await, id, "{query}");
    }
    for query in [
        "identifier=A-2",
        "identifier=%7CA-1",
        "device-name=台所",
        "identifier=urn:x%7CA-1",
    ] {
        assert_eq!(
            server.number(&format!("/Device?{query}")).await,
            0,
            "{query}"
        );
    }
    let by = "/Observation?device.identifier=urn:maker:serial%7CA-1";
    assert_eq!(server.number(by).await, 0);

    // Written as it was read, it is the same.
    let same = server.write("PUT", &path, &[], &made).await;
    assert_eq!((same.status.as_u16(), same.json()), (200, made.clone()));
    // An update replaces them.
    let mut changed = made.clone();
    changed["identifier"] = json!([serial("A-2"), { "value": "plain" }]);
    changed["deviceName"] = json!([registered]);
    let stale = format!("W/\"{}\"", first + 1);
    let refused = server
        .write("PUT", &path, &[("if-match", &stale)], &changed)
        .await;
    assert_eq!(refused.status, 412);
    let answer = server.write("PUT", &path, &[], &changed).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let read = server.found(&path).await;
    assert_eq!(read, answer.json());
    assert_eq!(read["meta"]["versionId"], (first + 1).to_string());
    assert!(read["meta"]["lastUpdated"].as_str() > made["meta"]["lastUpdated"].as_str());
    assert_eq!(read["deviceName"], json!([registered]));
    assert_eq!(server.number("/Device?identifier=A-1").await, 0);
    assert_eq!(server.number("/Device?device-name=居間").await, 0);
    assert_eq!(server.id("/Device?identifier=%7Cplain").await, id);
    // A create that says nothing of them changes nothing.
    let again = server
        .write("POST", "/Device", &[], &device(json!([]), json!([])))
        .await;
    assert_eq!((again.status.as_u16(), again.json()), (200, read.clone()));
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": [{
        "resource": { "resourceType": "Device", "id": id, "manufacturer": "ACME",
            "modelNumber": "WS-100", "serialNumber": "TX1" },
        "request": { "method": "PUT", "url": format!("Device/{id}"), "ifMatch": format!("W/\"{}\"", first + 1) },
    }] });
    let answer = server.write("POST", "", &[], &batch).await.json();
    assert_eq!(entries(&answer)[0]["response"]["status"], "200 OK");
    let bare = server.found(&path).await;
    assert_eq!(bare["identifier"].as_array().unwrap().len(), 1);
    assert_eq!(bare["meta"]["versionId"], (first + 2).to_string());
    let former = server.get(&version).await;
    assert_eq!(former.status, 404, "{}", former.text);
}

#[tokio::test]
async fn what_a_name_refers_to_must_be_there() {
    let server = Server::with_example().await;
    let mut identifier = serial("A-1");
    identifier["assigner"] = json!({ "reference": "Organization/unknown" });
    let sent = device(json!([identifier]), json!([]));
    let answer = server.write("POST", "/Device", &[], &sent).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    answer.issue();
}
