//! The head of a request, as far as boot files need it.

use crate::files::clean;
use percent_encoding::percent_decode_str;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What is to be done.
    pub method: Method,
    /// The path, cleaned; nothing for one that leads out of the root.
    pub path: Option<String>,
    /// The part of the file that is wanted; all of it without.
    pub range: Option<Range>,
    /// Whether further requests may follow on the connection.
    pub keep_alive: bool,
    /// How many bytes of content follow, with [`Method::Post`].
    pub content: u64,
    /// Whether the client waits to be told to send its content.
    pub expects: bool,
}

/// The methods that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The file.
    Get,
    /// The file's size.
    Head,
    /// To take what the client says.
    Post,
}

/// A part of a file (RFC 9110 section 14). Of several only the first is sent, as if it had been the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From here to there, both included.
    Between(u64, u64),
    /// From here to the end.
    From(u64),
    /// The last bytes.
    Last(u64),
}

impl Range {
    /// Where it begins and ends in so many bytes, the end not included; nothing where nothing is left.
    pub fn within(self, size: u64) -> Option<(u64, u64)> {
        let (from, to) = match self {
            Self::Between(from, to) => (from, to.saturating_add(1).min(size)),
            Self::From(from) => (from, size),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (from < to).then_some((from, to))
    }

    /// Reads the header's value; nothing for what is not understood, which then is as if it were not there.
    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim().strip_prefix("bytes=")?;
        let (from, to) = text.split(',').next()?.trim().split_once('-')?;
        match (from.trim(), to.trim()) {
            ("", count) => count.parse().ok().map(Self::Last),
            (from, "") => from.parse().ok().map(Self::From),
            (from, to) => {
                let (from, to) = (from.parse().ok()?, to.parse().ok()?);
                (from <= to).then_some(Self::Between(from, to))
            }
        }
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It is not HTTP/1.
    Syntax,
    /// The method is none of GET, HEAD and POST.
    Method,
    /// It has content where none belongs.
    Content,
    /// It does not say how much content it has.
    Length,
    /// Its head is too large.
    Large,
    /// It took too long.
    Slow,
}

impl Malformed {
    /// The answer's status.
    pub fn status(self) -> &'static str {
        match self {
            Self::Syntax => "400 Bad Request",
            Self::Method => "405 Method Not Allowed",
            Self::Content => "413 Content Too Large",
            Self::Length => "411 Length Required",
            Self::Large => "431 Request Header Fields Too Large",
            Self::Slow => "408 Request Timeout",
        }
    }
}

impl Head {
    /// Reads a head and says how many bytes it has; nothing while it is not there as a whole.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Malformed::Large),
            Err(_) => return Err(Malformed::Syntax),
        };
        let method = match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => return Err(Malformed::Method),
        };
        let value =
            |name: &str| request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
        let content = match value("content-length") {
            Some(length) => Some(number(length).ok_or(Malformed::Syntax)?),
            None => None,
        };
        let content = match (method, value("transfer-encoding"), content) {
            (Method::Post, None, Some(content)) => content,
            (Method::Post, ..) => return Err(Malformed::Length),
            (_, None, None | Some(0)) => 0,
            // Whoever sends content with GET would have it taken for the next request.
            _ => return Err(Malformed::Content),
        };
        let says =
            |word: &[u8]| value("connection").is_some_and(|v| v.trim_ascii().eq_ignore_ascii_case(word));
        let keep_alive = if request.version == Some(1) { !says(b"close") } else { says(b"keep-alive") };
        let head = Self {
            method,
            path: request.path.and_then(path),
            range: value("range").and_then(Range::parse),
            keep_alive,
            content,
            expects: value("expect").is_some_and(|v| v.trim_ascii().eq_ignore_ascii_case(b"100-continue")),
        };
        Ok(Some((head, length)))
    }
}

/// A length. A sign before it is no length's (RFC 9112 section 6.3).
fn number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?.trim();
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The path in a request's target, which some clients send as a whole URL, without its query.
fn path(target: &str) -> Option<String> {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
        None => target,
    };
    let path = path.split(['?', '#']).next()?;
    clean(&percent_decode_str(path).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read<'a> = (Method, Option<&'a str>, Option<Range>, bool);

    #[test]
    fn what_clients_send() {
        let check = |text: &str, expected: Result<Option<Read<'_>>, Malformed>| {
            let found = Head::parse(text.as_bytes());
            let found = found.map(|head| {
                head.map(|(head, length)| {
                    assert_eq!(length, text.len());
                    (head.method, head.path, head.range, head.keep_alive)
                })
            });
            let expected = expected
                .map(|e| e.map(|(method, path, range, keep)| (method, path.map(str::to_owned), range, keep)));
            assert_eq!(found, expected, "{text}");
        };
        let recorded = "HEAD /redir/ipxe.efi HTTP/1.1\r\nHost: 10.9.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n";
        check(recorded, Ok(Some((Method::Head, Some("redir/ipxe.efi"), None, true))));
        check("GET //a//b%20c?x=1 HTTP/1.1\r\n\r\n", Ok(Some((Method::Get, Some("a/b c"), None, true))));
        check("GET http://10.9.0.1/a HTTP/1.1\r\n\r\n", Ok(Some((Method::Get, Some("a"), None, true))));
        check("GET /a HTTP/1.0\r\n\r\n", Ok(Some((Method::Get, Some("a"), None, false))));
        check(
            "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            Ok(Some((Method::Get, Some("a"), None, true))),
        );
        check(
            "GET /a HTTP/1.1\r\nconnection: close\r\n\r\n",
            Ok(Some((Method::Get, Some("a"), None, false))),
        );
        check(
            "GET /a HTTP/1.1\r\nRange: bytes=5-9\r\n\r\n",
            Ok(Some((Method::Get, Some("a"), Some(Range::Between(5, 9)), true))),
        );
        check("GET /%2e%2e/etc HTTP/1.1\r\n\r\n", Ok(Some((Method::Get, None, None, true))));
        check("GET /a HTTP/1.1\r\nHost:", Ok(None));
        check("", Ok(None));
        check("PUT /a HTTP/1.1\r\n\r\n", Err(Malformed::Method));
        check("POST /a HTTP/1.1\r\n\r\n", Err(Malformed::Length));
        check("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Malformed::Length));
        check("POST /a HTTP/1.1\r\nContent-Length: +5\r\n\r\n", Err(Malformed::Syntax));
        check(
            "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            Ok(Some((Method::Post, Some("a"), None, true))),
        );
        check("GET /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Err(Malformed::Content));
        check("GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Malformed::Content));
        check("\x16\x03\x01\x02", Err(Malformed::Syntax));
    }

    #[test]
    fn ranges() {
        let check = |text: &str, size, expected| {
            assert_eq!(Range::parse(text.as_bytes()).map(|range| range.within(size)), expected, "{text}");
        };
        check("bytes=0-9", 100, Some(Some((0, 10))));
        check("bytes=90-200", 100, Some(Some((90, 100))));
        check("bytes=90-", 100, Some(Some((90, 100))));
        check("bytes=-5", 100, Some(Some((95, 100))));
        check("bytes=-500", 100, Some(Some((0, 100))));
        check("bytes=100-", 100, Some(None));
        check("bytes=-0", 100, Some(None));
        check("bytes=0-0", 0, Some(None));
        check("bytes=0-18446744073709551615", 3, Some(Some((0, 3))));
        check("bytes=0-1, 5-6", 100, Some(Some((0, 2))));
        check("bytes=9-5", 100, None);
        check("lines=1-2", 100, None);
        check("bytes=a-b", 100, None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, range: Vec<u8>, size: u64) {
            let _ = Head::parse(&bytes);
            if let Some((from, to)) = Range::parse(&[&b"bytes="[..], &range].concat()).and_then(|r| r.within(size)) {
                prop_assert!(from < to && to <= size);
            }
        }
    }
}
