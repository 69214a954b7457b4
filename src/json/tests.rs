use std::io::{self, Read};

use super::*;

/// Gives one byte at a time, so that every edge of a block is met.
struct Drip<'a>(&'a [u8]);
impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = usize::from(!self.0.is_empty() && !out.is_empty());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

fn events(source: impl Read) -> Result<Vec<(Event, String, u32, u32)>> {
    let mut reader = Reader::new(source);
    let mut out = Vec::new();
    loop {
        let event = reader.next()?;
        let text = match event {
            Event::Key | Event::String | Event::Number | Event::Bool => reader.text().to_owned(),
            _ => String::new(),
        };
        out.push((event, text, reader.place().line, reader.place().column));
        if event == Event::End {
            return Ok(out);
        }
    }
}

#[test]
fn columns_count_characters_and_lines_count_from_one() {
    let text = "\u{FEFF}{\"体重\": 65.50,\n \"a\\u0041\\ud83d\\ude00\": [true, null]}";
    let got = events(text.as_bytes()).unwrap();
    assert_eq!(got, events(Drip(text.as_bytes())).unwrap());
    assert_eq!(got[1], (Event::Key, "体重".into(), 1, 2));
    assert_eq!(got[2], (Event::Number, "65.50".into(), 1, 8));
    assert_eq!(got[3], (Event::Key, "aA😀".into(), 2, 2));
    assert_eq!((got[5].0, got[5].2, got[5].3), (Event::Bool, 2, 26));
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\"}",
        "{\"a\":1,}",
        "01",
        "1.",
        "-",
        "[1 2]",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\u{1}\"",
        "nul",
        "{} {}",
        "[1}",
        "+1",
        ".5",
        "\"a",
    ] {
        let err = events(text.as_bytes());
        assert!(
            matches!(err, Err(Error::Syntax { .. })),
            "{text:?} was accepted"
        );
        assert!(
            events(Drip(text.as_bytes())).is_err(),
            "{text:?} was accepted in drips"
        );
    }
    assert!(events(&b"\"\xff\""[..]).is_err());
    let Err(Error::Syntax { place, .. }) = events("{\n  \"a\" 1}".as_bytes()) else {
        panic!("accepted");
    };
    assert_eq!((place.line, place.column), (2, 7));
}

#[test]
fn nesting_is_bounded() {
    assert!(events("[".repeat(DEPTH_MAX + 1).as_bytes()).is_err());
    let fine = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
    assert!(events(fine.as_bytes()).is_ok());
}

#[test]
fn a_string_goes_out_as_it_came_in() {
    let text = "a\"b\\c\n\u{1f}体😀/";
    let mut out = Vec::new();
    string_into(&mut out, text);
    assert_eq!(events(&out[..]).unwrap()[0].1, text);
}

#[test]
fn documents_follow_one_another() {
    let mut reader = Reader::new("{\"a\":1}\n{\"b\":2}\n".as_bytes());
    let mut starts = 0;
    loop {
        match reader.next_document().unwrap() {
            Event::End => break,
            first => {
                starts += 1;
                reader.skip(first).unwrap();
            }
        }
    }
    assert_eq!(starts, 2);
}
