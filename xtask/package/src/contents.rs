//! What is in which package, whatever its format.

use crate::program::Program;
use anyhow::{Context, bail};
use flate2::{Compression, GzBuilder};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// The version of all programs and packages.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The programs that are packaged, each in a package of its own name.
pub const PROGRAMS: [&str; 4] = ["labctl", LABD.name, BASTION.name, LAB_AGENT.name];

const SERVICES: [Service; 3] = [LABD, BASTION, LAB_AGENT];

/// A package: a program with all that belongs to it.
pub struct Package {
    /// The package's name, which is the program's.
    pub name: &'static str,
    /// One line, without a full stop.
    pub summary: &'static str,
    /// What it is for, in lines.
    pub description: &'static str,
    /// The program.
    pub program: Program,
    /// All other files.
    pub files: Vec<File>,
    /// Debian packages without which some machines cannot be served; installed along unless somebody objects.
    pub recommends: &'static [&'static str],
    /// The systemd unit that is restarted when the package is updated, and stopped when it is removed.
    pub unit: Option<&'static str>,
}

/// A file that is installed.
pub struct File {
    /// Its place, from the root.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// What it is for.
    pub kind: Kind,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The program reads it, or the system does.
    Data,
    /// People change it; what they changed is kept.
    Config,
    /// People read it.
    Doc,
    /// The terms. Debian has its own form and place for them.
    Licence,
    /// Completion for zsh, which distributions keep in different places.
    Zsh,
}

const LICENCE: &[u8] = include_bytes!("../../../LICENSE");
const README: &[u8] = include_bytes!("../../../README.md");

/// Programs that were built.
pub struct Built<'a> {
    /// Where they lie.
    pub folder: &'a Path,
    /// The agent's executable where it lies elsewhere.
    pub agent: Option<&'a Path>,
}

impl Built<'_> {
    /// Where a program lies.
    pub fn path(&self, name: &str) -> PathBuf {
        match self.agent {
            Some(agent) if name == "lab-agent" => agent.to_owned(),
            _ => self.folder.join(name),
        }
    }
}

/// All packages of programs.
pub fn packages(programs: &Built, scratch: &Path) -> anyhow::Result<Vec<Package>> {
    let mut made = vec![labctl(programs, scratch)?];
    for service in SERVICES {
        made.push(service.package(programs, scratch)?);
    }
    Ok(made)
}

fn labctl(programs: &Built, scratch: &Path) -> anyhow::Result<Package> {
    let path = programs.path("labctl");
    let mut files = shared("labctl", include_bytes!("../../../docs/labctl.md"));
    files.extend(man_pages(&path, &scratch.join("man-labctl"))?);
    for (shell, path, kind) in [
        ("bash", "/usr/share/bash-completion/completions/labctl", Kind::Data),
        ("fish", "/usr/share/fish/vendor_completions.d/labctl.fish", Kind::Data),
        ("zsh", "_labctl", Kind::Zsh),
    ] {
        let content = run(&programs.path("labctl"), &["completion", shell])?;
        files.push(File { path: path.into(), content, kind });
    }
    Ok(Package {
        name: "labctl",
        summary: "operator's tool of Lab",
        description: "Lab turns bare machines into multi-tenant Kubernetes, from one API.\n\
                      labctl lists, describes and changes its objects, and provisions machines.",
        program: Program::read(&path, scratch)?,
        files,
        recommends: &[],
        unit: None,
    })
}

/// A program that systemd runs.
struct Service {
    name: &'static str,
    summary: &'static str,
    description: &'static str,
    manual: &'static [u8],
    /// In `/etc/lab`, under this name.
    configuration: Option<(&'static str, &'static str)>,
    unit: (&'static str, &'static str),
    /// Whether it writes man pages of itself.
    has_manual_pages: bool,
    recommends: &'static [&'static str],
}

/// What firmware is given first: iPXE, and for Secure Boot what Microsoft signed.
const BOOT_PROGRAMS: &[&str] = &["ipxe", "shim-signed", "grub-efi-amd64-signed"];

const LABD: Service = Service {
    name: "labd",
    summary: "control plane of Lab",
    description: "Lab turns bare machines into multi-tenant Kubernetes, from one API.\n\
                  labd serves that API over an embedded store. `systemctl enable --now labd` starts it.",
    manual: include_bytes!("../../../docs/labd.md"),
    configuration: Some(("labd.toml", include_str!("../../../apps/labd/labd.toml"))),
    unit: ("labd.service", include_str!("../files/labd.service")),
    has_manual_pages: true,
    recommends: BOOT_PROGRAMS,
};

const BASTION: Service = Service {
    name: "bastion",
    summary: "boot server of Lab for a site of its own",
    description: "Lab turns bare machines into multi-tenant Kubernetes, from one API.\n\
                  bastion answers a site's machines that boot from the network, beside a labd elsewhere. It joins with\n\
                  what /etc/lab/bastion.toml and a join token say; `systemctl enable --now bastion` starts it.",
    manual: include_bytes!("../../../docs/bastion.md"),
    configuration: Some(("bastion.toml", include_str!("../../../apps/bastion/bastion.toml"))),
    unit: ("bastion.service", include_str!("../files/bastion.service")),
    has_manual_pages: true,
    recommends: BOOT_PROGRAMS,
};

/// An agent's configuration comes with joining. It goes into every machine's memory when that is discovered: it has no library for
/// man pages in it.
const LAB_AGENT: Service = Service {
    name: "lab-agent",
    summary: "keeps a machine in reach of Lab's control plane",
    description: "Lab turns bare machines into multi-tenant Kubernetes, from one API.\n\
                  lab-agent keeps a machine in reach of labd. `lab-agent join` makes this machine one of labd's;\n\
                  `systemctl enable --now lab-agent` starts it then.",
    manual: include_bytes!("../../../docs/agent.md"),
    configuration: None,
    unit: ("lab-agent.service", include_str!("../../../logic/install/src/lab-agent.service")),
    has_manual_pages: false,
    recommends: &[],
};

impl Service {
    fn package(&self, programs: &Built, scratch: &Path) -> anyhow::Result<Package> {
        let path = programs.path(self.name);
        let mut files = shared(self.name, self.manual);
        if self.has_manual_pages {
            files.extend(man_pages(&path, &scratch.join(format!("man-{}", self.name)))?);
        }
        let mut add = |folder: &str, name: &str, content: &str, kind| {
            files.push(File { path: format!("{folder}/{name}"), content: content.into(), kind });
        };
        if let Some((name, content)) = self.configuration {
            add("/etc/lab", name, content, Kind::Config);
        }
        // What is installed by hand lies in /usr/local.
        let unit = self.unit.1.replace("/usr/local/bin/", "/usr/bin/");
        add("/usr/lib/systemd/system", self.unit.0, &unit, Kind::Data);
        Ok(Package {
            name: self.name,
            summary: self.summary,
            description: self.description,
            program: Program::read(&path, scratch)?,
            files,
            recommends: self.recommends,
            unit: Some(self.unit.0),
        })
    }
}

/// What every package has.
fn shared(name: &str, manual: &[u8]) -> Vec<File> {
    let doc = |file: &str, content: &[u8]| File {
        path: format!("/usr/share/doc/{name}/{file}"),
        content: content.into(),
        kind: Kind::Doc,
    };
    let licence = File { path: "LICENSE".into(), content: LICENCE.into(), kind: Kind::Licence };
    vec![licence, doc("README.md", README), doc(&format!("{name}.md"), manual)]
}

/// The man pages that a program writes of itself, compressed as distributions have them.
fn man_pages(program: &Path, folder: &Path) -> anyhow::Result<Vec<File>> {
    run(program, &["man-pages", &folder.to_string_lossy()])?;
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries.map(|e| Ok(e?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let content = gzip(with_examples(&page).as_bytes(), 9)?;
        files.push(File { path: format!("/usr/share/man/man1/{name}.gz"), content, kind: Kind::Data });
    }
    if files.is_empty() {
        bail!("{} wrote no man pages", program.display());
    }
    Ok(files)
}

/// A page whose examples have a heading of their own and lines that are not joined.
fn with_examples(page: &str) -> String {
    let Some((before, rest)) = page.split_once(".SH EXTRA\nExamples:\n") else { return page.into() };
    let end = rest.find("\n\n").or_else(|| rest.find("\n.SH")).map_or(rest.len(), |at| at + 1);
    let (examples, after) = rest.split_at(end);
    format!("{before}.SH EXAMPLES\n.nf\n{examples}.fi\n{after}")
}

fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        bail!("{} {arguments:?}: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Compressed, without a name and a time: the same every time.
pub fn gzip(content: &[u8], level: u32) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::new(level));
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// Bytes as digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
