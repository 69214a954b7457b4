//! The table of search parameters: what each resource can be searched by.

use super::records::{self, Meaning};
use super::rows::{self, RowMeaning};
use super::{Filter, Invalid, Scope};
use crate::fhir::resource::Source;

/// The type of a search parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// A code, an identifier.
    Token,
    /// A date or time.
    Date,
    /// A reference to another resource.
    Reference,
}

impl ParameterType {
    /// The code of FHIR's `search-param-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            ParameterType::Token => "token",
            ParameterType::Date => "date",
            ParameterType::Reference => "reference",
        }
    }
}

/// The function that says what the values of a parameter mean.
#[derive(Debug, Clone, Copy)]
pub enum Means {
    /// For records.
    Records(fn(&Scope, &Filter) -> Result<Meaning, Invalid>),
    /// For the rows behind other resources.
    Rows(fn(&Scope, &Source, &Filter) -> Result<RowMeaning, Invalid>),
}

/// One search parameter of one resource.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: ParameterType,
    /// The FHIRPath of what it reads.
    pub reads: &'static str,
    /// The canonical of its definition, after `http://hl7.org/fhir/SearchParameter/`.
    pub definition: &'static str,
    /// The modifiers that it takes.
    pub modifiers: &'static [&'static str],
    /// The resource that a reference leads to, for chains.
    pub target: Option<&'static Searchable>,
    /// What its values mean.
    pub means: Means,
}

/// What one resource can be searched by.
#[derive(Debug)]
pub struct Searchable {
    /// The resource type.
    pub resource_type: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The keys of `_sort`, beside the order of the store.
    pub sort: &'static [&'static str],
}

impl Searchable {
    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }
}

/// A row of the table, without what few rows have.
const fn row(
    name: &'static str,
    ty: ParameterType,
    reads: &'static str,
    definition: &'static str,
    means: Means,
) -> Parameter {
    Parameter {
        name,
        ty,
        reads,
        definition,
        modifiers: &[],
        target: None,
        means,
    }
}

const fn identifier(reads: &'static str, definition: &'static str) -> Parameter {
    let means = Means::Rows(rows::identifier);
    row("identifier", ParameterType::Token, reads, definition, means)
}

const ROW_ID: Parameter = row(
    "_id",
    ParameterType::Token,
    "Resource.id",
    "Resource-id",
    Means::Rows(rows::id),
);
const ROW_UPDATED: Parameter = row(
    "_lastUpdated",
    ParameterType::Date,
    "Resource.meta.lastUpdated",
    "Resource-lastUpdated",
    Means::Rows(rows::last_updated),
);

/// A reference to the Patient, with its identifier as a modifier.
const fn patient(name: &'static str, reads: &'static str, definition: &'static str) -> Parameter {
    Parameter {
        modifiers: &["identifier", "Patient"],
        target: Some(&PATIENT),
        ..row(
            name,
            ParameterType::Reference,
            reads,
            definition,
            Means::Records(records::patient),
        )
    }
}

/// Observation.
pub static OBSERVATION: Searchable = Searchable {
    resource_type: "Observation",
    parameters: &[
        row(
            "_id",
            ParameterType::Token,
            "Resource.id",
            "Resource-id",
            Means::Records(records::id),
        ),
        row(
            "_lastUpdated",
            ParameterType::Date,
            "Resource.meta.lastUpdated",
            "Resource-lastUpdated",
            Means::Records(records::last_updated),
        ),
        row(
            "identifier",
            ParameterType::Token,
            "Observation.identifier",
            "clinical-identifier",
            Means::Records(records::identifier),
        ),
        row(
            "category",
            ParameterType::Token,
            "Observation.category",
            "Observation-category",
            Means::Records(records::category),
        ),
        row(
            "code",
            ParameterType::Token,
            "Observation.code",
            "clinical-code",
            Means::Records(records::code),
        ),
        row(
            "date",
            ParameterType::Date,
            "Observation.effective",
            "clinical-date",
            Means::Records(records::date),
        ),
        patient(
            "patient",
            "Observation.subject.where(resolve() is Patient)",
            "clinical-patient",
        ),
        patient("subject", "Observation.subject", "Observation-subject"),
    ],
    sort: &["date", "-date", "_lastUpdated", "-_lastUpdated"],
};

/// Patient.
pub static PATIENT: Searchable = Searchable {
    resource_type: "Patient",
    parameters: &[
        ROW_ID,
        ROW_UPDATED,
        identifier("Patient.identifier", "Patient-identifier"),
    ],
    sort: &[],
};

/// Device.
pub static DEVICE: Searchable = Searchable {
    resource_type: "Device",
    parameters: &[
        ROW_ID,
        ROW_UPDATED,
        identifier("Device.identifier", "Device-identifier"),
    ],
    sort: &[],
};

/// DeviceDefinition.
pub static DEVICE_DEFINITION: Searchable = Searchable {
    resource_type: "DeviceDefinition",
    parameters: &[
        ROW_ID,
        identifier("DeviceDefinition.identifier", "DeviceDefinition-identifier"),
    ],
    sort: &[],
};

/// Organization.
pub static ORGANIZATION: Searchable = Searchable {
    resource_type: "Organization",
    parameters: &[
        ROW_ID,
        ROW_UPDATED,
        identifier("Organization.identifier", "Organization-identifier"),
    ],
    sort: &[],
};

/// ResearchStudy.
pub static RESEARCH_STUDY: Searchable = Searchable {
    resource_type: "ResearchStudy",
    parameters: &[
        ROW_ID,
        ROW_UPDATED,
        identifier("ResearchStudy.identifier", "ResearchStudy-identifier"),
    ],
    sort: &[],
};

/// ResearchSubject.
pub static RESEARCH_SUBJECT: Searchable = Searchable {
    resource_type: "ResearchSubject",
    parameters: &[
        ROW_ID,
        ROW_UPDATED,
        identifier("ResearchSubject.identifier", "ResearchSubject-identifier"),
    ],
    sort: &[],
};

/// Provenance.
pub static PROVENANCE: Searchable = Searchable {
    resource_type: "Provenance",
    parameters: &[ROW_ID, ROW_UPDATED],
    sort: &[],
};
