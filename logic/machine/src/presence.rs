//! A machine whose agent comes and goes: what its Server says of it.

use crate::{sighting::put_condition, upgrade::Standing};
use lab_kinds::metal::server::hardware::Contents;
use lab_kinds::metal::server::{AgentStatus, Disk, Nic, Phase, ServerStatus};
use lab_kinds::{Condition, ConditionStatus};
use lab_object::Time;
use lab_wire::{agent::System, site::Discovery};

/// What is new about a machine's agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum News<'a> {
    /// It is connected, and says this of the machine.
    Here {
        /// What seldom changes.
        system: &'a System,
        /// What the machine consists of, where it says so.
        inventory: Option<&'a Discovery>,
    },
    /// It is not connected any more.
    Gone,
    /// Whether it runs what it is to run; nothing where nobody says any more what that is.
    Upgraded(Option<&'a Standing>),
}

/// The condition that says whether an agent runs the version that is wanted.
pub const UPGRADED: &str = "AgentUpgraded";

/// A Server's status with what is new. It is the same where nothing is: heartbeats alone change nothing.
pub fn status(old: &ServerStatus, news: &News<'_>, now: Time) -> ServerStatus {
    let mut status = old.clone();
    if let News::Upgraded(standing) = news {
        match standing {
            Some(Standing { holds, reason, message }) => {
                condition(&mut status, UPGRADED, *holds, (reason, message), now);
            }
            None => status.conditions.retain(|condition| condition.kind != UPGRADED),
        }
        return status;
    }
    let agent = status.agent.get_or_insert_default();
    let online = matches!(news, News::Here { .. });
    if agent.online != online || agent.since.is_none() {
        (agent.online, agent.since, agent.last_heartbeat) = (online, Some(now), Some(now));
    }
    match news {
        News::Here { system, inventory } => {
            describe(agent, system);
            if !system.hostname.is_empty() {
                status.hostname = Some(system.hostname.clone());
            }
            if !system.addresses.is_empty() {
                status.addresses.clone_from(&system.addresses);
            }
            if let Some(found) = inventory {
                take_in(&mut status, found);
            }
            let joined = "The agent has joined and has a certificate of its own.";
            condition(&mut status, "Joined", true, ("AgentJoined", joined), now);
            condition(&mut status, "Ready", true, ("AgentConnected", "The agent is connected."), now);
            status.phase = Some(here(old.phase));
        }
        News::Upgraded(_) => {}
        News::Gone => {
            let why = "The agent is not connected: the machine is off, or cannot reach labd.";
            condition(&mut status, "Ready", false, ("AgentGone", why), now);
            if old.phase == Some(Phase::Ready) {
                status.phase = Some(Phase::Offline);
            }
        }
    }
    status
}

/// What is going on with a machine goes on whether or not the system that is still on it runs; everything else has come to its end.
fn here(phase: Option<Phase>) -> Phase {
    match phase {
        Some(
            going_on @ (Phase::Planned
            | Phase::Approved
            | Phase::Installing
            | Phase::Wiping
            | Phase::Failed
            | Phase::Ready),
        ) => going_on,
        None
        | Some(
            Phase::Registered
            | Phase::Discovering
            | Phase::Discovered
            | Phase::Installed
            | Phase::Offline
            | Phase::Debug,
        ) => Phase::Ready,
    }
}

fn describe(agent: &mut AgentStatus, system: &System) {
    agent.version.clone_from(&system.agent);
    agent.kernel.clone_from(&system.kernel);
    agent.operating_system.clone_from(&system.operating_system);
    // Machines reckon it from how long they have been running; a second more or less is none of their boots.
    let apart = |a: Time, b: Time| a.0.duration_since(b.0).abs().as_secs() > 5;
    match (agent.booted, system.booted) {
        (Some(before), Some(booted)) if !apart(before, booted) => {}
        (_, booted) => agent.booted = booted,
    }
}

/// Takes in what the machine consists of; what the site knows of its NICs is kept, and what discovery saw on disks that the installed
/// system has no tools to read. A plan that is made of it is compared with the disks before anything is written.
fn take_in(status: &mut ServerStatus, found: &Discovery) {
    status.uuid = found.uuid.clone().or(status.uuid.take());
    status.hardware = found.hardware.clone();
    let (seen, groups) = (std::mem::take(&mut status.disks), std::mem::take(&mut status.volume_groups));
    status.disks = found.disks.iter().map(|disk| readable(disk, &seen)).collect();
    let all = status.disks == found.disks || !found.volume_groups.is_empty();
    status.volume_groups = if all { found.volume_groups.clone() } else { groups };
    let before = std::mem::take(&mut status.nics);
    let known = |nic: &Nic| before.iter().find(|other| other.mac == nic.mac);
    status.nics = found.nics.iter().map(|nic| merged(nic, known(nic))).collect();
}

/// A disk, with the contents that were seen on it before where they cannot be read now.
fn readable(disk: &Disk, seen: &[Disk]) -> Disk {
    let unreadable = disk.contents == Contents::unreadable();
    let same = |other: &&Disk| {
        (&other.serial, &other.wwn, other.size_bytes) == (&disk.serial, &disk.wwn, disk.size_bytes)
            && (!disk.serial.is_empty() || !disk.wwn.is_empty())
    };
    let before = seen.iter().find(same).filter(|_| unreadable);
    let contents = before.map_or_else(|| disk.contents.clone(), |before| before.contents.clone());
    Disk { contents, ..disk.clone() }
}

fn merged(nic: &Nic, before: Option<&Nic>) -> Nic {
    let Some(before) = before else { return nic.clone() };
    Nic {
        boot: nic.boot || before.boot,
        network: nic.network.clone().or_else(|| before.network.clone()),
        lldp: nic.lldp.clone().or_else(|| before.lldp.clone()),
        ..nic.clone()
    }
}

fn condition(status: &mut ServerStatus, kind: &str, holds: bool, (reason, message): (&str, &str), now: Time) {
    let condition = Condition {
        kind: kind.into(),
        status: if holds { ConditionStatus::True } else { ConditionStatus::False },
        reason: Some(reason.into()),
        message: Some(message.into()),
        ..Condition::default()
    };
    put_condition(&mut status.conditions, condition, now.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::server::VolumeGroup;
    use serde_json::json;

    fn at(seconds: i64) -> Time {
        Time(jiff::Timestamp::from_second(seconds).unwrap())
    }

    fn system() -> System {
        System {
            agent: "0.1.0".into(),
            hostname: "db-1".into(),
            kernel: "6.12.0".into(),
            booted: Some(at(50)),
            addresses: vec![[10, 0, 0, 7].into()],
            ..System::default()
        }
    }

    #[test]
    fn how_an_upgrade_stands_is_a_condition_and_nothing_else() {
        let old =
            status(&ServerStatus::default(), &News::Here { system: &system(), inventory: None }, at(100));
        let standing = Standing::short("RolledBack", "It ended.".into());
        let new = status(&old, &News::Upgraded(Some(&standing)), at(200));
        let found = new.conditions.iter().find(|condition| condition.kind == UPGRADED).unwrap();
        assert_eq!((found.status, found.reason.as_deref()), (ConditionStatus::False, Some("RolledBack")));
        assert_eq!(status(&new, &News::Upgraded(Some(&standing)), at(300)), new, "the same is no news");
        assert_eq!(status(&new, &News::Upgraded(None), at(300)), old);
    }

    #[test]
    fn phases() {
        let here_of = |phase| {
            let old = ServerStatus { phase, ..ServerStatus::default() };
            status(&old, &News::Here { system: &system(), inventory: None }, at(100)).phase
        };
        let gone_of = |phase| {
            let old = ServerStatus { phase, ..ServerStatus::default() };
            status(&old, &News::Gone, at(100)).phase
        };
        for (before, here, gone) in [
            (None, Phase::Ready, None),
            (Some(Phase::Registered), Phase::Ready, Some(Phase::Registered)),
            (Some(Phase::Installed), Phase::Ready, Some(Phase::Installed)),
            (Some(Phase::Offline), Phase::Ready, Some(Phase::Offline)),
            (Some(Phase::Ready), Phase::Ready, Some(Phase::Offline)),
            (Some(Phase::Approved), Phase::Approved, Some(Phase::Approved)),
            (Some(Phase::Installing), Phase::Installing, Some(Phase::Installing)),
        ] {
            assert_eq!((here_of(before), gone_of(before)), (Some(here), gone), "{before:?}");
        }
    }

    #[test]
    fn coming_and_going() {
        let news = &News::Here { system: &system(), inventory: None };
        let first = status(&ServerStatus::default(), news, at(100));
        let agent = first.agent.clone().unwrap();
        assert!(agent.online);
        assert_eq!((agent.since, agent.kernel.as_str()), (Some(at(100)), "6.12.0"));
        assert_eq!((first.hostname.as_deref(), first.addresses.len()), (Some("db-1"), 1));
        // A further heartbeat, or a labd that was restarted, changes nothing; nor does the second by which the boot is off.
        assert_eq!(status(&first, news, at(200)), first);
        let later = System { booted: Some(at(52)), ..system() };
        assert_eq!(status(&first, &News::Here { system: &later, inventory: None }, at(200)), first);
        let gone = status(&first, &News::Gone, at(300));
        assert_eq!(gone.agent.as_ref().map(|a| (a.online, a.since)), Some((false, Some(at(300)))));
        let ready = gone.conditions.iter().find(|c| c.kind == "Ready").unwrap();
        assert_eq!((ready.status, ready.last_transition_time), (ConditionStatus::False, Some(at(300))));
        assert_eq!(status(&gone, &News::Gone, at(400)), gone);
    }

    #[test]
    fn what_was_seen_on_disks_is_kept_where_it_cannot_be_read() {
        let disk = |serial: &str, contents: Contents| Disk {
            serial: serial.into(),
            size_bytes: 1 << 30,
            contents,
            ..Disk::default()
        };
        let table = Contents { uuid: "a".into(), ..Contents::default() };
        let group = |name: &str| VolumeGroup { name: name.into(), ..VolumeGroup::default() };
        let old = ServerStatus {
            disks: vec![disk("S1", table.clone())],
            volume_groups: vec![group("labvg")],
            ..ServerStatus::default()
        };
        let check = |disks: Vec<Disk>, groups: Vec<VolumeGroup>, expected: &[Contents], named: &[&str]| {
            let found = Discovery { disks, volume_groups: groups, ..Discovery::default() };
            let new = status(&old, &News::Here { system: &system(), inventory: Some(&found) }, at(1));
            let contents: Vec<_> = new.disks.iter().map(|disk| disk.contents.clone()).collect();
            let names: Vec<_> = new.volume_groups.iter().map(|group| group.name.as_str()).collect();
            assert_eq!((contents.as_slice(), names.as_slice()), (expected, named));
        };
        let unreadable = Contents::unreadable;
        check(vec![disk("S1", unreadable())], vec![], std::slice::from_ref(&table), &["labvg"]);
        check(vec![disk("S1", unreadable())], vec![group("b")], std::slice::from_ref(&table), &["b"]);
        // Another disk, or one that can be read, is as it is.
        check(vec![disk("S2", unreadable())], vec![], &[unreadable()], &[]);
        check(vec![disk("", unreadable())], vec![], &[unreadable()], &[]);
        check(vec![disk("S1", Contents::default())], vec![], &[Contents::default()], &[]);
    }

    #[test]
    fn what_the_site_knows_of_nics_is_kept() {
        let nic = |json| serde_json::from_value::<Nic>(json).unwrap();
        let known = nic(json!({"mac": "52:54:00:00:00:01", "boot": true, "network": "lan"}));
        let nic = nic(json!({"mac": "52:54:00:00:00:01", "name": "enp1s0"}));
        let old = ServerStatus { nics: vec![known], ..ServerStatus::default() };
        let found = Discovery { nics: vec![nic], ..Discovery::default() };
        let new = status(&old, &News::Here { system: &system(), inventory: Some(&found) }, at(1));
        let nic = &new.nics[0];
        assert_eq!((nic.boot, nic.network.as_deref(), nic.name.as_str()), (true, Some("lan"), "enp1s0"));
    }
}
