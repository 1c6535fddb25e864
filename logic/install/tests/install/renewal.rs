//! When a machine's plan is made anew, and when it stays.

use crate::machine::{GIB, Machine, Worker, nvme};
use lab_install::renewal::renewed;
use lab_kinds::metal::server::status::InstallStatus;
use lab_kinds::metal::server::{Phase, Server, ServerStatus};
use lab_kinds::metal::size::Size;
use lab_kinds::{Condition, ConditionStatus};
use lab_object::Time;

fn at(second: i64) -> Time {
    format!("2026-11-21T12:00:{second:02}Z").parse().map(Time).expect("it is a time")
}

/// A machine that has reported its disks, as labd knows it.
fn server(machine: &Machine) -> Server {
    let mut server = machine.server.clone();
    server.metadata.generation = Some(3);
    let status = &mut server.status;
    (status.disks, status.volume_groups) = (machine.disks.clone(), machine.groups.clone());
    status.hardware.firmware.kind = Some(machine.firmware);
    status.phase = Some(Phase::Discovered);
    let kind = "Discovered".into();
    status.conditions = vec![Condition { kind, status: ConditionStatus::True, ..Condition::default() }];
    server
}

fn blank() -> Machine {
    Machine::new(Worker, vec![nvme(512 * GIB)])
}

fn look(machine: &Machine, server: &Server, second: i64) -> ServerStatus {
    renewed(server, Some(&machine.system), Some(&machine.layout), at(second))
}

/// Phase, reason of `PlanReady` and the hash.
fn short(status: &ServerStatus) -> (Option<Phase>, &str, Option<&str>) {
    let ready = status.conditions.iter().find(|condition| condition.kind == "PlanReady");
    let reason = ready.and_then(|condition| condition.reason.as_deref()).unwrap_or_default();
    (status.phase, reason, status.plan.as_ref().and_then(|plan| plan.hash.as_deref()))
}

#[test]
fn from_disks_to_an_approved_plan() {
    let machine = blank();
    let hash = machine.plan().hash;
    let mut server = server(&machine);
    server.status = look(&machine, &server, 1);
    assert_eq!(short(&server.status), (Some(Phase::Planned), "WaitsForApproval", hash.as_deref()));
    let plan = server.status.plan.as_ref().expect("there is one");
    assert_eq!((plan.made_at, plan.observed_generation, plan.approved), (Some(at(1)), Some(3), false));
    assert_eq!(look(&machine, &server, 9), server.status, "looking again changes nothing");

    server.spec.install.as_mut().expect("it has one").approve.clone_from(&hash);
    server.metadata.generation = Some(4);
    server.status = look(&machine, &server, 9);
    assert_eq!(short(&server.status), (Some(Phase::Approved), "Approved", hash.as_deref()));
    let plan = server.status.plan.as_ref().expect("there is one");
    assert_eq!((plan.made_at, plan.observed_generation, plan.approved), (Some(at(1)), Some(4), true));

    // Other disks have another plan, which nobody approved.
    server.status.disks[0].size_bytes += GIB;
    let other = look(&machine, &server, 10);
    assert_eq!((other.phase, short(&other).1), (Some(Phase::Planned), "WaitsForApproval"));
    assert_ne!(short(&other).2, hash.as_deref());

    server.spec.install = None;
    assert_eq!(short(&look(&machine, &server, 11)), (Some(Phase::Discovered), "", None));
}

#[test]
fn phases_that_others_say() {
    let machine = blank();
    let check = |before, changed: bool, expected| {
        let mut server = server(&machine);
        server.status = look(&machine, &server, 1);
        server.status.phase = Some(before);
        server.status.message = Some("it failed".into());
        server.status.disks[0].size_bytes += if changed { GIB } else { 0 };
        let status = look(&machine, &server, 2);
        assert_eq!(status.phase, Some(expected), "{before:?} {changed}");
        assert_eq!(status.message.is_some(), expected != Phase::Planned, "{before:?} {changed}");
    };
    check(Phase::Failed, false, Phase::Failed);
    check(Phase::Failed, true, Phase::Planned);
    check(Phase::Installing, false, Phase::Installing);
    check(Phase::Installing, true, Phase::Planned);
    // Approving what failed means that somebody has looked at it.
    let mut server = server(&machine);
    server.status = look(&machine, &server, 1);
    server.status.phase = Some(Phase::Failed);
    server.spec.install.as_mut().expect("it has one").approve = machine.plan().hash;
    server.status = look(&machine, &server, 2);
    assert_eq!(server.status.phase, Some(Phase::Approved));
    server.status.phase = Some(Phase::Failed);
    assert_eq!(look(&machine, &server, 3).phase, Some(Phase::Failed));
    for phase in [Phase::Installed, Phase::Ready, Phase::Offline, Phase::Debug, Phase::Wiping] {
        check(phase, true, phase);
    }
}

#[test]
fn what_is_refused() {
    let machine = blank();
    let check = |change: fn(&mut Machine, &mut Server), known: (bool, bool), expected: &str| {
        let mut machine = machine.clone();
        let mut server = server(&machine);
        change(&mut machine, &mut server);
        let (system, layout) = (known.0.then_some(&machine.system), known.1.then_some(&machine.layout));
        let status = renewed(&server, system, layout, at(1));
        assert_eq!(short(&status), (Some(Phase::Discovered), "Refused", None));
        let message = status.message.unwrap_or_default();
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
        assert_eq!(status.plan.and_then(|plan| plan.refused), Some(message));
    };
    let as_it_is: fn(&mut Machine, &mut Server) = |_, _| {};
    check(as_it_is, (false, true), "OperatingSystem \"debian-13\"");
    check(as_it_is, (true, false), "DiskLayout \"labvg\"");
    check(|_, server| server.status.disks.clear(), (true, true), "no disk was found");
    check(|_, server| server.status.disks[0].size_bytes = 8 * GIB, (true, true), "too small");
    let little: fn(&mut Machine, &mut Server) = |machine, server| {
        machine.system.spec.min_memory = Some(Size::of_gib(2));
        server.status.hardware.memory_bytes = Some(GIB);
    };
    check(little, (true, true), "needs 2Gi of memory");
    let other: fn(&mut Machine, &mut Server) = |_, server| {
        server.status.hardware.architecture = Some(lab_kinds::metal::server::hardware::Architecture::Arm64)
    };
    check(other, (true, true), "built for another processor");
}

#[test]
fn a_machine_that_was_not_looked_at_has_no_plan() {
    let machine = blank();
    let mut server = server(&machine);
    server.status.conditions.clear();
    assert_eq!(look(&machine, &server, 1), server.status);
}

#[test]
fn a_plan_stays_while_it_is_carried_out_and_afterwards() {
    let machine = blank();
    let hash = machine.plan().hash;
    let mut server = server(&machine);
    server.status = look(&machine, &server, 1);
    server.spec.install.as_mut().expect("it has one").approve.clone_from(&hash);
    let done = machine.clone().installed();
    (server.status.disks, server.status.volume_groups) = (done.disks, done.groups);
    // Nobody said yet that it was carried out: as far as is known, it is under way.
    assert_eq!(short(&look(&machine, &server, 2)).2, hash.as_deref());
    let mut unapproved = server.clone();
    unapproved.spec.install.as_mut().expect("it has one").approve = None;
    assert_ne!(short(&look(&machine, &unapproved, 2)).2, hash.as_deref());

    server.status.phase = Some(Phase::Installed);
    server.status.install = Some(InstallStatus {
        operating_system: "debian-13".into(),
        layout: "labvg".into(),
        plan: hash.clone().expect("it has one"),
        ..InstallStatus::default()
    });
    // Whatever is on the disks later.
    server.status.volume_groups[0].volumes.remove(0);
    assert_eq!(short(&look(&machine, &server, 3)), (Some(Phase::Installed), "Approved", hash.as_deref()));
    server.spec.install.as_mut().expect("it has one").reprovision = Some(1);
    let again = look(&machine, &server, 4);
    assert_eq!((again.phase, short(&again).1), (Some(Phase::Installed), "WaitsForApproval"));
    assert!(again.plan.is_some_and(|plan| plan.hash != hash && plan.reprovision == Some(1)));
}
