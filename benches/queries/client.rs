//! A small HTTP client that stays connected: what it costs is not the server's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// One connection.
pub struct Client {
    address: String,
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Client {
            address: address.to_owned(),
            stream: BufReader::new(stream),
            body: Vec::new(),
        }
    }

    /// The body of the answer, which must be 200.
    pub fn get(&mut self, path: &str) -> &[u8] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes()).expect("a request");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a status line");
        assert!(line.starts_with("HTTP/1.1 200"), "{path}: {line}");
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("a header");
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse::<usize>().ok();
            }
        }
        self.body.resize(length.expect("a length"), 0);
        self.stream.read_exact(&mut self.body).expect("a body");
        &self.body
    }

    /// The answer as JSON.
    pub fn json(&mut self, path: &str) -> Value {
        serde_json::from_slice(self.get(path)).expect("JSON")
    }
}

/// Asks for the paths in turn over so many connections; how many answers came.
pub fn load(address: &str, paths: &[String], connections: usize, time: Duration) -> u64 {
    let until = Instant::now() + time;
    let total = Mutex::new(0);
    std::thread::scope(|scope| {
        for start in 0..connections {
            let total = &total;
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let mut answers = 0;
                while Instant::now() < until {
                    let at = (start * 7919 + answers as usize) % paths.len();
                    client.get(&paths[at]);
                    answers += 1;
                }
                *total.lock().expect("no panic") += answers;
            });
        }
    });
    total.into_inner().expect("no panic")
}
