//! What the resources are searched by that come from registry rows, devices and writes.

use super::parameter::{Parameter, ParameterType, Searchable};
use super::rows;

const fn identifier(reads: &'static str, definition: &'static str) -> Parameter {
    let ty = ParameterType::Token;
    Parameter::new("identifier", ty, reads, definition, rows::identifier).plain()
}

const ID: Parameter = Parameter::new(
    "_id",
    ParameterType::Token,
    "Resource.id",
    "Resource-id",
    rows::id,
)
.plain();
const UPDATED: Parameter = Parameter::new(
    "_lastUpdated",
    ParameterType::Date,
    "Resource.meta.lastUpdated",
    "Resource-lastUpdated",
    rows::last_updated,
);

/// Patient.
pub static PATIENT: Searchable = Searchable {
    resource_type: "Patient",
    parameters: &[
        ID,
        UPDATED,
        identifier("Patient.identifier", "Patient-identifier"),
    ],
};

/// Device.
pub static DEVICE: Searchable = Searchable {
    resource_type: "Device",
    parameters: &[
        ID,
        UPDATED,
        identifier("Device.identifier", "Device-identifier"),
    ],
};

/// DeviceDefinition.
pub static DEVICE_DEFINITION: Searchable = Searchable {
    resource_type: "DeviceDefinition",
    parameters: &[
        ID,
        identifier("DeviceDefinition.identifier", "DeviceDefinition-identifier"),
    ],
};

/// Organization.
pub static ORGANIZATION: Searchable = Searchable {
    resource_type: "Organization",
    parameters: &[
        ID,
        UPDATED,
        identifier("Organization.identifier", "Organization-identifier"),
    ],
};

/// ResearchStudy.
pub static RESEARCH_STUDY: Searchable = Searchable {
    resource_type: "ResearchStudy",
    parameters: &[
        ID,
        UPDATED,
        identifier("ResearchStudy.identifier", "ResearchStudy-identifier"),
    ],
};

/// ResearchSubject.
pub static RESEARCH_SUBJECT: Searchable = Searchable {
    resource_type: "ResearchSubject",
    parameters: &[
        ID,
        UPDATED,
        identifier("ResearchSubject.identifier", "ResearchSubject-identifier"),
    ],
};

/// Provenance.
pub static PROVENANCE: Searchable = Searchable {
    resource_type: "Provenance",
    parameters: &[ID, UPDATED],
};
