//! The well-behaved client beside an attacker.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::population::{Person, Weight, submission, time17};

/// The longest that it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two requests of a connection.
const PACE: Duration = Duration::from_millis(20);

/// Request that is sent again and again over a connection of its own.
pub struct Request {
    name: &'static str,
    method: &'static str,
    path: String,
    weight: Option<Weight>,
}

/// Measurements of a client.
#[derive(Default)]
pub struct Measured {
    /// Milliseconds of each answer, by request.
    pub millis: BTreeMap<&'static str, Vec<f64>>,
    /// Errors, each told once, with how often.
    pub errors: BTreeMap<String, u32>,
}

/// The requests of the client: a read, a search, a submission, and health.
pub fn requests(people: &[Person], weights: &[Weight], observation: &str) -> Vec<Request> {
    let get = |name, path: String| Request {
        name,
        method: "GET",
        path,
        weight: None,
    };
    let patient = &people[0].patient;
    let search = format!("/fhir/Observation?code=29463-7&patient={patient}");
    let mut all = vec![
        get("read", format!("/fhir/Observation/{observation}")),
        get("search", search),
        get("ready", "/health/ready".to_owned()),
        get("live", "/health/live".to_owned()),
    ];
    all.push(Request {
        name: "submit",
        method: "POST",
        path: "/exchange/submissions".to_owned(),
        weight: weights.first().cloned(),
    });
    all
}

/// Sends all requests until `ended`, each over a connection of its own.
pub fn run(address: &str, requests: &[Request], ended: &AtomicBool) -> Measured {
    let measured = Mutex::new(Measured::default());
    std::thread::scope(|scope| {
        for request in requests {
            let measured = &measured;
            scope.spawn(move || {
                let mut client = None;
                while !ended.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    let sent = send(address, request, &mut client);
                    let millis = began.elapsed().as_secs_f64() * 1e3;
                    let mut measured = measured.lock().expect("no panic");
                    measured
                        .millis
                        .entry(request.name)
                        .or_default()
                        .push(millis);
                    if let Err(error) = sent {
                        client = None;
                        let error = format!("{}: {error}", request.name);
                        *measured.errors.entry(error).or_default() += 1;
                    }
                    drop(measured);
                    std::thread::sleep(PACE);
                }
            });
        }
    });
    measured.into_inner().expect("no panic")
}

fn send(address: &str, request: &Request, client: &mut Option<Client>) -> Result<(), String> {
    let body = request.weight.as_ref().map(|weight| {
        let record = weight.record("61.50", &time17());
        submission(&weight.consortium, &[(&weight.person, record)])
    });
    let connected = match client {
        Some(client) => Ok(client),
        None => Client::within(address, PATIENCE).map(|new| client.insert(new)),
    };
    let headers = [("Content-Type", "application/json")];
    let headers = &headers[..usize::from(body.is_some())];
    let body = body.unwrap_or_default();
    let sent = connected
        .and_then(|client| client.send(request.method, &request.path, headers, body.as_bytes()));
    match sent {
        Ok((200..300, _)) => Ok(()),
        Ok((status, body)) => {
            let body: String = String::from_utf8_lossy(body).chars().take(160).collect();
            Err(format!("{status} {body}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A percentile of all requests.
pub fn percentile(millis: impl Iterator<Item = f64>, percent: usize) -> f64 {
    let mut all: Vec<f64> = millis.collect();
    all.sort_by(f64::total_cmp);
    let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
    all.get(at).copied().unwrap_or(0.0)
}
