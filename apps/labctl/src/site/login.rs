//! `labctl login`: a context for a server, with its CA pinned.

use crate::{
    config::change,
    failure::{Exit, Failure, Outcome},
    output,
    session::MANAGER,
    settings::{self, Globals},
};
use lab_client::{
    Client, Connection,
    config::{Material, Source, Sourced},
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make a context for a server, with its CA pinned, and use it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  LAB_TOKEN=… labctl login https://labd.example:6443 --certificate-authority ca.crt
  labctl login https://labd.example:6443 --certificate-authority ca.crt --client-certificate me.crt --client-key me.key

Nothing is written unless the server is reached, is the one of that CA, and takes the credentials.")]
pub struct Args {
    /// The server's URL
    #[arg(value_name = "URL")]
    url: String,
    /// The name of the context; by default the server's host
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
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
    let ca = globals
        .certificate_authority
        .clone()
        .or_else(|| variable("LAB_CERTIFICATE_AUTHORITY").map(Into::into));
    let Some(ca) = ca else {
        return Err(Failure::usage("which CA must have signed the server's certificate?")
            .with_hint("--certificate-authority FILE; labd keeps its own in its data directory"));
    };
    let token = globals.token.clone().or_else(|| variable("LAB_TOKEN"));
    let from_file = |flag, path: &Path| Some(Sourced::new(Material::File(path.into()), Source::Flag(flag)));
    connection.certificate_authority = from_file("--certificate-authority", &ca);
    connection.timeout = Some(std::time::Duration::from_secs(15));
    connection.credentials.token = token
        .as_ref()
        .map(|t| Sourced::new(Material::Inline(t.clone().into_bytes()), Source::Flag("--token")));
    if let (Some(certificate), Some(key)) = (&args.client_certificate, &args.client_key) {
        connection.credentials.client_certificate = from_file("--client-certificate", certificate);
        connection.credentials.client_key = from_file("--client-key", key);
    }
    if token.is_none() && args.client_certificate.is_none() {
        return Err(Failure::new(Exit::NotServed, "no server takes passwords yet")
            .with_hint("give a token in LAB_TOKEN, or --client-certificate and --client-key"));
    }
    let client = Client::connect(MANAGER, &connection)?;
    // Whoever may list nothing at all may still see what is served.
    client.get_json::<serde_json::Value>("/apis").await?;

    let host = args.url.parse::<http::Uri>().ok().and_then(|u| u.host().map(ToOwned::to_owned));
    let name = args.name.or(host).unwrap_or_else(|| "lab".into());
    let path = settings::kubeconfig_paths(globals).0.into_iter().next().unwrap_or_default();
    let mut config = change::read(&path)?;
    let cluster = change::entry(&mut config, "clusters", &name, "cluster")?;
    *cluster = json!({"server": args.url, "certificate-authority-data": encoded(connection.certificate_authority.as_ref())?});
    let user = change::entry(&mut config, "users", &name, "user")?;
    *user = match token {
        Some(token) => json!({"token": token}),
        None => json!({
            "client-certificate-data": encoded(connection.credentials.client_certificate.as_ref())?,
            "client-key-data": encoded(connection.credentials.client_key.as_ref())?,
        }),
    };
    let context = change::entry(&mut config, "contexts", &name, "context")?;
    context["cluster"] = name.as_str().into();
    context["user"] = name.as_str().into();
    config["current-context"] = name.as_str().into();
    change::write(&path, &config)?;
    output::note(&format!("Context {name} is written to {} and used from now on.", path.display()));
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn encoded(material: Option<&Sourced<Material>>) -> Outcome<String> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let bytes = material.map(Sourced::<Material>::read).transpose()?.unwrap_or_default();
    Ok(BASE64_STANDARD.encode(bytes))
}
