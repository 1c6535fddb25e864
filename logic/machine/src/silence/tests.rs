//! The rules on what real firmware did: the recorded traces, with the answers that were given then.

use super::*;
use crate::client::{Class, Message};
use crate::offer::Form;
use crate::timeline::{Event, Protocol, Transfer};
use lab_kinds::metal::server::status::{BootAnswer, StageOutcome};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("it is a time")
}

fn file(path: &str, outcome: Transfer) -> Event {
    Event::File { protocol: Protocol::Tftp, path: path.trim_start_matches('/').into(), outcome }
}

/// A line of a trace as events, with the answer that followed.
fn events(line: &str, firmware: Form, last_class: &mut Class) -> Vec<Event> {
    let quoted = || line.split('\'').nth(1).unwrap_or_default();
    if line.contains("ICMPv6 RS") {
        return vec![Event::RouterSolicited];
    }
    if line.contains("TFTP RRQ") {
        let missing = quoted().starts_with("revocations")
            || quoted().starts_with("shim_cert")
            || quoted().contains("grub/");
        return vec![file(quoted(), if missing { Transfer::NotFound } else { Transfer::Began })];
    }
    if line.contains("TFTP ERROR") {
        return vec![file("", Transfer::Aborted)];
    }
    if line.contains("TFTP done") {
        return vec![file("", Transfer::Done { bytes: 1 })];
    }
    if !line.contains(" DHCP ") {
        return Vec::new();
    }
    // "(same shape)" means that the packet was as the one before of its kind.
    *last_class = match () {
        () if line.contains("77=b'iPXE'") => Class::Ipxe,
        () if line.contains("HTTPClient") => Class::Http,
        () if line.contains("PXEClient") => Class::Pxe,
        () => *last_class,
    };
    let message = if line.contains("DISCOVER") { Message::Discover } else { Message::Request };
    let port = if line.contains(":4011") { 4011 } else { 67 };
    let asked = Event::Asked { message, class: *last_class, port };
    let form = match (*last_class, port) {
        (Class::Ipxe, _) if matches!(firmware, Form::ProxyBinl | Form::ProxyDirect) => Form::ProxyIpxe,
        (Class::Ipxe, _) => Form::FullIpxe,
        (_, 4011) => Form::Binl,
        _ => firmware,
    };
    let answered = Event::Answered { form, address: None, file: None, why: String::new() };
    // A request to the server that gives the addresses is not the boot server's to answer.
    let silent =
        matches!(form, Form::ProxyBinl | Form::ProxyDirect | Form::ProxyIpxe) && message == Message::Request;
    if silent { vec![asked] } else { vec![asked, answered] }
}

fn timeline(trace: &str, form: Form) -> Timeline {
    let mut timeline = Timeline::new(1000);
    let mut class = Class::Pxe;
    let mut path = String::new();
    for line in trace.lines() {
        let seconds: f64 =
            line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
        for mut event in events(line, form, &mut class) {
            if let Event::File { path: named, .. } = &mut event {
                // Ends of transfers are of the file that was asked for last.
                if named.is_empty() { named.clone_from(&path) } else { path.clone_from(named) }
            }
            #[allow(clippy::cast_possible_truncation, reason = "traces last a minute")]
            timeline.record(at(seconds as i64), event);
        }
    }
    timeline
}

#[track_caller]
fn check(timeline: &Timeline, expected: Option<&str>) {
    let end = timeline.last().expect("something happened").as_second();
    let found = explain(timeline, at(end + 600));
    assert_eq!(found.as_ref().map(|e| e.rule), expected, "{found:?}");
    if let Some(found) = found {
        assert!(!found.cause.is_empty() && !found.advice.is_empty());
    }
}

#[test]
fn recorded_firmware() {
    let cases = [
        // Each of these boots loaded iPXE twice, as the recording server named no script.
        ("bios", include_str!("../../traces/bios.log"), Form::Full, "ipxe-loop"),
        ("full-60-43", include_str!("../../traces/full-60-43.log"), Form::Full, "ipxe-loop"),
        ("full-60-no43", include_str!("../../traces/full-60-no43.log"), Form::Full, "ipxe-loop"),
        ("full-no60", include_str!("../../traces/full-no60.log"), Form::Full, "ipxe-loop"),
        ("ra0", include_str!("../../traces/ra0.log"), Form::Full, "ipxe-loop"),
        ("ra1", include_str!("../../traces/ra1.log"), Form::Full, "ipxe-loop"),
        // No HTTP server was running.
        ("full-http", include_str!("../../traces/full-http.log"), Form::Full, "ipxe-script-not-fetched"),
        ("pb", include_str!("../../traces/pb.log"), Form::ProxyBinl, "ipxe-script-not-fetched"),
        ("proxy-43", include_str!("../../traces/proxy-43.log"), Form::ProxyDirect, "ipxe-script-not-fetched"),
        ("http-proxy", include_str!("../../traces/http-proxy.log"), Form::Http, "http-not-fetched"),
        (
            "proxy-no54",
            include_str!("../../traces/proxy-no54.log"),
            Form::ProxyBinl,
            "nobody-gives-addresses",
        ),
        (
            "proxy-no60",
            include_str!("../../traces/proxy-no60.log"),
            Form::ProxyBinl,
            "nobody-gives-addresses",
        ),
        ("sb-full", include_str!("../../traces/sb-full.log"), Form::Full, "file-not-found"),
        ("sb-ipxe", include_str!("../../traces/sb-ipxe.log"), Form::Full, "secure-boot-refused"),
        ("sb-p43", include_str!("../../traces/sb-p43.log"), Form::ProxyDirect, "grub-ignores-proxy"),
        ("sb-pb", include_str!("../../traces/sb-pb.log"), Form::ProxyBinl, "grub-ignores-proxy"),
    ];
    for (name, trace, form, expected) in cases {
        println!("{name}");
        check(&timeline(trace, form), Some(expected));
    }
}

/// A boot, cut off after each step.
#[test]
fn every_step_of_a_boot() {
    let asked = |message, class, port| Event::Asked { message, class, port };
    let answered = |form| Event::Answered { form, address: None, file: None, why: String::new() };
    let done = |path: &str| file(path, Transfer::Done { bytes: 1 });
    let stage = |outcome| Event::Stage { name: "partition".into(), outcome, message: String::new() };
    let steps = [
        (asked(Message::Discover, Class::Pxe, 67), "offer-not-taken"),
        (answered(Form::ProxyBinl), "nobody-gives-addresses"),
        (Event::AnsweredByOther { server: [10, 9, 0, 1].into() }, "offer-not-taken"),
        (asked(Message::Request, Class::Pxe, 67), "proxy-offer-ignored-binl"),
        (asked(Message::Request, Class::Pxe, 4011), "asked-4011-only"),
        (answered(Form::Binl), "asked-4011-only"),
        (file("snponly.efi", Transfer::Began), "program-not-finished"),
        (file("snponly.efi", Transfer::TimedOut), "transfer-broke-off"),
        (file("snponly.efi", Transfer::NotFound), "file-not-found"),
        (done("snponly.efi"), "program-silent"),
        (asked(Message::Discover, Class::Ipxe, 67), "ipxe-offer-not-taken"),
        (answered(Form::ProxyIpxe), "ipxe-offer-not-taken"),
        (asked(Message::Request, Class::Ipxe, 67), "ipxe-script-not-fetched"),
        (done("boot/52-54-00-00-00-01/-/script.ipxe"), "script-then-nothing"),
        (Event::Booted { answer: BootAnswer::Install, why: String::new() }, "script-then-nothing"),
        (done("systems/discovery/amd64/vmlinuz"), "initrd-not-fetched"),
        (done("systems/discovery/amd64/initrd"), "kernel-silent"),
        (stage(None), "stage-hangs"),
        (stage(Some(StageOutcome::Done)), "rebooting"),
        (stage(Some(StageOutcome::Failed)), "stage-failed"),
        (Event::Heartbeat, "joined-then-silent"),
        // The next boot begins anew.
        (asked(Message::Discover, Class::Pxe, 67), "offer-not-taken"),
        (answered(Form::ProxyDirect), "nobody-gives-addresses"),
        (asked(Message::Discover, Class::Pxe, 67), "nobody-gives-addresses"),
        (asked(Message::Request, Class::Pxe, 67), "proxy-offer-ignored-direct"),
    ];
    let mut timeline = Timeline::new(1000);
    for (second, (event, expected)) in (0..).zip(steps) {
        timeline.record(at(second), event.clone());
        println!("{event:?}");
        check(&timeline, Some(expected));
    }
}

/// shim and GRUB by HTTP, after which GRUB stands at its prompt.
#[test]
fn secure_boot_by_http() {
    let mut timeline = Timeline::new(100);
    let asked = |message| Event::Asked { message, class: Class::Http, port: 67 };
    let answered = Event::Answered { form: Form::Http, address: None, file: None, why: String::new() };
    let fetched = |path: &str| file(path, Transfer::Done { bytes: 1 });
    let events = [
        asked(Message::Discover),
        answered,
        asked(Message::Request),
        fetched("shimx64.efi"),
        file("revocations_sku.efi", Transfer::NotFound),
        fetched("grubx64.efi"),
    ];
    for (second, event) in (0..).zip(events) {
        timeline.record(at(second), event);
    }
    check(&timeline, Some("grub-silent-after-http"));
}

#[test]
fn the_local_disk_and_the_unanswered() {
    let mut timeline = Timeline::new(10);
    assert_eq!(explain(&timeline, at(0)), None);
    timeline.record(at(0), Event::Asked { message: Message::Discover, class: Class::Pxe, port: 67 });
    timeline.record(at(0), Event::Unanswered { why: "every address is taken".into() });
    assert_eq!(explain(&timeline, at(5)), None, "it is given time");
    let found = explain(&timeline, at(20)).expect("it is quiet");
    assert_eq!(found.rule, "not-answered");
    assert!(found.cause.ends_with("every address is taken"));
    timeline.record(at(1), Event::Booted { answer: BootAnswer::Local, why: "installed".into() });
    assert_eq!(explain(&timeline, at(300)), None, "a system takes time to start");
    check(&timeline, Some("local-disk"));
}
