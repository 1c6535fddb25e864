//! `logins`: a password or a signature for a certificate that holds for some hours.

use super::{Issuer, exchange::signing_request};
use crate::{
    audit::Trace,
    caller::{Caller, unauthorized},
    server::ApiServer,
};
use http::Method;
use jiff::Timestamp;
use lab_access::policy::LOGIN;
use lab_kinds::iam::{
    login::{Login, LoginSpec, LoginStatus, NAMESPACE},
    user::UserSpec,
};
use lab_object::{FieldError, Json, Status, Time};
use lab_pki::Identity;
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// How long certificates of people hold, at least and at most, in seconds.
const LIFE: (u64, u64) = (600, 12 * 60 * 60);

/// What everybody hears who does not get in. Whether there is such a user, whether they are locked out, and what exactly was
/// wrong is not said.
const REFUSED: &str = "the user, the password or the signature is not right";

impl ApiServer {
    /// Answers a login: with a challenge where nothing is proved yet, else with a certificate, or 401.
    pub(super) async fn log_in(
        &self,
        issuer: &Issuer,
        login: Login,
        (caller, trace): (&Caller, &Trace),
        now: Timestamp,
    ) -> Result<Login, Status> {
        let LoginSpec { user, request, .. } = &login.spec;
        let request = signing_request("Login", request)?;
        check(&login.spec, &request.common_name)?;
        if login.spec.password.is_none() && login.spec.signature.is_none() {
            let challenge = Some(issuer.challenges.make(user, SystemTime::from(now)));
            return Ok(answered(login, LoginStatus { challenge, ..Default::default() }));
        }
        let shown = if login.spec.password.is_some() { "password" } else { "ssh-key" };
        trace.name_verb("login");
        trace.name_user(user, shown);
        trace.name_object("iam.lab", "users", user);
        let attempt = self.guard.attempt(Some(user), caller, now)?;
        let path = format!("{USERS}/{user}");
        // An alias would be another name than the certificate says.
        let known = self.own_get(&path).await?.filter(|known| crate::metadata::text(known, "name") == user);
        let spec = known.as_ref().and_then(|known| UserSpec::deserialize(&known["spec"]).ok());
        let spec = spec.filter(|spec| !spec.disabled);
        let proved = match &login.spec.password {
            Some(password) => {
                let hash = match known.as_ref().filter(|_| spec.is_some()) {
                    Some(known) => self.password_hash(known).await?,
                    None => None,
                };
                let password = password.clone();
                match self.guard.compute(move || lab_pki::verify_password(&password, hash.as_deref())).await {
                    Ok(right) => right,
                    Err(busy) => {
                        attempt.take_back();
                        return Err(busy);
                    }
                }
            }
            None => signed(issuer, &login.spec, spec.as_ref(), now),
        };
        let Some(spec) = spec.filter(|_| proved) else {
            self.refuse_until(user, attempt.fail(now));
            return Err(unauthorized(REFUSED));
        };
        attempt.succeed();
        let asked = login.spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let life = Duration::from_secs(asked.unwrap_or(LIFE.1).clamp(LIFE.0, LIFE.1));
        // The groups are shown to who reads the certificate. Here those of the User object count, as they are.
        let groups = [LOGIN.to_owned()].into_iter().chain(spec.groups);
        let issued = issuer.certify(&request, &Identity::new(user.clone(), groups), life, now)?;
        trace.note(&format!("until {}", issued.expires.map(|end| end.to_string()).unwrap_or_default()));
        self.note_login(user, now).await;
        Ok(answered(login, LoginStatus { challenge: None, issued }))
    }

    /// Notes in the User when they logged in last. They are logged in whether or not that succeeds.
    async fn note_login(&self, user: &str, now: Timestamp) {
        self.note_in(user, json!({"lastLogin": Time::cut(now), "lockedUntil": null})).await;
    }

    /// Notes in the User until when they are refused, if there is such a user. Nobody waits for it: from how long the answer takes,
    /// whoever guesses would learn whether there is one.
    pub(super) fn refuse_until(&self, user: &str, until: Option<Timestamp>) {
        let (Some(until), Some(server)) = (until, self.me.upgrade()) else { return };
        let user = user.to_owned();
        tracing::warn!(user, %until, "too many wrong passwords; the user is refused for a while");
        tokio::spawn(async move {
            let found = server.own_get(&format!("{USERS}/{user}")).await;
            if matches!(found, Ok(Some(known)) if crate::metadata::text(&known, "name") == user) {
                server.note_in(&user, json!({"lockedUntil": Time::cut(until)})).await;
            }
        });
    }

    async fn note_in(&self, user: &str, status: Json) {
        let path = format!("{USERS}/{user}/status?fieldManager=labd");
        let patch = json!({"status": status});
        let written: Result<Json, _> =
            self.own(Method::PATCH, &path, "application/merge-patch+json", &patch).await;
        if let Err(status) = written {
            tracing::warn!(user, why = status.message, "what is the case with a User could not be noted");
        }
    }
}

const USERS: &str = "/apis/iam.lab/v1alpha1/users";

/// 422 for what cannot be a login, whoever it is.
fn check(spec: &LoginSpec, common_name: &str) -> Result<(), Status> {
    let mut errors = Vec::new();
    if !lab_object::name::check_subdomain(&spec.user).is_empty() {
        errors.push(FieldError::invalid("spec.user", &spec.user.as_str().into(), "is no user's name"));
    }
    if !common_name.is_empty() && common_name != spec.user {
        let why = "its subject is somebody else than spec.user";
        errors.push(FieldError::invalid("spec.request", &common_name.into(), why));
    }
    if spec.password.is_some() && spec.signature.is_some() {
        errors.push(FieldError::forbidden("spec.signature", "give a password or a signature, not both"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("Login", "iam.lab", "", &errors)) }
}

/// Whether one of the user's keys signed this login, with a challenge of ours.
fn signed(issuer: &Issuer, login: &LoginSpec, user: Option<&UserSpec>, now: Timestamp) -> bool {
    let keys = user.map(|user| user.public_keys.as_slice()).unwrap_or_default();
    let challenge = login.challenge.as_deref().unwrap_or_default();
    let signature = login.signature.as_deref().unwrap_or_default();
    issuer.challenges.holds(challenge, &login.user, SystemTime::from(now))
        && lab_pki::signed_by(keys, NAMESPACE, &login.signed_text(), signature)
}

/// The answer: who asked, without what they proved it with, and what they get.
fn answered(login: Login, status: LoginStatus) -> Login {
    let LoginSpec { user, request, expiration_seconds, .. } = login.spec;
    let spec = LoginSpec { user, request, expiration_seconds, ..Default::default() };
    Login { spec, status, ..login }
}
