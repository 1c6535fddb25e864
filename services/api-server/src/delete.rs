//! DELETE of one object and of many: preconditions, finalizers, propagation.

use crate::{
    answer,
    body::Body,
    call::Call,
    decode::{self, DeleteOptions},
    encode, fault,
    filter::Filter,
    key::{self, Key},
    metadata,
    negotiate::{self, View},
    read,
    request::{self, Propagation},
};
use bytes::Bytes;
use http::{Response, StatusCode};
use lab_object::{FieldError, Json, ListMeta, Reason, Status, StatusDetails, partial::Partial};
use lab_store::{Entry, Error, Expect, Range, Write};

/// Holds an object until its dependents have lost it as their owner.
const ORPHAN: &str = "orphan";
/// Holds an object until the dependents that block it are gone.
const FOREGROUND: &str = "foregroundDeletion";

/// How often a deletion is tried again when the object changes under it.
const ATTEMPTS: usize = 100;

/// What a DELETE asks for, from its body or its query.
#[derive(Debug, Default)]
struct Deletion {
    uid: Option<String>,
    version: Option<String>,
    orphan: Option<bool>,
    propagation: Option<Propagation>,
    dry_run: bool,
}

/// What came of it.
enum Deleted {
    /// The object is gone: its UID and its last value.
    Gone(String, Entry),
    /// Finalizers hold it.
    Pending(Bytes),
    /// Somebody else was faster.
    Absent,
}

impl Call<'_> {
    /// Answers DELETE of one object.
    pub(crate) async fn delete(&self, view: View, body: &Bytes) -> Result<Response<Body>, Status> {
        let deletion = self.deletion(body)?;
        let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
        self.judge_deletion(&entry)?;
        match self.delete_entry(entry, &deletion).await? {
            Deleted::Absent => Err(self.info.not_found()),
            Deleted::Pending(object) => self.show(view, StatusCode::OK, object),
            Deleted::Gone(uid, entry) => {
                let name = Key::parse(&entry.key).map(|key| key.name).unwrap_or_default();
                let details = StatusDetails { uid, ..self.info.details(name) };
                Ok(answer::json(&Status::success(details)))
            }
        }
    }

    /// Answers DELETE of all objects that match.
    pub(crate) async fn delete_collection(&self, view: View, body: &Bytes) -> Result<Response<Body>, Status> {
        let info = self.info;
        let deletion = self.deletion(body)?;
        let filter = Filter::new(info, self.visible())?;
        let range =
            Range { prefix: key::prefix(&info.tenant, &info.kind, &info.namespace), ..Range::default() };
        let listing = self.server.store.list(range).await.map_err(|error| fault::store(&error))?;
        let limit = info.query.limit.unwrap_or(usize::MAX);
        let mut chosen = Vec::new();
        for entry in listing.entries {
            if filter.matches_entry(&entry)? {
                // Before the first one goes: whoever may not delete all that they see and chose, deletes none.
                self.judge_deletion(&entry)?;
                chosen.push(entry);
            }
        }
        let mut deleted = Vec::new();
        for entry in chosen {
            if deleted.len() >= limit {
                break;
            }
            let before = entry.clone();
            match self.delete_entry(entry, &deletion).await? {
                Deleted::Gone(_, last) => deleted.push(last),
                Deleted::Pending(value) => deleted.push(Entry { value, ..before }),
                Deleted::Absent => {}
            }
        }
        let meta = ListMeta {
            resource_version: Some(self.server.store.revision().to_string()),
            ..ListMeta::default()
        };
        let body = match view {
            View::Json => Body::from(read::splice(&info.kind.api_version(), &info.kind.kind, &meta, deleted)),
            _ => self.render(view)?.list(deleted.iter().map(|entry| &entry.value[..]), &meta)?.into(),
        };
        Ok(answer::with(StatusCode::OK, view.content_type(), body))
    }

    /// Refuses who may not delete an object.
    fn judge_deletion(&self, entry: &Entry) -> Result<(), Status> {
        if !self.partial {
            return Ok(());
        }
        let object: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        self.judge(Some(&object), None)
    }

    /// The options: from the body where there is one, else from the query.
    fn deletion(&self, body: &Bytes) -> Result<Deletion, Status> {
        let query = &self.info.query;
        let deletion = if body.is_empty() {
            Deletion {
                orphan: query.orphan_dependents,
                propagation: query.propagation,
                dry_run: query.dry_run,
                ..Deletion::default()
            }
        } else {
            let DeleteOptions {
                grace_period_seconds,
                preconditions,
                orphan_dependents,
                propagation_policy,
                dry_run,
            } = decode::delete_options(negotiate::body_format(self.headers)?, body)?;
            request::grace_period(grace_period_seconds)?;
            let preconditions = preconditions.unwrap_or_default();
            Deletion {
                uid: preconditions.uid,
                version: preconditions.resource_version,
                orphan: orphan_dependents,
                propagation: request::propagation(propagation_policy.as_deref().unwrap_or_default())?,
                dry_run: query.dry_run
                    | dry_run
                        .iter()
                        .try_fold(false, |any, word| request::dry_run(word).map(|all| any | all))?,
            }
        };
        if deletion.orphan.is_some() && deletion.propagation.is_some() {
            let error = FieldError::invalid(
                "propagationPolicy",
                &Json::from(format!("{:?}", deletion.propagation)),
                "orphanDependents and deletionPropagation cannot be both set",
            );
            return Err(Status::invalid("DeleteOptions", "meta.k8s.io", "", &[error]));
        }
        Ok(deletion)
    }

    /// Deletes one object, or marks it for deletion where finalizers hold it.
    async fn delete_entry(&self, mut entry: Entry, deletion: &Deletion) -> Result<Deleted, Status> {
        for _ in 0..ATTEMPTS {
            let (uid, plan) = self.plan_deletion(&entry, deletion)?;
            let expect = Expect::Revision(entry.modified);
            let value = match &plan {
                Plan::Keep => return Ok(Deleted::Pending(entry.value)),
                Plan::Mark(object) => Some(encode::value(object)),
                Plan::Remove => None,
            };
            if deletion.dry_run {
                return Ok(match value {
                    Some(value) => Deleted::Pending(encode::at_revision(&value, entry.modified)),
                    None => Deleted::Gone(uid, entry),
                });
            }
            let removed = value.is_none();
            match self.commit(Write { key: entry.key.clone(), value, expect }).await {
                Ok(last) if removed => return Ok(Deleted::Gone(uid, last)),
                Ok(marked) => return Ok(Deleted::Pending(marked.value)),
                Err(Error::Conflict { found: None, .. }) => return Ok(Deleted::Absent),
                Err(Error::Conflict { key, .. }) => {
                    let (now, _) =
                        self.server.store.get(&key, None).await.map_err(|error| fault::store(&error))?;
                    match now {
                        Some(now) => {
                            self.judge_deletion(&now)?;
                            entry = now;
                        }
                        None => return Ok(Deleted::Absent),
                    }
                }
                Err(error) => return Err(fault::store(&error)),
            }
        }
        let name = Key::parse(&entry.key).map(|key| key.name).unwrap_or_default();
        Err(self.info.conflict(name, "the object changes faster than it can be deleted; try again"))
    }

    /// What a deletion does to an object as it is now.
    fn plan_deletion(&self, entry: &Entry, deletion: &Deletion) -> Result<(String, Plan), Status> {
        self.check_permanent(entry)?;
        let metadata = Partial::read(&entry.value).map_err(fault::internal)?;
        let uid = metadata.uid.0.to_string();
        self.check_preconditions(entry, &uid, deletion)?;
        let finalizers: Vec<&str> = metadata.finalizers.iter().map(|finalizer| &*finalizer.0).collect();
        let wanted = propagated(&finalizers, deletion);
        let apart = metadata::is_finalized_apart(&self.info.kind);
        if wanted.is_empty() && !apart {
            return Ok((uid, Plan::Remove));
        }
        let terminating = metadata.deletion_timestamp.is_some();
        if terminating && wanted == finalizers && !apart {
            return Ok((uid, Plan::Keep));
        }
        let mut object: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        if wanted != finalizers {
            metadata::of(&mut object).insert("finalizers".into(), wanted.into());
        } else if terminating && metadata::is_held(&self.info.kind, &object) {
            return Ok((uid, Plan::Keep));
        }
        if !metadata::is_held(&self.info.kind, &object) {
            return Ok((uid, Plan::Remove));
        }
        if !terminating {
            self.mark(&mut object);
        }
        Ok((uid, Plan::Mark(object)))
    }

    /// Some objects are always there.
    fn check_permanent(&self, entry: &Entry) -> Result<(), Status> {
        let info = self.info;
        let name = Key::parse(&entry.key).map(|key| key.name).unwrap_or_default();
        if !info.kind.permanent.contains(&name) {
            return Ok(());
        }
        let resource = Status::qualified(&info.kind.plural, &info.kind.group);
        let message =
            format!("{resource} {name:?} is forbidden: this {} may not be deleted", info.kind.singular);
        Err(Status::failure(Reason::Forbidden, message).with_details(info.details(name)))
    }

    fn check_preconditions(&self, entry: &Entry, uid: &str, deletion: &Deletion) -> Result<(), Status> {
        let name = || Key::parse(&entry.key).map(|key| key.name).unwrap_or_default();
        if let Some(expected) = deletion.uid.as_deref().filter(|expected| *expected != uid) {
            return Err(self.info.conflict(
                name(),
                format_args!(
                    "Precondition failed: UID in precondition: {expected}, UID in object meta: {uid}"
                ),
            ));
        }
        let version = entry.modified.to_string();
        if let Some(expected) = deletion.version.as_deref().filter(|expected| **expected != version) {
            return Err(self.info.conflict(
                name(),
                format_args!(
                    "Precondition failed: ResourceVersion in precondition: {expected}, ResourceVersion in object meta: {version}"
                ),
            ));
        }
        Ok(())
    }

    /// Writes into an object that its deletion was asked for now.
    fn mark(&self, object: &mut Json) {
        let time = self.time().to_string();
        let metadata = metadata::of(object);
        metadata.insert("deletionTimestamp".into(), time.into());
        metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
        // The wish for it to be gone is part of the desired state.
        if let Some(generation) = metadata.get("generation").and_then(Json::as_i64) {
            metadata.insert("generation".into(), (generation + 1).into());
        }
        if metadata::is_finalized_apart(&self.info.kind) {
            object["status"]["phase"] = "Terminating".into();
        }
    }
}

/// How a deletion is carried out.
enum Plan {
    /// The object goes.
    Remove,
    /// The object is written with its marks.
    Mark(Json),
    /// All that was asked for is under way.
    Keep,
}

/// The finalizers an object is to have while it is deleted, by Kubernetes' rules: an explicit policy wins, then what
/// the object was already marked with; in the background nothing is added.
fn propagated<'a>(finalizers: &[&'a str], deletion: &Deletion) -> Vec<&'a str> {
    let has = |name: &str| finalizers.contains(&name);
    let (orphan, foreground) = match (deletion.orphan, deletion.propagation) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == Propagation::Orphan, policy == Propagation::Foreground),
        (None, None) => (has(ORPHAN), !has(ORPHAN) && has(FOREGROUND)),
    };
    let mut wanted: Vec<&str> =
        finalizers.iter().copied().filter(|name| *name != ORPHAN && *name != FOREGROUND).collect();
    if orphan == has(ORPHAN) && foreground == has(FOREGROUND) {
        return finalizers.to_vec();
    }
    wanted.extend(orphan.then_some(ORPHAN));
    wanted.extend(foreground.then_some(FOREGROUND));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(finalizers: &[&str], orphan: Option<bool>, propagation: Option<Propagation>, expected: &[&str]) {
        let deletion = Deletion { orphan, propagation, ..Deletion::default() };
        assert_eq!(propagated(finalizers, &deletion), expected, "{finalizers:?} {deletion:?}");
    }

    #[test]
    fn policies_become_finalizers() {
        use Propagation::{Background, Foreground, Orphan};
        check(&[], None, None, &[]);
        check(&["a"], None, Some(Background), &["a"]);
        check(&[], None, Some(Foreground), &[FOREGROUND]);
        check(&[], None, Some(Orphan), &[ORPHAN]);
        check(&[], Some(true), None, &[ORPHAN]);
        check(&[FOREGROUND, "a"], Some(false), None, &["a"]);
        check(&[FOREGROUND, "a"], None, None, &[FOREGROUND, "a"]);
        check(&[FOREGROUND, "a"], None, Some(Orphan), &["a", ORPHAN]);
        check(&[ORPHAN, FOREGROUND], None, None, &[ORPHAN]);
    }
}
