//! labctl: the operator's tool. It speaks only Lab's API.

mod audit;
mod cli;
mod complete;
mod config;
mod failure;
mod kind;
mod object;
mod output;
mod server;
mod session;
mod settings;
mod site;

use clap::{CommandFactory, Parser};
use std::process::ExitCode;

fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(cli::Cli::command).bin("labctl").completer("labctl").complete();
    let arguments = cli::Cli::parse();
    output::choose_colour(arguments.globals.colour);
    match cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell_failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}
