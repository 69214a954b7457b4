//! `devices` and `activity-recording-times` → DeviceDefinition; the device part of a record
//! → Device (mapping specification §3.4).

use serde_json::{Number, Value, json};

use super::{Element, Meta, identifier, key, reference};
use crate::fhir::canonical::{Canonical, MDC, UCUM};
use crate::fhir::id;
use crate::registry::Row;
use crate::store::Told;

/// The DeviceDefinition of a row of `devices` and, for an activity monitor, of the row of
/// `activity-recording-times` with the same key.
pub fn device_definition(
    base: &Canonical,
    row: &Row,
    recording_time: Option<&Row>,
    meta: Option<&Meta>,
) -> Value {
    let maker = key(row, "model_manufacturer_code");
    let model = key(row, "model_number");
    let mut out = Element::resource(
        "DeviceDefinition",
        &id::device_model(maker, model),
        meta,
        None,
    );
    let own = identifier(&base.sid("device-model"), &id::join(&[maker, model]));
    out.put("identifier", vec![own]);
    out.put_some("manufacturerString", row.text("manufacturer_name"));
    out.put_all("deviceName", device_name(row).unwrap_or_default());
    out.put("modelNumber", model);
    let kind = row.text("device_type_code");
    out.put_some("type", kind.map(|code| device_type(base, code)));
    let standards = row.items("standards_conformance").iter();
    out.put_all(
        "specialization",
        standards
            .map(|text| json!({ "systemType": text }))
            .collect(),
    );
    let clock = row.text("clock_correction").map(|text| {
        json!([{
            "type": property_type(base, "clock-correction"),
            "description": [{ "text": text }],
        }])
    });
    out.put_some("capability", clock);
    out.put_all("property", properties(base, row, recording_time));
    out.done()
}

/// Code and display in IEEE 11073 of a `device_type_code`.
pub fn device_nomenclature(device_type_code: &str) -> Option<(&'static str, &'static str)> {
    match device_type_code {
        "1" => Some(("528399", "MDC_DEV_SPEC_PROFILE_SCALE")),
        "2" => Some(("528391", "MDC_DEV_SPEC_PROFILE_BP")),
        "3" => Some(("528484", "MDC_DEV_SUB_SPEC_PROFILE_STEP_COUNTER")),
        // A phone app is no device of IEEE 11073.
        _ => None,
    }
}

fn device_type(base: &Canonical, code: &str) -> Value {
    let mut codings = vec![json!({ "system": base.code_system("device-type"), "code": code })];
    if let Some((code, display)) = device_nomenclature(code) {
        codings.push(json!({ "system": MDC, "code": code, "display": display }));
    }
    json!({ "coding": codings })
}

fn properties(base: &Canonical, row: &Row, recording_time: Option<&Row>) -> Vec<Value> {
    let texts = |code: &str, text: &str| json!({ "type": property_type(base, code), "valueCode": [{ "text": text }] });
    let quantity = |code: &str, digits: &str, unit: &str| {
        let value: Number = digits.parse().ok()?;
        Some(json!({
            "type": property_type(base, code),
            "valueQuantity": [{ "value": value, "unit": unit, "system": UCUM, "code": unit }],
        }))
    };
    let mut out = Vec::new();
    out.extend(row.text("accuracy").map(|text| texts("accuracy", text)));
    for (field, code) in [
        ("mean_error_percent", "mean-error"),
        ("error_q1_percent", "error-q1"),
        ("error_q3_percent", "error-q3"),
    ] {
        out.extend(
            row.text(field)
                .and_then(|digits| quantity(code, digits, "%")),
        );
    }
    if let Some(time) = recording_time {
        out.extend(time.text("day_start").map(|text| texts("day-start", text)));
        let minutes = time.text("recorded_minutes");
        out.extend(minutes.and_then(|digits| quantity("recorded-minutes", digits, "min")));
        out.extend(
            time.text("aggregation")
                .map(|text| texts("aggregation", text)),
        );
    }
    out
}

fn property_type(base: &Canonical, code: &str) -> Value {
    json!({ "coding": [{ "system": base.code_system("device-property"), "code": code }] })
}

fn device_name(row: &Row) -> Option<Vec<Value>> {
    let name = row.text("device_name")?;
    Some(vec![json!({ "name": name, "type": "user-friendly-name" })])
}

/// The Device of a record's device part, and of the row of `devices` where its model is
/// registered. The manufacturer is the code as it was sent.
pub fn device(
    base: &Canonical,
    [maker, model, serial]: [&str; 3],
    row: Option<&Row>,
    told: &Told,
    meta: Option<&Meta>,
) -> Value {
    let mut out = Element::resource("Device", &id::device(maker, model, serial), meta, None);
    let own = identifier(&base.sid("device"), &id::join(&[maker, model, serial]));
    out.put("identifier", [&[own], told.identifiers.as_slice()].concat());
    let definition = row.map(|_| reference("DeviceDefinition", &id::device_model(maker, model)));
    out.put_some("definition", definition);
    out.put("status", "active");
    out.put("manufacturer", maker);
    out.put("serialNumber", serial);
    let name = row.and_then(device_name).unwrap_or_default();
    out.put_all("deviceName", [name, told.names.clone()].concat());
    out.put("modelNumber", model);
    out.done()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_golden, row};
    use super::*;
    use crate::registry::{ACTIVITY_RECORDING_TIMES, DEVICES};

    fn blood_pressure_monitor() -> Row {
        row(
            &DEVICES,
            &json!({
                "model_manufacturer_code": "ACME", "model_number": "BP-200",
                "manufacturer_name": "アクメ株式会社", "device_name": "アクメ血圧計BP-200",
                "device_type_code": "2", "clock_correction": "アプリ起動時に自動補正",
                "standards_conformance": ["IEEE 11073-10415", "Continua Design Guidelines 2016"],
                "accuracy": "±3%以内",
            }),
        )
    }

    #[test]
    fn a_model_is_a_device_definition() {
        let base = Canonical::default();
        assert_golden(
            &device_definition(&base, &blood_pressure_monitor(), None, None),
            include_str!("../../../tests/golden/registry/DeviceDefinition-BP-200.json"),
        );
        let mut monitor = blood_pressure_monitor();
        for (field, text) in [
            ("model_number", "AM-500"),
            ("device_name", "アクメ活動量計AM-500"),
            ("device_type_code", "3"),
            ("mean_error_percent", "-1.2"),
            ("error_q1_percent", "-2.4"),
            ("error_q3_percent", "0.3"),
        ] {
            monitor.put(field, text).unwrap();
        }
        let time = row(
            &ACTIVITY_RECORDING_TIMES,
            &json!({
                "model_manufacturer_code": "ACME", "model_number": "AM-500",
                "day_start": "0000", "recorded_minutes": 1440, "aggregation": "1分値の合計",
            }),
        );
        assert_golden(
            &device_definition(&base, &monitor, Some(&time), None),
            include_str!("../../../tests/golden/registry/DeviceDefinition-AM-500.json"),
        );
    }

    #[test]
    fn errors_keep_the_decimals_written() {
        let mut row = blood_pressure_monitor();
        row.put("mean_error_percent", "-1.20").unwrap();
        let made = device_definition(&Canonical::default(), &row, None, None);
        let value = &made["property"][1]["valueQuantity"][0]["value"];
        assert_eq!(value.to_string(), "-1.20");
    }

    #[test]
    fn a_device_part_is_a_device() {
        let base = Canonical::default();
        let model = blood_pressure_monitor();
        assert_golden(
            &device(
                &base,
                ["ACME", "BP-200", "BP0005678"],
                Some(&model),
                &Told::default(),
                None,
            ),
            include_str!("../../../tests/golden/registry/Device-BP-200.json"),
        );
        let told = Told::default();
        let made = device(&base, ["ACME", "50%:1", "S"], None, &told, None);
        assert_eq!(made["identifier"][0]["value"], "ACME:50%25%3A1:S");
        assert_eq!(made.get("definition"), None);
    }
}
