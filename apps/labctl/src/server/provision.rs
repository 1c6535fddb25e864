//! `labctl provision`: says what is to be installed on machines.

use super::{
    approve,
    chosen::{self, Machines},
    progress,
};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    kind,
    object::selection::{ROLES, Selectors, one_of},
    output,
    session::Session,
};
use lab_client::WriteParams;
use lab_kinds::metal::{OperatingSystem, Server};
use lab_object::MacAddress;
use serde_json::json;

/// Say what is to be installed on machines
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl provision db-1 --os debian-13 --role worker
  labctl provision 52:54:00:12:34:56 --os debian-13 --role infra --hostname cp-1 --environment production
  labctl provision -l rack=a --os debian-13 --role worker --yes --watch

Nothing is written to a disk yet: a plan is made, shown by `labctl plan`, and carried out once `labctl approve` approved it.
With --yes the plan is approved as soon as it is there. A MAC address that nobody has seen yet is entered.")]
pub struct Args {
    /// Servers, each by name, hostname, UID, MAC or IP
    #[arg(value_name = "SERVER", add = crate::complete::names_of("servers"))]
    names: Vec<String>,
    /// Servers with these labels
    #[arg(long, short = 'l', value_name = "LABELS")]
    selector: Option<String>,
    /// Servers with these fields, such as status.phase=Discovered
    #[arg(long, value_name = "FIELDS")]
    field_selector: Option<String>,
    /// The OperatingSystem to install
    #[arg(long = "os", value_name = "NAME", add = crate::complete::names_of("operatingsystems"))]
    operating_system: String,
    /// What the machines are for: vanilla, worker, infra, labcontroller
    #[arg(long, value_name = "ROLE", add = crate::complete::words(&ROLES))]
    role: Option<String>,
    /// The environment they belong to
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Where they stand
    #[arg(long, value_name = "NAME")]
    cloud: Option<String>,
    /// The name the machine gives itself; only for a single one
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The DiskLayout; else the one it has, or labvg
    #[arg(long, value_name = "NAME", add = crate::complete::names_of("disklayouts"))]
    layout: Option<String>,
    /// Approve the plan as soon as it is there
    #[arg(long, short)]
    yes: bool,
    /// Follow the installation to its end
    #[arg(long, short)]
    watch: bool,
    /// Let the server check everything, but keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let role = args.role.as_ref().map(|r| one_of("--role", r, &ROLES)).transpose()?;
    if args.hostname.is_some() && args.names.len() != 1 {
        return Err(Failure::usage("--hostname is for a single machine"));
    }
    check_operating_system(session, &args.operating_system).await?;
    let servers = find_or_enter(&args, session).await?;
    let mut several = Several::default();
    let mut changed = Vec::new();
    for server in servers {
        let mut fields = json!({"install": {"operatingSystem": args.operating_system}});
        let mut set = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                fields[name] = value.into();
            }
        };
        set("role", role);
        set("hostname", args.hostname.as_deref());
        set("environment", args.environment.as_deref());
        set("cloud", args.cloud.as_deref());
        if let Some(layout) = &args.layout {
            fields["install"]["layout"] = layout.as_str().into();
        }
        if role.is_none() && server.spec.role.is_none() {
            let message = format!("{}: what is it for?", chosen::called(&server));
            several.note(Err(
                Failure::usage(message).with_hint(format!("--role says it: {}", ROLES.join(", ")))
            ));
            continue;
        }
        match chosen::change(session, &server, fields, args.dry_run).await {
            Ok(server) => {
                chosen::tell(
                    &server,
                    &format!("to be installed with {}", args.operating_system),
                    args.dry_run,
                )?;
                changed.push(server);
            }
            Err(failure) => several.note(Err(failure)),
        }
    }
    if !args.dry_run && !changed.is_empty() {
        several.note(go_on(&args, session, changed).await);
    }
    several.finish()
}

async fn go_on(args: &Args, session: &Session, changed: Vec<Server>) -> Outcome {
    let names: Vec<String> = changed.iter().map(|s| chosen::name(s).to_owned()).collect();
    chosen::expect_bastion(session, "makes plans").await?;
    if args.yes {
        for server in &changed {
            approve::when_planned(session, server).await?;
        }
    } else {
        output::note(&format!("Next: `labctl plan {0}`, then `labctl approve {0}`.", names.join(" ")));
    }
    if args.watch { progress::follow(session, &names).await } else { Ok(()) }
}

/// A name that is mistyped is told at once, not by a machine at its next boot.
async fn check_operating_system(session: &Session, name: &str) -> Outcome {
    let api = session.client.resource::<OperatingSystem>();
    match api.get(name).await {
        Ok(_) => Ok(()),
        Err(e) => {
            let target = kind::resolve_one(session, "operatingsystems").await?;
            Err(crate::object::selection::explain_missing(session, &target, "", name, e).await)
        }
    }
}

/// The machines; one that is named by a MAC address nobody has seen is entered.
async fn find_or_enter(args: &Args, session: &Session) -> Outcome<Vec<Server>> {
    let selectors = Selectors {
        selector: args.selector.clone(),
        field_selector: args.field_selector.clone(),
        ..Selectors::default()
    };
    let machines = Machines { names: args.names.clone(), selectors, all: false };
    let failure = match machines.find(session).await {
        Ok(found) => return Ok(found),
        Err(failure) => failure,
    };
    let macs: Result<Vec<MacAddress>, _> = args.names.iter().map(|n| MacAddress::parse(n)).collect();
    let (Exit::NotFound, Ok(macs)) = (failure.exit, macs) else { return Err(failure) };
    if macs.is_empty() {
        return Err(failure);
    }
    let api = chosen::api(session);
    let mut servers = Vec::new();
    for mac in macs {
        if let Some(known) = api.get_opt(&mac.to_string()).await? {
            servers.push(known);
            continue;
        }
        let mut server = Server::default();
        server.metadata.name = Some(mac.dashed());
        server.spec.macs = vec![mac];
        let params = WriteParams { dry_run: args.dry_run, ..WriteParams::default() };
        let entered = api.create(&server, &params).await?;
        chosen::tell(&entered, "entered", args.dry_run)?;
        if args.dry_run {
            continue;
        }
        servers.push(entered);
    }
    Ok(servers)
}
