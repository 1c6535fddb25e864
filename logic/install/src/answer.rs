//! Answer files: what a distribution's own installer is told, so that it asks nobody and does what the approved plan says.
//!
//! They are built as data and written down at the end: [`shell`] scripts from words, a kickstart from commands and sections, an
//! autoinstall from a YAML tree, a preseed from questions. [`render`] yields the files of a machine's installation, [`rescue::render`]
//! those of Anaconda's rescue mode.
//!
//! All three installers do the same, as our own does from an image: find the disk of the approved plan and refuse every other, look
//! whether it is as it was when the plan was made, divide it as the plan says, leave what is preserved out of the installer's sight and
//! mount it only in the installed system, leave an agent in it, and report each stage with the token of this boot.

pub mod autoinstall;
pub mod kickstart;
pub mod preseed;
pub mod rescue;
pub mod shell;
pub mod stages;
pub mod yaml;

mod agent;
mod disk;
mod packages;
mod sound;
mod system;

pub use agent::Agent;

use lab_kinds::metal::operating_system::{Method, OperatingSystem};
use lab_kinds::metal::server::{MachineRole, Plan, Server};
use shell::{Statement, variable, words};
use std::net::{IpAddr, Ipv4Addr};

/// What the answers of one boot are made of.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The machine.
    pub server: &'a Server,
    /// What is installed.
    pub system: &'a OperatingSystem,
    /// The plan for its disks. Whether it is approved is for the caller to see.
    pub plan: &'a Plan,
    /// Who is told.
    pub site: Site<'a>,
    /// The agent that the installed system is to have; or why there is none to be had and what can be done, as it stands behind a colon.
    pub agent: Result<Agent<'a>, &'a str>,
    /// The machine's address, where no DHCP server gives it one.
    pub fixed: Option<Fixed<'a>>,
    /// Whether this plan's installation was begun before: the disk need not be as it was when the plan was made.
    pub begun: bool,
}

/// The boot server, as the machine reaches it.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Its address as a URL without a slash at its end, such as `http://10.9.0.2`.
    pub base: &'a str,
    /// Its address for logs.
    pub log_host: &'a str,
    /// The token of this boot.
    pub token: &'a str,
}

/// The address of a machine that has it from its boot medium.
#[derive(Debug, Clone, Copy)]
pub struct Fixed<'a> {
    /// The address.
    pub address: Ipv4Addr,
    /// Its network's mask.
    pub mask: Ipv4Addr,
    /// Its gateway, where there is one.
    pub gateway: Option<Ipv4Addr>,
    /// The network's name servers.
    pub name_servers: &'a [IpAddr],
}

/// An answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// Its name, such as `ks.cfg`; the installer asks for it by that.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// No answers can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// Our own installer needs none.
    #[error("OperatingSystem {name:?} is installed from an image and needs no answer file")]
    Image {
        /// The operating system.
        name: String,
    },
    /// The plan was refused, or has no disk to install on.
    #[error("there is no plan that could be carried out: {why}")]
    NoPlan {
        /// Why.
        why: String,
    },
    /// The installer has nowhere to fetch packages from.
    #[error("OperatingSystem {name:?} has no repository: its installer needs one in spec.repositories")]
    NoRepository {
        /// The operating system.
        name: String,
    },
    /// A value would mean something else in an answer file.
    #[error("{value:?} cannot stand in {place}")]
    Value {
        /// The value.
        value: String,
        /// Where it would stand, or the field it comes from.
        place: &'static str,
    },
    /// A layout has something that the installer cannot make.
    #[error("{installer} cannot do what the layout asks for: {what}")]
    Layout {
        /// The installer.
        installer: &'static str,
        /// What that is.
        what: String,
    },
}

/// The answer files of an installation, the one the installer asks for first at the beginning.
pub fn render(given: &Given) -> Result<Vec<AnswerFile>, Unanswerable> {
    sound::check(given)?;
    match given.system.spec.method {
        Method::Image => Err(Unanswerable::Image { name: system_name(given).into() }),
        Method::Kickstart => kickstart::render(given),
        Method::Autoinstall => autoinstall::render(given),
        Method::Preseed => preseed::render(given),
    }
}

/// Name of the operating system's object.
fn system_name<'a>(given: &Given<'a>) -> &'a str {
    given.system.metadata.name.as_deref().unwrap_or("without a name")
}

fn role(given: &Given) -> MachineRole {
    given.plan.role.unwrap_or(MachineRole::Vanilla)
}

/// Whether the machine is to run workloads, and so leaves filtering and labels to what runs them.
fn runs_workloads(given: &Given) -> bool {
    role(given) != MachineRole::Vanilla
}

/// What every script begins with: who is told, and how.
fn prelude(given: &Given) -> Vec<Statement> {
    let address = given.site.base.strip_prefix("http://").unwrap_or(given.site.base);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    vec![
        Statement::Set("lab_site", given.site.base.into()),
        Statement::Set("lab_host", host.into()),
        Statement::Set("lab_port", port.into()),
        Statement::Set("lab_token", given.site.token.into()),
        Statement::Set("lab_dir", "/tmp/lab".into()),
        Statement::Library(shell::REPORT),
    ]
}

/// What scripts that look at disks have besides.
fn disk_prelude() -> Vec<Statement> {
    vec![
        Statement::Set("lab_sys", "/sys".into()),
        Statement::Set("lab_dev", "/dev".into()),
        Statement::Library(shell::DISK),
    ]
}

/// The last words: which plan was carried out.
fn finished(given: &Given) -> Vec<Statement> {
    let hash = given.plan.hash.clone().unwrap_or_default();
    vec![
        Statement::Begin(stages::LAST),
        Statement::Call(words!["lab_done", hash]),
        Statement::May(words!["rm", "-rf", variable("lab_dir")]),
    ]
}
