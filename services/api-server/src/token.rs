//! `serviceaccounts/token`: a token for a service account.

use crate::{body::Body, call::Call, decode, negotiate};
use bytes::Bytes;
use http::Response;
use lab_object::{FieldError, GroupVersionKind, Json, Reason, Status};

/// Shortest and longest life of a token, in seconds (ten minutes, as Kubernetes; 2^32).
const LIFETIME: (i64, i64) = (600, 1 << 32);

impl Call<'_> {
    /// Answers POST of a TokenRequest. It is read and checked, and the account must exist; tokens themselves are not
    /// given out, as nothing here would accept one.
    pub(crate) async fn create_token(&self, body: &Bytes) -> Result<Response<Body>, Status> {
        let gvk = GroupVersionKind {
            group: "authentication.k8s.io".into(),
            version: "v1".into(),
            kind: "TokenRequest".into(),
        };
        let request = decode::typed(negotiate::body_format(self.headers)?, body, &gvk)?.object;
        let errors = check(&request);
        if !errors.is_empty() {
            return Err(Status::invalid("TokenRequest", &gvk.group, "", &errors));
        }
        self.find().await?.ok_or_else(|| self.info.not_found())?;
        let message = "this server does not issue tokens for service accounts; use a client certificate";
        Err(Status::failure(Reason::NotImplemented, message).with_details(self.info.details(&self.info.name)))
    }
}

fn check(request: &Json) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = request.get("spec");
    let field = |name: &str| spec.and_then(|spec| spec.get(name)).filter(|value| !value.is_null());
    if let Some(seconds) = field("expirationSeconds") {
        let path = "spec.expirationSeconds";
        match seconds.as_i64() {
            None => errors.push(FieldError::type_invalid(path, seconds, "integer")),
            Some(short) if short < LIFETIME.0 => {
                errors.push(FieldError::invalid(
                    path,
                    seconds,
                    "may not specify a duration less than 10 minutes",
                ));
            }
            Some(long) if long > LIFETIME.1 => {
                errors.push(FieldError::invalid(
                    path,
                    seconds,
                    "may not specify a duration larger than 2^32 seconds",
                ));
            }
            Some(_) => {}
        }
    }
    if let Some(audiences) = field("audiences")
        && !audiences.as_array().is_some_and(|list| list.iter().all(Json::is_string))
    {
        errors.push(FieldError::type_invalid("spec.audiences", audiences, "array of strings"));
    }
    errors
}
