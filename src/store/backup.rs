//! Snapshots of a SQLite database while it is in use, and back.

use std::path::Path;

use super::{Error, Result, Store, Writer};

impl Store {
    /// Writes a snapshot of the database to `file`, which must not exist yet.
    ///
    /// # Errors
    /// [`Error::File`] where the file exists; [`Error::Address`] where the database is on a
    /// server; [`Error::Database`].
    pub async fn backup(&self, file: &Path) -> Result<()> {
        let Writer::Sqlite(pool) = &self.write else {
            return Err(super::not_a_file("the database"));
        };
        if file.exists() {
            return Err(Error::File {
                path: file.to_owned(),
                source: std::io::ErrorKind::AlreadyExists.into(),
            });
        }
        // VACUUM INTO reads one consistent state and does not hold up the writer.
        sqlx::query("VACUUM INTO $1")
            .bind(file.to_string_lossy().into_owned())
            .execute(pool)
            .await?;
        Ok(())
    }
}

/// Puts a snapshot in the place of the database at `database`, which no program may have
/// open. The former database stays beside it as `….before-restore`.
///
/// # Errors
/// [`Error::File`] where a file cannot be read or written; [`Error::Damaged`] where the
/// snapshot is not a database of this program.
pub async fn restore(snapshot: &Path, database: &Path) -> Result<()> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    check(snapshot).await?;
    let beside = |suffix: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    let fresh = beside(".restoring");
    std::fs::copy(snapshot, &fresh).map_err(io(snapshot))?;
    std::fs::File::open(&fresh)
        .and_then(|f| f.sync_all())
        .map_err(io(&fresh))?;
    if database.exists() {
        // What stands in the write-ahead log belongs to the former database.
        for suffix in ["-wal", "-shm"] {
            let file = beside(suffix);
            if file.exists() {
                let kept = beside(&format!(".before-restore{suffix}"));
                std::fs::rename(&file, kept).map_err(io(&file))?;
            }
        }
        std::fs::rename(database, beside(".before-restore")).map_err(io(database))?;
    }
    std::fs::rename(&fresh, database).map_err(io(&fresh))?;
    Ok(())
}

/// Whether a file is a database of this program.
async fn check(snapshot: &Path) -> Result<()> {
    use sqlx::Connection as _;
    let damaged = |e: sqlx::Error| Error::Damaged(format!("{}: {e}", snapshot.display()));
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(snapshot)
        .read_only(true)
        .immutable(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options)
        .await
        .map_err(damaged)?;
    sqlx::query("SELECT count(*) FROM record")
        .fetch_one(&mut connection)
        .await
        .map_err(damaged)?;
    let row = sqlx::query("PRAGMA quick_check")
        .fetch_one(&mut connection)
        .await
        .map_err(damaged)?;
    let verdict: String = sqlx::Row::try_get(&row, 0).map_err(damaged)?;
    if verdict != "ok" {
        return Err(Error::Damaged(format!("{}: {verdict}", snapshot.display())));
    }
    Ok(())
}
