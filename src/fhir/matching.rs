//! `$match`: which Patient a Patient may be
//! (<https://hl7.org/fhir/R4/patient-operation-match.html>).
//!
//! A participant is known by identifiers, month of birth, gender and prefecture; there are
//! no names. Candidates share an identifier, or month of birth and gender. Each of what is
//! known on both sides speaks for or against them:
//!
//! | | agrees | differs |
//! |---|---:|---:|
//! | an identifier | 0.7 | (another one says nothing) |
//! | birth date | 0.15 | −0.4 |
//! | gender | 0.1 | −0.3 |
//! | prefecture | 0.05 | −0.05 |
//!
//! A score of 0.7 and nothing against it is certain; 0.5 probable, 0.2 possible, less no match.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::find::{self, Error, Found};
use super::instance::{Instance, Origin};
use super::resource::Resource;
use super::search::form::{Pair, escape};
use super::search::{Limits, Scope};

/// Identifiers of one Patient that are looked for at most.
const IDENTIFIERS_MAX: usize = 100;

/// Candidates looked at, at most.
const CANDIDATES_MAX: usize = 1000;

/// How sure a match is (<http://terminology.hl7.org/CodeSystem/match-grade>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It may be.
    Possible,
    /// It is likely.
    Probable,
    /// It is.
    Certain,
}

impl Grade {
    /// The code of the grade.
    pub fn code(self) -> &'static str {
        match self {
            Grade::Possible => "possible",
            Grade::Probable => "probable",
            Grade::Certain => "certain",
        }
    }
}

/// A Patient that may be the one sought.
#[derive(Debug)]
pub struct Candidate {
    /// The Patient.
    pub patient: Instance,
    /// 0 to 1, two decimals.
    pub score: Number,
    /// How sure it is.
    pub grade: Grade,
}

/// The Patients that the one sought may be, the likeliest first.
///
/// # Errors
/// [`Error`]
pub async fn find(
    from: Origin<'_>,
    scope: &Scope<'_>,
    patient: &'static Resource,
    sought: &Value,
) -> Result<Vec<Candidate>, Error> {
    let mut seen = HashSet::new();
    let mut scored = Vec::new();
    for pairs in searches(sought) {
        let search = find::search(patient, &pairs, Limits::default())?;
        let page = find::page(from, scope, patient, &search, None, CANDIDATES_MAX).await?;
        let Found::Instances(found) = page.found else {
            continue;
        };
        for instance in found {
            if seen.insert(instance.id.clone())
                && let Some((score, grade)) = judge(sought, &instance.body)
            {
                scored.push((score, grade, instance));
            }
        }
    }
    // By id where all else is equal, so that the order is always the same.
    scored.sort_by(|a, b| (b.1, b.0, &a.2.id).cmp(&(a.1, a.0, &b.2.id)));
    let candidates = scored.into_iter().map(|(score, grade, patient)| Candidate {
        patient,
        score: hundredths(score),
        grade,
    });
    Ok(candidates.collect())
}

/// The searches that find candidates.
fn searches(sought: &Value) -> Vec<Vec<Pair>> {
    let identifiers = identifiers(sought).map(|(system, value)| match system {
        "" => escape(value),
        system => format!("{}|{}", escape(system), escape(value)),
    });
    let identifiers: Vec<String> = identifiers.take(IDENTIFIERS_MAX).collect();
    let mut out = Vec::new();
    if !identifiers.is_empty() {
        out.push(vec![Pair::new("identifier", &identifiers.join(","))]);
    }
    let text = |name: &str| sought[name].as_str();
    if let (Some(born), Some(gender)) = (text("birthDate"), text("gender")) {
        // Registered to the month.
        let month = born.get(..7).unwrap_or(born);
        out.push(vec![
            Pair::new("birthdate", month),
            Pair::new("gender", gender),
        ]);
    }
    out
}

/// System and value of the identifiers.
fn identifiers(patient: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = patient["identifier"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    all.iter().filter_map(|identifier| {
        let system = identifier["system"].as_str().unwrap_or_default();
        Some((system, identifier["value"].as_str()?))
    })
}

/// Score in hundredths, and grade; none where it is no match.
fn judge(sought: &Value, candidate: &Value) -> Option<(i32, Grade)> {
    let shared = identifiers(sought).any(|(system, value)| {
        identifiers(candidate).any(|own| own.1 == value && (system.is_empty() || own.0 == system))
    });
    let mut score = if shared { 70 } else { 0 };
    let mut against = false;
    let mut weigh = |agrees: Option<bool>, with: i32, without: i32| match agrees {
        Some(true) => score += with,
        Some(false) => {
            score -= without;
            against = true;
        }
        None => {}
    };
    weigh(
        same(sought, candidate, |p| p["birthDate"].as_str(), alike),
        15,
        40,
    );
    weigh(
        same(
            sought,
            candidate,
            |p| p["gender"].as_str().filter(|g| *g != "unknown"),
            |a, b| a == b,
        ),
        10,
        30,
    );
    weigh(
        same(
            sought,
            candidate,
            |p| p["address"][0]["state"].as_str(),
            |a, b| a == b,
        ),
        5,
        5,
    );
    let grade = match score {
        70.. if !against => Grade::Certain,
        50.. => Grade::Probable,
        20.. => Grade::Possible,
        _ => return None,
    };
    Some((score, grade))
}

/// Whether both say the same; nothing where one says nothing.
fn same<'a>(
    a: &'a Value,
    b: &'a Value,
    read: impl Fn(&'a Value) -> Option<&'a str>,
    equal: impl Fn(&str, &str) -> bool,
) -> Option<bool> {
    Some(equal(read(a)?, read(b)?))
}

/// Dates agree as far as both are written.
fn alike(a: &str, b: &str) -> bool {
    let short = a.len().min(b.len());
    a.get(..short) == b.get(..short)
}

fn hundredths(score: i32) -> Number {
    let text = format!("{}.{:02}", score / 100, score % 100);
    text.parse().unwrap_or_else(|_| Number::from(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person(identifier: &str, born: &str, gender: &str) -> Value {
        json!({
            "resourceType": "Patient",
            "identifier": [{ "system": "s", "value": identifier }],
            "birthDate": born, "gender": gender, "address": [{ "state": "愛知県" }],
        })
    }

    #[test]
    fn grades_follow_from_what_agrees() {
        let known = person("1", "1961-04", "male");
        for (sought, want) in [
            (
                json!({ "identifier": [{ "system": "s", "value": "1" }] }),
                Some((70, Grade::Certain)),
            ),
            (
                json!({ "identifier": [{ "value": "1" }] }),
                Some((70, Grade::Certain)),
            ),
            (
                person("1", "1961-04-12", "male"),
                Some((100, Grade::Certain)),
            ),
            (
                person("1", "1961-04", "female"),
                Some((60, Grade::Probable)),
            ),
            (person("1", "1970-01", "male"), Some((45, Grade::Possible))),
            (person("1", "1970-01", "female"), None),
            (person("2", "1961-04", "male"), Some((30, Grade::Possible))),
            (
                json!({ "birthDate": "1961-04", "gender": "male" }),
                Some((25, Grade::Possible)),
            ),
            (json!({ "birthDate": "1961-04", "gender": "unknown" }), None),
            (
                json!({ "identifier": [{ "system": "t", "value": "1" }] }),
                None,
            ),
        ] {
            assert_eq!(judge(&sought, &known), want, "{sought}");
        }
        assert_eq!(hundredths(70).to_string(), "0.70");
        assert_eq!(hundredths(100).to_string(), "1.00");
    }

    #[test]
    fn candidates_are_found_by_identifier_or_birth_and_gender() {
        let searches = searches(&person("a|b", "1961-04-12", "male"));
        assert_eq!(searches.len(), 2);
        assert_eq!(searches[0][0].value().unwrap(), "s|a\\|b");
        assert_eq!(searches[1][0].value().unwrap(), "1961-04");
        assert!(super::searches(&json!({ "birthDate": "1961" })).is_empty());
    }
}
