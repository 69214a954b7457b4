//! `backup`: a snapshot of a SQLite database while it is in use.

use super::database::{failed, with_store};
use super::{Exit, Failure};
use crate::config::{Backup, Cli};
use crate::store::Address;

/// Writes the snapshot.
///
/// # Errors
/// When the file is there already, or the database fails.
pub fn run(cli: &Cli, options: &Backup) -> Result<Exit, Failure> {
    if options.file.exists() {
        return Err(Failure::usage(format!(
            "{}: is there already",
            options.file.display()
        )));
    }
    Address::parse(&cli.database)
        .and_then(Address::file)
        .map_err(failed)?;
    super::database::existing(cli)?;
    let kinds = super::kinds(&options.mappings)?;
    with_store(cli, kinds, async |store| {
        store.backup(&options.file).await.map_err(failed)?;
        Ok(Exit::Done)
    })
}
