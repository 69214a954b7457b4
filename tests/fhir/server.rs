//! A server over a database of its own, and what it answers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use kenko_fhir::exchange::{self, Options};
use kenko_fhir::fhir::{check, id};
use kenko_fhir::http::{App, Settings, app};
use kenko_fhir::kind::Kinds;
use kenko_fhir::registry::{self, List};
use kenko_fhir::store::{Receipt, Store, Submit};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::agree::written_back;
use crate::database::Database;

/// The address in `fullUrl`s and links.
pub const BASE: &str = "http://h.example/fhir";
/// The first person of the example.
pub const PERSON: &str = "P0000000000000000001";

/// The system of the persons of the example.
pub const PERSON_SID: &str = "https://kenko-fhir.example/fhir/sid/consortium/A00001/person";

/// A server.
pub struct Server {
    pub store: Arc<Store>,
    router: axum::Router,
    database: Arc<Database>,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The diagnostics of the first issue; what is answered must be an OperationOutcome.
    pub fn issue(&self) -> String {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
        assert_eq!(check::check(&outcome), Ok(()));
        outcome["issue"][0]["diagnostics"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl Server {
    /// Registries loaded, no records.
    pub async fn empty() -> Server {
        Server::with(Settings::default()).await
    }

    /// As [`Server::empty`], with these settings.
    pub async fn with(settings: Settings) -> Server {
        Server::of(Kinds::embedded().unwrap(), settings).await
    }

    /// The same with other record kinds.
    pub async fn of(kinds: Kinds, settings: Settings) -> Server {
        let database = Database::new().await;
        let store = Store::open(&database.url, Arc::new(kinds)).await;
        let store = Arc::new(store.unwrap());
        for list in List::ALL {
            let file = format!("examples/registries/{}.json", list.name);
            let read = registry::read_file(list, file.as_ref(), &registry::Options::default());
            let rows = read.unwrap().rows;
            let done = store.change_registry(list, &rows, false).await.unwrap();
            done.unwrap();
        }
        let router = app(App::new(store.clone(), settings));
        Server {
            store,
            router,
            database: Arc::new(database),
        }
    }

    /// With the records of the example.
    pub async fn with_example() -> Server {
        let server = Server::empty().await;
        let text = std::fs::read_to_string("examples/first.json").unwrap();
        assert_eq!(server.submit(&text).await.status, 201);
        server
    }

    /// Lets the participation of everyone begin with the year.
    pub async fn since_new_year(self) -> Server {
        let file = "examples/registries/participants.json";
        let list = &registry::PARTICIPANTS;
        let read = registry::read_file(list, file.as_ref(), &registry::Options::default());
        let mut rows = read.unwrap().rows;
        for row in &mut rows {
            let day = registry::Value::Text("20160101".into());
            row.set("participation_start_date", day);
        }
        let done = self.store.change_registry(list, &rows, false).await;
        done.unwrap().unwrap();
        self
    }

    /// The address of its database.
    pub fn url(&self) -> &str {
        &self.database.url
    }

    /// Another instance over the same database.
    pub fn beside(&self, store: Store) -> Server {
        let store = Arc::new(store);
        Server {
            router: app(App::new(store.clone(), Settings::default())),
            store,
            database: self.database.clone(),
        }
    }

    pub async fn submit(&self, text: &str) -> Receipt {
        let kinds = self.store.kinds();
        let mut read = exchange::read(kinds, Options::default(), text.as_bytes()).unwrap();
        let receipt = self.store.submit(&mut read, &Submit::default()).await;
        receipt.unwrap()
    }

    pub async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/fhir{path}"))
            .header("host", "h.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Sends a resource. What is accepted can be written back as it is read.
    pub async fn write(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        resource: &Value,
    ) -> Answer {
        let mut all = vec![("content-type", "application/fhir+json")];
        all.extend_from_slice(headers);
        let answer = self.send(method, path, &all, &resource.to_string()).await;
        for path in accepted(method, &answer) {
            if let Err(error) = written_back(self, &path).await {
                panic!("{error}\nsent {resource}");
            }
        }
        answer
    }

    /// Creates a resource, which must succeed.
    pub async fn create(&self, resource: &Value) -> Value {
        let path = format!("/{}", resource["resourceType"].as_str().unwrap());
        let answer = self.write("POST", &path, &[], resource).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    /// A resource or Bundle that must be there, and sound.
    pub async fn found(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let value = answer.json();
        assert_eq!(check::check(&value), Ok(()), "{path}: {value}");
        value
    }

    /// The matches of a search.
    pub async fn matches(&self, path: &str) -> Vec<Value> {
        matches(&self.found(path).await)
    }

    /// How many match.
    pub async fn number(&self, path: &str) -> usize {
        self.matches(path).await.len()
    }

    /// The id of the only match.
    pub async fn id(&self, path: &str) -> String {
        let matches = self.matches(path).await;
        assert_eq!(matches.len(), 1, "{path}");
        matches[0]["id"].as_str().unwrap().to_owned()
    }
}

/// The addresses of what was accepted of a resource, or of the resources of a Bundle.
fn accepted(method: &str, answer: &Answer) -> Vec<String> {
    if !matches!(method, "POST" | "PUT") || !answer.status.is_success() {
        return Vec::new();
    }
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let mut locations = vec![answer.header("location").to_owned()];
    for entry in entries(&body) {
        let location = entry["response"]["location"].as_str();
        locations.push(location.unwrap_or_default().to_owned());
    }
    let paths = locations.iter().filter_map(|location| {
        let path = location.strip_prefix(BASE).unwrap_or(location);
        let path = path.split("/_history/").next()?.trim_start_matches('/');
        let (ty, _) = path.split_once('/')?;
        let is_written = matches!(ty, "Observation" | "Patient" | "ResearchSubject" | "Device");
        is_written.then(|| format!("/{path}"))
    });
    paths.collect()
}

/// The matches of a page.
pub fn matches(bundle: &Value) -> Vec<Value> {
    entries(bundle)
        .iter()
        .filter(|e| e["search"]["mode"] == "match")
        .map(|e| e["resource"].clone())
        .collect()
}

/// A page of matches as far as its text tells without being read as JSON, which would take
/// most of the time of a long run.
pub struct Listed {
    /// The ids of the matches.
    pub ids: Vec<String>,
    /// `Bundle.total`
    pub total: Option<u64>,
    text: String,
}

impl Listed {
    /// A page of one type that nothing is included in.
    pub fn of(text: String) -> Listed {
        let total = text.split_once("\"total\":").map(|(_, rest)| {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap()].parse().unwrap()
        });
        let mut ids = Vec::new();
        for part in text.split("\"fullUrl\":\"").skip(1) {
            let url = &part[..part.find('"').unwrap()];
            // What there is to say has another address.
            if let Some(reference) = url.strip_prefix(BASE) {
                ids.push(reference.rsplit('/').next().unwrap().to_owned());
            }
        }
        Listed { ids, total, text }
    }

    /// A link, from the FHIR base on.
    pub fn link(&self, relation: &str) -> Option<String> {
        let start = format!("{{\"relation\":\"{relation}\",\"url\":\"{BASE}");
        let rest = self.text.split_once(&start)?.1;
        Some(rest[..rest.find('"').unwrap()].to_owned())
    }
}

/// The entries of a Bundle.
pub fn entries(bundle: &Value) -> Vec<Value> {
    bundle["entry"].as_array().cloned().unwrap_or_default()
}

/// An entry that asks for something.
pub fn entry(method: &str, url: &str, resource: Option<Value>) -> Value {
    let mut out = json!({ "request": { "method": method, "url": url } });
    if let Some(resource) = resource {
        out["resource"] = resource;
    }
    out
}

/// A link of a Bundle, from the FHIR base on.
pub fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|l| l["relation"] == relation)?;
    let url = link["url"].as_str()?;
    Some(url.strip_prefix(BASE).expect(url).to_owned())
}

/// A submission of one weight.
pub fn weight(person: &str, time: &str, value: &str, update_time: &str) -> String {
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"{person}","healthcare_information":{{"weighing_scale":[{{"observation_time":"{time}","body_weight":{value},"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"WS0001234","data_input_code":"0","origin_of_time_code":"1","update_time":"{update_time}"}}]}}}}]}}"#
    )
}

/// A weight of the first person by the first scale of the example, as another system would
/// write it.
pub fn observation(time: &str, kilograms: &str) -> Value {
    let value: serde_json::Number = kilograms.parse().unwrap();
    json!({
        "resourceType": "Observation",
        "status": "final",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "29463-7" }] },
        "subject": { "reference": format!("Patient/{}", id::participant("A00001", PERSON)) },
        "device": { "reference": format!("Device/{}", id::device("ACME", "WS-100", "WS0001234")) },
        "effectiveDateTime": time,
        "issued": "2016-10-05T12:00:00.000+09:00",
        "valueQuantity": {
            "value": value, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg",
        },
    })
}
