//! Ends by a signal: drafts of outputs are removed, and how far the command came is told.
//!
//! A command is ended at once, wherever it is. That is safe for a database, which undoes what
//! was not committed, and for outputs, which are drafts until they are whole.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;

use super::{Failure, localized};

/// State that a signal needs.
#[derive(Default)]
pub(super) struct State {
    /// Files under other names than their own, which are removed.
    pub drafts: BTreeSet<PathBuf>,
    /// How far the command came.
    progress: Option<Arc<Progress>>,
}

static STATE: Mutex<State> = Mutex::new(State {
    drafts: BTreeSet::new(),
    progress: None,
});

/// The state. While it is held, no signal ends the program.
pub(super) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under another name than its own for a while: a signal removes it.
pub(super) struct Draft(PathBuf);

impl Draft {
    /// Tells signals of a file that may come to be there.
    pub fn at(path: PathBuf) -> Draft {
        state().drafts.insert(path.clone());
        Draft(path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        state().drafts.remove(&self.0);
    }
}

/// Work that a command does with its files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// They are stored in the database.
    Stored,
    /// They are written.
    Written,
    /// They are converted.
    Converted,
    /// They are checked.
    Checked,
}

/// How far a command came: the bar on a terminal, and what a signal tells.
pub(super) struct Progress {
    /// The bar.
    pub bar: ProgressBar,
    work: Work,
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Begins to work through `total` files, and tells signals so.
    pub fn begin(work: Work, total: u64, bar: ProgressBar) -> Arc<Progress> {
        let progress = Arc::new(Progress {
            bar,
            work,
            done: AtomicU64::new(0),
            total: AtomicU64::new(total),
        });
        state().progress = Some(progress.clone());
        progress
    }

    /// One file more is done.
    pub fn file_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the bar, and what signals tell.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        state().progress = None;
    }

    fn interrupted(&self) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let total = self.total.load(Ordering::Relaxed);
        let (work, in_japanese) = match self.work {
            Work::Stored => ("stored", "保存"),
            Work::Written => ("written", "書き出し"),
            Work::Converted => ("converted", "変換"),
            Work::Checked => ("checked", "確認"),
        };
        localized!(
            "interrupted: {done} of {total} files {work}; run the same command again",
            "中断しました。{total} 件のファイルのうち {done} 件の{in_japanese}を終えました。同じコマンドをもう一度実行してください"
        )
    }
}

/// Ends the program by a signal with this number.
fn end(signal: i32) -> ! {
    let state = state();
    for draft in &state.drafts {
        // One that cannot be removed cannot be helped here.
        let _ = std::fs::remove_file(draft);
    }
    let message = match &state.progress {
        Some(progress) => {
            progress.bar.finish_and_clear();
            progress.interrupted()
        }
        None => localized!(
            "interrupted; run the same command again",
            "中断しました。同じコマンドをもう一度実行してください"
        ),
    };
    super::tell(&message);
    // As shells tell of a program that a signal ended.
    std::process::exit(128 + signal);
}

/// Watches for SIGINT, SIGTERM and SIGHUP from now on. SIGHUP stays ignored where it is, as
/// `nohup` has it.
///
/// # Errors
/// When the system does not allow it.
pub(super) fn watch() -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::system(localized!("signals: {e}", "シグナルを扱えません: {e}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let signalled = {
        let _context = runtime.enter();
        signalled().map_err(failed)?
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || end(runtime.block_on(signalled)))
        .map_err(failed)?;
    Ok(())
}

/// Waits for a signal that ends the program; its number.
#[cfg(unix)]
fn signalled() -> std::io::Result<impl Future<Output = i32> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match ignores_hangup() {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    Ok(async move {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = hung_up => SignalKind::hangup().as_raw_value(),
        }
    })
}

/// Whether SIGHUP is ignored, where the system tells.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
fn signalled() -> std::io::Result<impl Future<Output = i32> + Send + 'static> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
        2
    })
}
