//! Every role on every kind of machine, by every installer.

use crate::machine::{GIB, Machine, foreign, nvme};
use crate::machine::{Infra, Labcontroller, Vanilla, Worker};
use lab_install::agent::served_at;
use lab_install::answer::{Agent, AnswerFile, Given, Site, Unanswerable, render};
use lab_kinds::metal::operating_system::{Family, Method, Repository};
use lab_kinds::metal::server::Plan;
use lab_kinds::metal::server::hardware::Architecture;
use sha2::{Digest, Sha256};

pub const SITE: Site = Site { base: "http://10.9.0.2", log_host: "10.9.0.2", token: "7f0c1a" };

/// What the bench's boot server has as the agent's executable.
pub const EXECUTABLE: &str = "#!/bin/sh\necho \"agent $*\"\n";

/// The SHA-256 of a text.
pub fn digits(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The agent that a machine is to have.
#[derive(Clone)]
pub struct Invited {
    pub path: String,
    pub sha256: String,
    pub server: String,
    pub ca_hash: String,
    pub token: String,
}

impl Invited {
    fn new() -> Self {
        Self {
            path: served_at(Architecture::Amd64).into(),
            sha256: digits(EXECUTABLE),
            server: "https://10.9.0.3:6443".into(),
            ca_hash: "sha256:c0ffee".into(),
            token: "jo1n".into(),
        }
    }
}

/// A machine with what its installer needs, and what kind of case it is.
pub struct Case {
    pub name: String,
    pub machine: Machine,
    pub plan: Plan,
    pub agent: Result<Invited, String>,
}

impl Case {
    pub fn of(name: String, method: Method, mut machine: Machine) -> Self {
        let (family, release, codename) = match method {
            Method::Kickstart => (Family::Fedora, "43", None),
            Method::Autoinstall => (Family::Ubuntu, "26.04", None),
            _ => (Family::Debian, "13", Some("trixie")),
        };
        let spec = &mut machine.system.spec;
        (spec.method, spec.family, spec.release) = (method, family, release.into());
        spec.codename = codename.map(str::to_owned);
        let repository =
            |name: &str| Repository { name: name.into(), url: format!("http://mirror.lab.example/{name}") };
        spec.repositories = vec![repository("main"), repository("updates")];
        machine.server.metadata.name = Some("rack1-node3".into());
        machine.server.spec.hostname = Some("node3.lab.example".into());
        machine.server.spec.admin.user = Some("ops".into());
        machine.server.spec.admin.authorized_keys =
            vec!["ssh-ed25519 AAAAC3Nza it's me; `x` $HOME \"%end\"".into()];
        machine.install().kernel_arguments = vec!["iommu=pt".into()];
        for disk in machine.disks.iter_mut().filter(|disk| disk.contents.uuid == "somebody's") {
            disk.contents.uuid = "6c4a8f6e-1f3c-4d5e-9a7b-0c1d2e3f4a5b".into();
        }
        let plan = machine.plan();
        Self { name, machine, plan, agent: Ok(Invited::new()) }
    }

    pub fn given(&self) -> Given<'_> {
        let Machine { server, system, .. } = &self.machine;
        let agent = self.agent.as_ref().map_err(String::as_str).map(|invited| {
            let Invited { path, sha256, server, ca_hash, token } = invited;
            Agent { path, sha256, server, ca_hash, token }
        });
        Given { server, system, plan: &self.plan, site: SITE, agent, fixed: None, begun: false }
    }

    pub fn try_files(&self) -> Result<Vec<AnswerFile>, Unanswerable> {
        render(&self.given())
    }

    #[track_caller]
    pub fn files(&self) -> Vec<AnswerFile> {
        self.try_files().unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    #[track_caller]
    pub fn file(&self, name: &str) -> String {
        let found = self.files().into_iter().find(|file| file.name == name);
        found.unwrap_or_else(|| panic!("{} has no {name}", self.name)).text
    }
}

pub fn fresh() -> Machine {
    Machine::new(Vanilla, vec![nvme(400 * GIB)])
}

/// Fresh on UEFI and BIOS, on a disk with somebody's system, on a small disk, and installed again, for each role.
pub fn cases(method: Method) -> Vec<Case> {
    let mut cases = Vec::new();
    for role in [Vanilla, Worker, Infra, Labcontroller] {
        let new = |disk| Machine::new(role, vec![disk]);
        let machines = [
            ("fresh", new(nvme(400 * GIB))),
            ("fresh-bios", new(nvme(400 * GIB)).bios()),
            ("small", new(nvme(40 * GIB))),
            ("foreign", new(foreign(nvme(400 * GIB)))),
            ("again", new(nvme(400 * GIB)).installed()),
            ("again-bios", new(nvme(400 * GIB)).bios().installed()),
        ];
        for (name, machine) in machines {
            cases.push(Case::of(format!("{method:?}-{role:?}-{name}").to_lowercase(), method, machine));
        }
    }
    cases
}
