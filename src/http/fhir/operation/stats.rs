//! `Observation/$stats` (<https://hl7.org/fhir/R4/observation-operation-stats.html>).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::told;
use crate::decimal::Decimal;
use crate::fhir::instance::Origin;
use crate::fhir::parameters::{Arguments, Given};
use crate::fhir::render::Renderer;
use crate::fhir::resource::Resource;
use crate::fhir::search::form::escape;
use crate::fhir::search::reference::Target;
use crate::fhir::search::{Invalid, Scope};
use crate::fhir::stats::{self, About, Asked};
use crate::http::error::{Problem, Result};
use crate::http::fhir::call::{Call, no_such};
use crate::http::fhir::read;
use crate::time;

/// Source Observations at most, of each code.
const SOURCES_MAX: usize = 1000;

/// Answers with statistics: one Observation a code.
pub async fn stats(
    call: &Call,
    observation: &'static Resource,
    arguments: &Arguments,
) -> Result<Response> {
    let scope = call.scope();
    let access = call.app.access();
    let from = Origin {
        store: call.app.store(),
        access: &access,
    };
    let about = about(&scope, arguments)?;
    let asked = arguments.texts("statistic")?;
    let asked = asked
        .iter()
        .flat_map(|codes| codes.split(','))
        .map(Asked::read);
    let asked: Vec<Asked> = asked.collect::<std::result::Result<_, _>>()?;
    let codings = codings(arguments)?;
    let include = arguments.flag("include")?;
    let limit = arguments
        .positive("limit")?
        .unwrap_or(SOURCES_MAX)
        .min(SOURCES_MAX);
    if !read::exists(call, "Patient", &about.patient).await? {
        return Err(no_such("Patient").at("subject"));
    }
    let mut parameters = Vec::new();
    let mut sources = Vec::new();
    for (name, coding) in &codings {
        let limit = if include { limit } else { 0 };
        let coding = (*name, coding.as_str());
        let made = stats::of_code(from, &scope, observation, &about, coding, &asked, limit).await?;
        let made_of = made.statistics.into_iter();
        parameters.extend(made_of.map(|o| json!({ "name": "statistics", "resource": o })));
        sources.extend(made.sources);
    }
    let mut seen = std::collections::HashSet::new();
    for records in &sources {
        let mut renderer = Renderer::new(call.app.store(), records).await?;
        for row in records.rows.iter().filter(|row| seen.insert(row.id)) {
            let mut written = Vec::new();
            renderer.write(row, &mut written);
            let source: Value = serde_json::from_slice(&written).map_err(Problem::internal)?;
            parameters.push(json!({ "name": "source", "resource": source }));
        }
    }
    parameters.extend(told(call, arguments));
    let answer = json!({ "resourceType": "Parameters", "parameter": parameters });
    call.answer_value(StatusCode::OK, &answer)
}

/// Whose numbers, and of what time.
fn about(scope: &Scope, arguments: &Arguments) -> Result<About> {
    let subject = arguments.one("subject")?.unwrap_or_default();
    let target = Target::read("subject", subject, scope.base)?;
    let patient = target
        .id_of("Patient")
        .ok_or_else(|| no_such("Patient").at("subject"))?;
    let mut about = About {
        patient: patient.to_owned(),
        times: Vec::new(),
        period: Map::new(),
    };
    let duration = arguments.one("duration")?;
    let period = arguments.all("period").next();
    match (duration, period) {
        (Some(_), Some(_)) => {
            return Err(Invalid::new(
                "duration",
                "either duration or period can be given",
                "duration と period はどちらか一方だけ指定できます",
            )
            .into());
        }
        (Some(hours), None) => {
            let start = scope.now - millis(hours)?;
            let at = |millis| time::text(|out| time::write_instant(out, millis));
            about.bound("start", &at(start));
            about.bound("end", &at(scope.now));
        }
        (None, Some(period)) => {
            for name in ["start", "end"] {
                if let Some(text) = bound(period, name)? {
                    about.bound(name, text);
                }
            }
        }
        (None, None) => {}
    }
    Ok(about)
}

/// Hours as milliseconds.
fn millis(hours: &str) -> std::result::Result<i64, Invalid> {
    let hour = Decimal::from_scaled(3_600_000, 0);
    let millis = Decimal::parse(hours)
        .filter(|hours| !hours.is_negative())
        .and_then(|hours| hours.times(hour)?.scaled(0));
    // No longer than the calendar.
    millis
        .filter(|&m| m < 100_000 * time::DAY * 1000)
        .ok_or_else(|| {
            Invalid::new(
                "duration",
                "a number of hours is expected, such as 24",
                "24 のような時間数を指定してください",
            )
        })
}

/// One end of a Period.
fn bound<'a>(period: &'a Given, name: &str) -> std::result::Result<Option<&'a str>, Invalid> {
    let wrong = || {
        Invalid::new(
            "period",
            "a Period with start or end is expected, in Parameters: valuePeriod",
            "start か end を持つ Period を Parameters の valuePeriod で指定してください",
        )
    };
    let Given::Value(period) = period else {
        return Err(wrong());
    };
    let text = match period.get(name) {
        None => return Ok(None),
        Some(text) => text.as_str().ok_or_else(wrong)?,
    };
    time::parse_fhir(text, time::JST).ok_or_else(wrong)?;
    Ok(Some(text))
}

/// The codes that statistics are asked for, as tokens, with the parameter of each.
fn codings(arguments: &Arguments) -> Result<Vec<(&'static str, String)>> {
    let system = arguments.one("system")?;
    let mut out = Vec::new();
    for code in arguments
        .texts("code")?
        .iter()
        .flat_map(|codes| codes.split(','))
    {
        out.push(match system {
            Some(system) if !code.contains('|') => ("code", format!("{system}|{code}")),
            _ => ("code", code.to_owned()),
        });
    }
    for coding in arguments.all("coding") {
        let token = match coding {
            Given::Text(text) => text.clone(),
            Given::Value(coding) => {
                let part = |name: &str| escape(coding[name].as_str().unwrap_or_default());
                match part("system").as_str() {
                    "" => part("code"),
                    system => format!("{system}|{}", part("code")),
                }
            }
            Given::Resource(_) => String::new(),
        };
        out.push(("coding", token));
    }
    if out.is_empty() {
        return Err(Invalid::new(
            "code",
            "a code (with system) or a coding is expected",
            "code（と system）または coding を指定してください",
        )
        .into());
    }
    Ok(out)
}
