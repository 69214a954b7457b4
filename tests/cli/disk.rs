//! A disk that is full, and has room again: the size of files is limited, as quotas do.

#![cfg(unix)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Ended, Place, first, repository};
use crate::serve::Running;

/// A command whose files may not grow beyond this.
fn limited(command: &Command, kibibytes: u32) -> Command {
    let mut shell = Command::new("/bin/sh");
    let script = format!("ulimit -S -f {}; exec \"$0\" \"$@\"", kibibytes * 2);
    shell
        .args(["-c", &script])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Takes the limit from a server that runs; whether there is a program for it.
fn unlimited(id: u32) -> bool {
    let id = id.to_string();
    let done = Command::new("prlimit")
        .args(["--pid", &id, "--fsize=unlimited:unlimited"])
        .status();
    done.is_ok_and(|status| status.success())
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A submission of other records than all others.
fn submission(number: u32) -> String {
    let text = std::fs::read_to_string(first()).unwrap();
    text.replace("WS0001234", &format!("W{number:08}"))
}

fn ready_within(running: &Running, wanted: u16) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = running.get("/health/ready");
        if status(&answer) == wanted || Instant::now() > until {
            assert_eq!(status(&answer), wanted, "{answer}");
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_full_disk_is_told_and_writing_goes_on_when_there_is_room() {
    let place = Place::new();
    place
        .run(&["import", &repository("examples/registries"), &first()])
        .exits(0);
    let mut command = limited(&Running::command(&place, &["--registry", "auto"]), 1024);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let running = Running::of(&mut command);
    ready_within(&running, 200);
    let json = "Content-Type: application/json\r\n";
    let post = |number: u32, headers: &str| {
        running.send(
            "POST",
            "/exchange/submissions",
            headers,
            &submission(number),
        )
    };
    let mut stored = 0;
    let full = (0..2000)
        .map(|number| post(number, json))
        .find(|answer| match status(answer) {
            201 => {
                stored += 1;
                false
            }
            _ => true,
        })
        .expect("the disk never got full");
    assert!(stored > 0);
    assert_eq!(status(&full), 507, "{full}");
    assert!(full.contains("Free space on it"), "{full}");
    let japanese = post(5000, &format!("{json}Accept-Language: ja\r\n"));
    assert!(japanese.contains("ディスクがいっぱい"), "{japanese}");
    // What is smaller may find room a little longer.
    let fhir = (0..500)
        .map(|number| {
            let device = format!(
                r#"{{"resourceType":"Device","manufacturer":"A","modelNumber":"X","serialNumber":"{number}"}}"#
            );
            let json = "Content-Type: application/fhir+json\r\n";
            running.send("POST", "/fhir/Device", json, &device)
        })
        .find(|answer| status(answer) != 201)
        .expect("the disk had room all the time");
    assert_eq!(status(&fhir), 507, "{fhir}");
    assert!(
        fhir.contains("OperationOutcome") && fhir.contains("no-store"),
        "{fhir}"
    );
    let unready = ready_within(&running, 503);
    assert!(
        unready.contains("disk of the database is full"),
        "{unready}"
    );
    // What reads goes on.
    let read = running.get("/exchange/submissions?count=1");
    assert_eq!(status(&read), 200, "{read}");
    if !unlimited(running.child.id()) {
        eprintln!("NO prlimit ON THIS MACHINE: WRITING AFTER A FULL DISK IS NOT TESTED");
        running.ends_by("-TERM");
        return;
    }
    ready_within(&running, 200);
    assert_eq!(status(&post(6000, json)), 201);
    running.ends_by("-TERM");
    let receipts = Running::start(&place, &[]);
    let listed = receipts.get("/exchange/submissions?count=1000");
    assert_eq!(listed.matches("\"received_at\"").count(), stored + 2);
    receipts.ends_by("-TERM");
}

#[test]
fn commands_tell_a_full_disk_and_what_to_do() {
    let place = Place::new();
    place
        .run(&["import", &repository("examples/registries"), &first()])
        .exits(0);
    let limited = |arguments: &[&str], language: &str| -> Ended {
        let mut command = limited(&place.command(arguments), 100);
        command.env("LANG", language);
        command.output().unwrap().into()
    };
    let synth = [
        "synth",
        "--participants",
        "20",
        "--days",
        "20",
        "-o",
        "cohort",
    ];
    place.run(&synth).exits(0);
    for (language, text) in [
        ("en", "free some on its disk"),
        ("ja_JP.UTF-8", "空きを増やして"),
    ] {
        limited(&["import", "cohort"], language).exits(3).says(text);
        limited(&["backup", "snapshot.db"], language)
            .exits(3)
            .says(text);
        assert!(!place.path("snapshot.db").exists());
    }
    let left: Vec<_> = std::fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".part") || name.contains("snapshot"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    place.run(&["import", "cohort"]).exits(0);
    place.run(&["backup", "snapshot.db"]).exits(0);
}
