//! One client of the server among others: its connection, its pace, its findings.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::ledger::Ledger;
use crate::random::Random;

/// Findings that are told in full; the others are counted.
const TOLD: usize = 30;
const FHIR_JSON: &str = "application/fhir+json";

/// The state that all sessions of a run share.
pub struct Run {
    /// `host:port` of the server.
    pub address: String,
    /// Acknowledged versions.
    pub ledger: Ledger,
    /// Set when nothing more is to be asked.
    pub ended: AtomicBool,
    /// Set when nothing more is written.
    pub written: AtomicBool,
    findings: Mutex<Vec<String>>,
    latencies: Mutex<Latencies>,
}

/// Microseconds of each answer.
#[derive(Default)]
pub struct Latencies {
    /// By operation, of the whole run.
    pub by_operation: BTreeMap<&'static str, Vec<u32>>,
    /// Since they were last taken.
    pub recent: Vec<u32>,
}

impl Run {
    /// A run against this server.
    pub fn of(address: &str) -> Run {
        Run {
            address: address.to_owned(),
            ledger: Ledger::default(),
            ended: AtomicBool::new(false),
            written: AtomicBool::new(false),
            findings: Mutex::default(),
            latencies: Mutex::default(),
        }
    }

    /// Notes a fault of the server, and tells it at once.
    pub fn fault(&self, text: String) {
        let mut findings = self.findings.lock().expect("no panic");
        if findings.len() < TOLD {
            println!("FAULT: {text}");
        }
        findings.push(text);
    }

    /// How many faults were noted.
    pub fn faults(&self) -> usize {
        self.findings.lock().expect("no panic").len()
    }

    /// Reads the latencies, or takes some.
    pub fn latencies<T>(&self, read: impl FnOnce(&mut Latencies) -> T) -> T {
        read(&mut self.latencies.lock().expect("no panic"))
    }

    /// Whether nothing more is to be asked.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Checks, and notes what is wrong.
    pub fn check(&self, context: &str, checked: Result<(), String>) {
        if let Err(reason) = checked {
            self.fault(format!("{context}: {reason}"));
        }
    }
}

/// An answer, and when it was asked for.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body as JSON; null where there is none.
    pub body: Value,
    /// When the request was sent.
    pub asked: Instant,
}

/// A client.
pub struct Session<'a> {
    /// The run that it is part of.
    pub run: &'a Run,
    /// Its own random numbers.
    pub random: Random,
    client: Option<Client>,
    interval: Duration,
    next: Instant,
}

impl<'a> Session<'a> {
    /// A client that asks once an interval.
    pub fn new(run: &'a Run, random: Random, interval: Duration) -> Session<'a> {
        Session {
            run,
            random,
            client: None,
            interval,
            next: Instant::now(),
        }
    }

    /// Waits for the next turn; false when the run is over.
    pub fn turn(&mut self) -> bool {
        self.next = (self.next + self.interval).max(Instant::now() - self.interval);
        while !self.run.ended() {
            let left = self.next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(200)));
        }
        false
    }

    /// Sends a request. `None`, and a fault is noted, where the connection failed, where the
    /// status is none of those expected, and where the body is no JSON.
    pub fn send(
        &mut self,
        operation: &'static str,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
        expected: &[u16],
    ) -> Option<Answer> {
        let asked = Instant::now();
        let sent = match &mut self.client {
            Some(client) => Ok(client),
            None => Client::try_connect(&self.run.address).map(|new| self.client.insert(new)),
        };
        let answer = sent.and_then(|client| client.send(method, path, headers, body.as_bytes()));
        let (status, text) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.client = None;
                self.run.fault(format!("{method} {path}: {error}"));
                return None;
            }
        };
        let micros = asked.elapsed().as_micros() as u32;
        self.run.latencies(|latencies| {
            let all = latencies.by_operation.entry(operation).or_default();
            all.push(micros);
            latencies.recent.push(micros);
        });
        if !expected.contains(&status) {
            let text = String::from_utf8_lossy(text);
            let text: String = text.chars().take(600).collect();
            self.run.fault(format!("{method} {path}: {status} {text}"));
            return None;
        }
        let body = match text {
            [] => Ok(Value::Null),
            text => serde_json::from_slice(text),
        };
        match body {
            Ok(body) => Some(Answer {
                status,
                body,
                asked,
            }),
            Err(error) => {
                self.run.fault(format!("{method} {path}: {error}"));
                None
            }
        }
    }

    /// Reads what must be there.
    pub fn get(&mut self, operation: &'static str, path: &str) -> Option<Answer> {
        self.send(operation, ("GET", path), &[], "", &[200])
    }

    /// Writes a resource, or sends a Bundle.
    pub fn write(
        &mut self,
        operation: &'static str,
        request: (&str, &str),
        headers: &[(&str, &str)],
        resource: &Value,
        expected: &[u16],
    ) -> Option<Answer> {
        let headers = [headers, &[("Content-Type", FHIR_JSON)]].concat();
        self.send(
            operation,
            request,
            &headers,
            &resource.to_string(),
            expected,
        )
    }

    /// Checks all Observations of a searchset; how often each stands in it.
    pub fn searchset(&self, path: &str, answer: &Answer) -> HashMap<String, u32> {
        let mut times = HashMap::new();
        for resource in resources(&answer.body) {
            if resource["resourceType"] == "Observation" {
                let checked = self.run.ledger.shown(resource, answer.asked);
                self.run.check(path, checked);
                let id = resource["id"].as_str().unwrap_or_default();
                *times.entry(id.to_owned()).or_default() += 1;
            }
        }
        times
    }

    /// Walks all pages by a link, and gives each to `read`; the path of the last one. `None` where
    /// the walk ended early.
    pub fn walk(
        &mut self,
        operation: &'static str,
        first: &str,
        relation: &str,
        mut read: impl FnMut(&Session<'_>, &str, &Answer),
    ) -> Option<String> {
        let mut path = first.to_owned();
        loop {
            let answer = self.get(operation, &path)?;
            read(self, &path, &answer);
            match link(&answer.body, relation) {
                Some(next) => path = next,
                None => return Some(path),
            }
        }
    }
}

/// The resources of a Bundle.
pub fn resources(bundle: &Value) -> impl Iterator<Item = &Value> {
    let entries = bundle["entry"].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().map(|entry| &entry["resource"])
}

/// A link of a page, from its path on: of a Bundle, or of a listing of the protocol's side.
fn link(page: &Value, relation: &str) -> Option<String> {
    let url = match page["link"].as_array() {
        Some(links) => &links.iter().find(|link| link["relation"] == relation)?["url"],
        None => &page[relation],
    };
    let (_, rest) = url.as_str()?.split_once("://")?;
    Some(rest[rest.find('/')?..].to_owned())
}
