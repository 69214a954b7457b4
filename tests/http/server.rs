//! A server over an empty database, and what it answers.

use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use kenko_fhir::http::{self, App, Settings};
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::List;
use kenko_fhir::store::{self, Store};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::database::Database;

pub const JSON: &str = "application/json";
pub const PROBLEM: &str = "application/problem+json";

pub struct Server {
    pub app: Router,
    pub store: Arc<Store>,
    pub database: Database,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Server {
    pub async fn empty() -> Server {
        Server::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Server {
        Server::with_both(settings, store::Options::default()).await
    }

    /// With options of the store, too.
    pub async fn with_both(settings: Settings, options: store::Options) -> Server {
        let database = Database::new().await;
        let kinds = Arc::new(Kinds::embedded().unwrap());
        let store = Store::open_with(&database.url, kinds, options).await;
        let store = Arc::new(store.unwrap());
        let app = http::app(App::new(store.clone(), settings));
        Server {
            app,
            store,
            database,
        }
    }

    /// With the registries of `examples/`.
    pub async fn registered() -> Server {
        let server = Server::empty().await;
        server.register("examples/registries").await;
        server
    }

    /// Sends the lists of a folder.
    pub async fn register(&self, folder: &str) {
        for list in List::ALL {
            let Ok(rows) = std::fs::read(format!("{folder}/{}.json", list.name)) else {
                continue;
            };
            let path = format!("/exchange/registries/{}", list.name);
            let answer = self.send(request(Method::PATCH, &path, JSON, rows)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(get(path)).await
    }

    /// Sends a submission in strict handling.
    pub async fn submit(&self, text: &str) -> Answer {
        self.send(post(text)).await
    }

    /// Sends a submission in lenient handling.
    pub async fn submit_lenient(&self, text: &str) -> Answer {
        self.send(with(post(text), "prefer", "handling=lenient"))
            .await
    }

    /// The receipts that are kept.
    pub async fn receipts(&self) -> Vec<Value> {
        let answer = self.get("/exchange/submissions?count=1000").await;
        answer.json()["receipts"].as_array().unwrap().clone()
    }

    /// All records of A00001, as text without `send_time`.
    pub async fn records(&self) -> String {
        let text = self
            .get("/exchange/records?consortium_id=A00001")
            .await
            .text();
        let (_, rest) = text.split_once("\"consortium_id\"").unwrap();
        rest.to_owned()
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {} {}", self.status, self.text()),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The `detail` of problem details with this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(
            (self.status, self.header("content-type")),
            (status, PROBLEM),
            "{}",
            self.text()
        );
        let json = self.json();
        assert_eq!(json["status"], status);
        assert_eq!(json["type"], "about:blank");
        assert!(json["title"].is_string());
        json["detail"].as_str().unwrap().to_owned()
    }

    /// The codes of all faults with their pointers.
    pub fn faults(&self) -> Vec<(String, String)> {
        let json = self.json();
        let own = json["faults"].as_array().into_iter().flatten();
        let entries = json["entries"].as_array().into_iter().flatten();
        let theirs = entries.flat_map(|e| e["faults"].as_array().unwrap());
        own.chain(theirs)
            .map(|f| {
                (
                    f["code"].as_str().unwrap().into(),
                    f["pointer"].as_str().unwrap().into(),
                )
            })
            .collect()
    }

    /// `created updated unchanged stale conflict refused`
    pub fn counts(&self) -> [u64; 6] {
        let json = self.json();
        [
            "created",
            "updated",
            "unchanged",
            "stale",
            "conflict",
            "refused",
        ]
        .map(|name| json["counts"][name].as_u64().unwrap())
    }
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "kenko.test")
        .body(Body::empty())
        .unwrap()
}

pub fn request(method: Method, path: &str, media: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "kenko.test")
        .header("content-type", media)
        .body(body.into())
        .unwrap()
}

pub fn post(text: &str) -> Request<Body> {
    request(Method::POST, "/exchange/submissions", JSON, text.to_owned())
}

pub fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// The submission of `examples/`.
pub fn first() -> String {
    std::fs::read_to_string("examples/first.json").unwrap()
}

/// A submission with one weight of the first participant.
pub fn weight(time: &str, update_time: &str, value: &str) -> String {
    submission(&[weight_record(time, update_time, value)])
}

pub fn weight_record(time: &str, update_time: &str, value: &str) -> String {
    format!(
        r#"{{"observation_time":"{time}","body_weight":{value},"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"WS0001234","data_input_code":"0","origin_of_time_code":"1","update_time":"{update_time}"}}"#
    )
}

pub fn submission(weights: &[String]) -> String {
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P0000000000000000001","healthcare_information":{{"weighing_scale":[{}]}}}}]}}"#,
        weights.join(",")
    )
}
