//! Every dependency's licence must be one under which Lab may be shipped.

use anyhow::{Context, bail};
use serde::Deserialize;
use spdx::{Expression, LicenseReq};
use std::{path::Path, process::Command};

/// Permissive licences; none asks for more than its own notice.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Lists every package whose licence is missing or not allowed.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .context("starting cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let outside = metadata.packages.iter().filter(|p| p.source.is_some());
    let bad: Vec<String> = outside.clone().filter_map(refused).collect();
    if !bad.is_empty() {
        bail!("{} dependencies may not be shipped:\n  {}", bad.len(), bad.join("\n  "));
    }
    println!("licences: {} dependencies, all permissive", outside.count());
    Ok(())
}

fn refused(package: &Package) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    let Some(text) = &package.license else { return Some(format!("{name}: names no licence")) };
    // Older manifests write `MIT/Apache-2.0` for `OR`.
    match Expression::parse(&text.replace('/', " OR ")) {
        Err(e) => Some(format!("{name}: licence {text:?} cannot be read: {}", e.reason)),
        Ok(expression) if expression.evaluate(allowed) => None,
        Ok(_) => Some(format!("{name}: {text}")),
    }
}

fn allowed(requirement: &LicenseReq) -> bool {
    requirement.license.id().is_some_and(|id| ALLOWED.contains(&id.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let check = |licence: Option<&str>, ok: bool| {
            let package = Package {
                name: "p".into(),
                version: "1".into(),
                license: licence.map(Into::into),
                source: None,
            };
            assert_eq!(refused(&package).is_none(), ok, "{licence:?}");
        };
        check(Some("MIT"), true);
        check(Some("MIT/Apache-2.0"), true);
        check(Some("GPL-3.0-only OR MIT"), true);
        check(Some("MPL-2.0"), false);
        check(Some("MIT AND GPL-2.0-only"), false);
        check(Some("Apache-2.0 WITH LLVM-exception OR Apache-2.0"), true);
        check(None, false);
    }
}
