//! Quantities: by code and unit, in exact decimal arithmetic (mapping specification §5.4).

use crate::decimal::{self, Decimal};
use crate::exchange;
use crate::fault::Code;
use crate::kind::{Field, Type};
use crate::mapping::Unit;
use crate::record::Cell;
use crate::tape::{NodeKind, View};
use crate::time;

use super::Note;
use super::rule::Quantity;
use super::walk::{Walk, same_system};

/// A value in the field's unit.
pub(super) struct Converted {
    /// The value.
    pub cell: Cell,
    /// Whether rounding changed the number.
    pub rounded: bool,
}

/// Brings a number to the field's unit and decimals. Half is rounded up.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn convert(field: &Field, text: &str, unit: Option<&Unit>) -> Result<Converted, Code> {
    let Type::Number {
        digits, decimals, ..
    } = field.ty
    else {
        return Err(Code::ValueNotNumeric);
    };
    let factors = unit.map(|u| (u.times, u.divide, u.plus));
    let plain = matches!(factors, None | Some((None, None, None)));
    if plain && let Ok(cell) = decimal::scan(text, digits, decimals) {
        return Ok(Converted {
            cell,
            rounded: false,
        });
    }
    let text = decimal::written_out(text).ok_or(Code::Digits)?;
    if text.starts_with('-') && text.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        return Err(Code::Range);
    }
    // Decimals that exact arithmetic has no room for count for nothing.
    let places = (usize::from(decimals) + 2..=decimal::CUT_MAX).rev();
    let (number, scaled, rounded) = places
        .into_iter()
        .find_map(|places| {
            let (number, changed) = Decimal::cut(&text, places)?;
            let (scaled, exact) = bring(number, unit, decimals)?;
            Some((number, scaled, changed || !exact))
        })
        .ok_or(Code::Digits)?;
    // Written plainly within the field's decimals, an exponent keeps its digits.
    let written = if plain && !rounded && number.scale() <= u32::from(decimals) {
        number.scale() as u8
    } else {
        decimals
    };
    if scaled < 0 {
        return Err(Code::Range);
    }
    let cell = Cell::checked_number(scaled, written).ok_or(Code::Digits)?;
    let mut printed = Vec::with_capacity(24);
    decimal::write(&mut printed, cell, decimals);
    if printed.len() > usize::from(digits) {
        return Err(Code::Digits);
    }
    Ok(Converted { cell, rounded })
}

/// A number in the unit of a field, scaled to its decimals, half rounded up; and whether that
/// is the same number. `None` on overflow.
fn bring(number: Decimal, unit: Option<&Unit>, decimals: u8) -> Option<(i64, bool)> {
    let (numerator, divide) = match unit {
        Some(unit) => fraction(unit, number)?,
        None => (number, Decimal::from_scaled(1, 0)),
    };
    let scaled = numerator.divided_scaled(divide, decimals)?;
    let back = Decimal::from_scaled(scaled, u32::from(decimals)).times(divide);
    Some((scaled, back.is_some_and(|back| back.equals(numerator))))
}

/// `number` × times ÷ divide + plus of a unit, over one denominator, so that nothing is cut
/// before the end; `None` on overflow.
fn fraction(unit: &Unit, number: Decimal) -> Option<(Decimal, Decimal)> {
    let one = Decimal::from_scaled(1, 0);
    let divide = unit.divide.unwrap_or(one);
    let product = number.times(unit.times.unwrap_or(one))?;
    let numerator = match unit.plus {
        Some(plus) => product.plus(plus.times(divide)?)?,
        None => product,
    };
    Some((numerator, divide))
}

/// Whether a unit converts every number that a field can be written with exactly, without
/// overflow on the way.
pub(crate) fn converts_exactly(unit: &Unit) -> bool {
    let nines = 10_i64.pow(u32::from(decimal::PLACES_MAX)) - 1;
    let decimals = decimal::DECIMALS_MAX;
    [(nines, 0), (nines, u32::from(decimals))]
        .into_iter()
        .all(|(scaled, scale)| {
            fraction(unit, Decimal::from_scaled(scaled, scale))
                .is_some_and(|(numerator, divide)| numerator.divides(divide, decimals))
        })
}

impl Walk<'_, '_> {
    /// Reads a Quantity as the value of a field.
    pub(super) fn quantity(
        &mut self,
        field: usize,
        ours: &Quantity,
        by_code: Option<u8>,
        view: View,
    ) {
        if !view.is_object() {
            self.note(Note::new(Code::Type, view).expected("a Quantity"));
            return;
        }
        let (mut value, mut unit, mut system, mut code) = (None, None, None, None);
        for (name, member) in view.members() {
            match name {
                "value" => value = Some(member),
                "unit" => unit = Some(member),
                "system" => system = Some(member),
                "code" => code = Some(member),
                "comparator" => {
                    let note = Note::new(Code::ValueNotNumeric, member);
                    self.note(note.found(member.text()));
                    return;
                }
                _ => self.residue(member),
            }
        }
        let Some(value) = value else { return };
        if value.kind() != NodeKind::Number {
            let note = Note::new(Code::Type, value).expected("a number");
            self.note(note.found(value.text()));
            return;
        }
        fn text<'v>(view: Option<View<'v>>) -> &'v str {
            view.map_or("", View::text)
        }
        let own = by_code.is_none()
            && text(code) == &*ours.code
            && same_system(self.backward, text(system), &ours.system);
        if own && !ours.code.is_empty() {
            if text(unit) != &*ours.unit {
                self.out.variants.push(view.node());
            }
            if self.number(field, value, None) {
                self.out.converted.push(view.node());
            }
            return;
        }
        match self.unit(field, by_code, unit, system, code) {
            Ok(found) => {
                self.out.variants.push(view.node());
                let converts = found.as_ref().is_some_and(Unit::converts);
                if self.number(field, value, found.as_ref()) || converts {
                    self.out.converted.push(view.node());
                }
            }
            Err(listed) => {
                let at = code.or(unit).unwrap_or(view);
                let ucum = self.backward.kinds.systems.get("ucum").unwrap_or_default();
                if let Some(system) = system
                    && !same_system(self.backward, system.text(), ucum)
                {
                    let note = Note::new(Code::UnitUnknown, system).expected(ucum.to_owned());
                    return self.note(note.found(system.text()));
                }
                let found = match (code, unit) {
                    (Some(code), _) => code.text(),
                    (None, Some(unit)) => unit.text(),
                    _ => "no unit",
                };
                let note = Note::new(Code::UnitUnknown, at).expected(listed);
                self.note(note.found(found));
            }
        }
    }

    /// The unit of a Quantity. Error: the units that are listed.
    fn unit(
        &self,
        field: usize,
        by_code: Option<u8>,
        unit: Option<View>,
        system: Option<View>,
        code: Option<View>,
    ) -> Result<Option<Unit>, String> {
        let Some(accepts) = self.accepts(field) else {
            return Ok(None);
        };
        let units = match by_code.and_then(|i| accepts.by_code.get(usize::from(i))) {
            Some(by_code) => &by_code.units,
            None => &accepts.units,
        };
        if units.is_empty() {
            return Ok(None);
        }
        let ucum = self.backward.kinds.systems.get("ucum").unwrap_or_default();
        let found = match (system, code) {
            (Some(system), Some(code)) if same_system(self.backward, system.text(), ucum) => {
                units.iter().find(|u| u.code == code.text())
            }
            (None, None) => match unit {
                Some(unit) => {
                    let text = unit.text().trim();
                    units.iter().find(|u| u.texts.iter().any(|t| t == text))
                }
                None => units.iter().find(|u| u.code.is_empty()),
            },
            _ => None,
        };
        found.cloned().map(Some).ok_or_else(|| {
            let listed: Vec<&str> = units.iter().map(|u| u.code.as_str()).collect();
            listed.join(", ")
        })
    }

    /// A number in a unit; `None` is the field's own. Whether rounding changed it.
    pub(super) fn number(&mut self, place: usize, value: View, unit: Option<&Unit>) -> bool {
        let field = &self.kind.fields[place];
        let text = value.text();
        match convert(field, text, unit) {
            Ok(converted) => {
                self.set(place, value, converted.cell);
                let warn = unit.and_then(|u| u.warn);
                let written = written(field, converted.cell);
                if written != text {
                    self.out.variants.push(value.node());
                }
                if converted.rounded || warn.is_some() {
                    let code = warn.unwrap_or(Code::Converted);
                    let expected = format!("{} {written}", field.name);
                    let unit = unit.map_or("", |u| u.code.as_str());
                    let note = Note::new(code, value).expected(expected);
                    self.note(note.found(format!("{text} {unit}").trim_end()));
                }
                converted.rounded
            }
            Err(code) => {
                let note = Note::new(code, value).expected(exchange::expectation(field, code));
                self.note(note.found(text));
                false
            }
        }
    }
}

fn written(field: &Field, cell: Cell) -> String {
    time::text(|out| decimal::write(out, cell, field.ty.decimals()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Title;

    fn field(digits: u8, decimals: u8) -> Field {
        Field {
            name: "x".into(),
            aliases: Vec::new(),
            name_2016: None,
            ty: Type::Number {
                digits,
                decimals,
                integer: decimals == 0,
            },
            required: true,
            plausible: None,
            plausible_text: Default::default(),
            codes: Vec::new(),
            title: Title::default(),
            unit: String::new(),
            indexed: false,
        }
    }

    fn unit(times: &str, divide: &str, plus: &str) -> Unit {
        Unit {
            code: String::new(),
            texts: Vec::new(),
            times: Decimal::parse(times),
            divide: Decimal::parse(divide),
            plus: Decimal::parse(plus),
            warn: None,
        }
    }

    fn read(field: &Field, text: &str, unit: Option<&Unit>) -> (String, bool) {
        let converted = convert(field, text, unit).unwrap();
        let mut out = Vec::new();
        decimal::write(&mut out, converted.cell, field.ty.decimals());
        (String::from_utf8(out).unwrap(), converted.rounded)
    }

    #[test]
    fn check_values_of_the_mapping_specification() {
        let hba1c = field(4, 1);
        let ifcc = unit("0.09148", "1", "2.152");
        for (text, expected) in [("48", "6.5"), ("53", "7.0"), ("42", "6.0")] {
            assert_eq!(read(&hba1c, text, Some(&ifcc)).0, expected);
        }
        let jds = unit("1.02", "1", "0.25");
        assert_eq!(read(&hba1c, "6.1", Some(&jds)), ("6.5".into(), true));
        assert_eq!(read(&hba1c, "5.2", Some(&jds)), ("5.6".into(), true));
        assert_eq!(read(&hba1c, "5.59", None), ("5.6".into(), true));
        let weight = field(6, 2);
        let gram = unit("1", "1000", "0");
        assert_eq!(read(&weight, "65500", Some(&gram)), ("65.50".into(), false));
        let pound = unit("0.45359237", "1", "0");
        assert_eq!(read(&weight, "150", Some(&pound)), ("68.04".into(), true));
    }

    #[test]
    fn zeros_and_exponents_are_read_by_value() {
        let weight = field(6, 2);
        assert_eq!(read(&weight, "65.500", None), ("65.50".into(), false));
        assert_eq!(read(&weight, "6.55e1", None), ("65.5".into(), false));
        assert_eq!(read(&field(3, 0), "120.0", None), ("120".into(), false));
        assert_eq!(read(&field(3, 0), "120.5", None), ("121".into(), true));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let weight = field(6, 2);
        assert_eq!(convert(&weight, "-1", None).err(), Some(Code::Range));
        assert_eq!(
            convert(&weight, "12345.678", None).err(),
            Some(Code::Digits)
        );
        assert_eq!(convert(&weight, "1e400", None).err(), Some(Code::Digits));
        // 2^61 and its neighbours, which a cell would keep as other numbers.
        let kilogram = unit("1", "1", "0");
        for text in [
            "2305843009213693952",
            "1152921504606846976",
            "2305843009213693952.5",
        ] {
            for (digits, decimals) in [(3, 0), (15, 0), (15, 2), (10, 7)] {
                let field = field(digits, decimals);
                for unit in [None, Some(&kilogram)] {
                    let refused = convert(&field, text, unit).err();
                    assert_eq!(
                        refused,
                        Some(Code::Digits),
                        "{text} dec({digits},{decimals})"
                    );
                }
            }
        }
    }
}
