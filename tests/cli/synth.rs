//! `synth`

use crate::run::Place;

#[test]
fn a_cohort_is_written_alike_twice_and_is_without_fault() {
    let place = Place::new();
    for folder in ["a", "b/c"] {
        let ended = place
            .run(&[
                "synth",
                "--participants",
                "3",
                "--days",
                "40",
                "--seed",
                "7",
                "-o",
                folder,
            ])
            .exits(0);
        assert_eq!(ended.err, "");
        assert!(
            ended.out.contains(&format!("kenko-fhir import {folder} ")),
            "{}",
            ended.out
        );
    }
    let submission = "submissions/A00001-00000-001.json";
    assert_eq!(
        place.read(&format!("a/{submission}")),
        place.read(&format!("b/c/{submission}"))
    );
    let checked = place
        .run(&[
            "validate",
            "--registries",
            "a/registries",
            "a/submissions/A00001-00000-000.json",
            &format!("a/{submission}"),
        ])
        .exits(0);
    assert_eq!(checked.err, "");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_refused() {
    let place = Place::new();
    place.write("taken", "");
    place
        .run(&["synth", "--participants", "1", "--days", "1", "-o", "taken"])
        .exits(2)
        .says("taken");
}
