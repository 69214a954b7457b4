//! `kill -9` at any moment: every acknowledged submission is whole, every other one whole or
//! absent. `KENKO_CRASH_RUNS=1000 cargo test --test crash` makes the long run.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kenko_fhir::kind::Kinds;
use kenko_fhir::store::{Access, ReceiptQuery, RecordQuery, Store};

/// Records of each submission, and every third of them is sent again with other values.
const RECORDS: usize = 40;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kenko-fhir"))
            .args(["serve", "--listen", "127.0.0.1:0", "--registry", "auto"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .unwrap()
            .to_owned();
        Server { child, address }
    }
}

/// Sends a body and gives the status; `None` where the server went away.
fn post(address: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let head = format!(
        "POST /exchange/submissions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// The submission with this number: its records are told by their serial.
fn submission(number: u32) -> String {
    let records: Vec<String> = (0..RECORDS)
        .map(|i| {
            format!(
                r#"{{"observation_time":"201609{:02}{:02}0000","body_weight":{}.5,"model_manufacturer_code":"ACME","model_number":"WS-100","production_specification_serial":"S{number}","data_input_code":"0","origin_of_time_code":"1","update_time":"20161001000000000"}}"#,
                i / 20 + 1,
                i % 20,
                50 + i
            )
        })
        .collect();
    format!(
        r#"{{"format_version":"1.0","send_time":"20161005120005123","consortium_id":"A00001","person_information":[{{"person_id":"P{}","healthcare_information":{{"weighing_scale":[{}]}}}}]}}"#,
        number % 7,
        records.join(",")
    )
}

#[test]
fn kill_dash_nine_loses_nothing_that_was_acknowledged() {
    let runs: u32 = std::env::var("KENKO_CRASH_RUNS").map_or(30, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let next = Arc::new(AtomicU32::new(0));
    let acknowledged: Arc<Mutex<Vec<u32>>> = Arc::default();
    let mut seed = 88_172_645_463_325_252_u64;
    for run in 0..runs {
        let mut server = Server::start(folder.path());
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let (next, acknowledged) = (next.clone(), acknowledged.clone());
                let address = server.address.clone();
                std::thread::spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        match post(&address, &submission(number)) {
                            Some(201) => acknowledged.lock().unwrap().push(number),
                            Some(other) => panic!("submission {number}: {other}"),
                            None => return,
                        }
                    }
                })
            })
            .collect();
        // From the first acknowledgement on, somewhere in the next quarter of a second.
        let kept = || acknowledged.lock().unwrap().len();
        let (before, begun) = (kept(), Instant::now());
        while kept() == before {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nothing is acknowledged"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(Duration::from_millis(seed % 250));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        senders.into_iter().for_each(|s| s.join().unwrap());
        if run % 10 == 9 || run + 1 == runs {
            check(folder.path(), &acknowledged.lock().unwrap());
        }
    }
}

/// Opens the database as the next start would and counts what every submission left.
fn check(folder: &Path, acknowledged: &[u32]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite://{}", folder.join("kenko.db").display());
        let kinds = Arc::new(Kinds::embedded().unwrap());
        let store = Store::open(&url, kinds).await.unwrap();
        let access = Access::operator();
        let mut query = RecordQuery {
            limit: 5000,
            ..RecordQuery::default()
        };
        let mut by_serial: HashMap<String, usize> = HashMap::new();
        loop {
            let page = store.search(&access, &query).await.unwrap();
            for row in &page.records.rows {
                *by_serial
                    .entry(page.records.record(row).source().to_owned())
                    .or_default() += 1;
            }
            query.from = page.next;
            if query.from.is_none() {
                break;
            }
        }
        for (serial, count) in &by_serial {
            assert_eq!(*count, RECORDS, "{serial} is stored by half");
        }
        for number in acknowledged {
            let there = by_serial.contains_key(&format!("S{number}"));
            assert!(there, "submission {number} was acknowledged and is gone");
        }
        let all = ReceiptQuery {
            limit: 1_000_000,
            ..ReceiptQuery::default()
        };
        let receipts = store.receipts(&access, &all).await.unwrap();
        assert_eq!(
            receipts.len(),
            by_serial.len(),
            "a receipt for each that is stored"
        );
        store.close().await;
    });
}
