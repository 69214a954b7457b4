//! Messages: both languages, and remedies that work here.

use axum::http::Method;
use clap::CommandFactory as _;
use kenko_fhir::config::Cli;
use kenko_fhir::fault::{Area, Code, Lang};
use serde_json::Value;

use crate::server::{JSON, Server, request, with};
use crate::table;

/// Every text that tells what is wrong and what to do about it: English, Japanese.
fn texts() -> Vec<[String; 2]> {
    let mut out = Vec::new();
    for &code in Code::ALL {
        for area in Area::ALL {
            let both = |f: &dyn Fn(Lang) -> &'static str| [Lang::En, Lang::Ja].map(|l| f(l).into());
            out.push(both(&|lang| code.title_in(area, lang)));
            out.push(both(&|lang| code.remedy_in(area, lang)));
        }
    }
    out
}

/// The pairs of texts that problems of the sources are made with.
fn details() -> Vec<[String; 2]> {
    fn files(folder: &std::path::Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, out),
                false => out.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let mut sources = Vec::new();
    files("src/http".as_ref(), &mut sources);
    let mut out = Vec::new();
    for source in &sources {
        for (at, _) in source.match_indices(".detail(") {
            // The two literals that follow, whatever makes texts of them.
            let mut literals = Vec::new();
            let mut rest = &source[at..];
            while literals.len() < 2 {
                let Some(start) = rest.find('"') else { break };
                let mut end = start + 1;
                let bytes = rest.as_bytes();
                while bytes[end] != b'"' || bytes[end - 1] == b'\\' {
                    end += 1;
                }
                let text = rest[start + 1..end].split("\\\n").map(str::trim_start);
                literals.push(text.collect::<String>());
                rest = &rest[end + 1..];
            }
            if let Ok(both) = <[String; 2]>::try_from(literals) {
                out.push(both);
            }
        }
    }
    assert!(out.len() > 40, "{}", out.len());
    out
}

fn is_japanese(text: &str) -> bool {
    text.chars()
        .any(|c| matches!(c, '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}'))
}

#[test]
fn every_message_has_both_languages() {
    for [english, japanese] in texts().into_iter().chain(details()) {
        // A text that is all value has no language.
        if english.contains(' ')
            && english.replace("{", "").is_ascii()
            && !english.starts_with("{parameter}: ")
            && !english.starts_with("{name}: ")
            && !english.starts_with("{name} {}")
        {
            assert!(!is_japanese(&english), "{english}");
            assert!(is_japanese(&japanese), "{english}: {japanese}");
        }
    }
}

#[test]
fn remedies_name_what_there_is() {
    let cli = Cli::command();
    let mut options: Vec<String> = Vec::new();
    let mut commands: Vec<String> = Vec::new();
    fn walk(
        command: &clap::Command,
        path: &str,
        options: &mut Vec<String>,
        commands: &mut Vec<String>,
    ) {
        options.extend(
            command
                .get_arguments()
                .filter_map(|a| a.get_long().map(str::to_owned)),
        );
        for command in command.get_subcommands() {
            let path = format!("{path} {}", command.get_name());
            commands.push(path.clone());
            walk(command, &path, options, commands);
        }
    }
    walk(&cli, "kenko-fhir", &mut options, &mut commands);
    let document: Value =
        serde_json::from_str(&std::fs::read_to_string("openapi/openapi.json").unwrap()).unwrap();
    let addresses = document["paths"].as_object().unwrap();
    let known = |address: &str| {
        let parts: Vec<&str> = address.split('/').collect();
        addresses.keys().any(|path| {
            let path: Vec<&str> = path.split('/').collect();
            path.len() == parts.len()
                && path
                    .iter()
                    .zip(&parts)
                    .all(|(a, b)| a == b || a.starts_with('{'))
        })
    };
    let (mut named, mut found) = (0, 0);
    for text in texts().into_iter().chain(details()).flatten() {
        let words = |start: &str, fits: fn(char) -> bool| -> Vec<String> {
            let mut out = Vec::new();
            for (at, _) in text.match_indices(start) {
                let rest = &text[at..];
                let end = rest.find(|c: char| !fits(c)).unwrap_or(rest.len());
                out.push(rest[..end].trim_end_matches(['.', '-']).to_owned());
            }
            out
        };
        for option in words("--", |c| c.is_ascii_lowercase() || c == '-') {
            named += 1;
            assert!(
                options.contains(&option[2..].to_owned()),
                "{option}: {text}"
            );
        }
        for command in words("kenko-fhir ", |c| {
            c.is_ascii_lowercase() || c == '-' || c == ' '
        }) {
            named += 1;
            let is_one =
                |known: &String| command == *known || command.starts_with(&format!("{known} "));
            assert!(commands.iter().any(is_one), "{command}: {text}");
        }
        for start in ["/exchange/", "/fhir/"] {
            for address in words(start, |c| c.is_ascii_alphanumeric() || "/-_{}$".contains(c)) {
                found += 1;
                // A folder of addresses is named by its beginning.
                let folder = addresses
                    .keys()
                    .any(|path| path.starts_with(&format!("{address}/")));
                assert!(folder || known(&address), "{address}: {text}");
            }
        }
        assert!(!text.contains("erase") && !text.contains("消去"), "{text}");
    }
    assert!(named > 4 && found > 10, "{named} {found}");
}

#[tokio::test]
async fn a_fault_is_japanese_throughout() {
    let server = Server::empty().await;
    let mut seen = 0;
    for case in table::cases() {
        let sent = with(
            request(
                Method::POST,
                "/exchange/submissions",
                JSON,
                case.text.clone(),
            ),
            "accept-language",
            "ja",
        );
        let answer = server.send(sent).await;
        let Ok(answer) = serde_json::from_str::<Value>(&answer.text()) else {
            continue;
        };
        let entries = answer["entries"].as_array().into_iter().flatten();
        let faults = entries.flat_map(|entry| entry["faults"].as_array().into_iter().flatten());
        for fault in faults.chain(answer["faults"].as_array().into_iter().flatten()) {
            seen += 1;
            let expected = fault["expected"].as_str().unwrap();
            let english = expected.contains(' ') && !is_japanese(expected);
            assert!(!english, "{}: {fault}", case.name);
            assert!(is_japanese(fault["message"].as_str().unwrap()), "{fault}");
        }
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn a_string_in_the_place_of_a_number_is_told_as_one() {
    let server = Server::empty().await;
    let text = std::fs::read_to_string("examples/first.json").unwrap();
    let text = text.replacen("65.50", "\"65.50\"", 1);
    for (lang, told) in [
        ("en", "expected a number; found a string \"65.50\""),
        ("ja", "期待: 数値、実際: 文字列 \"65.50\""),
    ] {
        let sent = request(Method::POST, "/exchange/submissions", JSON, text.clone());
        let answer = server.send(with(sent, "accept-language", lang)).await;
        assert!(
            answer
                .json()
                .to_string()
                .contains(&told.replace('"', "\\\"")),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn another_encoding_is_named() {
    let server = Server::empty().await;
    let mut json = b"{\"format_version\":\"".to_vec();
    json.extend([0x8C, 0x92, 0x8D, 0x4E]);
    let sent = request(Method::POST, "/exchange/submissions", JSON, json);
    let detail = server.send(sent).await.text();
    assert!(
        detail.contains("CP932") && detail.contains("UTF-8"),
        "{detail}"
    );
    let mut csv =
        b"consortium_id,consortium_name,representative_organization,start_date\nA00001,".to_vec();
    csv.extend([0x8C, 0x92, 0x8D, 0x4E]);
    csv.extend(b",x,20160901\n");
    let sent = request(
        Method::PUT,
        "/exchange/registries/consortia",
        "text/csv",
        csv,
    );
    let detail = server.send(sent).await.text();
    assert!(detail.contains("charset=cp932"), "{detail}");
}

#[tokio::test]
async fn addresses_of_fhir_that_are_none_say_why() {
    let server = Server::registered().await;
    let bundle = server.get("/fhir/Patient?_count=1").await.json();
    let id = bundle["entry"][0]["resource"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for (path, told) in [
        (format!("/fhir/Patient/{id}/_history/9"), "no such version"),
        (
            "/fhir/Patient/x/_history/9".to_owned(),
            "no Patient has this id",
        ),
        ("/fhir/Patient/$export".to_owned(), "no operation $export"),
        (format!("/fhir/Patient/{id}/$export"), "no interaction"),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains(told), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_records_need_stays_and_the_remedy_fits_where_it_is_told() {
    let server = Server::registered().await;
    let text = std::fs::read_to_string("examples/first.json").unwrap();
    assert_eq!(server.submit(&text).await.status, 201);
    for (lang, told) in [("en", "use PATCH"), ("ja", "PATCH または")] {
        let path = "/exchange/registries/laboratories";
        let sent = request(Method::PUT, path, JSON, "[]");
        let answer = server.send(with(sent, "accept-language", lang)).await;
        assert_eq!(answer.status, 409);
        let body = answer.text();
        assert!(
            body.contains(told) && !body.contains("update_time"),
            "{body}"
        );
    }
    let bundle = server.get("/fhir/Patient?_count=50").await.json();
    let mut kept = 0;
    for entry in bundle["entry"].as_array().unwrap() {
        let id = entry["resource"]["id"].as_str().unwrap();
        let path = format!("/fhir/Patient/{id}");
        let answer = server.send(request(Method::DELETE, &path, JSON, "")).await;
        if answer.status == 409 {
            kept += 1;
            assert!(
                answer.text().contains("participation_end_date"),
                "{}",
                answer.text()
            );
        }
    }
    assert!(kept > 0);
}

#[tokio::test]
async fn a_receipt_tells_what_it_does_not_list() {
    let reading = kenko_fhir::exchange::Options {
        faults_max: 3,
        ..Default::default()
    };
    let settings = kenko_fhir::http::Settings {
        reading,
        ..Default::default()
    };
    let server = Server::with(settings).await;
    server.register("examples/registries").await;
    let text = r#"{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{"person_id":"P0000000000000000001","healthcare_information":{"weighing_scale":[{},{},{},{},{}]}}]}"#;
    let answer = server.submit(text).await;
    assert_eq!(answer.status, 422);
    let refusal = answer.json();
    let detail = refusal["detail"].as_str().unwrap();
    assert!(
        detail.contains("5 of 5") && detail.contains("2 of them have no entry"),
        "{detail}"
    );
    assert_eq!(refusal["entries"].as_array().unwrap().len(), 3);
    assert_eq!(refusal["unlisted"]["entries"], 2);
    assert!(refusal["unlisted"]["faults"].as_u64().unwrap() > 10);

    let receipt = server.submit_lenient(text).await.json();
    assert_eq!(
        (
            &receipt["counts"]["refused"],
            &receipt["unlisted"]["records"]
        ),
        (&5.into(), &0.into())
    );
    let waiting = server.get("/exchange/quarantine").await.json();
    assert_eq!(waiting["quarantine"].as_array().unwrap().len(), 5);
    let path = format!(
        "/exchange/submissions/{}?entries=all",
        receipt["id"].as_str().unwrap()
    );
    let all = server.get(&path).await.json();
    assert_eq!(all["entries"].as_array().unwrap().len(), 5);
    assert_eq!(all["unlisted"]["entries"], 0);
}

#[tokio::test]
async fn faults_of_a_list_that_are_not_listed_are_counted() {
    let server = Server::empty().await;
    let rows = format!("[{}1]", "1,".repeat(100_004));
    let sent = request(Method::PUT, "/exchange/registries/consortia", JSON, rows);
    let answer = server.send(sent).await;
    let detail = answer.problem(422);
    assert!(
        detail.contains("100005 faults, of which the first 4125"),
        "{detail}"
    );
    assert_eq!(answer.json()["faults"].as_array().unwrap().len(), 4125);
}

#[tokio::test]
async fn a_record_that_comes_many_times_tells_how_many() {
    let server = Server::registered().await;
    let record = |kg: u32| {
        format!(
            r#"{{"observation_time":"20160901073015","body_weight":{kg},"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"WS0001234","data_input_code":"0","origin_of_time_code":"1","update_time":"20160901081500123"}}"#
        )
    };
    let records: Vec<String> = (60..66).map(record).collect();
    let text = format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P0000000000000000001","healthcare_information":{{"weighing_scale":[{}]}}}}]}}"#,
        records.join(",")
    );
    let answer = server.submit(&text).await.text();
    assert!(answer.contains("and 2 more"), "{answer}");
}
