//! Faults as lines: `FILE:LINE:COLUMN: POINTER: message`, and as a report.
//!
//! Equal faults (the same code at the same pointer but for its indices) are listed a few times and
//! counted beyond, so that the one fault of another kind is seen among 100 000. A report file has
//! every fault, whatever the terminal shows.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::output::{Privacy, Sink};
use super::{Failure, language, localized};
use crate::config::Reporting;
use crate::fault::{Code, Fault, Lang, Severity};
use crate::json;
use crate::registry::write::csv_cell;

/// Equal faults that are listed where not all are asked for.
const LISTED: u64 = 10;
/// Groups of faults that are told apart at most.
const GROUPS_MAX: usize = 1000;

/// Writes faults to stderr, one a line, in the language of the terminal.
pub struct Reporter {
    lang: Lang,
    out: BufWriter<io::Stderr>,
    refused: bool,
    groups: Groups,
    report: Option<Report>,
}

impl Reporter {
    /// A reporter that has told nothing yet.
    ///
    /// # Errors
    /// When the report file cannot be written.
    pub fn new(reporting: &Reporting) -> Result<Reporter, Failure> {
        let report = reporting.report.as_deref().map(Report::new).transpose()?;
        Ok(Reporter {
            lang: language(),
            out: BufWriter::new(io::stderr()),
            refused: false,
            groups: Groups::new(reporting.all),
            report,
        })
    }

    /// Whether anything that was told refuses something.
    pub fn refused(&self) -> bool {
        self.refused
    }

    /// Tells all faults of a file in the order of their places, each once: a fault of a
    /// person stands with every record of theirs. Of `unlisted` ones only the number is told.
    ///
    /// # Errors
    /// When stderr takes no more, or the report cannot be written.
    pub fn all<'a>(
        &mut self,
        file: &str,
        faults: impl IntoIterator<Item = &'a Fault>,
        unlisted: u64,
    ) -> Result<(), Failure> {
        let mut sorted: Vec<&Fault> = faults.into_iter().collect();
        sorted.sort_by(|a, b| {
            let key = |f: &'a Fault| (f.line, f.column, f.code, f.pointer.as_str());
            key(a).cmp(&key(b))
        });
        sorted.dedup();
        for fault in sorted {
            self.refused |= fault.is_error();
            let message = fault.message(self.lang);
            if self.groups.is_listed(fault.code, &fault.pointer) {
                let line = line_of(file, fault, &message);
                writeln!(self.out, "{line}").map_err(|e| Failure::stream(&e))?;
            }
            if let Some(report) = &mut self.report {
                report.write(&Entry::of(file, fault, &message))?;
            }
        }
        if unlisted > 0 {
            self.refused = true;
            let more = localized!(
                "{file}: {unlisted} more faults",
                "{file}: ほかに {unlisted} 件の不備があります"
            );
            writeln!(self.out, "{more}").map_err(|e| Failure::stream(&e))?;
        }
        self.out.flush().map_err(|e| Failure::stream(&e))
    }

    /// Tells what is wrong with a file as a whole. An error counts as a refusal.
    ///
    /// # Errors
    /// When stderr takes no more, or the report cannot be written.
    pub fn file(&mut self, file: &str, severity: Severity, message: &str) -> Result<(), Failure> {
        self.refused |= severity == Severity::Error;
        let word = word(severity);
        writeln!(self.out, "{file}: {word}{message}")
            .and_then(|()| self.out.flush())
            .map_err(|e| Failure::stream(&e))?;
        match &mut self.report {
            Some(report) => report.write(&Entry {
                file,
                severity: severity.as_str(),
                message,
                ..Entry::default()
            }),
            None => Ok(()),
        }
    }

    /// Tells how many faults of each kind were not listed, and makes the report visible.
    ///
    /// # Errors
    /// When stderr takes no more, or the report cannot be written.
    pub fn finish(&mut self) -> Result<(), Failure> {
        for line in self.groups.take_unlisted() {
            writeln!(self.out, "{line}").map_err(|e| Failure::stream(&e))?;
        }
        self.out.flush().map_err(|e| Failure::stream(&e))?;
        match self.report.take() {
            Some(report) => report.finish(),
            None => Ok(()),
        }
    }
}

/// Numbers of equal faults: of the same code, at the same pointer but for its indices.
pub(super) struct Groups {
    all: bool,
    counts: HashMap<(Code, String), u64>,
}

impl Groups {
    /// No faults yet; of equal ones a few are listed, or all.
    pub fn new(all: bool) -> Groups {
        Groups {
            all,
            counts: HashMap::new(),
        }
    }

    /// Counts a fault; whether it is among those that are listed.
    pub fn is_listed(&mut self, code: Code, pointer: &str) -> bool {
        if self.all {
            return true;
        }
        let mut key = (code, shape(pointer));
        if self.counts.len() >= GROUPS_MAX && !self.counts.contains_key(&key) {
            key.1 = "*".to_owned();
        }
        let count = self.counts.entry(key).or_insert(0);
        *count += 1;
        *count <= LISTED
    }

    /// Lines that tell how many faults of each kind were not listed, the most first.
    pub fn take_unlisted(&mut self) -> Vec<String> {
        let counts = std::mem::take(&mut self.counts).into_iter();
        let mut more: Vec<((Code, String), u64)> = counts
            .filter(|(_, count)| *count > LISTED)
            .map(|(key, count)| (key, count - LISTED))
            .collect();
        more.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        let line = |((code, shape), count): ((Code, String), u64)| {
            localized!(
                "... {shape}: {code}: {count} more of these; --all lists each",
                "... {shape}: {code}: 同じ不備がほかに {count} 件あります（--all ですべて表示します）"
            )
        };
        more.into_iter().map(line).collect()
    }
}

/// A JSON pointer or FHIRPath expression with `*` for each index.
fn shape(pointer: &str) -> String {
    let is_index = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if pointer.starts_with('/') {
        let steps = pointer.split('/');
        let steps = steps.map(|step| if is_index(step) { "*" } else { step });
        return steps.collect::<Vec<_>>().join("/");
    }
    let mut parts = pointer.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('[');
        match part.split_once(']') {
            Some((index, rest)) if is_index(index) => {
                out.push_str("*]");
                out.push_str(rest);
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// One row of a report; numbers are 0 where the fault is about a whole file.
#[derive(Default)]
struct Entry<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    pointer: &'a str,
    severity: &'a str,
    code: &'a str,
    expected: &'a str,
    found: &'a str,
    message: &'a str,
}

impl<'a> Entry<'a> {
    fn of(file: &'a str, fault: &'a Fault, message: &'a str) -> Entry<'a> {
        Entry {
            file,
            line: fault.line,
            column: fault.column,
            pointer: &fault.pointer,
            severity: fault.severity.as_str(),
            code: fault.code.as_str(),
            expected: &fault.expected,
            found: &fault.found,
            message,
        }
    }

    fn numbers(&self) -> [(&'static str, u32); 2] {
        [("line", self.line), ("column", self.column)]
    }

    fn texts(&self) -> [(&'static str, &'a str); 7] {
        [
            ("file", self.file),
            ("pointer", self.pointer),
            ("severity", self.severity),
            ("code", self.code),
            ("expected", self.expected),
            ("found", self.found),
            ("message", self.message),
        ]
    }
}

/// All faults in a file, as CSV or as a JSON array with a fault a line.
struct Report {
    sink: Sink,
    csv: bool,
    first: bool,
    buf: Vec<u8>,
}

impl Report {
    fn new(path: &Path) -> Result<Report, Failure> {
        let is = |end| {
            path.extension()
                .is_some_and(|e| e.eq_ignore_ascii_case(end))
        };
        if !is("csv") && !is("json") {
            let path = path.display();
            return Err(Failure::usage(localized!(
                "--report {path}: name a file that ends in .csv or .json",
                "--report {path}: .csv または .json で終わるファイル名を指定してください"
            )));
        }
        Ok(Report {
            sink: Sink::file(path, Privacy::Personal)?,
            csv: is("csv"),
            first: true,
            buf: Vec::new(),
        })
    }

    fn begin(&mut self) {
        if std::mem::take(&mut self.first) && self.csv {
            // Spreadsheets take a file with this mark for UTF-8.
            self.buf.extend_from_slice("\u{feff}".as_bytes());
            let entry = Entry::default();
            let numbers = entry.numbers().map(|(name, _)| name);
            let names = entry.texts().map(|(name, _)| name);
            let names = [&names[..], &numbers[..]].concat().join(",");
            self.buf.extend_from_slice(names.as_bytes());
            self.buf.extend_from_slice(b"\r\n");
        } else if !self.csv {
            self.buf.extend_from_slice(b"[\n");
        }
    }

    fn write(&mut self, entry: &Entry<'_>) -> Result<(), Failure> {
        self.buf.clear();
        if self.first {
            self.begin();
        } else if !self.csv {
            self.buf.extend_from_slice(b",\n");
        }
        if self.csv {
            for (_, text) in entry.texts() {
                csv_cell(text, &mut self.buf);
                self.buf.push(b',');
            }
            let [(_, line), (_, column)] = entry.numbers();
            self.buf
                .extend_from_slice(format!("{line},{column}\r\n").as_bytes());
        } else {
            self.buf.push(b'{');
            for (name, text) in entry.texts() {
                json::string_into(&mut self.buf, name);
                self.buf.push(b':');
                json::string_into(&mut self.buf, text);
                self.buf.push(b',');
            }
            let [(_, line), (_, column)] = entry.numbers();
            let numbers = format!("\"line\":{line},\"column\":{column}}}");
            self.buf.extend_from_slice(numbers.as_bytes());
        }
        let written = self.sink.write_all(&self.buf);
        written.map_err(|e| self.sink.failure(&e))
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.buf.clear();
        if self.first {
            self.begin();
        }
        if !self.csv {
            self.buf.extend_from_slice(b"\n]\n");
        }
        let written = self.sink.write_all(&self.buf);
        written.map_err(|e| self.sink.failure(&e))?;
        self.sink.finish()
    }
}

/// One fault as a line, without the line feed.
pub fn line(file: &str, fault: &Fault, lang: Lang) -> String {
    line_of(file, fault, &fault.message(lang))
}

fn line_of(file: &str, fault: &Fault, message: &str) -> String {
    let (line, column, pointer) = (fault.line, fault.column, &fault.pointer);
    let word = word(fault.severity);
    format!("{file}:{line}:{column}: {pointer}: {word}{message}")
}

/// The word before a message that is no error.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "",
        Severity::Warning => "warning: ",
        Severity::Information => "information: ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_faults_are_those_at_the_same_place_but_for_indices() {
        for (pointer, expected) in [
            ("/person_information/12/a/3", "/person_information/*/a/*"),
            ("/12a/b", "/12a/b"),
            (
                "Bundle.entry[7].resource.code.coding[0]",
                "Bundle.entry[*].resource.code.coding[*]",
            ),
            ("Observation.extension[x]", "Observation.extension[x]"),
            ("", ""),
        ] {
            assert_eq!(shape(pointer), expected);
        }
    }

    #[test]
    fn many_kinds_of_faults_are_bounded_too() {
        let mut groups = Groups::new(false);
        let listed = (0..100_000).filter(|n| groups.is_listed(Code::Type, &format!("/a{n}")));
        assert!(listed.count() <= 10 * GROUPS_MAX);
        assert_eq!(groups.take_unlisted().len(), 1);
    }
    use crate::fault::{Code, Place};

    #[test]
    fn a_warning_says_so_before_its_message() {
        let place = Place { line: 3, column: 7 };
        let fault = Fault::new(Code::Implausible, "/a/0", place);
        let text = line("x.json", &fault, Lang::En);
        assert!(
            text.starts_with("x.json:3:7: /a/0: warning: implausible: "),
            "{text}"
        );
        let fault = Fault::new(Code::Type, "/a/0", place);
        let text = line("x.json", &fault, Lang::Ja);
        assert!(text.starts_with("x.json:3:7: /a/0: type: 値の型"), "{text}");
    }
    #[test]
    fn equal_faults_have_one_shape_whatever_their_indices() {
        assert_eq!(shape("/a/0/b/17/c1"), "/a/*/b/*/c1");
        assert_eq!(shape(""), "");
    }
}
