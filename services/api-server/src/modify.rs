//! PUT and PATCH: objects change.
//!
//! Every change is computed from the stored object and written only if that is still the stored one. Who named no
//! resourceVersion does not care which one it was: their change is computed again.

use crate::{
    call::Call,
    decode::{self, Decoded},
    encode, fault,
    identity::token,
    metadata,
    negotiate::{self, BodyFormat},
    write::{Written, preview},
};
use bytes::Bytes;
use http::StatusCode;
use lab_admission::{Input, Target};
use lab_kinds::Subresource;
use lab_object::{
    Json, Reason, Status, apply,
    patch::{self, PatchError},
};
use lab_store::{Entry, Error, Expect, Write};

/// How often a change is computed again because the object changed meanwhile.
const ATTEMPTS: usize = 100;

/// A change that a request asks for.
enum Change<'a> {
    /// The whole object (or its subresource) becomes this.
    Replace(&'a Json),
    /// A patch of one of the three types that change what is there.
    Patch(BodyFormat, &'a Json),
    /// Server-side apply.
    Apply(&'a Json),
}

/// What an attempt at a change came to.
enum Attempt {
    Done(Written),
    /// The object was changed or removed meanwhile.
    Again,
}

impl Call<'_> {
    /// Replaces the object by the one in the body.
    pub(crate) async fn update(&self, body: &Bytes) -> Result<Written, Status> {
        let Decoded { object, duplicates } =
            decode::object(negotiate::body_format(self.headers)?, body, &self.info.kind)?;
        self.change(&Change::Replace(&object), &duplicates).await
    }

    /// Changes the object by the patch in the body; an applied object is created where there is none.
    pub(crate) async fn patch(&self, body: &Bytes) -> Result<Written, Status> {
        let format = negotiate::patch_format(self.headers, self.info.kind.built_in)?;
        let is_apply = format == BodyFormat::ApplyPatch;
        self.check_patch_options(is_apply)?;
        let Decoded { object: mut patch, duplicates } = decode::patch(format, body)?;
        if !is_apply {
            return self.change(&Change::Patch(format, &patch), &duplicates).await;
        }
        let warnings = lab_admission::decode(&self.info.kind, &mut patch, self.input(&duplicates))
            .map_err(|rejection| *rejection)?;
        for _ in 0..ATTEMPTS {
            if self.info.subresource.is_some() || self.find().await?.is_some() {
                let mut written = self.change(&Change::Apply(&patch), &[]).await?;
                written.warnings.extend(warnings);
                return Ok(written);
            }
            match self.create_applied(&patch, &warnings).await {
                // Somebody else created it a moment ago: then it is changed.
                Err(status)
                    if status.reason == Some(Reason::AlreadyExists)
                        && !self.info.query.dry_run
                        && !self.is_hidden().await? => {}
                created => return created,
            }
        }
        Err(self.busy(&self.info.name))
    }

    /// Creates what is applied where nothing is yet.
    async fn create_applied(&self, applied: &Json, warnings: &[String]) -> Result<Written, Status> {
        let name = self.info.name.as_str();
        let given = |field| !metadata::text(applied, field).is_empty();
        if given("uid") || given("resourceVersion") {
            let why =
                "the applied configuration names the uid or resourceVersion of an object, and there is none";
            return Err(self.info.conflict(name, why));
        }
        self.check_namespace(name).await?;
        let (manager, api_version) = (self.manager(), self.info.kind.api_version());
        let context = self.apply_context(&manager, &api_version);
        let mut object =
            apply::apply(&context, None, applied).map_err(|error| self.not_applied(&error, name))?;
        let mut warnings = warnings.to_vec();
        warnings.extend(self.admit(&mut object, Input::default())?);
        let token = self.make_token(&mut object);
        let object = token::show(self.insert(object, false).await?, token, &mut warnings)?;
        Ok(Written { code: StatusCode::CREATED, object, warnings })
    }

    /// Carries out a change of an object that exists.
    async fn change(&self, change: &Change<'_>, duplicates: &[String]) -> Result<Written, Status> {
        for _ in 0..ATTEMPTS {
            let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
            if let Attempt::Done(written) = self.attempt(&entry, change, duplicates).await? {
                return Ok(written);
            }
        }
        Err(self.busy(&self.info.name))
    }

    async fn attempt(
        &self,
        entry: &Entry,
        change: &Change<'_>,
        duplicates: &[String],
    ) -> Result<Attempt, Status> {
        let old: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        let mut new = self.propose(&old, change)?;
        let target = match self.info.subresource {
            Some(Subresource::Status) => Target::Status,
            Some(Subresource::Finalize) => Target::Finalize,
            _ => Target::Whole,
        };
        token::keep(&self.info.kind, &mut new, &old);
        let warnings = lab_admission::update(&self.info.kind, &mut new, &old, target, self.input(duplicates))
            .map_err(|rejection| *rejection)?;
        self.judge(Some(&old), Some(&new))?;
        if !matches!(change, Change::Apply(_)) {
            let (manager, api_version) = (self.manager(), self.info.kind.api_version());
            apply::track_update(&self.apply_context(&manager, &api_version), Some(&old), &mut new);
        }
        let unchanged = lab_admission::unchanged(&old, &new);
        let done = |object| Ok(Attempt::Done(Written { code: StatusCode::OK, object, warnings }));
        let going = metadata::is_terminating(&new) && !metadata::is_held(&self.info.kind, &new);
        if (unchanged && !going) || self.info.query.dry_run {
            return done(if unchanged { entry.value.clone() } else { preview(&new) });
        }
        // With its last finalizer gone, an object that is being deleted goes as well.
        let value = (!going).then(|| encode::value(&new));
        let write = Write { key: entry.key.clone(), value, expect: Expect::Revision(entry.modified) };
        match self.commit(write).await {
            Ok(written) if !going => done(written.value),
            Ok(_) => done(preview(&new)),
            Err(Error::Conflict { .. }) => Ok(Attempt::Again),
            Err(error) => Err(fault::store(&error)),
        }
    }

    /// The object as the change wants it.
    fn propose(&self, old: &Json, change: &Change<'_>) -> Result<Json, Status> {
        let name = metadata::text(old, "name");
        match change {
            Change::Replace(object) => Ok((*object).clone()),
            Change::Patch(format, patch) => {
                let mut new = old.clone();
                let patched = match format {
                    BodyFormat::JsonPatch => patch::json(&mut new, patch),
                    BodyFormat::StrategicMergePatch => {
                        patch::strategic(&self.info.kind.schema, &mut new, patch)
                    }
                    _ => {
                        patch::merge(&mut new, patch);
                        Ok(())
                    }
                };
                patched.map_err(|error| self.not_patched(&error))?;
                if new.is_object() {
                    Ok(new)
                } else {
                    Err(fault::bad_request("the patch leaves something that is no object"))
                }
            }
            Change::Apply(applied) => {
                let (manager, api_version) = (self.manager(), self.info.kind.api_version());
                let version = metadata::text(applied, "resourceVersion");
                if !version.is_empty() && version != metadata::text(old, "resourceVersion") {
                    return Err(self.modified(name));
                }
                let mut applied = (*applied).clone();
                // By whatever name it was asked for, it is the object's own that is applied to.
                if metadata::text(&applied, "name") == self.info.name {
                    metadata::of(&mut applied).insert("name".into(), name.into());
                }
                let context = self.apply_context(&manager, &api_version);
                apply::apply(&context, Some(old), &applied).map_err(|error| self.not_applied(&error, name))
            }
        }
    }

    fn modified(&self, name: &str) -> Status {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        self.info.conflict(name, why)
    }

    pub(crate) fn busy(&self, name: &str) -> Status {
        self.info.conflict(name, "the object changes faster than this change can be made; try again")
    }

    fn not_applied(&self, error: &apply::ApplyError, name: &str) -> Status {
        error.status(&self.info.kind.kind, &self.info.kind.group, name)
    }

    /// 422 for a patch that does not fit the object, 400 for one that is malformed.
    pub(crate) fn not_patched(&self, error: &PatchError) -> Status {
        let reason = match error {
            PatchError::Operation { .. } => Reason::Invalid,
            PatchError::TooManyOperations { .. } => Reason::RequestEntityTooLarge,
            _ => Reason::BadRequest,
        };
        Status::failure(reason, error.to_string()).with_details(self.info.details(&self.info.name))
    }
}
