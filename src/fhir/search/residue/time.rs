//! Times that Observations show otherwise than their records have them: with a fraction of a
//! second, with a time where the record has a day, as a Period.

use std::sync::Arc;

use serde_json::Value;

use crate::store::{
    Amount, Asked, Compares, QuantityUnit, ResiduePlace, ResidueQuantity, ResidueTest, Test,
    TimeTest,
};
use crate::time::{self, JST};

/// The time that an Observation shows, where that is another interval than its record has.
pub(super) fn shown(rendered: &Value, whole: &Value) -> Option<ResidueQuantity> {
    let interval = |of: &Value| {
        let at = |value: &Value| time::parse_fhir(value.as_str()?, JST);
        let period = &of["effectivePeriod"];
        let single = at(&of["effectiveDateTime"]).or_else(|| at(&of["effectiveInstant"]));
        let (start, end) = match single {
            Some(single) => (single, single),
            None => (at(&period["start"])?, at(&period["end"])?),
        };
        Some((start.from, end.until - start.from))
    };
    let (own, shown) = (interval(rendered)?, interval(whole)?);
    (own != shown).then(|| ResidueQuantity {
        place: ResiduePlace::Effective,
        system: String::new(),
        code: String::new(),
        number: shown.0,
        unit: QuantityUnit {
            code: own.1.to_string(),
            unit: shown.1.to_string(),
            ..QuantityUnit::default()
        },
    })
}

/// A comparison of times that are shown otherwise than their records have them.
#[derive(Debug)]
struct Shown {
    /// The comparisons, any of which may hold.
    asked: Vec<TimeTest>,
    /// Whether all of them pass that are told apart at all.
    all: bool,
}

impl Compares for Shown {
    fn within(&self, unit: &QuantityUnit) -> Vec<(i64, i64)> {
        let (Ok(own), Ok(length)) = (unit.code.parse::<i64>(), unit.unit.parse::<i64>()) else {
            return Vec::new();
        };
        // Bounds between which both intervals lie, whatever is shown, say the same of both.
        let step = match (own, length) {
            (1000, ..1000) => 1000,
            _ => time::DAY * 1000,
        };
        if self.asked.iter().all(|test| is_even(*test, step)) {
            return Vec::new();
        }
        match self.all {
            true => vec![(i64::MIN, i64::MAX)],
            false => self
                .asked
                .iter()
                .flat_map(|t| t.starts(length, 1))
                .collect(),
        }
    }
}

/// Whether the bounds of a comparison lie at seconds, or days in Japan.
fn is_even(test: TimeTest, step: i64) -> bool {
    let (a, b) = test.bounds();
    [a, b]
        .iter()
        .all(|at| (at + JST * 1000).rem_euclid(step) == 0)
}

/// Test of comparisons of the time where an Observation may show another than its record
/// has: the offset is no difference, a fraction of a second is.
pub(in crate::fhir::search) fn at_time(asked: Vec<TimeTest>) -> Test {
    let plain = Test::Time(asked.clone());
    if asked.iter().all(|test| is_even(*test, time::DAY * 1000)) {
        return plain;
    }
    let shown = |all: bool| {
        let shown = Shown {
            asked: asked.clone(),
            all,
        };
        Test::Residue(ResidueTest::Quantity {
            place: ResiduePlace::Effective,
            codes: None,
            amount: Amount::Asked(Asked(vec![Arc::new(shown)])),
        })
    };
    Test::any([Test::all([plain, shown(true).negated()]), shown(false)])
}
