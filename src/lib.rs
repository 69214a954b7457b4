//! kenko-fhir: the bridge between Japan's health information exchange protocol and FHIR R4.

pub mod cli;
pub mod config;
pub mod decimal;
pub mod exchange;
pub mod fault;
pub mod fhir;
pub mod http;
pub mod json;
pub mod kind;
pub mod mapping;
pub mod record;
pub mod registry;
pub mod store;
pub mod synth;
pub mod tape;
pub mod time;
