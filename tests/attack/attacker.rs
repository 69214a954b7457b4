//! Parts of attacks: requests as bytes, and their outcomes.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::random::Random;

/// How long what is in flight at the end of an attack is waited for.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of an answer that are kept.
const KEPT: usize = 1 << 16;

/// The target of an attack, and its results.
pub struct Target<'a> {
    /// `host:port`
    pub address: &'a str,
    /// Its database.
    pub database: &'a str,
    /// Logical ids of patients.
    pub patients: &'a [String],
    /// Logical ids of Observations.
    pub observations: &'a [String],
    /// End of the attack.
    pub end: Instant,
    /// Time within which each request is answered or cut.
    pub bound: Duration,
    /// Results.
    pub tally: Mutex<Tally>,
}

/// Results of the requests of an attack.
#[derive(Default)]
pub struct Tally {
    /// Answers by status; 0 stands for what was cut, 1 for what the attacker left.
    pub statuses: BTreeMap<u16, u32>,
    /// Faults of the server.
    pub faults: BTreeMap<String, u32>,
}

/// One client of an attack.
pub struct Attacker<'a> {
    /// Target of the attack.
    pub target: &'a Target<'a>,
    /// Its own random numbers.
    pub random: Random,
}

impl Attacker<'_> {
    /// Whether the attack is over.
    pub fn ended(&self) -> bool {
        Instant::now() >= self.target.end
    }

    /// Notes a fault of the server.
    pub fn fault(&self, text: String) {
        let mut tally = self.target.tally.lock().expect("no panic");
        *tally.faults.entry(text).or_default() += 1;
    }

    /// Notes a status.
    pub fn count(&self, status: u16) {
        let mut tally = self.target.tally.lock().expect("no panic");
        *tally.statuses.entry(status).or_default() += 1;
    }

    /// A connection.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.target.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }

    /// GET.
    pub fn get(&self, path: &str) -> u16 {
        self.send("GET", path, &[], b"")
    }

    /// Sends a request over a connection of its own; the status of the answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let head = self.head(method, path, headers, body.len());
        self.exchange(&[head.as_bytes(), body], false)
    }

    /// The head of a request.
    pub fn head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> String {
        let address = self.target.address;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if length > 0 {
            head += &format!("Content-Length: {length}\r\n");
        }
        head + "\r\n"
    }

    /// Sends bytes and reads the answer to its end; 0 where it was cut before a status.
    pub fn exchange(&self, parts: &[&[u8]], half_close: bool) -> u16 {
        let status = match self.connect() {
            Ok(mut stream) => {
                // An early answer may close what is being written.
                let _ = parts.iter().try_for_each(|part| stream.write_all(part));
                if half_close {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                self.answer(&mut stream)
            }
            Err(_) => 0,
        };
        self.count(status);
        status
    }

    /// Reads an answer until the connection ends.
    pub fn answer(&self, stream: &mut TcpStream) -> u16 {
        let began = Instant::now();
        let (mut kept, mut buffer) = (Vec::new(), [0; 1 << 14]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) if kept.len() < KEPT => kept.extend_from_slice(&buffer[..n]),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(_) => break,
            }
            if began.elapsed() > self.target.bound {
                self.fault(format!(
                    "no end of an answer within {:?}",
                    self.target.bound
                ));
                return 1;
            }
            if Instant::now() > self.target.end + GRACE {
                return 1;
            }
        }
        let text = String::from_utf8_lossy(&kept);
        let status = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or(0);
        if status >= 500 && ![503, 507].contains(&status) {
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let body: String = body.chars().take(300).collect();
            self.fault(format!("{status}: {body}"));
        }
        status
    }
}
