//! What all writes have in common: who writes, what becomes of unknown fields, and the answer.

use crate::{
    answer,
    body::Body,
    call::{Call, warn},
    fault,
    negotiate::View,
    request::Verb,
};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use lab_admission::Input;
use lab_kinds::Subresource;
use lab_object::{FieldError, Json, Status, apply::ApplyContext};

/// Most bytes of a manager's name.
const MANAGER: usize = 128;

/// An object that was written, ready to be sent.
pub(crate) struct Written {
    pub code: StatusCode,
    pub object: Bytes,
    pub warnings: Vec<String>,
}

impl Call<'_> {
    /// Answers a request that changes something.
    pub(crate) async fn write(&self, view: View, body: Bytes) -> Result<Response<Body>, Status> {
        let answer = self.carry_out(view, body).await;
        if self.info.kind.group == "iam.lab" && answer.is_ok() {
            // Whoever gives or takes a permission may count on it from the answer on.
            self.server.authorizer.settled(self.server.store.revision()).await;
        }
        answer
    }

    async fn carry_out(&self, view: View, body: Bytes) -> Result<Response<Body>, Status> {
        match (self.info.verb, &self.info.subresource) {
            (Verb::Create, Some(Subresource::Token)) => self.create_token(&body).await,
            (Verb::Create, Some(Subresource::Logs)) => self.take_feed(&body).await,
            (Verb::Create, Some(Subresource::SshCertificate)) => self.create_ssh_certificate(&body).await,
            (Verb::Create, Some(Subresource::Password)) => self.set_password(&body).await,
            (Verb::Create, _) => self.written(view, self.create(&body).await?),
            (Verb::Update, Some(Subresource::Scale { spec, status })) => {
                self.update_scale(&body, spec, status).await
            }
            (Verb::Update, _) => self.written(view, self.update(&body).await?),
            (Verb::Patch, Some(Subresource::Scale { spec, status })) => {
                self.patch_scale(&body, spec, status).await
            }
            (Verb::Patch, _) => self.written(view, self.patch(&body).await?),
            (Verb::Delete, _) => self.delete(view, &body).await,
            (Verb::DeleteCollection, _) => self.delete_collection(view, &body).await,
            (Verb::Get | Verb::List | Verb::Watch, _) => Err(fault::internal("a read came to the writes")),
        }
    }

    fn written(&self, view: View, written: Written) -> Result<Response<Body>, Status> {
        let mut response = self.show(view, written.code, written.object)?;
        warn(&mut response, &written.warnings);
        Ok(response)
    }

    /// Path segment of the subresource; empty for the object itself.
    pub(crate) fn subresource(&self) -> &'static str {
        self.info.subresource.as_ref().map_or("", Subresource::path)
    }

    /// Who writes: the manager that is named, or the client's program.
    pub(crate) fn manager(&self) -> String {
        if let Some(manager) = &self.info.query.field_manager {
            return manager.clone();
        }
        let agent =
            self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let mut program = agent.split('/').next().unwrap_or_default().trim();
        while program.len() > MANAGER {
            program = &program[..program.len() - 1];
        }
        if program.is_empty() { self.caller.user.clone() } else { program.to_owned() }
    }

    /// How fields are tracked for this request.
    pub(crate) fn apply_context<'c>(&'c self, manager: &'c str, api_version: &'c str) -> ApplyContext<'c> {
        let kind = &self.info.kind;
        ApplyContext {
            schema: &kind.schema,
            manager,
            api_version,
            subresource: self.subresource(),
            status_apart: kind.subresources.contains(&Subresource::Status),
            now: self.time(),
            force: self.info.query.force.unwrap_or_default(),
        }
    }

    /// How admission reads the body.
    pub(crate) fn input<'d>(&self, duplicates: &'d [String]) -> Input<'d> {
        Input { validation: self.info.query.field_validation, duplicates }
    }

    /// 422 for the options of a patch.
    pub(crate) fn check_patch_options(&self, is_apply: bool) -> Result<(), Status> {
        let query = &self.info.query;
        let mut errors = Vec::new();
        if is_apply && query.field_manager.is_none() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
        if !is_apply && query.force.is_some() {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Status::invalid("PatchOptions", "meta.k8s.io", "", &errors))
        }
    }
}

/// An object as it would be answered if it had been written.
pub(crate) fn preview(object: &Json) -> Bytes {
    answer::encode(object)
}
