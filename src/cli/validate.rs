//! `validate`: tells every fault of its inputs and writes nothing.

use super::faults::Reporter;
use super::input::Input;
use super::resources;
use super::submissions::submissions;
use super::{Exit, Failure, kinds, registries};
use crate::config::{Side, Validate};
use crate::fault::Severity;
use crate::kind::Kinds;
use crate::registry::Registries;

/// Checks all files.
///
/// # Errors
/// When a file or folder is not there, or the system fails.
pub fn run(options: &Validate) -> Result<Exit, Failure> {
    let kinds = kinds(&options.mappings)?;
    let mut reporter = Reporter::new();
    let registries = registries(options.registries.as_deref(), &kinds, &mut reporter)?;
    for path in &options.files {
        let mut input = Input::open(path)?;
        let side = match options.side {
            Some(side) => side,
            None => input
                .side()
                .map_err(|e| Failure::system(format!("{}: {e}", input.name)))?,
        };
        match side {
            Side::Exchange => {
                let registries = registries.as_ref();
                submissions(&kinds, registries, false, input, &mut reporter, |_, _| {
                    Ok(())
                })?;
            }
            Side::Fhir => fhir(&kinds, registries.as_ref(), input, &mut reporter)?,
        }
    }
    Ok(if reporter.refused() {
        Exit::Refused
    } else {
        Exit::Done
    })
}

/// Resources: what is not R4, and what is ours and would be refused. What is not ours, and
/// what is merely noticed (a fallback), is no fault.
fn fhir(
    kinds: &Kinds,
    registries: Option<&Registries>,
    input: Input,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let name = input.name.clone();
    let read = resources::read(kinds, registries, input)?;
    let ours = read.issues.iter().filter(|issue| !issue.not_ours);
    let faults = ours
        .map(|issue| &issue.fault)
        .filter(|f| f.severity != Severity::Information);
    reporter.all(&name, faults, read.untold)
}
