//! `migrate`: the schema of the database.

use super::{Exit, Failure};
use crate::config::Cli;

/// Brings the schema up to date.
///
/// # Errors
/// When the database cannot be opened.
pub fn run(_: &Cli) -> Result<Exit, Failure> {
    Err(Failure::system("migrate: this build has no database"))
}
