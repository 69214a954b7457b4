//! `export`: the database as files.

use super::{Exit, Failure};
use crate::config::{Cli, Export};

/// Writes what the options choose.
///
/// # Errors
/// When the database cannot be opened.
pub fn run(_: &Cli, _: &Export) -> Result<Exit, Failure> {
    Err(Failure::system("export: this build has no database"))
}
