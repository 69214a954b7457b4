//! Snapshots of a SQLite database while it is in use, and back.
//!
//! A snapshot is copied page by page within one read transaction, into a draft that takes its
//! name when it is whole and durable. While it is copied the write-ahead log of the database
//! cannot be emptied; nothing that reads its rows would be as quick.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::files::{beside, like, lock_exclusively, private, resolved, sync_folder, try_room};
use super::schema::{self, open_source, verify};
use super::{Error, Result, Store, Writer};

/// Pages after which a copy looks whether it is still wanted.
const PAGES: i32 = 1024;

/// Contents of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Records.
    pub records: i64,
    /// Participants.
    pub participants: i64,
}

/// Result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Contents of the database now.
    pub snapshot: Snapshot,
    /// Where the former database is kept, if there was one.
    pub kept: Option<PathBuf>,
}

impl Store {
    /// Writes a snapshot of the database to `file`, which must not exist yet. Until it is whole it
    /// is [`draft`]; given up, that is removed.
    ///
    /// # Errors
    /// [`Error::File`] where the file exists or cannot be written; [`Error::Address`] where the
    /// database is on a server; [`Error::Reading`].
    pub async fn backup(&self, file: &Path) -> Result<Snapshot> {
        let Writer::Sqlite(writer) = &self.write else {
            return Err(super::not_a_file("the database"));
        };
        let (database, file) = (writer.path().to_owned(), file.to_owned());
        blocking(move |stop| backup(&database, &file, stop)).await
    }
}

/// Puts a snapshot, and the log beside it, in the place of the database at `database`, which no
/// program may have open. The former database stays beside it as `….before-restore`, numbered
/// where there is one already. Until the snapshot is checked it is [`replacement`].
///
/// # Errors
/// [`Error::InUse`] where a program has the database open; [`Error::Foreign`],
/// [`Error::Newer`] and [`Error::Damaged`] where the snapshot is of no use, or the database of
/// another program; [`Error::File`] where a file cannot be read or written.
pub async fn restore(snapshot: &Path, database: &Path) -> Result<Restored> {
    let (snapshot, database) = (snapshot.to_owned(), database.to_owned());
    blocking(move |stop| replace(&snapshot, &database, stop)).await
}

/// The name under which a snapshot is written to a file.
pub fn draft(file: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    file.with_file_name(name)
}

/// The name under which a database is written that is to replace one.
pub fn replacement(database: &Path) -> PathBuf {
    beside(&resolved(database), ".restoring")
}

/// Runs work on a thread that may block; given up, it stops soon and clears up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&AtomicBool) -> Result<T> + Send + 'static,
) -> Result<T> {
    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = Stop(Arc::default());
    let stopped = stop.0.clone();
    let done = tokio::task::spawn_blocking(move || work(&stopped)).await;
    done.map_err(|_| sqlx::Error::WorkerCrashed)?
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::File {
        path: path.to_owned(),
        source,
    }
}

/// A database that is not whole yet; gone when it is dropped.
struct Draft(PathBuf);

impl Draft {
    /// Begins one, for its owner only; what an earlier run left is removed.
    fn new(path: PathBuf) -> Result<Draft> {
        let draft = Draft(path);
        draft.remove();
        let made = private().create_new(true).open(&draft.0);
        made.map_err(failed(&draft.0))?;
        Ok(draft)
    }

    fn remove(&self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }

    /// Copies a database into it as one file, and makes that durable.
    fn fill(&self, from: &Connection, stop: &AtomicBool) -> Result<()> {
        // SQLite calls it a fault of the disk when that is full for some reasons.
        let full = |error: rusqlite::Error| {
            let length = fs::metadata(&self.0).map_or(0, |file| file.len());
            let room = OpenOptions::new().write(true).open(&self.0);
            match room.and_then(|file| try_room(&file, length)) {
                Err(source) => failed(&self.0)(source),
                Ok(()) => error.into(),
            }
        };
        {
            let mut to = Connection::open(&self.0)?;
            // Nobody misses a draft.
            to.execute_batch("PRAGMA synchronous = off")?;
            to.query_row("PRAGMA journal_mode = off", [], |_| Ok(()))?;
            // One state, however long it takes.
            from.execute_batch("BEGIN")?;
            let copy = Backup::new(from, &mut to)?;
            loop {
                if stop.load(Ordering::Relaxed) {
                    return Err(failed(&self.0)(io::ErrorKind::Interrupted.into()));
                }
                match copy.step(PAGES).map_err(full)? {
                    StepResult::Done => break,
                    StepResult::More => {}
                    _ => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            drop(copy);
            from.execute_batch("COMMIT")?;
        }
        // Read anew, it is in the mode of its source, which keeps a log beside the file.
        let copy = Connection::open(&self.0)?;
        copy.query_row("PRAGMA journal_mode = delete", [], |_| Ok(()))
            .map_err(full)?;
        drop(copy);
        let synced = File::open(&self.0).and_then(|file| file.sync_all());
        synced.map_err(failed(&self.0))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.remove();
    }
}

fn contents(connection: &Connection) -> Result<Snapshot> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
    Ok(Snapshot {
        records: count("SELECT count(*) FROM record")?,
        participants: count("SELECT count(*) FROM participant")?,
    })
}

fn backup(database: &Path, file: &Path, stop: &AtomicBool) -> Result<Snapshot> {
    let taken = || failed(file)(io::ErrorKind::AlreadyExists.into());
    if file.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(database, flags)?;
    from.busy_timeout(Duration::from_secs(30))?;
    let draft = Draft::new(draft(file))?;
    draft.fill(&from, stop)?;
    drop(from);
    let snapshot = contents(&open_source(&draft.0)?)?;
    match fs::hard_link(&draft.0, file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken()),
        // No links here.
        Err(_) if file.symlink_metadata().is_ok() => return Err(taken()),
        Err(_) => fs::rename(&draft.0, file).map_err(failed(file))?,
    }
    drop(draft);
    sync_folder(file).map_err(failed(file))?;
    Ok(snapshot)
}

fn replace(snapshot: &Path, database: &Path, stop: &AtomicBool) -> Result<Restored> {
    let place = resolved(database);
    if resolved(snapshot) == place {
        return Err(Error::Address(format!(
            "{}: the snapshot is the database itself; name the file that backup wrote",
            snapshot.display()
        )));
    }
    let source = open_source(snapshot)?;
    verify(&source, snapshot)?;
    let _alone = lock_exclusively(&place)?;
    settle(&place)?;
    let draft = Draft::new(replacement(database))?;
    draft.fill(&source, stop)?;
    drop(source);
    let copy = open_source(&draft.0)?;
    verify(&copy, &draft.0)?;
    let snapshot = contents(&copy)?;
    drop(copy);
    like(&draft.0, &place).map_err(failed(&draft.0))?;
    let kept = keep(&place)?;
    fs::rename(&draft.0, &place).map_err(failed(&place))?;
    sync_folder(&place).map_err(failed(&place))?;
    Ok(Restored { snapshot, kept })
}

/// Takes the log of a database into its file, which nobody may have open, so that it is one file.
/// What is too damaged for that stays as it is.
fn settle(place: &Path) -> Result<()> {
    if !place.exists() {
        return Ok(());
    }
    match schema::check(place) {
        // Of another program, and in order.
        Err(Error::Foreign(path)) if schema::is_readable(place) => {
            return Err(Error::Foreign(path));
        }
        _ => {}
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let settled = Connection::open_with_flags(place, flags).and_then(|connection| {
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.query_row("PRAGMA journal_mode = delete", [], |_| Ok(()))
    });
    match settled {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            Err(Error::InUse(place.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Keeps what stands at a place under another name too, and its log under that alone: a log
/// would be taken for that of whatever comes there.
fn keep(place: &Path) -> Result<Option<PathBuf>> {
    let log = beside(place, "-wal");
    if !place.exists() && !log.exists() {
        return Ok(None);
    }
    let is_free = |path: &Path| path.symlink_metadata().is_err();
    let mut number = 1;
    let name = loop {
        let name = match number {
            1 => beside(place, ".before-restore"),
            n => beside(place, &format!(".before-restore-{n}")),
        };
        if is_free(&name) && is_free(&beside(&name, "-wal")) {
            break name;
        }
        number += 1;
    };
    if log.exists() {
        fs::rename(&log, beside(&name, "-wal")).map_err(failed(&log))?;
    }
    let _ = fs::remove_file(beside(place, "-shm"));
    if place.exists() && fs::hard_link(place, &name).is_err() {
        // No links here.
        fs::copy(place, &name)
            .and_then(|_| File::open(&name)?.sync_all())
            .map_err(failed(&name))?;
    }
    sync_folder(place).map_err(failed(place))?;
    Ok(Some(name))
}
