//! Search: from a query string to what the store is asked (FHIR R4, search:
//! <https://hl7.org/fhir/R4/search.html>).
//!
//! Three steps, each without a pile of cases: [`form`] takes the string apart; [`Search`]
//! finds each parameter in the table of its resource ([`parameter`]) and keeps its values
//! as [`Criterion`]s, with the chains around them; the parameter's own function, named in
//! its row, says what the values mean for the store, as a [`crate::store::Test`]. A new
//! parameter is one row and at most one function. The CapabilityStatement lists the same
//! rows.
//!
//! Codes and categories are constants of a mapping, so they are answered here, by the kinds
//! that can match, before any database is asked.

mod concept;
pub mod cursor;
pub mod date;
mod element;
mod filter;
pub mod form;
mod include;
mod observation;
pub mod parameter;
mod parse;
mod quantity;
mod reads;
pub mod reference;
pub mod rows;
mod tables;
pub mod token;
mod ucum;
mod valueset;

pub use filter::{Criterion, Filter, Modifier};
pub use include::Include;
pub use parameter::{Link, Parameter, ParameterType, Searchable};
pub use parse::{CURSOR, Ignored, Limits, Search, Total};
pub use tables::{
    DEVICE, DEVICE_DEFINITION, GROUP, OBSERVATION, ORGANIZATION, PATIENT, PROVENANCE,
    RESEARCH_STUDY, RESEARCH_SUBJECT,
};

/// A search that cannot be run: the value of a parameter, or a modifier, is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {en}")]
pub struct Invalid {
    /// The parameter, as it was written.
    pub parameter: String,
    /// What is wrong, in English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
}

impl Invalid {
    /// What is wrong with a parameter, in both languages.
    pub fn new(parameter: &str, en: impl Into<String>, ja: impl Into<String>) -> Invalid {
        Invalid {
            parameter: parameter.to_owned(),
            en: en.into(),
            ja: ja.into(),
        }
    }
}

/// What the meaning of a value depends on, besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The record kinds, whose constants answer codes and categories.
    pub kinds: &'a crate::kind::Kinds,
    /// The address of this server's resources, `https://host/fhir`.
    pub base: &'a str,
    /// The zone of times without one, in seconds ahead of UTC.
    pub zone: i64,
    /// Now, in milliseconds since the epoch.
    pub now: i64,
}
