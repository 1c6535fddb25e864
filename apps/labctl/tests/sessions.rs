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
    libtest_mimic::run(&arguments, paths.into_iter().map(trial).collect()).exit();
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
