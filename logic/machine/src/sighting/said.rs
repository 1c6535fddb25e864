//! What a machine's own agent said of it by way of the bastion, put into its status: what it consists of, and how far its installation
//! has come.

use super::{put_condition, unknown_nic};
use crate::wiping::WIPED;
use jiff::Timestamp;
use lab_kinds::metal::server::hardware::Nic;
use lab_kinds::metal::server::status::{InstallStatus, Phase, ServerStatus, StageOutcome};
use lab_kinds::{Condition, ConditionStatus};
use lab_object::Time;
use lab_wire::site::{Discovery, Progress};
use std::collections::BTreeSet;

/// What a machine said since it was last reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// What it consists of.
    pub discovery: Option<&'a Discovery>,
    /// How far it has come with what it was told to do.
    pub progress: Option<(&'a Progress, Work<'a>)>,
}

/// What a machine was told to do.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// To install this.
    Install(&'a InstallStatus),
    /// To wipe its disks.
    Wipe,
}

/// Takes over what a machine consists of.
pub(super) fn discovered(status: &mut ServerStatus, found: &Discovery, now: Timestamp) {
    if status.uuid.is_none() {
        status.uuid.clone_from(&found.uuid);
    }
    status.hardware = found.hardware.clone();
    status.disks = each_once(&found.disks, |disk| disk.name.clone());
    status.volume_groups = each_once(&found.volume_groups, |group| group.uuid.clone());
    let before = std::mem::take(&mut status.nics);
    let network = |nic: &Nic| before.iter().find(|known| known.mac == nic.mac)?.network.clone();
    let nics = each_once(&found.nics, |nic| nic.mac);
    status.nics = nics
        .into_iter()
        .map(|nic| Nic { network: nic.network.clone().or_else(|| network(&nic)), ..nic })
        .collect();
    if matches!(status.phase, None | Some(Phase::Registered | Phase::Discovering)) {
        status.phase = Some(Phase::Discovered);
    }
    let message = Some(found.problems.join("; ")).filter(|problems| !problems.is_empty());
    put_condition(
        &mut status.conditions,
        Condition {
            kind: "Discovered".into(),
            status: ConditionStatus::True,
            reason: Some("HardwareReported".into()),
            message,
            ..Condition::default()
        },
        now,
    );
}

/// What has a name must not stand in a status twice, whatever a machine says.
fn each_once<T: Clone, K: Ord>(all: &[T], name: impl Fn(&T) -> K) -> Vec<T> {
    let mut names = BTreeSet::new();
    all.iter().filter(|one| names.insert(name(one))).cloned().collect()
}

/// Takes over how far a machine has come with its work. Its stages come from the timeline, by the bastion's clock.
pub(super) fn progressed(status: &mut ServerStatus, progress: &Progress, work: Work<'_>, now: Timestamp) {
    let stage = &progress.stage;
    status.percent = Some(progress.percent.clamp(0, 100));
    status.expected_end = expected_end(progress, now);
    if let Some(known) = status.stages.iter_mut().find(|known| known.name == stage.name) {
        known.done_bytes = stage.done_bytes.filter(|bytes| *bytes >= 0);
        known.total_bytes = stage.total_bytes.filter(|bytes| *bytes >= 0);
    }
    let failed = stage.outcome == Some(StageOutcome::Failed);
    let why = || stage.message.clone();
    let (phase, holds, reason, message) = match (work, progress.finished, failed) {
        (Work::Install(_), true, _) => (Phase::Installed, ConditionStatus::True, "PlanCarriedOut", None),
        (Work::Install(_), _, true) => (Phase::Failed, ConditionStatus::False, "InstallationFailed", why()),
        (Work::Install(_), ..) => (Phase::Installing, ConditionStatus::False, "Installing", None),
        (Work::Wipe, true, _) => (Phase::Wiping, ConditionStatus::True, "DisksWiped", Some(wiped(status))),
        (Work::Wipe, _, true) => (Phase::Failed, ConditionStatus::False, "WipingFailed", why()),
        (Work::Wipe, ..) => (Phase::Wiping, ConditionStatus::False, "Wiping", None),
    };
    status.phase = Some(phase);
    status.message.clone_from(&message);
    if progress.finished {
        (status.stage, status.percent) = (None, Some(100));
        if let Work::Install(ordered) = work {
            status.install = Some(ordered.clone());
        }
    }
    if progress.finished || failed {
        status.expected_end = None;
    }
    let kind = if matches!(work, Work::Wipe) { WIPED } else { "Installed" };
    let condition = Condition {
        kind: kind.into(),
        status: holds,
        reason: Some(reason.into()),
        message,
        ..Condition::default()
    };
    put_condition(&mut status.conditions, condition, now);
}

/// Which disks were wiped, and how.
fn wiped(status: &ServerStatus) -> String {
    let stages = status.stages.iter().filter(|stage| stage.name.starts_with("wipe-"));
    let said: Vec<&str> = stages.filter_map(|stage| stage.message.as_deref()).collect();
    if said.is_empty() { "no disk could be wiped: none is built in".into() } else { said.join("; ") }
}

/// When the whole is expected to end, by the bastion's clock.
fn expected_end(progress: &Progress, now: Timestamp) -> Option<Time> {
    let end = progress.expected_end?.0;
    let left = end.duration_since(progress.clock.map_or(now, |clock| clock.0));
    now.checked_add(left).ok().map(Time::cut)
}

/// The NIC that boots is a NIC of the machine, whatever else is known of it.
pub(super) fn has_nic(status: &mut ServerStatus, mac: lab_object::mac::MacAddress) {
    if !status.nics.iter().any(|nic| nic.mac == mac) {
        status.nics.push(unknown_nic(mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::Define;
    use lab_kinds::metal::server::{Server, Stage};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("it is a time")
    }

    #[test]
    fn what_a_machine_consists_of() {
        let example = Server::example().status;
        let mut status = ServerStatus { phase: Some(Phase::Discovering), ..ServerStatus::default() };
        let boot_nic = example.nics[0].mac;
        has_nic(&mut status, boot_nic);
        status.nics[0].network = Some("rack".into());
        let nics = example.nics.iter().cloned().map(|nic| Nic { network: None, ..nic });
        let mut found = Discovery {
            hardware: example.hardware.clone(),
            disks: example.disks.clone(),
            nics: nics.collect(),
            uuid: Some("u".into()),
            problems: vec!["a".into(), "b".into()],
            ..Discovery::default()
        };
        // The same name twice would be refused as a whole.
        found.disks.push(example.disks[0].clone());
        discovered(&mut status, &found, at(7));
        assert_eq!((&status.hardware, &status.disks), (&example.hardware, &example.disks));
        assert_eq!((status.phase, status.uuid.as_deref()), (Some(Phase::Discovered), Some("u")));
        assert_eq!(status.nics[0].network.as_deref(), Some("rack"));
        let condition = &status.conditions[0];
        assert_eq!((condition.kind.as_str(), condition.message.as_deref()), ("Discovered", Some("a; b")));
        // An installed machine that is looked at stays installed, and keeps the UUID it is known by.
        (status.phase, found.uuid) = (Some(Phase::Installed), Some("other".into()));
        discovered(&mut status, &found, at(8));
        assert_eq!((status.phase, status.uuid.as_deref()), (Some(Phase::Installed), Some("u")));
    }

    #[test]
    fn how_far_it_has_come() {
        let ordered = InstallStatus { plan: "sha256:aa".into(), ..InstallStatus::default() };
        let check = |outcome, finished, expected: (Phase, &str, Option<i64>)| {
            let mut status = ServerStatus::default();
            status.stages.push(Stage { name: "unpack".into(), ..Stage::default() });
            let progress = Progress {
                plan: "sha256:aa".into(),
                stage: Stage {
                    name: "unpack".into(),
                    outcome,
                    message: outcome.map(|_| "why".into()),
                    done_bytes: Some(7),
                    ..Stage::default()
                },
                percent: 40,
                // A clock that is an hour ahead.
                clock: Some(Time(at(4600))),
                expected_end: Some(Time(at(4700))),
                finished,
            };
            progressed(&mut status, &progress, Work::Install(&ordered), at(1000));
            let condition = status.conditions[0].reason.clone().unwrap_or_default();
            let end = status.expected_end.map(|end| end.0.as_second());
            assert_eq!((status.phase, condition.as_str(), end), (Some(expected.0), expected.1, expected.2));
            assert_eq!(status.stages[0].done_bytes, Some(7));
            assert_eq!(status.install.is_some(), finished);
            assert_eq!(status.message.is_some(), expected.0 == Phase::Failed);
        };
        check(None, false, (Phase::Installing, "Installing", Some(1100)));
        check(Some(StageOutcome::Failed), false, (Phase::Failed, "InstallationFailed", None));
        check(Some(StageOutcome::Done), true, (Phase::Installed, "PlanCarriedOut", None));
    }

    #[test]
    fn what_was_wiped_is_named() {
        let mut status = ServerStatus::default();
        let stage = |name: &str| Stage {
            name: name.into(),
            message: Some(format!("disk of {name}")),
            ..Stage::default()
        };
        status.stages = vec![stage("partition"), stage("wipe-sda"), stage("wipe-sdb")];
        let said = |finished| Progress { stage: stage("wipe-sdb"), finished, ..Progress::default() };
        progressed(&mut status, &said(false), Work::Wipe, at(1));
        assert_eq!(
            (status.phase, status.conditions[0].status),
            (Some(Phase::Wiping), ConditionStatus::False)
        );
        progressed(&mut status, &said(true), Work::Wipe, at(2));
        let wiped = &status.conditions[0];
        assert_eq!((wiped.kind.as_str(), wiped.status), (WIPED, ConditionStatus::True));
        assert_eq!(wiped.message.as_deref(), Some("disk of wipe-sda; disk of wipe-sdb"));
        assert_eq!(status.install, None);
    }
}
