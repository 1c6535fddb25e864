//! What a machine is given when it boots from the network.
//!
//! [`decide`] says which of the four answers it is, [`start`] what has to be loaded for it, and [`ipxe::render`] and
//! [`grub::render`] write that down for a boot loader. The order of decisions: what was asked for once; an installation
//! whose plan is approved and waits; the local disk of a machine that is installed; discovery.

mod debug;
mod discovery;
pub mod grub;
mod install;
pub mod ipxe;
mod local_disk;
pub mod medium;

pub use discovery::is_to_be_wiped;
pub use install::{artefact_path, waits};

use crate::client::Platform;
use crate::recognise::Recognition;
use lab_kinds::metal::server::status::BootAnswer;
use lab_kinds::metal::server::{BootOnce, LocalDiskBoot};
use lab_kinds::metal::{OperatingSystem, Server};
use lab_object::mac::MacAddress;

/// Which answer a machine gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub answer: BootAnswer,
    /// Why it is this one, for the machine's timeline.
    pub why: String,
    /// Whether it was asked for once: whoever serves it takes `spec.boot.once` away.
    pub once: bool,
}

/// What is known when an answer is put together.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The machine, where it is known.
    pub server: Option<&'a Server>,
    /// What is to be installed on it.
    pub operating_system: Option<&'a OperatingSystem>,
    /// The NIC that boots.
    pub mac: MacAddress,
    /// The firmware that boots.
    pub platform: Platform,
    /// The boot server's address as a URL without a slash at its end, such as `http://10.9.0.2`.
    pub base: &'a str,
    /// The boot server's address for logs.
    pub log_host: std::net::Ipv4Addr,
    /// The machine's address and its name servers, where it has one without DHCP and whatever is started needs to be told.
    pub fixed: Option<(medium::Fixed, &'a [std::net::IpAddr])>,
    /// A token for this boot alone. Whatever leads to secrets is asked for with it, as anybody can claim a MAC address.
    pub token: Option<&'a str>,
}

/// What a boot loader is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A kernel.
    System(System),
    /// The local disk.
    LocalDisk(LocalDiskBoot),
}

/// A kernel with what it needs. Paths are the boot server's, without a leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Path of the kernel.
    pub kernel: String,
    /// Paths of the initial RAM disks, in order.
    pub initrds: Vec<String>,
    /// The kernel's arguments. No serial console is among them by default: where no UART exists, it costs half a minute a
    /// stage.
    pub arguments: Vec<String>,
}

/// An answer cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotStart {
    /// There is no kernel for the processor.
    #[error("no system is served for {platform:?}")]
    NoKernel {
        /// The firmware that boots.
        platform: Platform,
    },
    /// The answer leads to secrets, and there is no token for this boot.
    #[error("the answer leads to secrets and needs a token for this boot")]
    NoToken,
    /// The operating system is not known here.
    #[error("OperatingSystem {name:?} is not known to the boot server")]
    NoOperatingSystem {
        /// Its name.
        name: String,
    },
    /// The operating system lacks a file.
    #[error("OperatingSystem {name:?} has no artefact with purpose {purpose}")]
    NoArtefact {
        /// Its name.
        name: String,
        /// What the file would be for.
        purpose: &'static str,
    },
    /// The operating system is built for another processor.
    #[error("OperatingSystem {name:?} is built for another processor than this machine's ({platform:?})")]
    OtherProcessor {
        /// Its name.
        name: String,
        /// The firmware that boots.
        platform: Platform,
    },
    /// An argument would be read as something else by the boot loader.
    #[error("the kernel argument {argument:?} cannot be written for {loader}")]
    Argument {
        /// The argument.
        argument: String,
        /// The boot loader.
        loader: &'static str,
    },
}

/// Which answer a machine gets.
pub fn decide(recognition: &Recognition, server: Option<&Server>) -> Decision {
    let decision = |answer, why: String| Decision { answer, why, once: false };
    let server = match (recognition, server) {
        (Recognition::Contradiction { by_mac, by_uuid }, _) => {
            return decision(BootAnswer::Discovery, contradiction(by_mac, by_uuid.as_deref()));
        }
        (Recognition::Unknown, _) | (_, None) => {
            return decision(BootAnswer::Discovery, "the machine is not known yet".into());
        }
        (_, Some(server)) => server,
    };
    if let Some(once) = server.spec.boot.once {
        let (answer, why) = match once {
            BootOnce::Debug => (BootAnswer::Debug, "the rescue system was asked for, once"),
            BootOnce::Discovery => (BootAnswer::Discovery, "discovery was asked for, once"),
            BootOnce::Local => (BootAnswer::Local, "the local disk was asked for, once"),
        };
        return Decision { once: true, ..decision(answer, why.into()) };
    }
    if let Some(why) = discovery::is_to_be_wiped(server) {
        return decision(BootAnswer::Discovery, why);
    }
    match waits(server) {
        // A NIC that was never seen could be another machine with a UUID that its maker left in; it is looked at first.
        Some(_) if matches!(recognition, Recognition::NewNic { .. }) => {
            let why = "an installation waits, but this NIC is new: the machine is looked at first";
            decision(BootAnswer::Discovery, why.into())
        }
        Some(Err(why)) => decision(BootAnswer::Discovery, why),
        Some(Ok(plan)) => decision(BootAnswer::Install, format!("the plan {plan} is approved and waits")),
        None if local_disk::is_installed(server) => {
            decision(BootAnswer::Local, "the machine is installed".into())
        }
        None => decision(BootAnswer::Discovery, discovery::why(server)),
    }
}

fn contradiction(by_mac: &str, by_uuid: Option<&str>) -> String {
    match by_uuid {
        Some(by_uuid) => format!(
            "its MAC address is that of {by_mac} and its UUID that of {by_uuid}; nothing is started on it until one of \
             them is corrected"
        ),
        None => format!(
            "its MAC address is that of {by_mac}, but its UUID is another: the NIC was moved, or the main board replaced; \
             nothing is started on it until the UUID of {by_mac} is corrected"
        ),
    }
}

/// What has to be loaded for an answer.
pub fn start(answer: BootAnswer, given: &Circumstances) -> Result<Start, CannotStart> {
    match answer {
        BootAnswer::Debug => debug::system(given).map(Start::System),
        BootAnswer::Install => install::system(given).map(Start::System),
        BootAnswer::Discovery => discovery::system(given).map(Start::System),
        BootAnswer::Local => Ok(Start::LocalDisk(local_disk::way(given))),
    }
}

/// Text that a boot loader can show or skip: printable ASCII without anything it would expand or take for the end of a
/// command.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || " ,.:/()-_".contains(c) { c } else { ' ' };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::server::status::{InstallStatus, Phase};
    use lab_kinds::metal::server::{Install, Plan, WhenDeleted};

    const HASH: &str = "sha256:aa";

    fn certain() -> Recognition {
        Recognition::Certain { server: "a".into() }
    }

    fn approved() -> Server {
        let mut server = Server::default();
        server.spec.install = Some(Install {
            operating_system: "debian-13".into(),
            layout: "labvg".into(),
            disk_selector: Default::default(),
            approve: Some(HASH.into()),
            reprovision: None,
            kernel_arguments: Vec::new(),
        });
        server.status.plan = Some(Plan { hash: Some(HASH.into()), ..Default::default() });
        server
    }

    fn installed() -> Server {
        let mut server = approved();
        server.status.install = Some(InstallStatus {
            operating_system: "debian-13".into(),
            layout: "labvg".into(),
            plan: HASH.into(),
            reprovision: None,
            finished: None,
        });
        server
    }

    #[track_caller]
    fn check(server: Option<Server>, recognition: Recognition, answer: BootAnswer, once: bool) {
        let decision = decide(&recognition, server.as_ref());
        assert_eq!((decision.answer, decision.once), (answer, once), "{}", decision.why);
        assert!(!decision.why.is_empty());
    }

    #[test]
    fn by_the_machines_state() {
        use BootAnswer::*;
        let with = |mut server: Server, change: fn(&mut Server)| {
            change(&mut server);
            Some(server)
        };
        check(None, Recognition::Unknown, Discovery, false);
        check(Some(Server::default()), certain(), Discovery, false);
        check(Some(approved()), certain(), Install, false);
        check(Some(installed()), certain(), Local, false);
        // What is asked for once comes first, whatever else waits.
        for (once, answer) in
            [(BootOnce::Debug, Debug), (BootOnce::Discovery, Discovery), (BootOnce::Local, Local)]
        {
            for mut server in [Server::default(), approved(), installed()] {
                server.spec.boot.once = Some(once);
                check(Some(server), certain(), answer, true);
            }
        }
        // Nothing is installed without approval of the plan as it stands.
        check(with(approved(), |s| s.status.plan = None), certain(), Discovery, false);
        check(with(approved(), |s| s.spec.install = None), certain(), Discovery, false);
        let other =
            |s: &mut Server| s.status.plan.as_mut().expect("there is one").hash = Some("sha256:bb".into());
        check(with(approved(), other), certain(), Discovery, false);
        let refused = |s: &mut Server| s.status.plan.as_mut().expect("there is one").hash = None;
        check(with(approved(), refused), certain(), Discovery, false);
        // An installed machine stays on its disk until the new plan is approved.
        check(with(installed(), other), certain(), Local, false);
        let again = |s: &mut Server| s.spec.install.as_mut().expect("there is one").reprovision = Some(1);
        check(with(installed(), again), certain(), Install, false);
        check(with(approved(), |s| s.status.phase = Some(Phase::Installing)), certain(), Install, false);
        check(with(approved(), |s| s.status.phase = Some(Phase::Failed)), certain(), Discovery, false);
        check(with(Server::default(), |s| s.status.phase = Some(Phase::Ready)), certain(), Local, false);
    }

    #[test]
    fn a_machine_that_is_to_be_wiped() {
        let mut server = installed();
        server.spec.when_deleted = Some(WhenDeleted::Wipe);
        check(Some(server.clone()), certain(), BootAnswer::Local, false);
        server.metadata.deletion_timestamp = "2026-11-21T12:00:00Z".parse().map(lab_object::Time).ok();
        check(Some(server.clone()), certain(), BootAnswer::Discovery, false);
        server.spec.when_deleted = Some(WhenDeleted::Keep);
        check(Some(server), certain(), BootAnswer::Local, false);
    }

    #[test]
    fn a_machine_in_doubt_is_only_looked_at() {
        let new_nic = || Recognition::NewNic { server: "a".into() };
        check(Some(approved()), new_nic(), BootAnswer::Discovery, false);
        check(Some(installed()), new_nic(), BootAnswer::Local, false);
        for by_uuid in [None, Some("b".to_owned())] {
            let contradiction = Recognition::Contradiction { by_mac: "a".into(), by_uuid };
            check(Some(approved()), contradiction.clone(), BootAnswer::Discovery, false);
            check(Some(installed()), contradiction, BootAnswer::Discovery, false);
        }
    }
}
