//! The HTTP interface through `app()`, without sockets except where connections are meant.

#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/connections.rs"]
mod connections;
#[path = "http/converting.rs"]
mod converting;
#[path = "support/database.rs"]
mod database;
#[path = "http/documents.rs"]
mod documents;
#[path = "http/faults.rs"]
mod faults;
#[path = "http/hosts.rs"]
mod hosts;
#[path = "http/layers.rs"]
mod layers;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/listings.rs"]
mod listings;
#[path = "http/messages.rs"]
mod messages;
#[path = "http/records.rs"]
mod records;
#[path = "http/registries.rs"]
mod registries;
#[path = "http/server.rs"]
mod server;
#[path = "http/submissions.rs"]
mod submissions;
#[path = "faults/mod.rs"]
mod table;
