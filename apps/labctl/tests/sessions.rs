//! Sessions of an operator: the real labctl against a labd of its own, a file each.
//!
//! See `lab_e2e::session` for how they are written. In the session's folder, `op.pub` is an OpenSSH public key,
//! `other-ca.crt` a CA that is not labd's, and `expired.crt` with `expired.key` an administrator's certificate that ran
//! out.

use anyhow::Context;
use lab_e2e::{labd::Labd, session};
use lab_pki::{Authority, Identity, Lifetime};
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions");
    let entries = fs::read_dir(&folder).expect("the sessions are part of the repository");
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "session"));
    paths.sort();
    let trial = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name, move || play(&path).map_err(|e| Failed::from(format!("{e:#}"))))
    };
    let mut trials: Vec<Trial> = paths.into_iter().map(trial).collect();
    for (name, check) in [("manual", manual as fn() -> anyhow::Result<()>), ("refusals", refusals)] {
        trials.push(Trial::test(name, move || check().map_err(|e| Failed::from(format!("{e:#}")))));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmXe4dUdvsT4iS82da1l9r4ETizuacmFcGz0zSRbn54 op@desk\n";

/// A CA that signed nothing we use, valid until 2126; its key was thrown away.
const OTHER_CA: &str = include_str!("other-ca.crt");

/// Has labd's own authority issue a certificate whose time is over.
fn write_expired(folder: &Path) -> anyhow::Result<()> {
    let now = SystemTime::now();
    let authority = Authority::load_or_create(&folder.join("labd/data/pki"), now)?;
    let day = Duration::from_secs(24 * 60 * 60);
    let lifetime = Lifetime { from: now - 2 * day, until: now - day };
    let issued = authority.issue_client(&Identity::new("admin", ["system:masters"]), lifetime)?;
    fs::write(folder.join("expired.crt"), &issued.certificate_pem)?;
    Ok(fs::write(folder.join("expired.key"), issued.key_pem.as_bytes())?)
}

fn play(path: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let session = session::parse(&text).with_context(|| format!("reading {}", path.display()))?;
    let folder = tempfile::tempdir()?;
    let labd = Labd::start(&folder.path().join("labd"))?;
    fs::write(folder.path().join("op.pub"), KEY)?;
    fs::write(folder.path().join("other-ca.crt"), OTHER_CA)?;
    write_expired(folder.path())?;
    let home = folder.path().join("home");
    fs::create_dir(&home)?;
    let bin = Path::new(env!("CARGO_BIN_EXE_labctl")).parent().context("programs lie in a folder")?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH")?);
    let kubeconfig = labd.kubeconfig();
    let url = format!("https://{}", labd.address());
    let variables = [
        ("PATH", path.as_str()),
        ("HOME", home.to_str().context("the home's path is UTF-8")?),
        ("TMPDIR", home.to_str().context("the home's path is UTF-8")?),
        ("KUBECONFIG", kubeconfig.to_str().context("the kubeconfig's path is UTF-8")?),
        ("LABD_URL", url.as_str()),
        ("TERM", "xterm"),
        ("LC_ALL", "C.UTF-8"),
    ];
    session::run(&session, (0, 0), folder.path(), &variables)?;
    labd.stop()
}

/// The verbs that `labctl --help` lists.
fn verbs() -> anyhow::Result<Vec<String>> {
    let help = Command::new(env!("CARGO_BIN_EXE_labctl")).arg("--help").output()?;
    let help = String::from_utf8(help.stdout)?;
    let (_, list) = help.split_once("Commands:\n").context("the help lists the commands")?;
    let lines = list.lines().take_while(|line| !line.is_empty());
    let first = lines.filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' ')));
    let words = first.filter_map(|line| line.split_whitespace().next());
    Ok(words.filter(|verb| *verb != "help").map(ToOwned::to_owned).collect())
}

/// The manual's list of verbs is the program's.
fn manual() -> anyhow::Result<()> {
    let manual = include_str!("../../../docs/labctl.md");
    let rows = manual.lines().skip_while(|line| *line != "## What there is").skip(1);
    let rows = rows.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let mut written: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    let verbs = verbs()?;
    let mut known: Vec<&str> = verbs.iter().map(String::as_str).collect();
    written.sort_unstable();
    known.sort_unstable();
    anyhow::ensure!(written == known, "docs/labctl.md: {written:?}, but labctl --help: {known:?}");
    let told = Command::new(env!("CARGO_BIN_EXE_labctl")).arg("environment").output()?;
    let told = String::from_utf8(told.stdout)?;
    let (_, codes) = told.split_once("Exit codes:\n").context("the environment's page lists exit codes")?;
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").context("a code and its meaning")?;
        let row = format!("| {code} | {meaning} |");
        anyhow::ensure!(manual.contains(&row), "docs/labctl.md has no {row:?}");
    }
    Ok(())
}

/// Every verb is refused something in `refused.session`.
fn refusals() -> anyhow::Result<()> {
    let session = include_str!("sessions/refused.session");
    let refused = |verb: &str| {
        session.lines().any(|line| {
            let rest = line.split_once(' ').map(|(_, rest)| rest).unwrap_or_default();
            let of_verb = rest.strip_prefix(verb).is_some_and(|r| r.starts_with([' ', ':']));
            of_verb && line.starts_with(|c: char| ('1'..='8').contains(&c))
        })
    };
    let never: Vec<String> = verbs()?.into_iter().filter(|verb| !refused(verb)).collect();
    anyhow::ensure!(never.is_empty(), "no refusal is tested of {never:?}");
    Ok(())
}
