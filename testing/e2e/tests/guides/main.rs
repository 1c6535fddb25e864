//! Every command in the guides works as it stands: each guide is carried out on machines of its own, from its first command to its last.
//!
//! A machine is a network namespace, a process namespace and a view of this machine's files in which what is written is kept apart. The blocks
//! marked `sh` are given to its shell in order; those marked `sh second` to another machine's beside it. A comment such as
//! `<!-- a machine boots -->` has `guides/hooks/a-machine-boots.sh` done: what happens there without a command. Systemd, apt and the chores
//! that build are stood in for by `guides/bin`.

mod machine;

use anyhow::{Context, bail};
use lab_rack::place;
use libtest_mimic::{Arguments, Failed, Trial};
use machine::Machine;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Tells the program in a network of its own what machines have.
const ROOT: &str = "LAB_GUIDES_ROOT";

fn main() {
    let arguments = Arguments::from_args();
    let trials = guides().into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name.clone(), move || {
            let outcome = if place::is_own() { play(&path) } else { apart(&name) };
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn guides() -> Vec<PathBuf> {
    let entries =
        fs::read_dir(here().join("../../docs/guides")).expect("the guides are part of the repository");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths
}

/// Does one guide in a program of its own, which has a network of its own.
fn apart(name: &str) -> anyhow::Result<()> {
    static ROOTS: OnceLock<Result<tempfile::TempDir, String>> = OnceLock::new();
    let root = ROOTS.get_or_init(|| filled().map_err(|error| format!("{error:#}")));
    let root = root.as_ref().map_err(|error| anyhow::Error::msg(error.clone()))?;
    let mut command = place::command([name, "--exact", "--test-threads=1"])?;
    let output = command.env(ROOT, root.path()).output().context("starting unshare")?;
    if !output.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// What a guide has done.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    second: bool,
    script: String,
}

fn steps(text: &str) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(happens) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            let hook = format!("{}.sh", happens.replace(' ', "-"));
            let path = here().join("guides/hooks").join(&hook);
            if !path.exists() {
                bail!("line {}: there is no {hook}", at + 1);
            }
            steps.push(Step { line: at + 1, second: false, script: format!(". \"$HOOKS/{hook}\"\n") });
        }
        let Some(kind) = line.strip_prefix("```") else { continue };
        let second = match kind {
            "sh" => Some(false),
            "sh second" => Some(true),
            "yaml" | "json" | "toml" | "text" => None,
            other => {
                bail!("line {}: a block of {other:?}: say sh, sh second, yaml, json, toml or text", at + 1)
            }
        };
        let mut script = String::new();
        for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            script.push_str(line);
            script.push('\n');
        }
        if let Some(second) = second {
            steps.push(Step { line: at + 1, second, script });
        }
    }
    Ok(steps)
}

fn play(guide: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(guide).with_context(|| format!("reading {}", guide.display()))?;
    let steps = steps(&text)?;
    let folder = tempfile::tempdir()?;
    let shared = folder.path().to_owned();
    let root = PathBuf::from(std::env::var_os(ROOT).context("a guide is done in a network of its own")?);
    let neighbour = place::Neighbour::new()?;
    place::ip(&["link", "set", "lo", "up"])?;
    place::ip(&["address", "add", "192.0.2.10/24", "dev", place::Neighbour::HERE])?;
    neighbour.ip(&["address", "add", "192.0.2.20/24", "dev", place::Neighbour::THERE])?;
    let mut first = Machine::start(Command::new("unshare"), &root, &shared)?;
    let mut second = match steps.iter().any(|step| step.second) {
        true => Some(Machine::start(neighbour.command("unshare"), &root, &shared)?),
        false => None,
    };
    for step in &steps {
        let machine = if step.second { second.as_mut().context("it was started")? } else { &mut first };
        let script = if step.second { format!(". ./ca-hash\n{}", step.script) } else { step.script.clone() };
        machine.run(&script).with_context(|| format!("{}, line {}", guide.display(), step.line))?;
    }
    Ok(())
}

/// What a machine has besides what this one has: our packages, files to boot, and those that stand in for others.
fn filled() -> anyhow::Result<tempfile::TempDir> {
    let made = tempfile::tempdir()?;
    let root = made.path();
    let (bin, share) = (root.join("usr/local/bin"), root.join("usr/local/share/lab-test"));
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&share)?;
    for entry in fs::read_dir(here().join("guides/bin"))? {
        let entry = entry?;
        fs::copy(entry.path(), bin.join(entry.file_name()))?;
    }
    if let Some((_, kubectl)) = lab_e2e::kubectl::clients().into_iter().next_back() {
        symlink(kubectl, bin.join("kubectl"))?;
    } else {
        // Nobody has to have kubectl to run our tests.
        symlink("/bin/true", bin.join("kubectl"))?;
    }
    let served = tempfile::tempdir()?;
    lab_rack::programs::fill(served.path(), 1, 4096, 4096)?;
    for name in ["vmlinuz", "initrd"] {
        fs::copy(served.path().join("systems/discovery/amd64").join(name), share.join(name))?;
    }
    // Where Debian's packages have them; what is there already is not needed to be the real one here.
    for (from, to) in [
        ("undionly.kpxe", "usr/lib/ipxe/undionly.kpxe"),
        ("snponly.efi", "usr/lib/ipxe/snponly.efi"),
        ("shimx64.efi", "usr/lib/shim/shimx64.efi.signed"),
        ("grubx64.efi", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
    ] {
        let to = root.join(to);
        fs::create_dir_all(to.parent().context("it lies in a folder")?)?;
        fs::copy(served.path().join(from), to)?;
    }
    let packager = lab_e2e::program("lab-package")?;
    let programs = packager.parent().context("programs lie in a folder")?;
    let output = Command::new(&packager)
        .args(["--compression", "0", "--programs"])
        .arg(programs)
        .arg("--output")
        .arg(&share)
        .output()
        .context("starting lab-package")?;
    if !output.status.success() {
        bail!("the packages were not made: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(made)
}
