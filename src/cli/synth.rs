//! `synth`: writes an invented cohort.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Exit, Failure};
use crate::config::Synth;
use crate::synth::Cohort;

/// Writes the cohort's registries and submissions below the folder.
///
/// # Errors
/// When the folder's place is taken by a file, or the disk fails.
pub fn run(options: &Synth) -> Result<Exit, Failure> {
    let folder = &options.output;
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::usage(format!(
            "{}: not a folder",
            folder.display()
        )));
    }
    let cohort = Cohort::new(options.participants, options.days, options.seed);
    let bar = bar(
        cohort.file_count(),
        "{wide_bar} {pos}/{len} files, {eta} left",
    );
    let mut bytes = 0;
    cohort
        .write_to(folder, |_, size| {
            bytes += size;
            bar.inc(1);
        })
        .map_err(|e| Failure::system(e.to_string()))?;
    bar.finish_and_clear();
    tracing::info!(files = cohort.file_count(), bytes, "wrote the cohort");
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
