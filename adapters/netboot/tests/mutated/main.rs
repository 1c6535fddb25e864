//! The recorded packets, each changed in thousands of ways: a short substitute for the fuzzer, which needs a compiler of its own.

mod targets;

use std::path::Path;

/// How many packets are made of each target's recorded ones; LAB_PACKETS says another number.
const PACKETS: usize = 20_000;
/// The largest packet, in bytes.
const LARGEST: usize = 4096;

/// One change: a bit, a byte, a piece taken out, doubled, cut off, or taken from another packet.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut impl FnMut(usize) -> usize) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    let (at, length) = (random(bytes.len()), 1 + random(16));
    let end = (at + length).min(bytes.len());
    match random(7) {
        0 => bytes[at] ^= 1 << random(8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => bytes.truncate(at),
        5 => bytes.insert(at, random(256) as u8),
        _ if !other.is_empty() => {
            let from = random(other.len());
            let piece = other[from..(from + length).min(other.len())].to_vec();
            bytes.splice(at..end, piece);
        }
        _ => {}
    }
    bytes.truncate(LARGEST);
}

fn check(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it is listed").path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).expect("it is there")).collect();
    corpus.iter().for_each(|bytes| target(bytes));
    // SplitMix64 from a fixed seed: what failed once fails again.
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    };
    let packets = std::env::var("LAB_PACKETS").ok().and_then(|text| text.parse().ok()).unwrap_or(PACKETS);
    for _ in 0..packets {
        let mut bytes = corpus[random(corpus.len())].clone();
        let other = &corpus[random(corpus.len())];
        for _ in 0..1 + random(8) {
            change(&mut bytes, other, &mut random);
        }
        let outcome = std::panic::catch_unwind(|| target(&bytes));
        assert!(outcome.is_ok(), "{name} fails on {bytes:?}");
    }
}

#[test]
fn dhcp() {
    check("dhcp", targets::dhcp);
}

#[test]
fn http() {
    check("http", targets::http);
}

#[test]
fn neighbours() {
    check("neighbours", targets::neighbours);
}

#[test]
fn router() {
    check("router", targets::router);
}

#[test]
fn syslog() {
    check("syslog", targets::syslog);
}

#[test]
fn tftp() {
    check("tftp", targets::tftp);
}
