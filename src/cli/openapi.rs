//! `openapi`: the document of the HTTP interface.

use std::io::{self, Write as _};

use super::{Exit, Failure, kinds};
use crate::config::Openapi;
use crate::http;

/// Prints the document.
///
/// # Errors
/// When a mapping has a mistake, or stdout takes no more.
pub fn run(options: &Openapi) -> Result<Exit, Failure> {
    let document = http::openapi(&kinds(&options.mappings)?);
    let mut out = io::stdout().lock();
    out.write_all(document.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::stream(&error))?;
    Ok(Exit::Done)
}
