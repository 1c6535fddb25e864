//! The kubectls of this machine.

use crate::session::{self, Version};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Google's SDK has several versions, as `kubectl.1.N`.
pub const SDK: &str = "/usr/lib/google-cloud-sdk/bin";

/// One program per version: on the PATH, in [`SDK`], and in the directory that `LAB_KUBECTL_DIR` names.
pub fn clients() -> BTreeMap<Version, PathBuf> {
    let directories = [Some(PathBuf::from(SDK)), std::env::var_os("LAB_KUBECTL_DIR").map(PathBuf::from)];
    let entries = directories.into_iter().flatten().filter_map(|d| fs::read_dir(d).ok()).flatten().flatten();
    let named = entries
        .map(|e| e.path())
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("kubectl.")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|d| d.join("kubectl")).find(|p| p.is_file());
    named.chain(on_path).filter_map(|p| Some((version_of(&p)?, p))).fold(
        BTreeMap::new(),
        |mut all, (v, p)| {
            all.entry(v).or_insert(p);
            all
        },
    )
}

fn version_of(program: &Path) -> Option<Version> {
    let output = Command::new(program).args(["version", "--client", "--output=json"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_once("\"gitVersion\": \"v").and_then(|(_, after)| session::version(after).ok());
    if version.is_none() {
        eprintln!("{}: skipped, as it does not say its version: {text}", program.display());
    }
    version
}
