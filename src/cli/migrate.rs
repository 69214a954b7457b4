//! `migrate`: the schema of the database.

use super::database::with_store;
use super::{Exit, Failure, localized, report};
use crate::config::{Cli, Migrate};

/// Brings the schema up to date and registers the record kinds, as every start does.
///
/// # Errors
/// When the database cannot be opened, or a mapping contradicts what it holds.
pub fn run(cli: &Cli, options: &Migrate) -> Result<Exit, Failure> {
    let kinds = super::kinds(&options.mappings)?;
    with_store(cli, kinds, async |_| {
        report(
            cli,
            &localized!("the database is up to date", "データベースは最新の状態です"),
        )?;
        Ok(Exit::Done)
    })
}
