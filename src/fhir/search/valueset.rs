//! The value sets that `:in` and `:not-in` know: all codes of a code system of ours, and
//! those of HL7 that Observations are searched by.

use super::form::unescape;
use super::{Invalid, Scope};
use crate::fhir::canonical::LOINC;

/// Codes of one system.
#[derive(Debug, Clone, Copy)]
pub enum Codes {
    /// All of them.
    All,
    /// These.
    Listed(&'static [&'static str]),
}

impl Codes {
    /// Whether a code is among them.
    pub fn has(self, code: &str) -> bool {
        match self {
            Codes::All => true,
            Codes::Listed(codes) => codes.contains(&code),
        }
    }

    /// The codes, where not all are meant.
    pub fn listed(self) -> Option<&'static [&'static str]> {
        match self {
            Codes::All => None,
            Codes::Listed(codes) => Some(codes),
        }
    }
}

/// A value set over one code system.
#[derive(Debug, Clone)]
pub struct ValueSet {
    system: String,
    codes: Codes,
}

impl ValueSet {
    /// Its system, and the codes of that.
    pub fn codes(&self) -> (&str, Codes) {
        (&self.system, self.codes)
    }

    /// Its codes of a system; `None` where it has none.
    pub fn of_system(&self, system: &str) -> Option<Codes> {
        (self.system == system).then_some(self.codes)
    }
}

/// Value sets of others: canonical, system, codes.
const KNOWN: &[(&str, &str, Codes)] = &[
    (
        "http://hl7.org/fhir/ValueSet/observation-category",
        "http://terminology.hl7.org/CodeSystem/observation-category",
        Codes::All,
    ),
    (
        "http://hl7.org/fhir/ValueSet/observation-status",
        "http://hl7.org/fhir/observation-status",
        Codes::All,
    ),
    (
        "http://hl7.org/fhir/ValueSet/observation-codes",
        LOINC,
        Codes::All,
    ),
    ("http://loinc.org/vs", LOINC, Codes::All),
    // https://hl7.org/fhir/R4/valueset-observation-vitalsignresult.html
    (
        "http://hl7.org/fhir/ValueSet/observation-vitalsignresult",
        LOINC,
        Codes::Listed(&[
            "85353-1", "9279-1", "8867-4", "2708-6", "8310-5", "8302-2", "9843-4", "29463-7",
            "39156-5", "85354-9", "8480-6", "8462-4", "8478-0",
        ]),
    ),
    (
        "http://hl7.org/fhir/ValueSet/administrative-gender",
        "http://hl7.org/fhir/administrative-gender",
        Codes::All,
    ),
];

/// Reads a value set; a version after `|` is read over. Ours are `B/ValueSet/[name]`, all
/// codes of `B/CodeSystem/[name]`.
///
/// # Errors
/// [`Invalid`] for one that is not known.
pub fn read(scope: &Scope, parameter: &str, value: &str) -> Result<ValueSet, Invalid> {
    let value = unescape(value);
    let url = value.split('|').next().unwrap_or_default();
    let base = format!("{}/ValueSet/", scope.kinds.canonical.base());
    let own = url
        .strip_prefix(base.as_str())
        .filter(|name| !name.is_empty());
    if let Some(name) = own {
        let system = scope.kinds.canonical.code_system(name);
        if scope.kinds.has_system(&system) {
            let codes = Codes::All;
            return Ok(ValueSet { system, codes });
        }
    }
    let known = KNOWN.iter().find(|(known, ..)| *known == url);
    known
        .map(|(_, system, codes)| ValueSet {
            system: (*system).to_owned(),
            codes: *codes,
        })
        .ok_or_else(|| {
            let all: Vec<&str> = KNOWN.iter().map(|(url, ..)| *url).collect();
            let all = all.join(", ");
            Invalid::new(
                parameter,
                format!(
                    "the value set is not known; known are {all} and {base}[name] for the \
                     code systems of this server, or write the codes themselves, separated \
                     by commas"
                ),
                format!(
                    "未知の値集合です。使えるのは {all} と、このサーバーのコード体系の \
                     {base}[name] です。コードをコンマで並べることもできます"
                ),
            )
        })
}
