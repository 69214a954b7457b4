//! The commands: one file each, and what they have in common.
//!
//! A command gets its own options (and the whole [`Cli`] where it needs the database) and
//! gives an [`Exit`], having told the reasons of refusals as it went; or a [`Failure`],
//! whose message `main` prints.

mod backup;
mod convert;
mod database;
mod demo;
mod export;
mod export_fhir;
mod faults;
mod files;
mod import;
mod input;
mod interrupt;
mod migrate;
mod openapi;
mod output;
mod registry;
mod resources;
mod restore;
mod serve;
mod submissions;
mod synth;
mod validate;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::config::{Cli, Command, Mappings};
use crate::fault::Lang;
use crate::kind::Kinds;
use crate::registry::{LoadError, Options, Registries, load_dir};

use faults::Reporter;

/// How a command ended; the numbers are the program's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done; warnings alone too.
    Done = 0,
    /// Some input was refused.
    Refused = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The system failed: database, port, disk, network.
    System = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not go to its end.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to print; empty where nobody listens or everything was told.
    pub message: String,
}

impl Failure {
    /// Wrong usage or configuration.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Usage,
            message: message.into(),
        }
    }

    /// The system failed.
    pub fn system(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::System,
            message: message.into(),
        }
    }

    /// Stdout or stderr does not take more. A reader that went away, such as `head`, has
    /// what it wanted.
    pub fn stream(error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure {
                exit: Exit::Done,
                message: String::new(),
            }
        } else {
            let reason = reason(error);
            Failure::system(localized!(
                "cannot write: {reason}",
                "書き込めません: {reason}"
            ))
        }
    }

    /// A file or folder of the command line: not there is wrong usage, all else the system.
    pub fn path(path: &Path, error: &io::Error) -> Failure {
        let message = format!("{}: {}", path.display(), reason(error));
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => Failure::usage(message),
            _ => Failure::system(message),
        }
    }
}

/// Runs a command.
///
/// # Errors
/// What kept it from its end.
pub fn run(cli: &Cli) -> Result<Exit, Failure> {
    // A server ends by signals in its own way.
    if !matches!(cli.command, Command::Serve(_)) {
        interrupt::watch()?;
    }
    match &cli.command {
        Command::Serve(options) => serve::run(cli, options),
        Command::Convert(options) => convert::run(cli, options),
        Command::Validate(options) => validate::run(cli, options),
        Command::Import(options) => import::run(cli, options),
        Command::Export(options) => export::run(cli, options),
        Command::Registry { command } => registry::run(cli, command),
        Command::Migrate(options) => migrate::run(cli, options),
        Command::Backup(options) => backup::run(cli, options),
        Command::Restore(options) => restore::run(cli, options),
        Command::Openapi(options) => openapi::run(options),
        Command::Synth(options) => synth::run(cli, options),
    }
}

/// The language of messages: that of the terminal's locale.
pub fn language() -> Lang {
    Lang::of_terminal()
}

/// A text in the language of messages: the first format is English, the second Japanese.
macro_rules! localized {
    ($english:literal, $japanese:literal) => {
        match $crate::cli::language() {
            $crate::fault::Lang::En => format!($english),
            $crate::fault::Lang::Ja => format!($japanese),
        }
    };
}
use localized;

/// Why the system did not do something, in the language of messages.
fn reason(error: &io::Error) -> String {
    use io::ErrorKind::{
        IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull,
    };
    match (error.kind(), language()) {
        (NotFound, Lang::En) => "no such file or folder".into(),
        (NotFound, Lang::Ja) => "ファイルまたはフォルダーがありません".into(),
        (NotADirectory, Lang::En) => "not a folder".into(),
        (NotADirectory, Lang::Ja) => "フォルダーではありません".into(),
        (IsADirectory, Lang::En) => "is a folder".into(),
        (IsADirectory, Lang::Ja) => "フォルダーです".into(),
        (PermissionDenied, Lang::En) => "permission denied".into(),
        (PermissionDenied, Lang::Ja) => "アクセス権がありません".into(),
        (ReadOnlyFilesystem, Lang::Ja) => "読み取り専用のファイルシステムです".into(),
        (StorageFull, Lang::En) => "the disk is full; free space and run it again".into(),
        (StorageFull, Lang::Ja) => {
            "ディスクがいっぱいです。空きを作ってもう一度実行してください".into()
        }
        _ => error.to_string(),
    }
}

/// A message on stderr, even where stderr is gone.
pub fn tell(message: &str) {
    let _ = writeln!(io::stderr(), "kenko-fhir: {message}");
}

/// Refuses two outputs at one place: the later would replace the earlier.
fn distinct(outputs: &[Option<&Path>]) -> Result<(), Failure> {
    let named: Vec<&Path> = outputs.iter().copied().flatten().collect();
    for (n, path) in named.iter().enumerate() {
        if named[..n].contains(path) && (path.is_file() || !path.exists()) {
            let path = path.display();
            return Err(Failure::usage(localized!(
                "{path}: named for two outputs; name a file for each",
                "{path}: 二つの出力に同じファイルが指定されています。別々のファイルを指定してください"
            )));
        }
    }
    Ok(())
}

/// Says in a line on stdout what a command did, unless it is to be quiet.
fn report(cli: &Cli, line: &str) -> Result<(), Failure> {
    if cli.quiet {
        return Ok(());
    }
    writeln!(io::stdout(), "{line}").map_err(|e| Failure::stream(&e))
}

/// The record kinds: those of the program and of `--mappings`.
fn kinds(mappings: &Mappings) -> Result<Kinds, Failure> {
    let folder = mappings.mappings.as_deref();
    if let Some(path) = folder.filter(|path| !path.is_dir()) {
        return Err(Failure::path(path, &io::ErrorKind::NotADirectory.into()));
    }
    Kinds::load(folder, mappings.canonical()).map_err(|faults| Failure::usage(faults.to_string()))
}

/// The lists of `--registries`, none without it. Their faults are told here.
fn registries(
    folder: Option<&Path>,
    kinds: &Kinds,
    reporter: &mut Reporter,
) -> Result<Option<Registries>, Failure> {
    let Some(folder) = folder else {
        return Ok(None);
    };
    let known = |name: &str| kinds.get(name).is_some();
    let options = Options {
        known_kind: Some(&known),
        ..Options::default()
    };
    match load_dir(folder, &options) {
        Ok(registries) => Ok(Some(registries)),
        Err(LoadError::Faults(files)) => {
            for (path, faults) in files {
                let name = path.display().to_string();
                let unlisted = faults.total() - faults.kept().len() as u64;
                reporter.all(&name, faults.kept(), unlisted)?;
            }
            Err(Failure {
                exit: Exit::Refused,
                message: String::new(),
            })
        }
        Err(LoadError::Io { path, source }) => Err(Failure::path(&path, &source)),
        Err(LoadError::NoFolder(path)) => {
            Err(Failure::path(&path, &io::ErrorKind::NotADirectory.into()))
        }
        Err(LoadError::Twice(path)) => {
            let path = path.display();
            Err(Failure::usage(localized!(
                "{path}: there is a .csv of the same list; keep one of them",
                "{path}: 同じ一覧の .csv があります。どちらか一方だけを残してください"
            )))
        }
    }
}
