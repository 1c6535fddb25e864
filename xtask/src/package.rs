//! `cargo xtask package`: DEB and RPM packages of the programs, and statically linked ones, in `target/package`.

use crate::{artefacts::discovery, cargo, root, target};
use anyhow::Context;
use std::{path::PathBuf, process::Command};

/// What to make.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    /// Leave out the statically linked programs: they are another whole build.
    #[arg(long)]
    no_static: bool,
}

const PROGRAMS: [&str; 6] = ["--package", "labctl", "--package", "labd", "--package", "bastion"];

/// Builds the programs with optimisation and packs them.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = root();
    let target = target(&root);
    cargo(&root, &[&["build", "--release", "--quiet"], PROGRAMS.as_slice()].concat(), &[])?;
    let mut arguments: Vec<String> =
        ["run", "--quiet", "--release", "--package", "lab-package", "--"].map(Into::into).into();
    let mut hand_over = |flag: &str, folder: PathBuf| {
        arguments.extend([flag.to_owned(), folder.to_string_lossy().into_owned()]);
    };
    hand_over("--programs", target.join("release"));
    // The same that installed machines get: it needs nothing of the system it runs on, and little memory.
    hand_over("--agent", discovery::agent(&root, "ramdisk")?);
    if !options.no_static {
        let host = host()?;
        // With a target named, the flag does not reach build scripts and macros, which cannot be static.
        let build = [&["build", "--release", "--quiet", "--target", &host], PROGRAMS.as_slice()].concat();
        cargo(&root, &build, &[("RUSTFLAGS", "-C target-feature=+crt-static")])?;
        hand_over("--static-programs", target.join(host).join("release"));
    }
    hand_over("--output", target.join("package"));
    cargo(&root, &arguments, &[])
}

/// The target that this machine builds for by itself.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("starting rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names the host")?.to_owned())
}
