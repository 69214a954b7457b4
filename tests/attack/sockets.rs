//! Attacks by how bytes are sent and read.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use crate::attacker::Attacker;

/// Time between two drips.
const DRIP: Duration = Duration::from_millis(250);

/// So many connections, each of which is given something again and again until the end.
fn hold(attacker: &Attacker<'_>, number: usize, first: &[u8], drip: &[u8]) {
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..number {
        if attacker.ended() {
            break;
        }
        if let Ok(mut stream) = attacker.connect() {
            let _ = stream.set_nonblocking(true);
            let _ = stream.write_all(first);
            held.push(stream);
        }
    }
    while !attacker.ended() {
        std::thread::sleep(DRIP);
        if !drip.is_empty() {
            held.retain_mut(|stream| stream.write(drip).is_ok());
        }
    }
    attacker.count(1);
}

/// Heads that never end.
pub fn slow_headers(attacker: &mut Attacker<'_>) {
    hold(
        attacker,
        300,
        b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX-A",
        b"a",
    );
}

/// Bodies of a byte now and then.
pub fn slow_bodies(attacker: &mut Attacker<'_>) {
    let (path, content) = *attacker.random.pick(&[
        ("/exchange/submissions", "application/json"),
        ("/fhir", "application/fhir+json"),
        (
            "/fhir/Observation/_search",
            "application/x-www-form-urlencoded",
        ),
        ("/exchange/submissions", "application/json"),
    ]);
    let headers = [("Content-Type", content)];
    let head = attacker.head("POST", path, &headers, 1 << 20);
    hold(attacker, 300, format!("{head}{{").as_bytes(), b" ");
}

/// Readers of streamed answers who do not read.
pub fn stalled_readers(attacker: &mut Attacker<'_>) {
    let path = *attacker.random.pick(&[
        "/exchange/records",
        "/fhir/Observation?_count=1000",
        "/exchange/registries/participants",
        "/exchange/records?format=ndjson",
        "/fhir/Patient?_count=1000&_revinclude=Observation:subject",
    ]);
    let head = attacker.head("GET", path, &[], 0);
    hold(attacker, 40, head.as_bytes(), b"");
}

/// Posts that are left in the middle, one after the other.
pub fn aborted_posts(attacker: &mut Attacker<'_>) {
    let length = 1 << 20;
    let (path, content) = *attacker.random.pick(&[
        ("/exchange/submissions", "application/json"),
        ("/fhir", "application/fhir+json"),
        ("/fhir/$to-exchange", "application/fhir+json"),
    ]);
    let head = attacker.head("POST", path, &[("Content-Type", content)], length);
    for _ in 0..20 {
        if let Ok(mut stream) = attacker.connect() {
            let _ = stream.write_all(head.as_bytes());
            let sent = attacker.random.below(length / 2);
            let _ = stream.write_all(&vec![b' '; sent]);
            attacker.count(1);
        }
    }
}

/// Clients that close their half once they have asked: they are answered.
pub fn half_closed(attacker: &mut Attacker<'_>) {
    for path in [
        "/health/live",
        "/fhir/metadata",
        "/fhir/Observation?_count=10",
    ] {
        let head = attacker.head("GET", path, &[], 0);
        let status = attacker.exchange(&[head.as_bytes()], true);
        if status == 0 {
            attacker.fault(format!("a half-closed client is not answered: {path}"));
        }
    }
}

/// Idle connections beyond the limit of descriptors.
pub fn idle(attacker: &mut Attacker<'_>) {
    hold(attacker, 700, b"", b"");
}

/// Hundreds of requests over one connection, none of whose answers is waited for.
pub fn pipelining(attacker: &mut Attacker<'_>) {
    let address = attacker.target.address;
    let request = format!("GET /fhir/Observation?_count=100 HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let last = attacker.head("GET", "/health/live", &[], 0);
    attacker.exchange(&[request.repeat(200).as_bytes(), last.as_bytes()], false);
}

/// Hosts of others, and two of them.
pub fn hosts(attacker: &mut Attacker<'_>) {
    let address = attacker.target.address;
    let close = "Connection: close\r\n\r\n";
    let get = "GET /fhir/Patient HTTP/1.1\r\n";
    for (hosts, expected) in [
        (format!("Host: {address}\r\nHost: {address}\r\n"), 400),
        (format!("Host: {address}\r\nHost: evil.example\r\n"), 400),
        ("Host: evil.example\r\n".to_owned(), 421),
        ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 421),
    ] {
        let status = attacker.exchange(&[format!("{get}{hosts}{close}").as_bytes()], false);
        if status > 1 && status != expected {
            attacker.fault(format!(
                "{hosts:?} is answered by {status}, not by {expected}"
            ));
        }
    }
}

/// Headers and addresses without measure.
pub fn huge_heads(attacker: &mut Attacker<'_>) {
    let length = 1 << (10 + attacker.random.below(12));
    let long = "a".repeat(length);
    attacker.send("GET", "/fhir/Patient", &[("X-A", &long)], b"");
    attacker.get(&format!("/fhir/Patient?name={long}"));
    attacker.get(&format!("/{long}"));
    attacker.send(
        "GET",
        "/fhir/Patient",
        &vec![("X-A", "b"); length / 64],
        b"",
    );
}

/// Answers before the body was read: the next request is answered, or it was said that none is.
pub fn early_answers(attacker: &mut Attacker<'_>) {
    let address = attacker.target.address;
    let length = [10, 10_000, 1 << 20][attacker.random.below(3)];
    let (method, path, content) = *attacker.random.pick(&[
        ("POST", "/nothing", "application/json"),
        ("DELETE", "/fhir/metadata", "application/json"),
        ("POST", "/exchange/submissions", "text/plain"),
        ("POST", "/fhir/Observation", "image/png"),
    ]);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content}\r\nContent-Length: {length}\r\n\r\n"
    );
    let Ok(mut stream) = attacker.connect() else {
        return;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&vec![b' '; length]);
    let mut buffer = vec![0; 1 << 16];
    let n = stream.read(&mut buffer).unwrap_or(0);
    let first = String::from_utf8_lossy(&buffer[..n]).to_ascii_lowercase();
    if first.contains("connection: close") || attacker.ended() {
        return attacker.count(if first.is_empty() { 1 } else { 400 });
    }
    let again = attacker.head("GET", "/health/live", &[], 0);
    let _ = stream.write_all(again.as_bytes());
    let n = stream.read(&mut buffer).unwrap_or(0);
    match n > 0 && n < buffer.len() {
        true => attacker.count(200),
        false => attacker.fault(format!(
            "{method} {path} of {length} bytes: the connection ended without a word; first answer {:?}",
            first.lines().next()
        )),
    }
}

/// All connections that PostgreSQL has.
pub fn postgres_limit(attacker: &mut Attacker<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut held = Vec::new();
        while !attacker.ended() {
            match PgConnection::connect(attacker.target.database).await {
                Ok(connection) => held.push(connection),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
}
