//! FHIR rules that hold for every record kind.

pub mod bundle;
pub mod canonical;
pub mod capability;
pub mod check;
pub mod compartment;
pub mod elements;
pub mod everything;
pub mod find;
pub mod id;
pub mod inbound;
pub mod include;
pub mod instance;
pub mod labels;
pub mod lastn;
pub mod matching;
pub mod operation;
pub mod outcome;
pub mod parameters;
pub mod registry;
pub mod render;
pub mod resource;
pub mod search;
pub mod searchset;
pub mod stats;
pub mod subset;
pub mod validate;
