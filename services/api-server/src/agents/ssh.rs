//! Logging in to machines by certificates of our own authority: each machine's sshd is told to take them and is given one to show,
//! and who may log in gets one for some minutes.

use super::{Tunnel, out_of_reach};
use crate::{
    answer, body::Body, call::Call, decode, fault, identity::Issuer, metadata, negotiate, server::ApiServer,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use lab_kinds::metal::ssh_certificate::{SSHCertificateRequest, SSHCertificateRequestStatus};
use lab_object::{FieldError, GroupVersionKind, Json, Reason, Status, Time};
use lab_pki::{Lifetime, SshAuthority};
use lab_wire::agent::SshSetup;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Shortest, usual and longest life of a certificate by which somebody logs in, in seconds.
const LIFE: (i64, i64, i64) = (60, 300, 3600);
/// When that is tried again which a machine could not put in place.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// The account where a server names none.
const USUAL: &str = "lab";

/// What a machine's sshd was told.
pub(super) struct Told {
    accounts: BTreeMap<String, String>,
    host_key: String,
    /// When it is to be told again.
    due: Timestamp,
    /// Whether it is in place, or why not; nothing while that is not known.
    outcome: Option<Result<(), String>>,
}

/// The accounts of a server that may be logged in to by certificate, each with its principal, which no other machine has.
fn accounts(server: &Json) -> BTreeMap<String, String> {
    let uid = metadata::text(server, "uid");
    let admin = admin(server);
    [admin, "root"].into_iter().map(|account| (account.to_owned(), principal(account, uid))).collect()
}

fn admin(server: &Json) -> &str {
    server.pointer("/spec/admin/user").and_then(Json::as_str).unwrap_or(USUAL)
}

fn principal(account: &str, uid: &str) -> String {
    format!("{account}@{uid}")
}

/// Tells a machine's sshd what it has to know, where that is not done yet or is due again.
pub(super) fn see_to(server: &ApiServer, tunnel: &Arc<Tunnel>, object: &Json) {
    let Some((issuer, authority)) = server.issuer.as_ref().and_then(|i| Some((i, i.ssh.as_ref()?))) else {
        return;
    };
    let Some(host_key) = tunnel.host_key() else { return };
    let (accounts, now) = (accounts(object), Timestamp::now());
    let mut told = tunnel.ssh.lock();
    let is_told = |told: &Told| told.accounts == accounts && told.host_key == host_key && now < told.due;
    if told.as_ref().is_some_and(is_told) {
        return;
    }
    let (setup, due) = match setup(issuer, authority, (&accounts, &host_key, &tunnel.uid), now) {
        Ok(made) => made,
        Err(error) => return tracing::warn!(server = tunnel.name, %error, "no certificate for its sshd"),
    };
    // What is in place stays so until the next is.
    let outcome = told.take().and_then(|told| told.outcome).filter(Result::is_ok);
    *told = Some(Told { accounts, host_key, due, outcome });
    drop(told);
    let tunnel = tunnel.clone();
    tokio::spawn(async move {
        let outcome = tunnel.set_up_ssh(&setup).await;
        if let Err(why) = &outcome {
            tracing::info!(server = tunnel.name, why, "its sshd takes no certificates");
        }
        if let Some(told) = &mut *tunnel.ssh.lock() {
            if outcome.is_err() {
                told.due = now.saturating_add(AGAIN).unwrap_or(told.due);
            }
            told.outcome = Some(outcome);
        }
    });
}

fn setup(
    issuer: &Issuer,
    authority: &SshAuthority,
    (accounts, host_key, uid): (&BTreeMap<String, String>, &str, &str),
    now: Timestamp,
) -> Result<(SshSetup, Timestamp), lab_pki::Error> {
    let life = Lifetime::starting(SystemTime::from(now), issuer.machines);
    let setup = SshSetup {
        authority: authority.public_key().into(),
        accounts: accounts.clone(),
        host_certificate: authority.certify_host(host_key, uid, life)?,
    };
    let due = now.saturating_add(issuer.machines * 2 / 3).unwrap_or(Timestamp::MAX);
    Ok((setup, due))
}

impl Tunnel {
    /// Refuses where the machine's sshd takes no certificates.
    fn takes_certificates(&self) -> Result<(), Status> {
        let cannot = |why: &str| Err(out_of_reach(&self.name, why));
        if self.host_key().is_none() {
            return cannot(
                "finds no sshd with a host key of the kind Ed25519, so that nobody can log in by certificate",
            );
        }
        match &*self.ssh.lock() {
            Some(Told { outcome: Some(Ok(())), .. }) => Ok(()),
            Some(Told { outcome: Some(Err(why)), .. }) => cannot(&format!("could not set up sshd: {why}")),
            Some(Told { outcome: None, .. }) | None => {
                cannot("is still setting up sshd; try again in a moment")
            }
        }
    }
}

impl Call<'_> {
    /// Answers POST of an SSHCertificateRequest.
    pub(crate) async fn create_ssh_certificate(&self, body: &Bytes) -> Result<Response<Body>, Status> {
        self.trace.name_verb("ssh");
        let gvk = GroupVersionKind {
            group: "metal.lab".into(),
            version: "v1alpha1".into(),
            kind: "SSHCertificateRequest".into(),
        };
        let object = decode::typed(negotiate::body_format(self.headers)?, body, &gvk)?.object;
        let mut request = SSHCertificateRequest::deserialize(&object)
            .map_err(|error| fault::bad_request(format!("this is no SSHCertificateRequest: {error}")))?;
        let server = self.asked_for().await?;
        let (name, uid) = (metadata::text(&server, "name"), metadata::text(&server, "uid"));
        let issuer = self.server.issuer.as_ref().and_then(|issuer| Some((issuer, issuer.ssh.as_ref()?)));
        let Some((_, authority)) = issuer else {
            return Err(Status::failure(
                Reason::NotImplemented,
                "this server issues no certificates for SSH",
            ));
        };
        let refuse = |field: &str, value: &Json, why: String| {
            Status::invalid(
                "SSHCertificateRequest",
                "metal.lab",
                name,
                &[FieldError::invalid(field, value, why)],
            )
        };
        let user = request.spec.user.clone().unwrap_or_else(|| admin(&server).into());
        let accounts = accounts(&server);
        let Some(principal) = accounts.get(&user) else {
            let names: Vec<_> = accounts.keys().map(String::as_str).collect();
            let why =
                format!("must be one of {}; spec.admin.user of the server names another", names.join(", "));
            return Err(refuse("spec.user", &user.into(), why));
        };
        let seconds = request.spec.expiration_seconds.unwrap_or(LIFE.1);
        if !(LIFE.0..=LIFE.2).contains(&seconds) {
            let why = format!("must be from {} to {}", LIFE.0, LIFE.2);
            return Err(refuse("spec.expirationSeconds", &seconds.into(), why));
        }
        let life =
            Lifetime::starting(SystemTime::from(self.now), Duration::from_secs(seconds.unsigned_abs()));
        let key = &request.spec.public_key;
        let certificate = authority
            .certify_user(key, &self.caller.user, principal, life)
            .map_err(|error| refuse("spec.publicKey", &key.as_str().into(), error.to_string()))?;
        let tunnel = self.server.agents.find(uid).ok_or_else(|| out_of_reach(name, "is not connected"))?;
        tunnel.takes_certificates()?;
        let expires = Timestamp::try_from(life.until).map_err(fault::internal)?;
        self.trace.note(&format!("as {user} until {}", Time::cut(expires)));
        request.status = SSHCertificateRequestStatus {
            user,
            certificate: if self.info.query.dry_run { String::new() } else { certificate },
            host_authority: authority.public_key().into(),
            expires: Some(Time::cut(expires)),
        };
        Ok(answer::with(StatusCode::CREATED, negotiate::JSON, answer::encode(&request).into()))
    }
}
