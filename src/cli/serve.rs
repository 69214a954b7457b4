//! `serve`: both sides over HTTP.

use super::{Exit, Failure, kinds};
use crate::config::{Auth, Cli, Serve};

/// Serves until a signal ends it.
///
/// # Errors
/// When the address may not be served without authentication, or the port is in use.
pub fn run(_: &Cli, options: &Serve) -> Result<Exit, Failure> {
    if options.auth == Auth::Off && !options.listen.is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {}: without authentication (--auth off) only a loopback address is \
             served, such as 127.0.0.1:8080 or [::1]:8080",
            options.listen
        )));
    }
    kinds(&options.mappings)?;
    Err(Failure::system("serve: this build has no database"))
}
