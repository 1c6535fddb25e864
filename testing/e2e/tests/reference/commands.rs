//! Every command of every program, as its `--help` says.

use anyhow::{Context, ensure};
use std::{fmt::Write, process::Command};

const PROGRAMS: [&str; 3] = ["labctl", "labd", "bastion"];

pub fn text() -> anyhow::Result<String> {
    let mut text = String::from(
        "# Commands\n\nWhat `--help` says of every program and command; of labctl's commands without the options that all of them \
         take, which stand at the top.\n",
    );
    for program in PROGRAMS {
        push(&mut text, program, &mut Vec::new())?;
    }
    Ok(text)
}

fn push(text: &mut String, program: &str, command: &mut Vec<String>) -> anyhow::Result<()> {
    let help = help(program, command)?;
    let shown = if command.is_empty() { help.clone() } else { without(&help, "Connection:") };
    let name = [&[program.to_owned()], command.as_slice()].concat().join(" ");
    let level = "#".repeat(2 + command.len().min(2));
    let _ = write!(text, "\n{level} {name}\n\n```text\n{}\n```\n", shown.trim_end());
    for beneath in beneath(&help) {
        command.push(beneath);
        push(text, program, command)?;
        command.pop();
    }
    Ok(())
}

fn help(program: &str, command: &[String]) -> anyhow::Result<String> {
    let path = lab_e2e::program(program)?;
    // What is shown must not depend on who runs this, or where.
    let output = Command::new(path)
        .args(command)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .with_context(|| format!("starting {program}"))?;
    ensure!(output.status.success(), "{program} {command:?} --help: {}", output.status);
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("what {program} {command:?} says"))?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// The commands that a help names: those of its list, which ends with an empty line.
fn beneath(help: &str) -> Vec<String> {
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Lines that go on are indented further.
    let first = list.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = first.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(Into::into).collect()
}

/// A help without one of its headings and what stands under it.
fn without(help: &str, heading: &str) -> String {
    let mut under = false;
    let kept = help.lines().filter(|line| {
        if !line.is_empty() && !line.starts_with(' ') {
            under = *line == heading;
        }
        !under
    });
    kept.collect::<Vec<_>>().join("\n")
}
