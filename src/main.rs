//! The program: arguments, logs, and the command. Everything else is in the library.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use kenko_fhir::cli::{self, Exit};
use kenko_fhir::config::{self, Command, LogFormat};
use tracing_subscriber::EnvFilter;

/// A request takes some hundred small pieces of memory, often on one thread and back on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match config::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(config::Error::Usage(error)) => {
            // Help and version go to stdout and are no failure. A reader that went away has
            // seen enough.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
        Err(error) => {
            cli::tell(&error.to_string());
            return Exit::Usage.into();
        }
    };
    // A server says what it does; the other commands are quiet unless something is wrong.
    let level = match cli.command {
        Command::Serve(_) => "info",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for eyes: in a file or a pipe their codes only stand in the way.
        .with_ansi(std::io::stderr().is_terminal())
        // A log that is gone is no reason to stop: telling so on the same stderr would panic.
        .log_internal_errors(false);
    match cli.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().with_span_list(false).init(),
    }
    match cli::run(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                cli::tell(&failure.message);
            }
            failure.exit.into()
        }
    }
}
