//! The Python client (PyPI `kubernetes`) against a fresh labd, in a virtual environment kept between runs.

use anyhow::{Context, bail};
use lab_e2e::labd::Labd;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The version that is tested; newer ones are taken on purpose.
const REQUIREMENT: &str = "kubernetes>=36,<38";

#[test]
fn the_python_client_creates_watches_and_updates() {
    let python = environment().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let labd = Labd::start(directory.path()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client.py");
    let output = Command::new(python).arg(script).env("KUBECONFIG", labd.kubeconfig()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("the Python client is content"),
        "{text}\n{}\nlabd:\n{}",
        String::from_utf8_lossy(&output.stderr),
        labd.log()
    );
}

/// The interpreter of an environment in which the client is installed.
fn environment() -> anyhow::Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-client");
    let python = directory.join("bin/python");
    let installed = directory.join(format!("installed-{}", REQUIREMENT.replace(['<', '>', '=', ','], "-")));
    if !installed.is_file() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            REQUIREMENT,
        ]))?;
        std::fs::write(&installed, "").context("marking the environment as made")?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output =
        command.output().with_context(|| format!("starting {command:?}; is python3-venv installed?"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
