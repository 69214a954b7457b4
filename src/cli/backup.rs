//! `backup`: a snapshot of a SQLite database while it is in use.

use super::database::{failed, with_store};
use super::interrupt::Draft;
use super::{Exit, Failure, localized, report};
use crate::config::{Backup, Cli};
use crate::store::{self, Address};

/// Writes the snapshot.
///
/// # Errors
/// When the file is there already, or the database fails.
pub fn run(cli: &Cli, options: &Backup) -> Result<Exit, Failure> {
    if options.file.exists() {
        let file = options.file.display();
        return Err(Failure::usage(localized!(
            "{file}: is there already; name a file that is not",
            "{file}: すでに存在します。別のファイル名を指定してください"
        )));
    }
    Address::parse(&cli.database)
        .and_then(Address::file)
        .map_err(failed)?;
    super::database::existing(cli)?;
    let kinds = super::kinds(&options.mappings)?;
    with_store(cli, kinds, async |store| {
        let draft = Draft::at(store::draft(&options.file));
        let snapshot = store.backup(&options.file).await.map_err(failed)?;
        drop(draft);
        let store::Snapshot {
            records,
            participants,
        } = snapshot;
        let file = options.file.display();
        let line = localized!(
            "wrote {file}: {records} records of {participants} participants",
            "{file} に書き出しました（記録 {records} 件、参加者 {participants} 人）"
        );
        report(cli, &line)?;
        Ok(Exit::Done)
    })
}
