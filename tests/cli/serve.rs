//! `serve`, and `openapi`: the program as a service manager runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::run::{Place, first, repository};

pub struct Running {
    pub child: Child,
    address: String,
}

impl Running {
    pub fn start(place: &Place, arguments: &[&str]) -> Running {
        Running::of(&mut Running::command(place, arguments))
    }

    pub fn command(place: &Place, arguments: &[&str]) -> Command {
        let mut command =
            place.command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    pub fn of(command: &mut Command) -> Running {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Running { child, address }
    }

    pub fn get(&self, path: &str) -> String {
        self.send("GET", path, "", "")
    }

    /// Sends a request with these headers, each with its line end.
    pub fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[track_caller]
    pub fn ends_by(mut self, signal: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(kill.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails, or asks for no signal, leaves no server behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn it_answers_once_it_says_so_and_ends_by_a_signal() {
    let place = Place::new();
    for signal in ["-TERM", "-INT"] {
        let running = Running::start(&place, &[]);
        assert!(
            running
                .get("/health/ready")
                .starts_with("HTTP/1.1 200 OK\r\n")
        );
        running.ends_by(signal);
    }
    assert!(place.path("kenko.db").exists());
}

#[cfg(unix)]
#[test]
fn the_demo_fills_an_empty_database_once() {
    let place = Place::new();
    let running = Running::start(&place, &["--demo"]);
    let receipts = running.get("/exchange/submissions?count=1000");
    assert!(!receipts.contains("\"outcome\":\"refused\""));
    let count = |text: &str| text.matches("\"received_at\"").count();
    let first = count(&receipts);
    assert!(first > 0);
    running.ends_by("-TERM");
    let running = Running::start(&place, &["--demo"]);
    assert_eq!(
        count(&running.get("/exchange/submissions?count=1000")),
        first
    );
    running.ends_by("-TERM");
}

#[test]
fn a_port_in_use_is_a_failure_of_the_system() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place
        .run(&["serve", "--listen", &address])
        .exits(3)
        .says(&address);
    place
        .run(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            "mysql://x",
        ])
        .exits(2)
        .says("mysql://x");
}

#[test]
fn openapi_prints_the_document_with_the_kinds_of_mappings() {
    let place = Place::new();
    let plain = place.run(&["openapi"]).exits(0).out;
    let committed = repository("openapi/openapi.json");
    assert_eq!(plain, std::fs::read_to_string(committed).unwrap());
    let optional = repository("mappings/optional");
    let more = place
        .run(&["openapi", "--mappings", &optional])
        .exits(0)
        .out;
    assert!(more.contains("\"Submission.blood_glucose\""));
}

#[cfg(unix)]
#[test]
fn a3_10_sec_03_nothing_personal_is_in_the_log() {
    let place = Place::new();
    let log = std::fs::File::create(place.path("log")).unwrap();
    let mut command = Running::command(&place, &["--registry", "auto"]);
    command.env("RUST_LOG", "trace").stderr(log);
    let running = Running::of(&mut command);

    const TOKEN: &str = "eyJhbGciOiJFUzM4NCJ9";
    const PERSON: &str = "P0000000000000000001";
    let headers = format!(
        "Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nIf-None-Exist: \
         identifier={PERSON}\r\n"
    );
    let submission = std::fs::read_to_string(first()).unwrap();
    let faulty = submission.replace("\"body_weight\":65.50", "\"body_weight\":65.505");
    for (method, path, body) in [
        ("POST", "/exchange/submissions", submission.as_str()),
        ("POST", "/exchange/submissions", &faulty),
        ("POST", "/exchange/submissions", &submission[..500]),
        ("POST", "/fhir/Observation", &submission),
        ("POST", "/fhir/$to-fhir", &submission),
        ("GET", &format!("/fhir/Patient?identifier={PERSON}"), ""),
        ("GET", &format!("/fhir/Patient/{PERSON}"), ""),
        (
            "GET",
            &format!("/fhir/Observation?value-quantity=65.50&patient.identifier={PERSON}"),
            "",
        ),
        (
            "GET",
            &format!("/exchange/records?consortium_id=A00001&person_id={PERSON}"),
            "",
        ),
        ("GET", &format!("/nowhere/{PERSON}"), ""),
    ] {
        let answer = running.send(method, path, &headers, body);
        assert!(answer.starts_with("HTTP/1.1 "), "{method} {path}: {answer}");
    }
    running.ends_by("-TERM");

    let log = place.read("log");
    assert!(log.contains("answered"), "requests are logged: {log}");
    for secret in [
        TOKEN,
        PERSON,
        "P0000000000000000002",
        "65.50",
        "WS0001234",
        "20160901073015",
        "左上腕",
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[cfg(unix)]
#[test]
fn whatever_hangs_a_signal_ends_it_in_time() {
    let place = Place::new();
    let running = Running::start(&place, &["--shutdown-timeout", "4s"]);
    // A sender who stalls, and a write that waits for another process.
    let mut stalled = TcpStream::connect(&running.address).unwrap();
    let head =
        "POST /exchange/submissions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    write!(stalled, "{head}\r\nContent-Length: 1000\r\n\r\n{{").unwrap();
    let other = rusqlite::Connection::open(place.path("kenko.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = TcpStream::connect(&running.address).unwrap();
    let body = std::fs::read_to_string(repository("examples/first.json")).unwrap();
    let length = body.len();
    write!(waiting, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let begun = std::time::Instant::now();
    running.ends_by("-TERM");
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_secs(15), "{took:?}");
}

#[test]
fn only_loopback_names_are_answered_over_a_socket_and_each_is_named_once() {
    let place = Place::new();
    let running = Running::start(&place, &["--base-url", "https://kenko.example/api"]);
    let status = |target: &str, head: &str| {
        let mut stream = TcpStream::connect(&running.address).unwrap();
        write!(
            stream,
            "GET {target} HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let address = &running.address;
    let own = format!("Host: {address}\r\n");
    for (head, expected) in [
        (own.as_str(), "200"),
        ("Host: localhost\r\n", "200"),
        ("Host: kenko.example\r\n", "200"),
        ("Host: evil.example\r\n", "421"),
        ("Host: localhost\r\nHost: localhost\r\n", "400"),
        ("Host: localhost\r\nhost: evil.example\r\n", "400"),
        ("", "400"),
    ] {
        assert_eq!(status("/health/live", head), expected, "{head:?}");
    }
    // The target of a request beats its header.
    let target = "http://evil.example/health/live";
    assert_eq!(status(target, "Host: localhost\r\n"), "421");
}

#[cfg(unix)]
#[test]
fn idle_connections_leave_descriptors_to_others_and_to_the_database() {
    let place = Place::new();
    let program = Running::command(&place, &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 192 && exec \"$@\"", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    command.current_dir(program.get_current_dir().unwrap());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let running = Running::of(&mut command);
    let connect = || TcpStream::connect(&running.address).unwrap();
    let idle: Vec<TcpStream> = (0..400).map(|_| connect()).collect();
    for path in ["/health/ready", "/fhir/Observation?code=29463-7"] {
        let answer = running.get(path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    drop(idle);
    running.ends_by("-TERM");
}
