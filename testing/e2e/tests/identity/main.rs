//! Who is who, with the real programs: sessions of people and programs, and that nothing secret is to be read anywhere.

mod hidden;

use anyhow::Context;
use lab_e2e::{kubectl, labd::Labd, session};
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

fn main() {
    let arguments = Arguments::from_args();
    let told = |outcome: anyhow::Result<()>| outcome.map_err(|error| Failed::from(format!("{error:#}")));
    let mut trials: Vec<Trial> = scenarios()
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Trial::test(name, move || told(play(&path)))
        })
        .collect();
    trials.push(Trial::test("nothing_secret_is_to_be_read", move || told(hidden::check())));
    libtest_mimic::run(&arguments, trials).exit();
}

fn scenarios() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/identity");
    let entries = fs::read_dir(&directory).expect("the scenarios are part of the repository");
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "session"));
    paths.sort();
    paths
}

/// Plays a scenario from a directory of its own, with labctl and the newest kubectl; without one, its lines are passed over.
fn play(scenario: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(scenario).with_context(|| format!("reading {}", scenario.display()))?;
    let session = session::parse(&text).with_context(|| format!("reading {}", scenario.display()))?;
    let directory = tempfile::tempdir()?;
    let (bin, home) = (directory.path().join("bin"), directory.path().join("home"));
    fs::create_dir(&bin)?;
    fs::create_dir(&home)?;
    for program in ["labd", "labctl"] {
        symlink(lab_e2e::program(program)?, bin.join(program))?;
    }
    let newest = kubectl::clients().into_iter().next_back();
    if let Some((_, program)) = &newest {
        symlink(program, bin.join("kubectl"))?;
    }
    let labd = Labd::start_with(&directory.path().join("labd"), &["--no-bastion"])?;
    let path = format!("{}:{}", bin.display(), std::env::var("PATH")?);
    let (kubeconfig, url, hash) =
        (labd.kubeconfig(), format!("https://{}", labd.address()), labd.fingerprint()?);
    let variables = [
        ("PATH", path.as_str()),
        ("HOME", home.to_str().context("the home's path is UTF-8")?),
        ("KUBECONFIG", kubeconfig.to_str().context("the kubeconfig's path is UTF-8")?),
        ("LABD_URL", url.as_str()),
        ("CA_HASH", hash.as_str()),
        ("LC_ALL", "C.UTF-8"),
    ];
    let version = newest.map_or((0, 0), |(version, _)| version);
    session::run(&session, version, directory.path(), &variables)
        .with_context(|| format!("labd logged:\n{}", labd.log()))?;
    labd.stop()
}
