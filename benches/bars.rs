//! The bars of the project, each beside its floor: `cargo bench --bench bars`.
//!
//! CPU is user and system time of this whole process (database threads included), which
//! is steady where wall time is not. `KENKO_BARS_PARTICIPANTS` and `KENKO_BARS_DAYS` choose
//! the size of the cohort (200 × 90).

#[path = "../tests/support/history.rs"]
mod history;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kenko_fhir::exchange::{self, Options};
use kenko_fhir::fhir::{bundle, inbound};
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::{Edition, Kinds};
use kenko_fhir::registry::{self, List, Registries};
use kenko_fhir::store::{Store, Submit};
use kenko_fhir::synth::Cohort;
use tower::ServiceExt as _;

/// User and system time of this process in seconds (Linux; 10 ms steps).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rfind(')').map_or("", |i| &stat[i + 2..]);
    let fields: Vec<f64> = after.split(' ').map(|f| f.parse().unwrap_or(0.0)).collect();
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

/// CPU seconds of one run of `work`, which is repeated for two seconds.
fn measure(mut work: impl FnMut()) -> f64 {
    work();
    let (start, from) = (Instant::now(), cpu());
    let mut runs = 0;
    while start.elapsed().as_secs_f64() < 2.0 {
        work();
        runs += 1;
    }
    (cpu() - from) / f64::from(runs)
}

fn line(what: &str, got: String, floor: &str, bar: &str) {
    println!("{what:<34} {got:<26} {floor:<38} {bar}");
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

fn main() {
    let kinds = Arc::new(Kinds::embedded().expect("the embedded mappings"));
    let people = number("KENKO_BARS_PARTICIPANTS", 200);
    let cohort = Cohort::new(people, number("KENKO_BARS_DAYS", 90), 1);
    let mut registries = Vec::new();
    let mut submissions = Vec::new();
    for file in cohort.files() {
        match file.list() {
            Some(list) => registries.push((list, file.bytes())),
            None => submissions.push(file.bytes()),
        }
    }
    let bytes: usize = submissions.iter().map(Vec::len).sum();
    let read = |text: &[u8]| exchange::read(&kinds, Options::default(), text).expect("valid");
    let records: usize = submissions.iter().map(|s| read(s).rows.len()).sum();
    println!(
        "{} submissions, {records} records, {bytes} bytes",
        submissions.len()
    );
    line("", "measured".into(), "floor", "bar");

    let parse = measure(|| {
        submissions.iter().for_each(|s| {
            black_box(read(s).rows.len());
        });
    });
    let floor = measure(|| {
        submissions.iter().for_each(|s| {
            black_box(serde_json::from_slice::<serde_json::Value>(s).is_ok());
        });
    });
    let rate =
        |bytes: usize, seconds: f64| format!("{:.0} MB a CPU s", bytes as f64 / seconds / 1e6);
    line(
        "protocol parse",
        rate(bytes, parse),
        &format!("Value: {}", rate(bytes, floor)),
        "",
    );
    converter(&kinds, &read(&submissions[0]));
    foreign(&kinds);

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kenko.db");
        let url = format!("sqlite://{}", path.display());
        let store = Store::open(&url, kinds.clone()).await.expect("a database");
        load(&store, &registries).await;
        for (round, bar) in [
            ("store", "<= 15 us, >= 50 000 a second"),
            ("the same again", "no slower"),
        ] {
            let (start, from) = (Instant::now(), cpu());
            let mut changed = 0;
            for s in &submissions {
                let receipt = store
                    .submit(&mut read(s), &Submit::default())
                    .await
                    .expect("stored");
                changed += receipt.counts.created + receipt.counts.updated;
            }
            let seconds = start.elapsed().as_secs_f64();
            let each = (cpu() - from) / records as f64 * 1e6;
            let got = format!("{each:.1} us CPU, {:.0}/s", records as f64 / seconds);
            line(
                round,
                got,
                &format!("3.5 us raw rows; {changed} changed"),
                bar,
            );
        }
        let store = Arc::new(store);
        read_one(&store).await;
        let second = folder.path().join("second.db");
        let url = format!("sqlite://{}", second.display());
        let second = Store::open(&url, kinds.clone()).await.expect("a database");
        load(&second, &registries).await;
        transactions(&store, &Arc::new(second)).await;
        store.close().await;
        let size = std::fs::metadata(&path).map_or(0, |m| m.len());
        let got = format!("{:.1} bytes a record", size as f64 / records as f64);
        line("database", got, "33.8 bytes raw rows", "<= 120");
    });
}

/// The lists of the cohort.
async fn load(store: &Store, registries: &[(&str, Vec<u8>)]) {
    for (list, bytes) in registries {
        let list = List::by_name(list).expect("a list");
        let rows = registry::read_json(list, bytes.as_slice(), &registry::Options::default());
        let rows = rows.expect("readable").rows;
        let done = store.change_registry(list, &rows, false).await;
        done.expect("stored").expect("valid");
    }
}

/// Transactions of 1 000 PUTs, without sockets: what one database holds is written into
/// another, twice.
async fn transactions(from: &Arc<Store>, to: &Arc<Store>) {
    let router = |store: &Arc<Store>| app(App::new(store.clone(), Settings::default()));
    let (from, to) = (router(from), router(to));
    let call = async |router: &axum::Router, request: axum::http::request::Builder, body| {
        let request = request.header("host", "localhost").body(body);
        let answer = router.clone().oneshot(request.expect("a request")).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.expect("a body");
        body.to_bytes()
    };
    let bundles = async |name: &str, most: usize| {
        let mut bundles = Vec::new();
        let mut next = Some(format!("/fhir/{name}?_count=1000"));
        while let Some(path) = next.filter(|_| bundles.len() < most) {
            let page = call(&from, Request::get(path), Body::empty()).await;
            let mut page: serde_json::Value = serde_json::from_slice(&page).expect("JSON");
            let links = page["link"].as_array().expect("links").clone();
            let link = links.iter().find(|l| l["relation"] == "next");
            let link = link.and_then(|l| l["url"].as_str());
            next = link.and_then(|url| Some(url.strip_prefix("http://localhost")?.to_owned()));
            let entries = page["entry"].as_array_mut().expect("entries");
            for entry in entries.iter_mut() {
                let url = format!("{name}/{}", entry["resource"]["id"].as_str().unwrap_or(""));
                *entry = serde_json::json!({
                    "resource": entry["resource"].take(),
                    "request": { "method": "PUT", "url": url },
                });
            }
            let bundle = serde_json::json!({
                "resourceType": "Bundle", "type": "transaction", "entry": entries,
            });
            bundles.push((entries.len(), bundle.to_string()));
        }
        bundles
    };
    let send = async |bundles: &[(usize, String)]| {
        let (started, before) = (Instant::now(), cpu());
        for (_, bundle) in bundles {
            let post = Request::post("/fhir").header("content-type", "application/fhir+json");
            black_box(call(&to, post, Body::from(bundle.clone())).await);
        }
        let entries: usize = bundles.iter().map(|(n, _)| n).sum();
        let each = (cpu() - before) / entries as f64 * 1e6;
        let rate = entries as f64 / started.elapsed().as_secs_f64();
        format!("{each:.1} us CPU, {rate:.0}/s")
    };
    send(&bundles("Device", usize::MAX).await).await;
    let bundles = bundles("Observation", 50).await;
    let floor = measure(|| {
        black_box(serde_json::from_str::<serde_json::Value>(&bundles[0].1).is_ok());
    });
    let floor = format!("Value: {:.1} us", floor / bundles[0].0 as f64 * 1e6);
    for round in ["transactions of 1 000 PUTs", "the same again"] {
        line(round, send(&bundles).await, &floor, "<= 60 us");
    }
}

/// Both ways of the converter, beside a copy and a parse of the same bytes.
fn converter(kinds: &Kinds, submission: &exchange::Submission) {
    let options = bundle::Options {
        shape: bundle::Shape::Panel,
        edition: Edition::E2017,
        base_url: "",
        registries: &Registries::new(),
    };
    let write = |out| bundle::write_collection(out, kinds, submission, &options).expect("written");
    let text = write(Vec::new());
    let rate = |seconds: f64| text.len() as f64 / seconds / 1e6;
    let forward = rate(measure(|| {
        black_box(write(Vec::with_capacity(text.len())));
    }));
    let copy = rate(measure(|| {
        black_box(text.to_vec());
    }));
    let got = format!("{forward:.0} MB a CPU s");
    line(
        "converter to FHIR",
        got,
        &format!("copy: {copy:.0}"),
        ">= 800",
    );
    let backward = rate(measure(|| {
        let none = Registries::new();
        let read = inbound::read_any(kinds, inbound::Options::default(), &text[..]);
        let known = inbound::Known::of(&none);
        let read = read.map(|input| input.finish(kinds, known));
        black_box(read.is_ok());
    }));
    let value = rate(measure(|| {
        black_box(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
    }));
    let got = format!("{backward:.0} MB a CPU s");
    let ratio = format!("Value: {value:.0}, ratio {:.2}", backward / value);
    line("converter to the protocol", got, &ratio, ">= 0.5 of Value");
}

/// A patient's whole history, of which little is ours, beside a parse of the same bytes.
fn foreign(kinds: &Kinds) {
    let mut text = Vec::new();
    let records = history::write(&mut text, 50_000_000).expect("written");
    let rate = |seconds: f64| text.len() as f64 / seconds / 1e6;
    let read = rate(measure(|| {
        let none = Registries::new();
        let read = inbound::read_any(kinds, inbound::Options::default(), &text[..]);
        let input = read.expect("readable");
        let (submissions, _) = input.finish(kinds, inbound::Known::of(&none));
        let rows = submissions.iter().flat_map(|s| &s.rows);
        assert_eq!(rows.filter(|row| !row.refused).count(), records);
    }));
    let value = rate(measure(|| {
        black_box(serde_json::from_slice::<serde_json::Value>(&text).is_ok());
    }));
    let got = format!("{read:.0} MB a CPU s");
    let ratio = format!("Value: {value:.0}, ratio {:.2}", read / value);
    line("50 MB of others' history", got, &ratio, ">= 0.25 of Value");
}

/// Q1, Q6e and Q7 without sockets: reads through the whole router.
async fn read_one(store: &Arc<Store>) {
    let router = app(App::new(store.clone(), Settings::default()));
    let get = async |path: &str| {
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Body::empty());
        let answer = router
            .clone()
            .oneshot(request.expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
    };
    let page = get("/fhir/Observation?_count=500").await;
    let page: serde_json::Value = serde_json::from_slice(&page).expect("JSON");
    let entries = page["entry"].as_array().expect("entries");
    let paths: Vec<String> = entries
        .iter()
        .map(|e| {
            format!(
                "/fhir/Observation/{}",
                e["resource"]["id"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let per_request = async |paths: &[String]| {
        let from = cpu();
        for _ in 0..20 {
            for path in paths {
                black_box(get(path).await);
            }
        }
        (cpu() - from) / (20 * paths.len()) as f64 * 1e3
    };
    let floor = per_request(&vec!["/health/live".to_owned(); paths.len()]).await;
    let got = format!("{:.3} ms CPU, no sockets", per_request(&paths).await);
    line(
        "Q1 read",
        got,
        &format!("constant answer: {floor:.3} ms"),
        "<= 0.05 ms with sockets",
    );
    let subjects = entries
        .iter()
        .filter_map(|e| e["resource"]["subject"]["reference"].as_str());
    let mut people: Vec<&str> = subjects.collect();
    people.dedup();
    for (what, bar, address) in [
        (
            "Q6e $everything",
            "<= 3 ms with sockets",
            (|person| format!("/fhir/{person}/$everything")) as fn(&str) -> String,
        ),
        (
            "Q7 with two includes, 50 entries",
            "<= 0.7 ms with sockets",
            |person| {
                let includes = "_include=Observation:device&_include=Observation:subject";
                format!("/fhir/Observation?subject={person}&{includes}&_count=50")
            },
        ),
    ] {
        let paths: Vec<String> = people
            .iter()
            .take(20)
            .map(|person| address(person))
            .collect();
        let got = format!("{:.3} ms CPU, no sockets", per_request(&paths).await);
        line(what, got, "", bar);
    }
}
