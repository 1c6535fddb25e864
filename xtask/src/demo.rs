//! `cargo xtask demo`: makes what the demonstration needs, and starts it.

use crate::{artefacts, packages, root, target};
use anyhow::{Context, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// What to show.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    packages: packages::Options,
    /// End when all was shown, instead of leaving everything running until Ctrl-C.
    #[arg(long)]
    no_wait: bool,
    /// Write what a terminal shows to this file, which `asciinema play` shows again.
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Installs, builds, fetches and starts.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = root();
    packages::install(&root, &options.packages, &["build", "demo"])?;
    let made = target(&root).join("artefacts");
    prepare(&root, &made)?;
    let programs = target(&root).join("debug");
    let mut demo = Command::new(programs.join("lab-demo"));
    demo.arg("--artefacts").arg(&made).arg("--programs").arg(&programs);
    demo.arg("--folder").arg(target(&root).join("demo"));
    if options.no_wait {
        demo.arg("--no-wait");
    }
    if let Some(file) = &options.record {
        demo.arg("--record").arg(file);
    }
    let status = demo.status().context("starting the demonstration")?;
    if !status.success() {
        bail!("the demonstration ended with {status}");
    }
    Ok(())
}

/// Builds the programs while the operating system is fetched, which takes the network more than processors. What is there is not made again.
fn prepare(root: &Path, made: &Path) -> anyhow::Result<()> {
    let image = made.join("images/debian-13/operating-system.json");
    thread::scope(|scope| {
        let fetching = (!image.exists()).then(|| {
            println!("making an image of Debian 13 from its packages, once (a few minutes)");
            scope.spawn(|| artefacts::debian::make(made))
        });
        println!("building labd and labctl");
        let arguments =
            ["build", "--package", "labd", "--package", "labctl", "--package", "lab-demo", "--bins"];
        crate::cargo(root, &arguments, &[])?;
        println!("building the discovery system");
        artefacts::discovery::make(root, made, "ramdisk")?;
        match fetching.map(thread::ScopedJoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    })
}
