//! Several Observations, one record (mapping specification §2.6, §5.5).

use super::build::*;
use super::*;

#[test]
fn two_records_of_one_identity_are_both_refused() {
    let (submissions, outcome) = read(
        &bundle(vec![
            weight(quantity("65.5", "kg")),
            weight(quantity("66.5", "kg")),
            weight(quantity("66.5", "kg")),
        ])
        .to_string(),
    );
    assert!(records(&submissions).is_empty());
    let told = errors(&outcome);
    assert_eq!(told.len(), 3);
    assert_eq!(
        told[0],
        (
            Code::DuplicateIdentity,
            "Bundle.entry[3].resource".to_owned()
        )
    );
}

#[test]
fn parts_that_do_not_agree_are_refused() {
    let file = |name: &str| -> Value {
        let text = std::fs::read_to_string(format!("tests/golden/weighing_scale/{name}.json"));
        serde_json::from_str(&text.unwrap()).unwrap()
    };
    let panel = {
        let mut panel = file("resource");
        panel.as_object_mut().unwrap().shift_remove("component");
        panel
    };
    let part = file("part-body_fat");
    let reference = panel["device"]["reference"].as_str().unwrap();
    let device = json!({"resourceType": "Device", "id": reference.split('/').nth(1),
        "manufacturer": "ACME", "modelNumber": "WS-100", "serialNumber": "WS0001234"});
    let together = |part: &Value| {
        let lines = [part, &device, &panel].map(Value::to_string).join("\n");
        read(&lines)
    };
    let (submissions, outcome) = together(&part);
    assert_eq!(outcome.issues, []);
    assert_eq!(field(&records(&submissions)[0], "body_fat"), "18.2");
    let mut other = part.clone();
    other["issued"] = json!("2016-09-01T08:15:00.124+09:00");
    let (submissions, outcome) = together(&other);
    assert!(records(&submissions).is_empty());
    assert_eq!(
        errors(&outcome),
        [(Code::RecordInconsistent, "Observation".to_owned())]
    );
    let mut broken = part;
    broken["valueQuantity"]["code"] = json!("1");
    let (submissions, outcome) = together(&broken);
    assert!(records(&submissions).is_empty());
    assert_eq!(errors(&outcome)[0].0, Code::UnitUnknown);
}
