//! Which machines a verb is about, and what all such verbs do with them.

use crate::{
    failure::{Exit, Failure, Outcome, Several},
    kind::{self, Target},
    object::selection::{self, SELECTION, Selectors},
    output,
    session::Session,
};
use lab_client::{Api, ListParams, Patch, PatchParams, WriteParams};
use lab_kinds::metal::{Bastion, Server};
use lab_object::{Json, Resource};
use serde_json::json;

/// Machines, by name or by selector.
#[derive(Debug, Clone, clap::Args)]
pub struct Machines {
    /// Servers, each by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    pub names: Vec<String>,
    #[command(flatten)]
    pub selectors: Selectors,
    /// All servers
    #[arg(help_heading = SELECTION, long)]
    pub all: bool,
}

impl Machines {
    /// The machines that are meant. None is a failure, too.
    pub async fn find(&self, session: &Session) -> Outcome<Vec<Server>> {
        let target = kind::servers()?;
        let by_selector = self.selectors.is_set() || self.all;
        match (self.names.is_empty(), by_selector) {
            (true, false) => {
                Err(Failure::usage("which servers? give names, a selector such as --role, or --all"))
            }
            (false, true) => Err(Failure::usage("give names, or a selector, or --all: not several of these")),
            (false, false) => {
                let mut found: Vec<Server> = Vec::new();
                for name in &self.names {
                    let server = find(session, &target, name).await?;
                    if found.iter().all(|other| other.metadata.uid != server.metadata.uid) {
                        found.push(server);
                    }
                }
                Ok(found)
            }
            (true, true) => {
                let params = self.selectors.params(&target)?;
                let found = api(session).list_all(&params).await?.items;
                if found.is_empty() {
                    return Err(Failure::new(Exit::NotFound, "no server is selected"));
                }
                Ok(found)
            }
        }
    }
}

/// How a verb goes about what it does to machines.
#[derive(Debug, Clone, clap::Args)]
pub struct Manner {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Let the server check everything, but keep nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Manner {
    /// Asks before something is lost; not where nothing is kept, nor where `--yes` said it beforehand. Without a terminal,
    /// it must have.
    pub fn confirm(&self, question: &str) -> Outcome<bool> {
        if self.yes || self.dry_run {
            return Ok(true);
        }
        match output::ask(question)? {
            Some(answer) => Ok(answer),
            None => {
                Err(Failure::usage("there is no terminal to ask at").with_hint("--yes says yes beforehand"))
            }
        }
    }
}

/// Does something to each machine, whatever becomes of the others; yields the names of those to which it was done.
pub async fn each(
    servers: &[Server],
    several: &mut Several,
    one: impl AsyncFn(&Server) -> Outcome<bool>,
) -> Vec<String> {
    let mut done = Vec::new();
    for server in servers {
        match one(server).await {
            Ok(true) => done.push(name(server).to_owned()),
            Ok(false) => {}
            Err(failure) => several.note(Err(failure)),
        }
    }
    done
}

/// The servers, typed.
pub fn api(session: &Session) -> Api<Server> {
    session.client.resource()
}

/// One machine by any of its names.
pub async fn find(session: &Session, target: &Target, name: &str) -> Outcome<Server> {
    selection::check_name(target, name)?;
    match api(session).get(name).await {
        Ok(server) => Ok(server),
        Err(e) => Err(selection::explain_missing(session, target, "", name, e).await),
    }
}

/// The object's name.
pub fn name(server: &Server) -> &str {
    server.metadata().name.as_deref().unwrap_or_default()
}

/// How messages name it: with its hostname, where that is another.
pub fn called(server: &Server) -> String {
    let hostname = server.spec.hostname.as_deref().or(server.status.hostname.as_deref());
    match hostname {
        Some(hostname) if hostname != name(server) => format!("{} ({hostname})", name(server)),
        _ => name(server).into(),
    }
}

/// Changes a machine's fields; `null` takes one away.
pub async fn change(session: &Session, server: &Server, fields: Json, dry_run: bool) -> Outcome<Server> {
    let write = WriteParams { dry_run, ..WriteParams::default() };
    let patch = Patch::Merge(json!({"metadata": {"uid": server.metadata.uid}, "spec": fields}));
    Ok(api(session).patch(name(server), &patch, &PatchParams { write, force: false }).await?)
}

/// Says on standard output what was done to a machine.
pub fn tell(server: &Server, done: &str, dry_run: bool) -> Outcome {
    let dry = if dry_run { " (dry run)" } else { "" };
    Ok(output::line(&format!("server.metal.lab/{} {done}{dry}", name(server)))?)
}

/// Whether somebody will act on what was written: a bastion that is online. Otherwise says so, with what comes next.
pub async fn expect_bastion(session: &Session, what: &str) -> Outcome {
    let bastions = session.client.resource::<Bastion>().list_all(&ListParams::default()).await?.items;
    if bastions.iter().any(|b| b.status.online == Some(true)) {
        return Ok(());
    }
    let why = if bastions.is_empty() { "no bastion has joined" } else { "every bastion is offline" };
    Err(Failure::new(Exit::NotServed, format!("it is written down, but nobody {what} at present: {why}"))
        .with_hint("it is done as soon as a bastion is online; `labctl doctor` tells more"))
}
