//! The system packages that building, testing and the demonstration need, listed once in `system-packages.txt`.

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
}

/// What to install, and how.
#[derive(clap::Args)]
#[group(skip)]
pub struct Chosen {
    #[command(flatten)]
    options: Options,
    /// Also what only the demonstration, benchmarks and tests run by name need.
    #[arg(long)]
    all: bool,
}

/// Installs what `cargo xtask packages` is asked for.
pub fn run(root: &Path, chosen: &Chosen) -> anyhow::Result<()> {
    let sections: &[&str] =
        if chosen.all { &["build", "test", "demo", "by name"] } else { &["build", "test"] };
    install(root, &chosen.options, sections)
}

/// Installs what is missing of these sections of the list, after asking when a person is there to be asked.
pub fn install(root: &Path, options: &Options, sections: &[&str]) -> anyhow::Result<()> {
    let path = root.join("xtask/system-packages.txt");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let wanted = listed(&text, sections);
    let missing: Vec<&str> = wanted.into_iter().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing packages: {}", missing.join(" "));
    if !options.yes && io::stdin().is_terminal() && !agreed()? {
        bail!("not installed; run `apt-get install {}` yourself", missing.join(" "));
    }
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

/// The packages of some sections, each once.
fn listed<'a>(text: &'a str, sections: &[&str]) -> Vec<&'a str> {
    let (mut section, mut wanted) = ("", Vec::new());
    for line in text.lines().filter_map(|line| line.split('#').next()).map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if !line.is_empty() && sections.contains(&section) && !wanted.contains(&line) {
            wanted.push(line);
        }
    }
    wanted
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

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn packages_are_found_by_section() {
        let text = "# all\n[build]\ngcc   # C\n\n[test]\nzsh\nkmod\n[demo]\nkmod # modules\n";
        let check = |sections: &[&str], expected: &[&str]| assert_eq!(listed(text, sections), expected);
        check(&["build"], &["gcc"]);
        check(&["test", "demo"], &["zsh", "kmod"]);
        check(&[], &[]);
    }
}
