//! `cargo xtask bench <name>`: builds the real programs with optimisation and measures them beside a peer.

use crate::{artefacts, cargo, root, target};
use anyhow::{Context, bail};
use std::{fs, process::Command};

/// What to measure.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    /// Name of the benchmark: access, agent, api, cli, install, netboot.
    name: String,
    /// Handed on to the benchmark; `-- --help` lists them.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds and runs a benchmark.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = root();
    eprintln!("building labd, labctl, bastion and the benchmarks with optimisation");
    cargo(
        &root,
        &[
            "build",
            "--release",
            "--quiet",
            "--package",
            "labd",
            "--package",
            "labctl",
            "--package",
            "bastion",
        ],
        &[],
    )?;
    cargo(&root, &["build", "--release", "--quiet", "--package", "lab-bench"], &[])?;
    let target = target(&root);
    let directory = target.join("bench");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let programs = target.join("release");
    let mut bench = Command::new(programs.join("lab-bench"));
    bench.arg(&options.name).arg("--programs").arg(&programs).arg("--directory").arg(&directory);
    if options.name == "agent" {
        // What is weighed is what runs on installed machines.
        bench.arg("--agent").arg(artefacts::discovery::agent(&root, "ramdisk")?);
    }
    let status = bench.args(&options.arguments).status().context("starting the benchmark")?;
    if !status.success() {
        bail!("the benchmark {} failed", options.name);
    }
    Ok(())
}
