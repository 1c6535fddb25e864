//! `labctl login`: a context for a server, with its CA pinned, and a certificate, key or token to be known by.

use crate::{
    config::change,
    failure::{Failure, Outcome},
    output,
    session::MANAGER,
    settings::{self, Globals},
};
use lab_client::{
    Client, Connection, NewKey, WriteParams,
    config::{Material, Source, Sourced},
};
use lab_kinds::iam::{
    enrolment::CertificateStatus,
    login::{Login, LoginSpec, NAMESPACE},
};
use lab_object::Json;
use serde_json::json;
use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

/// Log in to a server, make a context for it with its CA pinned, and use it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl login https://labd.example:6443 --ca-hash sha256:… --user operator-1
  labctl login https://labd.example:6443 --ca-hash sha256:… --user operator-1 --ssh-key ~/.ssh/id_ed25519
  LAB_TOKEN=… labctl login https://labd.example:6443 --certificate-authority ca.crt

The password is asked for, or taken from LAB_PASSWORD or, with --password-stdin, from standard input. It is exchanged for
a certificate of some hours, whose key is made here and stays here; kubectl works with the context as well.
Nothing is written unless the server is reached, is the one of that CA, and takes the credentials.")]
pub struct Args {
    /// The server's URL
    #[arg(value_name = "URL")]
    url: String,
    /// The name of the context; by default the server's host
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The hash of the server's CA, as labd prints it, in place of a file with the CA
    #[arg(long, value_name = "HASH", conflicts_with = "certificate_authority")]
    ca_hash: Option<String>,
    /// Who logs in
    #[arg(long, value_name = "NAME", conflicts_with = "client_certificate")]
    user: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// The OpenSSH private key (Ed25519) to log in with, in place of a password
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with = "password_stdin", value_hint = clap::ValueHint::FilePath)]
    ssh_key: Option<PathBuf>,
    /// For how many hours the certificate is to hold, at most 12
    #[arg(long, value_name = "HOURS", default_value_t = 12, value_parser = clap::value_parser!(i64).range(1..=12))]
    hours: i64,
    /// The file with our certificate
    #[arg(long, value_name = "FILE", requires = "client_key", value_hint = clap::ValueHint::FilePath)]
    client_certificate: Option<PathBuf>,
    /// The file with its private key
    #[arg(long, value_name = "FILE", requires = "client_certificate", value_hint = clap::ValueHint::FilePath)]
    client_key: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> Outcome {
    let mut connection = Connection::to(&args.url, Source::Flag("URL"));
    connection.timeout = Some(std::time::Duration::from_secs(30));
    trust(&args, globals, &mut connection)?;
    let (authority, user) = match args.user.as_deref() {
        Some(user) => {
            let issued = exchange(&args, user, &connection).await?;
            (encode(issued.0.certificate_authority.as_bytes()), issued.1)
        }
        None => {
            let user = show(&args, globals, &mut connection)?;
            let client = Client::connect(MANAGER, &connection)?;
            // Whoever may list nothing at all may still see what is served.
            client.get_json::<Json>("/apis").await?;
            (encoded(connection.certificate_authority.as_ref())?, user)
        }
    };
    let host = args.url.parse::<http::Uri>().ok().and_then(|u| u.host().map(ToOwned::to_owned));
    let name = args.name.or(host).unwrap_or_else(|| "lab".into());
    let path = settings::kubeconfig_paths(globals).0.into_iter().next().unwrap_or_default();
    let mut config = change::read(&path)?;
    let cluster = change::entry(&mut config, "clusters", &name, "cluster")?;
    *cluster = json!({"server": args.url, "certificate-authority-data": authority});
    *change::entry(&mut config, "users", &name, "user")? = user;
    let context = change::entry(&mut config, "contexts", &name, "context")?;
    context["cluster"] = name.as_str().into();
    context["user"] = name.as_str().into();
    config["current-context"] = name.as_str().into();
    change::write(&path, &config)?;
    output::note(&format!("Context {name} is written to {} and used from now on.", path.display()));
    Ok(())
}

/// Says by which CA the server must be known.
fn trust(args: &Args, globals: &Globals, connection: &mut Connection) -> Outcome {
    if let Some(hash) = &args.ca_hash {
        if args.user.is_none() {
            return Err(Failure::usage("--ca-hash goes with --user; otherwise give --certificate-authority"));
        }
        connection.certificate_authority_pin = Some(Sourced::new(hash.clone(), Source::Flag("--ca-hash")));
        return Ok(());
    }
    let file = globals.certificate_authority.clone();
    let file = file.or_else(|| variable("LAB_CERTIFICATE_AUTHORITY").map(Into::into));
    let Some(file) = file else {
        return Err(Failure::usage("which CA must have signed the server's certificate?").with_hint(
            "--ca-hash HASH, which labd prints, or --certificate-authority FILE from its data directory",
        ));
    };
    connection.certificate_authority = from_file("--certificate-authority", &file);
    Ok(())
}

/// Shows a token or certificate that we have; the entry of the kubeconfig that says so.
fn show(args: &Args, globals: &Globals, connection: &mut Connection) -> Outcome<Json> {
    let credentials = &mut connection.credentials;
    if let Some(token) = settings::token(globals) {
        // Read once: it may come from standard input.
        let text = token.read_text()?;
        let material = Material::Inline(text.clone().into_bytes());
        credentials.token = Some(Sourced::new(material, token.source));
        return Ok(json!({"token": text}));
    }
    let (Some(certificate), Some(key)) = (&args.client_certificate, &args.client_key) else {
        return Err(Failure::usage("who logs in?").with_hint(
            "--user NAME with a password or --ssh-key, a token in LAB_TOKEN or --token-file, or --client-certificate and --client-key",
        ));
    };
    credentials.client_certificate = from_file("--client-certificate", certificate);
    credentials.client_key = from_file("--client-key", key);
    Ok(json!({
        "client-certificate-data": encoded(credentials.client_certificate.as_ref())?,
        "client-key-data": encoded(credentials.client_key.as_ref())?,
    }))
}

/// Exchanges a password or a signature for a certificate; with it the entry of the kubeconfig.
async fn exchange(args: &Args, user: &str, connection: &Connection) -> Outcome<(CertificateStatus, Json)> {
    let client = Client::connect(MANAGER, connection)?;
    let failed = |error: lab_client::EnrolError| Failure::new(crate::failure::Exit::Failed, error);
    let key = NewKey::generate().map_err(failed)?;
    let request = key.request().map_err(failed)?;
    let mut spec = LoginSpec {
        user: user.into(),
        request,
        expiration_seconds: Some(args.hours * 60 * 60),
        ..LoginSpec::default()
    };
    match &args.ssh_key {
        Some(path) => sign(&client, path, &mut spec).await?,
        None => spec.password = Some(password(args, user)?),
    }
    let issued = ask(&client, spec).await?.status.issued;
    let user = json!({"client-certificate-data": encode(issued.certificate.as_bytes()),
        "client-key-data": encode(key.pem().as_bytes())});
    Ok((issued, user))
}

async fn ask(client: &Client, spec: LoginSpec) -> Outcome<Login> {
    let login = Login { spec, ..Login::default() };
    Ok(client.resource().create(&login, &WriteParams::default()).await?)
}

/// Has the server make a challenge, and signs it.
async fn sign(client: &Client, path: &Path, spec: &mut LoginSpec) -> Outcome {
    let cannot = |why: String| Failure::usage(format!("cannot use {}: {why}", path.display()));
    let key = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    spec.challenge = ask(client, spec.clone()).await?.status.challenge;
    let signature = lab_pki::sign_as_ssh(&key, NAMESPACE, &spec.signed_text());
    spec.signature = Some(signature.map_err(|error| cannot(error.to_string()))?);
    Ok(())
}

/// The password: from standard input, from LAB_PASSWORD, or asked for.
pub fn password(args: &Args, user: &str) -> Outcome<String> {
    if args.password_stdin {
        return from_stdin();
    }
    match variable("LAB_PASSWORD") {
        Some(password) => Ok(password),
        None => prompt(&format!("Password of {user}: ")),
    }
}

/// A password from standard input, without the line's end.
pub fn from_stdin() -> Outcome<String> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read the password: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A password that is typed, unseen.
pub fn prompt(question: &str) -> Outcome<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for the password")
            .with_hint("--password-stdin, or LAB_PASSWORD"));
    }
    rpassword::prompt_password(question)
        .map_err(|error| Failure::usage(format!("cannot read the password: {error}")))
}

fn from_file(flag: &'static str, path: &Path) -> Option<Sourced<Material>> {
    Some(Sourced::new(Material::File(path.into()), Source::Flag(flag)))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn encoded(material: Option<&Sourced<Material>>) -> Outcome<String> {
    Ok(encode(&material.map(Sourced::<Material>::read).transpose()?.unwrap_or_default()))
}

fn encode(bytes: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(bytes)
}
