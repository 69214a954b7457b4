//! The registry lists on the command line.

use crate::run::{Place, repository};

#[test]
fn a_template_of_each_list_is_taken_back() {
    let place = Place::new();
    for list in [
        "consortia",
        "participants",
        "laboratories",
        "devices",
        "hba1c-methods",
        "activity-recording-times",
    ] {
        for format in ["csv", "json"] {
            let show = ["registry", "show", list, "--empty", "--format", format];
            let template = place.run(&show).exits(0).out;
            let file = format!("{list}.{format}");
            place.write(&file, &template);
            let told = place.run(&["registry", "load", list, &file]).exits(0).out;
            let created = u32::from(format == "csv");
            assert!(
                told.contains(&format!("created: {created}, updated: 0")),
                "{told}"
            );
        }
        if cfg!(unix) {
            assert!(place.path("kenko.db").exists());
        }
    }
}

#[test]
fn rows_of_an_unknown_consortium_are_refused() {
    let place = Place::new();
    for list in ["participants", "laboratories"] {
        let file = repository(&format!("examples/registries/{list}.json"));
        let ended = place.run(&["registry", "load", list, &file]).exits(1);
        assert!(
            ended.err.contains("/0/consortium_id: consortium-unknown"),
            "{}",
            ended.err
        );
        let shown = place.run(&["registry", "show", list]).exits(0).out;
        assert_eq!(shown.trim(), "[]");
    }
}

#[test]
fn keys_that_lost_their_leading_zeros_are_warned_about() {
    let place = Place::new();
    let lists = repository("examples/registries");
    place.run(&["import", &lists]).exits(0);
    let header = "consortium_id,test_lab_id,test_lab_name,prefecture_code\r\n";
    for (key, warned) in [
        ("2", true),
        ("3E+11", true),
        ("7", false),
        ("000000000007", false),
    ] {
        place.write("laboratories.csv", format!("{header}A00001,{key},x,23\r\n"));
        let ended = place
            .run(&["registry", "load", "laboratories", "laboratories.csv"])
            .exits(0);
        assert_eq!(
            ended.err.contains("warning: "),
            warned,
            "{key}: {}",
            ended.err
        );
        if key == "2" {
            assert!(
                ended.err.contains("000000000002") && ended.err.contains("as text"),
                "{}",
                ended.err
            );
        }
    }
    place.write(
        "laboratories.csv",
        format!("{header}A00001,0009,x,23\r\nA00001,9,y,23\r\n"),
    );
    let ended = place
        .run(&["registry", "load", "laboratories", "laboratories.csv"])
        .exits(0);
    assert!(ended.err.contains("laboratories.csv:3:"), "{}", ended.err);
}
