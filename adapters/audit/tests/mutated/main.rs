//! Trails changed in thousands of ways: a short substitute for the fuzzer, which needs a compiler of its own.

mod targets;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::path::Path;

/// How many trails are made for each target.
const TRAILS: u32 = 2_000;

fn check<S: Strategy>(strategy: S, target: impl Fn(S::Value)) {
    // What failed once fails again, as the failure says from which seed.
    let config = Config { cases: TRAILS, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&strategy, |value| {
        target(value);
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn any_bytes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/segment");
    let files = std::fs::read_dir(folder).expect("the corpus is there");
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file?.path());
    let corpus: Vec<Vec<u8>> = files.map(|file| read(file).expect("it is there")).collect();
    corpus.iter().for_each(|bytes| targets::segment(bytes));
    let place = any::<prop::sample::Index>;
    let change = (place(), place(), any::<u8>(), 0usize..6);
    let changed = (prop::sample::select(corpus), prop::collection::vec(change, 1..8));
    check(changed, |(mut bytes, changes)| {
        for (from, to, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            match how {
                0 => bytes[from] = byte,
                1 => bytes.truncate(from),
                2 => bytes.insert(from, byte),
                3 => drop(bytes.drain(from.min(to)..from.max(to))),
                4 => bytes.copy_within(from.max(to).., from.min(to)),
                _ => bytes[from.min(to)..from.max(to)].fill(0),
            }
        }
        targets::segment(&bytes);
    });
}

#[test]
fn edited_lines() {
    targets::edited(&[]);
    check(prop::collection::vec(any::<u8>(), 0..18), |edits| targets::edited(&edits));
}
