//! The FHIR side through the router, without a socket: one module per group of interactions.

mod capability;
mod interactions;
mod operations;
mod registry;
mod search;
mod server;
