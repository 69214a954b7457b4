//! How long a database is waited for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::TypedValueParser;

use crate::store;

/// A time to wait: `500ms`, `30s`, `5m`, `1h`; a number alone is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeout(pub Duration);

/// The longest: PostgreSQL counts milliseconds in 31 bits.
const LONGEST: Duration = Duration::from_secs(24 * 24 * 3600);

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Timeout, String> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
        let millis = match unit {
            "ms" => Some(1),
            "" | "s" => Some(1000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let number: Option<u64> = number.parse().ok();
        number
            .zip(millis)
            .and_then(|(number, millis)| number.checked_mul(millis))
            .map(Duration::from_millis)
            .filter(|time| !time.is_zero() && *time <= LONGEST)
            .map(Timeout)
            .ok_or_else(|| {
                "a time of 1ms to 24 days: a whole number with ms, s, m or h, such as 30s"
                    .to_owned()
            })
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            whole if whole % 1000 == 0 => write!(f, "{}s", whole / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

/// Limits of a database. Work that takes longer fails, and nothing of it is stored; a server
/// answers 503 then, and 422 to what it would take a statement too long to read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct Timeouts {
    /// Longest time to connect to PostgreSQL; `/health/ready` waits as long
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "5s",
        hide_short_help = true
    )]
    pub connect_timeout: Timeout,

    /// Longest time of a statement that reads, and of any on PostgreSQL
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "30s",
        hide_short_help = true
    )]
    pub statement_timeout: Timeout,

    /// Most steps of SQLite's virtual machine that a statement which reads takes
    #[arg(
        long,
        global = true,
        value_name = "NUMBER",
        default_value_t = store::Options::default().statement_steps,
        hide_short_help = true
    )]
    pub statement_steps: u64,

    /// Time after which a statement that reads counts as slow: it begins again among the slow ones
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "200ms",
        hide_short_help = true
    )]
    pub slow_after: Timeout,

    /// Most statements at a time that read and are not slow
    #[arg(
        long,
        global = true,
        value_name = "NUMBER",
        default_value_t = store::Options::default().readers,
        value_parser = places(),
        hide_short_help = true
    )]
    pub readers: usize,

    /// Most slow statements at a time; further ones wait for them, and nothing else does
    #[arg(
        long,
        global = true,
        value_name = "NUMBER",
        default_value_t = store::Options::default().slow_readers,
        value_parser = places(),
        hide_short_help = true
    )]
    pub slow_readers: usize,

    /// Longest wait for the right to write while another process writes
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "30s",
        hide_short_help = true
    )]
    pub lock_timeout: Timeout,

    /// Longest time that a transaction on PostgreSQL waits for its next statement
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "60s",
        hide_short_help = true
    )]
    pub idle_transaction_timeout: Timeout,

    /// Longest wait for a connection while others of this process use all of them
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "60s",
        hide_short_help = true
    )]
    pub queue_timeout: Timeout,

    /// Longest time of a statement on PostgreSQL that brings the schema up to date
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "1h",
        hide_short_help = true
    )]
    pub migration_timeout: Timeout,
}

/// Numbers of places that make sense.
fn places() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u16).range(1..=1000).map(usize::from)
}

impl Timeouts {
    /// The options of the store.
    pub fn options(&self) -> store::Options {
        store::Options {
            connect_timeout: self.connect_timeout.0,
            statement_timeout: self.statement_timeout.0,
            statement_steps: self.statement_steps,
            slow_after: self.slow_after.0,
            readers: self.readers,
            slow_readers: self.slow_readers,
            lock_timeout: self.lock_timeout.0,
            idle_transaction_timeout: self.idle_transaction_timeout.0,
            queue_timeout: self.queue_timeout.0,
            migration_timeout: self.migration_timeout.0,
            ..store::Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let read = |text: &str| text.parse().map(|Timeout(time)| time.as_millis());
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("30", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("576h", 2_073_600_000),
        ] {
            assert_eq!(read(text), Ok(millis), "{text}");
        }
        for text in [
            "",
            "s",
            "0",
            "0s",
            "-1s",
            "1.5s",
            "577h",
            "1d",
            "1 s",
            "99999999999999999999",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!("90s".parse::<Timeout>().unwrap().to_string(), "90s");
        assert_eq!("1500ms".parse::<Timeout>().unwrap().to_string(), "1500ms");
    }
}
