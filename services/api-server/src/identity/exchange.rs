//! Where certificates are given out: `logins` for people, `enrolments` for machines. Who asks has none yet, so these two paths
//! are open to everybody, read little, and are counted.

use crate::{
    answer,
    audit::Trace,
    body::Body,
    caller::Caller,
    decode, negotiate,
    request::not_allowed,
    server::{self, ApiServer, too_many},
};
use http::{Method, Response, StatusCode, request::Parts};
use jiff::Timestamp;
use lab_kinds::iam::enrolment::CertificateStatus;
use lab_object::{GroupVersionKind, Json, Reason, Resource, Status, Time};
use lab_pki::{Identity, Lifetime, SigningRequest};
use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use super::Issuer;

/// Most bytes that are read of somebody unknown.
const MOST: usize = 64 * 1024;

/// What is exchanged for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A password, or a signature.
    Login,
    /// A join token, or the certificate before.
    Enrolment,
}

impl Exchange {
    /// What is asked for at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path.strip_prefix("/apis/iam.lab/v1alpha1/")? {
            "logins" => Some(Self::Login),
            "enrolments" => Some(Self::Enrolment),
            _ => None,
        }
    }

    /// The plural, as metrics name it.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Login => lab_kinds::iam::login::Login::PLURAL,
            Self::Enrolment => lab_kinds::iam::enrolment::Enrolment::PLURAL,
        }
    }

    fn gvk(self) -> GroupVersionKind {
        let kind = match self {
            Self::Login => lab_kinds::iam::login::Login::KIND,
            Self::Enrolment => lab_kinds::iam::enrolment::Enrolment::KIND,
        };
        GroupVersionKind { group: "iam.lab".into(), version: "v1alpha1".into(), kind: kind.into() }
    }
}

impl ApiServer {
    /// Answers POST with 201 and the object's status.
    pub(crate) async fn exchange<B>(
        &self,
        exchange: Exchange,
        parts: &Parts,
        body: B,
        (caller, trace): (&Caller, &Trace),
    ) -> Result<Response<Body>, Status>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (method, headers) = (&parts.method, &parts.headers);
        if method != Method::POST {
            return Err(not_allowed(method));
        }
        self.audit.ready()?;
        let Ok(_slot) = self.exchanges.try_acquire() else { return Err(too_many("logins")) };
        let body = server::read_at_most(MOST, headers, body).await?;
        let format = negotiate::body_format(headers)?;
        let object = decode::typed(format, &body, &exchange.gvk())?.object;
        let Some(issuer) = &self.issuer else {
            return Err(Status::failure(Reason::NotImplemented, "this server issues no certificates"));
        };
        let now = Timestamp::now();
        let answer = match exchange {
            Exchange::Login => {
                answer::encode(&self.log_in(issuer, read(&object)?, (caller, trace), now).await?)
            }
            Exchange::Enrolment => {
                answer::encode(&self.enrol(issuer, read(&object)?, (caller, trace), now).await?)
            }
        };
        Ok(answer::with(StatusCode::CREATED, negotiate::JSON, answer.into()))
    }
}

/// The typed form of what was sent. What does not fit is not repeated: it may be secret.
fn read<T: Resource>(object: &Json) -> Result<T, Status> {
    T::deserialize(object)
        .map_err(|_| crate::fault::bad_request(format!("this is no {}: a field is of another type", T::KIND)))
}

/// Reads a signing request; 422 for one that is not taken.
pub(super) fn signing_request(kind: &str, pem: &str) -> Result<SigningRequest, Status> {
    SigningRequest::read(pem).map_err(|error| {
        let error = lab_object::FieldError {
            reason: "FieldValueInvalid",
            field: "spec.request".into(),
            message: format!("Invalid value: {error}"),
        };
        Status::invalid(kind, "iam.lab", "", &[error])
    })
}

impl Issuer {
    /// A certificate by which who has the request's key is `identity`, for `length` from now on.
    pub(super) fn certify(
        &self,
        request: &SigningRequest,
        identity: &Identity,
        length: Duration,
        now: Timestamp,
    ) -> Result<CertificateStatus, Status> {
        let lifetime = Lifetime::starting(SystemTime::from(now), length);
        let signed = self.authority.sign(request, identity, lifetime).map_err(crate::fault::internal)?;
        let expires = Timestamp::try_from(lifetime.until).map_err(crate::fault::internal)?;
        Ok(CertificateStatus {
            identity: identity.user.clone(),
            certificate: signed.certificate_pem,
            certificate_authority: self.authority.certificate_pem().to_owned(),
            expires: Some(Time::cut(expires)),
        })
    }
}
