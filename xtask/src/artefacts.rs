//! `cargo xtask artefacts`: what a site serves to machines, made from the distribution's packages.
//!
//! `discovery` is the kernel and ramdisk that read a machine's hardware and install it, and the agent for what others install; `debian-13` is a root file system with
//! the OperatingSystem object that describes it.

pub mod debian;
pub mod discovery;

use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is made, and where it is put.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    /// What is made.
    #[arg(value_enum)]
    what: What,
    /// The folder it is put into; a bastion's, or one to copy from.
    #[arg(long, default_value = "target/artefacts")]
    out: PathBuf,
    /// The profile the agent is built with; `dev` builds faster, and unpacks images many times slower.
    #[arg(long, default_value = "ramdisk")]
    profile: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// The discovery system, `systems/discovery/<architecture>/{vmlinuz,initrd}`, and the agent that distributions' installers leave,
    /// `systems/agent/<architecture>/lab-agent`.
    Discovery,
    /// Debian 13: images/debian-13/root.tar.zst and its OperatingSystem object.
    #[value(name = "debian-13")]
    Debian13,
}

/// Makes it, and says how large it is.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let out = root.join(&options.out);
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    match options.what {
        What::Discovery => discovery::make(root, &out, &options.profile),
        What::Debian13 => debian::make(&out),
    }
}

/// Runs a program whose words are seen as they come.
fn call(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {name}; is its package installed?"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Says how large a file is.
fn measured(path: &Path) -> anyhow::Result<()> {
    let bytes = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    println!("{:9.1} MiB  {}", bytes as f64 / f64::from(1 << 20), path.display());
    Ok(())
}
