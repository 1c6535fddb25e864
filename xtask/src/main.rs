//! The repository's own chores: `cargo xtask <chore>`.

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

mod artefacts;
mod bench;
mod demo;
mod laws;
mod licences;
mod package;
mod packages;
mod reference;
mod test;
mod wire_fields;

/// The repository's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// See two blank virtual machines become part of the platform.
    Demo(demo::Options),
    /// Install what the tests need, then run every check that the repository has.
    Test(test::Options),
    /// Measure by name, beside a real peer: `bench api`.
    Bench(bench::Options),
    /// Check which floor sees which, and the other laws of the house.
    Laws,
    /// Check that every dependency's licence is one we may ship.
    Licences,
    /// Make DEB and RPM packages and static programs, in target/package.
    Package(package::Options),
    /// Install the system packages that building and testing need.
    Packages(packages::Chosen),
    /// Write docs/reference anew from what the programs say of themselves.
    Reference,
    /// Make what a site serves to machines: `artefacts discovery`, `artefacts debian-13`.
    Artefacts(artefacts::Options),
    /// Make the field tables for protobuf bodies anew from Kubernetes' Go types.
    WireFields(wire_fields::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test(options) => test::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Laws => laws::run(&root()),
        Chore::Licences => licences::run(&root()),
        Chore::Package(options) => package::run(&options),
        Chore::Packages(options) => packages::run(&root(), &options),
        Chore::Reference => reference::run(),
        Chore::Artefacts(options) => artefacts::run(&root(), &options),
        Chore::WireFields(options) => wire_fields::run(&root(), &options),
    }
}

/// The repository's root: the parent of this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// Where cargo puts what it builds.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Runs cargo in the repository with these arguments and variables of the environment.
fn cargo<S: AsRef<str>>(root: &Path, arguments: &[S], variables: &[(&str, &str)]) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let mut command = Command::new(env!("CARGO"));
    let status = command.current_dir(root).args(&arguments).envs(variables.iter().copied()).status();
    let status = status.with_context(|| format!("starting cargo {}", arguments.join(" ")))?;
    ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    /// clap finds contradictions among arguments only when a command is first parsed.
    #[test]
    fn every_chore_can_be_parsed() {
        Arguments::command().debug_assert();
    }
}
