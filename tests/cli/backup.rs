//! `backup` and `restore`, beside a server and after one.

use crate::run::{Place, first, repository};
use crate::serve::Running;

/// A place with a database of one submission.
fn filled() -> Place {
    let place = Place::new();
    place
        .run(&["import", &repository("examples/registries"), &first()])
        .exits(0);
    place
}

fn names(place: &Place) -> Vec<String> {
    let folder = std::fs::read_dir(place.path(".")).unwrap();
    let mut names: Vec<_> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn restore_waits_for_the_end_of_a_server_and_tells_what_it_did() {
    let place = filled();
    let mut running = Running::start(&place, &[]);
    let told = place.run(&["backup", "snapshot.db"]).exits(0).out;
    assert!(told.starts_with("wrote snapshot.db: "), "{told}");
    place
        .run(&["restore", "snapshot.db"])
        .exits(3)
        .says("in use by another program");
    place
        .run_with(&[("LANG", "ja_JP.UTF-8")], &["restore", "snapshot.db"])
        .exits(3)
        .says("使用中です");
    assert!(!names(&place).contains(&"kenko.db.before-restore".to_owned()));
    // An import beside a server is no replacement.
    place
        .run(&["import", &repository("examples/registries"), &first()])
        .exits(0);
    // Its lock ends with it, however it ends.
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let told = place.run(&["restore", "snapshot.db"]).exits(0).out;
    assert!(
        told.contains("records of") && told.contains("kept as") && told.contains(".before-restore"),
        "{told}"
    );
    let running = Running::start(&place, &[]);
    running.ends_by("-TERM");
}

#[test]
fn every_command_refuses_a_file_of_others() {
    let place = Place::new();
    let other = rusqlite::Connection::open(place.path("kenko.db")).unwrap();
    other.execute_batch("CREATE TABLE record (n)").unwrap();
    drop(other);
    let before = std::fs::read(place.path("kenko.db")).unwrap();
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["migrate"],
        &["backup", "snapshot.db"],
        &["import", &first()],
        &["export", "--to", "ndjson", "-o", "out"],
        &["registry", "show", "participants"],
        &["restore", "kenko.db", "--database", "sqlite://other.db"],
    ] {
        place
            .run(command)
            .exits(2)
            .says("not a database of kenko-fhir");
    }
    assert_eq!(std::fs::read(place.path("kenko.db")).unwrap(), before);
    assert!(!place.path("snapshot.db").exists() && !place.path("other.db").exists());
}

#[test]
fn a_backup_that_fails_leaves_nothing_and_the_next_one_works() {
    let place = filled();
    let before = names(&place);
    place.run(&["backup", "nowhere/snapshot.db"]).exits(2);
    place.write("taken.db", "");
    place.run(&["backup", "taken.db"]).exits(2);
    std::fs::remove_file(place.path("taken.db")).unwrap();
    assert_eq!(names(&place), before);
    place.run(&["backup", "snapshot.db"]).exits(0);
    place.run(&["restore", "snapshot.db"]).exits(0);
}
