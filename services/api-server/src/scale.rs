//! `scale`: an object's replicas, seen as an `autoscaling/v1.Scale`.

use crate::{
    answer,
    body::Body,
    call::Call,
    decode, encode, fault, metadata,
    negotiate::{self, BodyFormat},
};
use bytes::Bytes;
use http::Response;
use lab_admission::{Input, Target};
use lab_object::{FieldError, GroupVersionKind, Json, Status, apply, patch, path::Path};
use lab_store::{Entry, Error, Expect, Write};
use serde_json::json;

/// How often a change is computed again because the object changed meanwhile.
const ATTEMPTS: usize = 100;

/// A change of a Scale.
enum Change<'a> {
    Replace(&'a Json),
    Patch(BodyFormat, &'a Json),
}

impl Call<'_> {
    /// Answers GET.
    pub(crate) fn get_scale(
        &self,
        entry: &Entry,
        spec: &str,
        status: &str,
    ) -> Result<Response<Body>, Status> {
        let object: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
        Ok(answer::json(&scale(&object, spec, status)?))
    }

    /// Answers PUT.
    pub(crate) async fn update_scale(
        &self,
        body: &Bytes,
        spec: &str,
        status: &str,
    ) -> Result<Response<Body>, Status> {
        let gvk =
            GroupVersionKind { group: "autoscaling".into(), version: "v1".into(), kind: "Scale".into() };
        let decoded = decode::typed(negotiate::body_format(self.headers)?, body, &gvk)?;
        self.change_scale(&Change::Replace(&decoded.object), spec, status).await
    }

    /// Answers PATCH.
    pub(crate) async fn patch_scale(
        &self,
        body: &Bytes,
        spec: &str,
        status: &str,
    ) -> Result<Response<Body>, Status> {
        let format = negotiate::patch_format(self.headers, true)?;
        self.check_patch_options(format == BodyFormat::ApplyPatch)?;
        let decoded = decode::patch(format, body)?;
        self.change_scale(&Change::Patch(format, &decoded.object), spec, status).await
    }

    async fn change_scale(
        &self,
        change: &Change<'_>,
        spec: &str,
        status: &str,
    ) -> Result<Response<Body>, Status> {
        for _ in 0..ATTEMPTS {
            let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
            let old: Json = serde_json::from_slice(&entry.value).map_err(fault::internal)?;
            let was = scale(&old, spec, status)?;
            let mut wanted = was.clone();
            match change {
                Change::Replace(object) => wanted = (*object).clone(),
                Change::Patch(BodyFormat::JsonPatch, patch) => {
                    patch::json(&mut wanted, patch).map_err(|error| self.not_patched(&error))?;
                }
                // A Scale has no lists: merging it is the same in every type.
                Change::Patch(_, patch) => patch::merge(&mut wanted, patch),
            }
            // Only the replicas are taken over; what the Scale says of its object must be true of it.
            let mut new = old.clone();
            for field in ["name", "namespace", "uid", "resourceVersion"] {
                let given = metadata::text(&wanted, field).to_owned();
                metadata::of(&mut new).insert(field.into(), given.into());
            }
            set(&mut new, spec, replicas(&wanted).map_err(|error| self.invalid_scale(error))?.into());
            lab_admission::update(&self.info.kind, &mut new, &old, Target::Whole, Input::default())
                .map_err(|rejection| *rejection)?;
            self.judge(Some(&old), Some(&new))?;
            let (manager, api_version) = (self.manager(), self.info.kind.api_version());
            apply::track_update(&self.apply_context(&manager, &api_version), Some(&old), &mut new);
            if lab_admission::unchanged(&old, &new) || self.info.query.dry_run {
                return Ok(answer::json(&scale(&new, spec, status)?));
            }
            let expect = Expect::Revision(entry.modified);
            let write = Write { key: entry.key, value: Some(encode::value(&new)), expect };
            match self.commit(write).await {
                Ok(written) => return self.get_scale(&written, spec, status),
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(fault::store(&error)),
            }
        }
        Err(self.busy(&self.info.name))
    }

    fn invalid_scale(&self, error: FieldError) -> Status {
        Status::invalid("Scale", "autoscaling", &self.info.name, &[error])
    }
}

/// The Scale of an object.
fn scale(object: &Json, spec: &str, status: &str) -> Result<Json, Status> {
    let number = |path: &str| -> Result<i64, Status> {
        let path = Path::parse(path).map_err(fault::internal)?;
        Ok(path.first(object).and_then(Json::as_i64).unwrap_or_default())
    };
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        let value = metadata::text(object, field);
        if !value.is_empty() {
            metadata[field] = value.into();
        }
    }
    Ok(json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": number(spec)?},
        "status": {"replicas": number(status)?},
    }))
}

/// The replicas that a Scale asks for; none means 0, as in Kubernetes.
fn replicas(scale: &Json) -> Result<i64, FieldError> {
    match scale.get("spec").and_then(|spec| spec.get("replicas")) {
        None | Some(Json::Null) => Ok(0),
        Some(value) => match value.as_i64() {
            Some(count @ 0..=0x7fff_ffff) => Ok(count),
            _ => Err(FieldError::invalid(
                "spec.replicas",
                value,
                "must be a whole number from 0 to 2147483647",
            )),
        },
    }
}

/// Sets the field at a path of plain names.
fn set(object: &mut Json, path: &str, value: Json) {
    let mut at = object;
    for name in path.trim_start_matches('.').split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = value;
}
