//! Reading the submissions of an input, one after the other, and telling their faults.

use super::Failure;
use super::faults::Reporter;
use super::input::{Input, unreadable};
use crate::exchange::{self, Submission};
use crate::json::{Event, Reader};
use crate::kind::Kinds;
use crate::registry::Registries;

/// Reads the submissions of an input, tells their faults, and gives those that are not
/// refused (in lenient handling: not wholly) to `take`.
pub(super) fn submissions(
    kinds: &Kinds,
    registries: Option<&Registries>,
    lenient: bool,
    input: Input,
    reporter: &mut Reporter,
    mut take: impl FnMut(&Submission) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = input.name;
    let options = exchange::Options {
        lenient,
        ..exchange::Options::default()
    };
    let mut json = Reader::new(input.content);
    let mut first = true;
    loop {
        let read = match json.next_document() {
            Ok(Event::End) if !first => return Ok(()),
            // An empty input is no document: the reader says so.
            Ok(event) => exchange::read_document(kinds, options, &mut json, event),
            Err(error) => Err(error),
        };
        first = false;
        let submission = match read {
            Ok(submission) => submission,
            Err(error) => {
                let fault = unreadable(&name, json.place(), error)?;
                return reporter.all(&name, [&fault], 0);
            }
        };
        let _ = registries;
        reporter.all(&name, submission.all_faults(), submission.unlisted)?;
        if !submission.broken && (lenient || !submission.has_errors()) {
            take(&submission)?;
        }
    }
}
