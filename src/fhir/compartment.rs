//! Compartments: the resources that are about one resource
//! (<https://hl7.org/fhir/R4/compartmentdefinition.html>).
//!
//! Requests are routed by this table, and the CapabilityStatement and the OpenAPI document
//! are written from it.

use super::resource::{Resource, by_name};
use super::search::Parameter;

/// A compartment.
#[derive(Debug)]
pub struct Compartment {
    /// The type of the resource that it is about.
    of: &'static str,
    /// The name of its CompartmentDefinition.
    definition: &'static str,
    /// The types in it, each with the parameter of R4's definition that finds its instances.
    /// Of several parameters the one stands here that finds all of ours: the performer of
    /// an Observation is its subject or no Patient.
    members: &'static [(&'static str, &'static str)],
}

/// All compartments.
pub static COMPARTMENTS: &[Compartment] = &[
    Compartment {
        of: "Device",
        definition: "device",
        members: &[("Observation", "device")],
    },
    Compartment {
        of: "Patient",
        definition: "patient",
        members: &[
            ("Observation", "patient"),
            ("Provenance", "patient"),
            ("ResearchSubject", "individual"),
        ],
    },
];

/// A type in a compartment.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The type of the resource that the compartment is about.
    pub of: &'static Resource,
    /// The type in it.
    pub resource: &'static Resource,
    /// The parameter that finds its instances.
    pub parameter: &'static Parameter,
}

impl Compartment {
    /// The canonical of its definition.
    pub fn definition(&self) -> String {
        format!(
            "http://hl7.org/fhir/CompartmentDefinition/{}",
            self.definition
        )
    }

    /// The types in it.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        let of = by_name(self.of);
        self.members.iter().filter_map(move |(name, parameter)| {
            let resource = by_name(name)?;
            Some(Member {
                of: of?,
                resource,
                parameter: resource.searchable.parameter(parameter)?,
            })
        })
    }
}

/// The types in all compartments.
pub fn members() -> impl Iterator<Item = Member> {
    COMPARTMENTS.iter().flat_map(Compartment::members)
}
