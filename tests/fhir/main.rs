//! The FHIR side through the router, without a socket: one module per group of interactions.

mod capability;
mod chains;
mod compartment;
mod conditional;
mod create;
#[path = "../support/database.rs"]
mod database;
mod devices;
mod ehr;
mod everything;
mod history;
mod include;
mod interactions;
mod joins;
mod lastn;
mod matching;
mod model;
mod model_rows;
mod operations;
mod participants;
mod patch;
mod provenance;
mod reading;
mod reads_within;
mod registry;
mod residue;
mod rows;
mod rules;
mod search;
mod server;
mod stats;
mod subset;
mod transaction;
mod update;
mod validate;
mod values;
