//! Values of options that are more than a text.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::time::{self, Precision};

/// A number of bytes: `65536`, `64k`, `64M`, `1G` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (digits, power) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 1),
            Some(b'M') => (&text[..text.len() - 1], 2),
            Some(b'G') => (&text[..text.len() - 1], 3),
            _ => (text, 0),
        };
        let wrong = || "a whole number of bytes, or one with k, M or G".to_owned();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number
            .checked_mul(1024_u64.pow(power))
            .map(Size)
            .ok_or_else(wrong)
    }
}

/// An address and port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    text: String,
    addresses: Vec<SocketAddr>,
}

impl Listen {
    /// What to bind: the first that is free.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|at| match at.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => {
                ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
            }
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let addresses = match text.parse::<SocketAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let host = text.rsplit_once(':').map_or("", |(host, _)| host);
                if host.contains(':') {
                    return Err("an IPv6 address stands in brackets: [::1]:8080".to_owned());
                }
                text.to_socket_addrs()
                    .map(Iterator::collect)
                    .map_err(|_| "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080".to_owned())?
            }
        };
        if addresses.is_empty() {
            return Err("a name without an address".to_owned());
        }
        Ok(Listen {
            text: text.to_owned(),
            addresses,
        })
    }
}

/// The outer root of a server, as links begin with it.
///
/// # Errors
/// When links that begin with it would lead nowhere.
pub fn base_url(text: &str) -> Result<String, String> {
    let rest = after_scheme(text);
    let host = rest.map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\"<>?#\\".contains(&b));
    if is_authority(host) && plain {
        return Ok(text.to_owned());
    }
    Err("http:// or https://, a host, perhaps a path: https://kenko.example/api".to_owned())
}

/// An origin as browsers send it, or `*`.
///
/// # Errors
/// When no browser would ever send it.
pub fn origin(text: &str) -> Result<String, String> {
    if text == "*" || after_scheme(text).is_some_and(is_authority) {
        return Ok(text.to_owned());
    }
    Err("scheme, host and port without a path, such as https://app.example".to_owned())
}

fn after_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
}

fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

/// A day in Japan, `yyyy-mm-dd`: the second since the Unix epoch at which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Day, String> {
        time::parse_fhir(text, time::JST)
            .filter(|at| at.precision == Precision::Day)
            .map(|at| Day(at.from / 1000))
            .ok_or_else(|| "a day of the calendar, yyyy-mm-dd".to_owned())
    }
}

/// An RFC 3339 time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Instant, String> {
        time::parse_fhir(text, time::JST)
            .filter(|at| at.zoned)
            .map(|at| Instant(at.from))
            .ok_or_else(|| "a time with its zone, such as 2016-09-01T12:00:00+09:00".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_powers_of_1024() {
        let size = |text: &str| text.parse::<Size>().map(|s| s.0).ok();
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("65536"), Some(65_536));
        assert_eq!(size("64k"), Some(64 << 10));
        assert_eq!(size("64M"), Some(64 << 20));
        assert_eq!(size("2G"), Some(2 << 30));
        for wrong in [
            "",
            "M",
            "-1",
            "+1",
            "1.5M",
            "64MB",
            "64m",
            "64 M",
            "99999999999G",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn loopback_is_known_in_both_families() {
        let loopback = |text: &str| text.parse::<Listen>().map(|l| l.is_loopback()).ok();
        assert_eq!(loopback("127.0.0.1:8080"), Some(true));
        assert_eq!(loopback("127.8.0.1:0"), Some(true));
        assert_eq!(loopback("[::1]:8080"), Some(true));
        assert_eq!(loopback("[::ffff:127.0.0.1]:8080"), Some(true));
        assert_eq!(loopback("0.0.0.0:8080"), Some(false));
        assert_eq!(loopback("[::]:8080"), Some(false));
        for wrong in ["::1:8080", "127.0.0.1", "8080", "127.0.0.1:99999", ""] {
            assert_eq!(loopback(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn roots_and_origins_are_what_links_and_browsers_can_use() {
        for right in [
            "https://kenko.example",
            "http://[::1]:8080/a/",
            "http://a_b:1/x~y",
        ] {
            assert_eq!(base_url(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "foo",
            "ftp://a",
            "http://",
            "https:///x",
            "http://a b",
            "http://a?x",
            "http://a@b",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
        for right in ["*", "https://app.example", "http://localhost:3000"] {
            assert_eq!(origin(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "foo",
            "app.example",
            "https://app.example/",
            "https://a/b",
            "null ",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_and_instants_are_whole() {
        assert_eq!("1970-01-02".parse(), Ok(Day(86_400 - 9 * 3600)));
        assert!("1970-01".parse::<Day>().is_err());
        assert!("1970-02-30".parse::<Day>().is_err());
        assert_eq!("1970-01-01T09:00:01+09:00".parse(), Ok(Instant(1000)));
        assert!("1970-01-01T09:00:01".parse::<Instant>().is_err());
    }
}
