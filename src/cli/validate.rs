//! `validate`: tells every fault of its inputs and writes nothing but a report.

use std::io::Read;

use super::faults::Reporter;
use super::files::{Content, Files, Item, unreadable};
use super::import::read_list;
use super::input::Input;
use super::interrupt::{Progress, Work};
use super::resources;
use super::submissions::submissions;
use super::synth::bar;
use super::{Exit, Failure, kinds, localized, registries, report};
use crate::config::{Cli, Side, Validate};
use crate::fault::Severity;
use crate::kind::Kinds;
use crate::registry::{Form, List, Registries};

/// State of a run, shared by its checks.
struct Run<'a> {
    options: &'a Validate,
    kinds: Kinds,
    registries: Option<Registries>,
    reporter: Reporter,
}

/// Checks all files.
///
/// # Errors
/// When a file or folder is not there, or the system fails.
pub fn run(cli: &Cli, options: &Validate) -> Result<Exit, Failure> {
    let kinds = kinds(&options.mappings)?;
    let mut reporter = Reporter::new(&options.reporting)?;
    let registries = registries(options.registries.as_deref(), &kinds, &mut reporter)?;
    let files = Files::find(&options.files)?;
    let mut run = Run {
        options,
        kinds,
        registries,
        reporter,
    };
    for problem in &files.problems {
        run.reporter
            .file(&problem.name, problem.severity, &problem.message)?;
    }
    let bar = bar(
        files.bytes(),
        "{wide_bar} {bytes}/{total_bytes}, {eta} left",
    );
    let progress = Progress::begin(Work::Checked, files.data.len() as u64, bar);
    for file in &files.data {
        let mut checked = Ok(());
        file.read(
            |_| true,
            |item, source| {
                checked = match source {
                    Ok(source) => run.check(item, source),
                    Err(error) => {
                        run.reporter
                            .file(&item.name, Severity::Error, &unreadable(&error))
                    }
                };
                checked.is_ok()
            },
        );
        checked?;
        progress.file_done();
        progress.bar.inc(file.size);
    }
    progress.finish();
    let refused = run.reporter.refused();
    run.reporter.finish()?;
    if !refused {
        let count: usize = files.data.iter().map(|file| file.items.len()).sum();
        report(
            cli,
            &localized!(
                "checked {count} files: no fault refuses them",
                "{count} 件のファイルを確認しました。拒否される不備はありません"
            ),
        )?;
    }
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

impl Run<'_> {
    fn check(&mut self, item: &Item, source: Box<dyn Read + '_>) -> Result<(), Failure> {
        match item.content {
            Content::List(list, form) => self.list(&item.name, list, form, source),
            Content::Documents => self.documents(Input {
                name: item.name.clone(),
                content: source,
            }),
        }
    }

    fn documents(&mut self, mut input: Input<'_>) -> Result<(), Failure> {
        let side = match self.options.side {
            Some(side) => side,
            None => input
                .side()
                .map_err(|e| Failure::system(format!("{}: {e}", input.name)))?,
        };
        match side {
            Side::Exchange => submissions(
                &self.kinds,
                self.registries.as_ref(),
                false,
                input,
                &mut self.reporter,
                |_, _| Ok(()),
            ),
            Side::Fhir => self.fhir(input),
        }
    }

    /// The rows of a registry list.
    fn list(
        &mut self,
        name: &str,
        list: &'static List,
        form: Form,
        mut source: Box<dyn Read + '_>,
    ) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        if let Err(error) = source.read_to_end(&mut bytes) {
            let message = unreadable(&error);
            return self.reporter.file(name, Severity::Error, &message);
        }
        read_list(&self.kinds, list, form, name, &bytes, &mut self.reporter).map(drop)
    }

    /// Resources: what is not R4, and what is ours and would be refused. What is not ours, and
    /// what is merely noticed (a fallback), is no fault.
    fn fhir(&mut self, input: Input<'_>) -> Result<(), Failure> {
        let name = input.name.clone();
        let read = resources::read(&self.kinds, self.registries.as_ref(), input)?;
        let ours = read.issues.iter().filter(|issue| !issue.not_ours);
        let faults = ours
            .map(|issue| &issue.fault)
            .filter(|f| f.severity != Severity::Information);
        self.reporter.all(&name, faults, read.untold)
    }
}
