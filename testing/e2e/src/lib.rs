//! Scenarios against the real programs.
//!
//! A scenario is a session as a person would have it in a shell: commands and what they print, in a text file. It
//! runs against a labd of its own.

pub mod bastion;
pub mod kubectl;
pub mod labctl;
pub mod labd;
pub mod session;
pub mod tap;

use anyhow::{Context, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Path of one of our programs, built if need be, beside the running test.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|e| format!("{e:#}"))).clone().map_err(anyhow::Error::msg)?;
    let test = std::env::current_exe().context("finding the running test")?;
    let directory = test.parent().and_then(Path::parent).context("the test lies in target/<profile>/deps")?;
    let path = directory.join(name);
    if !path.is_file() {
        bail!("{} is not there, although it was built", path.display());
    }
    Ok(path)
}

fn build() -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "build",
        "--quiet",
        "--package",
        "labd",
        "--package",
        "labctl",
        "--package",
        "bastion",
        "--package",
        "lab-agent",
        "--package",
        "lab-package",
        "--bins",
    ]);
    // The outer cargo's job server has no token left for this one; it would wait for ever.
    command.env_remove("CARGO_MAKEFLAGS").env_remove("MAKEFLAGS");
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().context("starting cargo build")?;
    if !status.success() {
        bail!("cargo build of our programs failed: {status}");
    }
    Ok(())
}
