//! Quantities: a prefix, a number and a unit (FHIR R4, search, "quantity").
//!
//! All is exact: numbers and factors of units are rational, and what is asked becomes whole
//! numbers of the last decimal that the store keeps.

use num_rational::BigRational;

use super::date::Prefix;
use super::element::Quantity;
use super::form::{split, unescape};
use super::ucum;
use super::{Invalid, Scope};
use crate::decimal::{self, PLACES_MAX};
use crate::fhir::canonical::UCUM;
use crate::store::{Compares, FieldTest, QuantityUnit, Test};

/// Digits of a number, and places of its exponent, at most.
const DIGITS_MAX: usize = 60;
const EXPONENT_MAX: i32 = 60;
/// Nothing that is compared has a number as large as this.
pub(super) const WHOLE_MAX: i64 = i64::MAX / 16;
const _: () = assert!(10_i64.pow(PLACES_MAX as u32) < WHOLE_MAX);

/// The unit that a value asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unit {
    /// Any.
    Any,
    /// `||mg`: a code, or a unit as people write it.
    Code(String),
    /// `|system|mg`
    Coded(String, String),
    /// `|system|`
    System(String),
}

/// A comparison with a quantity.
#[derive(Debug, Clone)]
pub struct QuantityTest {
    prefix: Prefix,
    value: BigRational,
    /// Half of the last digit written.
    half: BigRational,
    /// Both for equality: of no more digits than are kept of any number.
    equal: (BigRational, BigRational),
    unit: Unit,
}

impl QuantityTest {
    /// Reads a value: `[prefix]number`, `[prefix]number|system|code` or `[prefix]number||code`.
    ///
    /// # Errors
    /// [`Invalid`] for what is none of them.
    pub fn read(scope: &Scope, parameter: &str, value: &str) -> Result<QuantityTest, Invalid> {
        let invalid = || {
            Invalid::new(
                parameter,
                "a quantity is a number, number|system|code or number||code, with an optional \
                 prefix such as ge; a number has 60 digits at most",
                "数量は 数値、数値|体系|コード、数値||コード のいずれかで、前に ge などの接頭辞を\
                 付けられます。数値は 60 桁までです",
            )
        };
        let parts: Vec<String> = split(value, '|').into_iter().map(unescape).collect();
        let (number, unit) = match parts.as_slice() {
            [number] => (number, Unit::Any),
            [number, system, code] => (
                number,
                match (system.is_empty(), code.is_empty()) {
                    (true, true) => Unit::Any,
                    (true, false) => Unit::Code(code.clone()),
                    (false, empty) => {
                        let system = scope.kinds.systems.canonical(system).to_owned();
                        match empty {
                            true => Unit::System(system),
                            false => Unit::Coded(system, code.clone()),
                        }
                    }
                },
            ),
            _ => return Err(invalid()),
        };
        let (prefix, number) = Prefix::take(number);
        let (value, half) = read_number(number).ok_or_else(invalid)?;
        let equal = match number.contains(['e', 'E']) {
            true => None,
            false => read_number(decimal::significant(number, PLACES_MAX.into())),
        };
        Ok(QuantityTest {
            prefix,
            equal: equal.unwrap_or_else(|| (value.clone(), half.clone())),
            value,
            half,
            unit,
        })
    }

    /// Which records have a quantity that passes.
    pub fn of(&self, quantity: &Quantity) -> Test {
        let ranges = self.within(&quantity.unit);
        if ranges.is_empty() {
            return Test::NEVER;
        }
        Test::all([
            quantity.when.clone(),
            Test::Field {
                field: quantity.field,
                test: FieldTest::Range(ranges),
            },
        ])
    }

    /// How a number in the unit asked for becomes one in that of the quantity; `None` where it
    /// is another unit.
    fn conversion(&self, own: &QuantityUnit) -> Option<ucum::Conversion> {
        let same = ucum::Conversion::None;
        let between = |code: &str| ucum::conversion(code, &own.code);
        let coded = own.system == UCUM;
        match &self.unit {
            Unit::Any => Some(same),
            Unit::System(system) => (*system == own.system).then_some(same),
            Unit::Code(code) if *code == own.code || *code == own.unit => Some(same),
            Unit::Code(code) => coded.then(|| between(code)).flatten(),
            Unit::Coded(system, code) if *system == own.system => match *code == own.code {
                true => Some(same),
                false => coded.then(|| between(code)).flatten(),
            },
            Unit::Coded(..) => None,
        }
    }

    /// The whole numbers of the last of so many decimals that pass, both ends included.
    fn ranges(&self, decimals: u8, convert: &ucum::Conversion) -> Vec<(i64, i64)> {
        let ten = BigRational::from_integer(10.into());
        let scale = (0..decimals).fold(BigRational::from_integer(1.into()), |n, _| n * &ten);
        let scaled = |value: BigRational| convert.apply(value) * &scale;
        // The first whole number that is not below, and the last that is not above.
        let from = |value: BigRational| whole(scaled(value).ceil());
        let until = |value: BigRational| whole(scaled(value).floor());
        let (value, half) = (self.value.clone(), self.half.clone());
        let (middle, width) = &self.equal;
        let (low, high) = (middle - width, middle + width);
        // The upper end of an interval that does not belong to it.
        let below = |value: BigRational| from(value).saturating_sub(1);
        let ranges = match self.prefix {
            Prefix::Equal => vec![(from(low), below(high))],
            Prefix::NotEqual => vec![(i64::MIN, below(low)), (from(high), i64::MAX)],
            // The precision is ignored, says R4, and so `sa` is `gt` and `eb` is `lt`.
            Prefix::Greater | Prefix::StartsAfter => {
                vec![(until(value).saturating_add(1), i64::MAX)]
            }
            Prefix::Less | Prefix::EndsBefore => vec![(i64::MIN, below(value))],
            Prefix::GreaterOrEqual => vec![(from(value), i64::MAX)],
            Prefix::LessOrEqual => vec![(i64::MIN, until(value))],
            Prefix::Approximately => {
                let zero = BigRational::from_integer(0.into());
                let size = if value < zero {
                    -value.clone()
                } else {
                    value.clone()
                };
                let margin = (size / &ten).max(half);
                vec![(from(&value - &margin), until(&value + &margin))]
            }
        };
        ranges.into_iter().filter(|(lo, hi)| lo <= hi).collect()
    }
}

impl Compares for QuantityTest {
    fn within(&self, unit: &QuantityUnit) -> Vec<(i64, i64)> {
        match self.conversion(unit) {
            Some(convert) => self.ranges(unit.decimals, &convert),
            // Another unit is no number to compare with: it passes no test, not even `ne`.
            None => Vec::new(),
        }
    }
}

/// A whole number as the store can compare it; beyond that everything is on one side.
fn whole(value: BigRational) -> i64 {
    let beyond = match value < BigRational::from_integer(0.into()) {
        true => -WHOLE_MAX,
        false => WHOLE_MAX,
    };
    let whole = i64::try_from(value.to_integer()).unwrap_or(beyond);
    whole.clamp(-WHOLE_MAX, WHOLE_MAX)
}

/// A number and half of its last digit. `1e2` stands for 95 to 105, says R4: a number of one
/// digit with an exponent is as precise as one of two.
fn read_number(text: &str) -> Option<(BigRational, BigRational)> {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(text[at + 1..].parse::<i32>().ok()?)),
        None => (text, None),
    };
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (unsigned, ""),
    };
    let digits = [whole, fraction].concat();
    let written = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let power = exponent.unwrap_or(0);
    if !written || digits.len() > DIGITS_MAX || !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&power) {
        return None;
    }
    let mut last = power - i32::try_from(fraction.len()).ok()?;
    let value: BigRational = digits.parse().ok()?;
    let value = value * power_of_ten(last);
    if exponent.is_some() && digits.len() == 1 {
        last -= 1;
    }
    let half = power_of_ten(last) / BigRational::from_integer(2.into());
    Some(if number.starts_with('-') {
        (-value, half)
    } else {
        (value, half)
    })
}

fn power_of_ten(exponent: i32) -> BigRational {
    let ten = BigRational::from_integer(10.into());
    ten.pow(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kinds;
    use crate::time;

    fn ranges(text: &str) -> Vec<(i64, i64)> {
        let kinds = Kinds::embedded().unwrap();
        let scope = Scope {
            kinds: &kinds,
            base: "http://h/fhir",
            zone: time::JST,
            now: 0,
        };
        let test = QuantityTest::read(&scope, "value-quantity", text).unwrap();
        let weight = Quantity {
            field: 0,
            unit: QuantityUnit {
                system: UCUM.into(),
                code: "kg".into(),
                unit: "kg".into(),
                decimals: 2,
            },
            when: Test::ALWAYS,
        };
        match test.of(&weight) {
            Test::Field {
                test: FieldTest::Range(ranges),
                ..
            } => ranges,
            Test::Constant(false) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn equality_is_as_precise_as_it_is_written() {
        assert_eq!(ranges("6.9"), [(685, 694)]);
        assert_eq!(ranges("6.90"), [(690, 690)]);
        assert_eq!(ranges("100"), [(9950, 10049)]);
        assert_eq!(ranges("1e2"), [(9500, 10499)]);
        assert_eq!(ranges("1.0e2"), [(9500, 10499)]);
        assert_eq!(ranges("1.00e2"), [(9950, 10049)]);
        assert_eq!(ranges("-0.01"), [(-1, -1)]);
        assert_eq!(ranges("6.9001"), []);
        assert_eq!(ranges("ne6.9").len(), 2);
        assert_eq!(ranges("ap100"), [(9000, 11000)]);
    }

    #[test]
    fn comparisons_take_the_plain_value() {
        let max = i64::MAX;
        assert_eq!(ranges("gt6.9"), [(691, max)]);
        assert_eq!(ranges("sa6.9"), [(691, max)]);
        assert_eq!(ranges("ge6.9"), [(690, max)]);
        assert_eq!(ranges("gt6.905"), [(691, max)]);
        assert_eq!(ranges("lt6.9"), [(i64::MIN, 689)]);
        assert_eq!(ranges("eb6.905"), [(i64::MIN, 690)]);
        assert_eq!(ranges("le6.905"), [(i64::MIN, 690)]);
    }

    #[test]
    fn units_are_converted_exactly() {
        let max = i64::MAX;
        for same in [
            "ge60",
            "ge60||kg",
            "ge60000||g",
            "ge60|http://unitsofmeasure.org|kg",
            "ge60000|http://unitsofmeasure.org|g",
            "ge60000|urn:oid:2.16.840.1.113883.6.8|g",
            "ge60|http://unitsofmeasure.org|",
        ] {
            assert_eq!(ranges(same), [(6000, max)], "{same}");
        }
        assert_eq!(ranges("ge100||[lb_av]"), [(4536, max)]);
        for other in [
            "ge60||cm",
            "ge60||nonsense",
            "ge60|http://snomed.info/sct|kg",
            "ne60||%",
        ] {
            assert_eq!(ranges(other), [], "{other}");
        }
    }

    #[test]
    fn numbers_beyond_all_that_is_stored_are_on_one_side_of_it() {
        let most = 10_i64.pow(u32::from(PLACES_MAX)) - 1;
        let passes = |text: &str, number: i64| {
            ranges(text)
                .iter()
                .any(|&(lo, hi)| (lo..=hi).contains(&number))
        };
        for number in [0, 1, most, -most] {
            for beyond in ["1e60", "9e60", "123456789012345678901234567890e30"] {
                for (prefix, above, below) in [
                    ("", false, false),
                    ("ne", true, true),
                    ("gt", false, true),
                    ("ge", false, true),
                    ("sa", false, true),
                    ("lt", true, false),
                    ("le", true, false),
                    ("eb", true, false),
                    ("ap", false, false),
                ] {
                    let (up, down) = (format!("{prefix}{beyond}"), format!("{prefix}-{beyond}"));
                    assert_eq!(passes(&up, number), above, "{up} {number}");
                    assert_eq!(passes(&down, number), below, "{down} {number}");
                }
            }
        }
        assert!(!passes("1e-60", 0) && passes("lt1e-60", 0) && !passes("gt1e-60", 0));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        let kinds = Kinds::embedded().unwrap();
        let scope = Scope {
            kinds: &kinds,
            base: "http://h/fhir",
            zone: time::JST,
            now: 0,
        };
        let long = "9".repeat(100);
        for bad in [
            "",
            "ge",
            "x",
            "1.",
            ".5",
            "1|kg",
            "1|a|b|c",
            "1e",
            "1e999",
            "1,5",
            "--1",
            "1_0",
            "NaN",
            &long,
            "gt1e300",
            "1e-61",
            "1e2147483647",
            "1e-2147483648",
            "1e-99999999999",
        ] {
            assert!(
                QuantityTest::read(&scope, "value-quantity", bad).is_err(),
                "{bad}"
            );
        }
    }
}
