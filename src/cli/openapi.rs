//! `openapi`: the document of the HTTP interface.

use super::{Exit, Failure, kinds};
use crate::config::Openapi;

/// Prints the document.
///
/// # Errors
/// When a mapping has a mistake.
pub fn run(options: &Openapi) -> Result<Exit, Failure> {
    kinds(&options.mappings)?;
    Err(Failure::system("openapi: this build has no HTTP interface"))
}
