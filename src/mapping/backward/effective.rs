//! Times: one day or one instant (mapping specification §2.2, §5.4).

use std::borrow::Cow;

use crate::fault::Code;
use crate::kind::{Kind, Midnight};
use crate::tape::{NodeKind, View};
use crate::time::{DAY, FhirTime, JST, Precision, parse_fhir};

/// Why a time is not taken, or what was lost of it.
pub(super) struct Refusal {
    /// The code.
    pub code: Code,
    /// What is expected.
    pub expected: Cow<'static, str>,
}

impl Refusal {
    fn new(code: Code, expected: &'static str) -> Refusal {
        Refusal {
            code,
            expected: Cow::Borrowed(expected),
        }
    }
}

/// A time of measurement.
pub(super) struct Effective {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Whether a whole day was meant.
    pub day: bool,
    /// Whether a fraction of a second was dropped.
    pub dropped: bool,
    /// Whether we would write the same text.
    pub ours: bool,
}

/// The time in `effective[x]`; `name` says which it is.
pub(super) fn read(kind: &Kind, name: &str, value: View) -> Result<Effective, Refusal> {
    match name {
        "effectiveDateTime" | "effectiveInstant" => date_time(kind, value),
        "effectivePeriod" => period(kind, value),
        _ => Err(Refusal::new(
            Code::TimePrecision,
            "effectiveDateTime, effectiveInstant or a whole day",
        )),
    }
}

/// A FHIR dateTime of at least a day. FHIR wants a zone wherever there is a time.
pub(super) fn moment(value: View) -> Result<FhirTime, Refusal> {
    if value.kind() != NodeKind::String {
        return Err(Refusal::new(Code::Type, "a dateTime"));
    }
    let invalid = || Refusal::new(Code::TimeInvalid, "a dateTime of FHIR, with its offset");
    let at = parse_fhir(value.text(), JST).ok_or_else(invalid)?;
    match at.precision {
        Precision::Year | Precision::Month => Err(Refusal::new(
            Code::TimePrecision,
            "a day, or a time with seconds",
        )),
        Precision::Day => Ok(at),
        Precision::Minute => Err(invalid()),
        Precision::Second | Precision::Fraction if at.zoned => Ok(at),
        _ => Err(invalid()),
    }
}

fn date_time(kind: &Kind, value: View) -> Result<Effective, Refusal> {
    let at = moment(value)?;
    let seconds = at.from.div_euclid(1000);
    let day = at.precision == Precision::Day;
    let text = value.text();
    let ours = if day {
        kind.midnight == Midnight::Day
    } else {
        text.len() == 25 && text.ends_with("+09:00") && !kind.is_day(seconds)
    };
    Ok(Effective {
        seconds,
        day,
        dropped: at.from.rem_euclid(1000) != 0 || at.truncated,
        ours,
    })
}

fn period(kind: &Kind, value: View) -> Result<Effective, Refusal> {
    let whole_day = kind.mapping.accepts.day_period;
    let expected = if whole_day {
        "a Period from 00:00:00 to 23:59:00 or later of one day in Japan"
    } else {
        "a Period whose start is its end"
    };
    let refusal = || Refusal::new(Code::TimePrecision, expected);
    let (Some(start), Some(end)) = (value.get("start"), value.get("end")) else {
        return Err(refusal());
    };
    let (start, end) = (moment(start)?, moment(end)?);
    let seconds = start.from.div_euclid(1000);
    let one_day = start.precision == Precision::Day
        && end.precision == Precision::Day
        && start.from == end.from;
    let taken = if whole_day {
        let last = end.from - start.from;
        let covers = crate::time::is_midnight(seconds)
            && start.from.rem_euclid(1000) == 0
            && end.precision > Precision::Day
            && (DAY * 1000 - 60_000..=DAY * 1000).contains(&last);
        one_day || covers
    } else {
        start.from == end.from && start.precision == end.precision
    };
    if !taken {
        return Err(refusal());
    }
    Ok(Effective {
        seconds,
        day: whole_day || one_day,
        dropped: start.from.rem_euclid(1000) != 0 || start.truncated,
        ours: false,
    })
}
