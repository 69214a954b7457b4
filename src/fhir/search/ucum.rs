//! Units of UCUM (<https://ucum.org/ucum>): what a number in one unit is in another.

use std::sync::LazyLock;

use num_rational::BigRational;
use quick_cache::sync::Cache;
use tlq_ucum::{DimensionVector, Unit, UnitKind};

/// Characters of a code at most; what is longer is no unit that anyone writes.
const LENGTH_MAX: usize = 40;

/// How numbers of one unit become numbers of another.
#[derive(Debug, Clone)]
pub enum Conversion {
    /// They are the same.
    None,
    /// By way of the base units.
    Between(Box<Unit>, Box<Unit>),
}

impl Conversion {
    /// The number in the other unit.
    pub fn apply(&self, value: BigRational) -> BigRational {
        match self {
            Conversion::None => value,
            Conversion::Between(from, to) => {
                let base = from.to_base(&value);
                let there = base.and_then(|base| to.from_base(&base));
                // Only units that are no curves are kept, and those fail for no number.
                there.unwrap_or(value)
            }
        }
    }
}

/// How a number in one unit becomes one in another; `None` where one of them is no unit, or
/// they measure different things.
///
/// Numbers without a dimension are the same only by the same code: a percentage of one thing
/// is none of another, and mmol/mol of HbA1c is another scale than its percentage.
pub fn conversion(from: &str, to: &str) -> Option<Conversion> {
    if from == to {
        return Some(Conversion::None);
    }
    let (from, to) = (unit(from)?, unit(to)?);
    let alike = from.dimensions == to.dimensions && to.dimensions != DimensionVector::ZERO;
    alike.then(|| Conversion::Between(Box::new(from), Box::new(to)))
}

/// The unit of a code, remembered.
fn unit(code: &str) -> Option<Unit> {
    static KNOWN: LazyLock<Cache<String, Option<Unit>>> = LazyLock::new(|| Cache::new(256));
    if let Some(known) = KNOWN.get(code) {
        return known;
    }
    let unit = read(code);
    if code.len() <= LENGTH_MAX {
        KNOWN.insert(code.to_owned(), unit.clone());
    }
    unit
}

/// Reads a code. Annotations in braces mean nothing to UCUM and are left out; brackets of
/// arithmetic and long exponents are not read, since little text could ask for much work.
fn read(code: &str) -> Option<Unit> {
    if code.len() > LENGTH_MAX || code.contains(['(', ')']) {
        return None;
    }
    let mut bare = String::with_capacity(code.len());
    let mut annotated = false;
    for c in code.chars() {
        match c {
            '{' if !annotated => annotated = true,
            '}' if annotated => annotated = false,
            _ if annotated => {}
            c => bare.push(c),
        }
    }
    let mut run = 0;
    let long = bare.bytes().any(|b| {
        run = if b.is_ascii_digit() { run + 1 } else { 0 };
        run > 3
    });
    if annotated || long {
        return None;
    }
    let bare = match bare.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => return None,
        _ if bare.is_empty() => "1",
        _ => &bare,
    };
    let unit = Unit::parse(bare).ok()?;
    (unit.kind != UnitKind::NonLinear).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(value: &str, from: &str, to: &str) -> Option<String> {
        let value: BigRational = value.parse().unwrap();
        Some(conversion(from, to)?.apply(value).to_string())
    }

    #[test]
    fn units_of_one_dimension_convert_exactly() {
        for (value, from, to, want) in [
            ("1000", "g", "kg", "1"),
            ("100", "[lb_av]", "kg", "45359237/1000000"),
            ("1", "kPa", "mm[Hg]", "500000/66661"),
            ("60", "/min", "/s", "1"),
            ("24", "{steps}/h", "/d", "576"),
            ("1", "kcal", "kJ", "523/125"),
            ("98", "[degF]", "Cel", "110/3"),
            ("1", "km", "m", "1000"),
        ] {
            assert_eq!(
                convert(value, from, to).as_deref(),
                Some(want),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not() {
        for (from, to) in [
            ("kg", "m"),
            ("mmol/mol", "%"),
            ("1", "%"),
            ("nonsense", "kg"),
            ("", "kg"),
            ("kg{a", "g"),
            ("10*-9999", "kg"),
            ("((((kg", "g"),
            ("体重", "kg"),
            ("[pH]", "mmol/L"),
        ] {
            assert!(conversion(from, to).is_none(), "{from} {to}");
        }
        assert!(conversion(&"kg.".repeat(1000), "kg").is_none());
    }
}
