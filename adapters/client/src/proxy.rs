//! A way out through an HTTP proxy: which one, and how it is asked to connect (RFC 9110 section 9.3.6).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Uri;
use percent_encoding::percent_decode_str;
use std::{fmt, io, net::IpAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Most bytes of a proxy's answer.
const MAX_ANSWER: usize = 16 * 1024;

/// A proxy that passes connections on. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

/// Why a text names no proxy that can be used, completing "the proxy …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    /// It is no URL.
    #[error("is not a URL such as http://proxy.example.net:3128")]
    NoUrl,
    /// It is to be spoken to otherwise than by plain HTTP. What passes through it is encrypted for the server anyway.
    #[error("must begin with http://, not with {0}://")]
    Scheme(String),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Proxy {
    /// Reads a proxy's URL, with a user and a password or without. The port is 80 where none is named, as curl has it with 1080
    /// for SOCKS only.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BadProxy> {
        let text = text.trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().map_err(|_| BadProxy::NoUrl)?;
        match uri.scheme_str() {
            Some("http") => {}
            other => return Err(BadProxy::Scheme(other.unwrap_or_default().into())),
        }
        let authority = uri.authority().ok_or(BadProxy::NoUrl)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(BadProxy::NoUrl);
        }
        let known = authority.as_str().rsplit_once('@').map(|(known, _)| {
            let decoded: Vec<u8> = percent_decode_str(known).collect();
            format!("Basic {}", STANDARD.encode(decoded))
        });
        Ok(Self { host, port: authority.port_u16().unwrap_or(80), authorization: known })
    }

    /// The proxy for a server, as `HTTPS_PROXY` and `NO_PROXY` name it: `None` where there is none, or where the server is among
    /// those that are reached without. A machine's own addresses always are.
    ///
    /// # Errors
    /// What is named is no proxy.
    pub fn choose(host: &str, proxy: Option<&str>, without: Option<&str>) -> Result<Option<Self>, BadProxy> {
        let Some(proxy) = proxy.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let is_own = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let spared = without.unwrap_or_default().split([',', ' ']).any(|rule| spares(rule, &host));
        if is_own || spared { Ok(None) } else { Self::parse(proxy).map(Some) }
    }

    /// Has the proxy connect to a server; from then on the stream is the server's.
    ///
    /// # Errors
    /// The proxy is not reached, or refuses.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let known = self.authorization.as_ref().map(|value| format!("Proxy-Authorization: {value}\r\n"));
        let known = known.unwrap_or_default();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{known}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte: what comes after the head is not the proxy's.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_ANSWER {
                return Err(io::Error::other(format!("the proxy {self} answers without end")));
            }
            answer.push(stream.read_u8().await?);
        }
        let line =
            answer.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
        let code = line.split(' ').nth(1).unwrap_or_default();
        if line.starts_with("HTTP/1.") && code.len() == 3 && code.starts_with('2') {
            Ok(stream)
        } else {
            Err(io::Error::other(format!("the proxy {self} does not connect to {target}: {line}")))
        }
    }
}

/// Whether a rule of `NO_PROXY` means a host: itself, a domain above it, `*`, or a network in CIDR notation.
fn spares(rule: &str, host: &str) -> bool {
    let rule = rule.trim().trim_start_matches('.').to_ascii_lowercase();
    if rule == "*" || (!rule.is_empty() && rule == host) {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return rule.split_once('/').is_some_and(|(network, bits)| {
            let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
                return false;
            };
            let (of, within, width) = match (network, address) {
                (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
                (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
                _ => return false,
            };
            bits <= width && (of ^ within).checked_shr(width - bits).unwrap_or(0) == 0
        });
    }
    !rule.is_empty() && host.strip_suffix(&rule).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |text: &str, expected: Option<(&str, u16, Option<&str>)>| {
            let found = Proxy::parse(text).ok();
            let found = found.as_ref().map(|p| (p.host.as_str(), p.port, p.authorization.as_deref()));
            assert_eq!(found, expected, "{text}");
        };
        check("http://proxy:3128", Some(("proxy", 3128, None)));
        check("proxy:3128/", Some(("proxy", 3128, None)));
        check("http://u:p%40@[fd00::1]:80", Some(("fd00::1", 80, Some("Basic dTpwQA=="))));
        check("https://proxy", None);
        check("socks5://proxy", None);
        check("http://", None);
        let shown = format!("{:?}", Proxy::parse("http://u:secret@p").unwrap());
        assert_eq!(shown, "Proxy(p:80)");
    }

    #[test]
    fn who_is_reached_without() {
        let check = |host: &str, without: &str, expected: bool| {
            let found = Proxy::choose(host, Some("http://p"), Some(without)).unwrap();
            assert_eq!(found.is_none(), expected, "{host} {without}");
        };
        check("labd.example.net", "", false);
        check("labd.example.net", "example.net", true);
        check("labd.example.net", "other, .Example.net", true);
        check("badexample.net", "example.net", false);
        check("labd.example.net", "*", true);
        check("10.1.2.3", "10.1.0.0/16", true);
        check("10.2.2.3", "10.1.0.0/16", false);
        check("10.2.2.3", "0.0.0.0/0", true);
        check("fd00::1", "fd00::/8", true);
        check("fd00::1", "fd00::/129", false);
        check("127.0.0.1", "", true);
        check("localhost", "", true);
        assert_eq!(Proxy::choose("a", None, None), Ok(None));
        assert!(Proxy::choose("a", Some("ftp://p"), None).is_err());
    }
}
