//! `users/password`: sets a user's password.
//!
//! It is a subresource, and no field of the User, so that a password never is where objects are kept, shown or compared: not in
//! the store, in managed fields, in annotations of the last configuration applied, in the answer to a dry run. Its hash lies
//! in a Secret.

use crate::{answer, body::Body, call::Call, caller, decode, fault, metadata, negotiate};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use lab_kinds::{
    core::secret::SecretReference,
    iam::{password::PasswordRequestSpec, user::UserSpec},
};
use lab_object::{FieldError, GroupVersionKind, Json, Reason, Status, StatusDetails};
use serde::Deserialize;
use serde_json::json;

/// Bytes that a password has.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;
/// Where the Secret is whose User names none.
const NAMESPACE: &str = "kube-system";
/// The key of the hash in the Secret.
const HASH: &str = "passwordHash";
const MERGE: &str = "application/merge-patch+json";

impl Call<'_> {
    /// Whether this is a user's request about their own password, which needs no permission but the present password. A token
    /// does not suffice: whoever holds it is not the user.
    pub(crate) fn is_about_own_password(&self) -> bool {
        self.info.subresource == Some(lab_kinds::Subresource::Password)
            && self.info.name == self.caller.user
            && matches!(self.caller.shown, caller::Credential::Certificate(_))
    }

    /// Answers POST of a PasswordRequest.
    pub(crate) async fn set_password(&self, body: &Bytes) -> Result<Response<Body>, Status> {
        let request = self.read_request(body)?;
        let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
        let user: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        let name = metadata::text(&user, "name");
        if self.about_self {
            self.prove(name, &user, request.current_password).await?;
        }
        if !self.info.query.dry_run {
            let password = request.password;
            let hash = self.server.guard.compute(move || lab_pki::hash_password(&password)).await?;
            self.store_hash(&user, &hash.map_err(fault::internal)?).await?;
            tracing::info!(user = name, by = self.caller.user, "a password was set");
        }
        let status = Status::success(StatusDetails { name: name.into(), ..self.info.details(name) });
        Ok(answer::with(StatusCode::CREATED, negotiate::JSON, answer::encode(&status).into()))
    }

    fn read_request(&self, body: &Bytes) -> Result<PasswordRequestSpec, Status> {
        let gvk = GroupVersionKind {
            group: "iam.lab".into(),
            version: "v1alpha1".into(),
            kind: "PasswordRequest".into(),
        };
        let request = decode::typed(negotiate::body_format(self.headers)?, body, &gvk)?.object;
        // What serde says of a value that does not fit would repeat it.
        let spec = PasswordRequestSpec::deserialize(&request["spec"])
            .map_err(|_| fault::bad_request("spec.password and spec.currentPassword must be texts"))?;
        if LENGTH.contains(&spec.password.len()) {
            return Ok(spec);
        }
        let why = format!("must have {} to {} bytes", LENGTH.start(), LENGTH.end());
        let error = FieldError {
            reason: "FieldValueInvalid",
            field: "spec.password".into(),
            message: format!("Invalid value: {why}"),
        };
        Err(Status::invalid("PasswordRequest", &gvk.group, &self.info.name, &[error]))
    }

    /// 401 unless the present password is the right one.
    async fn prove(&self, name: &str, user: &Json, current: Option<String>) -> Result<(), Status> {
        let Some(current) = current else {
            let error = FieldError::required("spec.currentPassword", "shows that it is you");
            return Err(Status::invalid("PasswordRequest", "iam.lab", name, &[error]));
        };
        let attempt = self.server.guard.attempt(Some(name), self.caller, self.now)?;
        let hash = self.server.password_hash(user).await?;
        let right =
            self.server.guard.compute(move || lab_pki::verify_password(&current, hash.as_deref())).await?;
        if !right {
            self.server.refuse_until(name, attempt.fail(self.now));
            return Err(caller::unauthorized("the present password is not right"));
        }
        attempt.succeed();
        Ok(())
    }

    /// Writes the hash into the Secret that the User names, or into one of its own.
    async fn store_hash(&self, user: &Json, hash: &str) -> Result<(), Status> {
        let (name, uid) = (metadata::text(user, "name"), metadata::text(user, "uid"));
        let named = reference(user);
        let SecretReference { namespace, name: secret } = named.clone().unwrap_or_else(|| SecretReference {
            namespace: NAMESPACE.into(),
            name: format!("password.{name}"),
        });
        let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
        let data = json!({HASH: hash});
        let patch = json!({"stringData": data});
        match self.server.own(Method::PATCH, &format!("{secrets}/{secret}"), MERGE, &patch).await {
            Err(status) if status.reason == Some(Reason::NotFound) => {
                let owner =
                    json!({"apiVersion": "iam.lab/v1alpha1", "kind": "User", "name": name, "uid": uid});
                let metadata = json!({"name": secret, "ownerReferences": [owner]});
                let object = json!({"metadata": metadata, "type": "iam.lab/password", "stringData": data});
                self.server.own(Method::POST, &secrets, negotiate::JSON, &object).await?;
            }
            written => drop(written?),
        }
        if named.is_none() {
            let patch = json!({"metadata": {"uid": uid},
                "spec": {"password": {"namespace": namespace, "name": secret}}});
            let path = format!("/apis/iam.lab/v1alpha1/users/{name}");
            self.server.own(Method::PATCH, &path, MERGE, &patch).await?;
        }
        Ok(())
    }
}

impl crate::ApiServer {
    /// The hash of a user's password, in PHC form; `None` where they have none.
    pub(crate) async fn password_hash(&self, user: &Json) -> Result<Option<String>, Status> {
        let Some(SecretReference { namespace, name }) = reference(user) else { return Ok(None) };
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let Some(secret) = self.own_get(&path).await? else { return Ok(None) };
        use base64::{Engine, prelude::BASE64_STANDARD};
        let bytes = BASE64_STANDARD.decode(secret["data"][HASH].as_str().unwrap_or_default());
        Ok(bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()))
    }
}

/// The Secret that a User names. One whose names are no path's segments is none.
fn reference(user: &Json) -> Option<SecretReference> {
    let spec = UserSpec::deserialize(&user["spec"]).ok()?;
    spec.password.filter(|secret| {
        let plain = |text: &str| {
            !text.is_empty()
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
                && text != ".."
                && text != "."
        };
        plain(&secret.namespace) && plain(&secret.name)
    })
}
