//! However much is sent, memory stays small.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::history;
use crate::run::Place;

const MOST: u64 = 100 << 10;
const VALIDATE: [&str; 3] = ["validate", "--as", "exchange"];

/// Feeds a command and gives its peak resident memory in KiB, having checked that it refuses
/// something. The peak is asked for while the program waits for a second input, a pipe that
/// nobody has written to yet, so that it is neither too early nor too late.
fn peak(command: &[&str], feed: impl FnOnce(&mut dyn Write) + Send + 'static) -> u64 {
    let place = Place::new();
    let made = Command::new("mkfifo")
        .arg(place.path("wait"))
        .status()
        .unwrap();
    assert!(made.success());
    let mut child = place
        .command(&[command, &["-", "wait"]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || feed(&mut stdin));
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.starts_with("-:"), "{line}");
    // All of the first input has been read by now.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse().unwrap();
    // What it still has to tell must go somewhere before it comes to the second input.
    let rest = std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
    std::fs::write(place.path("wait"), "{}").unwrap();
    rest.join().unwrap().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    feeder.join().unwrap();
    peak
}

/// Writes `block` until it was written `times`, or nobody reads any more.
fn repeat(out: &mut dyn Write, block: &[u8], times: usize) {
    for _ in 0..times {
        if out.write_all(block).is_err() {
            return;
        }
    }
}

#[test]
fn garbage_is_refused_in_little_memory() {
    let block: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let peak = peak(&VALIDATE, move |out| repeat(out, &block, 200));
    assert!(peak < MOST, "{peak} KiB");
}

#[test]
fn nested_brackets_are_refused_in_little_memory() {
    let peak = peak(&VALIDATE, |out| repeat(out, &[b'['; 1 << 20], 16));
    assert!(peak < MOST, "{peak} KiB");
}

#[test]
fn a_string_without_end_is_refused_in_little_memory() {
    let peak = peak(&VALIDATE, |out| {
        repeat(out, b"{\"format_version\":\"", 1);
        repeat(out, &[b'x'; 1 << 20], 200);
        repeat(out, b"\"}", 1);
    });
    assert!(peak < MOST, "{peak} KiB");
}

#[test]
fn a_record_of_unknown_fields_is_refused_in_little_memory() {
    let peak = peak(&VALIDATE, |out| {
        let head = "{\"person_information\":[{\"person_id\":\"P1\",\"healthcare_information\":\
                    {\"weighing_scale\":[{\"x\":1";
        repeat(out, head.as_bytes(), 1);
        let block = ",\"y\":1".repeat(1 << 14);
        repeat(out, block.as_bytes(), 100);
        repeat(out, b"}]}}]}", 1);
    });
    assert!(peak < MOST, "{peak} KiB");
}

#[test]
fn a_whole_history_of_other_resources_is_read_in_little_memory() {
    let convert = ["convert", "--to", "exchange", "--outcome", "outcome.json"];
    let peak = peak(&convert, |out| {
        history::write(out, 50_000_000).unwrap();
    });
    assert!(peak < MOST, "{peak} KiB");
}
