//! The value of a field: as a cell, what the rules say of it, and what they say for people.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::decimal;
use crate::fault::{Code, Fault, Place};
use crate::json::Event;
use crate::kind::{Field, Kind, Type};
use crate::record::{Cell, Texts};
use crate::time;

/// The value of a field as a cell.
///
/// # Errors
/// Every rule that it breaks.
pub(super) fn value(
    field: &Field,
    event: Event,
    text: &str,
    texts: &mut Texts,
) -> Result<Cell, Vec<Code>> {
    match (field.ty, event) {
        (
            Type::Number {
                digits, decimals, ..
            },
            Event::Number,
        ) => decimal::scan(text, digits, decimals),
        (Type::Time14, Event::String) => time::parse14(text)
            .map(Cell::plain)
            .ok_or_else(|| vec![Code::TimeInvalid]),
        (Type::Time17, Event::String) => time::parse17(text)
            .map(Cell::plain)
            .ok_or_else(|| vec![Code::TimeInvalid]),
        (Type::Code, Event::String) => field
            .code_place(text)
            .map(|i| Cell::plain(i as i64))
            .ok_or_else(|| vec![Code::CodeUnknown]),
        (Type::Text { max }, Event::String) => text_cell(text, max, texts),
        _ => Err(vec![Code::Type]),
    }
}

/// A text as a cell: NFC, 1 to `max` characters, no control characters.
pub(crate) fn text_cell(text: &str, max: u16, texts: &mut Texts) -> Result<Cell, Vec<Code>> {
    let mut faults = Vec::new();
    let normal;
    let text = if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text
    } else {
        normal = text.nfc().collect::<String>();
        &normal
    };
    if text.chars().any(char::is_control) {
        faults.push(Code::Type);
    }
    if text.is_empty() || text.chars().count() > usize::from(max) {
        faults.push(Code::Digits);
    }
    if faults.is_empty() {
        Ok(Cell::plain(i64::from(texts.intern(text))))
    } else {
        Err(faults)
    }
}

/// Tells which values of a record are out of the ordinary: field, code, what is expected,
/// what was found (protocol specification §6).
pub(crate) fn implausible(
    kind: &Kind,
    cells: &[Cell],
    mut tell: impl FnMut(usize, Code, String, String),
) {
    for (i, field) in kind.fields.iter().enumerate() {
        let (Some((low, high)), cell) = (field.plausible, cells[i]) else {
            continue;
        };
        if !cell.is_absent() && !(low..=high).contains(&cell.scaled()) {
            let (from, to) = &field.plausible_text;
            let expected = format!("{from} to {to} {}", field.unit);
            tell(i, Code::Implausible, expected, number(field, cell));
        }
    }
    out_of_order(kind, cells, tell);
}

/// Tells which values contradict one another, as [`implausible`] does.
pub(crate) fn out_of_order(
    kind: &Kind,
    cells: &[Cell],
    mut tell: impl FnMut(usize, Code, String, String),
) {
    let above = kind.above.iter().map(|&pair| (pair, true));
    let not_above = kind.not_above.iter().map(|&pair| (pair, false));
    for ((a, b), strictly) in above.chain(not_above) {
        let (first, second) = (cells[a], cells[b]);
        if first.is_absent() || second.is_absent() {
            continue;
        }
        let (field, other) = (&kind.fields[a], &kind.fields[b].name);
        let relation = if strictly { "above" } else { "not above" };
        if (first.scaled() > second.scaled()) != strictly {
            let expected = format!("{} {relation} {other}", field.name);
            tell(a, Code::Implausible, expected, number(field, first));
        }
    }
}

/// What is wrong with an id of ASCII letters and digits.
pub(crate) fn id_fault(text: &str, max: usize, pointer: String, place: Place) -> Option<Fault> {
    if text.is_empty() || text.chars().count() > max {
        let expected = format!("1 to {max} letters and digits");
        Some(Fault::new(Code::Digits, pointer, place).expected(expected))
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Some(Fault::new(Code::Type, pointer, place).expected("ASCII letters and digits"))
    } else {
        None
    }
}

/// A number cell as it is written.
fn number(field: &Field, cell: Cell) -> String {
    time::text(|out| decimal::write(out, cell, field.ty.decimals()))
}

/// What a field takes, in a few words.
pub(super) fn type_name(field: &Field) -> String {
    match field.ty {
        Type::Time14 => "yyyyMMddHHmmss in JST".into(),
        Type::Time17 => "yyyyMMddHHmmssSSS in JST".into(),
        Type::Number { integer: true, .. } => "an integer".into(),
        Type::Number { .. } => "a number".into(),
        Type::Text { .. } => "a string".into(),
        Type::Code => format!("one of {}", codes(field)),
    }
}

fn codes(field: &Field) -> String {
    field
        .codes
        .iter()
        .map(|c| c.code.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the rule behind a code expects of a field.
pub(crate) fn expectation(field: &Field, code: Code) -> String {
    match (code, field.ty) {
        (Code::Type, Type::Text { .. }) => "a string without control characters".into(),
        (Code::Type, Type::Code) => "a string".into(),
        (Code::Digits, Type::Text { max }) => format!("1 to {max} characters"),
        (Code::Digits, Type::Number { digits, .. }) => format!("at most {digits} characters"),
        (Code::Decimals, Type::Number { integer: true, .. }) => {
            "an integer without exponent".into()
        }
        (Code::Decimals, Type::Number { decimals, .. }) => format!("at most {decimals} decimals"),
        (Code::Range, _) => "0 or more".into(),
        _ => type_name(field),
    }
}
