//! FHIR rules that hold for every record kind.

pub mod bundle;
pub mod canonical;
pub mod id;
pub mod outcome;
pub mod registry;
