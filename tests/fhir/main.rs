//! The FHIR side through the router, without a socket: one module per group of interactions.

mod capability;
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
mod model_rows;
mod operations;
mod patch;
mod registry;
mod rows;
mod search;
mod server;
mod subset;
mod update;
