//! A new record kind is one new file: blood and urine glucose, over the command line and over
//! HTTP, search included, with no line of Rust that names them.

#[path = "support/database.rs"]
mod database;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use database::Database;
use http_body_util::BodyExt as _;
use kenko_fhir::fhir::canonical::Canonical;
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::Store;
use serde_json::Value;
use tower::ServiceExt as _;

const SUBMISSION: &str = r#"{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{"person_id":"P0000000000000000001","health_checkup_information":{"blood_glucose":[{"observation_time":"20161003093000","glucose_value":104.50,"sampling_condition_code":"1","test_lab_id":"000000000001","data_input_code":"0","update_time":"20161005120000000"}],"urine_glucose":[{"observation_time":"20161003093000","urine_glucose_code":"±","test_lab_id":"000000000001","data_input_code":"0","update_time":"20161005120000000"}]}}]}"#;

/// The same with the decimals that the field allows.
fn submission() -> String {
    SUBMISSION.replace("104.50", "104.5")
}

fn program(arguments: &[&str], folder: &Path, input: Option<&str>) -> Output {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
        .args(arguments)
        .env(
            "KENKO_MAPPINGS",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/optional"),
        )
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.unwrap_or_default().as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn plain(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn the_command_line_takes_optional_kinds_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let sent = submission();
    let forward = program(&["convert"], folder.path(), Some(&sent));
    assert!(
        forward.status.success(),
        "{}",
        String::from_utf8_lossy(&forward.stderr)
    );
    let bundle = String::from_utf8(forward.stdout).unwrap();
    assert!(bundle.contains("\"code\":\"2339-0\"") && bundle.contains("\"value\":104.5,"));
    let back = program(&["convert"], folder.path(), Some(&bundle));
    assert!(
        back.status.success(),
        "{}",
        String::from_utf8_lossy(&back.stderr)
    );
    assert_eq!(plain(&back.stdout), plain(sent.as_bytes()));
    // The rules of a file's fields hold as those of any other kind.
    let wrong = program(&["validate", "-"], folder.path(), Some(SUBMISSION));
    assert_eq!(wrong.status.code(), Some(1));
    let told = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        told.contains("/blood_glucose/0/glucose_value: decimals"),
        "{told}"
    );
}

#[test]
fn the_database_and_its_exports_take_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("glucose.json"), submission()).unwrap();
    let registries = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/registries");
    let import = program(
        &["import", registries.to_str().unwrap(), "glucose.json"],
        folder.path(),
        None,
    );
    assert!(
        import.status.success(),
        "{}",
        String::from_utf8_lossy(&import.stderr)
    );
    let export = program(
        &["export", "--to", "exchange", "-o", "out"],
        folder.path(),
        None,
    );
    assert!(
        export.status.success(),
        "{}",
        String::from_utf8_lossy(&export.stderr)
    );
    let mut out = plain(&std::fs::read(folder.path().join("out/A00001.json")).unwrap());
    out["send_time"] = "20161005120005123".into();
    assert_eq!(out, plain(submission().as_bytes()));
}

struct Server {
    router: axum::Router,
    _database: Database,
}

impl Server {
    async fn start() -> Server {
        let kinds = Kinds::load(Some("mappings/optional".as_ref()), Canonical::default()).unwrap();
        let database = Database::new().await;
        let store = Store::open(&database.url, Arc::new(kinds)).await.unwrap();
        for list in List::ALL {
            let file = format!("examples/registries/{}.json", list.name);
            let read = registry::read_file(list, file.as_ref(), &registry::Options::default());
            store
                .change_registry(list, &read.unwrap().rows, false)
                .await
                .unwrap()
                .unwrap();
        }
        let router = app(App::new(Arc::new(store), Settings::default()));
        Server {
            router,
            _database: database,
        }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> String {
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap();
        let (status, body) = self.ask(request).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, content_type: &str, body: String) -> (StatusCode, String) {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap();
        self.ask(request).await
    }
}

#[tokio::test]
async fn http_stores_reads_and_finds_them() {
    let server = Server::start().await;
    let (status, receipt) = server
        .post("/exchange/submissions", "application/json", submission())
        .await;
    assert_eq!(status, 201, "{receipt}");
    for (query, count) in [
        ("code=http://loinc.org|2339-0", 1),
        ("code=25428-4", 1),
        (
            "category=https://kenko-fhir.example/fhir/CodeSystem/record-kind|urine_glucose",
            1,
        ),
        ("category=laboratory", 2),
        (
            "code=2339-0&date=2016-10-03&patient.identifier=P0000000000000000001",
            1,
        ),
        ("code=2339-0&date=2016-10-04", 0),
        ("code=4548-4", 0),
    ] {
        let body = server
            .get(&format!("/fhir/Observation?{query}&_total=accurate"))
            .await;
        assert_eq!(
            plain(body.as_bytes())["total"],
            Value::from(count),
            "{query}: {body}"
        );
    }
    let body = server.get("/fhir/Observation?code=2339-0").await;
    assert!(body.contains("\"value\":104.5,"), "{body}");
    let id = plain(body.as_bytes())["entry"][0]["resource"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        server
            .get(&format!("/fhir/Observation/{id}"))
            .await
            .contains("blood_glucose")
    );
    let urine = server.get("/fhir/Observation?code=25428-4").await;
    assert!(
        urine.contains("valueCodeableConcept") && urine.contains("\"±\""),
        "{urine}"
    );
    let mut records = plain(
        server
            .get("/exchange/records?consortium_id=A00001")
            .await
            .as_bytes(),
    );
    records["send_time"] = "20161005120005123".into();
    assert_eq!(records, plain(submission().as_bytes()));
}

#[tokio::test]
async fn the_documents_tell_of_them() {
    let server = Server::start().await;
    let schema = server.get("/exchange/schema").await;
    assert!(schema.contains("\"blood_glucose\"") && schema.contains("\"urine_glucose_code\""));
    assert!(server.get("/openapi.json").await.contains("glucose_value"));
    assert!(server.get("/fhir/metadata").await.contains("urine_glucose"));
    let (status, bundle) = server
        .post("/fhir/$to-fhir", "application/json", submission())
        .await;
    assert_eq!(status, 200, "{bundle}");
    let (status, back) = server
        .post("/fhir/$to-exchange", "application/fhir+json", bundle)
        .await;
    assert_eq!(status, 200, "{back}");
    assert!(back.contains("submission") && back.contains("outcome"));
}

#[tokio::test]
async fn a_start_with_a_mapping_that_contradicts_the_records_stops() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("glucose.json"), submission()).unwrap();
    let registries = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/registries");
    let import = program(
        &["import", registries.to_str().unwrap(), "glucose.json"],
        folder.path(),
        None,
    );
    assert!(import.status.success());
    let changed = folder.path().join("changed");
    std::fs::create_dir(&changed).unwrap();
    let text = std::fs::read_to_string("mappings/optional/blood_glucose.json").unwrap();
    std::fs::write(changed.join("g.json"), text.replace("dec(5,1)", "dec(6,2)")).unwrap();
    let start = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
        .args(["migrate", "--mappings", "changed"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(start.status.code(), Some(2));
    let told = String::from_utf8(start.stderr).unwrap();
    assert!(
        told.contains("blood_glucose") && told.contains("glucose_value"),
        "{told}"
    );
    // A further optional field is fine.
    let mut more = plain(text.as_bytes());
    let title = serde_json::json!({ "ja": "備考", "en": "Note" });
    more["fields"]["note"] =
        serde_json::json!({ "type": "str(20)", "optional": true, "title": title });
    more["observation"]["bodySite"] = serde_json::json!({ "text": "{note}" });
    let more = more.to_string();
    std::fs::write(changed.join("g.json"), more).unwrap();
    let start = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
        .args(["migrate", "--mappings", "changed"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        start.status.success(),
        "{}",
        String::from_utf8_lossy(&start.stderr)
    );
}
