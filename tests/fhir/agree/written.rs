//! Observations as other systems write them: the codes, units, times and numbers that are
//! accepted, with whatever FHIR lets them say besides.

mod beside;

use kenko_fhir::fhir::id;
use serde_json::{Value, json};

use crate::model_rows::random::Dice;
use crate::server::{PERSON, PERSON_SID};
use beside::{foreign, more};

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
const MDC: &str = "urn:iso:std:iso:11073:10101";
const MEDIS: &str = "http://medis.or.jp/CodeSystem/master-nursingObservationKeyCode";
const JP_BODY: &str = "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationBodyMeasurementCode_CS";
const PGHD: &str = "http://hl7.org/fhir/uv/phr/CodeSystem/observation-pghd-codes";
const TOKUTEI: &str = "urn:oid:1.2.392.200119.6.1005";
const JLAC10: &str = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";
const HOSPITAL: &str = "http://hospital.example/codes";
const ITEM: &str = "https://kenko-fhir.example/fhir/CodeSystem/protocol-item";

/// Systems and codes of one thing.
type Codes = [(&'static str, &'static str)];
/// Numbers, each with the code and the text of its unit.
type Forms = [(&'static str, &'static str, &'static str)];

/// A system as it is written: as it is, or by another of its names.
fn system(system: &str, dice: &mut Dice) -> String {
    let aliases: &[&str] = match system {
        MEDIS => &[
            "urn:oid:1.2.392.200119.4.804",
            "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationVitalSignsCode_CS",
        ],
        JLAC10 => &[
            "urn:oid:1.2.392.200119.4.504",
            "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationLabResultCode_CS",
        ],
        LOINC => &["urn:oid:2.16.840.1.113883.6.1"],
        _ => &[],
    };
    match dice.of(aliases) {
        Some(alias) if dice.below(3) == 0 => (*alias).to_owned(),
        _ => system.to_owned(),
    }
}

/// Up to three of these codes, and perhaps one of a hospital.
fn concept(codes: &Codes, dice: &mut Dice) -> Value {
    let mut codings = Vec::new();
    for _ in 0..=dice.below(2) {
        let (of, code) = *dice.of(codes).unwrap();
        let mut coding = json!({ "system": system(of, dice), "code": code });
        if dice.below(3) == 0 {
            coding["display"] = json!(["Körper", "体重, 朝", "another display"][dice.below(3)]);
        }
        if dice.below(12) == 0 {
            coding["userSelected"] = json!(true);
        }
        if !codings.iter().any(|c: &Value| c["code"] == coding["code"]) {
            codings.push(coding);
        }
    }
    if dice.below(4) == 0 {
        let own = [
            json!({ "system": HOSPITAL, "code": "own|$,1", "display": "Own, code" }),
            json!({ "code": "no-system" }),
            json!({ "system": HOSPITAL, "version": "2", "code": "v" }),
            json!({ "display": "only a display" }),
        ];
        let at = if dice.below(2) == 0 { 0 } else { codings.len() };
        codings.insert(at, own[dice.below(own.len())].clone());
    }
    let mut out = json!({ "coding": codings });
    if dice.below(3) == 0 {
        out["text"] = json!(["Text of a code", "体重", "  two  spaces"][dice.below(3)]);
    }
    out
}

fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A number as it may be written: with further zeros, with digits beyond, with an exponent.
fn digits(text: &str, dice: &mut Dice) -> Value {
    let point = if text.contains('.') { "" } else { "." };
    let text = match dice.below(8) {
        0 => format!("{text}{point}0"),
        1 => format!("{text}{point}00"),
        2 => format!("{text}{point}0049"),
        3 => format!("{text}e0"),
        4 => format!("{text}{point}000000000000000000000000000000001"),
        _ => text.to_owned(),
    };
    number(&text)
}

/// A quantity in one of these units: the number, then code and text, either of which may be
/// missing.
fn quantity(forms: &Forms, dice: &mut Dice) -> Value {
    let (value, code, unit) = *dice.of(forms).unwrap();
    let mut out = json!({ "value": digits(value, dice) });
    if !unit.is_empty() {
        out["unit"] = json!(unit);
    }
    if !code.is_empty() {
        out["system"] = json!(UCUM);
        out["code"] = json!(code);
    }
    if dice.below(15) == 0 {
        out["extension"] =
            json!([{ "url": "http://hospital.example/precision", "valueCode": "low" }]);
    }
    out
}

const PRESSURE: [(&str, &str, &str); 5] = [
    ("128", "mm[Hg]", "mmHg"),
    ("131", "mm[Hg]", ""),
    ("82", "", "mmHg"),
    ("79", "", "㎜Hg"),
    ("110", "mm[Hg]", "millimetres"),
];

fn component(codes: &Codes, forms: &Forms, dice: &mut Dice) -> Value {
    let mut out = json!({ "code": concept(codes, dice), "valueQuantity": quantity(forms, dice) });
    if dice.below(8) == 0 {
        out["interpretation"] = json!([foreign(dice)]);
    }
    if dice.below(10) == 0 {
        out["referenceRange"] = json!([{ "high": { "value": 140, "unit": "mmHg" } }]);
    }
    if dice.below(10) == 0 {
        out["extension"] = json!([{ "url": "http://hospital.example/cuff", "valueString": "L" }]);
    }
    out
}

fn device(maker: &str, model: &str, serial: &str, dice: &mut Dice, body: &mut Value) {
    let reference = format!("Device/{}", id::device(maker, model, serial));
    match dice.below(3) {
        0 => {
            body["contained"] = json!([{ "resourceType": "Device", "id": "d", "manufacturer": maker,
                "modelNumber": model, "serialNumber": serial, "note": [{ "text": "in room 3" }] }]);
            body["device"] = json!({ "reference": "#d" });
        }
        1 => body["device"] = json!({ "reference": reference, "display": "the device" }),
        _ => body["device"] = json!({ "reference": reference }),
    }
}

/// A time of the n-th second, or the n-th day, in one of the forms that mean it.
fn time(n: usize, day: Option<bool>, dice: &mut Dice, body: &mut Value) {
    let start = chrono::DateTime::from_timestamp(1_475_280_000, 0).unwrap();
    if day == Some(true) {
        let at = start + chrono::TimeDelta::days(n as i64);
        let date = at.format("%Y-%m-%d").to_string();
        match dice.below(4) {
            0 => {
                body["effectivePeriod"] = json!({
                    "start": format!("{date}T00:00:00+09:00"), "end": format!("{date}T23:59:59+09:00") });
            }
            1 => body["effectivePeriod"] = json!({ "start": date, "end": date }),
            2 => body["effectiveDateTime"] = json!(format!("{date}T00:00:00+09:00")),
            _ => body["effectiveDateTime"] = json!(date),
        }
        return;
    }
    let at = start + chrono::TimeDelta::seconds(n as i64 * 61);
    let japan = (at + chrono::TimeDelta::hours(9)).format("%Y-%m-%dT%H:%M:%S");
    let utc = at.format("%Y-%m-%dT%H:%M:%S");
    let text = match dice.below(6) {
        0 => format!("{utc}Z"),
        1 => format!("{utc}.250Z"),
        2 => format!("{japan}.5+09:00"),
        3 => format!("{utc}.123456+00:00"),
        _ => format!("{japan}+09:00"),
    };
    match dice.below(6) {
        0 => body["effectiveInstant"] = json!(text),
        1 if day.is_none() => body["effectivePeriod"] = json!({ "start": text, "end": text }),
        _ => body["effectiveDateTime"] = json!(text),
    }
}

/// The n-th Observation: no two are of one time.
pub(super) fn observation(n: usize, dice: &mut Dice) -> Value {
    let patient = json!({ "reference": format!("Patient/{}", id::participant("A00001", PERSON)) });
    let subject = match dice.below(4) {
        0 => json!({ "identifier": { "system": PERSON_SID, "value": PERSON } }),
        _ => patient.clone(),
    };
    let mut body = json!({ "resourceType": "Observation", "status": "final", "subject": subject,
        "issued": "2016-10-05T12:00:00.000+09:00" });
    match dice.below(5) {
        0 => {
            body["code"] = concept(
                &[
                    (LOINC, "29463-7"),
                    (LOINC, "3141-9"),
                    (JP_BODY, "31000296"),
                    (MDC, "188736"),
                    (PGHD, "bodyMass"),
                    (TOKUTEI, "9N006000000000001"),
                ],
                dice,
            );
            if dice.below(6) == 0 {
                body["code"] = json!({ "coding": [{ "system": JP_BODY, "code": "31000297" }] });
                body["valueQuantity"] = quantity(&[("61500", "g", "g"), ("61530", "", "g")], dice);
            } else {
                body["valueQuantity"] = quantity(
                    &[
                        ("61.5", "kg", "kg"),
                        ("61.50", "kg", ""),
                        ("61", "", "Kg"),
                        ("62.5", "", "㎏"),
                        ("62.25", "kg", "kilograms"),
                        ("61500", "g", "g"),
                        ("150", "[lb_av]", "lbs"),
                    ],
                    dice,
                );
            }
            device("ACME", "WS-100", "WS0001234", dice, &mut body);
            time(n, None, dice, &mut body);
            if dice.below(2) == 0 {
                let fat = [
                    (LOINC, "41982-0"),
                    (JP_BODY, "31001697"),
                    (MDC, "188748"),
                    (PGHD, "bodyFatPercentage"),
                ];
                let forms = [
                    ("18.2", "%", "%"),
                    ("18", "", "%"),
                    ("18.25", "%", "percent"),
                ];
                body["component"] = json!([component(&fat, &forms, dice)]);
            }
        }
        kind @ (1 | 2) => {
            body["code"] = concept(
                &[
                    (LOINC, "85354-9"),
                    (LOINC, "55284-4"),
                    (MEDIS, "31002365"),
                    (MEDIS, "31002368"),
                    (MDC, "150020"),
                    (PGHD, "bloodPressure"),
                ],
                dice,
            );
            let systolic = [
                (LOINC, "8480-6"),
                (MEDIS, "31001848"),
                (MEDIS, "31006129"),
                (MDC, "150021"),
                (TOKUTEI, "9A751000000000001"),
            ];
            let diastolic = [
                (LOINC, "8462-4"),
                (MEDIS, "31001849"),
                (MEDIS, "31006130"),
                (MDC, "150022"),
                (TOKUTEI, "9A761000000000001"),
            ];
            let pulse = [
                (LOINC, "8867-4"),
                (MEDIS, "31001390"),
                (MEDIS, "31000595"),
                (MDC, "149546"),
                (TOKUTEI, "9N121000000000001"),
            ];
            let beats = [
                ("68", "/min", "/min"),
                ("70", "{beats}/min", "beats/minute"),
                ("71", "/min", "beats/minute"),
                ("72", "", "bpm"),
            ];
            let mut components = vec![
                component(&systolic, &PRESSURE[..2], dice),
                component(&diastolic, &PRESSURE[2..4], dice),
            ];
            if kind == 1 || dice.below(2) == 0 {
                components.push(component(&pulse, &beats, dice));
            }
            if dice.below(3) == 0 {
                components.reverse();
            }
            body["component"] = components.into();
            if kind == 1 {
                device("ACME", "BP-200", "BP0005678", dice, &mut body);
                time(n, None, dice, &mut body);
            } else {
                body["encounter"] = json!({ "display": "a check-up" });
                time(n, Some(false), dice, &mut body);
            }
        }
        3 => {
            let whole_day = dice.below(3) == 0;
            body["code"] = concept(
                match whole_day {
                    true => &[(LOINC, "41950-7"), (LOINC, "55423-8"), (PGHD, "stepCount")],
                    false => &[(LOINC, "41950-7"), (PGHD, "stepCount")],
                },
                dice,
            );
            body["valueQuantity"] = quantity(
                &[
                    ("8000", "/d", "steps/day"),
                    ("8001", "{steps}", "steps"),
                    ("8002", "{steps}/d", ""),
                    ("8003", "", "歩"),
                    ("8004", "1", ""),
                    ("8005", "", ""),
                ],
                dice,
            );
            device("ACME", "AM-500", "AM0009999", dice, &mut body);
            time(n, Some(whole_day), dice, &mut body);
            let minutes = [
                ("74", "min", "min"),
                ("2", "h", "h"),
                ("3600", "s", "s"),
                ("60", "", "min"),
            ];
            let energy = [
                ("312.4", "kcal", "kcal"),
                ("312", "kcal/d", "kcal/day"),
                ("1300", "kJ", "kJ"),
            ];
            let way = [
                ("5.97", "km", "km"),
                ("5970", "m", "m"),
                ("6", "km/d", "km/day"),
            ];
            let mut components = vec![component(
                &[(ITEM, "total_active_duration")],
                &minutes,
                dice,
            )];
            for (codes, forms) in [
                (&[(ITEM, "walk_time")][..], &minutes[..]),
                (&[(LOINC, "77592-4"), (PGHD, "moderateActivity")], &minutes),
                (
                    &[
                        (LOINC, "93819-1"),
                        (LOINC, "55424-6"),
                        (PGHD, "activeEnergyBurned"),
                    ],
                    &energy,
                ),
                (&[(LOINC, "41979-6"), (PGHD, "totalEnergyBurned")], &energy),
                (
                    &[(LOINC, "55430-3"), (LOINC, "41953-1"), (PGHD, "distance")],
                    &way,
                ),
            ] {
                if dice.below(3) == 0 {
                    components.push(component(codes, forms, dice));
                }
            }
            body["component"] = components.into();
        }
        _ => {
            let (codes, forms): (&Codes, &Forms) = match dice.below(5) {
                0 => (&[(LOINC, "59261-8")], &[("53", "mmol/mol", "mmol/mol")]),
                1 => (
                    &[(LOINC, "62388-4")],
                    &[("6.1", "%", "%"), ("5.2", "", "%")],
                ),
                _ => (
                    &[
                        (LOINC, "4548-4"),
                        (LOINC, "17856-6"),
                        (LOINC, "71875-9"),
                        (JLAC10, "3D046000001906202"),
                        (TOKUTEI, "3D046000001920402"),
                    ],
                    &[
                        ("6.5", "%", "%"),
                        ("6.50", "%", "percent"),
                        ("48", "mmol/mol", "mmol/mol"),
                        ("7", "", "%"),
                    ],
                ),
            };
            body["code"] = concept(codes, dice);
            body["valueQuantity"] = quantity(forms, dice);
            let laboratory = id::laboratory("A00001", "000000000001");
            body["performer"] = json!([{ "reference": format!("Organization/{laboratory}") }]);
            let day = dice.below(3) == 0;
            time(n, Some(day), dice, &mut body);
        }
    }
    if dice.below(6) > 0 {
        more(&mut body, dice);
    }
    body
}
