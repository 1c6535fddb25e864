//! `labctl ssh`: ssh to a machine, through labd and the machine's own connection to it, with a certificate of labd's for some minutes.

use super::stream::Machine;
use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
    settings::Globals,
};
use http::{Method, Request, header};
use lab_kinds::metal::ssh_certificate::{
    SSHCertificateRequest, SSHCertificateRequestSpec, SSHCertificateRequestStatus,
};
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};
use tempfile::TempDir;

/// Log in to a machine with ssh, wherever it is in reach of labd
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl ssh db-1
  labctl ssh root@db-1 -- -L 8080:localhost:80
  labctl ssh db-1 -- uptime
  labctl ssh --own-keys me@db-1

It is plain ssh. labd signs a key that is made for this one time, and vouches for the machine: nobody is asked about host keys.")]
pub struct Args {
    /// The server, by name, hostname, UID, MAC or IP; with the user before it: the server's spec.admin.user, which is meant where
    /// none is named, or root
    #[arg(value_name = "[USER@]SERVER", add = crate::complete::names_of("servers"))]
    machine: String,
    /// The port that the machine's sshd listens at
    #[arg(long, default_value = "22", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// For how long the certificate is good to log in with, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(i64).range(60..=3600))]
    valid: i64,
    /// Use your own keys and known hosts, and no certificate; only the way is labd's
    #[arg(long, conflicts_with = "valid")]
    own_keys: bool,
    /// What else ssh is told
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session, globals: &Globals) -> Outcome {
    let (user, name) = match args.machine.split_once('@') {
        Some((user, name)) => (Some(user.to_owned()), name),
        None => (None, args.machine.as_str()),
    };
    // A wrong name is told better here than by ssh.
    let machine = Machine::find(session, name).await?;
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, format!("this program cannot be found: {error}")))?;
    let mut proxy = vec![own.to_string_lossy().into_owned()];
    proxy.extend(globals.passed_on());
    proxy.extend(["port-forward", "--stdio", machine.name(), &args.port.to_string()].map(Into::into));
    let proxy: Vec<String> = proxy.iter().map(|word| quoted(word)).collect();
    let mut options = vec![format!("ProxyCommand={}", proxy.join(" "))];
    // Machines that were installed again have other keys; each is known by its UID, not by an address.
    options.push(format!("HostKeyAlias={}", machine.uid()));
    let (user, _files) = if args.own_keys {
        (user, None)
    } else {
        let (granted, files) = Granted::get(session, &machine, user, args.valid).await?;
        options.extend(granted.options);
        (Some(granted.user), Some(files))
    };
    let mut arguments: Vec<String> = options.into_iter().flat_map(|option| ["-o".into(), option]).collect();
    arguments.push(user.map_or(machine.name().into(), |user| format!("{user}@{}", machine.name())));
    arguments.extend(args.arguments);
    let done = lab_host::command::interactive("ssh", &arguments)
        .map_err(|error| Failure::new(Exit::Failed, format!("ssh cannot be started: {error}")))?;
    if done { Ok(()) } else { Err(Failure::told(Exit::Failed)) }
}

/// What ssh has to be told to use a certificate.
struct Granted {
    user: String,
    options: Vec<String>,
}

impl Granted {
    /// Has a new key signed; what was got lies in a folder that goes when the second is dropped.
    async fn get(
        session: &Session,
        machine: &Machine,
        user: Option<String>,
        seconds: i64,
    ) -> Outcome<(Self, TempDir)> {
        let failed = |error: lab_pki::Error| Failure::new(Exit::Failed, error);
        let (private, public_key) = lab_pki::new_ssh_key().map_err(failed)?;
        let spec = SSHCertificateRequestSpec { public_key, user, expiration_seconds: Some(seconds) };
        let status = ask(session, machine, spec).await?;
        let folder = tempfile::Builder::new().prefix("labctl-ssh-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        write(&at("key"), &private)?;
        write(&at("key-cert.pub"), &format!("{}\n", status.certificate))?;
        let known = format!("@cert-authority {} {}\n", machine.uid(), status.host_authority);
        write(&at("known_hosts"), &known)?;
        let file = |option: &str, name: &str| format!("{option}=\"{}\"", at(name).display());
        let options = vec![
            file("IdentityFile", "key"),
            file("CertificateFile", "key-cert.pub"),
            "IdentitiesOnly=yes".into(),
            file("UserKnownHostsFile", "known_hosts"),
            "GlobalKnownHostsFile=none".into(),
            "StrictHostKeyChecking=yes".into(),
            "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com".into(),
            "UpdateHostKeys=no".into(),
        ];
        Ok((Self { user: status.user, options }, folder))
    }
}

async fn ask(
    session: &Session,
    machine: &Machine,
    spec: SSHCertificateRequestSpec,
) -> Outcome<SSHCertificateRequestStatus> {
    let odd = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error.to_string());
    let body = serde_json::to_vec(&SSHCertificateRequest { spec, ..SSHCertificateRequest::default() })
        .map_err(|error| odd(&error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/apis/metal.lab/v1alpha1/servers/{}/sshcertificate", machine.name()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .map_err(|error| odd(&error))?;
    let doing = format!("get a certificate for {}", machine.called);
    let sent = session.client.send(&doing, request).await.map_err(|error| {
        let unavailable = error.status().is_some_and(|status| matches!(status.code, 501 | 503));
        let failure = Failure::from(error);
        if unavailable { failure.with_hint("`labctl ssh --own-keys` uses keys of your own") } else { failure }
    })?;
    let answer = session.client.collect(&doing, sent.into_body()).await?;
    let answer: SSHCertificateRequest = serde_json::from_slice(&answer).map_err(|error| odd(&error))?;
    Ok(answer.status)
}

/// Writes a file that only we may read, which ssh insists on.
fn write(path: &Path, text: &str) -> Outcome {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(file.and_then(|mut file| file.write_all(text.as_bytes()))?)
}

/// A word for the shell that ssh runs its ProxyCommand with; `%` is ssh's own.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''").replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, expected) in [("a b", "'a b'"), ("it's", r"'it'\''s'"), ("100%", "'100%%'"), ("", "''")] {
            assert_eq!(quoted(word), expected);
        }
    }
}
