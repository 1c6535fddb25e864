//! `labctl iso`: a boot medium for machines that cannot boot from the network.

use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use lab_client::ListParams;
use lab_kinds::metal::Bastion;
use std::path::PathBuf;

/// Make a boot medium for machines that cannot boot from the network
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl iso --bastion home --file boot.iso")]
pub struct Args {
    /// The bastion that machines are to find; only needed where there are several
    #[arg(long, value_name = "NAME", add = crate::complete::names_of("bastions"))]
    bastion: Option<String>,
    /// Where to write it
    #[arg(long, value_name = "FILE", default_value = "lab.iso", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let bastions = session.client.resource::<Bastion>().list_all(&ListParams::default()).await?.items;
    let names: Vec<&str> = bastions.iter().filter_map(|b| b.metadata.name.as_deref()).collect();
    match (&args.bastion, names.as_slice()) {
        (_, []) => Err(Failure::new(Exit::NotServed, "no bastion has joined that machines could find")),
        (None, [_, _, ..]) => Err(Failure::usage(format!("which bastion? {}", names.join(", ")))),
        (Some(wanted), known) if !known.contains(&wanted.as_str()) => Err(Failure::new(
            Exit::NotFound,
            format!("no bastion is called {wanted:?}; there are {}", names.join(", ")),
        )),
        _ => {
            let message = format!("nobody makes boot media yet; {} was not written", args.file.display());
            Err(Failure::new(Exit::NotServed, message).with_hint("boot the machine from the network"))
        }
    }
}
