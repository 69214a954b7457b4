//! Reading the submissions of an input, one after the other, and telling their faults.

use super::Failure;
use super::faults::Reporter;
use super::input::{Input, broken};
use crate::exchange::{self, Submission};
use crate::json::{self, Event, Reader};
use crate::kind::Kinds;
use crate::registry::{self, Registries};

/// Reads the submissions of an input, tells their faults, and gives those that are not
/// refused (in lenient handling: not wholly) to `take`, with whether it is the only one.
pub(super) fn submissions(
    kinds: &Kinds,
    registries: Option<&Registries>,
    lenient: bool,
    input: Input<'_>,
    reporter: &mut Reporter,
    mut take: impl FnMut(&Submission, bool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = input.name;
    let options = exchange::Options {
        lenient,
        ..exchange::Options::default()
    };
    let mut json = Reader::new(input.content);
    let mut first = true;
    let mut event = json.next_document();
    loop {
        let read = match event {
            Ok(Event::End) if !first => return Ok(()),
            Ok(Event::End) => Err(json::Error::Syntax {
                place: json.here(),
                reason: "there is no text",
            }),
            Ok(event) => exchange::read_document(kinds, options, &mut json, event),
            Err(error) => Err(error),
        };
        let mut submission = match read {
            Ok(submission) => submission,
            Err(error) => {
                let fault = broken(&name, json.place(), error)?;
                return reporter.all(&name, [&fault], 0);
            }
        };
        if let Some(registries) = registries {
            registry::check(kinds, &mut submission, registries);
        }
        let unlisted = submission.untold;
        reporter.all(&name, submission.all_faults(), unlisted)?;
        event = json.next_document();
        let alone = first && matches!(event, Ok(Event::End));
        if !submission.broken && (lenient || !submission.has_errors()) {
            take(&submission, alone)?;
        }
        first = false;
    }
}
