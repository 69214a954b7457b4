//! The `Prefer` header (RFC 7240).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::store::Handling;

/// What an answer to a write carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// Headers only.
    Minimal,
    /// The resource.
    Representation,
    /// An OperationOutcome.
    Outcome,
}

/// What the client prefers; what is not known is passed over, as the standard says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `handling=strict` or `handling=lenient`.
    pub handling: Option<Handling>,
    /// `return=minimal`, `representation` or `OperationOutcome`.
    pub answer: Option<Return>,
    /// `respond-async`
    pub asynchronous: bool,
}

impl Prefer {
    /// The preferences in these headers; of repeated ones the first counts.
    pub fn of(headers: &HeaderMap) -> Prefer {
        let mut prefer = Prefer::default();
        let values = headers.get_all("prefer").iter();
        let parts = values
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split([',', ';']));
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "handling" => {
                    prefer.handling = prefer.handling.or(match value {
                        "strict" => Some(Handling::Strict),
                        "lenient" => Some(Handling::Lenient),
                        _ => None,
                    });
                }
                "return" => {
                    prefer.answer = prefer.answer.or(match value {
                        "minimal" => Some(Return::Minimal),
                        "representation" => Some(Return::Representation),
                        "OperationOutcome" => Some(Return::Outcome),
                        _ => None,
                    });
                }
                "respond-async" => prefer.asynchronous = true,
                _ => {}
            }
        }
        prefer
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Prefer, Infallible> {
        Ok(Prefer::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_in_any_form() {
        let prefer = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            Prefer::of(&headers)
        };
        let both = Prefer {
            handling: Some(Handling::Lenient),
            answer: Some(Return::Minimal),
            asynchronous: true,
        };
        assert_eq!(
            prefer(&["handling=lenient, return=minimal, respond-async"]),
            both
        );
        assert_eq!(
            prefer(&["Handling=\"lenient\"; return=minimal", "respond-async"]),
            both
        );
        assert_eq!(
            prefer(&["handling=strict,handling=lenient"]).handling,
            Some(Handling::Strict)
        );
        assert_eq!(prefer(&["handling=maybe", "wait=10"]), Prefer::default());
    }
}
