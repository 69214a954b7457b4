//! How many connections and bodies a server takes, and how long it waits for their clients.

use std::net::IpAddr;

use clap::Args;

use super::{Size, Timeout};

/// Limits of connections and of the bodies that come over them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections")]
pub struct Connections {
    /// Most connections; beyond them the one that idles longest is closed, else 503
    #[arg(long, value_name = "NUMBER", default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_max: u32,

    /// Most connections from one address; beyond them 429
    #[arg(long, value_name = "NUMBER", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_peer: u32,

    /// Address of a proxy that many clients come through, free of the limits per address; repeatable
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_values = ["127.0.0.1", "::1"])]
    pub trusted_proxy: Vec<IpAddr>,

    /// Longest time that the head of a request may take to come
    #[arg(long, value_name = "TIME", default_value = "15s")]
    pub header_timeout: Timeout,

    /// Longest time that a connection is kept without a request
    #[arg(long, value_name = "TIME", default_value = "75s")]
    pub idle_timeout: Timeout,

    /// Longest time that a client may take nothing of its answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub write_timeout: Timeout,

    /// Bytes per second that a body must bring on average, once --body-grace is used up; else 408
    #[arg(long, value_name = "SIZE", default_value = "1k")]
    pub body_rate: Size,

    /// Longest time that a body may lag behind --body-rate
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub body_grace: Timeout,

    /// Most bodies over 16 KB that are received or parsed at once; further ones wait, then 503
    #[arg(long, value_name = "NUMBER", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub open_bodies: u32,

    /// Most of those from one address; beyond them 429
    #[arg(long, value_name = "NUMBER", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub open_bodies_per_peer: u32,

    /// Memory for the parsing of large bodies, all together; further ones wait, then 503
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub memory_budget: Size,

    /// Temporary files of bodies being received, all together (in TMPDIR); beyond it 503
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    pub spool_limit: Size,
}
