//! `cargo xtask test`: everything that must hold before a change is kept, in one command.

use crate::{packages, root, target};
use anyhow::{Context, bail};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What to run.
#[derive(clap::Args)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    packages: packages::Options,
    /// Only the named steps (fmt, clippy, build, test, doc, licences, rack, e2e).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also the scenarios with virtual machines, which take hours without KVM.
    #[arg(long)]
    e2e: bool,
}

struct Step {
    name: &'static str,
    why: &'static str,
    commands: &'static [&'static [&'static str]],
    environment: &'static [(&'static str, &'static str)],
    /// Whether it is done where nobody asks for it; what is not takes virtual machines.
    always: bool,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", why: "one layout", commands: &[&["fmt", "--check"]], environment: &[], always: true },
    Step {
        name: "clippy",
        why: "no warnings",
        commands: &[&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]],
        environment: &[],
        always: true,
    },
    Step {
        name: "build",
        why: "the programs that the scenarios start",
        commands: &[&["build", "--workspace", "--bins", "--quiet"]],
        environment: &[],
        always: true,
    },
    Step {
        name: "test",
        why: "units, scenarios with the real programs, the guides, the laws of the house",
        commands: &[&["test", "--workspace", "--no-fail-fast"]],
        environment: &[],
        always: true,
    },
    Step {
        name: "doc",
        why: "documentation without warnings",
        commands: &[&["doc", "--workspace", "--no-deps", "--quiet"]],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        always: true,
    },
    Step {
        name: "licences",
        why: "nothing we may not ship",
        commands: &[&["xtask", "licences"]],
        environment: &[],
        always: true,
    },
    Step {
        name: "rack",
        why: "a UEFI machine from power-on to discovered",
        commands: &[
            &["xtask", "artefacts", "discovery", "--out", RACK, "--profile", "dev"],
            &["test", "--workspace", "--test", "boot", "--", "--ignored", "--nocapture"],
        ],
        environment: &[("LAB_ARTEFACTS", RACK)],
        always: false,
    },
    Step {
        name: "e2e",
        why: "every scenario with virtual machines",
        commands: &[
            &["xtask", "artefacts", "discovery"],
            &["xtask", "artefacts", "debian-13"],
            &[
                "test",
                "--workspace",
                "--no-fail-fast",
                "--",
                "--ignored",
                "--nocapture",
                "--test-threads",
                "1",
            ],
        ],
        environment: &[("LAB_ARTEFACTS", ARTEFACTS)],
        always: false,
    },
];

/// Folders below the one where cargo puts what it builds.
const RACK: &str = "TARGET/artefacts-rack";
const ARTEFACTS: &str = "TARGET/artefacts";

/// Runs the steps in order, all of them even after a failure, and sums up.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let root = root();
    if let Some(unknown) = options.only.iter().find(|o| !STEPS.iter().any(|s| s.name == o.as_str())) {
        bail!(
            "--only {unknown}: no such step; there are {}",
            STEPS.iter().map(|s| s.name).collect::<Vec<_>>().join(", ")
        );
    }
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| match options.only.is_empty() {
            true => step.always || options.e2e,
            false => options.only.iter().any(|only| only == step.name),
        })
        .collect();
    let sections: &[&str] = match chosen.iter().all(|step| step.always) {
        true => &["build", "test"],
        false if chosen.iter().any(|step| step.name == "e2e") => &["build", "test", "demo", "by name"],
        false => &["build", "test", "demo"],
    };
    packages::install(&root, &options.packages, sections)?;
    let mut results = Vec::new();
    let mut skipped = Skipped::default();
    for step in chosen {
        println!("\n== {}: {}", step.name, step.why);
        let began = Instant::now();
        let mut passed = true;
        for command in step.commands {
            passed = passed && cargo(&root, command, step.environment, &mut skipped)?;
        }
        results.push((step.name, passed, began.elapsed()));
    }
    println!();
    skipped.tell();
    summary(&results)
}

/// Tests that were not run, by the reason.
#[derive(Default)]
struct Skipped(BTreeMap<String, Vec<String>>);

impl Skipped {
    /// Takes note of a line such as `test a::b ... ignored, needs root`.
    fn hear(&mut self, line: &str) {
        let ignored = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"));
        let Some((name, reason)) = ignored else { return };
        let reason = reason.trim_start_matches(", ");
        let reason = if reason.is_empty() { "by name only" } else { reason };
        self.0.entry(reason.to_owned()).or_default().push(name.trim().to_owned());
    }

    fn tell(&self) {
        if self.0.is_empty() {
            return;
        }
        let count: usize = self.0.values().map(Vec::len).sum();
        println!("{count} tests were skipped (--e2e runs them; docs/testing.md):");
        for (reason, names) in &self.0 {
            println!("  {reason}: {}", names.join(", "));
        }
        println!();
    }
}

/// Runs cargo, shows what it says, and listens for tests that are skipped; whether it ended well.
fn cargo(
    root: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    skipped: &mut Skipped,
) -> anyhow::Result<bool> {
    let folder = target(root).display().to_string();
    let placed = |text: &str| text.replace("TARGET", &folder);
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(arguments.iter().map(|argument| placed(argument)));
    command.envs(environment.iter().map(|(name, value)| (name, placed(value)))).stdout(Stdio::piped());
    let doing = || format!("cargo {}", arguments.join(" "));
    let mut child = command.spawn().with_context(|| format!("starting {}", doing()))?;
    let output = child.stdout.take().context("its output is a pipe")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("reading what {} says", doing()))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        skipped.hear(&line);
    }
    Ok(child.wait().with_context(|| format!("waiting for {}", doing()))?.success())
}

fn summary(results: &[(&str, bool, Duration)]) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::Skipped;

    #[test]
    fn skipped_tests_are_told_with_their_reason() {
        let mut skipped = Skipped::default();
        for line in [
            "test a::b ... ignored, needs root",
            "test c ... ok",
            "test d ... ignored",
            "test e ... ignored, needs root",
        ] {
            skipped.hear(line);
        }
        let told: Vec<_> =
            skipped.0.iter().map(|(reason, names)| format!("{reason}: {}", names.join(" "))).collect();
        assert_eq!(told, ["by name only: d", "needs root: a::b e"]);
    }
}
