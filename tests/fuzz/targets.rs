//! The readers that are fuzzed, and what is checked of every input.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use kenko_fhir::exchange::{self, Submission};
use kenko_fhir::fault::{Fault, Lang};
use kenko_fhir::fhir::canonical::Canonical;
use kenko_fhir::fhir::inbound::{self, Known};
use kenko_fhir::fhir::patch::Work;
use kenko_fhir::fhir::{bundle, outcome};
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::{Edition, Kinds};
use kenko_fhir::registry::{self, Form, List, Registries};
use kenko_fhir::store::{Store, Submit};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::reference;

/// Names of the targets.
pub const NAMES: &[&str] = &["protocol", "fhir", "query", "patch", "csv", "mapping"];
/// Time of receipt: the same in every run.
const NOW: i64 = 1_767_225_600_000;
const PATCH_WORK: usize = 1 << 20;

/// Whether an input was accepted; what is wrong with what became of it.
type Tried = Result<bool, String>;
/// Reads an input, and checks what became of it.
type TryInput = Box<dyn Fn(&[u8]) -> Tried>;

/// A reader.
pub struct Target {
    /// Inputs that are mutated.
    pub corpus: Vec<Vec<u8>>,
    /// Words of its language.
    pub tokens: &'static [&'static str],
    /// Reads an input and checks what became of it.
    pub try_input: TryInput,
}

/// The target of a name.
pub fn named(name: &str) -> Option<fn() -> Target> {
    Some(match name {
        "protocol" => protocol,
        "fhir" => fhir,
        "query" => query,
        "patch" => patch,
        "csv" => csv,
        "mapping" => mapping,
        _ => return None,
    })
}

/// Texts of the files below a folder whose names end so.
fn files(folder: &str, end: &str) -> Vec<Vec<u8>> {
    fn walk(folder: &Path, end: &str, out: &mut Vec<Vec<u8>>) {
        let entries = std::fs::read_dir(folder).expect("a folder of the repository");
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                walk(&path, end, out);
            } else if path.to_string_lossy().ends_with(end) {
                out.push(std::fs::read(&path).expect("a file of the repository"));
            }
        }
    }
    let mut out = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        end,
        &mut out,
    );
    out
}

fn example() -> Vec<u8> {
    files("examples", "first.json").remove(0)
}

/// Whether a fault tells its rule, and what to do, in both languages.
fn whole(fault: &Fault) -> Result<(), String> {
    let area = fault.area;
    for lang in [Lang::En, Lang::Ja] {
        let told = [
            fault.code.title_in(area, lang),
            fault.code.remedy_in(area, lang),
        ];
        let message = fault.message(lang);
        if told.iter().any(|text| text.is_empty()) || !message.contains(told[0]) {
            return Err(format!(
                "a fault without rule or remedy: {fault:?}: {message}"
            ));
        }
        // What it expected is of this language, too.
        let expected = fault.expected_in(lang);
        let json = fault.code == kenko_fhir::fault::Code::Json;
        if lang == Lang::Ja && !json && expected == fault.expected && words(&expected) > 2 {
            return Err(format!(
                "what was expected is not told in Japanese: {expected:?}"
            ));
        }
    }
    if !fault.pointer.is_empty()
        && !fault.pointer.starts_with('/')
        && fault.line == 0
        && !fault
            .pointer
            .starts_with(|first: char| first.is_ascii_alphabetic())
    {
        return Err(format!("a fault without a place: {fault:?}"));
    }
    Ok(())
}

/// English words of a text: small letters between spaces.
fn words(text: &str) -> usize {
    let word = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    text.split(' ').filter(word).count()
}

fn normal(kinds: &Kinds, submission: &Submission) -> Vec<u8> {
    exchange::write(Vec::new(), kinds, submission, Edition::E2017).expect("memory")
}

/// Texts of both, where they are not the same.
fn equal(what: &str, a: &[u8], b: &[u8]) -> Result<(), String> {
    match a == b {
        true => Ok(()),
        false => {
            let [a, b] = [a, b].map(String::from_utf8_lossy);
            Err(format!("{what}:\n{a}\nand\n{b}"))
        }
    }
}

fn protocol() -> Target {
    let kinds = Kinds::embedded().expect("kinds");
    let mut corpus = vec![example()];
    for kind in kinds.iter() {
        for record in files(&format!("tests/golden/{}", kind.name), "record.json") {
            let record: Value = serde_json::from_slice(&record).expect("JSON");
            let submission = json!({
                "format_version": "1.0",
                "send_time": "20161006030000000",
                "consortium_id": "A00001",
                "person_information": [{
                    "person_id": "P0000000000000000001",
                    kind.section.as_str(): { kind.array.as_str(): [record] },
                }],
            });
            corpus.push(submission.to_string().into_bytes());
        }
    }
    let try_input = move |input: &[u8]| {
        let mut accepted = false;
        for lenient in [false, true] {
            let options = exchange::Options {
                lenient,
                ..Default::default()
            };
            let Ok(read) = exchange::read(&kinds, options, input) else {
                continue;
            };
            read.all_faults().try_for_each(whole)?;
            let written = normal(&kinds, &read);
            if read.has_errors() {
                continue;
            }
            accepted = true;
            let again = exchange::read(&kinds, exchange::Options::default(), &written[..]);
            let again = again.map_err(|e| format!("its normal form is not read: {e}"))?;
            if let Some(fault) = again.all_faults().find(|fault| fault.is_error()) {
                return Err(format!(
                    "its normal form has a fault: {}",
                    fault.message(Lang::En)
                ));
            }
            equal("normal forms differ", &written, &normal(&kinds, &again))?;
        }
        Ok(accepted)
    };
    Target {
        corpus,
        tokens: &[
            "format_version",
            "send_time",
            "consortium_id",
            "person_information",
            "person_id",
            "healthcare_information",
            "weighing_scale",
            "blood_pressure",
            "observation_time",
            "body_weight",
            "body_fat",
            "systolic",
            "update_time",
            "origin_of_time_code",
            "production_specification_serial",
            "data_input_code",
            "{\"",
            "\":",
            "},{",
            "\\u0000",
            "\\ud800",
            "1.0",
            "2.0",
        ],
        try_input: Box::new(try_input),
    }
}

fn registries() -> Registries {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/registries");
    registry::load_dir(&folder, &registry::Options::default()).expect("the lists")
}

fn collection(kinds: &Kinds, lists: &Registries, submission: &Submission) -> Vec<u8> {
    let options = bundle::Options {
        shape: bundle::Shape::Panel,
        edition: Edition::E2017,
        base_url: "",
        registries: lists,
    };
    bundle::write_collection(Vec::new(), kinds, submission, &options).expect("memory")
}

fn fhir() -> Target {
    let kinds = Kinds::embedded().expect("kinds");
    let lists = registries();
    let first = exchange::read(&kinds, exchange::Options::default(), &example()[..]);
    let mut corpus = vec![collection(&kinds, &lists, &first.expect("the example"))];
    corpus.extend(files("tests/golden", "resource.json"));
    corpus.extend(files("tests/golden/registry", ".json"));
    corpus.extend(files("tests/data/documents", "clins.json"));
    corpus.extend(files("tests/data/documents", "echeckup.json"));
    let try_input = move |input: &[u8]| {
        let options = inbound::Options {
            now: NOW,
            ..Default::default()
        };
        let Ok(read) = inbound::read_any(&kinds, options, input) else {
            return Ok(false);
        };
        let (submissions, outcome) = read.finish(&kinds, Known::of(&lists));
        for issue in &outcome.issues {
            whole(&issue.fault)?;
            for lang in [Lang::En, Lang::Ja] {
                let told: outcome::Issue = issue.told(lang);
                if told.diagnostics.is_empty() {
                    return Err(format!("an issue without a word: {issue:?}"));
                }
            }
        }
        for submission in &submissions {
            let written = normal(&kinds, submission);
            if submission.has_errors() || outcome.has_errors() {
                continue;
            }
            let bundle = collection(&kinds, &lists, submission);
            let again = inbound::read_any(&kinds, options, &bundle[..]);
            let again = again.map_err(|e| format!("the Bundle of it is not read: {e}"))?;
            let (back, outcome) = again.finish(&kinds, Known::of(&lists));
            if outcome.has_errors() {
                let issue = outcome.issues.iter().find(|issue| issue.fault.is_error());
                let told = issue.map(|issue| issue.told(Lang::En).diagnostics);
                return Err(format!("the Bundle of it has a fault: {told:?}"));
            }
            let back = back.iter().map(|s| normal(&kinds, s)).collect::<Vec<_>>();
            if submission.rows.iter().any(|row| !row.refused) {
                equal("normal forms differ", &written, &back.concat())?;
            }
        }
        Ok(!outcome.has_errors())
    };
    Target {
        corpus,
        tokens: &[
            "resourceType",
            "Bundle",
            "Observation",
            "Patient",
            "Device",
            "entry",
            "resource",
            "fullUrl",
            "request",
            "id",
            "code",
            "coding",
            "system",
            "valueQuantity",
            "component",
            "effectiveDateTime",
            "subject",
            "reference",
            "device",
            "contained",
            "hasMember",
            "extension",
            "url",
            "_value",
            "http://loinc.org",
            "29463-7",
            "http://unitsofmeasure.org",
            "kg",
            "mm[Hg]",
            "{\"resourceType\":\"Bundle\",\"entry\":[",
            "\n",
            "}}",
            "\\ud800",
        ],
        try_input: Box::new(try_input),
    }
}

/// A path of a request, of any bytes.
fn uri(input: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{}|".contains(byte);
    let escape = |byte: &u8| match plain(byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    format!("/fhir/{}", input.iter().map(escape).collect::<String>())
}

/// A server over a file of its own, asked from within.
struct Server {
    runtime: tokio::runtime::Runtime,
    router: axum::Router,
    _folder: tempfile::TempDir,
}

impl Server {
    fn new() -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("kenko.db").display());
        let router = runtime.block_on(async {
            let kinds = Arc::new(Kinds::embedded().expect("kinds"));
            let store = Arc::new(Store::open(&url, kinds).await.expect("a store"));
            for list in List::ALL {
                let rows: Vec<_> = registries().rows(list).cloned().collect();
                let changed = store.change_registry(list, &rows, false).await;
                changed.expect("a store").expect("the lists");
            }
            let options = exchange::Options::default();
            let mut read = exchange::read(store.kinds(), options, &example()[..]).expect("JSON");
            let submitted = store.submit(&mut read, &Submit::default()).await;
            submitted.expect("the example");
            app(App::new(store, Settings::default()))
        });
        Server {
            runtime,
            router,
            _folder: folder,
        }
    }

    fn get(&self, path: &str, language: &str) -> Option<(u16, Value)> {
        let request = Request::get(path).header("host", "127.0.0.1");
        let request = request
            .header("accept-language", language)
            .body(Body::empty())
            .ok()?;
        self.runtime.block_on(async {
            let Ok(answer) = self.router.clone().oneshot(request).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            Some((parts.status.as_u16(), body))
        })
    }
}

fn self_link(bundle: &Value) -> Option<&str> {
    let links = bundle["link"].as_array()?;
    links.iter().find(|link| link["relation"] == "self")?["url"].as_str()
}

fn ids(bundle: &Value) -> Vec<&Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let resources = entries.filter(|entry| entry["search"]["mode"] != "outcome");
    resources.map(|entry| &entry["resource"]["id"]).collect()
}

fn query() -> Target {
    let server = Server::new();
    let searches = [
        "Observation?code=29463-7&_sort=-date&_count=3",
        "Observation?patient.identifier=P0000000000000000001&category=vital-signs",
        "Observation?value-quantity=gt60|http://unitsofmeasure.org|kg",
        "Observation?code-value-quantity=29463-7$lt100",
        "Observation?date=ge2016-09-01&date=lt2016-10-01T00:00:00Z&_total=accurate",
        "Observation?subject:Patient.gender=female,male&_include=Observation:subject",
        "Observation?_has:Provenance:target:recorded=gt2016&_elements=code,subject",
        "Observation?device.model=WS-100&_summary=text",
        "Observation?_lastUpdated=gt2016-01-01&_id=a,b,c&status:not=amended",
        "Observation?component-code=8480-6&_include=*&_revinclude=Provenance:target",
        "Patient?_has:Observation:patient:code=29463-7&gender:missing=false",
        "Patient?identifier=|P0000000000000000001&birthdate=sa1950&_sort=birthdate",
        "Patient?name:contains=a&address=x&_summary=count",
        "Patient?organization.name:exact=健康の会&_revinclude=Observation:subject",
        "Device?type=x&manufacturer=ACME&_has:Observation:device:patient=x",
        "Group?member=Patient/x&characteristic=a&value=b",
        "Organization?name=健康&type=prov&_sort=name",
        "Provenance?target=Observation/x&recorded=gt2020",
        "ResearchSubject?individual=Patient/x&study.title=x",
        "ResearchStudy?status=active&_id=x",
        "DeviceDefinition?manufacturer=ACME",
    ];
    let try_input = move |input: &[u8]| {
        let path = uri(input);
        let Some((status, body)) = server.get(&path, "en") else {
            return Ok(false);
        };
        if status >= 500 {
            return Err(format!("{path}: {status} {body}"));
        }
        if status == 400 {
            let words = |body: &Value| body["issue"][0]["diagnostics"].as_str().map(str::to_owned);
            let ja = server
                .get(&path, "ja")
                .map(|(_, body)| body)
                .unwrap_or_default();
            return match (words(&body), words(&ja)) {
                (Some(en), Some(ja)) if !en.is_empty() && ja.chars().any(|c| c > '\u{3000}') => {
                    Ok(false)
                }
                told => Err(format!("{path}: 400 without a word: {told:?}")),
            };
        }
        let (200, Some(link)) = (status, self_link(&body)) else {
            return Ok(false);
        };
        let again = link
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|i| &rest[i..]));
        let again = again.ok_or_else(|| format!("{path}: no self link: {link}"))?;
        let (status, other) = server.get(again, "en").ok_or("no answer")?;
        if status != 200 || self_link(&other) != Some(link) {
            return Err(format!(
                "{path}: self {link}: {status}, self {:?}",
                self_link(&other)
            ));
        }
        // An instant of this search is not that of the next, and `_sort` is all that orders.
        match ids(&body) == ids(&other) && body["total"] == other["total"] {
            true => Ok(true),
            false => Err(format!("{path}: {link} finds something else")),
        }
    };
    Target {
        corpus: searches
            .iter()
            .map(|search| search.as_bytes().to_vec())
            .collect(),
        tokens: &[
            "&",
            "=",
            ",",
            "|",
            "$",
            ":",
            ".",
            "\\,",
            "%2C",
            "%00",
            "%FF",
            "+",
            "_has:Observation:",
            "_has:Patient:organization:",
            "subject:Patient.",
            "patient.",
            "organization.",
            ":not",
            ":missing",
            ":exact",
            ":contains",
            ":text",
            ":in",
            ":of-type",
            ":above",
            ":identifier",
            "_sort=",
            "_count=0",
            "_count=-1",
            "_summary=count",
            "_total=accurate",
            "_cursor=",
            "_filter=",
            "_elements=",
            "_include=",
            "_include:iterate=",
            "_revinclude=",
            "_id=",
            "_lastUpdated=",
            "_tag=",
            "_profile=",
            "_contained=",
            "_format=",
            "_text=",
            "gt",
            "le",
            "ap",
            "eb",
            "ne",
            "code=",
            "date=",
            "value-quantity=",
            "combo-code=",
            "identifier=",
            "$lastn?",
            "$everything",
            "$stats?",
            "/_history",
        ],
        try_input: Box::new(try_input),
    }
}

fn patch() -> Target {
    let document = |file: &Vec<u8>| serde_json::from_slice::<Value>(file).expect("JSON");
    let documents: Vec<Value> = files("tests/golden", "resource.json")
        .iter()
        .map(document)
        .collect();
    let patches = [
        json!([{ "op": "test", "path": "/status", "value": "final" },
               { "op": "replace", "path": "/status", "value": "amended" }]),
        json!([{ "op": "add", "path": "/note", "value": [{ "text": "a" }] },
               { "op": "copy", "from": "/note/0", "path": "/note/-" },
               { "op": "move", "from": "/note/1", "path": "/note/0" }]),
        json!([{ "op": "remove", "path": "/id" }, { "op": "copy", "from": "", "path": "/a~1b" },
               { "op": "test", "path": "/a~1b/code/coding/0", "value": null }]),
        json!([{ "op": "add", "path": "/x", "value": [1.0, 1e2, -0.0] },
               { "op": "test", "path": "/x", "value": [1, 100.00, 0] },
               { "op": "add", "path": "/x/1", "value": {} }, { "op": "move", "from": "/x/1", "path": "/x/-" }]),
    ];
    let mut corpus = Vec::new();
    for document in &documents {
        for patch in &patches {
            corpus.push(
                json!({ "document": document, "patch": patch })
                    .to_string()
                    .into_bytes(),
            );
        }
    }
    let try_input = |input: &[u8]| {
        let Ok(given) = serde_json::from_slice::<Value>(input) else {
            return Ok(false);
        };
        // From text, as the server reads it: numbers keep their digits.
        let Ok(patch) = serde_json::from_str(&given["patch"].to_string()) else {
            return Ok(false);
        };
        let mut document = given["document"].clone();
        let done = Work::new(PATCH_WORK).apply(&mut document, &patch);
        let reference = reference::patched(given["document"].clone(), &given["patch"]);
        match (done, reference) {
            (Ok(()), Some(reference)) if document == reference => Ok(true),
            (Ok(()), reference) => Err(format!("patched to {document}, not to {reference:?}")),
            (Err(kenko_fhir::fhir::patch::Failure::Refused { at, why }), Some(reference)) => Err(
                format!("operation {at} is refused ({why}), not patched to {reference}"),
            ),
            (Err(_), _) => Ok(false),
        }
    };
    Target {
        corpus,
        tokens: &[
            "op",
            "path",
            "from",
            "value",
            "add",
            "remove",
            "replace",
            "move",
            "copy",
            "test",
            "/-",
            "/0",
            "/1",
            "/01",
            "/status",
            "/code",
            "/code/coding",
            "/code/coding/0",
            "/note",
            "",
            "/",
            "~0",
            "~1",
            "~2",
            "/x/0",
            "/a~1b",
        ],
        try_input: Box::new(try_input),
    }
}

fn csv() -> Target {
    let lists = List::ALL;
    let mut corpus = files("tests/data/registries-csv", ".csv");
    for list in lists {
        let rows: Vec<_> = registries().rows(list).cloned().collect();
        let mut text = Vec::new();
        registry::write::write_csv(list, &rows, &mut text).expect("memory");
        corpus.push(text);
    }
    let try_input = move |input: &[u8]| {
        let mut accepted = false;
        for list in lists {
            let options = registry::Options::default();
            let read = registry::read_bytes(list, Form::Csv, input, &options);
            let read = read.map_err(|e| e.to_string())?;
            read.faults.kept().iter().try_for_each(whole)?;
            for fault in read.faults.kept() {
                if fault.line == 0 && fault.pointer.is_empty() && !input.is_empty() {
                    return Err(format!("a fault without a place: {fault:?}"));
                }
            }
            if read.rows.is_empty() {
                continue;
            }
            accepted = true;
            let json = |rows: &[registry::Row]| {
                let mut text = Vec::new();
                registry::write::write_json(rows, &mut text)
                    .map(|()| text)
                    .expect("memory")
            };
            let mut csv = Vec::new();
            registry::write::write_csv(list, &read.rows, &mut csv).expect("memory");
            let written = json(&read.rows);
            for (form, text) in [(Form::Csv, &csv), (Form::Json, &written)] {
                let again = registry::read_bytes(list, form, text, &options);
                let again = again.map_err(|e| e.to_string())?;
                if let Some(fault) = again.faults.kept().iter().find(|fault| fault.is_error()) {
                    let fault = fault.message(Lang::En);
                    return Err(format!(
                        "{}: as {form:?} it has a fault: {fault}",
                        list.name
                    ));
                }
                equal(
                    &format!("{} as {form:?} differs", list.name),
                    &written,
                    &json(&again.rows),
                )?;
            }
        }
        Ok(accepted)
    };
    Target {
        corpus,
        tokens: &[
            ",",
            "\"",
            "\"\"",
            "\r\n",
            "\n",
            "\r",
            ";",
            "\t",
            "\u{feff}",
            "consortium_id",
            "person_id",
            "consortium_name",
            "provisional",
            "true",
            "participation_start_date",
            "20160401",
            "model_number",
            "identifiers",
            "test_lab_id",
            "fallback_for",
            "|",
            "A00001",
        ],
        try_input: Box::new(try_input),
    }
}

fn mapping() -> Target {
    let folder = tempfile::tempdir().expect("a folder");
    let mut corpus = files("mappings", ".json");
    corpus.retain(|file| serde_json::from_slice::<Value>(file).is_ok_and(|v| !v["kind"].is_null()));
    let (text, golden) = (example(), files("tests/golden", "resource.json"));
    let try_input = move |input: &[u8]| {
        let file = folder.path().join("fuzzed.json");
        std::fs::write(&file, input).map_err(|e| e.to_string())?;
        let kinds = match Kinds::load(Some(folder.path()), Canonical::default()) {
            Ok(kinds) => kinds,
            Err(faults) => {
                let empty = faults.0.is_empty();
                return match faults
                    .0
                    .iter()
                    .find(|f| f.file.is_empty() || f.reason.is_empty())
                {
                    None if !empty => Ok(false),
                    fault => Err(format!("a fault without a place or reason: {fault:?}")),
                };
            }
        };
        // What such kinds make of the example is read as the same.
        let Ok(read) = exchange::read(&kinds, exchange::Options::default(), &text[..]) else {
            return Ok(true);
        };
        let lists = Registries::new();
        let bundle = collection(&kinds, &lists, &read);
        if let Err(error) = serde_json::from_slice::<Value>(&bundle) {
            return Err(format!("the Bundle is no JSON: {error}"));
        }
        let options = inbound::Options {
            now: NOW,
            ..Default::default()
        };
        for resource in golden.iter().chain([&bundle]) {
            let taken = inbound::read_any(&kinds, options, &resource[..]);
            let taken = taken.map_err(|e| format!("a resource is not read: {e}"))?;
            taken.finish(&kinds, Known::of(&lists));
        }
        Ok(true)
    };
    Target {
        corpus,
        tokens: &[
            "kind",
            "order",
            "at",
            "fields",
            "observation",
            "name",
            "type",
            "code",
            "codes",
            "required",
            "decimals",
            "min",
            "max",
            "title",
            "en",
            "ja",
            "resourceType",
            "component",
            "valueQuantity",
            "system",
            "unit",
            "category",
            "{{",
            "}}",
            "?",
            "$",
            "$each",
            "$if",
            "text",
            "integer",
            "decimal",
            "time14",
            "index",
            "weighing_scale",
            "blood_pressure",
        ],
        try_input: Box::new(try_input),
    }
}
