//! The distributions' tools, where they are.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A tool that a Debian package brings. Where it is missing, the test says so and is skipped; `cargo xtask packages` installs it.
pub fn packaged(tool: &str) -> Option<Command> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?).any(|folder| folder.join(tool).is_file());
    if !found {
        eprintln!("SKIPPED: there is no {tool}; `cargo xtask packages` installs it");
        return None;
    }
    Some(Command::new(tool))
}

/// A tool of the Python package pykickstart, in an environment of its own.
pub fn pykickstart(tool: &str) -> Option<Command> {
    static BIN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let bin = BIN.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pykickstart");
        let made = folder.join("bin/ksvalidator").is_file() || {
            packaged("python3")?;
            succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
                && succeeds(Command::new(folder.join("bin/pip")).args([
                    "install",
                    "--quiet",
                    "pykickstart==3.78",
                ]))
        };
        made.then(|| folder.join("bin"))
    });
    match bin {
        Some(bin) => Some(Command::new(bin.join(tool))),
        None => {
            eprintln!("SKIPPED: pykickstart could not be installed");
            None
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// What a tool says, that has to be content.
#[track_caller]
pub fn content(what: &str, command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {command:?}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {command:?}\n{}{}", said(&output.stdout), said(&output.stderr));
    output
}
