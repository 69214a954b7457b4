//! `convert`: the mapper alone, from files to files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::faults::Reporter;
use super::input::Input;
use super::interrupt::{Progress, Work};
use super::output::{Privacy, Sink, Target};
use super::resources::{self, Outcome};
use super::submissions::submissions;
use super::{Exit, Failure, distinct, kinds, localized, registries, report};
use crate::config::{Cli, Convert, Form, Shape, Side};
use crate::exchange::{self, Submission};
use crate::fhir::bundle;
use crate::kind::Kinds;
use crate::registry::Registries;

/// What all conversions of a run share.
struct Run<'a> {
    options: &'a Convert,
    kinds: Kinds,
    registries: Option<Registries>,
    reporter: Reporter,
    /// Whether a conversion to the protocol refused something.
    refused: bool,
    /// What conversions to the protocol have to say.
    outcome: Outcome,
    /// Whether there is one input only, which then may have lines of its own.
    single: bool,
    /// How many inputs were read.
    progress: Arc<Progress>,
}

/// Converts all inputs.
///
/// # Errors
/// When a file or folder is not there, or the system fails.
pub fn run(cli: &Cli, options: &Convert) -> Result<Exit, Failure> {
    distinct(&[
        options.output.as_deref(),
        options.outcome.as_deref(),
        options.reporting.report.as_deref(),
    ])?;
    let kinds = kinds(&options.mappings)?;
    let mut reporter = Reporter::new(&options.reporting)?;
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
        refused: false,
        outcome: Outcome::new(
            super::language(),
            options.reporting.all || options.outcome.is_some(),
        ),
        single: inputs.len() == 1 || matches!(target, Target::Folder(_)),
        progress: Progress::begin(
            Work::Converted,
            inputs.len() as u64,
            indicatif::ProgressBar::hidden(),
        ),
    };
    match &target {
        Target::Folder(_) => run.each(inputs, &target)?,
        Target::Stdout => run.all(inputs, Sink::stdout())?,
        Target::File(path) => run.all(inputs, Sink::file(path, Privacy::Personal)?)?,
    }
    run.progress.finish();
    run.reporter.finish()?;
    let canonical = &run.kinds.canonical;
    run.outcome.write(canonical, options.outcome.as_deref())?;
    // Stdout is free where the documents go into a file; stderr may have the outcome.
    let written = options
        .output
        .as_deref()
        .filter(|path| path.is_file() || path.is_dir());
    let refused = run.refused || run.reporter.refused();
    if let (false, Some(output)) = (refused, written) {
        let (files, output) = (inputs.len(), output.display());
        report(
            cli,
            &localized!(
                "converted {files} files into {output}",
                "{files} 件のファイルを {output} に変換しました"
            ),
        )?;
    }
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

impl Run<'_> {
    /// All documents into one sink, a line each.
    fn all(&mut self, inputs: &[PathBuf], mut sink: Sink) -> Result<(), Failure> {
        for path in inputs {
            let (input, side) = self.open(path)?;
            self.one(input, side, &mut sink)?;
            self.progress.file_done();
        }
        sink.finish()
    }

    /// The documents of each input into a file of its own.
    fn each(&mut self, inputs: &[PathBuf], target: &Target) -> Result<(), Failure> {
        target.check(inputs)?;
        for path in inputs {
            let (input, side) = self.open(path)?;
            let extension = match (side, self.options.form) {
                (Side::Fhir, Form::Ndjson) => "ndjson",
                _ => "json",
            };
            let mut sink = Sink::file(&target.file(path, extension)?, Privacy::Personal)?;
            self.one(input, side, &mut sink)?;
            sink.finish()?;
            self.progress.file_done();
        }
        Ok(())
    }

    /// Opens an input and tells the side to convert to.
    fn open(&self, path: &Path) -> Result<(Input<'static>, Side), Failure> {
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

    fn one(&mut self, input: Input<'_>, to: Side, sink: &mut Sink) -> Result<(), Failure> {
        match to {
            Side::Fhir => {
                let none = Registries::new();
                let (kinds, options, single) = (&self.kinds, self.options, self.single);
                let known = self.registries.as_ref();
                let reporter = &mut self.reporter;
                submissions(
                    kinds,
                    known,
                    options.lenient,
                    input,
                    reporter,
                    |s, alone| {
                        let registries = known.unwrap_or(&none);
                        write_fhir(options, kinds, registries, s, alone && single, sink)
                    },
                )
            }
            Side::Exchange => self.one_to_exchange(input, sink),
        }
    }

    /// What can be converted is, and the rest is told.
    fn one_to_exchange(&mut self, input: Input<'_>, sink: &mut Sink) -> Result<(), Failure> {
        let name = input.name.clone();
        let mut read = resources::read(&self.kinds, self.registries.as_ref(), input)?;
        read.refuse_nothing();
        self.outcome.add(&name, &read);
        self.refused |= read.refused;
        if self.options.outcome.is_some() {
            // The reasons of refusals are on stderr wherever the outcome goes.
            let faults = read.issues.iter().map(|i| &i.fault);
            self.reporter
                .all(&name, faults.filter(|f| f.is_error()), 0)?;
        }
        let edition = self.options.edition;
        for submission in &read.submissions {
            exchange::write(&mut *sink, &self.kinds, submission, edition)
                .and_then(|out| out.write_all(b"\n"))
                .map_err(|e| sink.failure(&e))?;
        }
        Ok(())
    }
}

/// Writes one submission in the form that was asked for.
fn write_fhir(
    options: &Convert,
    kinds: &Kinds,
    registries: &Registries,
    submission: &Submission,
    alone: bool,
    sink: &mut Sink,
) -> Result<(), Failure> {
    let how = bundle::Options {
        shape: match options.shape {
            Shape::Panel => bundle::Shape::Panel,
            Shape::Split => bundle::Shape::Split,
        },
        edition: submission.edition,
        base_url: "",
        registries,
    };
    let write = |out: &mut dyn Write| match options.form {
        Form::Bundle => bundle::write_collection(out, kinds, submission, &how).map(drop),
        Form::Transaction => bundle::write_transaction(out, kinds, submission, &how).map(drop),
        Form::Ndjson => bundle::write_ndjson(out, kinds, submission, &how).map(drop),
    };
    let written = if alone || options.form == Form::Ndjson {
        write(sink)
    } else {
        let mut line = OneLine(sink);
        write(&mut line).and_then(|()| line.0.write_all(b"\n"))
    };
    written.map_err(|e| sink.failure(&e))
}

/// Drops line feeds, which in JSON stand between values only.
struct OneLine<'a>(&'a mut Sink);

impl Write for OneLine<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        for part in buf.split(|&byte| byte == b'\n') {
            self.0.write_all(part)?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
