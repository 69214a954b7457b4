//! Every code and every unit of mapping specification §5.4, in and out.

use super::build::*;
use super::*;

const JPBODY: &str = "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationBodyMeasurementCode_CS";
const MDC: &str = "urn:iso:std:iso:11073:10101";
pub const PGHD: &str = "http://hl7.org/fhir/uv/phr/CodeSystem/observation-pghd-codes";
const TOKUTEI: &str = "urn:oid:1.2.392.200119.6.1005";

pub type Coded = (&'static str, &'static str);

/// A value in a unit of UCUM, or in one that only a text names.
fn in_unit(value: &str, unit: &str) -> Value {
    let value: serde_json::Number = value.parse().unwrap();
    match unit.strip_prefix("text ") {
        Some(text) => json!({"value": value, "unit": text}),
        None if unit.is_empty() => json!({"value": value}),
        None => quantity(&value.to_string(), unit),
    }
}

/// What becomes of each code in each unit: every pair must give the value.
#[track_caller]
pub fn all_taken(
    field_name: &str,
    make: impl Fn(Coded, Value) -> Value,
    codes: &[Coded],
    units: &[(&str, &str, &str)],
) {
    for &code in codes {
        for (unit, written, expected) in units {
            let (submissions, outcome) =
                read(&bundle(vec![make(code, in_unit(written, unit))]).to_string());
            assert_eq!(errors(&outcome), [], "{code:?} {written} {unit}");
            let records = records(&submissions);
            assert_eq!(
                field(&records[0], field_name),
                *expected,
                "{code:?} {written} {unit}"
            );
        }
    }
}

/// The error that each code in each unit gives.
#[track_caller]
pub fn none_taken(
    make: impl Fn(Coded, Value) -> Value,
    codes: &[Coded],
    units: &[(&str, &str)],
    expected: Code,
) {
    for &code in codes {
        for (unit, written) in units {
            let (submissions, outcome) =
                read(&bundle(vec![make(code, in_unit(written, unit))]).to_string());
            assert!(
                records(&submissions).is_empty(),
                "{code:?} {written} {unit}"
            );
            let errors = errors(&outcome);
            assert!(
                errors.iter().any(|(code, _)| *code == expected),
                "{code:?}: {errors:?}"
            );
        }
    }
}

fn plainly(code: Coded, value: Value) -> Value {
    observation(concept(&[code]), value)
}

/// A home blood pressure of which one part is given.
fn pressure_with(which: usize, code: Coded, value: Value) -> Value {
    let mut out = pressure((LOINC, "85354-9"));
    let parts = [
        ("8480-6", "128", "mm[Hg]"),
        ("8462-4", "82", "mm[Hg]"),
        ("8867-4", "68", "/min"),
    ];
    let mut components: Vec<Value> = parts
        .iter()
        .map(|(code, value, unit)| component(concept(&[(LOINC, code)]), quantity(value, unit)))
        .collect();
    components[which] = component(concept(&[code]), value);
    out["component"] = json!(components);
    out
}

fn result(code: Coded, value: Value) -> Value {
    hba1c(&[code], value)
}

#[test]
fn weight() {
    let codes = [
        (LOINC, "29463-7"),
        (LOINC, "3141-9"),
        (JPBODY, "31000296"),
        (MDC, "188736"),
        (PGHD, "bodyMass"),
        (TOKUTEI, "9N006000000000001"),
        ("http://snomed.info/sct", "27113001"),
    ];
    let units = [
        ("kg", "65.5", "65.5"),
        ("text kg", "65.50", "65.50"),
        ("text Kg", "65.5", "65.5"),
        ("text ㎏", "65.5", "65.5"),
        ("g", "65500", "65.50"),
        ("text g", "65504", "65.50"),
        ("g", "65505", "65.51"),
        ("[lb_av]", "150", "68.04"),
    ];
    all_taken("body_weight", plainly, &codes, &units);
    all_taken("body_weight", plainly, &[(JPBODY, "31000297")], &units[4..]);
    none_taken(
        plainly,
        &codes,
        &[("[oz_av]", "1"), ("text lbs", "150"), ("", "65.5")],
        Code::UnitUnknown,
    );
    let refused = [
        (LOINC, "8341-0"),
        (JPBODY, "31003721"),
        (JPBODY, "31003728"),
        (JPBODY, "31002900"),
    ];
    none_taken(plainly, &refused, &[("kg", "65.5")], Code::CodeUnsupported);
}

#[test]
fn body_fat() {
    let make = |code: Coded, value: Value| {
        let mut out = super::build::weight(quantity("65.5", "kg"));
        out["component"] = json!([component(concept(&[code]), value)]);
        out
    };
    let codes = [
        (LOINC, "41982-0"),
        (JPBODY, "31001697"),
        (MDC, "188748"),
        (PGHD, "bodyFatPercentage"),
    ];
    all_taken(
        "body_fat",
        make,
        &codes,
        &[("%", "18.2", "18.2"), ("text %", "18.25", "18.25")],
    );
    // A fraction or a percentage? Nobody can tell.
    none_taken(
        make,
        &codes,
        &[("1", "0.21"), ("", "0.21"), ("1", "21"), ("", "21")],
        Code::UnitUnknown,
    );
}

#[test]
fn blood_pressure() {
    for code in [
        (LOINC, "85354-9"),
        (LOINC, "55284-4"),
        (MEDIS, "31002365"),
        (MEDIS, "31002368"),
        (MEDIS, "31002369"),
        (MDC, "150020"),
        (PGHD, "bloodPressure"),
        ("urn:oid:1.2.392.200119.4.804", "31002365"),
    ] {
        assert_eq!(field(&one(pressure(code)), "systolic"), "128", "{code:?}");
    }
    let units = [
        ("mm[Hg]", "128", "128"),
        ("text mmHg", "128.5", "129"),
        ("text mm[Hg]", "128.49", "128"),
        ("text ㎜Hg", "128", "128"),
    ];
    let systolic = [
        (LOINC, "8480-6"),
        (MEDIS, "31001848"),
        (MEDIS, "31006129"),
        (MEDIS, "31006131"),
        (MDC, "150021"),
        (TOKUTEI, "9A751000000000001"),
        (TOKUTEI, "9A755000000000001"),
    ];
    all_taken(
        "systolic",
        |code, value| pressure_with(0, code, value),
        &systolic,
        &units,
    );
    let diastolic = [
        (LOINC, "8462-4"),
        (MEDIS, "31001849"),
        (MEDIS, "31006130"),
        (MEDIS, "31006132"),
        (MDC, "150022"),
        (TOKUTEI, "9A762000000000001"),
    ];
    all_taken(
        "diastolic",
        |code, value| pressure_with(1, code, value),
        &diastolic,
        &units,
    );
    none_taken(
        |code, value| pressure_with(0, code, value),
        &systolic[..1],
        &[("kPa", "17"), ("", "128")],
        Code::UnitUnknown,
    );
    // The mean alone, an invasive one, other places of the body.
    for code in [
        (LOINC, "8478-0"),
        (LOINC, "8479-8"),
        (MEDIS, "31006120"),
        (MEDIS, "31006133"),
    ] {
        none_taken(plainly, &[code], &[("mm[Hg]", "97")], Code::CodeUnsupported);
    }
}

#[test]
fn pulse() {
    let make = |code, value| pressure_with(2, code, value);
    let codes = [
        (LOINC, "8867-4"),
        (MEDIS, "31001390"),
        (MEDIS, "31000595"),
        (MDC, "149546"),
        (PGHD, "heartRate"),
        (TOKUTEI, "9N121000000000001"),
    ];
    let units = [
        ("/min", "68", "68"),
        ("{beats}/min", "68.5", "69"),
        ("{Beats}/min", "68.4", "68"),
        ("text /min", "68", "68"),
        ("text 回/分", "68", "68"),
        ("text 拍/分", "68", "68"),
        ("text bpm", "68", "68"),
        ("text beats/minute", "68", "68"),
    ];
    all_taken("pulse_rate", make, &codes, &units);
    none_taken(
        make,
        &codes,
        &[("mm[Hg]", "68"), ("Hz", "1")],
        Code::UnitUnknown,
    );
    // At rest, maxima and means, of an oximeter.
    let refused = [
        (LOINC, "40443-4"),
        (LOINC, "8873-2"),
        (LOINC, "55425-3"),
        (LOINC, "55426-1"),
        (MDC, "149530"),
    ];
    none_taken(plainly, &refused, &[("/min", "68")], Code::CodeUnsupported);
}

#[test]
fn hba1c_by_every_code() {
    let ngsp = [
        (LOINC, "4548-4"),
        (LOINC, "17856-6"),
        (LOINC, "4549-2"),
        (LOINC, "71875-9"),
        (LOINC, "96595-4"),
        (
            "http://medis.or.jp/CodeSystem/master-JLAC10-17digits",
            "3D046000001920402",
        ),
        ("urn:oid:1.2.392.200119.4.504", "3D046000001999902"),
        (
            "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationLabResultCode_CS",
            "3D046000001906202",
        ),
        (
            "http://jpfhir.jp/fhir/clins/CodeSystem/JLAC10/JP_CLINS_ObsLabResult_CoreLabo_CS",
            "3D046000001927102",
        ),
        (
            "http://jpfhir.jp/fhir/clins/CodeSystem/JLAC11/JP_CLINS_ObsLabResult_CoreLabo_CS",
            "3D046000001927102",
        ),
        (
            "http://jpfhir.jp/fhir/clins/CodeSystem/JP_CLINS_ObsLabResult_CoreLabo_CS",
            "3D046000001927102",
        ),
        (TOKUTEI, "3D046000001906202"),
    ];
    let units = [
        ("%", "7.0", "7.0"),
        ("%", "5.59", "5.6"),
        ("text %", "7.0", "7.0"),
        ("mmol/mol", "48", "6.5"),
        ("text mmol/mol", "53", "7.0"),
    ];
    all_taken("hba1c_value", result, &ngsp, &units);
    none_taken(
        result,
        &ngsp,
        &[("g/dL", "0.9"), ("1", "0.07"), ("", "7.0")],
        Code::UnitUnknown,
    );
    let ifcc = [(LOINC, "59261-8")];
    all_taken(
        "hba1c_value",
        result,
        &ifcc,
        &[("mmol/mol", "42", "6.0"), ("text mmol/mol", "53", "7.0")],
    );
    none_taken(result, &ifcc, &[("%", "6.1")], Code::UnitUnknown);
    let jds = [
        (LOINC, "62388-4"),
        (
            "http://medis.or.jp/CodeSystem/master-JLAC10-17digits",
            "3D045000001920402",
        ),
        (TOKUTEI, "3D045000001906202"),
    ];
    all_taken(
        "hba1c_value",
        result,
        &jds,
        &[("%", "6.1", "6.5"), ("%", "5.2", "5.6")],
    );
    none_taken(result, &jds, &[("mmol/mol", "48")], Code::UnitUnknown);
    let refused = [
        (LOINC, "41995-2"),
        (LOINC, "17855-8"),
        (LOINC, "55454-3"),
        (LOINC, "86910-7"),
    ];
    none_taken(result, &refused, &[("%", "6.1")], Code::CodeUnsupported);
}

#[test]
fn codes_of_different_quantities_are_ambiguous() {
    for codes in [
        [(LOINC, "4548-4"), (LOINC, "59261-8")],
        [(LOINC, "4548-4"), (LOINC, "62388-4")],
        [(LOINC, "59261-8"), (LOINC, "62388-4")],
        // One that is refused beside one that is taken.
        [(LOINC, "4548-4"), (LOINC, "17855-8")],
    ] {
        refused(
            hba1c(&codes, quantity("48", "mmol/mol")),
            Code::CodeAmbiguous,
            ".code",
        );
    }
    let mut weight = super::build::weight(quantity("65.5", "kg"));
    weight["code"] = concept(&[(LOINC, "29463-7"), (LOINC, "8341-0")]);
    refused(weight, Code::CodeAmbiguous, ".code");
    // Codings of no system, or of one that nobody knows, say nothing.
    let mut weight = super::build::weight(quantity("65.5", "kg"));
    weight["code"]["coding"] = json!([{"code": "8341-0"}, {"system": "http://else", "code": "x"},
        {"system": LOINC, "code": "29463-7"}]);
    one(weight);
}

#[test]
fn a_unit_of_ucum_is_its_code_and_not_the_text_beside_it() {
    let mut out = super::build::weight(quantity("150", "[lb_av]"));
    out["valueQuantity"]["unit"] = json!("kg");
    assert_eq!(field(&one(out), "body_weight"), "68.04");
    // A code without its system, or of another, is none of UCUM.
    for value in [
        json!({"value": 65.5, "unit": "kg", "code": "kg"}),
        json!({"value": 65.5, "unit": "kg", "system": "http://units", "code": "kg"}),
        json!({"value": 65.5, "unit": "kg", "system": UCUM}),
    ] {
        let (_, outcome) = read(&bundle(vec![super::build::weight(value)]).to_string());
        assert_eq!(errors(&outcome)[0].0, Code::UnitUnknown);
    }
}
