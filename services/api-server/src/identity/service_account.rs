//! `serviceaccounts/token`: a token for a service account.

use crate::{answer, body::Body, call::Call, decode, fault, metadata, negotiate};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::SignedDuration;
use lab_object::{FieldError, GroupVersionKind, Json, Reason, Status, Time};
use lab_pki::{Bound, Claims, ISSUER, Named};
use serde_json::json;
use uuid::Uuid;

/// Shortest and longest life that may be asked for, in seconds (ten minutes, as Kubernetes; 2^32).
const LIFETIME: (i64, i64) = (600, 1 << 32);
/// Longest life that is given: until the account is deleted, nothing else ends a token.
const LONGEST: i64 = 30 * 24 * 60 * 60;
/// Life of a token whose request says none.
const USUAL: i64 = 60 * 60;

impl Call<'_> {
    /// Answers POST of a TokenRequest with a token that is bound to the account: it ends with it.
    pub(crate) async fn create_token(&self, body: &Bytes) -> Result<Response<Body>, Status> {
        let gvk = GroupVersionKind {
            group: "authentication.k8s.io".into(),
            version: "v1".into(),
            kind: "TokenRequest".into(),
        };
        let mut request = decode::typed(negotiate::body_format(self.headers)?, body, &gvk)?.object;
        let errors = check(&request);
        if !errors.is_empty() {
            return Err(Status::invalid("TokenRequest", &gvk.group, "", &errors));
        }
        let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
        let Some(issuer) = &self.server.issuer else {
            let status = Status::failure(Reason::NotImplemented, "this server issues no tokens");
            return Err(status.with_details(self.info.details(&self.info.name)));
        };
        let account: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        let name = metadata::text(&account, "name");
        if let Some(object) = request.pointer("/spec/boundObjectRef").filter(|bound| !bound.is_null()) {
            let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
            let object = format!("{}.{}", version.unwrap_or("v1"), kind.unwrap_or_default());
            let why = format!("cannot bind token for serviceaccount {name:?} to object type {object}");
            return Err(fault::bad_request(why));
        }
        let seconds =
            request.pointer("/spec/expirationSeconds").and_then(Json::as_i64).unwrap_or(USUAL).min(LONGEST);
        let audiences = audiences(&request);
        let expires = self.now.saturating_add(SignedDuration::from_secs(seconds)).map_err(fault::internal)?;
        let claims = self.claims(&account, &audiences, expires.as_second());
        request["metadata"] = json!({"name": name, "namespace": self.info.namespace,
            "creationTimestamp": self.time()});
        request["spec"] =
            json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": null});
        request["status"] = json!({"token": "", "expirationTimestamp": Time::cut(expires)});
        if !self.info.query.dry_run {
            request["status"]["token"] = issuer.tokens.sign(&claims).map_err(fault::internal)?.into();
        }
        // Who was given a token may use it at once, also of an account that was made a moment ago.
        self.server.authorizer.settled(entry.modified).await;
        Ok(answer::with(StatusCode::CREATED, negotiate::JSON, answer::encode(&request).into()))
    }

    fn claims(&self, account: &Json, audiences: &[String], expires: i64) -> Claims {
        let text = |field| metadata::text(account, field).to_owned();
        let seconds = |at: i64| u64::try_from(at).unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        let now = seconds(self.now.as_second());
        Claims {
            iss: ISSUER.into(),
            sub: format!("system:serviceaccount:{namespace}:{name}"),
            aud: audiences.to_vec(),
            exp: seconds(expires),
            nbf: now,
            iat: now,
            jti: Uuid::new_v4().hyphenated().to_string(),
            bound: Bound {
                namespace,
                serviceaccount: Named { name, uid: text("uid") },
                tenant: self.info.tenant.clone(),
            },
        }
    }
}

/// Whom the token is for: this server, where nobody is named.
fn audiences(request: &Json) -> Vec<String> {
    let asked = request.pointer("/spec/audiences").and_then(Json::as_array).into_iter().flatten();
    let named: Vec<String> = asked.filter_map(Json::as_str).map(ToOwned::to_owned).collect();
    if named.is_empty() { vec![ISSUER.to_owned()] } else { named }
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
