//! `registry`: the six lists in the database.

use super::{Exit, Failure};
use crate::config::{Cli, Registry};

/// Loads or shows a list.
///
/// # Errors
/// When the database cannot be opened.
pub fn run(_: &Cli, _: &Registry) -> Result<Exit, Failure> {
    Err(Failure::system("registry: this build has no database"))
}
