//! `labctl plan`: what an installation would do to each disk.

use super::chosen::{self, Machines};
use crate::{
    failure::{Exit, Failure, Outcome, Several},
    output::{self, Paint, document, format::Format},
    session::Session,
};
use lab_install::{agent::served_at, answer, approval, describe};
use lab_kinds::metal::{OperatingSystem, Server, server::Plan};
use lab_object::Json;
use std::fmt::Write;

/// Show what an installation would do to each disk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl plan db-1
  labctl plan --role worker --status planned
  labctl plan db-1 -o yaml
  labctl plan db-1 --show-answer-file      what the distribution's installer will be told")]
pub struct Args {
    #[command(flatten)]
    machines: Machines,
    /// The form: table, yaml or json
    #[arg(long, short, value_name = "FORM", default_value = "table", hide_default_value = true)]
    output: Format,
    /// Show what the distribution's installer will be told; only a boot fills BASTION and TOKEN
    #[arg(long, conflicts_with = "output")]
    show_answer_file: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let mut several = Several::default();
    let mut first = true;
    for server in args.machines.find(session).await? {
        let plan = match &server.status.plan {
            Some(plan) => plan,
            None => {
                several.note(Err(missing(&server)));
                continue;
            }
        };
        if args.show_answer_file {
            several.note(answer_files(session, &server, plan).await);
        } else if args.output.is_table() {
            output::text(if first { "" } else { "\n" })?;
            output::text(&render(&server, plan))?;
        } else {
            if !first && matches!(args.output, Format::Yaml) {
                output::line("---")?;
            }
            let plan: Json = serde_json::to_value(plan)
                .map_err(|e| Failure::new(Exit::Failed, format!("the plan cannot be shown: {e}")))?;
            let text = match &args.output {
                Format::Json => document::json(&plan)?,
                other => other.render(&plan)?,
            };
            output::text(&text)?;
        }
        first = false;
        if let Some(why) = &plan.refused {
            several.note(Err(refused(&server, why)));
        }
    }
    several.finish()
}

/// Shows the answer files that the plan leads to, each under its name.
async fn answer_files(session: &Session, server: &Server, plan: &Plan) -> Outcome {
    let system = session.client.resource::<OperatingSystem>().get(&plan.operating_system).await?;
    let site = answer::Site { base: "http://BASTION", log_host: "BASTION", token: "TOKEN" };
    // What leads to secrets is known when the machine itself asks, and not before.
    let agent = answer::Agent {
        path: served_at(system.spec.architecture),
        sha256: "SHA256",
        server: "https://LABD",
        ca_hash: "CA-HASH",
        token: "JOIN-TOKEN",
    };
    let given =
        answer::Given { server, system: &system, plan, site, agent: Ok(agent), fixed: None, begun: false };
    let files = answer::render(&given).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("{}: no answer files can be made: {error}", chosen::called(server)),
        )
    })?;
    for file in files {
        output::text(&format!("{}\n{}\n", Paint::Bold.out(&format!("==> {} <==", file.name)), file.text))?;
    }
    Ok(())
}

/// Why there is no plan, as far as that can be told.
pub fn missing(server: &Server) -> Failure {
    let name = chosen::name(server);
    let called = chosen::called(server);
    if server.spec.install.is_none() {
        return Failure::new(
            Exit::NotFound,
            format!("{called}: nothing is to be installed, so there is no plan"),
        )
        .with_hint(format!("`labctl provision {name} --os NAME --role ROLE`"));
    }
    let failure = Failure::new(Exit::NotServed, format!("{called}: no plan has been made yet"));
    if server.status.disks.is_empty() {
        failure
            .with_hint("its disks are not known: it has to boot from the network once, with a bastion online")
    } else {
        failure.with_hint("labd makes it within seconds; `labctl doctor` tells what is out of order")
    }
}

/// The plan that cannot be carried out.
pub fn refused(server: &Server, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{}: no plan can be made: {why}", chosen::called(server)))
        .with_hint("change the layout, the disk selector or the disks")
}

/// A plan as it is read before it is approved: for which machine, then what it does.
pub fn render(server: &Server, plan: &Plan) -> String {
    format!("{}\n{}", Paint::Bold.out(&format!("Plan for {}", chosen::called(server))), body(server, plan))
}

/// What a plan does, in the words in which everybody is told, with what is lost in red.
pub fn body(server: &Server, plan: &Plan) -> String {
    // Whoever made the plan may not have seen yet that it was approved.
    let plan = Plan { approved: approval::approved(server, plan).is_ok(), ..plan.clone() };
    let mut text = String::new();
    let mut lost = false;
    for line in describe::text(&plan).lines() {
        lost = line.starts_with("Lost") || (lost && !line.is_empty());
        let line = if lost { Paint::Red.out(line) } else { painted(line) };
        let _ = writeln!(text, "{}{line}", if line.is_empty() { "" } else { "  " });
    }
    text
}

/// A line of a plan, its fate in its colour.
fn painted(line: &str) -> String {
    let words = line.split("  ").map(|word| match Paint::of_state(word.trim_start()) {
        Some(paint) => paint.out(word),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join("  ")
}
