//! Many faults: equal ones are counted, all of them can be had, and a report file has each.

use serde_json::Value;

use crate::run::{Place, first, repository};

/// A submission with this many equal faults, and one of another kind at its end.
fn faulty(weights: usize) -> String {
    let weight = |n: usize, value: &str| {
        let (day, minute, second) = (1 + n / 86_400, n / 60 % 60, n % 60);
        let hour = n / 3600 % 24;
        format!(
            "{{\"observation_time\":\"201609{day:02}{hour:02}{minute:02}{second:02}\",\"body_weight\":{value},\
             \"model_manufacturer_code\":\"ACME\",\"model_number\":\"WS-100\",\
             \"production_specification_serial\":\"1\",\"data_input_code\":\"0\",\
             \"origin_of_time_code\":\"1\",\"update_time\":\"20161001000000000\"}}"
        )
    };
    let mut records: Vec<String> = (0..weights).map(|n| weight(n, "65.505")).collect();
    records.push(weight(weights, "-1"));
    format!(
        "{{\"format_version\":\"1.0\",\"send_time\":\"20161001000000000\",\"consortium_id\":\"A00001\",\
         \"person_information\":[{{\"person_id\":\"P0000000000000000001\",\"healthcare_information\":\
         {{\"weighing_scale\":[{}]}}}}]}}",
        records.join(",")
    )
}

#[test]
fn equal_faults_are_listed_a_few_times_and_counted_beyond() {
    let place = Place::new();
    place.write("a.json", faulty(5000));
    let said = place.run(&["validate", "a.json"]).exits(1).err;
    let listed = said
        .lines()
        .filter(|line| line.contains(": decimals: "))
        .count();
    assert!(listed <= 11, "{said}");
    assert!(said.contains("/person_information/*/healthcare_information/weighing_scale/*/body_weight: decimals: 4990 more"), "{said}");
    assert!(said.contains("--all"), "{said}");
    assert!(said.contains(": range: "), "the other kind is seen: {said}");
    let all = place.run(&["validate", "--all", "a.json"]).exits(1).err;
    let listed = all
        .lines()
        .filter(|line| line.contains(": decimals: "))
        .count();
    assert_eq!(listed, 5000);
    let japanese = place.run_with(&[("LANG", "ja_JP.UTF-8")], &["validate", "a.json"]);
    let japanese = japanese.exits(1).err;
    assert!(japanese.contains("同じ不備がほかに 4990 件"), "{japanese}");
}

#[test]
fn a_report_has_every_fault_as_json_or_csv() {
    let place = Place::new();
    place.write("a.json", faulty(200));
    place
        .run(&["validate", "a.json", "--report", "r.json"])
        .exits(1);
    let rows: Vec<Value> = serde_json::from_str(&place.read("r.json")).unwrap();
    let decimals = rows.iter().filter(|row| row["code"] == "decimals").count();
    assert_eq!(decimals, 200);
    let row = &rows[0];
    assert_eq!(row["file"], "a.json");
    assert!(
        row["line"].as_u64() > Some(0) && row["column"].as_u64() > Some(0),
        "{row}"
    );
    assert!(
        row["pointer"]
            .as_str()
            .unwrap()
            .starts_with("/person_information/0/")
    );
    place
        .run(&["validate", "a.json", "--report", "r.csv"])
        .exits(1);
    let csv = place.read("r.csv");
    let header = csv.lines().next().unwrap();
    assert_eq!(
        header,
        "\u{feff}file,pointer,severity,code,expected,found,message,line,column"
    );
    assert_eq!(csv.matches(",error,decimals,").count(), 200);
    // Without a fault it is there all the same, and says so.
    place
        .run(&["validate", &first(), "--report", "none.json"])
        .exits(0);
    assert_eq!(
        serde_json::from_str::<Vec<Value>>(&place.read("none.json"))
            .unwrap()
            .len(),
        0
    );
    place
        .run(&["validate", &first(), "--report", "r.txt"])
        .exits(2)
        .says(".csv");
    // Of an import and a conversion too.
    let lists = repository("examples/registries");
    place
        .run(&["import", &lists, "a.json", "--report", "i.json"])
        .exits(1);
    assert!(place.read("i.json").contains("decimals"));
    place
        .run(&["convert", "a.json", "--report", "c.json"])
        .exits(1);
    assert!(place.read("c.json").contains("decimals"));
}
