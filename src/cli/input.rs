//! Inputs of the converters: files and stdin, compressed or not, of either side.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Failure;
use crate::config::Side;
use crate::fault::{Code, Fault, Place};
use crate::json::{self, Event, Reader};

/// How far [`Input::side`] looks.
const LOOK_MAX: u64 = 1 << 20;

/// One input, decompressed where it is gzip.
pub struct Input<'a> {
    /// The name in messages.
    pub name: String,
    /// The content.
    pub content: Box<dyn Read + 'a>,
}

impl<'a> Input<'a> {
    /// Opens a file; `-` is stdin.
    ///
    /// # Errors
    /// When it is not there, is a folder, or cannot be read.
    pub fn open(path: &Path) -> Result<Input<'static>, Failure> {
        if path.as_os_str() == "-" {
            return Input::new("-".into(), io::stdin().lock())
                .map_err(|e| Failure::system(format!("stdin: {e}")));
        }
        if path.is_dir() {
            return Err(Failure::path(path, &io::ErrorKind::IsADirectory.into()));
        }
        let name = path.display().to_string();
        File::open(path)
            .and_then(|file| Input::new(name, file))
            .map_err(|e| Failure::path(path, &e))
    }

    /// An input that is decompressed where it begins as gzip does.
    pub fn new(name: String, content: impl Read + 'a) -> io::Result<Input<'a>> {
        Ok(Input {
            name,
            content: decompressed(content)?,
        })
    }

    /// Which side the input is of, without reading it all: the first member that only one
    /// side has tells. What is neither counts as the protocol, whose reader says why not.
    ///
    /// # Errors
    /// When the source fails.
    pub fn side(&mut self) -> Result<Side, json::Error> {
        let mut seen = Vec::new();
        let tee = Tee {
            source: &mut self.content,
            seen: &mut seen,
        };
        let side = side(tee.take(LOOK_MAX));
        let rest = std::mem::replace(&mut self.content, Box::new(io::empty()));
        self.content = Box::new(Cursor::new(seen).chain(rest));
        match side {
            Ok(side) => Ok(side),
            Err(json::Error::Syntax { .. }) => Ok(Side::Exchange),
            // A broken gzip stream fails again, and is told, where it is read.
            Err(json::Error::Io(e)) if is_broken(&e) => Ok(Side::Exchange),
            Err(error) => Err(error),
        }
    }
}

/// A content, decompressed where it begins as gzip does.
pub fn decompressed<'a>(mut content: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut begin = Vec::with_capacity(2);
    content.by_ref().take(2).read_to_end(&mut begin)?;
    let gzip = begin == [0x1F, 0x8B];
    let whole = Cursor::new(begin).chain(content);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

fn side(source: impl Read) -> json::Result<Side> {
    let mut json = Reader::new(source);
    if json.next()? != Event::ObjectStart {
        return Ok(Side::Exchange);
    }
    while json.next()? == Event::Key {
        match json.text() {
            // A Bundle with sorted members has its entries before its type.
            "resourceType" | "entry" => return Ok(Side::Fhir),
            "format_version" | "send_time" | "consortium_id" | "person_information" => {
                return Ok(Side::Exchange);
            }
            _ => {
                let event = json.next()?;
                json.skip(event)?;
            }
        }
    }
    Ok(Side::Exchange)
}

/// Keeps what is read through it.
struct Tee<'a, R> {
    source: &'a mut R,
    seen: &'a mut Vec<u8>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buf)?;
        self.seen.extend_from_slice(&buf[..n]);
        Ok(n)
    }
}

/// Whether an error of reading is one of a broken gzip stream, so of the content.
pub fn is_broken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

/// The `json` fault of an input that cannot be read on.
///
/// # Errors
/// When it is not the content but the system that failed.
pub fn broken(name: &str, at: Place, error: json::Error) -> Result<Fault, Failure> {
    match error {
        json::Error::Syntax { place, reason } => Ok(Fault::syntax("", place, reason)),
        json::Error::Io(e) if is_broken(&e) => {
            Ok(Fault::new(Code::Json, "", at).expected("a whole gzip stream"))
        }
        json::Error::Io(e) => Err(Failure::system(format!("{name}: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side_of(text: &str) -> Side {
        let content = Cursor::new(text.as_bytes().to_vec());
        let mut input = Input::new("x".into(), content).unwrap();
        let side = input.side().unwrap();
        let mut whole = String::new();
        input.content.read_to_string(&mut whole).unwrap();
        assert_eq!(whole, text, "nothing is lost by looking");
        side
    }

    #[test]
    fn the_side_is_told_from_the_members() {
        assert_eq!(side_of(r#"{"resourceType":"Bundle"}"#), Side::Fhir);
        assert_eq!(
            side_of(r#"{"id":"x","meta":{},"resourceType":"Patient"}"#),
            Side::Fhir
        );
        assert_eq!(
            side_of(r#"{"entry":[{}],"resourceType":"Bundle"}"#),
            Side::Fhir
        );
        assert_eq!(side_of(r#"{"person_information":[]}"#), Side::Exchange);
        assert_eq!(
            side_of(r#"{"x":{"resourceType":1},"send_time":""}"#),
            Side::Exchange
        );
        for neither in ["", "[]", "{", "null", "{\"a\":1}", "\"a"] {
            assert_eq!(side_of(neither), Side::Exchange, "{neither}");
        }
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes() {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"{\"entry\":[]}").unwrap();
        let content = Cursor::new(gzip.finish().unwrap());
        let mut input = Input::new("x".into(), content).unwrap();
        assert_eq!(input.side().unwrap(), Side::Fhir);
    }
}
