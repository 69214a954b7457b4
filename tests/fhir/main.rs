//! The FHIR side through the router, without a socket: one module per group of interactions.

mod capability;
mod chains;
mod compartment;
mod conditional;
mod create;
#[path = "../support/database.rs"]
mod database;
mod everything;
mod include;
mod interactions;
mod lastn;
mod model;
mod operations;
mod patch;
mod reading;
mod registry;
mod search;
mod server;
mod subset;
mod update;
mod values;
