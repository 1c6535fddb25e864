//! What a machine that runs our own system is to do next: the same decision as for its next boot ([`crate::boot::decide`]), carried out
//! where it stands.
//!
//! A machine looks at itself before anything else; it waits for what people have to decide, installs what is approved, and restarts where
//! something other than our own system is to run on it.

use crate::boot::{artefact_path, decide, is_to_be_wiped, waits};
use crate::recognise::Recognition;
use lab_kinds::metal::operating_system::{Artefact, Method, OperatingSystem, Purpose};
use lab_kinds::metal::server::status::{BootAnswer, Phase};
use lab_kinds::metal::server::{Disk, Plan, Server, Transport};
use lab_wire::site::{Installation, Orders, Rescue, WipedDisk, Wiping};

/// How often an installation is tried in one boot. What failed that often needs a person.
pub const TRIES: u32 = 3;

/// What is known of a machine that asks.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Which Server it is.
    pub recognition: &'a Recognition,
    /// That Server, as it counts at the site.
    pub server: Option<&'a Server>,
    /// What is to be installed on it.
    pub operating_system: Option<&'a OperatingSystem>,
    /// What its boot was for.
    pub answer: Option<BootAnswer>,
    /// The disks that it has reported in this boot; nothing where it has not.
    pub disks: Option<&'a [Disk]>,
    /// Whether its disks were wiped in this boot.
    pub wiped: bool,
    /// How often an installation, or wiping, failed in this boot.
    pub failures: u32,
    /// Whether the site has the image.
    pub image: Image<'a>,
}

/// How far a site has come with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// It is there as a whole, and fits its checksum.
    Held,
    /// It is on its way.
    Fetched {
        /// How much of it is there, in percent, where that is known.
        percent: Option<u8>,
    },
    /// It cannot be had at the moment.
    Missing {
        /// Why.
        why: &'a str,
    },
}

/// The image that a Server's plan was made for, where its operating system still has it.
pub fn image<'a>(server: &Server, system: &'a OperatingSystem) -> Option<&'a Artefact> {
    let wanted = server.status.plan.as_ref()?.image.as_ref()?;
    system.artefact(Purpose::Image).filter(|image| image.checksum == *wanted)
}

/// What a machine is to do next.
pub fn orders(given: &Situation) -> Orders {
    // Whatever has become of its object since.
    if given.wiped {
        return Orders::PowerOff;
    }
    let decision = decide(given.recognition, given.server);
    let Some(server) = given.server.filter(|_| given.recognition.server().is_some()) else {
        return wait(30, decision.why);
    };
    if given.answer == Some(BootAnswer::Debug) {
        return Orders::Rescue(rescue(server));
    }
    // What is asked for once is given at a boot, and a machine that waits here can as well boot.
    if decision.once {
        return Orders::Reboot;
    }
    let Some(disks) = given.disks else { return Orders::Discover };
    if is_to_be_wiped(server).is_some() {
        return wipe(given, disks);
    }
    let plan = server.status.plan.as_ref();
    match (decision.answer, plan) {
        (BootAnswer::Install, Some(plan)) => install(given, server, plan),
        // A boot is a new beginning for what failed in the one before.
        (BootAnswer::Discovery, Some(plan)) if may_try_again(given, server) => install(given, server, plan),
        (BootAnswer::Local | BootAnswer::Debug, _) => Orders::Reboot,
        (BootAnswer::Install | BootAnswer::Discovery, _) => wait(5, decision.why),
    }
}

fn wait(seconds: u32, why: impl Into<String>) -> Orders {
    Orders::Wait { seconds, why: why.into() }
}

fn rescue(server: &Server) -> Rescue {
    let admin = &server.spec.admin;
    Rescue { user: admin.name().into(), keys: admin.authorized_keys.clone() }
}

fn may_try_again(given: &Situation, server: &Server) -> bool {
    let failed = server.status.phase == Some(Phase::Failed) && matches!(waits(server), Some(Err(_)));
    let ours = given.operating_system.is_some_and(|system| system.spec.method == Method::Image);
    failed && ours && matches!(given.recognition, Recognition::Certain { .. })
}

fn install(given: &Situation, server: &Server, plan: &Plan) -> Orders {
    if given.failures >= TRIES {
        let why = format!("the installation failed {TRIES} times in this boot; a restart has it tried again");
        return wait(30, why);
    }
    let name = &plan.operating_system;
    let Some(system) = given.operating_system else {
        return wait(10, format!("OperatingSystem {name:?} is not known to the boot server"));
    };
    if system.spec.method != Method::Image {
        // Its own installer comes with the next boot.
        return Orders::Reboot;
    }
    let Some(image) = image(server, system) else {
        return wait(5, format!("{name} has another image than the plan was made for"));
    };
    match given.image {
        Image::Held => Orders::Install(Box::new(Installation {
            server: server.clone(),
            operating_system: system.clone(),
            plan: plan.clone(),
            image: format!("/{}", artefact_path(image)),
            // Whoever serves it knows the way to labd, and has randomness for a token.
            agent: None,
        })),
        Image::Fetched { percent: Some(percent) } => {
            wait(5, format!("the boot server fetches the image of {name}, {percent} % so far"))
        }
        Image::Fetched { percent: None } => wait(5, format!("the boot server fetches the image of {name}")),
        Image::Missing { why } => {
            wait(10, format!("the boot server does not have the image of {name}: {why}"))
        }
    }
}

/// All that is built in. What is read-only cannot be wiped, and what is plugged in is somebody's.
fn wipe(given: &Situation, disks: &[Disk]) -> Orders {
    if given.failures >= TRIES {
        return wait(30, format!("wiping failed {TRIES} times in this boot; a restart has it tried again"));
    }
    let foreign = |disk: &&Disk| matches!(disk.transport, Some(Transport::Usb | Transport::Network));
    let disks = disks.iter().filter(|disk| !disk.removable && !disk.read_only && !foreign(disk));
    let wiped = |disk: &Disk| WipedDisk {
        name: disk.name.clone(),
        serial: disk.serial.clone(),
        wwn: disk.wwn.clone(),
        size_bytes: disk.size_bytes,
    };
    Orders::Wipe(Wiping { disks: disks.map(wiped).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::Define;
    use lab_kinds::metal::server::status::InstallStatus;
    use lab_kinds::metal::server::{BootOnce, Install, WhenDeleted};

    const HASH: &str = "sha256:aa";

    fn system() -> OperatingSystem {
        OperatingSystem::example()
    }

    fn approved() -> Server {
        let mut server = Server::default();
        server.metadata.name = Some("a".into());
        server.spec.install = Some(Install {
            operating_system: "debian-13".into(),
            layout: "labvg".into(),
            disk_selector: Default::default(),
            approve: Some(HASH.into()),
            reprovision: None,
            kernel_arguments: Vec::new(),
        });
        let image = system().artefact(Purpose::Image).map(|image| image.checksum.clone());
        let operating_system = "debian-13".into();
        let hash = Some(HASH.into());
        server.status.plan = Some(Plan { hash, image, operating_system, ..Plan::default() });
        server
    }

    /// A machine in an everyday discovery boot, but for what is changed: what it does, in a few words.
    #[track_caller]
    fn check(
        server: Option<Server>,
        change: impl FnOnce(&mut Situation<'_>, &mut OperatingSystem),
        expected: &str,
    ) {
        let certain = Recognition::Certain { server: "a".into() };
        let recognition = if server.is_some() { certain } else { Recognition::Unknown };
        let mut system = system();
        let disk = |name: &str, transport| Disk { transport, ..named(name) };
        let disks = [
            disk("sda", Some(Transport::Sata)),
            disk("sdb", Some(Transport::Usb)),
            Disk { removable: true, ..named("sr0") },
            Disk { read_only: true, ..named("sdc") },
            disk("nvme0n1", None),
        ];
        let mut given = Situation {
            recognition: &recognition,
            server: server.as_ref(),
            operating_system: None,
            answer: Some(BootAnswer::Discovery),
            disks: Some(&disks),
            wiped: false,
            failures: 0,
            image: Image::Held,
        };
        change(&mut given, &mut system);
        let with_system = Situation { operating_system: Some(&system), ..given };
        let said = match orders(&with_system) {
            Orders::Wait { why, .. } => format!("wait: {why}"),
            Orders::Discover => "discover".into(),
            Orders::Rescue(rescue) => format!("rescue {} {}", rescue.user, rescue.keys.join(" ")),
            Orders::Install(installation) => format!("install {}", installation.image),
            Orders::Reboot => "reboot".into(),
            Orders::PowerOff => "power off".into(),
            Orders::Wipe(wiping) => {
                let names = wiping.disks.iter().map(|disk| disk.name.as_str());
                format!("wipe {}", names.collect::<Vec<_>>().join(" "))
            }
        };
        assert!(said.starts_with(expected), "{said:?} does not begin with {expected:?}");
    }

    fn named(name: &str) -> Disk {
        Disk { name: name.into(), ..Server::example().status.disks[0].clone() }
    }

    fn with(mut server: Server, change: impl FnOnce(&mut Server)) -> Option<Server> {
        change(&mut server);
        Some(server)
    }

    #[test]
    fn what_machines_do() {
        let as_it_is = |_: &mut Situation<'_>, _: &mut OperatingSystem| {};
        check(None, as_it_is, "wait: the machine is not known yet");
        check(Some(Server::default()), as_it_is, "wait: nothing is to be installed on it");
        check(Some(approved()), |given, _| given.disks = None, "discover");
        check(Some(approved()), as_it_is, "install /artefacts/9f2c");
        let unapproved = with(approved(), |s| s.status.plan.as_mut().expect("it has one").hash = None);
        check(unapproved, as_it_is, "wait: it is to be installed, and no plan is approved yet");
        let refused = with(approved(), |s| {
            let plan = s.status.plan.as_mut().expect("it has one");
            (plan.hash, plan.refused) = (None, Some("too small".into()));
        });
        check(refused, as_it_is, "wait: no plan can be made: too small");
        let debug = |given: &mut Situation<'_>, _: &mut OperatingSystem| {
            given.answer = Some(BootAnswer::Debug);
        };
        check(Some(approved()), debug, "rescue lab ");
        let with_keys = with(approved(), |s| {
            s.spec.admin.user = Some("ops".into());
            s.spec.admin.authorized_keys = vec!["ssh-ed25519 A".into()];
        });
        check(with_keys, debug, "rescue ops ssh-ed25519 A");
        for once in [BootOnce::Debug, BootOnce::Discovery, BootOnce::Local] {
            check(with(approved(), |s| s.spec.boot.once = Some(once)), as_it_is, "reboot");
        }
        let done = |s: &mut Server| {
            s.status.install = Some(InstallStatus { plan: HASH.into(), ..InstallStatus::default() });
        };
        check(with(approved(), done), as_it_is, "reboot");
    }

    #[test]
    fn what_keeps_an_installation_waiting() {
        let image = |image: Image<'static>| {
            move |given: &mut Situation<'_>, _: &mut OperatingSystem| given.image = image
        };
        check(Some(approved()), image(Image::Fetched { percent: None }), "wait: the boot server fetches");
        let some = Image::Fetched { percent: Some(40) };
        check(Some(approved()), image(some), "wait: the boot server fetches the image of debian-13, 40 %");
        let none = Image::Missing { why: "404" };
        check(
            Some(approved()),
            image(none),
            "wait: the boot server does not have the image of debian-13: 404",
        );
        let other = |_: &mut Situation<'_>, system: &mut OperatingSystem| {
            system.spec.artefacts[0].checksum = "sha256:00".into();
        };
        check(Some(approved()), other, "wait: debian-13 has another image");
        let theirs = |_: &mut Situation<'_>, system: &mut OperatingSystem| {
            system.spec.method = Method::Preseed;
        };
        check(Some(approved()), theirs, "reboot");
    }

    #[test]
    fn what_failed_is_tried_again_a_few_times_and_at_the_next_boot() {
        let failures = |n| move |given: &mut Situation<'_>, _: &mut OperatingSystem| given.failures = n;
        let failed = || with(approved(), |s| s.status.phase = Some(Phase::Failed));
        for server in [|| Some(approved()), failed as fn() -> Option<Server>] {
            check(server(), failures(0), "install");
            check(server(), failures(TRIES - 1), "install");
            check(server(), failures(TRIES), "wait: the installation failed 3 times");
        }
        // Another plan than the one that failed needs approval.
        let other = with(failed().expect("it is one"), |s| {
            s.status.plan.as_mut().expect("it has one").hash = Some("sha256:bb".into());
        });
        check(other, failures(0), "wait: its installation failed");
        // The distribution's installer is not begun again and again.
        let theirs = |_: &mut Situation<'_>, system: &mut OperatingSystem| {
            system.spec.method = Method::Preseed;
        };
        check(failed(), theirs, "wait: its installation failed");
    }

    #[test]
    fn what_is_given_up_is_wiped_and_switched_off() {
        let given_up = || {
            with(approved(), |server| {
                server.spec.when_deleted = Some(WhenDeleted::Wipe);
                server.metadata.deletion_timestamp =
                    "2026-11-21T12:00:00Z".parse().map(lab_object::Time).ok();
            })
        };
        check(given_up(), |given, _| given.disks = None, "discover");
        check(given_up(), |_, _| {}, "wipe sda nvme0n1");
        check(given_up(), |given, _| given.failures = TRIES, "wait: wiping failed 3 times");
        check(given_up(), |given, _| given.wiped = true, "power off");
        check(None, |given, _| given.wiped = true, "power off");
    }

    #[test]
    fn a_machine_in_doubt_waits() {
        let contradiction = Recognition::Contradiction { by_mac: "a".into(), by_uuid: None };
        check(
            Some(approved()),
            |given, _| given.recognition = Box::leak(Box::new(contradiction)),
            "wait: its MAC",
        );
        let new_nic = Recognition::NewNic { server: "a".into() };
        check(
            Some(approved()),
            |given, _| given.recognition = Box::leak(Box::new(new_nic)),
            "wait: an installation",
        );
    }
}
