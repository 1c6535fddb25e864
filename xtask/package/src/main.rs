//! DEB and RPM packages of the programs, from programs that were built already.

mod contents;
mod deb;
mod program;
mod rpm;

use anyhow::{Context, bail};
use clap::Parser;
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Make DEB and RPM packages of labctl and labd.
#[derive(Parser)]
#[command(name = "lab-package", disable_help_subcommand = true)]
struct Options {
    /// Where the programs to be packaged lie
    #[arg(long, value_name = "FOLDER")]
    programs: PathBuf,
    /// Where statically linked ones lie; they are put beside the packages
    #[arg(long, value_name = "FOLDER")]
    static_programs: Option<PathBuf>,
    /// The agent's executable, where it does not lie with the others
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// How hard to compress, from 0 to 9
    #[arg(long, value_name = "LEVEL", default_value_t = 9, value_parser = clap::value_parser!(u32).range(0..=9))]
    compression: u32,
    /// Where to put what is made
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

/// What all packages have in common.
pub struct Form {
    /// The time their files are of, in seconds since 1970.
    pub time: u32,
    /// How hard they are compressed, from 0 to 9.
    pub compression: u32,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    fs::create_dir_all(&options.output).with_context(|| format!("creating {}", options.output.display()))?;
    let scratch = tempfile::tempdir().context("making a folder to work in")?;
    let form = Form { time: source_date()?, compression: options.compression };
    let mut made = Vec::new();
    let built = |folder| contents::Built { folder, agent: options.agent.as_deref() };
    for package in contents::packages(&built(&options.programs), scratch.path())? {
        made.push(put(&options.output, &deb::file_name(&package), &deb::build(&package, &form)?)?);
        made.push(put(&options.output, &rpm::file_name(&package), &rpm::build(&package, &form)?)?);
    }
    if let Some(folder) = &options.static_programs {
        for name in contents::PROGRAMS {
            let program = program::Program::read(&built(folder).path(name), scratch.path())?;
            if program.is_dynamic() {
                bail!("{} is not linked statically: it needs {:?}", program.path.display(), program.needs);
            }
            let path = put(&options.output, &static_name(name, &program), &program.stripped)?;
            fs::set_permissions(
                options.output.join(&path),
                std::os::unix::fs::PermissionsExt::from_mode(0o755),
            )?;
            made.push(path);
        }
    }
    sums(&options.output, &made)
}

fn static_name(name: &str, program: &program::Program) -> String {
    format!("{name}-{}-linux-{}", contents::VERSION, program.machine.of_rpm())
}

/// Writes a file and says so; yields its name.
fn put(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<String> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    println!("{:>6.1} MiB  {}", content.len() as f64 / f64::from(1 << 20), path.display());
    Ok(name.into())
}

/// The hashes of what was made, as `sha256sum --check` reads them.
fn sums(folder: &Path, names: &[String]) -> anyhow::Result<()> {
    let mut text = String::new();
    for name in names {
        let content = fs::read(folder.join(name)).with_context(|| format!("reading {name} again"))?;
        writeln!(text, "{}  {name}", contents::hex(&Sha256::digest(&content)))?;
    }
    put(folder, "SHA256SUMS", text.as_bytes()).map(drop)
}

/// The time that packages say their files are of, in seconds since 1970: `SOURCE_DATE_EPOCH`, or that of the last commit, so
/// that the same sources and programs make the same bytes.
fn source_date() -> anyhow::Result<u32> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"));
    }
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("asking git for the time of the last commit (SOURCE_DATE_EPOCH would say it)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().context("git does not know the last commit's time; set SOURCE_DATE_EPOCH")
}
