//! FHIR rules that hold for every record kind.

pub mod bundle;
pub mod canonical;
pub mod check;
pub mod id;
pub mod inbound;
pub mod outcome;
pub mod registry;
pub mod resource;
pub mod search;
