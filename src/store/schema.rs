//! Whether a SQLite database is one of this program, and of a version that it knows.
//!
//! A database says whose it is in its header (`PRAGMA application_id`). One from before that
//! was set is known by its first migration.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::files::beside;
use super::sqlite::MIGRATIONS;
use super::{Error, Result};

/// "KENK" in ASCII.
const APPLICATION_ID: i32 = 0x4B45_4E4B;

/// Contents of a database, as far as that can be told without reading all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nothing.
    Empty,
    /// A schema of this program.
    Ours,
    /// Something else.
    Foreign,
}

/// Marks a database that has no owner as one of this program.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<()> {
    match application_id(connection)? {
        0 => connection.pragma_update(None, "application_id", APPLICATION_ID),
        _ => Ok(()),
    }
}

fn application_id(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

/// Refuses to open a file that is no database of this program, without touching it. One that
/// is not there, or is empty, will be one.
///
/// # Errors
/// [`Error::Foreign`]; [`Error::Newer`].
pub(super) fn check(path: &Path) -> Result<()> {
    if std::fs::metadata(path).map_or(true, |file| file.is_file() && file.len() == 0) {
        return Ok(());
    }
    let connection = open_source(path)?;
    match of_path(path, content(&connection))? {
        Content::Foreign => Err(Error::Foreign(path.to_owned())),
        Content::Empty => Ok(()),
        Content::Ours => check_version(&connection, path),
    }
}

/// Opens a file to read it. Beside a file without a log no other is made; the log of one that has
/// it is read along.
///
/// # Errors
/// [`Error::Reading`].
pub(super) fn open_source(path: &Path) -> Result<Connection> {
    let place = super::files::resolved(path);
    let has_log = ["-wal", "-journal"].map(|log| beside(&place, log).exists()) != [false; 2];
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let how = if has_log { "" } else { "?immutable=1" };
    let connection = Connection::open_with_flags(format!("file:{}{how}", escaped(path)), flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    Ok(connection)
}

/// Whether a file is a database that can be read, whosesoever.
pub(super) fn is_readable(path: &Path) -> bool {
    open_source(path).is_ok_and(|connection| tables(&connection).is_ok())
}

/// A path in a URI.
fn escaped(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                out.push(char::from(*byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A file that SQLite cannot read is foreign.
fn of_path(path: &Path, content: rusqlite::Result<Content>) -> Result<Content> {
    match content {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Ok(Content::Foreign)
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Err(Error::Damaged(format!("{}: {error}", path.display())))
        }
        other => Ok(other?),
    }
}

fn content(connection: &Connection) -> rusqlite::Result<Content> {
    match application_id(connection)? {
        APPLICATION_ID => return Ok(Content::Ours),
        0 => {}
        _ => return Ok(Content::Foreign),
    }
    if tables(connection)?.is_empty() {
        return Ok(Content::Empty);
    }
    Ok(match begins_as_ours(connection)? {
        true => Content::Ours,
        false => Content::Foreign,
    })
}

/// Whether the first migration was the first of ours.
fn begins_as_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let ours = MIGRATIONS.iter().next().map(|first| &*first.checksum);
    let applied = first_migration(connection)?;
    Ok(applied.is_some() && applied.as_deref() == ours)
}

/// The checksum of the migration that was the first.
fn first_migration(connection: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    if !tables(connection)?.contains("_sqlx_migrations") {
        return Ok(None);
    }
    let columns: i64 = connection.query_row(
        "SELECT count(*) FROM pragma_table_info('_sqlx_migrations') \
         WHERE name IN ('version', 'checksum')",
        [],
        |row| row.get(0),
    )?;
    if columns < 2 {
        return Ok(None);
    }
    connection
        .query_row(
            "SELECT checksum FROM _sqlx_migrations ORDER BY version LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
}

/// The last migration, if there is one.
fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    match tables(connection)?.contains("_sqlx_migrations") {
        true => connection.query_row("SELECT max(version) FROM _sqlx_migrations", [], |row| {
            row.get(0)
        }),
        false => Ok(None),
    }
}

fn tables(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut select = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = select.query_map([], |row| row.get(0))?;
    names.collect()
}

fn check_version(connection: &Connection, path: &Path) -> Result<()> {
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    match version(connection)? {
        Some(version) if version > known => Err(Error::Newer {
            database: path.display().to_string(),
            version,
            known,
        }),
        _ => Ok(()),
    }
}

/// Checks all of a database that is to be used in the place of another: that it is one of this
/// program, of no newer version, with every table that its version has, and not damaged.
///
/// # Errors
/// [`Error::Foreign`], [`Error::Newer`], [`Error::Damaged`].
pub(super) fn verify(connection: &Connection, path: &Path) -> Result<()> {
    let foreign = || Error::Foreign(path.to_owned());
    if of_path(path, content(connection))? != Content::Ours || !begins_as_ours(connection)? {
        return Err(foreign());
    }
    check_version(connection, path)?;
    let version = version(connection)?.ok_or_else(foreign)?;
    let model = Connection::open_in_memory()?;
    for migration in MIGRATIONS.iter().filter(|m| m.version <= version) {
        model.execute_batch(migration.sql.as_str())?;
    }
    let there = tables(connection)?;
    let missing: Vec<_> = tables(&model)?.difference(&there).cloned().collect();
    if !missing.is_empty() {
        let (path, missing) = (path.display(), missing.join(", "));
        return Err(Error::Damaged(format!(
            "{path}: without the tables {missing}"
        )));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(Error::Damaged(format!("{}: {verdict}", path.display()))),
    }
}
