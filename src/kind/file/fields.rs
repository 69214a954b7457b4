//! The fields of a kind: its own, and those of the parts of the protocol.

use std::collections::HashMap;

use serde_json::Value;

use super::PROTOCOL;
use super::reader::{Reader, items, members, strings, text, title};
use crate::decimal::{self, Decimal};
use crate::kind::{CodeItem, Field, Type};
use crate::record::Cell;

impl Reader<'_> {
    /// The kind's fields between the time and the other parts; where each part begins and
    /// how many fields it has.
    pub(super) fn fields(&mut self) -> (Vec<Field>, HashMap<String, (usize, usize)>) {
        let mut fields = Vec::new();
        let mut parts = HashMap::new();
        self.part("time", false, "/parts", &mut fields, &mut parts);
        let value = self.value;
        for (name, entry) in members(&value["fields"]) {
            fields.push(self.field(name, entry, &format!("/fields/{name}")));
        }
        for (i, part) in items(&value["parts"]).enumerate() {
            let part = part.as_str().unwrap_or_default();
            let (part, optional) = match part.strip_suffix('?') {
                Some(part) => (part, true),
                None => (part, false),
            };
            self.part(
                part,
                optional,
                &format!("/parts/{i}"),
                &mut fields,
                &mut parts,
            );
        }
        (fields, parts)
    }

    fn part(
        &mut self,
        part: &str,
        optional: bool,
        pointer: &str,
        fields: &mut Vec<Field>,
        parts: &mut HashMap<String, (usize, usize)>,
    ) {
        let protocol = self.protocol;
        let Some(entries) = protocol["parts"][part].as_object() else {
            self.fault(pointer, format!("there is no part {part:?} in {PROTOCOL}"));
            return;
        };
        parts.insert(part.to_owned(), (fields.len(), entries.len()));
        for (name, entry) in entries {
            let mut field = self.field(name, entry, pointer);
            field.required &= !optional;
            fields.push(field);
        }
    }

    fn field(&mut self, name: &str, entry: &Value, pointer: &str) -> Field {
        let ty = parse_type(&text(&entry["type"])).unwrap_or_else(|| {
            self.fault(
                format!("{pointer}/type"),
                format!(
                    "not a type: int(n) and dec(n,d) of at most {} characters and {} decimals, \
                     {} of both together (what is more does not fit into 64 bits), at least two \
                     characters more than decimals; str(n) of at most {}, code",
                    decimal::DIGITS_MAX,
                    decimal::DECIMALS_MAX,
                    decimal::PLACES_MAX,
                    u16::MAX
                ),
            );
            // Stands in, so that the holes of this field are not told as well.
            let listed = !entry["codes"].is_null();
            if listed {
                Type::Code
            } else {
                Type::Text { max: 1 }
            }
        });
        let codes: Vec<CodeItem> = members(&entry["codes"])
            .map(|(code, t)| CodeItem {
                code: code.clone(),
                title: title(t),
            })
            .collect();
        if (ty == Type::Code) == codes.is_empty() {
            self.fault(
                format!("{pointer}/codes"),
                "a field of type code lists its codes, and no other field does",
            );
        }
        let bounds: Vec<String> = items(&entry["plausible"]).map(Value::to_string).collect();
        let scaled = |s: &String| {
            let scaled = Decimal::parse(s)?.scaled(ty.decimals())?;
            Cell::checked_number(scaled, 0).map(Cell::scaled)
        };
        let plausible = match &bounds[..] {
            [low, high] => scaled(low).zip(scaled(high)),
            _ => None,
        };
        let in_order = plausible.is_some_and(|(low, high)| low <= high);
        let fit = bounds.is_empty() || (ty.is_number() && in_order);
        if !fit {
            self.fault(
                format!("{pointer}/plausible"),
                "not the lower and the upper bound of a number field, as it can be written",
            );
        }
        let mut bounds = bounds.into_iter();
        Field {
            name: name.to_owned(),
            aliases: strings(&entry["aliases"]),
            name_2016: entry["name 2016"].as_str().map(str::to_owned),
            ty,
            required: entry["optional"].as_bool() != Some(true),
            plausible,
            plausible_text: (
                bounds.next().unwrap_or_default(),
                bounds.next().unwrap_or_default(),
            ),
            codes,
            title: title(&entry["title"]),
            unit: text(&entry["unit"]),
            indexed: entry["index"].as_bool() == Some(true),
        }
    }

    /// Pairs of number fields that can be compared.
    pub(super) fn pairs(&mut self, key: &str, fields: &[Field]) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        let value = self.value;
        for (i, pair) in items(&value[key]).enumerate() {
            let place = |j: usize| {
                let name = pair[j].as_str()?;
                fields
                    .iter()
                    .position(|f| f.name == name && f.ty.is_number())
            };
            match (place(0), place(1)) {
                (Some(a), Some(b)) if fields[a].ty.decimals() == fields[b].ty.decimals() => {
                    out.push((a, b));
                }
                _ => self.fault(
                    format!("/{key}/{i}"),
                    "not two number fields of the same decimals",
                ),
            }
        }
        out
    }
}

/// `time14`, `int(3)`, `dec(5,1)`, `str(40)`, `code`.
fn parse_type(text: &str) -> Option<Type> {
    match text {
        "time14" => return Some(Type::Time14),
        "time17" => return Some(Type::Time17),
        "code" => return Some(Type::Code),
        _ => {}
    }
    let (name, sizes) = text.strip_suffix(')')?.split_once('(')?;
    match name {
        "str" => Some(Type::Text {
            max: sizes.parse().ok()?,
        }),
        "int" => {
            let digits: u8 = sizes.parse().ok()?;
            (1..=decimal::DIGITS_MAX)
                .contains(&digits)
                .then_some(Type::Number {
                    digits,
                    decimals: 0,
                    integer: true,
                })
        }
        "dec" => {
            let (digits, decimals) = sizes.split_once(',')?;
            let (digits, decimals): (u8, u8) = (digits.parse().ok()?, decimals.parse().ok()?);
            let fits = digits <= decimal::DIGITS_MAX
                && decimals <= decimal::DECIMALS_MAX
                && digits + decimals <= decimal::PLACES_MAX
                && decimals + 2 <= digits;
            fits.then_some(Type::Number {
                digits,
                decimals,
                integer: false,
            })
        }
        _ => None,
    }
}
