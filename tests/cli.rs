//! The built program, run as a user runs it.

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/convert.rs"]
mod convert;
#[path = "cli/disk.rs"]
mod disk;
#[path = "cli/documents.rs"]
mod documents;
mod faults;
#[path = "support/history.rs"]
mod history;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/memory.rs"]
mod memory;
#[path = "cli/operations.rs"]
mod operations;
#[path = "cli/outputs.rs"]
mod outputs;
#[path = "cli/registry.rs"]
mod registry;
#[path = "cli/reports.rs"]
mod reports;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/synth.rs"]
mod synth;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/validate.rs"]
mod validate;
