//! Hosts and origins that requests name.
//!
//! A request over HTTP/1.1 names its host exactly once. Without authentication only loopback
//! names and the host of `--base-url` are answered: a page of another site, whose name was made
//! to lead to a loopback address (DNS rebinding), sends its own name. Requests that such a page
//! sends here under a name of ours cannot be read by it, but could change something; so requests
//! that may are answered only when they come from this server's own pages, from an origin of
//! `--cors-origin`, or from no browser.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method, Uri, Version};

use super::error::{Kind, Problem, Result};
use crate::fault::shorten;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The authority that a request is addressed to: that of its target, else the `Host` header.
pub fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).and_then(|value| value.to_str().ok()),
    }
}

/// Whether a text is a name or address with a port and nothing that would change the meaning of
/// a link.
pub fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']')
        })
}

/// The rules about hosts and origins.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether only loopback names and the base's are answered.
    local_only: bool,
    /// The authority of `--base-url`.
    base: Option<String>,
    /// The origins of `--cors-origin`.
    origins: Vec<String>,
}

impl Rules {
    /// The rules of a server; `local_only` when it has no authentication.
    pub fn new(local_only: bool, base_url: Option<&str>, origins: &[String]) -> Rules {
        let authority = |url: &str| {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            let end = rest.find('/').unwrap_or(rest.len());
            rest[..end].to_ascii_lowercase()
        };
        Rules {
            local_only,
            base: base_url.map(authority),
            origins: origins.to_vec(),
        }
    }

    /// Judges a request by its head.
    ///
    /// # Errors
    /// 400 when the host is not named once; 421 when it is another's; 403 when a page of
    /// another origin wants to change something.
    pub fn check(
        &self,
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<()> {
        let given = headers.get_all(HOST).iter().count();
        if given > 1 || (given == 0 && version == Version::HTTP_11) {
            return Err(not_once(given));
        }
        let Some(authority) = authority(uri, headers) else {
            return if given == 0 { Ok(()) } else { Err(no_host()) };
        };
        if !is_authority(authority) && !authority.is_empty() {
            return Err(no_host());
        }
        if !self.local_only {
            return Ok(());
        }
        if !is_loopback(host_of(authority)) && !self.is_base(authority) {
            return Err(misdirected(authority));
        }
        if method.is_safe() || self.is_from_here(authority, headers) {
            return Ok(());
        }
        Err(cross_origin())
    }

    fn is_base(&self, authority: &str) -> bool {
        let base = self.base.as_deref().map(host_of);
        base.is_some_and(|base| base.eq_ignore_ascii_case(host_of(authority)))
    }

    /// Whether a request was not sent by a page of another origin.
    fn is_from_here(&self, authority: &str, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else {
            let site = headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
            return !matches!(site, Some(b"cross-site" | b"same-site"));
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        if self.origins.iter().any(|o| o.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let of = origin.split_once("://").map(|(_, of)| of);
        of.is_some_and(|of| {
            let base = self.base.as_deref();
            of.eq_ignore_ascii_case(authority) || base.is_some_and(|b| of.eq_ignore_ascii_case(b))
        })
    }
}

/// The host of an authority: without its port, and without the dot that ends a full name.
fn host_of(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a host is this machine by its very name.
fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Some(bare) = bare {
        return bare.parse().is_ok_and(|ip: Ipv6Addr| {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        });
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return ip.is_loopback();
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

fn not_once(given: usize) -> Problem {
    Problem::new(Kind::Malformed).detail(
        format!("the request has {given} Host headers; a request has exactly one: send the name and port that it is addressed to"),
        format!("Host ヘッダーが {given} 個あります。Host ヘッダーは一つだけ必要です。宛先の名前とポートを一つ指定してください"),
    )
}

fn no_host() -> Problem {
    Problem::new(Kind::Malformed).detail(
        "the Host header is not a host with an optional port; send one such as 127.0.0.1:8080",
        "Host ヘッダーがホスト名とポートの形ではありません。127.0.0.1:8080 のように指定してください",
    )
}

fn misdirected(authority: &str) -> Problem {
    let found = shorten(authority);
    Problem::new(Kind::Misdirected).detail(
        format!(
            "this server runs without authentication and answers to loopback names only, not to {found:?}; \
             ask it as 127.0.0.1 or localhost, or start it with --base-url naming that host"
        ),
        format!(
            "認証なしで動作しているため、ループバックの名前宛てのリクエストにのみ応答します（「{found}」には応答しません）。\
             127.0.0.1 または localhost 宛てに送るか、そのホストを --base-url に指定して起動してください"
        ),
    )
}

fn cross_origin() -> Problem {
    Problem::new(Kind::Forbidden).detail(
        "a page of another origin asks for a change; start the server with --cors-origin naming \
         that origin if it may",
        "別のオリジンのページからの変更要求は受け付けません。許可する場合は、そのオリジンを \
         --cors-origin に指定してサーバーを起動してください",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_name_and_a_port() {
        assert!(is_authority("127.0.0.1:8080"));
        assert!(is_authority("[::1]:8080"));
        for wrong in ["", "a/b", "a@b", "a b", "a\"b", "a, b", "例.jp"] {
            assert!(!is_authority(wrong), "{wrong}");
        }
    }

    #[test]
    fn loopback_names_are_those_that_lead_nowhere_else() {
        for here in [
            "localhost",
            "localhost:1",
            "LocalHost.:8080",
            "kenko.localhost",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(host_of(here)), "{here}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "0.0.0.0",
            "[::]",
            "10.0.0.1",
            "[::1",
            "::1",
            "128.0.0.1",
        ] {
            let host = host_of(other);
            assert!(!is_loopback(host) || other == "::1", "{other}");
        }
    }
}
