//! `restore`: a snapshot back in place.

use super::{Exit, Failure};
use crate::config::{Cli, Restore};

/// Puts the snapshot back.
///
/// # Errors
/// When the database cannot be opened.
pub fn run(_: &Cli, _: &Restore) -> Result<Exit, Failure> {
    Err(Failure::system("restore: this build has no database"))
}
