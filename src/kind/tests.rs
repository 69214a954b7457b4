use super::Kinds;

#[test]
fn the_embedded_kinds_load() {
    let kinds = Kinds::embedded().unwrap_or_else(|faults| panic!("{faults}"));
    let names: Vec<&str> = kinds.iter().map(|k| k.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "weighing_scale",
            "home_blood_pressure",
            "physical_activity",
            "hba1c",
            "checkup_blood_pressure"
        ]
    );
    assert_eq!(
        kinds.sections,
        ["healthcare_information", "health_checkup_information"]
    );
}
