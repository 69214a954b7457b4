//! `synth`: writes an invented cohort.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::interrupt::{Progress, Work};
use super::{Exit, Failure, localized, report};
use crate::config::{Cli, Synth};
use crate::synth::Cohort;

/// Writes the cohort's registries and submissions below the folder.
///
/// # Errors
/// When the folder's place is taken by a file, or the disk fails.
pub fn run(cli: &Cli, options: &Synth) -> Result<Exit, Failure> {
    let folder = &options.output;
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::path(
            folder,
            &std::io::ErrorKind::NotADirectory.into(),
        ));
    }
    let cohort = Cohort::new(options.participants, options.days, options.seed);
    let bar = bar(
        cohort.file_count(),
        "{wide_bar} {pos}/{len} files, {eta} left",
    );
    let progress = Progress::begin(Work::Written, cohort.file_count(), bar);
    cohort
        .write_to(folder, |_, _| {
            progress.file_done();
            progress.bar.inc(1);
        })
        .map_err(|e| Failure::system(e.to_string()))?;
    progress.finish();
    let (files, folder) = (cohort.file_count(), folder.display());
    report(
        cli,
        &localized!(
            "wrote {files} files to {folder}; kenko-fhir import {folder} loads them",
            "{folder} に {files} 個のファイルを書き出しました。kenko-fhir import {folder} で読み込めます"
        ),
    )?;
    Ok(Exit::Done)
}

/// A bar on a terminal, and none elsewhere.
pub(super) fn bar(length: u64, template: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
