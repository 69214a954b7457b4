//! Search parameters by type (<https://hl7.org/fhir/R4/search.html>).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::server::{BASE, PERSON, Server, matches, weight};

const SID: &str = "https://kenko-fhir.example/fhir/sid";
const STRICT: [(&str, &str); 1] = [("prefer", "handling=strict")];

/// Checks how many Observations each query finds, with nothing ignored.
pub async fn found(server: &Server, resource: &str, queries: &[(&str, usize)]) {
    for (query, number) in queries {
        let path = format!("/{resource}?{query}");
        let answer = server.send("GET", &path, &STRICT, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(matches(&answer.json()).len(), *number, "{path}");
    }
}

pub async fn refused(server: &Server, resource: &str, queries: &[&str]) {
    for query in queries {
        let path = format!("/{resource}?{query}");
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        answer.issue();
    }
}

/// A server with one weight of the first person a time and value.
pub async fn weights(records: &[(&str, &str)]) -> Server {
    let server = Server::empty().await.since_new_year().await;
    for (time, value) in records {
        let text = weight(PERSON, time, value, "20160930000000000");
        assert_eq!(server.submit(&text).await.counts.created, 1, "{time}");
    }
    server
}

/// Every parameter that `/metadata` lists, with its type.
pub async fn listed(server: &Server) -> Vec<(String, String, String)> {
    let statement = server.found("/metadata").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all = Vec::new();
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        for parameter in resource["searchParam"].as_array().unwrap() {
            let (name, ty) = (text(&parameter["name"]), text(&parameter["type"]));
            all.push((text(&resource["type"]), name, ty));
        }
    }
    all
}

#[tokio::test]
async fn c1_32_tokens_by_code_and_system_of_any_coding() {
    let server = Server::with_example().await;
    let kind = "https://kenko-fhir.example/fhir/CodeSystem/record-kind";
    found(
        &server,
        "Observation",
        &[
            ("code=29463-7", 3),
            ("code=http://loinc.org|29463-7", 3),
            ("code=http://loinc.org%7C29463-7", 3),
            ("code=|29463-7", 0),
            ("code=http://snomed.info/sct|29463-7", 0),
            ("code=http://loinc.org|", 11),
            ("code=188736", 3),
            ("code=urn:iso:std:iso:11073:10101|188736", 3),
            ("code=29463-7,4548-4", 5),
            ("code=29463-7&code=188736", 3),
            ("code=29463-7&code=4548-4", 0),
            ("code=nothing", 0),
            ("status=final", 11),
            ("status=amended", 0),
            ("status=http://hl7.org/fhir/observation-status|final", 11),
            ("category=vital-signs", 7),
            ("category=laboratory", 2),
            (&format!("category={kind}|"), 11),
            (&format!("category={kind}|home_blood_pressure"), 2),
            ("combo-code=8480-6", 4),
            ("component-code=http://loinc.org|8480-6", 4),
            ("combo-code=29463-7", 3),
            ("component-code=29463-7", 0),
        ],
    )
    .await;
    let person = format!("{SID}/consortium/A00001/person");
    found(
        &server,
        "Patient",
        &[
            (&format!("identifier={PERSON}"), 1),
            (&format!("identifier={person}|{PERSON}"), 1),
            (&format!("identifier={person}|"), 2),
            (&format!("identifier=|{PERSON}"), 0),
            ("identifier=00012345", 1),
            ("gender=male", 1),
            ("gender=male,female", 2),
            ("gender=http://hl7.org/fhir/administrative-gender|female", 1),
        ],
    )
    .await;
    refused(&server, "Observation", &["code=|", "code=a|b|c"]).await;
}

#[tokio::test]
async fn c1_33_strings_from_the_start_and_folded() {
    let server = Server::with_example().await;
    let encode = |text: &str| -> String {
        let bytes = text.bytes();
        bytes.map(|b| format!("%{b:02X}")).collect()
    };
    for (resource, query, text, number) in [
        // 七福神健康コンソーシアム, and laboratories with other names.
        ("Organization", "name", "七福神健康コンソーシアム", 1),
        ("Organization", "name", "七福神", 1),
        ("Organization", "name", "コンソーシアム", 0),
        ("Organization", "name:contains", "コンソーシアム", 1),
        ("Organization", "name:contains", "ｺﾝｿｰｼｱﾑ", 1),
        ("Organization", "name:contains", "こんそーしあむ", 1),
        ("Organization", "name:exact", "七福神健康コンソーシアム", 1),
        ("Organization", "name:exact", "七福神健康ｺﾝｿｰｼｱﾑ", 0),
        ("Organization", "name:exact", "七福神", 0),
        // アクメ体組成計WS-100, two of them.
        ("Device", "device-name", "アクメ体組成計WS-100", 2),
        ("Device", "device-name", "アクメ体組成計ws-100", 2),
        ("Device", "device-name", "あくめ", 5),
        ("Device", "device-name", "ｱｸﾒ体組成計ＷＳ", 2),
        ("Device", "device-name:contains", "ws-1", 2),
        ("Device", "device-name:exact", "アクメ体組成計ws-100", 0),
        ("Patient", "address-state", "愛知", 1),
        ("Patient", "address-state:exact", "愛知", 0),
        ("Patient", "address-state:exact", "愛知県", 1),
    ] {
        let query = format!("{query}={}", encode(text));
        let path = format!("/{resource}?{query}");
        let answer = server.send("GET", &path, &STRICT, "").await;
        assert_eq!(answer.status, 200, "{resource}?{text}: {}", answer.text);
        let found = matches(&answer.json()).len();
        assert_eq!(found, number, "{resource} {text}");
    }
    // A vowel with an accent is its vowel; a voiced kana is another kana.
    let list = kenko_fhir::registry::List::by_name("laboratories").unwrap();
    let json = r#"[{"consortium_id":"A00001","test_lab_id":"000000000009",
        "test_lab_name":"Clinique Élan ガーデン","prefecture_code":"13"}]"#;
    let read = kenko_fhir::registry::read_json(list, json.as_bytes(), &Default::default());
    let rows = read.unwrap().rows;
    let done = server.store.change_registry(list, &rows, false).await;
    done.unwrap().unwrap();
    for (text, number) in [
        ("clinique elan", 1),
        ("CLINIQUE ÉLAN", 1),
        ("clinique élan", 1),
        ("clinique alan", 0),
        ("clinique elan カーデン", 0),
        ("clinique elan がーでん", 1),
    ] {
        let path = format!("/Organization?name={}", encode(text));
        assert_eq!(server.number(&path).await, number, "{text}");
    }
}

#[tokio::test]
async fn c1_34_commas_repetitions_escapes() {
    let server = Server::empty().await;
    let odd = weight(PERSON, "20160901070000", "60", "20160902000000000")
        .replace("WS0001234", "A,B|C$D%E:F\\\\G");
    assert_eq!(server.submit(&odd).await.status, 201);
    // In the identity `%` and `:` are escaped; in the query `,` `|` `$` `\` and, once more, `%`.
    let serial = "A\\,B\\|C\\$D%2525E%253AF\\\\G";
    let identity = format!("A00001:{PERSON}:weighing_scale:20160901070000:{serial}");
    let record = format!("{SID}/record");
    found(
        &server,
        "Observation",
        &[
            (&format!("identifier={identity}"), 1),
            (&format!("identifier=x,{identity}"), 1),
            (&format!("identifier={record}|{identity}"), 1),
            (&format!("identifier={record}%7C{identity}"), 1),
            (&format!("identifier={identity}&identifier=x"), 0),
            (&format!("identifier={identity}&code=29463-7"), 1),
            // Unescaped, a comma is between two values.
            (&format!("identifier={}", identity.replace("\\,", ",")), 0),
            ("code=29463-7,4548-4", 1),
            ("code=4548-4,nothing", 0),
            ("code=29463%2D7%2C4548-4", 1),
        ],
    )
    .await;
    let serial = format!("ACME:WS-100:{serial}");
    found(&server, "Device", &[(&format!("identifier={serial}"), 1)]).await;
    // A percent sign that hides nothing, and bytes that are not UTF-8.
    refused(
        &server,
        "Observation",
        &["code=%", "code=%4", "code=%FF%FE", "_%zz=1"],
    )
    .await;
    // What the self link shows is escaped alike.
    let page = server
        .found(&format!("/Observation?identifier={identity}"))
        .await;
    let own = crate::server::link(&page, "self").unwrap();
    assert_eq!(server.number(&own).await, 1, "{own}");
}

#[tokio::test]
async fn c1_35_missing_splits_what_there_is() {
    let server = Server::with_example().await;
    for (resource, parameter, ty) in listed(&server).await {
        // What is composed of others and what is no element has no `:missing`.
        if ty == "composite" || ty == "special" || parameter.starts_with('_') {
            continue;
        }
        let all = server.found(&format!("/{resource}?_summary=count")).await;
        let mut sum = 0;
        for missing in ["true", "false"] {
            let path = format!("/{resource}?{parameter}:missing={missing}&_summary=count");
            let answer = server.send("GET", &path, &STRICT, "").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            sum += answer.json()["total"].as_u64().unwrap();
        }
        assert_eq!(all["total"], sum, "{resource}?{parameter}:missing");
        let wrong = format!("/{resource}?{parameter}:missing=perhaps");
        assert_eq!(server.get(&wrong).await.status, 400, "{wrong}");
    }
    found(
        &server,
        "Observation",
        &[
            ("device:missing=true", 4),
            ("device:missing=false", 7),
            ("value-quantity:missing=true", 4),
            ("component-code:missing=false", 8),
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_35_not_finds_what_lacks_the_element() {
    let server = Server::with_example().await;
    found(
        &server,
        "Observation",
        &[
            ("code:not=29463-7", 8),
            ("code:not=29463-7,4548-4", 6),
            ("code:not=nothing", 11),
            ("category:not=vital-signs", 4),
            ("status:not=final", 0),
            // Seven have no component with this code, three of them no component at all.
            ("component-code:not=8480-6", 7),
            ("method:not=nothing", 11),
        ],
    )
    .await;
    found(
        &server,
        "Patient",
        &[("gender:not=male", 1), ("identifier:not=00012345", 1)],
    )
    .await;
}

#[tokio::test]
async fn c1_35_a_wrong_modifier_is_refused() {
    let server = Server::with_example().await;
    for (resource, parameter, ty) in listed(&server).await {
        let (value, wrong): (&str, &[&str]) = match ty.as_str() {
            "date" => (
                "2016",
                &["exact", "contains", "not", "identifier", "text", "in"],
            ),
            "quantity" | "number" => ("1", &["exact", "contains", "not", "identifier", "in"]),
            "string" => ("x", &["not", "identifier", "below", "in", "Patient"]),
            "token" => ("x", &["exact", "contains", "identifier", "Patient"]),
            "reference" => ("x", &["exact", "contains", "not", "in"]),
            "uri" => ("urn:x", &["exact", "not", "in", "identifier"]),
            "composite" => ("x$1", &["exact", "not", "identifier"]),
            _ => continue,
        };
        for modifier in wrong.iter().chain(&["nothing", ""]) {
            let path = format!("/{resource}?{parameter}:{modifier}={value}");
            let answer = server.get(&path).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text);
            answer.issue();
        }
    }
}

#[tokio::test]
async fn c1_36_references_in_all_their_forms() {
    let server = Server::with_example().await;
    let id = server.id(&format!("/Patient?identifier={PERSON}")).await;
    let device = server.id("/Device?identifier=ACME:WS-100:WS0001234").await;
    let person = format!("{SID}/consortium/A00001/person");
    let queries = [
        (format!("patient={id}"), 5),
        (format!("subject={id}"), 5),
        (format!("subject=Patient/{id}"), 5),
        (format!("patient=Patient/{id}"), 5),
        (format!("subject:Patient={id}"), 5),
        (format!("patient={BASE}/Patient/{id}"), 5),
        (format!("patient=http://other.example/fhir/Patient/{id}"), 0),
        (format!("subject=Group/{id}"), 0),
        (format!("patient={id},unknown"), 5),
        (format!("patient={id}&patient=unknown"), 0),
        ("patient=unknown".into(), 0),
        (format!("patient:identifier={PERSON}"), 5),
        (format!("subject:identifier={person}|{PERSON}"), 5),
        ("patient:identifier=nobody".into(), 0),
        (format!("patient.identifier={PERSON}"), 5),
        (format!("subject:Patient.identifier={PERSON}"), 5),
        (format!("device={device}"), 1),
        (format!("device=Device/{device}"), 1),
        (format!("device={BASE}/Device/{device}"), 1),
        ("device:identifier=ACME:WS-100:WS0001234".into(), 1),
        ("device.model=WS-100".into(), 3),
        (format!("performer=Patient/{id}"), 3),
    ];
    let queries: Vec<(&str, usize)> = queries.iter().map(|(q, n)| (q.as_str(), *n)).collect();
    found(&server, "Observation", &queries).await;
    refused(
        &server,
        "Observation",
        &[
            "patient=Patient/",
            "patient=a_b",
            "patient:Group=a",
            "subject:exact=a",
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_37_composites_meet_in_one_place() {
    let server = Server::with_example().await;
    found(
        &server,
        "Observation",
        &[
            // 128 over 82: each value with its own code.
            ("component-code-value-quantity=8480-6$128", 1),
            ("component-code-value-quantity=8462-4$82", 1),
            ("component-code-value-quantity=8480-6$82", 0),
            ("component-code-value-quantity=8462-4$128", 0),
            ("component-code-value-quantity=http://loinc.org|8480-6$gt120", 3),
            ("component-code-value-quantity=http://loinc.org|8480-6$128||mm[Hg]", 1),
            ("component-code-value-quantity=8480-6$128,8480-6$118", 2),
            ("component-code-value-quantity=8480-6$gt120&component-code-value-quantity=8462-4$gt85", 1),
            // The value of the whole with the code of the whole.
            ("code-value-quantity=29463-7$65.5", 1),
            ("code-value-quantity=29463-7$65500||g", 1),
            ("code-value-quantity=4548-4$65.5", 0),
            ("code-value-quantity=8480-6$128", 0),
            ("code-value-quantity=4548-4$ge6.5", 1),
            // Either.
            ("combo-code-value-quantity=29463-7$65.5", 1),
            ("combo-code-value-quantity=8480-6$128", 1),
            ("combo-code-value-quantity=8480-6$82", 0),
        ],
    )
    .await;
    refused(
        &server,
        "Observation",
        &[
            "code-value-quantity=29463-7",
            "code-value-quantity=$65",
            "code-value-quantity=29463-7$x",
            "code-value-quantity=29463-7$65$66",
        ],
    )
    .await;
    // Two components of one record never make a third.
    let both =
        "component-code-value-quantity=8480-6$gt120&component-code-value-quantity=8480-6$lt120";
    let ids: BTreeSet<String> = server
        .matches(&format!("/Observation?{both}"))
        .await
        .iter()
        .map(|m| m["id"].to_string())
        .collect();
    assert!(ids.is_empty(), "{ids:?}");
}
