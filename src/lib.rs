//! kenko-fhir: the bridge between Japan's health information exchange protocol and FHIR R4.

pub mod fault;
pub mod fhir;
pub mod json;
pub mod registry;
