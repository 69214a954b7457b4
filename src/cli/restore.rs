//! `restore`: a snapshot back in place.

use std::path::Path;

use super::database::{block_on, failed, say, unless_interrupted};
use super::{Exit, Failure, language};
use crate::config::{Cli, Restore};
use crate::fault::Lang;
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
    let restored = block_on(unless_interrupted(store::restore(&options.file, &database)))?;
    let store::Snapshot {
        records,
        participants,
    } = restored.snapshot;
    let (file, database) = (options.file.display(), database.display());
    let kept = restored.kept.as_deref().map(Path::display);
    say(&match (language(), kept) {
        (Lang::En, None) => format!(
            "restored {database} from {file}: {records} records of {participants} participants"
        ),
        (Lang::En, Some(kept)) => format!(
            "restored {database} from {file}: {records} records of {participants} participants; \
             the former database is kept as {kept}"
        ),
        (Lang::Ja, None) => format!(
            "{file} から {database} を復元しました（記録 {records} 件、参加者 {participants} 人）"
        ),
        (Lang::Ja, Some(kept)) => format!(
            "{file} から {database} を復元しました（記録 {records} 件、参加者 {participants} 人）。\
             以前のデータベースは {kept} に残してあります"
        ),
    })
}
