//! `import`: files and folders into the database.

use super::{Exit, Failure};
use crate::config::{Cli, Import};

/// Loads all paths.
///
/// # Errors
/// When the database cannot be opened.
pub fn run(_: &Cli, _: &Import) -> Result<Exit, Failure> {
    Err(Failure::system("import: this build has no database"))
}
