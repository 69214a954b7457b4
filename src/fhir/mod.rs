//! FHIR rules that hold for every record kind.

pub mod bundle;
pub mod canonical;
pub mod capability;
pub mod check;
pub mod elements;
pub mod id;
pub mod inbound;
pub mod instance;
pub mod outcome;
pub mod registry;
pub mod render;
pub mod resource;
pub mod search;
pub mod searchset;
pub mod subset;
