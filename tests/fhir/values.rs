//! Search by codes and values: what tokens, quantities and composites find.

use kenko_fhir::fhir::canonical::Canonical;
use kenko_fhir::http::Settings;
use kenko_fhir::kind::Kinds;
use serde_json::Value;

use crate::server::{PERSON, Server, link, matches};

const SID: &str = "https://kenko-fhir.example/fhir";
const UCUM: &str = "http://unitsofmeasure.org";

/// Each query finds so many of the example.
async fn find(server: &Server, table: &[(&str, usize)]) {
    for (query, number) in table {
        let query = query.replace("{ucum}", UCUM).replace("{base}", SID);
        let path = format!("/Observation?{}", query.replace('|', "%7C"));
        assert_eq!(server.number(&path).await, *number, "{query}");
    }
}

async fn refuse(server: &Server, queries: &[&str]) {
    for query in queries {
        let answer = server.get(&format!("/Observation?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(!answer.issue().is_empty());
    }
}

#[tokio::test]
async fn c1_30_numbers_are_as_precise_as_they_are_written() {
    let server = Server::with_example().await;
    let table = [
        ("7", 1),
        ("7.0", 1),
        ("7.00", 1),
        ("7.1", 0),
        ("6", 1),
        ("5.8", 1),
        ("5.84", 0),
        ("7e0", 1),
        ("70e-1", 1),
        ("ne7.0", 1),
        ("ge6.5", 1),
        ("gt7.0", 0),
        ("gt6.99", 1),
        ("sa5.8", 1),
        ("lt7.0", 1),
        ("eb7", 1),
        ("le7", 2),
        ("ap6.4", 2),
        ("7.0,5.8", 2),
    ];
    for (value, number) in table {
        let query = format!("code=4548-4&value-quantity={value}");
        find(&server, &[(&query, number)]).await;
    }
    find(
        &server,
        &[("code=4548-4&value-quantity=ge5&value-quantity=lt6", 1)],
    )
    .await;
}

#[tokio::test]
async fn c1_31_quantities_compare_across_units() {
    let server = Server::with_example().await;
    find(
        &server,
        &[
            ("value-quantity=65.5||kg", 1),
            ("value-quantity=65.5|{ucum}|kg", 1),
            ("value-quantity=65.5|urn:oid:2.16.840.1.113883.6.8|kg", 1),
            ("value-quantity=65500|{ucum}|g", 1),
            ("value-quantity=65.5||g", 0),
            ("value-quantity=65.5|http://snomed.info/sct|kg", 0),
            ("value-quantity=ge60||kg", 1),
            ("value-quantity=ge60000||g", 1),
            ("value-quantity=ge130||[lb_av]", 1),
            ("value-quantity=ge1||nonsense", 0),
            // A percentage is none of something else.
            ("value-quantity=0.07||1", 0),
            ("value-quantity=70||mmol/mol", 0),
            ("component-value-quantity=ge130||mm[Hg]", 1),
            ("component-value-quantity=ge130||mmHg", 1),
            ("component-value-quantity=ge17||kPa", 2),
            ("combo-value-quantity=65.5||kg", 1),
            ("combo-value-quantity=18.2||%25", 1),
            ("value-quantity=18.2||%25", 0),
        ],
    )
    .await;
    refuse(
        &server,
        &[
            "value-quantity=x",
            "value-quantity=1|kg",
            "value-quantity=1|a|b|c",
            "value-quantity=ge",
            "value-quantity=1.",
            "value-quantity=1e999",
            "value-quantity:exact=1",
            "component-value-quantity=xx1",
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_37_composite_values_meet_in_one_place() {
    let server = Server::with_example().await;
    find(
        &server,
        &[
            ("component-code-value-quantity=8480-6$ge130", 1),
            ("component-code-value-quantity=8462-4$ge130", 0),
            ("component-code-value-quantity=8480-6$ge120", 3),
            ("component-code-value-quantity=8480-6$ge120,8462-4$lt75", 4),
            (
                "component-code-value-quantity=8480-6$ge120&component-code-value-quantity=8462-4$ge86",
                1,
            ),
            (
                "component-code-value-quantity=http://loinc.org|8480-6$134|{ucum}|mm[Hg]",
                1,
            ),
            ("code-value-quantity=29463-7$lt60", 2),
            ("code-value-quantity=8480-6$ge120", 0),
            ("combo-code-value-quantity=8480-6$ge120,29463-7$lt60", 5),
            ("combo-code-value-quantity=4548-4$ge7||%25", 1),
            ("combo-code-value-quantity=8867-4$62", 1),
            ("component-code-value-quantity:missing=true", 3),
        ],
    )
    .await;
    refuse(
        &server,
        &[
            "code-value-quantity=29463-7",
            "code-value-quantity=29463-7$",
            "code-value-quantity=$1",
            "code-value-quantity=29463-7$x",
            "code-value-quantity=29463-7$1$2",
            "code-value-quantity:not=29463-7$1",
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_32_every_coding_of_every_concept_is_found() {
    let server = Server::with_example().await;
    find(
        &server,
        &[
            ("component-code=8480-6", 4),
            ("component-code=31001848", 4),
            ("component-code=41982-0", 2),
            (
                "component-code={base}/CodeSystem/protocol-item|walk_time",
                1,
            ),
            ("combo-code=29463-7,8480-6", 7),
            ("code=8480-6", 0),
            ("method=000001", 1),
            ("method={base}/CodeSystem/hba1c-method|000001", 1),
            ("method=urn:oid:1.2.392.200119.6.1007|3D04620000", 1),
            ("method=urn:oid:1.2.392.200119.6.1007|3D04610000", 0),
            ("method={base}/CodeSystem/hba1c-method|", 1),
            ("status=final", 11),
            ("status=http://hl7.org/fhir/observation-status|final", 11),
            ("status=corrected", 0),
            ("status=final,amended", 11),
            ("_profile=http://hl7.org/fhir/StructureDefinition/bp", 4),
            ("_profile=http://hl7.org/fhir/StructureDefinition", 0),
            (
                "_profile:below=http://jpfhir.jp/fhir/core/StructureDefinition",
                11,
            ),
            ("_tag=x", 0),
            ("data-absent-reason=unknown", 0),
            ("encounter=x", 0),
            ("has-member=Observation/x", 0),
            ("specimen=x", 0),
        ],
    )
    .await;
    // A correction changes the status.
    let server = server.since_new_year().await;
    let sent = crate::server::weight(PERSON, "20160901073015", "65.4", "20170101000000000");
    assert_eq!(server.submit(&sent).await.status, 201);
    find(&server, &[("status=corrected", 1), ("status:not=final", 1)]).await;
}

#[tokio::test]
async fn c1_35_not_finds_what_has_no_such_coding() {
    let server = Server::with_example().await;
    find(
        &server,
        &[
            ("code:not=29463-7", 8),
            ("code:not=29463-7,85354-9", 4),
            ("code:not=188736", 8),
            // One of several codings is enough, and a derived one too.
            ("code:not=17856-6", 10),
            ("category:not=vital-signs", 4),
            // What has no method at all is found.
            ("method:not=000001", 10),
            ("_id:not=unknown", 11),
            ("status:not=final", 0),
        ],
    )
    .await;
}

#[tokio::test]
async fn c1_35_missing_is_known_for_every_parameter() {
    let server = Server::with_example().await;
    find(
        &server,
        &[
            ("method:missing=true", 10),
            ("method:missing=false", 1),
            ("specimen:missing=false", 2),
            ("value-quantity:missing=true", 4),
            ("component-code:missing=true", 3),
            ("device:missing=true", 4),
            ("performer:missing=true", 0),
            ("encounter:missing=true", 11),
            ("encounter:missing=false", 0),
            ("_tag:missing=true", 11),
            ("code:missing=true,false", 11),
            ("date:missing=false", 11),
            ("_lastUpdated:missing=false", 11),
            ("identifier:missing=true", 0),
        ],
    )
    .await;
    let metadata = server.found("/metadata").await;
    for resource in metadata["rest"][0]["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        let all = server.number(&format!("/{name}")).await;
        for parameter in resource["searchParam"].as_array().unwrap() {
            let parameter = parameter["name"].as_str().unwrap();
            let path = |missing| format!("/{name}?{parameter}:missing={missing}");
            let missing = server.number(&path("true")).await;
            let present = server.number(&path("false")).await;
            assert_eq!(missing + present, all, "{name}?{parameter}");
        }
    }
    refuse(&server, &["code:missing=maybe", "date:missing=2016"]).await;
}

#[tokio::test]
async fn c1_35_wrong_modifiers_are_refused() {
    let server = Server::with_example().await;
    refuse(
        &server,
        &[
            "code:exact=x",
            "code:Not=x",
            "code:=x",
            "date:not=2016",
            "value-quantity:text=1",
            "patient:in=x",
            "subject:Organization=x",
            "_id:text=x",
            "patient.identifier:exact=x",
        ],
    )
    .await;
}

#[tokio::test]
async fn text_finds_what_a_concept_says() {
    let server = Server::with_example().await;
    find(
        &server,
        &[
            ("code:text=血圧", 4),
            ("code:text=HBA1C", 2),
            ("code:text=ｂｏｄｙ", 3),
            ("code:text=weight", 0),
            ("category:text=vital", 7),
            ("method:text=hplc", 1),
            ("component-code:text=収縮", 4),
        ],
    )
    .await;
}

#[tokio::test]
async fn value_sets_are_known_or_refused() {
    let server = Server::with_example().await;
    let vital = "http://hl7.org/fhir/ValueSet/observation-vitalsignresult";
    find(
        &server,
        &[
            (&format!("code:in={vital}"), 7),
            (&format!("code:in={vital}|4.0.1"), 7),
            (&format!("code:not-in={vital}"), 4),
            (
                "category:in=http://hl7.org/fhir/ValueSet/observation-category",
                11,
            ),
            ("category:in={base}/ValueSet/record-kind", 11),
            ("method:in={base}/ValueSet/hba1c-method", 1),
            ("method:not-in={base}/ValueSet/hba1c-method", 10),
            ("code:below=29463-7", 3),
            ("code:above=http://loinc.org|29463-7", 3),
        ],
    )
    .await;
    let unknown = server.get("/Observation?code:in=http://x.example/vs").await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.issue().contains(vital), "{}", unknown.text);
    refuse(&server, &["code:in={base}/ValueSet/nothing", "code:in=x"]).await;
}

#[tokio::test]
async fn a_filter_expression_is_told_and_refused_in_strict_handling() {
    let server = Server::with_example().await;
    let path = "/Observation?_filter=code%20eq%20x";
    let page = server.found(path).await;
    assert!(page.to_string().contains("_filter"), "{page}");
    let strict = [("prefer", "handling=strict")];
    assert_eq!(server.send("GET", path, &strict, "").await.status, 400);
    for name in ["_filter", "_text", "_content", "_list", "_query"] {
        let page = server.found(&format!("/Observation?{name}=x")).await;
        assert_eq!(matches(&page).len(), 11, "{name}");
        assert_eq!(link(&page, "self").unwrap(), "/Observation");
    }
}

#[tokio::test]
async fn matches_are_sorted_by_several_keys() {
    let server = Server::with_example().await;
    let values = async |query: &str| -> Vec<String> {
        let found = server.matches(&format!("/Observation?{query}")).await;
        let value = |one: &Value| one["valueQuantity"]["value"].to_string();
        found.iter().map(value).collect()
    };
    assert_eq!(
        values("_sort=-value-quantity&code=29463-7,4548-4").await,
        ["65.50", "52.3", "52.10", "7.0", "5.8"]
    );
    // What has no value comes last, whichever way it goes.
    for (sort, first) in [("value-quantity", "52.10"), ("-value-quantity", "65.50")] {
        let found = values(&format!("_sort={sort}&category=vital-signs&_count=5")).await;
        assert_eq!(found[0], first);
        assert_eq!(found[3..], ["null", "null"]);
    }
    let codes = async |query: &str| -> Vec<(String, String)> {
        let found = server.matches(&format!("/Observation?{query}")).await;
        let key = |one: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&one["code"]["coding"][0]["code"]),
                text(&one["effectiveDateTime"]),
            )
        };
        found.iter().map(key).collect()
    };
    let found = codes("_sort=code,-date").await;
    let ordered = |a: &(String, String), b: &(String, String)| {
        a.0 < b.0 || a.0 == b.0 && a.1[..10] >= b.1[..10]
    };
    assert!(found.is_sorted_by(ordered), "{found:?}");
    let page = server
        .found("/Observation?_sort=status,nothing,-date")
        .await;
    let own = link(&page, "self").unwrap();
    assert_eq!(own, "/Observation?_sort=status,-date");
}

#[tokio::test]
async fn coded_values_are_found_by_their_codes() {
    let folder = std::path::Path::new("mappings/optional");
    let kinds = Kinds::load(Some(folder), Canonical::default()).unwrap();
    let server = Server::of(kinds, Settings::default()).await;
    let record = |time: &str, code: &str| {
        format!(
            r#"{{"observation_time":"{time}","urine_glucose_code":"{code}","test_lab_id":"000000000001","data_input_code":"0","update_time":"20161101000000000"}}"#
        )
    };
    let records = [
        record("20161003000000", "-"),
        record("20161004000000", "2+"),
    ]
    .join(",");
    let text = format!(
        r#"{{"format_version":"1.0","send_time":"20161105120005123","consortium_id":"A00001","person_information":[{{"person_id":"{PERSON}","health_checkup_information":{{"urine_glucose":[{records}]}}}}]}}"#
    );
    assert_eq!(server.submit(&text).await.status, 201);
    find(
        &server,
        &[
            ("value-concept=2%2B", 1),
            ("value-concept={base}/CodeSystem/urine-glucose|-", 1),
            ("value-concept=1%2B", 0),
            ("value-concept:not=-", 1),
            ("value-concept:missing=false", 2),
            ("value-concept:in={base}/ValueSet/urine-glucose", 2),
            ("combo-value-concept=-", 1),
            ("code-value-concept=25428-4$-", 1),
            ("code-value-concept=4548-4$-", 0),
            ("value-quantity:missing=true", 2),
        ],
    )
    .await;
}

#[tokio::test]
async fn totals_stay_right_whatever_is_written() {
    let server = Server::empty().await.since_new_year().await;
    let hba1c = |time: &str, value: &str, update: &str| {
        format!(
            r#"{{"format_version":"1.0","send_time":"20170105120005123","consortium_id":"A00001","person_information":[{{"person_id":"{PERSON}","health_checkup_information":{{"hba1c":[{{"observation_time":"{time}","hba1c_value":{value},"test_lab_id":"000000000001","data_input_code":"0","update_time":"{update}"}}]}}}}]}}"#
        )
    };
    let check = async |what: &str, want: [u64; 3]| {
        let queries = [
            "code=4548-4",
            "code=4548-4&value-quantity=ge6.5",
            "code=4548-4&value-quantity=ge6&value-quantity=lt7",
        ];
        for (query, want) in queries.iter().zip(want) {
            let page = server
                .found(&format!("/Observation?{query}&_summary=count"))
                .await;
            assert_eq!(page["total"], want, "{what}: {query}");
            let found = server.number(&format!("/Observation?{query}")).await as u64;
            assert_eq!(found, want, "{what}: {query}");
        }
    };
    let send = async |time: &str, value: &str, update: &str| {
        server.submit(&hba1c(time, value, update)).await
    };
    check("nothing", [0, 0, 0]).await;
    for (day, value) in [("1", "6.5"), ("2", "6.50"), ("3", "7.0"), ("4", "5.9")] {
        let value = if value == "6.50" { "6.5" } else { value };
        send(&format!("2016090{day}000000"), value, "20160910000000000").await;
    }
    check("created", [4, 3, 2]).await;
    send("20160901000000", "6.5", "20160910000000000").await;
    check("unchanged", [4, 3, 2]).await;
    send("20160901000000", "6.5", "20160911000000000").await;
    check("newer of the same", [4, 3, 2]).await;
    send("20160901000000", "6.4", "20160901000000000").await;
    check("stale", [4, 3, 2]).await;
    send("20160901000000", "6.4", "20160912000000000").await;
    check("corrected", [4, 2, 2]).await;
    let id = server.id("/Observation?date=2016-09-03").await;
    let path = format!("/Observation/{id}");
    for _ in 0..2 {
        assert_eq!(server.send("DELETE", &path, &[], "").await.status, 204);
        check("deleted", [3, 1, 2]).await;
    }
    send("20160903000000", "6.8", "20160913000000000").await;
    check("revived", [4, 2, 3]).await;
}
