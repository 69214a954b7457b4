//! What a kind takes of FHIR besides what it writes: codes, units, other shapes.

use serde_json::Value;

use super::PROTOCOL;
use super::reader::{Reader, items, members, strings, text};
use crate::decimal::Decimal;
use crate::fault::Code;
use crate::json;
use crate::kind::Field;
use crate::mapping::backward;
use crate::mapping::template::Node;
use crate::mapping::{
    Accepts, ByCode, CodePattern, FieldAccepts, Hole, Join, Mapping, OnlyWith, Unit,
};

impl Reader<'_> {
    pub(super) fn accepts(&mut self, fields: &[Field]) -> Accepts {
        let mut accepts = Accepts::default();
        let value = self.value;
        for (name, entry) in members(&value["accepts"]) {
            let pointer = format!("/accepts/{name}");
            if name == "observation_time" {
                accepts.day_period = entry["period"] == "day";
                continue;
            }
            let accepted = self.field_accepts(entry, &pointer);
            if name == "code" {
                accepts.code = accepted;
            } else if let Some(i) = fields.iter().position(|f| &f.name == name) {
                accepts.fields.insert(i, accepted);
            } else {
                self.fault(pointer, "neither \"code\" nor a field");
            }
        }
        accepts
    }

    fn field_accepts(&mut self, entry: &Value, pointer: &str) -> FieldAccepts {
        let by_code = items(&entry["by code"]);
        let only_with = members(&entry["only with"]);
        FieldAccepts {
            codes: self.patterns(&entry["codes"], &format!("{pointer}/codes")),
            refuse: self.patterns(&entry["refuse"], &format!("{pointer}/refuse")),
            units: self.units(&entry["units"], &format!("{pointer}/units")),
            by_code: by_code
                .enumerate()
                .map(|(i, entry)| {
                    let pointer = format!("{pointer}/by code/{i}");
                    ByCode {
                        codes: self.patterns(&entry["codes"], &format!("{pointer}/codes")),
                        units: self.units(&entry["units"], &format!("{pointer}/units")),
                        quantity: entry["quantity"].as_str().map(str::to_owned),
                    }
                })
                .collect(),
            only_with: only_with
                .filter_map(|(code, entry)| {
                    let pointer = format!("{pointer}/only with/{}", json::pointer_part(code));
                    Some(OnlyWith {
                        code: self.pattern(code, &pointer)?,
                        component: self
                            .pattern(&text(&entry["component"]), &format!("{pointer}/component"))?,
                        value: self.pattern(&text(&entry["value"]), &format!("{pointer}/value"))?,
                    })
                })
                .collect(),
            whole_day: self.patterns(&entry["whole day"], &format!("{pointer}/whole day")),
            join: match entry["join"].as_str() {
                Some("half") => Join::Half,
                Some("guest") => Join::Guest,
                _ => Join::Part,
            },
            readings: self.patterns(&entry["readings"], &format!("{pointer}/readings")),
            or_else: entry["else"].as_str().map(str::to_owned),
            fallback: entry["fallback"].as_str().map(str::to_owned),
        }
    }

    fn patterns(&mut self, list: &Value, pointer: &str) -> Vec<CodePattern> {
        strings(list)
            .iter()
            .enumerate()
            .filter_map(|(i, pattern)| self.pattern(pattern, &format!("{pointer}/{i}")))
            .collect()
    }

    /// `loinc|3141-9`, `tokutei|9N006*`.
    fn pattern(&mut self, pattern: &str, pointer: &str) -> Option<CodePattern> {
        let Some((short, code)) = pattern.split_once('|') else {
            self.fault(pointer, "not a system and a code, such as loinc|3141-9");
            return None;
        };
        let Some(system) = self.systems.get(short) else {
            self.fault(
                pointer,
                format!("there is no system {short:?} in {PROTOCOL}"),
            );
            return None;
        };
        let (code, prefix) = match code.strip_suffix('*') {
            Some(code) => (code, true),
            None => (code, false),
        };
        Some(CodePattern {
            system: system.to_owned(),
            code: code.to_owned(),
            prefix,
        })
    }

    fn units(&mut self, units: &Value, pointer: &str) -> Vec<Unit> {
        let mut out = Vec::new();
        for (code, unit) in members(units) {
            let number = |key: &str| Decimal::parse(unit[key].as_str()?);
            for key in ["times", "divide", "plus"] {
                if unit[key].is_string() && number(key).is_none() {
                    let pointer = format!("{pointer}/{}/{key}", json::pointer_part(code));
                    self.fault(pointer, "not a number of at most 28 digits");
                }
            }
            let divides_by_zero =
                number("divide").is_some_and(|d| d.equals(Decimal::from_scaled(0, 0)));
            if divides_by_zero {
                let pointer = format!("{pointer}/{}/divide", json::pointer_part(code));
                self.fault(pointer, "divides by zero");
            }
            let warn = unit["warn"].as_str().map(Code::parse);
            if warn == Some(None) {
                let pointer = format!("{pointer}/{}/warn", json::pointer_part(code));
                self.fault(pointer, "there is no fault of this code");
            }
            let converted = Unit {
                code: code.clone(),
                texts: strings(&unit["text"]),
                times: number("times"),
                divide: number("divide"),
                plus: number("plus"),
                warn: warn.flatten(),
            };
            if !divides_by_zero && !backward::converts_exactly(&converted) {
                self.fault(
                    format!("{pointer}/{}", json::pointer_part(code)),
                    "times, divide and plus have too many digits to convert a number of the field \
                     exactly",
                );
            }
            out.push(converted);
        }
        out
    }
}

/// Adds to `accepts` what the template says: its codes before those of the file, its unit
/// where the file does not list it.
pub(super) fn complete(mapping: &mut Mapping, fields: &[Field]) {
    let pattern = |(system, code)| CodePattern {
        system,
        code,
        prefix: false,
    };
    let mut accepts = std::mem::take(&mut mapping.accepts);
    let root = &mapping.panel.root;
    let own = mapping.code_codings().into_iter().map(pattern);
    accepts.code.codes.splice(0..0, own);
    for i in 0..fields.len() {
        let is_main = mapping.main == Some(i);
        let components = root.get("component").map_or(&[][..], Node::items);
        let component = components.iter().find(|c| c.contains(Hole::Field(i)));
        let part = mapping.parts.iter().find(|p| p.field == i);
        let Some(element) = is_main.then_some(root).or(component) else {
            continue;
        };
        let of_field = accepts.fields.entry(i).or_default();
        let elements = [Some(element), part.map(|p| &p.shape.root)];
        let codings = elements
            .into_iter()
            .flatten()
            .filter_map(|element| element.get("code"))
            .flat_map(|code| mapping.concept_codings(code));
        let mut codes: Vec<CodePattern> = Vec::new();
        for code in codings.map(pattern).chain(of_field.codes.drain(..)) {
            let conditional = of_field.only_with.iter().any(|o| o.code == code);
            if !conditional && !codes.contains(&code) {
                codes.push(code);
            }
        }
        if is_main {
            for code in codes {
                if !accepts.code.codes.contains(&code) {
                    accepts.code.codes.push(code);
                }
            }
            of_field.codes.clone_from(&accepts.code.codes);
        } else {
            of_field.codes = codes;
        }
        let quantity = element.get("valueQuantity");
        let text_of = |name: &str| quantity?.get(name)?.constant().map(str::to_owned);
        if let Some(code) = text_of("code")
            && !of_field.units.iter().any(|u| u.code == code)
        {
            of_field.units.insert(
                0,
                Unit {
                    code,
                    texts: text_of("unit").into_iter().collect(),
                    times: None,
                    divide: None,
                    plus: None,
                    warn: None,
                },
            );
        }
    }
    mapping.accepts = accepts;
}
