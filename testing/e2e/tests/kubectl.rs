//! Real kubectl, in every version that is found, against a fresh labd per scenario.
//!
//! Versions are looked for as `kubectl` on the PATH, as `kubectl.1.N` in Google's SDK directory, and in the directory
//! that `LAB_KUBECTL_DIR` names.

use anyhow::Context;
use lab_e2e::{kubectl, labd::Labd, session};
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

fn main() {
    let arguments = Arguments::from_args();
    let clients = kubectl::clients();
    if clients.is_empty() {
        eprintln!(
            "kubectl: not found on the PATH, in {} or in LAB_KUBECTL_DIR: its scenarios are skipped",
            kubectl::SDK
        );
    }
    let mut trials = Vec::new();
    for scenario in scenarios() {
        for (version, program) in &clients {
            let name = format!("{}::kubectl-{}.{}", stem(&scenario), version.0, version.1);
            let (scenario, version, program) = (scenario.clone(), *version, program.clone());
            let run = move || play(&scenario, version, &program).map_err(|e| Failed::from(format!("{e:#}")));
            trials.push(Trial::test(name, run));
        }
        if clients.is_empty() {
            trials.push(Trial::test(stem(&scenario), || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn scenarios() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/kubectl");
    let entries = fs::read_dir(&directory).expect("the scenarios are part of the repository");
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "session"));
    paths.sort();
    paths
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Plays a scenario from a directory of its own, where `kubectl` is the version in question.
fn play(scenario: &Path, version: session::Version, program: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(scenario).with_context(|| format!("reading {}", scenario.display()))?;
    let session = session::parse(&text).with_context(|| format!("reading {}", scenario.display()))?;
    let directory = tempfile::tempdir()?;
    let bin = directory.path().join("bin");
    fs::create_dir(&bin)?;
    symlink(program, bin.join("kubectl"))?;
    let labd = Labd::start(&directory.path().join("labd"))?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH")?);
    let home = directory.path().join("home");
    fs::create_dir(&home)?;
    let kubeconfig = labd.kubeconfig();
    let kubeconfig = kubeconfig.to_string_lossy();
    let variables = [
        ("PATH", path.as_str()),
        ("HOME", home.to_str().context("the home's path is UTF-8")?),
        ("KUBECONFIG", kubeconfig.as_ref()),
        ("LC_ALL", "C.UTF-8"),
    ];
    session::run(&session, version, directory.path(), &variables).with_context(|| labd_tail(&labd))?;
    labd.stop()
}

/// The last lines of labd's log, for whoever reads the failure.
fn labd_tail(labd: &Labd) -> String {
    let log = labd.log();
    let lines: Vec<&str> = log.lines().collect();
    format!("labd logged at last:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
}
