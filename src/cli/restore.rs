//! `restore`: a snapshot back in place.

use super::database::{block_on, failed};
use super::interrupt::Draft;
use super::{Exit, Failure, localized, report};
use crate::config::{Cli, Restore};
use crate::store::{self, Address};

/// Puts the snapshot back; the former database stays beside it.
///
/// # Errors
/// When the snapshot is not there or not a database of this program, or the disk fails.
pub fn run(cli: &Cli, options: &Restore) -> Result<Exit, Failure> {
    if !options.file.is_file() {
        let missing = std::io::ErrorKind::NotFound.into();
        return Err(Failure::path(&options.file, &missing));
    }
    let database = Address::parse(&cli.database)
        .and_then(Address::file)
        .map_err(failed)?;
    let draft = Draft::at(store::replacement(&database));
    let restored = block_on(async {
        let restored = store::restore(&options.file, &database).await;
        restored.map_err(failed)
    })?;
    drop(draft);
    let store::Snapshot {
        records,
        participants,
    } = restored.snapshot;
    let (file, database) = (options.file.display(), database.display());
    let mut line = localized!(
        "restored {database} from {file}: {records} records of {participants} participants",
        "{file} から {database} を復元しました（記録 {records} 件、参加者 {participants} 人）"
    );
    if let Some(kept) = restored.kept.as_deref() {
        let kept = kept.display();
        line.push_str(&localized!(
            "; the former database is kept as {kept}",
            "。以前のデータベースは {kept} に残してあります"
        ));
    }
    report(cli, &line)?;
    Ok(Exit::Done)
}
