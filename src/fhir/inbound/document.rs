//! Reads documents as streams: a Bundle is never held whole, whatever the order of its
//! members.

use std::io::Read;

use crate::exchange::Submission;
use crate::fault::{Code, Fault};
use crate::json::{self, Event, Reader};
use crate::kind::Kinds;
use crate::store::Wanted;
use crate::tape::Tape;

use super::crosswalk::Known;
use super::{Inbound, Options, Outcome, Taken};

/// Resources that were read, before the registries are asked about them.
pub struct Input {
    /// What belongs together: a Bundle with entries, or the lines around it.
    parts: Vec<Taken>,
    outcome: Outcome,
}

/// Reads a Bundle, a resource, or NDJSON of either: which, the input tells.
///
/// Lines of NDJSON belong together, and a Bundle without entries speaks for the lines that
/// follow it; a Bundle with entries stands for itself.
///
/// # Errors
/// [`json::Error`] when the text is not JSON, a resource is larger than the limit, or the
/// source fails.
pub fn read_any(kinds: &Kinds, options: Options, source: impl Read) -> json::Result<Input> {
    let mut reader = Reader::new(source);
    let mut parts = Vec::new();
    let mut outcome = Outcome::new(options.faults_max);
    let mut inbound = Inbound::new(kinds, options);
    let mut tapes = Tapes::default();
    loop {
        let first = reader.next_document()?;
        match first {
            Event::End => break,
            Event::ObjectStart => {
                if inbound.document(&mut reader, &mut tapes)? {
                    let done = std::mem::replace(&mut inbound, Inbound::new(kinds, options));
                    let done = done.pause();
                    if done.is_empty() {
                        outcome.append(done.outcome);
                        continue;
                    }
                    if parts.len() == options.bundles_max {
                        return Err(json::Error::Syntax {
                            place: reader.place(),
                            reason: "more Bundles with entries than are read at once; send them in parts",
                        });
                    }
                    parts.push(done);
                }
            }
            other => {
                let fault = Fault::new(Code::Type, "", reader.place()).expected("a FHIR resource");
                outcome.push(fault);
                reader.skip(other)?;
            }
        }
    }
    parts.push(inbound.pause());
    Ok(Input { parts, outcome })
}

impl Input {
    /// What is wanted of the registries to make records of it.
    pub fn wanted(&self, kinds: &Kinds) -> Wanted {
        let mut wanted = Wanted::default();
        for part in &self.parts {
            wanted.add(part.wanted(kinds));
        }
        wanted
    }

    /// A submission for each consortium, and what there is to say about the input.
    pub fn finish(self, kinds: &Kinds, known: Known) -> (Vec<Submission>, Outcome) {
        let mut submissions = Vec::new();
        let mut outcome = self.outcome;
        for part in self.parts {
            let (its, said) = part.converted(kinds, known);
            submissions.extend(its);
            outcome.append(said);
        }
        submissions.sort_by(|a, b| a.consortium_id.cmp(&b.consortium_id));
        let converted = submissions
            .iter()
            .any(|s| s.rows.iter().any(|row| !row.refused));
        if !converted {
            outcome.refuse_what_is_not_ours();
        }
        (submissions, outcome)
    }
}

/// Buffers for the document and for one of its entries.
#[derive(Default)]
pub(super) struct Tapes {
    pub document: Tape,
    pub entry: Tape,
}

impl Inbound<'_> {
    /// Reads one document whose `{` was just returned; true for a Bundle with entries.
    pub(super) fn document<R: Read>(
        &mut self,
        reader: &mut Reader<R>,
        tapes: &mut Tapes,
    ) -> json::Result<bool> {
        let limit = self.taken.options.resource_max;
        let mut entries = None;
        tapes.document.begin_object(reader.place());
        while reader.next()? == Event::Key {
            let is_entry = reader.text() == "entry";
            let streamed = is_entry && is_bundle(&tapes.document);
            if !streamed {
                tapes.document.add_key(reader);
                let first = reader.next()?;
                tapes.document.append(reader, first, limit)?;
                continue;
            }
            let first = reader.next()?;
            if first != Event::ArrayStart || entries.is_some() {
                let code = match entries {
                    Some(_) => Code::DuplicateKey,
                    None => Code::Type,
                };
                let fault = Fault::new(code, "Bundle.entry", reader.place());
                self.taken.outcome.push(fault.expected("a list"));
                reader.skip(first)?;
                continue;
            }
            let mut index = 0;
            loop {
                let first = reader.next()?;
                if first == Event::ArrayEnd {
                    break;
                }
                tapes.entry.read(reader, first, limit)?;
                self.entry(&tapes.entry, index);
                index += 1;
            }
            entries = Some(index);
        }
        tapes.document.end_object();
        let root = tapes.document.root();
        if entries.is_some() || root.and_then(|r| r.text_of("resourceType")) == Some("Bundle") {
            self.bundle(&tapes.document);
        } else {
            self.resource(&tapes.document);
        }
        Ok(entries.is_some_and(|n| n > 0))
    }
}

/// Whether an open document is a Bundle, as far as it was read.
fn is_bundle(document: &Tape) -> bool {
    let kind = document.open_member("resourceType");
    kind.is_none() || kind == Some("Bundle")
}
