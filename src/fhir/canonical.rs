//! The canonical strings of the project and of others (mapping specification §1).

/// The default of `--canonical-base`.
pub const DEFAULT_BASE: &str = "https://kenko-fhir.example/fhir";

/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// UCUM.
pub const UCUM: &str = "http://unitsofmeasure.org";
/// IEEE 11073 nomenclature.
pub const MDC: &str = "urn:iso:std:iso:11073:10101";
/// The ten-digit number of a Japanese medical institution.
pub const INSTITUTION_NO: &str =
    "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no";
/// The extension by which JP-CLINS resources name the institution that made them.
pub const JP_ECS_INSTITUTION: &str =
    "http://jpfhir.jp/fhir/clins/Extension/StructureDefinition/JP_eCS_InstitutionNumber";
/// JP Core profiles; the name of the profile follows.
pub const JP_CORE: &str = "http://jpfhir.jp/fhir/core/StructureDefinition/";

/// The project's own canonical strings, under a base that a deployment chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    base: String,
}

impl Default for Canonical {
    fn default() -> Self {
        Canonical::new(DEFAULT_BASE)
    }
}

impl Canonical {
    /// Canonical strings under `base` (a trailing slash is dropped).
    pub fn new(base: &str) -> Canonical {
        Canonical {
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// The base itself.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `B/sid/{name}`: an identifier system.
    pub fn sid(&self, name: &str) -> String {
        format!("{}/sid/{name}", self.base)
    }

    /// `B/sid/consortium/{c}/person`.
    pub fn person_sid(&self, consortium_id: &str) -> String {
        format!("{}/sid/consortium/{consortium_id}/person", self.base)
    }

    /// `B/sid/consortium/{c}/test-lab`.
    pub fn test_lab_sid(&self, consortium_id: &str) -> String {
        format!("{}/sid/consortium/{consortium_id}/test-lab", self.base)
    }

    /// The consortium of a `B/sid/consortium/{c}/{what}` system.
    pub fn consortium_of<'a>(&self, system: &'a str, what: &str) -> Option<&'a str> {
        system
            .strip_prefix(self.base.as_str())?
            .strip_prefix("/sid/consortium/")?
            .strip_suffix(what)?
            .strip_suffix('/')
    }

    /// `B/CodeSystem/{name}`.
    pub fn code_system(&self, name: &str) -> String {
        format!("{}/CodeSystem/{name}", self.base)
    }

    /// `B/StructureDefinition/{name}`.
    pub fn extension(&self, name: &str) -> String {
        format!("{}/StructureDefinition/{name}", self.base)
    }
}
