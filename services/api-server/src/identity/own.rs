//! What the server writes of itself: through its own API, so that it is admitted and recorded like any other write.

use crate::{body::Body, caller::Caller, server::ApiServer};
use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use http::{Method, Request, header};
use http_body_util::Full;
use lab_object::{Json, Reason, Status};

/// Who the server is to itself.
const NAME: &str = "identity";

impl ApiServer {
    /// Reads an object; `None` when there is none.
    pub(crate) async fn own_get(&self, path: &str) -> Result<Option<Json>, Status> {
        match self.own(Method::GET, path, "application/json", &Json::Null).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.reason == Some(Reason::NotFound) => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Sends a request in the server's own name; the answer's object.
    pub(crate) fn own<'s>(
        &'s self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &Json,
    ) -> BoxFuture<'s, Result<Json, Status>> {
        let bytes = if body.is_null() { Bytes::new() } else { crate::answer::encode(body) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::USER_AGENT, "labd")
            .body(Full::new(bytes))
            .expect("paths of ours are valid URIs");
        Box::pin(async move {
            let response = self.handle(request, Caller::internal(NAME)).await;
            let ok = response.status().is_success();
            let Body::Whole(mut pieces) = response.into_body() else {
                return Err(crate::fault::internal("a stream where an object was expected"));
            };
            let bytes = pieces.copy_to_bytes(pieces.remaining());
            if ok {
                serde_json::from_slice(&bytes).map_err(crate::fault::internal)
            } else {
                Err(serde_json::from_slice(&bytes).unwrap_or_else(crate::fault::internal))
            }
        })
    }
}
