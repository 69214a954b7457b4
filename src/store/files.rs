//! The files of a database in a file: the lock that its openers share, and whether they are
//! still the files that were opened.
//!
//! SQLite goes on writing to a file that was deleted or renamed, or whose log was: all of it
//! would be lost with the process. Device and inode of the paths are compared with those of
//! the files that were opened, before and after a commit.
//!
//! The lock stands in a file of its own (`…-lock`), because closing any descriptor of the
//! database would give up SQLite's locks of the whole process. It ends with the process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Error, Result};

/// Bytes that the disk must have room for, to be taken for not full.
const ROOM: usize = 64 << 10;

/// The files of an open database, and the lock that says so.
#[derive(Debug)]
pub(super) struct Files {
    /// As it was named.
    path: PathBuf,
    log: PathBuf,
    index: PathBuf,
    lock: File,
    /// Database, log and index as they were opened.
    opened: OnceLock<[Option<Identity>; 3]>,
}

/// Identity of a file, which another file of the same name does not have.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// Elsewhere a file that is open can be neither deleted nor replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    path.exists().then_some((0, 0))
}

/// A path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The path with links followed, also where the file is still to be made.
pub(super) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
        let name: Option<OsString> = path.file_name().map(Into::into);
        match (folder, name) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

/// A new file is for its owner only: it holds personal data.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Gives a file the mode and the owner of another, as far as that is permitted.
pub(super) fn like(file: &Path, model: &Path) -> io::Result<()> {
    let Ok(model) = fs::metadata(model) else {
        return Ok(());
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // Only root may give files away.
        let _ = std::os::unix::fs::chown(file, Some(model.uid()), Some(model.gid()));
    }
    fs::set_permissions(file, model.permissions())
}

/// Opens the lock file of a database at a resolved path, making it where it is missing.
fn lock_file(database: &Path) -> Result<File> {
    let path = beside(database, "-lock");
    let failed = |source| Error::File {
        path: path.clone(),
        source,
    };
    let made = private().read(true).create_new(true).open(&path);
    match made {
        Ok(file) => {
            like(&path, database).map_err(failed)?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let opened = OpenOptions::new().read(true).write(true).open(&path);
            // A lock needs no right to write.
            opened.or_else(|_| File::open(&path)).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn locked(database: &Path, tried: std::result::Result<(), TryLockError>) -> Result<()> {
    match tried {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(Error::File {
            path: beside(database, "-lock"),
            source,
        }),
    }
}

/// Keeps every other program of this kind from opening the database, until the lock is dropped.
///
/// # Errors
/// [`Error::InUse`] where one has it open.
pub(super) fn lock_exclusively(database: &Path) -> Result<File> {
    let file = lock_file(database)?;
    locked(database, file.try_lock())?;
    Ok(file)
}

impl Files {
    /// Locks the database against being replaced, and makes its file where it is missing.
    ///
    /// # Errors
    /// [`Error::InUse`] while it is replaced; [`Error::File`].
    pub fn open(path: &Path) -> Result<Files> {
        let place = resolved(path);
        let lock = lock_file(&place)?;
        locked(path, lock.try_lock_shared())?;
        if !place.exists() {
            let made = private().append(true).create(true).open(&place);
            made.map_err(|source| Error::File {
                path: path.to_owned(),
                source,
            })?;
        }
        Ok(Files {
            path: path.to_owned(),
            log: beside(&place, "-wal"),
            index: beside(&place, "-shm"),
            lock,
            opened: OnceLock::new(),
        })
    }

    /// The path, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn identities(&self) -> [Option<Identity>; 3] {
        [&self.path, &self.log, &self.index].map(|path| identity(path))
    }

    /// Remembers the files as they are: SQLite has just opened them, and will go on with these.
    pub fn remember(&self) {
        self.opened.get_or_init(|| self.identities());
    }

    /// Whether the paths still lead to the files that were opened.
    ///
    /// # Errors
    /// [`Error::Moved`] where one does not.
    pub fn check(&self) -> Result<()> {
        match self.opened.get() {
            Some(opened) if *opened != self.identities() => Err(Error::Moved(self.path.clone())),
            _ => Ok(()),
        }
    }

    /// Gives the lock up: nothing is open any more.
    pub fn close(&self) {
        // It ends with the process at the latest.
        let _ = self.lock.unlock();
    }

    /// Bytes of the write-ahead log.
    pub fn log_size(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |file| file.len())
    }

    /// Meaning of an error of SQLite: it calls a full disk a fault of it unless it was met by a
    /// plain write, so the disk is asked.
    pub fn classified(&self, error: Error) -> Error {
        let database = fs::metadata(&self.path).map_or(0, |file| file.len());
        let largest = database.max(self.log_size());
        let tried = if error.is_io() {
            let tried = try_room(&self.lock, largest);
            let cut = self.lock.set_len(0);
            tried.and(cut)
        } else {
            Ok(())
        };
        match tried {
            Ok(()) => error,
            Err(source) => Error::File {
                path: self.path.clone(),
                source,
            },
        }
    }
}

/// Tries whether the disk has room, and lets a file grow beyond so many bytes.
///
/// # Errors
/// Of the disk, of a quota, or of the limit of the process.
pub(super) fn try_room(mut file: &File, behind: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(behind))?;
    file.write_all(&vec![0x55; ROOM])?;
    file.sync_all()
}

/// Makes what was renamed in a folder durable.
pub(super) fn sync_folder(of: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = of.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = of;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openers_share_the_lock_and_whoever_replaces_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let one = Files::open(&path).unwrap();
        let two = Files::open(&path).unwrap();
        assert!(matches!(lock_exclusively(&path), Err(Error::InUse(_))));
        one.close();
        assert!(matches!(lock_exclusively(&path), Err(Error::InUse(_))));
        drop(two);
        let replaced = lock_exclusively(&path).unwrap();
        assert!(matches!(Files::open(&path), Err(Error::InUse(_))));
        drop(replaced);
        Files::open(&path).unwrap();
    }

    #[test]
    fn a_file_is_told_from_another_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let files = Files::open(&path).unwrap();
        fs::write(beside(&path, "-wal"), "log").unwrap();
        files.remember();
        files.check().unwrap();
        assert_eq!(files.log_size(), 3);
        for name in [path.clone(), beside(&path, "-wal")] {
            let away = beside(&name, ".away");
            fs::rename(&name, &away).unwrap();
            assert!(matches!(files.check(), Err(Error::Moved(_))));
            fs::write(&name, "another").unwrap();
            assert!(matches!(files.check(), Err(Error::Moved(_))));
            fs::rename(&away, &name).unwrap();
            files.check().unwrap();
        }
        let io = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        let error = files.classified(rusqlite::Error::SqliteFailure(io, None).into());
        assert!(matches!(error, Error::Reading(_)), "the disk has room");
        assert_eq!(fs::metadata(beside(&path, "-lock")).unwrap().len(), 0);
    }
}
