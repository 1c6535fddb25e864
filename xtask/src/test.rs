//! `cargo xtask test`: everything that must hold before a change is kept, in one command.

use crate::{packages, root};
use anyhow::{Context, bail};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What to run.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    packages: packages::Options,
    /// Only the named steps (fmt, clippy, build, test, doc, licences).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

struct Step {
    name: &'static str,
    why: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const STEPS: &[Step] = &[
    Step { name: "fmt", why: "one layout", arguments: &["fmt", "--check"], environment: &[] },
    Step {
        name: "clippy",
        why: "no warnings",
        arguments: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        environment: &[],
    },
    Step {
        name: "build",
        why: "the programs that the scenarios start",
        arguments: &["build", "--workspace", "--bins", "--quiet"],
        environment: &[],
    },
    Step {
        name: "test",
        why: "units, scenarios with the real programs, the laws of the house",
        arguments: &["test", "--workspace", "--no-fail-fast"],
        environment: &[],
    },
    Step {
        name: "doc",
        why: "documentation without warnings",
        arguments: &["doc", "--workspace", "--no-deps", "--quiet"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step {
        name: "licences",
        why: "nothing we may not ship",
        arguments: &["xtask", "licences"],
        environment: &[],
    },
];

/// Runs the steps in order, all of them even after a failure, and sums up.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = root();
    if let Some(unknown) = options.only.iter().find(|o| !STEPS.iter().any(|s| s.name == o.as_str())) {
        bail!(
            "--only {unknown}: no such step; there are {}",
            STEPS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
        );
    }
    packages::install(&root, &options.packages, &["build", "test"])?;
    let mut results = Vec::new();
    for step in STEPS.iter().filter(|s| options.only.is_empty() || options.only.iter().any(|o| o == s.name)) {
        println!("\n== {}: {}", step.name, step.why);
        let began = Instant::now();
        let passed = cargo(&root, step)?;
        results.push((step.name, passed, began.elapsed()));
    }
    summary(&results)
}

fn cargo(root: &Path, step: &Step) -> anyhow::Result<bool> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(step.arguments).envs(step.environment.iter().copied());
    let status = command.status().with_context(|| format!("starting cargo {}", step.arguments.join(" ")))?;
    Ok(status.success())
}

fn summary(results: &[(&str, bool, Duration)]) -> anyhow::Result<()> {
    println!();
    for (name, passed, took) in results {
        println!("{:10} {:6} {:>4} s", name, if *passed { "passed" } else { "FAILED" }, took.as_secs());
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    println!("\n{} passed, {failed} failed", results.len() - failed);
    if failed > 0 {
        bail!("{failed} steps failed");
    }
    Ok(())
}
