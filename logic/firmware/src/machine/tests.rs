//! Machines against servers that answer as those did in the recordings.

use super::*;

const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const PROXY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 50);
const JUST_THE_FILE: &[u8] = &[6, 1, 8, 255];

fn offer(file: Option<&str>) -> Answer {
    let file = file.map(Into::into);
    Answer { message: 2, server: Some(SERVER), address: Some(ADDRESS), file, ..Answer::default() }
}

fn proxy(file: &str, options: &[u8]) -> Answer {
    Answer {
        server: Some(PROXY),
        next_server: Some(PROXY),
        address: None,
        vendor_class: if file.contains("://") && file.ends_with(".efi") {
            b"HTTPClient".into()
        } else {
            b"PXEClient".into()
        },
        vendor_options: options.into(),
        ..offer(Some(file))
    }
}

/// A UEFI program, signed or not.
fn program(signed: bool) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x98..0x9a].copy_from_slice(&[0x0b, 0x02]);
    bytes[0x98 + 112 + 36] = u8::from(signed);
    bytes
}

/// What a machine did until its end, with what it is offered, and from which files it may fetch.
fn boots(kind: Kind, offers: &[Answer], file: impl Fn(&str) -> Option<Vec<u8>>) -> (Vec<String>, End) {
    let mut machine = Machine::new(kind, MAC, [7; 16]);
    let (mut heard, mut done) = (Heard::PowerOn, Vec::new());
    for _ in 0..100 {
        heard = match machine.next(heard) {
            Step::Wait(_) => Heard::Waited,
            Step::End(end) => return (done, end),
            Step::Ask { question, .. } => {
                let ipxe = question.options.iter().any(|(code, _)| *code == 77);
                let of = |answer: &&Answer| {
                    answer.file.as_ref().is_none_or(|file| file.contains("script") == ipxe)
                };
                let answers: Vec<Answer> = match (question.message, question.to) {
                    (1, _) => offers.iter().filter(of).cloned().collect(),
                    (_, To::BootServer(_)) => {
                        done.push("4011".into());
                        let named = offers.iter().filter(of).find(|answer| answer.address.is_none());
                        named.map(|named| Answer { message: 5, ..named.clone() }).into_iter().collect()
                    }
                    _ => offers
                        .iter()
                        .filter(of)
                        .filter(|answer| answer.address.is_some())
                        .map(|answer| Answer { message: 5, ..answer.clone() })
                        .collect(),
                };
                Heard::Answers(answers)
            }
            Step::Fetch(fetch) => {
                let way = if matches!(fetch.way, Way::Tftp { .. }) { "tftp" } else { "http" };
                let found = file(fetch.path.trim_start_matches('/'));
                if !fetch.optional {
                    done.push(format!(
                        "{way}://{}/{}",
                        fetch.way.server(),
                        fetch.path.trim_start_matches('/')
                    ));
                }
                Heard::File(found)
            }
        };
    }
    panic!("{kind} never comes to an end: {done:?}");
}

use crate::To;

const SCRIPT: &str = "http://10.9.0.2/script.ipxe";

fn files(path: &str) -> Option<Vec<u8>> {
    match path {
        "snponly.efi" | "undionly.kpxe" => Some(program(false)),
        "shimx64.efi" | "grubx64.efi" => Some(program(true)),
        "script.ipxe" => {
            Some(b"#!ipxe\nkernel http://10.9.0.2/vmlinuz a=1\ninitrd http://10.9.0.2/initrd\nboot\n".into())
        }
        "grub/grub.cfg" => Some(b"configfile /mine\n".into()),
        "mine" => Some(b"linux /vmlinuz a=1\ninitrd /initrd\nboot\n".into()),
        "vmlinuz" => Some([&[0; 0x202][..], b"HdrS"].concat()),
        "initrd" => Some(vec![0; 100]),
        _ => None,
    }
}

#[track_caller]
fn reaches_kernel(kind: Kind, offers: &[Answer], expected: &[&str]) {
    let (done, end) = boots(kind, offers, files);
    assert!(matches!(end, End::Kernel { .. }), "{kind}: {end:?} after {done:?}");
    assert_eq!(done, expected, "{kind}");
}

#[track_caller]
fn stops(kind: Kind, offers: &[Answer], without: &str, expected: &str) {
    let (_, end) = boots(kind, offers, |path| if path == without { None } else { files(path) });
    let End::Stopped { why } = end else { panic!("{kind}: {end:?}") };
    assert!(why.contains(expected), "{kind}: {why}");
}

#[test]
fn with_a_server_that_does_both() {
    let script = offer(Some(SCRIPT));
    let ipxe = ["http://10.9.0.2/script.ipxe", "http://10.9.0.2/vmlinuz", "http://10.9.0.2/initrd"];
    reaches_kernel(Kind::Bios, std::slice::from_ref(&script), &ipxe);
    let efi = [&["tftp://10.9.0.1/snponly.efi"], &ipxe[..]].concat();
    for kind in [Kind::UefiPxe, Kind::UefiPxe2016] {
        reaches_kernel(kind, &[offer(Some("snponly.efi")), script.clone()], &efi);
    }
    let undionly = [&["tftp://10.9.0.1/undionly.kpxe"], &ipxe[..]].concat();
    reaches_kernel(Kind::BiosPxe, &[offer(Some("undionly.kpxe")), script.clone()], &undionly);
    let grub = ["shimx64.efi", "grubx64.efi", "grub/grub.cfg", "mine", "vmlinuz", "initrd"];
    let grub = grub.map(|path| format!("tftp://10.9.0.1/{path}"));
    reaches_kernel(Kind::SecureBoot, &[offer(Some("shimx64.efi"))], &grub.each_ref().map(String::as_str));
}

#[test]
fn beside_another_server() {
    let plain = offer(None);
    let script = proxy(SCRIPT, &[]);
    let ipxe = ["http://10.9.0.2/script.ipxe", "http://10.9.0.2/vmlinuz", "http://10.9.0.2/initrd"];
    reaches_kernel(Kind::Bios, &[plain.clone(), script.clone()], &ipxe);
    let binl = [&["4011", "tftp://10.9.0.2/snponly.efi"], &ipxe[..]].concat();
    let all = [plain.clone(), proxy("snponly.efi", &[]), script.clone()];
    reaches_kernel(Kind::UefiPxe, &all, &binl);
    reaches_kernel(Kind::UefiPxe2016, &all, &binl);
    let direct = [plain.clone(), proxy("snponly.efi", JUST_THE_FILE), script.clone()];
    reaches_kernel(Kind::UefiPxe, &direct, &binl[1..]);
    stops(Kind::UefiPxe2016, &direct, "", "nothing to boot");
    let http = [plain.clone(), proxy("http://10.9.0.2/snponly.efi", &[]), script];
    reaches_kernel(Kind::UefiHttp, &http, &[&["http://10.9.0.2/snponly.efi"], &ipxe[..]].concat());
    let shim = [offer(None), proxy("http://10.9.0.2/shimx64.efi", &[])];
    stops(Kind::SecureBootHttp, &shim, "", "where it was loaded by HTTP");
    stops(Kind::SecureBoot, &[plain, proxy("shimx64.efi", JUST_THE_FILE)], "", "does not hear proxy offers");
}

#[test]
fn where_it_goes_no_further() {
    let both = [offer(Some("snponly.efi")), offer(Some(SCRIPT))];
    stops(Kind::UefiPxe, &[], "", "nobody offered it an address");
    stops(Kind::UefiPxe, &both, "snponly.efi", "snponly.efi did not come");
    stops(Kind::UefiPxe, &both, "vmlinuz", "http://10.9.0.2/vmlinuz did not come");
    stops(Kind::SecureBoot, &[offer(Some("snponly.efi"))], "", "is not signed");
    stops(Kind::SecureBoot, &[offer(Some("shimx64.efi"))], "grubx64.efi", "shim found no grubx64.efi");
    stops(Kind::SecureBoot, &[offer(Some("shimx64.efi"))], "mine", "configuration did not come");
    stops(Kind::UefiHttp, &both, "", "nothing to boot");
    // OVMF hears no proxy that does not say who it is, or what.
    let nameless = Answer { server: None, ..proxy("snponly.efi", &[]) };
    stops(Kind::UefiPxe, &[offer(None), nameless], "", "nothing to boot");
    let silent = Answer { vendor_class: Vec::new(), ..proxy("snponly.efi", &[]) };
    stops(Kind::UefiPxe, &[offer(None), silent], "", "nothing to boot");
}
