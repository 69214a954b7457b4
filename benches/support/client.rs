//! A small HTTP client that stays connected: what it costs is not the server's.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(120);

/// One connection.
pub struct Client {
    address: String,
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> Client {
        Client::try_connect(address).expect("a connection")
    }

    /// The same, where the server may refuse.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn try_connect(address: &str) -> io::Result<Client> {
        Client::within(address, TIMEOUT)
    }

    /// The same, with the longest time that an answer is waited for.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn within(address: &str, timeout: Duration) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        Ok(Client {
            address: address.to_owned(),
            stream: BufReader::new(stream),
            body: Vec::new(),
        })
    }

    /// Sends a request; the status and the body of the answer.
    ///
    /// # Errors
    /// Those of the socket, an answer that is cut, and one that is no HTTP.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<(u16, &[u8])> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<(u16, &[u8])> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP/1.1");
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = status.and_then(|s| s.parse().ok()).ok_or_else(malformed)?;
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(|_| malformed())?;
            }
            chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        }
        self.body.clear();
        if !chunked {
            self.part(length)?;
            return Ok((status, &self.body));
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| malformed())?;
            self.part(length)?;
            line.clear();
            self.stream.read_line(&mut line)?;
            if length == 0 {
                return Ok((status, &self.body));
            }
        }
    }

    /// Appends so many bytes to the body.
    fn part(&mut self, length: usize) -> io::Result<()> {
        let from = self.body.len();
        self.body.resize(from + length, 0);
        self.stream.read_exact(&mut self.body[from..])
    }

    /// The body of the answer, which must be 200.
    pub fn get(&mut self, path: &str) -> &[u8] {
        let (status, body) = self.send("GET", path, &[], &[]).expect("an answer");
        assert_eq!(status, 200, "{path}");
        body
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
