//! Content negotiation (RFC 9110 §12): which view of an object is asked for, and in which format a body comes.

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE},
};
use lab_object::{Reason, Status};
use std::{cmp::Reverse, io::Write as _};

/// JSON, the native format.
pub const JSON: &str = "application/json";
/// YAML, taken and given for people.
pub const YAML: &str = "application/yaml";
/// Kubernetes' protobuf envelope; taken, never given.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Answers larger than this are worth compressing, in bytes; Kubernetes uses the same bound.
pub const GZIP_THRESHOLD: usize = 128 * 1024;

/// What an answer should look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The object or list itself, as JSON.
    Json,
    /// The object or list itself, as YAML.
    Yaml,
    /// A `meta.k8s.io/v1` `Table` for people, as JSON.
    Table,
    /// `meta.k8s.io/v1` `PartialObjectMetadata`, or a list of them, as JSON.
    PartialObjectMetadata,
}

impl View {
    /// The answer's content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Yaml => YAML,
            _ => JSON,
        }
    }
}

/// The format of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFormat {
    /// A JSON document.
    Json,
    /// A YAML document.
    Yaml,
    /// Kubernetes' protobuf envelope.
    Protobuf,
    /// RFC 6902.
    JsonPatch,
    /// RFC 7396.
    MergePatch,
    /// Kubernetes' merge patch that knows lists.
    StrategicMergePatch,
    /// Server-side apply: a partial object, in YAML.
    ApplyPatch,
}

/// A media range of `Accept`, or an element of a list like it, with its parameters.
pub(crate) struct Clause<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: u16,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|n| !n.is_empty())?;
        let (mut parameters, mut quality) = (Vec::new(), 1000);
        for part in parts.filter(|p| !p.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            if key.trim().eq_ignore_ascii_case("q") {
                quality = (value.parse::<f32>().ok()?.clamp(0.0, 1.0) * 1000.0) as u16;
            } else {
                parameters.push((key.trim(), value));
            }
        }
        Some(Self { name, parameters, quality })
    }

    /// A parameter's value; empty where it is not given.
    pub(crate) fn get(&self, key: &str) -> &'a str {
        self.parameters.iter().find(|(k, _)| *k == key).map_or("", |(_, v)| v)
    }

    /// Whether this is the media range.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The clauses of a header, best quality first, in the given order among equals; refused ones left out.
pub(crate) fn clauses(headers: &HeaderMap, name: http::HeaderName) -> Vec<Clause<'_>> {
    let values = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    let mut clauses: Vec<_> = values.flat_map(|v| v.split(',')).filter_map(Clause::parse).collect();
    clauses.retain(|c| c.quality > 0);
    clauses.sort_by_key(|c| Reverse(c.quality));
    clauses
}

/// Which view the `Accept` header asks for.
///
/// Protobuf is not given. Where it is asked for beside something else, the other is answered; where it is asked for
/// alone, JSON is, because clients decode by the answer's `Content-Type` (client-go does, and adds `*/*` itself).
///
/// # Errors
/// 406 with the acceptable types, when none of those asked for can be given.
pub fn view(headers: &HeaderMap) -> Result<View, Status> {
    if !headers.contains_key(ACCEPT) {
        return Ok(View::Json);
    }
    let clauses = clauses(headers, ACCEPT);
    let protobuf_last =
        clauses.iter().filter(|c| !c.is(PROTOBUF)).chain(clauses.iter().filter(|c| c.is(PROTOBUF)));
    protobuf_last.filter_map(offered).next().ok_or_else(|| {
        let message = format!("only the following media types are accepted: {JSON}, {JSON};stream=watch, {YAML}, {JSON};as=Table;g=meta.k8s.io;v=v1, {JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
        Status::failure(Reason::NotAcceptable, message)
    })
}

/// What is given for one media range, if anything.
fn offered(clause: &Clause<'_>) -> Option<View> {
    let json = clause.is(JSON) || clause.is(PROTOBUF);
    if !json && !clause.is(YAML) {
        return (["*/*", "application/*"].contains(&clause.name)).then_some(View::Json);
    }
    let meta = clause.get("g") == "meta.k8s.io" && clause.get("v") == "v1";
    match clause.get("as") {
        "" if json => Some(View::Json),
        "" => Some(View::Yaml),
        "Table" if json && meta => Some(View::Table),
        "PartialObjectMetadata" | "PartialObjectMetadataList" if json && meta => {
            Some(View::PartialObjectMetadata)
        }
        _ => None,
    }
}

/// The format of a body that is an object; JSON where no type is given.
///
/// # Errors
/// 415 naming the supported types.
pub fn body_format(headers: &HeaderMap) -> Result<BodyFormat, Status> {
    let format = match media_type(headers).as_deref() {
        None | Some("" | JSON) => BodyFormat::Json,
        Some(YAML | "application/x-yaml" | "text/yaml") => BodyFormat::Yaml,
        Some(PROTOBUF) => BodyFormat::Protobuf,
        Some(_) => return Err(unsupported(&[JSON, YAML, PROTOBUF])),
    };
    Ok(format)
}

/// The format of a body that is a patch; strategic merge is known for Kubernetes' own kinds only.
///
/// # Errors
/// 415 naming the supported types.
pub fn patch_format(headers: &HeaderMap, built_in: bool) -> Result<BodyFormat, Status> {
    match media_type(headers).as_deref() {
        Some(JSON_PATCH) => Ok(BodyFormat::JsonPatch),
        Some(MERGE_PATCH) => Ok(BodyFormat::MergePatch),
        Some(STRATEGIC_MERGE_PATCH) if built_in => Ok(BodyFormat::StrategicMergePatch),
        Some(APPLY_PATCH) => Ok(BodyFormat::ApplyPatch),
        _ => Err(unsupported(patch_types(built_in))),
    }
}

/// The content types that patches of a kind may have.
pub fn patch_types(built_in: bool) -> &'static [&'static str] {
    let all: &'static [&'static str] = &[APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH];
    if built_in { all } else { &all[..3] }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// 415 naming the supported types.
pub(crate) fn unsupported(types: &[&str]) -> Status {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        types.join(", ")
    );
    Status::failure(Reason::UnsupportedMediaType, message)
}

/// Whether the client takes gzip (RFC 9110 §12.5.3).
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    clauses(headers, ACCEPT_ENCODING).iter().any(|c| c.is("gzip"))
}

/// The pieces of an answer as one gzip stream, at the quickest level.
pub fn gzip<'a>(pieces: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(GZIP_THRESHOLD / 4), Compression::fast());
    for piece in pieces {
        encoder.write_all(piece).expect("writing to memory cannot fail");
    }
    encoder.finish().expect("writing to memory cannot fail").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use std::io::Read as _;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn views() {
        const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
        const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let cases = [
            // What kubectl sends.
            (
                format!("{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
                Some(View::Table),
            ),
            ("application/json".into(), Some(View::Json)),
            ("application/json, */*".into(), Some(View::Json)),
            ("application/vnd.kubernetes.protobuf,application/json".into(), Some(View::Json)),
            // What caches of metadata send.
            (
                format!(
                    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{PARTIAL}"
                ),
                Some(View::PartialObjectMetadata),
            ),
            // Protobuf alone is answered with JSON of the same shape.
            ("application/vnd.kubernetes.protobuf".into(), Some(View::Json)),
            ("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1".into(), Some(View::Table)),
            // A browser and curl.
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".into(), Some(View::Json)),
            ("*/*".into(), Some(View::Json)),
            // Qualities, spelling, what is not known.
            ("application/json;q=0.1, application/yaml".into(), Some(View::Yaml)),
            ("application/yaml;q=0, application/json;q=0.3".into(), Some(View::Json)),
            ("Application/JSON; Charset=utf-8".into(), Some(View::Json)),
            (format!("application/json;as=Table;v=v9;g=meta.k8s.io, {TABLE};q=0.5"), Some(View::Table)),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io".into(), None),
            ("text/html".into(), None),
            ("application/json;q=0".into(), None),
            ("".into(), None),
            (";;;,=,;q=x".into(), None),
        ];
        for (accept, expected) in cases {
            assert_eq!(view(&headers(ACCEPT, &accept)).ok(), expected, "{accept}");
        }
        assert_eq!(view(&HeaderMap::new()), Ok(View::Json));
        let refused = view(&headers(ACCEPT, "image/png")).unwrap_err();
        assert_eq!((refused.code, refused.message.contains("application/yaml")), (406, true));
    }

    #[test]
    fn formats_of_bodies() {
        let cases = [
            ("application/json", Some(BodyFormat::Json), None),
            ("application/json; charset=utf-8", Some(BodyFormat::Json), None),
            ("APPLICATION/YAML", Some(BodyFormat::Yaml), None),
            ("application/vnd.kubernetes.protobuf", Some(BodyFormat::Protobuf), None),
            ("application/json-patch+json", None, Some(BodyFormat::JsonPatch)),
            ("application/merge-patch+json", None, Some(BodyFormat::MergePatch)),
            ("application/apply-patch+yaml", None, Some(BodyFormat::ApplyPatch)),
            ("text/plain", None, None),
        ];
        for (content_type, object, patch) in cases {
            let headers = headers(CONTENT_TYPE, content_type);
            assert_eq!(body_format(&headers).ok(), object, "{content_type}");
            assert_eq!(patch_format(&headers, false).ok(), patch, "{content_type}");
        }
        assert_eq!(body_format(&HeaderMap::new()), Ok(BodyFormat::Json));
        let strategic = headers(CONTENT_TYPE, "application/strategic-merge-patch+json");
        assert_eq!(patch_format(&strategic, true), Ok(BodyFormat::StrategicMergePatch));
        let refused = patch_format(&strategic, false).unwrap_err();
        assert_eq!((refused.code, refused.message.contains("application/merge-patch+json")), (415, true));
        assert!(!refused.message.contains("strategic"));
    }

    #[test]
    fn gzip_where_it_is_taken() {
        for (value, taken) in
            [("gzip", true), ("deflate, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)]
        {
            assert_eq!(accepts_gzip(&headers(ACCEPT_ENCODING, value)), taken, "{value}");
        }
        let pieces = [Bytes::from_static(b"one "), Bytes::from_static(b"two")];
        let mut text = String::new();
        flate2::read::GzDecoder::new(&gzip(&pieces)[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }
}
