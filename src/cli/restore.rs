//! `restore`: a snapshot back in place.

use super::database::{block_on, failed};
use super::{Exit, Failure};
use crate::config::{Cli, Restore};
use crate::store::{self, Address};

/// Puts the snapshot back; the former database stays beside it.
///
/// # Errors
/// When the snapshot is not there or not a database of this program, or the disk fails.
pub fn run(cli: &Cli, options: &Restore) -> Result<Exit, Failure> {
    if !options.file.is_file() {
        return Err(Failure::usage(format!(
            "{}: no such file",
            options.file.display()
        )));
    }
    let database = Address::parse(&cli.database)
        .and_then(Address::file)
        .map_err(failed)?;
    block_on(async {
        let restored = store::restore(&options.file, &database).await;
        restored.map_err(failed)?;
        Ok(Exit::Done)
    })
}
