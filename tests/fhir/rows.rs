//! Searches of Patient, Device, Organization, ResearchStudy, ResearchSubject, Provenance and
//! Group, one rule a test.

use kenko_fhir::registry::{self, List};
use serde_json::{Value, json};

use crate::server::{PERSON, Server, weight};

async fn put(server: &Server, list: &str, rows: Value) {
    let list = List::by_name(list).unwrap();
    let text = rows.to_string();
    let read = registry::read_json(list, text.as_bytes(), &registry::Options::default()).unwrap();
    assert_eq!(read.faults.kept(), []);
    let done = server.store.change_registry(list, &read.rows, false).await;
    done.unwrap().unwrap();
}

/// Searches and how many match, listed and counted.
async fn expect(server: &Server, table: &[(&str, usize)]) {
    let mut wrong = Vec::new();
    for (query, number) in table {
        let found = server.number(&format!("/{query}")).await;
        let counted = server.found(&format!("/{query}&_summary=count")).await;
        if found != *number || counted["total"] != *number {
            wrong.push(format!(
                "{query}: {found} ({}), not {number}",
                counted["total"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn c1_33_strings_begin_with_what_is_asked_and_fold_case_accents_width_and_kana() {
    let server = Server::with_example().await;
    let lab = |id: &str, name: &str| json!({ "consortium_id": "A00001", "test_lab_id": id, "test_lab_name": name, "prefecture_code": "13" });
    put(
        &server,
        "laboratories",
        json!([
            lab("1", "ｱｸﾒ検査ｾﾝﾀｰ"),
            lab("2", "Électricité 100%_x"),
            lab("3", "ハハ検査"),
            lab("4", "ババ検査")
        ]),
    )
    .await;
    expect(
        &server,
        &[
            ("Organization?name=あくめ", 1),
            ("Organization?name=アクメ検査センター", 1),
            ("Organization?name=検査", 0),
            ("Organization?name:contains=検査", 4),
            ("Organization?name:exact=ｱｸﾒ検査ｾﾝﾀｰ", 1),
            ("Organization?name:exact=アクメ検査センター", 0),
            ("Organization?name=electricite", 1),
            ("Organization?name=ＥＬＥＣ", 1),
            // A plus sign is a space in a text, and what LIKE knows is a letter here.
            ("Organization?name=electricite+100%25_", 1),
            ("Organization?name:contains=%25", 1),
            ("Organization?name:contains=_", 1),
            // Dakuten are kept.
            ("Organization?name=はは", 1),
            ("Organization?name=ばば", 1),
            ("Organization?name=はは,ばば", 2),
            ("Organization?name=はは&name=ばば", 0),
            ("Organization?name:missing=false", 7),
            ("Organization?name:missing=true", 0),
            ("Organization?phonetic=アクメ", 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn prefectures_are_found_by_their_names() {
    let server = Server::with_example().await;
    put(
        &server,
        "participants",
        json!([
            { "consortium_id": "A00001", "person_id": "Q1", "birth_year_month": "195001", "sex_code": "2",
              "participation_start_date": "20160901", "residence_prefecture_code": "26" },
            { "consortium_id": "A00001", "person_id": "Q2", "birth_year_month": "195002", "sex_code": "9",
              "participation_start_date": "20160901", "residence_prefecture_code": "13" },
            { "consortium_id": "A00001", "person_id": "Q3", "birth_year_month": "195012", "sex_code": "0",
              "participation_start_date": "20160901" },
        ]),
    )
    .await;
    expect(
        &server,
        &[
            ("Patient?address-state=京都府", 1),
            ("Patient?address-state=京都", 1),
            ("Patient?address-state=都", 0),
            ("Patient?address-state:contains=京都", 2),
            ("Patient?address-state:exact=京都", 0),
            ("Patient?address=東京&gender=other", 1),
            (
                "Patient?address=ＪＰ&gender=female,other,unknown&birthdate=1950",
                2,
            ),
            ("Patient?address-country=jp&_id:not=x&birthdate=1950", 2),
            ("Patient?address-use=home&birthdate=1950", 2),
            ("Patient?address:missing=true", 1),
            ("Patient?address-city:missing=true&birthdate=1950", 3),
            ("Patient?address-city=x", 0),
            ("Patient?gender:not=female&birthdate=1950", 2),
            (
                "Patient?gender=http://hl7.org/fhir/administrative-gender|female&birthdate=1950",
                1,
            ),
            // The month of birth is all that is known.
            ("Patient?birthdate=1950-02", 1),
            ("Patient?birthdate=1950-02-14", 0),
            (
                "Patient?birthdate=gt1950-02-14&address-state:missing=false&birthdate=lt1951",
                1,
            ),
            ("Patient?birthdate=sa1950-01-31&birthdate=eb1951", 2),
            ("Patient?birthdate=le1950-01-31&birthdate=ge1950", 1),
            ("Patient?deceased=false&birthdate=1950", 3),
            ("Patient?deceased=true", 0),
            ("Patient?name:missing=true&birthdate=1950", 3),
            ("Patient?name=x&birthdate=1950", 0),
        ],
    )
    .await;
    for wrong in [
        "birthdate=x",
        "gender=|",
        "organization=a_b",
        "name:missing=x",
        "name:below=x",
        "active=a|b|c",
    ] {
        let answer = server.get(&format!("/Patient?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        answer.issue();
    }
}

#[tokio::test]
async fn devices_are_found_by_what_they_name_and_by_who_used_them() {
    let server = Server::with_example().await;
    let patient = server.id(&format!("/Patient?identifier={PERSON}")).await;
    let device = server.id("/Device?identifier=ACME:WS-100:WS0001234").await;
    expect(
        &server,
        &[
            ("Device?model=ws-100", 2),
            ("Device?model:exact=ws-100", 0),
            ("Device?manufacturer=ａｃｍｅ", 5),
            ("Device?device-name:contains=体組成計", 2),
            ("Device?device-name=アクメ&status=active&type:missing=true", 5),
            ("Device?patient:missing=true", 6),
            (&format!("Device?_has:Observation:device:patient={patient}"), 3),
            (&format!("Device?_has:Observation:device:patient={patient}&_has:Observation:device:code=29463-7"), 1),
            (&format!("Patient?_has:Observation:patient:device={device}"), 1),
            ("Patient?_has:Observation:patient:device.model=WS-100", 2),
            ("Patient?_has:Observation:patient:device.model=none", 0),
            ("Patient?_has:Observation:patient:code=29463-7", 2),
            ("Patient?_has:Observation:patient:code=29463-7&_has:Observation:patient:date=1999", 0),
            (&format!("Observation?device={device}"), 1),
            ("Observation?device:identifier=ACME:WS-100:WS0001234", 1),
            ("Observation?device.model=ws-100", 3),
            ("Organization?_has:Patient:organization:_has:Observation:patient:code=29463-7", 1),
        ],
    )
    .await;
    // A further record makes a further user of the device.
    let other = "P0000000000000000002";
    let submitted = weight(other, "20161001073015", "65.4", "20161001081500123");
    assert_eq!(server.submit(&submitted).await.status, 201);
    expect(
        &server,
        &[
            (&format!("Observation?device={device}"), 2),
            (
                &format!("Patient?_has:Observation:patient:device={device}"),
                2,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_provenance_is_found_by_what_it_is_about() {
    let server = Server::with_example().await;
    let observation = server
        .id("/Observation?code=29463-7&date=2016-09-01T07:30:15")
        .await;
    let submitted = weight(PERSON, "20160901073015", "65.4", "20160902081500123");
    server.submit(&submitted).await;
    let path = format!("/Observation/{observation}");
    server.send("DELETE", &path, &[], "").await;
    let sid = "https://kenko-fhir.example/fhir/sid/transmission";
    expect(
        &server,
        &[
            // Whoever wrote it, also what is gone now.
            (&format!("Provenance?target={observation}"), 3),
            (&format!("Provenance?target=Observation/{observation}"), 3),
            ("Provenance?target=unknown", 0),
            ("Provenance?target:missing=true", 0),
            ("Provenance?patient:missing=true", 4),
            ("Provenance?agent-type=assembler", 4),
            ("Provenance?agent-type:text=asse", 4),
            ("Provenance?agent-type:not=assembler", 0),
            ("Provenance?recorded=gt2000", 4),
            ("Provenance?when=2016-10-05", 1),
            ("Provenance?when:missing=true", 0),
            (
                &format!("Provenance?entity:identifier={sid}|A00001:20161006030000000"),
                2,
            ),
            (&format!("Provenance?entity:identifier={sid}|"), 3),
            ("Provenance?entity:identifier=A00001:20161005120005124", 0),
            ("Provenance?entity:missing=true", 1),
            (
                "Observation?_has:Provenance:target:agent-type=assembler",
                10,
            ),
            ("Observation?_has:Provenance:target:recorded=lt2000", 0),
        ],
    )
    .await;
    let sorted = server.matches("/Provenance?_sort=-recorded").await;
    assert_eq!(sorted[0]["activity"]["coding"][0]["code"], "DELETE");
}

#[tokio::test]
async fn a_period_without_an_end_is_open() {
    let server = Server::with_example().await;
    put(
        &server,
        "consortia",
        json!([
            { "consortium_id": "B00002", "consortium_name": "b", "start_date": "20170401", "end_date": "20180331" },
            { "consortium_id": "C00003", "consortium_name": "c", "end_date": "20171231" },
            { "consortium_id": "D00004", "consortium_name": "d" },
        ]),
    )
    .await;
    // That of the example began on 2016-09-01 and goes on.
    expect(
        &server,
        &[
            ("ResearchStudy?date=2017", 0),
            ("ResearchStudy?date=ge2030", 1),
            ("ResearchStudy?date=le2000", 1),
            ("ResearchStudy?date=sa2016", 1),
            ("ResearchStudy?date=eb2018", 1),
            ("ResearchStudy?date=ge2018-03-31", 1),
            ("ResearchStudy?date=gt2018-03-31", 1),
            ("ResearchStudy?date=ne2017", 3),
            ("ResearchStudy?date:missing=true", 1),
            ("ResearchStudy?status=active", 2),
            ("ResearchStudy?status:not=active", 2),
            ("ResearchStudy?title=ＢＢ,b,C", 2),
            ("ResearchStudy?sponsor.name=b", 1),
            ("ResearchStudy?sponsor:Organization.active=false", 2),
            ("Organization?active=true", 2),
            ("Organization?active:missing=true", 2),
            ("Organization?type=other", 4),
            ("Organization?type:text=oth", 4),
            (
                "Organization?_has:ResearchStudy:sponsor:status=completed",
                2,
            ),
        ],
    )
    .await;
    let titles = |found: Vec<Value>| -> Vec<String> {
        let each = found
            .iter()
            .map(|s| s["title"].as_str().unwrap().to_owned());
        each.collect()
    };
    let down = titles(server.matches("/ResearchStudy?_sort=-title").await);
    assert!(down.is_sorted_by(|a, b| a >= b), "{down:?}");
    // What has no date comes last, whichever way.
    for sort in ["date,title", "-date,title"] {
        let sorted = titles(
            server
                .matches(&format!("/ResearchStudy?_sort={sort}"))
                .await,
        );
        assert_eq!(sorted[2..], ["c", "d"], "{sort}");
    }
}

#[tokio::test]
async fn groups_count_participants_by_consortium_and_stage() {
    let server = Server::with_example().await;
    let read = async |id: &str| server.found(&format!("/Group/{id}")).await;
    let quantity = async |id: &str| read(id).await["quantity"].as_u64().unwrap();
    let stages = async || {
        let mut out = Vec::new();
        for id in ["hba1c-normal", "hba1c-pre", "hba1c-mild", "treated"] {
            out.push(quantity(id).await);
        }
        out
    };
    assert_eq!(quantity("consortium-A00001").await, 2);
    let before = read("consortium-A00001").await;
    let person = |id: &str, codes: Value| {
        json!([{ "consortium_id": "A00001", "person_id": id, "birth_year_month": "195001", "sex_code": "2",
            "participation_start_date": "20160101", "medication_codes": codes }])
    };
    for id in ["Q1", "Q2", "Q3"] {
        put(&server, "participants", person(id, json!(["0", "4"]))).await;
    }
    let after = read("consortium-A00001").await;
    assert_eq!(after["quantity"], 5);
    assert_ne!(after["meta"]["versionId"], before["meta"]["versionId"]);
    assert!(after["meta"]["lastUpdated"].as_str() > before["meta"]["lastUpdated"].as_str());
    assert_eq!(after.get("member"), None);
    let first = stages().await;
    let hba1c = |person: &str, day: &str, value: f64| {
        json!({
            "format_version": "1.0", "send_time": "20170101000000000", "consortium_id": "A00001",
            "person_information": [{ "person_id": person, "health_checkup_information": { "hba1c": [{
                "observation_time": format!("{day}000000"), "hba1c_value": value,
                "test_lab_id": "000000000001", "data_input_code": "0", "update_time": "20170101000000000",
            }] } }],
        })
        .to_string()
    };
    let moved = async |number: [i64; 4]| {
        let now = stages().await;
        let moved: Vec<i64> = now
            .iter()
            .zip(&first)
            .map(|(n, f)| *n as i64 - *f as i64)
            .collect();
        assert_eq!(moved, number);
    };
    for (person, value) in [("Q1", 5.5), ("Q2", 5.6), ("Q3", 6.5)] {
        assert_eq!(
            server
                .submit(&hba1c(person, "20161001", value))
                .await
                .status,
            201
        );
    }
    moved([1, 1, 1, 0]).await;
    // The latest counts, not the last that came.
    server.submit(&hba1c("Q1", "20161101", 6.4)).await;
    server.submit(&hba1c("Q3", "20160901", 5.0)).await;
    moved([0, 2, 1, 0]).await;
    // Treatment wins, and is enough.
    put(&server, "participants", person("Q2", json!(["4", "2"]))).await;
    put(&server, "participants", person("Q4", json!(["3"]))).await;
    moved([0, 1, 1, 2]).await;
    expect(
        &server,
        &[
            ("Group?_id=treated,consortium-A00001,unknown", 2),
            ("Group?actual=false", 4),
            ("Group?actual=true", 1),
            ("Group?type=person", 5),
            ("Group?characteristic=4548-4", 3),
            ("Group?characteristic:missing=true", 1),
            ("Group?value=2", 1),
            ("Group?value:text=経口血糖降下薬", 1),
            ("Group?characteristic-value=medication_codes$2", 1),
            ("Group?characteristic-value=4548-4$2", 0),
            ("Group?exclude=false", 4),
            ("Group?exclude=true", 0),
            ("Group?member:missing=true", 5),
            ("Group?managing-entity.identifier=A00001", 1),
            ("Group?managing-entity:missing=true", 4),
            ("Group?_lastUpdated=gt2000", 5),
        ],
    )
    .await;
    for id in ["consortium-Z99999", "unknown", "consortium-"] {
        assert_eq!(
            server.get(&format!("/Group/{id}")).await.status,
            404,
            "{id}"
        );
    }
    let pages = server.matches("/Group?_count=2&_sort=-_lastUpdated").await;
    assert_eq!(pages.len(), 2);
}
