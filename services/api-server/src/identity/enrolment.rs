//! `enrolments`: a join token for a machine's first certificate, and a certificate for the one after.

use super::{Issuer, exchange::signing_request};
use crate::{
    audit::Trace,
    caller::{Caller, Credential, unauthorized},
    metadata,
    server::ApiServer,
};
use http::Method;
use jiff::Timestamp;
use lab_access::{
    enrolment::{self, Refused},
    machine::{BASTIONS, SERVERS},
};
use lab_kinds::iam::{
    JoinToken,
    enrolment::{CertificateStatus, Enrolment, EnrolmentSpec},
    join_token::Joiner,
};
use lab_object::{FieldError, Json, Reason, Status, Time};
use lab_pki::{Identity, SigningRequest};
use serde::Deserialize;
use serde_json::json;

/// How often a use of a token is counted again because others used it meanwhile.
const ATTEMPTS: usize = 100;

const METAL: &str = "/apis/metal.lab/v1alpha1";
const TOKENS: &str = "/apis/iam.lab/v1alpha1/jointokens";
const MERGE: &str = "application/merge-patch+json";

impl ApiServer {
    /// Answers an enrolment.
    pub(super) async fn enrol(
        &self,
        issuer: &Issuer,
        asked: Enrolment,
        (caller, trace): (&Caller, &Trace),
        now: Timestamp,
    ) -> Result<Enrolment, Status> {
        let request = signing_request("Enrolment", &asked.spec.request)?;
        check(&asked.spec, &request)?;
        let issued = match &asked.spec.token {
            Some(token) => {
                trace.name_verb("enrol");
                self.join(issuer, token, &asked.spec, (&request, caller, trace), now).await?
            }
            None => {
                trace.name_verb("renew");
                self.renew(issuer, &request, caller, now).await?
            }
        };
        let until = issued.expires.map(|end| end.to_string()).unwrap_or_default();
        trace.note(&format!("{} until {until}", issued.identity));
        let spec = EnrolmentSpec { token: None, ..asked.spec };
        Ok(Enrolment { spec, status: issued, ..asked })
    }

    /// Lets a machine in by its token: counts the use first, so that no two come in by the last one.
    async fn join(
        &self,
        issuer: &Issuer,
        token: &str,
        asked: &EnrolmentSpec,
        (request, caller, trace): (&SigningRequest, &Caller, &Trace),
        now: Timestamp,
    ) -> Result<CertificateStatus, Status> {
        let attempt = self.guard.attempt(None, caller, now)?;
        let unknown = || unauthorized("the join token is not known; it may have been deleted");
        let name = self.authorizer.join_token(&lab_pki::hash_token(token)).ok_or_else(unknown)?;
        attempt.succeed();
        trace.name_user("", &format!("jointoken:{name}"));
        trace.name_object("iam.lab", "jointokens", &name);
        for _ in 0..ATTEMPTS {
            let Some(object) = self.own_get(&format!("{TOKENS}/{name}")).await? else {
                return Err(unknown());
            };
            let token = JoinToken::deserialize(&object).map_err(crate::fault::internal)?;
            enrolment::usable(&token, now).map_err(unauthorized)?;
            let identity = self.identify(&token, asked, now).await?;
            let version = metadata::text(&object, "resourceVersion");
            let used = json!({"metadata": {"resourceVersion": version}, "status": {
                "used": token.status.used + 1, "lastUsed": Time::cut(now), "lastIdentity": identity.user}});
            let path = format!("{TOKENS}/{name}/status?fieldManager=labd");
            match self.own(Method::PATCH, &path, MERGE, &used).await {
                Ok(_) => {}
                Err(status) if status.reason == Some(Reason::Conflict) => continue,
                Err(status) => return Err(status),
            }
            let issued = issuer.certify(request, &identity, issuer.machines, now)?;
            self.note_expiry(&identity.user, &issued).await;
            return Ok(issued);
        }
        Err(crate::fault::internal("the join token changes faster than its use can be counted"))
    }

    /// The next certificate for who shows one that still counts.
    async fn renew(
        &self,
        issuer: &Issuer,
        request: &SigningRequest,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<CertificateStatus, Status> {
        if caller.is_anonymous() {
            return Err(unauthorized(
                "show a join token (spec.token) or the certificate that is to be followed",
            ));
        }
        let forbid = |why: &str| Err(Status::failure(Reason::Forbidden, format!("forbidden: {why}")));
        if !matches!(caller.shown, Credential::Certificate(_)) {
            return forbid("only a certificate is followed by another one");
        }
        let group = match caller.user.split_once(':') {
            Some(("bastion", _)) if caller.is_in(BASTIONS) => BASTIONS,
            Some(("server", _)) if caller.is_in(SERVERS) => SERVERS,
            _ => {
                return forbid("only bastions and agents renew their certificates here; people log in again");
            }
        };
        if self.object_of(&caller.user).await?.is_none() {
            return forbid("there is no object of this identity any more");
        }
        let identity = Identity::new(caller.user.clone(), [group]);
        let issued = issuer.certify(request, &identity, issuer.machines, now)?;
        self.note_expiry(&identity.user, &issued).await;
        Ok(issued)
    }

    /// The one identity that a token gives to who asks. Objects of machines that are new are made.
    async fn identify(
        &self,
        token: &JoinToken,
        asked: &EnrolmentSpec,
        now: Timestamp,
    ) -> Result<Identity, Status> {
        let forbid = |refused: Refused| Status::failure(Reason::Forbidden, format!("forbidden: {refused}"));
        let name = enrolment::name(token, asked.name.as_deref()).map_err(forbid)?;
        if token.spec.joiner == Joiner::Bastion {
            let name = name.unwrap_or_default();
            let found = self.own_get(&format!("{METAL}/bastions/{name}")).await?;
            enrolment::bastion(token, found.as_ref()).map_err(forbid)?;
            if found.is_none() {
                let mut bastion = json!({"metadata": {"name": name}, "spec": {}});
                if let Some(site) = &token.spec.site {
                    bastion["spec"]["site"] = site.as_str().into();
                }
                self.own(Method::POST, &format!("{METAL}/bastions"), "application/json", &bastion).await?;
            }
            return Ok(Identity::new(format!("bastion:{name}"), [BASTIONS]));
        }
        let found = match (name, asked.macs.as_slice()) {
            (Some(name), _) => self.own_get(&format!("{METAL}/servers/{name}")).await?,
            (None, [mac, ..]) => self.own_get(&format!("{METAL}/servers/{mac}")).await?,
            (None, []) => {
                return Err(forbid(Refused::Nameless(
                    "a machine joins by its name or its MAC addresses: spec.name and spec.macs are missing",
                )));
            }
        };
        enrolment::server(token, found.as_ref(), now).map_err(forbid)?;
        let server = match found {
            Some(server) => server,
            None => self.enter(token, name, asked).await?,
        };
        Ok(Identity::new(format!("server:{}", metadata::text(&server, "uid")), [SERVERS]))
    }

    /// Makes the Server of a machine that nobody entered before.
    async fn enter(
        &self,
        token: &JoinToken,
        name: Option<&str>,
        asked: &EnrolmentSpec,
    ) -> Result<Json, Status> {
        let by_mac = || asked.macs.first().map(|mac| mac.to_string().replace(':', "-")).unwrap_or_default();
        let name = name.map_or_else(by_mac, ToOwned::to_owned);
        let mut server = json!({"metadata": {"name": name}, "spec": {"macs": asked.macs}});
        if let Some(environment) = &token.spec.environment {
            server["spec"]["environment"] = environment.as_str().into();
        }
        self.own(Method::POST, &format!("{METAL}/servers"), "application/json", &server).await
    }

    /// The object that a machine's identity is of.
    pub(super) async fn object_of(&self, user: &str) -> Result<Option<Json>, Status> {
        match user.split_once(':') {
            Some(("bastion", name)) => self.own_get(&format!("{METAL}/bastions/{name}")).await,
            Some(("server", uid)) => {
                let found = self.own_get(&format!("{METAL}/servers/{uid}")).await?;
                Ok(found.filter(|server| metadata::text(server, "uid") == uid))
            }
            _ => Ok(None),
        }
    }

    /// Notes in a machine's object until when its certificate holds. It has joined, whether or not that succeeds.
    async fn note_expiry(&self, user: &str, issued: &CertificateStatus) {
        let noted = async {
            let Some(object) = self.object_of(user).await? else { return Ok(()) };
            let (name, expires) = (metadata::text(&object, "name"), &issued.expires);
            let (plural, status) = if user.starts_with("bastion:") {
                ("bastions", json!({"certificateExpires": expires}))
            } else if object.pointer("/status/agent").is_some() {
                ("servers", json!({"agent": {"certificateExpires": expires}}))
            } else {
                ("servers", json!({"agent": {"version": "", "online": false, "certificateExpires": expires}}))
            };
            let path = format!("{METAL}/{plural}/{name}/status?fieldManager=labd");
            self.own(Method::PATCH, &path, MERGE, &json!({"status": status})).await.map(drop)
        };
        if let Err(status) = noted.await {
            let status: Status = status;
            tracing::warn!(
                identity = user,
                why = status.message,
                "the end of a certificate could not be noted"
            );
        }
    }
}

/// 422 for what cannot be an enrolment, whoever it is.
fn check(spec: &EnrolmentSpec, request: &SigningRequest) -> Result<(), Status> {
    let mut errors = Vec::new();
    if !request.common_name.is_empty() {
        let why = "its subject must be empty: who the joiner is follows from the token or the certificate";
        errors.push(FieldError::invalid("spec.request", &request.common_name.as_str().into(), why));
    }
    if let Some(name) = &spec.name {
        let wrong = lab_object::name::check_subdomain(name);
        errors.extend(
            wrong.into_iter().map(|why| FieldError::invalid("spec.name", &name.as_str().into(), why)),
        );
    }
    if spec.macs.len() > 64 {
        errors.push(FieldError::forbidden("spec.macs", "at most 64 addresses"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("Enrolment", "iam.lab", "", &errors)) }
}
