//! The command line: what can be said, and who carries it out.

use crate::{
    audit, config,
    failure::{EXIT_CODES, Exit, Failure, Outcome},
    object, server,
    session::Session,
    settings::{Globals, VARIABLES},
    site,
};
use clap::{Parser, Subcommand};

/// The operator's tool of Lab: bare machines to multi-tenant Kubernetes, from one API.
#[derive(Debug, Parser)]
#[command(
    name = "labctl",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    max_term_width = 110,
    after_help = "\
Examples:
  labctl get servers                      every machine, and where it is in its life
  labctl describe srv db-1                one machine: hardware, disks, plan, stages, what happened
  labctl provision db-1 --os debian-13 --role worker
  labctl apply -f site/                   bring everything to what the files say

`labctl <command> --help` tells more; `labctl help environment` lists variables and exit codes."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub globals: Globals,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Objects of any kind.
    Get(object::get::Args),
    Describe(object::describe::Args),
    Create(object::create::Args),
    Apply(object::apply::Args),
    Edit(object::edit::Args),
    Patch(object::patch::Args),
    Label(object::label::Args),
    Annotate(object::annotate::Args),
    Delete(object::delete::Args),
    Wait(object::wait::Args),
    Explain(object::explain::Args),
    ApiResources(object::api_resources::Args),
    // Machines.
    Provision(server::provision::Args),
    Plan(server::plan::Args),
    Approve(server::approve::Args),
    Reprovision(server::reprovision::Args),
    Progress(server::progress::Args),
    Logs(server::logs::Args),
    Exec(server::exec::Args),
    Cp(server::cp::Args),
    PortForward(server::port_forward::Args),
    Ssh(server::ssh::Args),
    Debug(server::debug::Args),
    Power(server::power::Args),
    Forget(server::forget::Args),
    Iso(server::iso::Args),
    // labctl and the site.
    Login(site::login::Args),
    Passwd(site::passwd::Args),
    Config(config::Args),
    Roles(site::roles::Args),
    Audit(audit::Args),
    Doctor(site::doctor::Args),
    Completion(site::completion::Args),
    Version(site::version::Args),
    /// Show variables of the environment and exit codes
    #[command(hide = true, after_help = environment())]
    Environment,
    #[command(hide = true)]
    ManPages(site::man_pages::Args),
}

fn environment() -> String {
    format!("{VARIABLES}\n\n{EXIT_CODES}")
}

/// Carries a command out.
pub fn run(cli: Cli) -> Outcome {
    let globals = &cli.globals;
    match cli.command {
        Command::Explain(args) => object::explain::run(&args),
        Command::Config(args) => config::run(args, globals),
        Command::Audit(args) if args.is_local() => audit::run_local(args),
        Command::Completion(args) => site::completion::run(&args),
        Command::ManPages(args) => site::man_pages::run(&args),
        Command::Environment => Ok(crate::output::line(&environment())?),
        Command::Version(args) => with_runtime(site::version::run(args, globals)),
        Command::Doctor(args) => with_runtime(site::doctor::run(args, globals)),
        Command::Login(args) => with_runtime(site::login::run(args, globals)),
        command => {
            let session = Session::open(globals)?;
            with_runtime(async {
                let session = &session;
                match command {
                    Command::Get(args) => object::get::run(args, session).await,
                    Command::Describe(args) => object::describe::run(args, session).await,
                    Command::Create(args) => object::create::run(args, session).await,
                    Command::Apply(args) => object::apply::run(args, session).await,
                    Command::Edit(args) => object::edit::run(args, session).await,
                    Command::Patch(args) => object::patch::run(args, session).await,
                    Command::Label(args) => object::label::run(args, session).await,
                    Command::Annotate(args) => object::annotate::run(args, session).await,
                    Command::Delete(args) => object::delete::run(args, session).await,
                    Command::Wait(args) => object::wait::run(args, session).await,
                    Command::ApiResources(args) => object::api_resources::run(args, session).await,
                    Command::Provision(args) => server::provision::run(args, session).await,
                    Command::Plan(args) => server::plan::run(args, session).await,
                    Command::Approve(args) => server::approve::run(args, session).await,
                    Command::Reprovision(args) => server::reprovision::run(args, session).await,
                    Command::Progress(args) => server::progress::run(args, session).await,
                    Command::Logs(args) => server::logs::run(args, session).await,
                    Command::Exec(args) => server::exec::run(args, session).await,
                    Command::Cp(args) => server::cp::run(args, session).await,
                    Command::PortForward(args) => server::port_forward::run(args, session).await,
                    Command::Ssh(args) => server::ssh::run(args, session, globals).await,
                    Command::Debug(args) => server::debug::run(args, session).await,
                    Command::Power(args) => server::power::run(args, session).await,
                    Command::Forget(args) => server::forget::run(args, session).await,
                    Command::Iso(args) => server::iso::run(args, session).await,
                    Command::Roles(args) => site::roles::run(args, session).await,
                    Command::Passwd(args) => site::passwd::run(args, session).await,
                    Command::Audit(args) => audit::run(args, session).await,
                    // Those that need no session were taken above.
                    _ => Ok(()),
                }
            })
        }
    }
}

/// A runtime of one thread: the process lives for one answer.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn with_runtime(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime().map_err(|e| Failure::new(Exit::Failed, format!("cannot start: {e}")))?;
    let outcome = runtime.block_on(command);
    // A resolver that hangs must not hold the exit back.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// clap would take a command's argument for the global one of the same id.
    #[test]
    fn no_argument_hides_a_global_one() {
        let globals = <Globals as clap::Args>::augment_args(clap::Command::new("x"));
        let globals: Vec<_> = globals.get_arguments().map(|a| a.get_id().clone()).collect();
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments().filter(|a| a.get_id() != "help") {
                let id = argument.get_id();
                assert!(!globals.contains(id), "{}: {id}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            for command in command.get_subcommands().filter(|c| !c.is_hide_set()) {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("labctl "), "{} has no example", command.get_name());
                assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
                check(command);
            }
        }
        check(&Cli::command());
    }
}
