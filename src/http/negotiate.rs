//! Media types: what a body is in, and what an answer may be in.
//!
//! FHIR JSON travels as `application/fhir+json`, `application/json` or `text/json`: half of
//! the common clients send the plain ones. An answer is in the one asked for.
//! <https://hl7.org/fhir/R4/http.html#mime-type>

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};

use super::error::{Kind, Problem, Result};
use crate::fault::shorten;

/// FHIR's own media type.
pub const FHIR_JSON: &str = "application/fhir+json";
/// The same, as answers carry it.
pub const FHIR_JSON_UTF8: &str = "application/fhir+json;charset=utf-8";
/// JSON.
pub const JSON: &str = "application/json";
/// JSON, as some clients call it.
pub const TEXT_JSON: &str = "text/json";
/// The parameters of a search in a body.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// CSV.
pub const CSV: &str = "text/csv";
/// The version of FHIR spoken here.
pub const FHIR_VERSION: &str = "4.0";

/// A media type with its parameters, as a header says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype`, lower case.
    pub essence: String,
    /// Parameters: names in lower case, values without quotes.
    pub parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads one media type; a blank in the place of a `+` (a form's doing) is one.
    pub fn parse(text: &str) -> MediaType {
        let mut parts = text.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        MediaType {
            essence: essence.to_ascii_lowercase().replace(' ', "+"),
            parameters: parts
                .filter_map(|part| part.split_once('='))
                .map(|(name, value)| {
                    let value = value.trim().trim_matches('"');
                    (name.trim().to_ascii_lowercase(), value.to_owned())
                })
                .collect(),
        }
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pair = self.parameters.iter().find(|(n, _)| n == name)?;
        Some(&pair.1)
    }

    /// Whether what it says of charset and FHIR version is what is spoken here.
    fn is_spoken(&self) -> bool {
        self.is_utf8()
            && self
                .parameter("fhirversion")
                .is_none_or(|v| v == FHIR_VERSION)
    }

    /// Whether its charset, where it names one, is UTF-8.
    pub fn is_utf8(&self) -> bool {
        self.parameter("charset")
            .is_none_or(|c| c.eq_ignore_ascii_case("utf-8") || c.eq_ignore_ascii_case("utf8"))
    }

    /// How closely this range names a media type: 0 not at all, 1 `*/*`, 2 `type/*`, 3 itself.
    fn closeness(&self, media: &str) -> u8 {
        if self.essence == media {
            return 3;
        }
        match self.essence.split_once('/') {
            Some(("*", "*")) => 1,
            Some((kind, "*")) if media.split('/').next() == Some(kind) => 2,
            // curl and Java's URLConnection send a lone star.
            None if self.essence == "*" => 1,
            _ => 0,
        }
    }
}

/// The one of `offers` that an `Accept` header likes best; the first without a header.
/// Of equally liked ones the more closely named, then the earlier offered, wins.
pub fn choose(headers: &HeaderMap, offers: &[&'static str]) -> Option<&'static str> {
    // What most clients send needs no reading.
    let mut values = headers.get_all(ACCEPT).iter();
    if let (Some(only), None) = (values.next(), values.next())
        && let Some(offer) = offers.iter().find(|offer| only == **offer)
    {
        return Some(offer);
    }
    let ranges: Vec<(MediaType, f32)> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let range = MediaType::parse(part);
            let q = range.parameter("q").and_then(|q| q.parse().ok());
            (range, q.unwrap_or(1.0))
        })
        .collect();
    if ranges.is_empty() {
        return offers.first().copied();
    }
    let mut best: Option<(f32, u8, &'static str)> = None;
    for &offer in offers {
        let named = ranges
            .iter()
            .filter(|(range, _)| range.is_spoken())
            .map(|(range, q)| (range.closeness(offer), *q))
            .filter(|(closeness, _)| *closeness > 0)
            .max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let Some((closeness, q)) = named else {
            continue;
        };
        if q > 0.0 && best.is_none_or(|b| (q, closeness) > (b.0, b.1)) {
            best = Some((q, closeness, offer));
        }
    }
    best.map(|b| b.2)
}

/// As [`choose`].
///
/// # Errors
/// 406 where none of the offers is asked for.
pub fn accept(headers: &HeaderMap, offers: &[&'static str]) -> Result<&'static str> {
    choose(headers, offers).ok_or_else(|| not_acceptable(offers))
}

fn not_acceptable(offers: &[&'static str]) -> Problem {
    let offers = offers.join(", ");
    Problem::new(Kind::NotAcceptable).detail(
        format!("only {offers} can be given here"),
        format!("ここで応答できる形式は {offers} です"),
    )
}

/// How a FHIR answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FhirFormat {
    /// `Content-Type` of the answer.
    pub content_type: &'static str,
    /// With line ends and indentation.
    pub pretty: bool,
}

impl Default for FhirFormat {
    fn default() -> FhirFormat {
        FhirFormat {
            content_type: FHIR_JSON_UTF8,
            pretty: false,
        }
    }
}

/// How to write a FHIR answer, from the query's parameters and the headers: `_format` beats
/// `Accept`; `_pretty=true` indents.
///
/// # Errors
/// 406 for anything but JSON in FHIR 4.0.
pub fn fhir_format(query: &[(String, String)], headers: &HeaderMap) -> Result<FhirFormat> {
    const OFFERS: [&str; 3] = [FHIR_JSON, JSON, TEXT_JSON];
    let asked = query
        .iter()
        .find(|(name, value)| name == "_format" && !value.is_empty());
    let media = match asked {
        Some((_, value)) => {
            let media = MediaType::parse(value);
            let known = match media.essence.as_str() {
                "json" => Some(FHIR_JSON),
                name => OFFERS.into_iter().find(|o| *o == name),
            };
            known.filter(|_| media.is_spoken())
        }
        None => choose(headers, &OFFERS),
    };
    let content_type = match media {
        Some(JSON) => "application/json;charset=utf-8",
        Some(TEXT_JSON) => "text/json;charset=utf-8",
        Some(_) => FHIR_JSON_UTF8,
        None => return Err(not_acceptable(&OFFERS)),
    };
    Ok(FhirFormat {
        content_type,
        pretty: pretty(query),
    })
}

/// Whether `_pretty=true` was asked for.
pub fn pretty(query: &[(String, String)]) -> bool {
    query
        .iter()
        .any(|(name, value)| name == "_pretty" && value == "true")
}

/// The media type of a body, where it is one of `taken`.
///
/// # Errors
/// 415 for another one, for none, for FHIR of another version, and (but for CSV, whose reader
/// decides) for a charset other than UTF-8.
pub fn content_type(headers: &HeaderMap, taken: &[&str]) -> Result<MediaType> {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let media = MediaType::parse(text);
    let spoken = media.essence == CSV || media.is_spoken();
    if spoken && taken.contains(&media.essence.as_str()) {
        return Ok(media);
    }
    let (found, taken) = (shorten(text), taken.join(", "));
    let problem = Problem::new(Kind::MediaType);
    Err(if found.is_empty() {
        problem.detail(
            format!("a Content-Type is needed: {taken}"),
            format!("Content-Type が必要です: {taken}"),
        )
    } else {
        problem.detail(
            format!("Content-Type {found:?} is not read here; send {taken} in UTF-8"),
            format!(
                "Content-Type「{found}」には対応していません。UTF-8 の {taken} で送ってください"
            ),
        )
    })
}

/// Whether a body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    content_type(headers, &[FORM]).is_ok()
}

/// Checks that a body is FHIR JSON.
///
/// # Errors
/// 415, as [`content_type`].
pub fn fhir_body(headers: &HeaderMap) -> Result<()> {
    content_type(headers, &[FHIR_JSON, JSON, TEXT_JSON]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        headers
    }

    fn format(query: &str, accept: &str) -> Option<&'static str> {
        let pairs = crate::http::query::pairs(query, crate::http::query::Plus::Kept).unwrap();
        fhir_format(&pairs, &headers(accept))
            .ok()
            .map(|f| f.content_type.split(';').next().unwrap())
    }

    #[test]
    fn c1_15_the_type_asked_for_is_given() {
        assert_eq!(format("", ""), Some(FHIR_JSON));
        assert_eq!(format("", "*/*"), Some(FHIR_JSON));
        assert_eq!(format("", "application/json, text/plain, */*"), Some(JSON));
        assert_eq!(format("", "text/json"), Some(TEXT_JSON));
        assert_eq!(
            format("", "application/json;q=0.5, application/fhir+json;q=0.9"),
            Some(FHIR_JSON)
        );
        assert_eq!(format("", "application/fhir+json;q=0, */*"), Some(JSON));
        assert_eq!(
            format("", "text/html,application/xml;q=0.9,*/*;q=0.8"),
            Some(FHIR_JSON)
        );
        assert_eq!(format("", "application/fhir+xml"), None);
        assert_eq!(format("", "application/json;q=0"), None);
    }

    #[test]
    fn c1_16_charset_and_fhir_version_are_looked_at() {
        assert_eq!(
            format("", "application/fhir+json; fhirVersion=4.0; charset=UTF-8"),
            Some(FHIR_JSON)
        );
        assert_eq!(format("", "application/fhir+json; fhirVersion=5.0"), None);
        assert_eq!(format("", "application/fhir+json; charset=Shift_JIS"), None);
    }

    #[test]
    fn c1_17_format_beats_accept_and_a_plus_survives() {
        assert_eq!(format("_format=json", "application/xml"), Some(FHIR_JSON));
        assert_eq!(
            format("_format=application/fhir+json", "text/html"),
            Some(FHIR_JSON)
        );
        assert_eq!(
            format("_format=application/fhir%2Bjson", ""),
            Some(FHIR_JSON)
        );
        assert_eq!(
            format("_format=application/fhir%20json", ""),
            Some(FHIR_JSON)
        );
        assert_eq!(format("_format=application/json", ""), Some(JSON));
        assert_eq!(format("_format=xml", "application/json"), None);
        assert_eq!(format("_format=", "application/json"), Some(JSON));
    }

    #[test]
    fn bodies_in_other_types_are_refused() {
        let body = |text: &str| {
            let mut headers = HeaderMap::new();
            if !text.is_empty() {
                headers.insert(CONTENT_TYPE, text.parse().unwrap());
            }
            fhir_body(&headers).is_ok()
        };
        assert!(body(
            "application/fhir+json; charset=\"utf-8\"; fhirVersion=4.0"
        ));
        assert!(body("Application/JSON"));
        assert!(body("text/json"));
        for wrong in [
            "",
            "text/plain",
            "application/fhir+xml",
            "application/json;charset=cp932",
            "application/fhir+json;fhirVersion=3.0",
        ] {
            assert!(!body(wrong), "{wrong}");
        }
    }
}
