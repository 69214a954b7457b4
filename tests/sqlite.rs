//! A database in a file: its log stays short, its files are watched, whoever fails harms nobody.

#[path = "support/submission.rs"]
mod submission;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kenko_fhir::exchange;
use kenko_fhir::kind::Kinds;
use kenko_fhir::store::{self, Access, Error, Options, ReceiptQuery, RecordQuery, Store, Submit};
use submission::{submission, submission_of};

struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> File {
        File {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn open(&self, options: &Options) -> Store {
        open(&self.path("kenko.db"), options).await.unwrap()
    }
}

async fn open(path: &Path, options: &Options) -> Result<Store, Error> {
    let url = format!("sqlite://{}", path.display());
    Store::open_with(&url, Arc::new(Kinds::embedded().unwrap()), *options).await
}

async fn send(store: &Store, number: u32) -> Result<(), Error> {
    send_text(store, &submission(number)).await
}

async fn send_text(store: &Store, text: &str) -> Result<(), Error> {
    let options = exchange::Options::default();
    let mut read = exchange::read(store.kinds(), options, text.as_bytes()).unwrap();
    let how = Submit {
        auto: true,
        ..Submit::default()
    };
    let receipt = store.submit(&mut read, &how).await?;
    assert_eq!(receipt.counts.refused, 0);
    Ok(())
}

async fn receipts(store: &Store) -> usize {
    let all = ReceiptQuery {
        limit: 1_000_000,
        ..ReceiptQuery::default()
    };
    store
        .receipts(&Access::operator(), &all)
        .await
        .unwrap()
        .len()
}

/// Reads page after page until told to stop.
async fn read(store: Arc<Store>, stop: Arc<AtomicBool>) {
    let query = RecordQuery {
        limit: 500,
        ..RecordQuery::default()
    };
    while !stop.load(Ordering::Relaxed) {
        store.search(&Access::operator(), &query).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_stays_short_while_others_read_and_write() {
    let file = File::new();
    let limit = 3 << 20;
    let store = Arc::new(
        file.open(&Options {
            wal_limit: limit,
            ..Options::default()
        })
        .await,
    );
    send(&store, 0).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(read(store.clone(), stop.clone())))
        .collect();
    let log = file.path("kenko.db-wal");
    let (mut longest, mut written) = (0, 0);
    for number in 1..200 {
        let before = std::fs::metadata(&log).unwrap().len();
        send(&store, number).await.unwrap();
        let after = std::fs::metadata(&log).unwrap().len();
        longest = longest.max(after);
        written += after.saturating_sub(before);
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(written > 2 * limit, "too little was written: {written}");
    assert!(longest <= limit, "the log grew to {longest}");
    // Another program that reads one state for long holds up no writer for good.
    let other = rusqlite::Connection::open(file.path("kenko.db")).unwrap();
    other
        .execute_batch("BEGIN; SELECT count(*) FROM record")
        .unwrap();
    for number in 200..225 {
        send(&store, number).await.unwrap();
    }
    assert!(std::fs::metadata(&log).unwrap().len() > limit / 3);
    drop(other);
    let emptied = async {
        let mut number = 225;
        loop {
            send(&store, number).await.unwrap();
            if std::fs::metadata(&log).unwrap().len() <= limit / 3 {
                break;
            }
            number += 1;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(180), emptied).await;
    assert!(in_time.is_ok(), "the log stayed long");
    store.close().await;
}

#[tokio::test]
async fn the_log_of_a_large_transaction_is_cut_behind_it() {
    let file = File::new();
    let limit = 1 << 20;
    let store = file
        .open(&Options {
            wal_limit: limit,
            ..Options::default()
        })
        .await;
    let log = || std::fs::metadata(file.path("kenko.db-wal")).unwrap().len();
    send_text(&store, &submission_of(0, 5000)).await.unwrap();
    let emptied = async {
        while log() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), emptied).await;
    assert!(in_time.is_ok(), "{} bytes of log stayed", log());
    store.close().await;
}

#[tokio::test]
async fn what_is_given_up_in_the_middle_holds_up_nobody() {
    let file = File::new();
    let store = file.open(&Options::default()).await;
    for number in 0..40 {
        let wait = Duration::from_micros(u64::from(number) * 300);
        let _ = tokio::time::timeout(wait, send(&store, 1000 + number)).await;
    }
    let before = receipts(&store).await;
    send(&store, 0).await.unwrap();
    assert!(receipts(&store).await > before);
    store.ready().await.unwrap();
    store.close().await;
    assert!(send(&store, 1).await.unwrap_err().is_busy());
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_acknowledged_into_files_that_are_gone() {
    let file = File::new();
    let store = file.open(&Options::default()).await;
    send(&store, 0).await.unwrap();
    let fresh = || tokio::time::sleep(Duration::from_millis(1100));
    let names = ["kenko.db", "kenko.db-wal", "kenko.db-shm"].map(|name| file.path(name));
    for (number, name) in names.iter().enumerate() {
        let number = number as u32 * 10 + 1;
        let away = file.path("away");
        std::fs::rename(name, &away).unwrap();
        assert!(send(&store, number).await.unwrap_err().is_moved());
        std::fs::write(name, "another").unwrap();
        assert!(send(&store, number).await.unwrap_err().is_moved());
        fresh().await;
        assert!(store.ready().await.unwrap_err().is_moved());
        std::fs::rename(&away, name).unwrap();
        send(&store, number).await.unwrap();
        fresh().await;
        store.ready().await.unwrap();
    }
    assert_eq!(receipts(&store).await, 4);
    // The folder, too.
    let folder = file.folder.path().with_extension("away");
    std::fs::rename(file.folder.path(), &folder).unwrap();
    assert!(send(&store, 100).await.unwrap_err().is_moved());
    std::fs::rename(&folder, file.folder.path()).unwrap();
    send(&store, 100).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_writer_that_takes_long_is_not_broken() {
    let file = File::new();
    let store = file.open(&Options::default()).await;
    let other = rusqlite::Connection::open(file.path("kenko.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.ready().await.unwrap();
    drop(other);
    store.close().await;
}

/// Runs statements on a file.
fn sql(path: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_file_of_others_is_refused_and_left_as_it_is() {
    let file = File::new();
    for (name, content) in [
        (
            "plain.db",
            "CREATE TABLE record (n); INSERT INTO record VALUES (1)",
        ),
        ("app.db", "PRAGMA application_id = 7"),
        (
            "sqlx.db",
            "CREATE TABLE _sqlx_migrations (version, checksum); \
             INSERT INTO _sqlx_migrations VALUES (1, x'00')",
        ),
    ] {
        let path = file.path(name);
        sql(&path, content);
        let before = std::fs::read(&path).unwrap();
        let refused = open(&path, &Options::default()).await.err().unwrap();
        assert!(matches!(refused, Error::Foreign(_)), "{name}: {refused}");
        let refused = store::restore(&path, &file.path("new.db")).await;
        assert!(matches!(refused, Err(Error::Foreign(_))), "{name}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(!file.path("new.db").exists());
    }
    std::fs::write(file.path("text.db"), "not a database, and long enough").unwrap();
    let refused = open(&file.path("text.db"), &Options::default()).await;
    assert!(matches!(refused, Err(Error::Foreign(_))));
    let files = std::fs::read_dir(file.folder.path()).unwrap().count();
    assert_eq!(files, 4, "nothing was made beside them");
}

#[tokio::test]
async fn a_database_says_whose_it_is_and_one_of_a_newer_version_is_refused() {
    let file = File::new();
    file.open(&Options::default()).await.close().await;
    let path = file.path("kenko.db");
    let header = std::fs::read(&path).unwrap();
    assert_eq!(&header[68..72], b"KENK");
    // One from before that.
    sql(&path, "PRAGMA application_id = 0");
    file.open(&Options::default()).await.close().await;
    assert_eq!(&std::fs::read(&path).unwrap()[68..72], b"KENK");
    sql(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'newer', 1, x'00', 0)",
    );
    let refused = open(&path, &Options::default()).await.err().unwrap();
    assert!(matches!(refused, Error::Newer { version: 9999, .. }));
    let refused = store::restore(&path, &file.path("new.db")).await;
    assert!(matches!(refused, Err(Error::Newer { .. })));
}

#[tokio::test]
async fn a_snapshot_comes_back_with_its_log_and_the_former_database_is_kept() {
    let file = File::new();
    let store = file.open(&Options::default()).await;
    send(&store, 0).await.unwrap();
    let snapshot = file.path("snapshot.db");
    let told = store.backup(&snapshot).await.unwrap();
    assert_eq!(told.records, 10);
    assert!(store.backup(&snapshot).await.is_err(), "it was overwritten");
    let database = file.path("kenko.db");
    let refused = store::restore(&snapshot, &database).await;
    assert!(matches!(refused, Err(Error::InUse(_))), "it is open");
    store.close().await;
    // What a crash leaves: the last records are in the log alone.
    let crashed = file.path("crashed.db");
    let store = open(&crashed, &Options::default()).await.unwrap();
    send(&store, 0).await.unwrap();
    send(&store, 1).await.unwrap();
    for suffix in ["", "-wal"] {
        let name = |stem: &str| file.path(&format!("{stem}{suffix}"));
        std::fs::copy(name("crashed.db"), name("copied.db")).unwrap();
        std::fs::copy(name("crashed.db"), name("target.db")).unwrap();
    }
    store.close().await;
    let target = file.path("target.db");
    let restored = store::restore(&snapshot, &target).await.unwrap();
    assert_eq!(restored.snapshot.records, 10);
    assert_eq!(restored.kept, Some(file.path("target.db.before-restore")));
    let restored = store::restore(&file.path("copied.db"), &target)
        .await
        .unwrap();
    assert_eq!(restored.snapshot.records, 20);
    assert_eq!(restored.kept, Some(file.path("target.db.before-restore-2")));
    for (name, records) in [("", 20), (".before-restore", 20), (".before-restore-2", 10)] {
        let path = file.path(&format!("target.db{name}"));
        let new = file.path(&format!("new{name}.db"));
        let found = store::restore(&path, &new).await.unwrap();
        assert_eq!(found.snapshot.records, records, "target.db{name}");
        assert_eq!(found.kept, None);
    }
    let store = open(&target, &Options::default()).await.unwrap();
    assert_eq!(receipts(&store).await, 2);
    store.close().await;
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_replaces_nothing() {
    let file = File::new();
    let store = file.open(&Options::default()).await;
    for number in 0..5 {
        send(&store, number).await.unwrap();
    }
    let snapshot = file.path("snapshot.db");
    store.backup(&snapshot).await.unwrap();
    store.close().await;
    let database = file.path("kenko.db");
    let before = std::fs::read(&database).unwrap();
    let whole = std::fs::read(&snapshot).unwrap();
    let mut torn = whole.clone();
    let middle = torn.len() / 2;
    torn[middle..].fill(0xAA);
    for content in [&torn[..], &whole[..middle], &whole[..100]] {
        std::fs::write(&snapshot, content).unwrap();
        let refused = store::restore(&snapshot, &database).await;
        assert!(
            refused.is_err(),
            "{} bytes of {}",
            content.len(),
            whole.len()
        );
    }
    std::fs::write(&snapshot, &whole).unwrap();
    sql(&snapshot, "DROP TABLE quarantine");
    let refused = store::restore(&snapshot, &database).await;
    assert!(matches!(refused, Err(Error::Damaged(why)) if why.contains("quarantine")));
    assert_eq!(std::fs::read(&database).unwrap(), before);
    assert!(!file.path("kenko.db.before-restore").exists());
    // A database that is damaged itself can be replaced, and is kept as it is.
    std::fs::write(&snapshot, &whole).unwrap();
    std::fs::write(&database, &torn).unwrap();
    let restored = store::restore(&snapshot, &database).await.unwrap();
    assert_eq!(std::fs::read(restored.kept.unwrap()).unwrap(), torn);
    file.open(&Options::default()).await.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn new_files_are_for_their_owner_and_replaced_ones_as_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let file = File::new();
    let store = file.open(&Options::default()).await;
    send(&store, 0).await.unwrap();
    store.backup(&file.path("snapshot.db")).await.unwrap();
    let mode = |name: &str| {
        let found = std::fs::metadata(file.path(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    for name in [
        "kenko.db",
        "kenko.db-wal",
        "kenko.db-shm",
        "kenko.db-lock",
        "snapshot.db",
    ] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    store.close().await;
    let group = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(file.path("kenko.db"), group).unwrap();
    store::restore(&file.path("snapshot.db"), &file.path("kenko.db"))
        .await
        .unwrap();
    assert_eq!(mode("kenko.db"), 0o640);
    let names = std::fs::read_dir(file.folder.path()).unwrap();
    let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "kenko.db",
            "kenko.db-lock",
            "kenko.db.before-restore",
            "snapshot.db"
        ]
    );
}
