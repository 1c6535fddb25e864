//! Responses: statuses, objects, text.

use crate::{
    body::Body,
    heavy,
    negotiate::{self, JSON},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use lab_object::Status;
use serde::Serialize;

/// A failure as its own status code and body.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with(code, JSON, encode(status).into());
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Any value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    with(StatusCode::OK, JSON, encode(value).into())
}

/// Text of a type.
pub(crate) fn text(content_type: &'static str, text: String) -> Response<Body> {
    with(StatusCode::OK, content_type, text.into_bytes().into())
}

/// A body of a type.
pub(crate) fn with(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What is answered depends on who asks and when: nobody in between may keep it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A value as JSON bytes.
pub(crate) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("what the API answers always serialises to memory").into()
}

/// Compresses a large answer for a client that takes gzip.
pub(crate) fn compressed(headers: &HeaderMap, mut response: Response<Body>) -> Response<Body> {
    let Body::Whole(pieces) = response.body() else { return response };
    let size = bytes::Buf::remaining(pieces);
    if size <= negotiate::GZIP_THRESHOLD
        || response.headers().contains_key(header::CONTENT_ENCODING)
        || !negotiate::accepts_gzip(headers)
    {
        return response;
    }
    let small = heavy::apart(size / 1024, || negotiate::gzip(pieces.iter()));
    *response.body_mut() = small.into();
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}
