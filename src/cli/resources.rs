//! Reading the FHIR resources of an input, and telling what there is to say about them.

use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use super::faults::{Groups, line};
use super::input::{Input, broken};
use super::output::{Privacy, Sink};
use crate::exchange::Submission;
use crate::fault::{Code, Fault, Lang, Place, Severity};
use crate::fhir::canonical::Canonical;
use crate::fhir::inbound::{self, Issue, Known};
use crate::fhir::outcome;
use crate::json;
use crate::kind::Kinds;
use crate::registry::{self, Registries};

/// What came of an input.
pub(super) struct Read {
    /// The submissions, one for each consortium, refused records in them.
    pub submissions: Vec<Submission>,
    /// What there is to say, in the order of the input.
    pub issues: Vec<Issue>,
    /// Issues beyond the limit.
    pub untold: u64,
    /// Whether something of ours was refused.
    pub refused: bool,
}

/// Reads a Bundle, a resource or NDJSON.
///
/// # Errors
/// When the system fails; what is wrong with the content is told in the result.
pub(super) fn read(
    kinds: &Kinds,
    registries: Option<&Registries>,
    input: Input<'_>,
) -> Result<Read, Failure> {
    let options = inbound::Options::default();
    let mut any = false;
    let source = Noticed {
        source: input.content,
        any: &mut any,
    };
    let none = Registries::new();
    let known = Known::of(registries.unwrap_or(&none));
    let read = inbound::read_any(kinds, options, source);
    let mut read = read.map(|input| input.finish(kinds, known));
    if !any && read.is_ok() {
        read = Err(json::Error::Syntax {
            place: Place { line: 1, column: 1 },
            reason: "there is no text",
        });
    }
    let (mut submissions, said) = match read {
        Ok(read) => read,
        Err(error) => {
            let fault = broken(&input.name, Place::default(), error)?;
            return Ok(Read {
                submissions: Vec::new(),
                issues: vec![Issue::of(fault)],
                untold: 0,
                refused: true,
            });
        }
    };
    let mut refused = said.has_errors();
    let mut issues = said.issues;
    let mut untold = said.untold;
    for submission in &mut submissions {
        if let Some(registries) = registries {
            registry::check(kinds, submission, registries);
        }
        refused |= submission.has_errors();
        untold += submission.untold;
        issues.extend(submission.all_faults().cloned().map(Issue::of));
    }
    submissions.retain(|s| !s.broken && s.rows.iter().any(|row| !row.refused));
    // Notices of the whole input are met last but belong to its beginning.
    issues.sort_by_key(|i| (i.fault.line, i.fault.column));
    Ok(Read {
        submissions,
        issues,
        untold,
        refused,
    })
}

impl Read {
    /// Where nothing could be converted, that is refused too, and said.
    pub fn refuse_nothing(&mut self) {
        if self.submissions.is_empty() && !self.refused {
            self.refused = true;
            let place = Place { line: 1, column: 1 };
            let fault = Fault::new(Code::CodeUnsupported, "", place);
            let fault = fault.expected("a resource that a record can be made from");
            self.issues.insert(0, Issue::of(fault));
        }
    }
}

/// Notices whether there is anything but white space.
struct Noticed<'a> {
    source: Box<dyn io::Read + 'a>,
    any: &'a mut bool,
}

impl io::Read for Noticed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buf)?;
        *self.any = *self.any || !buf[..n].trim_ascii().is_empty();
        Ok(n)
    }
}

/// The OperationOutcome of a run, an issue a line, so that it is both a resource and a list
/// of lines for people.
pub(super) struct Outcome {
    lang: Lang,
    issues: Vec<outcome::Issue>,
    groups: Groups,
}

impl Outcome {
    /// Nothing to say yet; of equal issues a few are listed, or all.
    pub fn new(lang: Lang, all: bool) -> Outcome {
        Outcome {
            lang,
            groups: Groups::new(all),
            issues: Vec::new(),
        }
    }

    /// Adds what there is to say about an input.
    pub fn add(&mut self, file: &str, read: &Read) {
        for issue in &read.issues {
            if !self
                .groups
                .is_listed(issue.fault.code, &issue.fault.pointer)
            {
                continue;
            }
            let mut out = outcome::Issue::of(&issue.fault, self.lang);
            out.diagnostics = line(file, &issue.fault, self.lang);
            if issue.count > 1 {
                out.diagnostics.push_str(&match self.lang {
                    Lang::En => format!(" ({} times)", issue.count),
                    Lang::Ja => format!("（{} 件）", issue.count),
                });
            }
            if !out.expression.is_empty() {
                out.expression.clone_from(&issue.expressions);
            }
            self.issues.push(out);
        }
        if read.untold > 0 {
            let text = match self.lang {
                Lang::En => format!("{file}: {} more issues", read.untold),
                Lang::Ja => format!("{file}: ほかに {} 件あります", read.untold),
            };
            let issue = outcome::Issue::new(Severity::Information, "informational", text);
            self.issues.push(issue);
        }
    }

    /// Writes it to a file, or to stderr where there is something to say.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, canonical: &Canonical, file: Option<&Path>) -> Result<(), Failure> {
        for line in self.groups.take_unlisted() {
            let issue = outcome::Issue::new(Severity::Information, "incomplete", line);
            self.issues.push(issue);
        }
        if file.is_none() && self.issues.is_empty() {
            return Ok(());
        }
        // An issue as JSON takes many times its memory: one after the other is made.
        let line = |issues: &[outcome::Issue]| {
            outcome::outcome(issues, canonical, self.lang)["issue"][0].to_string()
        };
        let fine = self.issues.is_empty().then(|| line(&[]));
        let lines = fine.into_iter().chain(self.issues.chunks(1).map(line));
        let mut text = String::from("{\"resourceType\":\"OperationOutcome\",\"issue\":[\n");
        for (at, line) in lines.enumerate() {
            if at > 0 {
                text.push_str(",\n");
            }
            text.push_str(&line);
        }
        text.push_str("\n]}\n");
        let Some(path) = file else {
            let written = std::io::stderr().write_all(text.as_bytes());
            return written.map_err(|e| Failure::stream(&e));
        };
        let mut sink = Sink::file(path, Privacy::Personal)?;
        let written = sink.write_all(text.as_bytes());
        written.map_err(|e| sink.failure(&e))?;
        sink.finish()
    }
}
