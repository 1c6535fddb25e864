//! POST: objects come to be.

use crate::{
    call::Call,
    decode::{self, Decoded},
    encode, fault,
    identity::token,
    key, metadata, negotiate,
    write::{Written, preview},
};
use bytes::Bytes;
use http::StatusCode;
use lab_admission::{Creation, Input};
use lab_object::{Cause, Json, Reason, Status, StatusDetails, apply, partial::Partial};
use lab_store::{Error, Expect, Write};
use std::sync::Arc;
use uuid::Uuid;

/// How many generated names are tried before giving up.
const ATTEMPTS: usize = 8;

impl Call<'_> {
    /// Creates the object in the body.
    pub(crate) async fn create(&self, body: &Bytes) -> Result<Written, Status> {
        let Decoded { mut object, duplicates } =
            decode::object(negotiate::body_format(self.headers)?, body, &self.info.kind)?;
        let generated = metadata::text(&object, "name").is_empty();
        self.trace.object_name(metadata::text(&object, "name"));
        self.check_namespace(metadata::text(&object, "name")).await?;
        let mut warnings = self.admit(&mut object, self.input(&duplicates))?;
        let token = self.make_token(&mut object);
        let (manager, api_version) = (self.manager(), self.info.kind.api_version());
        apply::track_update(&self.apply_context(&manager, &api_version), None, &mut object);
        let object = token::show(self.insert(object, generated).await?, token, &mut warnings)?;
        Ok(Written { code: StatusCode::CREATED, object, warnings })
    }

    /// Makes a body the object to be stored; returns the warnings.
    pub(crate) fn admit(&self, object: &mut Json, input: Input<'_>) -> Result<Vec<String>, Status> {
        let info = self.info;
        let creation = Creation {
            input,
            namespace: (!info.is_cluster_scoped()).then_some(info.namespace.as_str()),
            name: Some(info.name.as_str()).filter(|name| !name.is_empty()),
            suffix: &metadata::suffix(),
            uid: &Uuid::new_v4().hyphenated().to_string(),
            now: self.time(),
        };
        let warnings =
            lab_admission::create(&info.kind, object, &creation).map_err(|rejection| *rejection)?;
        if metadata::is_finalized_apart(&info.kind) {
            metadata::hold_by_spec(object);
        }
        Ok(warnings)
    }

    /// Stores a new object that was admitted.
    pub(crate) async fn insert(&self, mut object: Json, generated: bool) -> Result<Bytes, Status> {
        self.judge(None, Some(&object))?;
        for attempt in 1.. {
            let name = metadata::text(&object, "name");
            let key: Arc<str> = self.key(name).into();
            if self.info.query.dry_run {
                let (found, _) =
                    self.server.store.get(&key, None).await.map_err(|error| fault::store(&error))?;
                return match found {
                    Some(_) => Err(self.already_exists(name)),
                    None => Ok(preview(&object)),
                };
            }
            let write = Write { key, value: Some(encode::value(&object)), expect: Expect::Absent };
            match self.commit(write).await {
                Ok(entry) => return Ok(entry.value),
                Err(Error::Conflict { .. }) if generated && attempt < ATTEMPTS => {
                    let (suffix, kept) = (metadata::suffix(), name.len().saturating_sub(metadata::SUFFIX));
                    let name = [&name[..kept], &suffix].concat();
                    metadata::of(&mut object).insert("name".into(), name.into());
                }
                Err(Error::Conflict { .. }) => return Err(self.already_exists(name)),
                Err(error) => return Err(fault::store(&error)),
            }
        }
        unreachable!("the attempts end")
    }

    fn already_exists(&self, name: &str) -> Status {
        Status::already_exists(&self.info.kind.plural, &self.info.kind.group, name)
    }

    /// Nothing is created in a namespace that does not exist, or that is going.
    pub(crate) async fn check_namespace(&self, name: &str) -> Result<(), Status> {
        let info = self.info;
        if info.is_cluster_scoped() {
            return Ok(());
        }
        let Some(namespaces) = self.server.registry.by_resource("", "v1", "namespaces") else {
            return Ok(());
        };
        let namespace = info.namespace.as_str();
        let key = key::object(&info.tenant, namespaces, "", namespace);
        let (found, _) = self.server.store.get(&key, None).await.map_err(|error| fault::store(&error))?;
        let Some(entry) = found else { return Err(Status::not_found("namespaces", "", namespace)) };
        let going = Partial::read(&entry.value).map_err(fault::internal)?.deletion_timestamp.is_some();
        if !going {
            return Ok(());
        }
        let cause = Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        };
        let message = format!(
            "{} {name:?} is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            Status::qualified(&info.kind.plural, &info.kind.group)
        );
        let details = StatusDetails { causes: vec![cause], ..info.details(name) };
        Err(Status::failure(Reason::Forbidden, message).with_details(details))
    }
}
