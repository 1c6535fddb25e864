//! What a Server's plan is to be now: made anew whenever the machine or the wishes change, kept while it is carried out and once it has been.
//!
//! A plan that is the same as before stays as it was made, so that looking again changes nothing.

use crate::approval;
use crate::observed::Observed;
use crate::plan::{self, refused};
use crate::refusal::Refusal;
use crate::standing::{Standing, still_holds};
use lab_kinds::metal::disk_layout::DiskLayout;
use lab_kinds::metal::operating_system::OperatingSystem;
use lab_kinds::metal::server::{Install, MachineRole, Phase, Plan, Server, ServerStatus};
use lab_kinds::{Condition, ConditionStatus};
use lab_object::Time;

/// The condition that says whether there is a plan.
const PLAN_READY: &str = "PlanReady";

/// A Server's status with the plan that it is to have now, and what follows from that: its phase, and the condition `PlanReady`.
/// `system` and `layout` are the objects that `spec.install` names, where they are there.
pub fn renewed(
    server: &Server,
    system: Option<&OperatingSystem>,
    layout: Option<&DiskLayout>,
    now: Time,
) -> ServerStatus {
    let mut status = server.status.clone();
    let Some(install) = &server.spec.install else {
        withdraw(&mut status);
        return status;
    };
    let Some(observed) = Observed::of(server).filter(|_| is_discovered(&status)) else { return status };
    let before = server.status.plan.as_ref();
    let mut plan = match before.filter(|plan| stays(server, install, plan, &observed)) {
        Some(plan) => plan.clone(),
        None => made(server, install, system, layout, &observed),
    };
    let same = before.is_some_and(|before| before.hash == plan.hash && before.refused == plan.refused);
    plan.made_at = before.filter(|_| same).and_then(|before| before.made_at).or(Some(now));
    plan.observed_generation = server.metadata.generation;
    plan.approved = approval::approved(server, &plan).is_ok();
    let newly_approved = plan.approved && before.is_some_and(|before| !before.approved);
    status.phase = phase(&status, &plan, same, newly_approved);
    if matches!(status.phase, Some(Phase::Discovered | Phase::Planned | Phase::Approved)) {
        status.message.clone_from(&plan.refused);
    }
    put(&mut status.conditions, plan_ready(server, &plan), now);
    status.plan = Some(plan);
    status
}

/// Whether the machine has said what disks it has.
fn is_discovered(status: &ServerStatus) -> bool {
    let holds = |condition: &Condition| condition.status == ConditionStatus::True;
    status.conditions.iter().any(|condition| condition.kind == "Discovered" && holds(condition))
}

/// Nothing is to be installed any more.
fn withdraw(status: &mut ServerStatus) {
    if status.plan.take().is_none() {
        return;
    }
    status.conditions.retain(|condition| condition.kind != PLAN_READY);
    if matches!(status.phase, Some(Phase::Planned | Phase::Approved | Phase::Failed)) {
        status.phase = Some(Phase::Discovered);
        status.message = None;
    }
}

/// Whether a plan is to stay although the disks are not those any more that it was made for: it changed them itself.
fn stays(server: &Server, install: &Install, plan: &Plan, observed: &Observed) -> bool {
    let done = server.status.install.as_ref().filter(|done| {
        done.operating_system == install.operating_system
            && done.layout == install.layout
            && done.reprovision.unwrap_or_default() >= install.reprovision.unwrap_or_default()
    });
    if done.is_some_and(|done| plan.hash.as_ref() == Some(&done.plan)) {
        return true;
    }
    let role = server.spec.role.unwrap_or(MachineRole::Vanilla);
    let wanted = plan.operating_system == install.operating_system
        && plan.layout == install.layout
        && plan.reprovision == install.reprovision
        && plan.role == Some(role);
    wanted && approval::approved(server, plan).is_ok() && still_holds(plan, observed) == Ok(Standing::Begun)
}

fn made(
    server: &Server,
    install: &Install,
    system: Option<&OperatingSystem>,
    layout: Option<&DiskLayout>,
    observed: &Observed,
) -> Plan {
    let planned = fitting(server, install, system).and_then(|system| {
        let name = || install.layout.clone();
        let layout = layout.ok_or_else(|| Refusal::NoLayout { name: name() })?;
        plan::plan(server, system, layout, observed)
    });
    planned.unwrap_or_else(|why| refused(server, observed, &why))
}

/// The operating system, if it can run on the machine.
fn fitting<'a>(
    server: &Server,
    install: &Install,
    system: Option<&'a OperatingSystem>,
) -> Result<&'a OperatingSystem, Refusal> {
    let name = || install.operating_system.clone();
    let system = system.ok_or_else(|| Refusal::NoOperatingSystem { name: name() })?;
    let hardware = &server.status.hardware;
    if hardware.architecture.is_some_and(|architecture| architecture != system.spec.architecture) {
        return Err(Refusal::OtherProcessor { name: name() });
    }
    // A machine never has all the memory that is built in: firmware keeps some for itself.
    let has = u64::try_from(hardware.memory_bytes.unwrap_or(i64::MAX)).unwrap_or_default();
    match system.spec.min_memory {
        Some(least) if has < least.bytes / 8 * 7 => {
            Err(Refusal::TooLittleMemory { name: name(), needed: least, has })
        }
        _ => Ok(system),
    }
}

/// Where the machine is in its life with this plan. An installation that is under way, has ended or failed has its phase from elsewhere,
/// as long as the plan is the one that it was of. Whoever approves after a failure has looked at it.
fn phase(status: &ServerStatus, plan: &Plan, same: bool, newly_approved: bool) -> Option<Phase> {
    match status.phase {
        None
        | Some(
            Phase::Registered | Phase::Discovering | Phase::Discovered | Phase::Planned | Phase::Approved,
        ) => {}
        Some(Phase::Failed | Phase::Installing) if !same => {}
        Some(Phase::Failed) if newly_approved => {}
        other => return other,
    }
    Some(match plan {
        Plan { refused: Some(_), .. } => Phase::Discovered,
        Plan { approved: true, .. } => Phase::Approved,
        _ => Phase::Planned,
    })
}

fn plan_ready(server: &Server, plan: &Plan) -> Condition {
    let (status, reason) = match plan {
        Plan { refused: Some(_), .. } => (ConditionStatus::False, "Refused"),
        Plan { approved: true, .. } => (ConditionStatus::True, "Approved"),
        _ => (ConditionStatus::True, "WaitsForApproval"),
    };
    Condition {
        kind: PLAN_READY.into(),
        status,
        reason: Some(reason.into()),
        message: plan.refused.clone(),
        observed_generation: server.metadata.generation,
        last_transition_time: None,
    }
}

/// Puts a condition in the place of the one of its kind.
fn put(conditions: &mut Vec<Condition>, condition: Condition, now: Time) {
    match conditions.iter_mut().find(|other| other.kind == condition.kind) {
        Some(other) => {
            let since = if other.status == condition.status { other.last_transition_time } else { None };
            *other = Condition { last_transition_time: since.or(Some(now)), ..condition };
        }
        None => conditions.push(Condition { last_transition_time: Some(now), ..condition }),
    }
}
