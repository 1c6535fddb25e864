//! The system packages that building and testing need, listed once in `system-packages.txt`.

use anyhow::{Context, bail};
use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::Path,
    process::{Command, Stdio},
};

/// How to install.
#[derive(clap::Args, Default, Clone)]
#[group(skip)]
pub struct Options {
    /// Install without asking.
    #[arg(long, short)]
    pub yes: bool,
    /// Also what only benchmarks and tests run by name need.
    #[arg(long)]
    pub all: bool,
}

/// Installs what is missing, after asking when a person is there to be asked.
pub fn install(root: &Path, options: &Options) -> anyhow::Result<()> {
    let missing: Vec<String> = listed(root, options.all)?.into_iter().filter(|p| !installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing packages: {}", missing.join(" "));
    if !options.yes && io::stdin().is_terminal() && !agreed()? {
        bail!("not installed; run `apt-get install {}` yourself", missing.join(" "));
    }
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(missing.iter().map(String::as_str));
    apt(&arguments)
}

fn listed(root: &Path, all: bool) -> anyhow::Result<Vec<String>> {
    let path = root.join("xtask/system-packages.txt");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let lines = text.lines().filter_map(|line| line.split('#').next());
    let wanted = lines.filter_map(|line| match line.trim().strip_prefix('?') {
        Some(by_name) => all.then_some(by_name.trim()),
        None => Some(line.trim()),
    });
    Ok(wanted.filter(|name| !name.is_empty()).map(String::from).collect())
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|o| o.stdout == b"installed")
}

fn agreed() -> anyhow::Result<bool> {
    print!("install them with apt-get? [Y/n] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "" | "y" | "Y" | "yes"))
}

/// apt-get, through sudo unless this is root already.
fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"));
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.arg("apt-get");
    }
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdout(Stdio::null());
    let status = command.status().context("starting apt-get (only Debian and Ubuntu are known here)")?;
    if !status.success() {
        bail!("apt-get {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}
