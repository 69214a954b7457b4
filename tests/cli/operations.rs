//! Operation of a server: metrics, logs and the settings file.

use std::process::Stdio;

use crate::run::{Place, first, repository};
use crate::serve::Running;

const PERSON: &str = "P0000000000000000001";

/// The value of a sample, by the beginning of its line.
fn sample(metrics: &str, start: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(start))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn registered(place: &Place) {
    let lists = repository("examples/registries");
    place.run(&["import", &lists, &first()]).exits(0);
}

#[cfg(unix)]
#[test]
fn metrics_tell_requests_by_route_store_operations_and_records_and_nothing_personal() {
    let place = Place::new();
    registered(&place);
    let running = Running::start(&place, &[]);
    let json = "Content-Type: application/json\r\n";
    let again = std::fs::read_to_string(first()).unwrap();
    for _ in 0..3 {
        running.get(&format!("/fhir/Patient?identifier={PERSON}"));
    }
    running.get(&format!("/fhir/Patient/{PERSON}"));
    running.send("POST", "/exchange/submissions", json, &again);
    running.send("BREW", &format!("/{PERSON}/{PERSON}"), "", "");
    let metrics = running.get("/metrics");
    for (start, at_least) in [
        (
            "kenko_http_requests_total{method=\"GET\",route=\"/fhir/Patient\",status=\"200\"}",
            3.0,
        ),
        (
            "kenko_http_requests_total{method=\"GET\",route=\"/fhir/Patient/{id}\",status=\"404\"}",
            1.0,
        ),
        (
            "kenko_http_requests_total{method=\"other\",route=\"none\"",
            1.0,
        ),
        (
            "kenko_http_request_duration_seconds_bucket{method=\"GET\",route=\"/fhir/Patient\",le=\"60\"}",
            3.0,
        ),
        (
            "kenko_store_statement_duration_seconds_count{use=\"read\"}",
            3.0,
        ),
        (
            "kenko_store_statement_duration_seconds_count{use=\"write\"}",
            3.0,
        ),
        ("kenko_store_commit_duration_seconds_count", 1.0),
        ("kenko_store_write_lock_wait_seconds_count", 1.0),
        (
            "kenko_records_total{way=\"exchange\",outcome=\"unchanged\"}",
            5.0,
        ),
        ("kenko_store_wal_bytes", 0.0),
        ("kenko_http_bodies_open", 0.0),
        ("process_resident_memory_bytes", 1_000_000.0),
        ("process_open_fds", 3.0),
    ] {
        let value = sample(&metrics, start);
        assert!(value >= Some(at_least), "{start}: {value:?} in {metrics}");
    }
    assert!(!metrics.contains(PERSON), "{metrics}");
    running.ends_by("-TERM");
}

#[cfg(unix)]
#[test]
fn a_log_in_json_names_request_and_route_in_every_line_of_a_request() {
    let place = Place::new();
    let log = std::fs::File::create(place.path("log")).unwrap();
    let mut command = Running::command(&place, &["--log-format", "json"]);
    command
        .env("RUST_LOG", "kenko_fhir=trace")
        .stdout(Stdio::piped())
        .stderr(log);
    let running = Running::of(&mut command);
    running.send(
        "GET",
        "/fhir/Patient?identifier=x",
        "X-Request-Id: abc-1\r\n",
        "",
    );
    running.ends_by("-TERM");
    let log = place.read("log");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_request = lines.iter().filter(|line| line["span"]["id"] == "abc-1");
    let messages: Vec<&str> = of_request
        .inspect(|line| assert_eq!(line["span"]["route"], "/fhir/Patient"))
        .filter_map(|line| line["fields"]["message"].as_str())
        .collect();
    assert!(messages.contains(&"statement"), "the store's own: {log}");
    assert!(messages.contains(&"answered"), "{log}");
}

#[test]
fn the_printed_settings_are_the_defaults_and_are_taken_back() {
    let place = Place::new();
    let printed = place.run(&["serve", "--print-config"]).exits(0).out;
    let help = place.run(&["serve", "--help"]).exits(0).out;
    let keys: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| !key.contains(' '))
        .collect();
    for option in help.lines().filter_map(|l| {
        l.trim_start()
            .strip_prefix("--")
            .or_else(|| l.split(", --").nth(1))
    }) {
        let name = option.split([' ', '=', '\n']).next().unwrap();
        if !matches!(name, "config" | "help" | "version" | "print-config") {
            assert!(keys.contains(&name), "--{name} is not in {printed}");
        }
    }
    // With every default written out, nothing changes.
    let mut file = String::new();
    let mut without = false;
    for line in printed.lines() {
        let key = line
            .strip_prefix("# ")
            .filter(|l| keys.iter().any(|k| l.starts_with(&format!("{k} = "))));
        match key {
            Some(entry) if !without => file.push_str(&format!("{entry}\n")),
            _ => {}
        }
        without = line == "# (none by default)";
    }
    assert!(file.contains("listen = \"127.0.0.1:8080\""), "{file}");
    place.write("kenko.toml", &file);
    let again = place.run(&["--config", "kenko.toml", "serve", "--print-config"]);
    assert_eq!(again.exits(0).out, printed);
}
