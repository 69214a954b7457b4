//! `convert`: the mapper alone, from files to files.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::faults::Reporter;
use super::input::Input;
use super::output::{Sink, Target};
use super::submissions::submissions;
use super::{Exit, Failure, kinds, registries};
use crate::config::{Convert, Form, Side};
use crate::exchange::Submission;
use crate::kind::Kinds;
use crate::registry::Registries;

/// What all conversions of a run share.
struct Run<'a> {
    options: &'a Convert,
    kinds: Kinds,
    registries: Option<Registries>,
    reporter: Reporter,
}

/// Converts all inputs.
///
/// # Errors
/// When a file or folder is not there, or the system fails.
pub fn run(options: &Convert) -> Result<Exit, Failure> {
    let kinds = kinds(&options.mappings)?;
    let mut reporter = Reporter::new();
    let registries = registries(options.registries.as_deref(), &kinds, &mut reporter)?;
    let stdin = [PathBuf::from("-")];
    let inputs = if options.files.is_empty() {
        &stdin[..]
    } else {
        &options.files[..]
    };
    let target = Target::new(options.output.as_deref());
    let mut run = Run {
        options,
        kinds,
        registries,
        reporter,
    };
    match &target {
        Target::Folder(_) => run.each(inputs, &target)?,
        Target::Stdout => run.all(inputs, Sink::stdout())?,
        Target::File(path) => run.all(inputs, Sink::file(path))?,
    }
    Ok(if run.reporter.refused() {
        Exit::Refused
    } else {
        Exit::Done
    })
}

impl Run<'_> {
    /// All documents into one sink, a line each.
    fn all(&mut self, inputs: &[PathBuf], mut sink: Sink) -> Result<(), Failure> {
        for path in inputs {
            let (input, side) = self.open(path)?;
            self.one(input, side, &mut sink)?;
        }
        sink.finish()
    }

    /// The documents of each input into a file of its own.
    fn each(&mut self, inputs: &[PathBuf], target: &Target) -> Result<(), Failure> {
        let extension = match self.options.form {
            Form::Ndjson if self.options.to != Some(Side::Exchange) => "ndjson",
            _ => "json",
        };
        let files = target.files(inputs, extension)?;
        for (path, file) in inputs.iter().zip(files) {
            let (input, side) = self.open(path)?;
            let mut sink = Sink::file(&file);
            self.one(input, side, &mut sink)?;
            sink.finish()?;
        }
        Ok(())
    }

    /// Opens an input and tells the side to convert to.
    fn open(&self, path: &Path) -> Result<(Input, Side), Failure> {
        let mut input = Input::open(path)?;
        let to = match self.options.to {
            Some(to) => to,
            None => match input.side() {
                Ok(Side::Fhir) => Side::Exchange,
                Ok(Side::Exchange) => Side::Fhir,
                Err(e) => return Err(Failure::system(format!("{}: {e}", input.name))),
            },
        };
        Ok((input, to))
    }

    fn one(&mut self, input: Input, to: Side, sink: &mut Sink) -> Result<(), Failure> {
        match to {
            Side::Fhir => {
                let (kinds, options) = (&self.kinds, self.options);
                let registries = self.registries.as_ref();
                let reporter = &mut self.reporter;
                submissions(kinds, registries, options.lenient, input, reporter, |s| {
                    write_fhir(options, kinds, registries, s, sink)
                })
            }
            Side::Exchange => Err(Failure::usage("convert --to exchange is not there yet")),
        }
    }
}

fn write_fhir(
    _: &Convert,
    _: &Kinds,
    _: Option<&Registries>,
    _: &Submission,
    sink: &mut Sink,
) -> Result<(), Failure> {
    sink.flush().map_err(|e| sink.failure(&e))?;
    Err(Failure::usage("convert --to fhir is not there yet"))
}
