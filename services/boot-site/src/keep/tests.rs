use super::*;
use crate::log::said;
use jiff::Timestamp;
use lab_kinds::metal::network::NetworkSpec;
use lab_machine::client::{Class, Message};
use lab_machine::lease::{Pool, State, Verdict};
use lab_machine::timeline::Event;

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("it is a time")
}

/// A file as the first version wrote it, with a line that broke off.
const YESTERDAYS: &str = r#"{"lab":"leases","version":1}
{"network":"rack","address":"10.9.0.50","mac":"52:54:00:00:00:01","state":"bound","until":1000}
{"network":"rack","address":"10.9.0.51","mac":"52:54:00:00:00:02","state":"bound","until":1000}
{"network":"rack","address":"10.9.0.50","mac":"52:54:00:00:00:01","state":"bound","until":2000}
{"network":"rack","address":"10.9.0.52","mac":"52:54:00:00:00:02","state":"bound","until":2000}
{"network":"oob","address":"10.8.0.9","mac":"52:54:00:00:00:03","state":"conflict","until":1600}
{"network":"rack","addre"#;

#[test]
fn yesterdays_leases_are_read() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("leases.jsonl");
    fs::write(&path, YESTERDAYS).expect("there is room");
    let (mut file, leases) = LeaseFile::open(&path).expect("it is understood");
    let rack: Vec<_> =
        leases["rack"].iter().map(|lease| (lease.address.octets()[3], lease.mac.0[5], lease.until)).collect();
    assert_eq!(rack, [(50, 1, 2000), (52, 2, 2000)]);
    assert_eq!(leases["oob"].iter().map(|lease| lease.state).collect::<Vec<_>>(), [State::Conflict]);
    // What broke off is gone, and what comes next is whole.
    let lease = Lease { address: [10, 9, 0, 53].into(), mac: MAC, state: State::Bound, until: 3000 };
    file.append(vec![("rack".into(), vec![lease])]).expect("there is room");
    drop(file);
    let (_, leases) = LeaseFile::open(&path).expect("it is understood");
    assert_eq!(leases["rack"].of(MAC), Some([10, 9, 0, 53].into()));
    assert_eq!(leases["rack"].iter().count(), 2);
}

#[test]
fn leases_of_another_form_are_refused() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("leases.jsonl");
    let check = |text: &str, expected: &str| {
        fs::write(&path, text).expect("there is room");
        let error = LeaseFile::open(&path).expect_err("it is refused").to_string();
        assert_eq!(error.replace(&*path.to_string_lossy(), "FILE"), expected);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), text, "nothing is changed");
    };
    check(
        "{\"lab\":\"leases\",\"version\":2}\n",
        "FILE has version 2 of its form, and this program reads version 1; use the newer program that wrote it",
    );
    check("{\"lab\":\"machine\",\"version\":1}\n", "FILE is no file of leases; move it away");
    check("garbage", "FILE is no file of leases; move it away");
}

#[test]
fn leases_that_were_given_are_stored_and_the_file_stays_short() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("leases.jsonl");
    let (mut file, _) = LeaseFile::open(&path).expect("it is made");
    let spec: NetworkSpec = serde_json::from_value(serde_json::json!({
        "cidr": "10.9.0.0/24", "dhcp": {"mode": "full", "ranges": [{"start": "10.9.0.50", "end": "10.9.0.60"}]}
    }))
    .expect("it is a network");
    let pool = Pool::new("rack", &spec, [], &[]);
    let mut leases = Leases::default();
    leases.offer(&pool, MAC, None, at(1)).expect("there is one");
    assert_eq!(leases.take_changed(), [], "what is only offered is not stored");
    for second in 0..100 {
        let verdict = leases.request(&pool, MAC, [10, 9, 0, 55].into(), 30, at(second));
        assert_eq!(verdict, Verdict::Ack([10, 9, 0, 55].into()));
        let changed = leases.take_changed();
        assert_eq!(changed.len(), 1);
        file.append(vec![("rack".into(), changed.repeat(25))]).expect("there is room");
        if file.is_overgrown(1) {
            file.rewrite(vec![("rack".into(), leases.iter().copied().collect())]).expect("there is room");
        }
    }
    drop(file);
    assert!(fs::read_to_string(&path).expect("it is there").lines().count() < 1100);
    let (_, stored) = LeaseFile::open(&path).expect("it is understood");
    assert_eq!(stored["rack"].iter().collect::<Vec<_>>(), leases.iter().collect::<Vec<_>>());
}

#[test]
fn machines_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().expect("there is room");
    let (files, none) = MachineFiles::open(folder.path()).expect("it can be made");
    assert!(none.is_empty());
    let mut known = Knowledge::default();
    let asked = Event::Asked { message: Message::Discover, class: Class::Pxe, port: 67 };
    let check = |known: &Knowledge| {
        let (_, machines) = MachineFiles::open(folder.path()).expect("it can be read");
        let (stored, kept) = (&machines[&MAC], &known.machines[&MAC]);
        assert_eq!(stored.timeline.last(), kept.timeline.last());
        assert_eq!(stored.lines().collect::<Vec<_>>(), kept.lines().collect::<Vec<_>>());
        assert_eq!((&stored.uuid, stored.reported), (&kept.uuid, kept.reported));
    };
    known.record(MAC, at(1), asked.clone()).describe(|machine| machine.uuid = Some("u".into()));
    known.record(MAC, at(2), asked);
    known.record(MAC, at(3), Event::Unanswered { why: "no reason".into() });
    for second in 0..3000 {
        let message = lab_netboot::syslog::Message { text: format!("line {second}"), ..Default::default() };
        known.heard(MAC).expect("it was heard").log(said(at(4 + second), message));
        if second % 100 == 0 {
            let (unsaved, forgotten) = known.take_unsaved();
            write_machines(&files, unsaved, forgotten);
            check(&known);
        }
    }
    known.heard(MAC).expect("it was heard").was_reported(Some(at(3000)));
    let (unsaved, forgotten) = known.take_unsaved();
    write_machines(&files, unsaved, forgotten);
    check(&known);
    let kept: Vec<&str> = known.machines[&MAC].lines().map(|line| line.text.as_str()).collect();
    assert_eq!((kept.len(), kept[0], kept[1999]), (2000, "line 1000", "line 2999"));
    files.remove(MAC);
    assert!(MachineFiles::open(folder.path()).expect("it can be read").1.is_empty());
}

#[test]
fn an_overgrown_file_is_written_anew_in_order() {
    let mut machine = Machine::default();
    machine.record(at(1), Event::Heartbeat);
    machine.log(said(at(2), lab_netboot::syslog::Message { text: "a".into(), ..Default::default() }));
    machine.record(at(3), Event::RouterSolicited);
    let again = Machine::stored(machine.records());
    assert_eq!(again.lines().collect::<Vec<_>>(), machine.lines().collect::<Vec<_>>());
    let texts: Vec<&str> = again.lines().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["its agent was heard", "a", "looked for an IPv6 router"]);
}
