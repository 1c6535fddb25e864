//! What is reported of a machine that was heard on the wire: a new Server, and its status as far as a bastion can know it.

mod said;

pub use said::{Said, Work};

use crate::client::Platform;
use crate::silence::{Attempt, explain};
use crate::timeline::{Event, Timeline};
use jiff::Timestamp;
use lab_kinds::metal::Server;
use lab_kinds::metal::server::BootOnce;
use lab_kinds::metal::server::hardware::Nic;
use lab_kinds::metal::server::status::{BootAnswer, BootStatus, Phase, ServerStatus, Stage};
use lab_kinds::{Condition, ConditionStatus};
use lab_object::{Time, mac::MacAddress};
use std::net::{IpAddr, Ipv4Addr};

/// What a bastion saw of a machine.
#[derive(Debug, Clone)]
pub struct Sighting<'a> {
    /// The bastion's name.
    pub bastion: &'a str,
    /// The NIC that boots.
    pub mac: MacAddress,
    /// The machine's SMBIOS UUID, where its firmware says one.
    pub uuid: Option<&'a str>,
    /// What its firmware is.
    pub platform: Option<Platform>,
    /// The architecture number in its request.
    pub architecture: Option<u16>,
    /// The address that it has.
    pub address: Option<Ipv4Addr>,
    /// The Network object it boots on.
    pub network: Option<&'a str>,
    /// What was served once, and the generation of the Server of which that was the answer.
    pub once: Option<(BootOnce, Option<i64>)>,
    /// What happened to it.
    pub timeline: &'a Timeline,
    /// What it said of itself that was not reported yet.
    pub said: Said<'a>,
}

/// A Server for a machine that nobody knows, named by the NIC that it booted from.
pub fn entered(mac: MacAddress) -> Server {
    let mut server = Server::default();
    server.metadata.name = Some(mac.dashed());
    server
}

/// A Server's status after a machine was seen to be it. What others report stays as it is.
pub fn status(server: &Server, seen: &Sighting, now: Timestamp) -> ServerStatus {
    let mut status = server.status.clone();
    status.bastion = Some(seen.bastion.into());
    if status.uuid.is_none() {
        status.uuid = seen.uuid.map(Into::into);
    }
    let attempt = Attempt::of(seen.timeline);
    boot(&mut status, seen, attempt.as_ref());
    status.phase = Some(phase(&status, attempt.as_ref()));
    if let Some(found) = seen.said.discovery {
        said::discovered(&mut status, found, now);
    }
    stages(&mut status, seen.timeline, attempt.as_ref());
    if let Some((progress, work)) = seen.said.progress {
        said::progressed(&mut status, progress, work, now);
    }
    nic(&mut status, seen);
    address(&mut status, seen);
    if let Some(attempt) = &attempt {
        let condition = network_boot(&status, seen, attempt, now);
        put_condition(&mut status.conditions, condition, now);
    }
    let recognised = Condition {
        kind: "Recognised".into(),
        status: ConditionStatus::True,
        reason: Some("NamesAgree".into()),
        ..Default::default()
    };
    // Said only to take back that it was not so.
    if status.conditions.iter().any(|condition| condition.kind == "Recognised") {
        put_condition(&mut status.conditions, recognised, now);
    }
    status
}

/// A Server's status after a machine with its MAC address was seen whose UUID is not its own.
pub fn contradicted(server: &Server, why: &str, now: Timestamp) -> ServerStatus {
    let mut status = server.status.clone();
    let condition = Condition {
        kind: "Recognised".into(),
        status: ConditionStatus::False,
        reason: Some("NamesContradict".into()),
        message: Some(why.into()),
        ..Default::default()
    };
    put_condition(&mut status.conditions, condition, now);
    status
}

fn boot(status: &mut ServerStatus, seen: &Sighting, attempt: Option<&Attempt>) {
    let before = status.boot.take().unwrap_or_default();
    let Some(attempt) = attempt else {
        status.boot = Some(before);
        return;
    };
    // Whole seconds are stored, and a boot is the same one as long as they agree.
    let at = attempt.began.map(Time);
    let same = at.map(|at| at.to_string()) == before.at.map(|at| at.to_string());
    let (served_once, served_generation) = match seen.once {
        Some((once, generation)) => (Some(once), generation),
        None => (before.served_once, before.served_generation),
    };
    status.boot = Some(BootStatus {
        at: if same { before.at } else { at },
        firmware: seen.platform.map(Platform::firmware).or(before.firmware),
        client_architecture: seen.architecture.map(i32::from).or(before.client_architecture),
        answer: attempt.answer.or(before.answer.filter(|_| same)),
        step: Some(attempt.step()),
        served_once,
        served_generation,
    });
}

/// Where a machine is that was heard. Only what nobody has looked into yet, and the rescue system, are for the bastion to say.
fn phase(status: &ServerStatus, attempt: Option<&Attempt>) -> Phase {
    let answer = attempt.and_then(|attempt| attempt.answer);
    match (status.phase, answer) {
        (_, Some(BootAnswer::Debug)) => Phase::Debug,
        (Some(Phase::Debug), Some(BootAnswer::Local)) if status.install.is_some() => Phase::Installed,
        (None | Some(Phase::Registered), _) | (Some(Phase::Debug), Some(_)) => Phase::Discovering,
        (Some(phase), _) => phase,
    }
}

/// The stages that the machine itself said by way of the bastion since its boot began. An agent that is connected reports its own.
fn stages(status: &mut ServerStatus, timeline: &Timeline, attempt: Option<&Attempt>) {
    let Some(began) = attempt.and_then(|attempt| attempt.began) else { return };
    if status.agent.as_ref().is_some_and(|agent| agent.online) {
        return;
    }
    let said = timeline.entries().filter(|entry| entry.first >= began);
    let said = said.filter_map(|entry| match &entry.event {
        Event::Stage { name, outcome, message } => Some((entry.first, name, *outcome, message)),
        _ => None,
    });
    for (at, name, outcome, message) in said {
        // Those of the installation before go with the first one of this.
        status
            .stages
            .retain(|stage| stage.started.or(stage.ended).is_some_and(|time| whole(time.0) >= whole(began)));
        let place = status.stages.iter().position(|stage| stage.name == *name);
        let place = place.unwrap_or_else(|| {
            status.stages.push(Stage { name: name.clone(), ..Stage::default() });
            status.stages.len() - 1
        });
        let stage = &mut status.stages[place];
        let same = |time: Option<Time>| time.is_some_and(|time| whole(time.0) == whole(at));
        if outcome.is_none() && !same(stage.started) {
            *stage = Stage { name: name.clone(), started: Some(Time(at)), ..Stage::default() };
        }
        if outcome.is_some() && !same(stage.ended) {
            stage.ended = Some(Time(at));
        }
        stage.outcome = outcome;
        if outcome.is_none() {
            stage.ended = None;
        }
        stage.message = Some(message.clone()).filter(|message| !message.is_empty()).or(stage.message.take());
    }
    if attempt.is_some_and(|attempt| attempt.stage.is_some()) {
        status.stage =
            status.stages.iter().rfind(|stage| stage.ended.is_none()).map(|stage| stage.name.clone());
    }
}

/// A time as it is stored: in whole seconds.
fn whole(time: Timestamp) -> i64 {
    time.as_second()
}

fn nic(status: &mut ServerStatus, seen: &Sighting) {
    said::has_nic(status, seen.mac);
    for nic in &mut status.nics {
        nic.boot = nic.mac == seen.mac;
        if !nic.boot {
            continue;
        }
        if let Some(network) = seen.network {
            nic.network = Some(network.into());
        }
        if let Some(address) = seen.address.map(IpAddr::V4)
            && !nic.addresses.contains(&address)
        {
            // What DHCP gave this NIC before is gone with the boot that it was for; others than IPv4 are not DHCP's.
            nic.addresses.retain(IpAddr::is_ipv6);
            nic.addresses.insert(0, address);
        }
    }
}

/// A NIC of which only its address is known.
fn unknown_nic(mac: MacAddress) -> Nic {
    Nic {
        mac,
        name: String::new(),
        driver: String::new(),
        link: None,
        speed_mbps: None,
        boot: false,
        network: None,
        addresses: Vec::new(),
        lldp: None,
    }
}

/// A machine whose agent reports knows its addresses better.
fn address(status: &mut ServerStatus, seen: &Sighting) {
    let reported = status.agent.as_ref().is_some_and(|agent| agent.online);
    if let Some(address) = seen.address.map(IpAddr::V4)
        && !reported
        && !status.addresses.contains(&address)
    {
        status.addresses = vec![address];
    }
}

fn network_boot(status: &ServerStatus, seen: &Sighting, attempt: &Attempt, now: Timestamp) -> Condition {
    let explained = if heard_since(status, attempt) { None } else { explain(seen.timeline, now) };
    let condition = Condition { kind: "NetworkBoot".into(), ..Default::default() };
    match explained {
        Some(silence) => Condition {
            status: ConditionStatus::False,
            reason: Some(camel_case(silence.rule)),
            message: Some(format!("{}; {}", silence.cause, silence.advice)),
            ..condition
        },
        None => {
            Condition { status: ConditionStatus::True, reason: Some("NothingIsMissing".into()), ..condition }
        }
    }
}

/// Whether what the machine started was heard by others than the bastion since the boot began.
fn heard_since(status: &ServerStatus, attempt: &Attempt) -> bool {
    let Some(began) = attempt.began else { return false };
    let since = |time: Option<Time>| time.is_some_and(|time| time.0 > began);
    let agent = status.agent.as_ref();
    let found = status.conditions.iter().find(|condition| condition.kind == "Discovered");
    agent.is_some_and(|agent| agent.online || since(agent.last_heartbeat))
        || status.stages.iter().any(|stage| since(stage.started) || since(stage.ended))
        || found.is_some_and(|condition| since(condition.last_transition_time))
}

/// `offer-not-taken` as `OfferNotTaken`.
fn camel_case(rule: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    rule.split('-').map(word).collect()
}

/// Puts a condition in the place of the one of its kind. When it last changed stays where it did not.
pub(crate) fn put_condition(conditions: &mut Vec<Condition>, condition: Condition, now: Timestamp) {
    let now = Some(Time(now));
    match conditions.iter_mut().find(|other| other.kind == condition.kind) {
        Some(other) => {
            let same = other.status == condition.status;
            let since = if same { other.last_transition_time.or(now) } else { now };
            *other = Condition { last_transition_time: since, ..condition };
        }
        None => conditions.push(Condition { last_transition_time: now, ..condition }),
    }
}

/// Whether `spec.boot.once` was served as it stands and can be taken away.
pub fn once_is_spent(server: &Server) -> bool {
    let Some(boot) = &server.status.boot else { return false };
    server.spec.boot.once.is_some()
        && boot.served_once == server.spec.boot.once
        && boot.served_generation.is_some()
        && boot.served_generation == server.metadata.generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Class, Message};
    use crate::offer::Form;
    use crate::timeline::{Protocol, Transfer};
    use lab_kinds::metal::server::status::{AgentStatus, BootStep, InstallStatus, StageOutcome};

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("it is a time")
    }

    fn seen(timeline: &Timeline) -> Sighting<'_> {
        Sighting {
            bastion: "home-1",
            mac: MAC,
            uuid: Some("11111111-1111-1111-1111-111111111111"),
            platform: Some(Platform::UefiX64),
            architecture: Some(7),
            address: Some([10, 9, 0, 50].into()),
            network: Some("rack"),
            once: None,
            timeline,
            said: Said::default(),
        }
    }

    fn asked(class: Class) -> Event {
        Event::Asked { message: Message::Discover, class, port: 67 }
    }

    fn answered(form: Form) -> Event {
        Event::Answered { form, address: None, file: Some("snponly.efi".into()), why: "iPXE".into() }
    }

    fn file(path: &str, bytes: u64) -> Event {
        Event::File { protocol: Protocol::Tftp, path: path.into(), outcome: Transfer::Done { bytes } }
    }

    /// A boot, an event every second.
    fn timeline(events: &[Event]) -> Timeline {
        let mut timeline = Timeline::new(100);
        for (second, event) in (100..).zip(events) {
            timeline.record(at(second), event.clone());
        }
        timeline
    }

    #[test]
    fn an_unknown_machine_becomes_a_server() {
        let server = entered(MAC);
        assert_eq!(server.metadata.name.as_deref(), Some("52-54-00-00-00-01"));
        let timeline = timeline(&[asked(Class::Pxe), answered(Form::Full)]);
        let status = status(&server, &seen(&timeline), at(102));
        let expected = serde_json::json!({
            "phase": "Discovering", "bastion": "home-1", "uuid": "11111111-1111-1111-1111-111111111111",
            "addresses": ["10.9.0.50"],
            "boot": {"at": "1970-01-01T00:01:40Z", "firmware": "uefi", "clientArchitecture": 7, "step": "answered"},
            "nics": [{"mac": "52:54:00:00:00:01", "boot": true, "network": "rack", "addresses": ["10.9.0.50"]}],
            "conditions": [{"type": "NetworkBoot", "status": "True", "reason": "NothingIsMissing",
                "lastTransitionTime": "1970-01-01T00:01:42Z"}],
        });
        assert_eq!(serde_json::to_value(&status).expect("it is JSON"), expected);
    }

    #[test]
    fn the_same_sighting_changes_nothing() {
        let timeline = timeline(&[asked(Class::Pxe), answered(Form::Full)]);
        let mut server = entered(MAC);
        server.status = status(&server, &seen(&timeline), at(102));
        let stored = serde_json::to_value(&server).and_then(serde_json::from_value);
        let stored: Server = stored.expect("it is a Server");
        assert_eq!(status(&stored, &seen(&timeline), at(109)), stored.status);
    }

    #[test]
    fn steps() {
        let all = [
            (asked(Class::Pxe), BootStep::Asked),
            (answered(Form::Full), BootStep::Answered),
            (file("snponly.efi", 1), BootStep::Program),
            (asked(Class::Ipxe), BootStep::Loader),
            (Event::Booted { answer: BootAnswer::Install, why: String::new() }, BootStep::Told),
            (file("systems/discovery/amd64/vmlinuz", 1), BootStep::Told),
            (file("systems/discovery/amd64/initrd", 1), BootStep::Started),
            (Event::Heartbeat, BootStep::Heard),
        ];
        for end in 1..=all.len() {
            let events: Vec<Event> = all[..end].iter().map(|(event, _)| event.clone()).collect();
            let found = Attempt::of(&timeline(&events)).map(|attempt| attempt.step());
            assert_eq!(found, Some(all[end - 1].1), "{events:?}");
        }
    }

    #[test]
    fn silence_is_explained_until_the_machine_is_heard() {
        let timeline = timeline(&[asked(Class::Pxe), answered(Form::Full)]);
        let mut server = entered(MAC);
        server.status = status(&server, &seen(&timeline), at(102));
        server.status = status(&server, &seen(&timeline), at(400));
        let condition = |server: &Server| server.status.conditions[0].clone();
        let silent = condition(&server);
        assert_eq!(silent.status, ConditionStatus::False, "{silent:?}");
        assert_eq!(silent.last_transition_time, Some(Time(at(400))));
        server.status.agent = Some(AgentStatus { online: true, ..AgentStatus::default() });
        server.status = status(&server, &seen(&timeline), at(500));
        assert_eq!(condition(&server).status, ConditionStatus::True);
    }

    #[test]
    fn phases() {
        let booted = |answer| timeline(&[asked(Class::Pxe), Event::Booted { answer, why: String::new() }]);
        let check = |before: Option<Phase>, answer, installed: bool, expected| {
            let mut server = entered(MAC);
            server.status.phase = before;
            server.status.install = installed.then(InstallStatus::default);
            let timeline = booted(answer);
            assert_eq!(
                status(&server, &seen(&timeline), at(102)).phase,
                Some(expected),
                "{before:?} {answer:?}"
            );
        };
        use BootAnswer::{Debug, Discovery, Local};
        check(None, Discovery, false, Phase::Discovering);
        check(Some(Phase::Registered), Discovery, false, Phase::Discovering);
        check(Some(Phase::Planned), Discovery, false, Phase::Planned);
        check(Some(Phase::Ready), Local, true, Phase::Ready);
        check(Some(Phase::Ready), Debug, true, Phase::Debug);
        check(Some(Phase::Debug), Local, true, Phase::Installed);
        check(Some(Phase::Debug), Discovery, false, Phase::Discovering);
    }

    #[test]
    fn stages_that_the_machine_said() {
        let stage = |name: &str, outcome, message: &str| Event::Stage {
            name: name.into(),
            outcome,
            message: message.into(),
        };
        let mut events = vec![
            asked(Class::Pxe),
            stage("partition", None, ""),
            stage("partition", Some(StageOutcome::Done), ""),
            stage("packages", None, "fetching"),
        ];
        let mut server = entered(MAC);
        server.status.stages =
            vec![Stage { name: "old".into(), started: Some(Time(at(5))), ..Stage::default() }];
        let shown = |server: &Server| {
            let of = |time: Option<Time>| time.map_or(0, |time| time.0.as_second());
            let stages = server.status.stages.iter();
            stages
                .map(|s| format!("{} {} {} {:?}", s.name, of(s.started), of(s.ended), s.outcome))
                .collect::<Vec<_>>()
        };
        server.status = status(&server, &seen(&timeline(&events)), at(104));
        assert_eq!(shown(&server), ["partition 101 102 Some(Done)", "packages 103 0 None"]);
        assert_eq!(server.status.stage.as_deref(), Some("packages"));
        let before = server.status.clone();
        server.status = status(&server, &seen(&timeline(&events)), at(105));
        assert_eq!(server.status.stages, before.stages, "what was reported is not reported again");
        events.push(stage("packages", Some(StageOutcome::Failed), "no mirror"));
        server.status = status(&server, &seen(&timeline(&events)), at(106));
        assert_eq!(shown(&server)[1], "packages 103 104 Some(Failed)");
        assert_eq!(
            (server.status.stage.as_deref(), server.status.stages[1].message.as_deref()),
            (None, Some("no mirror"))
        );
    }

    #[test]
    fn what_was_served_once() {
        let timeline = timeline(&[asked(Class::Pxe)]);
        let mut server = entered(MAC);
        server.metadata.generation = Some(4);
        server.spec.boot.once = Some(BootOnce::Debug);
        assert!(!once_is_spent(&server));
        let served = Sighting { once: Some((BootOnce::Debug, Some(4))), ..seen(&timeline) };
        server.status = status(&server, &served, at(102));
        assert!(once_is_spent(&server));
        // Later boots do not forget it, and a later wish is not taken for it.
        server.status = status(&server, &seen(&timeline), at(103));
        assert!(once_is_spent(&server));
        server.metadata.generation = Some(6);
        assert!(!once_is_spent(&server));
        server.spec.boot.once = None;
        assert!(!once_is_spent(&server));
    }

    #[test]
    fn a_contradiction_is_said_and_taken_back() {
        let timeline = timeline(&[asked(Class::Pxe)]);
        let mut server = entered(MAC);
        server.status = contradicted(&server, "its UUID is another", at(1));
        assert_eq!(server.status.conditions[0].status, ConditionStatus::False);
        server.status = status(&server, &seen(&timeline), at(102));
        let recognised = server.status.conditions.iter().find(|c| c.kind == "Recognised").map(|c| c.status);
        assert_eq!(recognised, Some(ConditionStatus::True));
    }
}
