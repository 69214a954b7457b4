//! `$stats`: statistics of a person's numbers
//! (<https://hl7.org/fhir/R4/observation-operation-stats.html>).
//!
//! A code is looked for in `Observation.code` and in those of components; a panel stands for
//! the numbers in it. Each code gives one Observation, and each statistic a component of it.

mod measure;
mod statistic;

use serde_json::{Map, Number, Value, json};

use super::canonical::UCUM;
use super::find::{self, Error, Found};
use super::instance::Origin;
use super::resource::Resource;
use super::search::form::Pair;
use super::search::token::Token;
use super::search::{Invalid, Limits, Scope};
use crate::store::Records;
use crate::time;
use measure::{Group, Unit};
use statistic::{Figure, Of, STATISTICS, Sample, Series, Statistic};

/// Records read at a time.
const BLOCK: usize = 2000;
const ABSENT: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
const CODES: &str = "http://terminology.hl7.org/CodeSystem/observation-statistics";

/// A statistic by its code.
#[derive(Debug, Clone, Copy)]
pub struct Asked(&'static (&'static str, &'static str, Statistic));

impl Asked {
    /// The statistic with this code.
    ///
    /// # Errors
    /// [`Invalid`] where there is none.
    pub fn read(code: &str) -> Result<Asked, Invalid> {
        let found = STATISTICS.iter().find(|(known, ..)| *known == code);
        found.map(Asked).ok_or_else(|| {
            let codes: Vec<&str> = STATISTICS.iter().map(|(code, ..)| *code).collect();
            let codes = codes.join(", ");
            Invalid::new(
                "statistic",
                format!("one of these is expected: {codes}"),
                format!("次のいずれかを指定してください: {codes}"),
            )
        })
    }
}

/// Whose numbers, and when they were measured.
#[derive(Debug)]
pub struct About {
    /// The logical id of the Patient.
    pub patient: String,
    /// Conditions on the time.
    pub times: Vec<Pair>,
    /// The Period that the statistics are about, as far as it was said.
    pub period: Map<String, Value>,
}

impl About {
    /// Narrows the time: `start` or `end`, a dateTime.
    pub fn bound(&mut self, name: &str, at: &str) {
        let prefix = if name == "start" { "ge" } else { "le" };
        self.times.push(Pair::new("date", &format!("{prefix}{at}")));
        self.period.insert(name.to_owned(), at.into());
    }
}

/// Statistics, and what they are made from.
#[derive(Debug, Default)]
pub struct Stats {
    /// One Observation a code.
    pub statistics: Vec<Value>,
    /// The Observations that gave numbers, where they were asked for.
    pub sources: Vec<Records>,
}

/// Works out statistics of the numbers that a code means. So many of the sources are kept.
///
/// # Errors
/// [`Error`], also where no number here has this code.
pub async fn of_code(
    from: Origin<'_>,
    scope: &Scope<'_>,
    observation: &'static Resource,
    about: &About,
    (name, coding): (&str, &str),
    asked: &[Asked],
    sources: usize,
) -> Result<Stats, Error> {
    let mut token = Token::read(name, coding)?;
    token.canonicalize(scope.kinds);
    let groups = measure::meant_by(scope.kinds, &token);
    if groups.is_empty() {
        return Err(Invalid::new(
            name,
            format!("no Observation here has a number with the code {coding}"),
            format!("コード {coding} の数値を持つ Observation はありません"),
        )
        .into());
    }
    let mut series: Vec<Series> = groups
        .iter()
        .map(|group| Series {
            scale: u32::from(group.decimals),
            ..Series::default()
        })
        .collect();
    let pairs = [
        &[
            Pair::new("patient", &format!("Patient/{}", about.patient)),
            Pair::new("combo-code", coding),
        ],
        about.times.as_slice(),
    ]
    .concat();
    let search = find::search(observation, &pairs, Limits::default())?;
    let mut out = Stats::default();
    let mut left = sources;
    let mut after = None;
    loop {
        let page = find::page(from, scope, observation, &search, after, BLOCK).await?;
        let Found::Records(mut records) = page.found else {
            break;
        };
        for row in &records.rows {
            let record = records.record(row);
            for (group, series) in groups.iter().zip(&mut series) {
                let fields = group.fields.iter().filter(|(kind, _)| *kind == row.kind);
                for &(_, field) in fields {
                    series.total += 1;
                    let cell = record.cells[field];
                    if cell.is_absent() {
                        continue;
                    }
                    let decimals = record.kind.fields[field].ty.decimals();
                    let lift = 10i128.pow(u32::from(group.decimals - decimals));
                    series.written = series.written.max(u32::from(cell.written()));
                    series.samples.push(Sample {
                        scaled: i128::from(cell.scaled()) * lift,
                        seconds: record.seconds(),
                    });
                }
            }
        }
        records.rows.truncate(left);
        left -= records.rows.len();
        if !records.rows.is_empty() {
            out.sources.push(records);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let made = groups.iter().zip(&series);
    out.statistics = made
        .map(|(group, series)| observed(about, group, series, asked))
        .collect();
    Ok(out)
}

/// The Observation with the statistics of a series.
fn observed(about: &About, group: &Group, series: &Series, asked: &[Asked]) -> Value {
    let mut period = about.period.clone();
    let times = || series.samples.iter().map(|s| s.seconds);
    for (name, at) in [("start", times().min()), ("end", times().max())] {
        if let (false, Some(at)) = (period.contains_key(name), at) {
            period.insert(
                name.into(),
                time::text(|out| time::write_date_time(out, at)).into(),
            );
        }
    }
    let components: Vec<Value> = asked
        .iter()
        .flat_map(|asked| components(*asked, group, series))
        .collect();
    let mut out = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": group.code,
        "subject": { "reference": format!("Patient/{}", about.patient) },
    });
    if !period.is_empty() {
        out["effectivePeriod"] = period.into();
    }
    out["component"] = components.into();
    out
}

/// The results of a statistic; why there is none where there are too few numbers.
fn components(
    Asked((code, display, statistic)): Asked,
    group: &Group,
    series: &Series,
) -> Vec<Value> {
    let concept = |part: Option<&str>| {
        let mut concept =
            json!({ "coding": [{ "system": CODES, "code": code, "display": display }] });
        if let Some(part) = part {
            concept["text"] = format!("{display}: {part}").into();
        }
        concept
    };
    let figures = statistic.of(series);
    if figures.is_empty() {
        let reason =
            json!({ "system": ABSENT, "code": "not-applicable", "display": "Not Applicable" });
        return vec![json!({ "code": concept(None), "dataAbsentReason": { "coding": [reason] } })];
    }
    let each = figures.iter().filter_map(|figure| {
        let quantity = quantity(figure, &group.unit)?;
        Some(json!({ "code": concept(figure.part), "valueQuantity": quantity }))
    });
    each.collect()
}

fn quantity(figure: &Figure, unit: &Unit) -> Option<Value> {
    let value: Number = figure.number.parse().ok()?;
    let derived =
        |text: &dyn Fn(&str) -> String| (text(&unit.text), unit.system.clone(), text(&unit.code));
    let (text, system, code) = match figure.of {
        Of::Unit => (unit.text.clone(), unit.system.clone(), unit.code.clone()),
        Of::Squared => derived(&squared),
        Of::PerDay => derived(&|unit| format!("{unit}/d")),
        Of::One => ("1".to_owned(), UCUM.to_owned(), "1".to_owned()),
    };
    Some(json!({ "value": value, "unit": text, "system": system, "code": code }))
}

/// The square of a unit of UCUM.
fn squared(unit: &str) -> String {
    if unit.starts_with('/') {
        format!("{unit}{unit}")
    } else if unit.bytes().all(|b| b.is_ascii_alphabetic()) {
        format!("{unit}2")
    } else {
        format!("{unit}.{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_units_are_units() {
        for (unit, square) in [
            ("kg", "kg2"),
            ("/min", "/min/min"),
            ("mm[Hg]", "mm[Hg].mm[Hg]"),
            ("mg/dL", "mg/dL.mg/dL"),
            ("%", "%.%"),
        ] {
            assert_eq!(squared(unit), square);
        }
    }

    #[test]
    fn statistics_are_known_by_their_codes() {
        assert!(Asked::read("average").is_ok());
        assert!(Asked::read("mean").unwrap_err().en.contains("median"));
    }
}
