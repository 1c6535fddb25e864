//! Tokens that are made with objects: shown once, stored as their hash.

use crate::{answer, call::Call, fault};
use bytes::Bytes;
use jiff::SignedDuration;
use lab_kinds::Kind;
use lab_object::{Json, Status, Time};

/// What is said with a token, so that nobody looks for it later.
const ONCE: &str = "status.token is shown in this answer only (-o jsonpath={.status.token} prints it); \
                    who missed it deletes this object and makes another";

/// Fields of `spec` that stay when a change does not name them: without them a token would be another one, or be good for ever.
const KEPT: [&str; 2] = ["tokenHash", "expires"];

impl Call<'_> {
    /// Gives a new object of a kind that stands for tokens its token, where its writer brought no hash of one; returns it, to
    /// be [shown](show). An end is set where none is said. A dry run makes none.
    pub(crate) fn make_token(&self, object: &mut Json) -> Option<String> {
        let rule = self.info.kind.token?;
        let spec = object.get_mut("spec")?.as_object_mut()?;
        if !spec.contains_key("expires") {
            let end = Time::cut(self.now.saturating_add(SignedDuration::from_secs(rule.life)).ok()?);
            spec.insert("expires".into(), end.to_string().into());
        }
        if spec.contains_key("tokenHash") || self.info.query.dry_run {
            return None;
        }
        let token = lab_pki::random_token(rule.prefix);
        spec.insert("tokenHash".into(), lab_pki::hash_token(&token).into());
        Some(token)
    }
}

/// The stored object as the answer shows it: with the token. It stands in the object, where programs and `kubectl -o` find it,
/// and not in a warning header: clients log those.
pub(crate) fn show(
    object: Bytes,
    token: Option<String>,
    warnings: &mut Vec<String>,
) -> Result<Bytes, Status> {
    let Some(token) = token else { return Ok(object) };
    let mut shown: Json = serde_json::from_slice(&object).map_err(fault::internal)?;
    shown["status"]["token"] = token.into();
    warnings.push(ONCE.into());
    Ok(answer::encode(&shown))
}

/// Keeps what a change of a token's object left out.
pub(crate) fn keep(kind: &Kind, new: &mut Json, old: &Json) {
    if kind.token.is_none() {
        return;
    }
    let (Some(new), Some(old)) = (new.get_mut("spec").and_then(Json::as_object_mut), old.get("spec")) else {
        return;
    };
    for field in KEPT {
        if let Some(value) = old.get(field).filter(|_| !new.contains_key(field)) {
            new.insert(field.into(), value.clone());
        }
    }
}
