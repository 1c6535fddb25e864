//! Installations on real disks, with the real tools: in a virtual machine whose only program is this very test.
//!
//! On this machine it makes a ramdisk out of itself, the tools and Debian's kernel, starts QEMU with several blank disks, and
//! reads the outcome from the console, once for each scenario. They are run by name, as each takes minutes under software
//! emulation: `cargo test -p lab-node --test disks -- --ignored [scenario]`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guest;
mod host;
mod scenarios;

use libtest_mimic::{Arguments, Trial};

fn main() {
    if std::process::id() == 1 {
        guest::main();
    }
    let trials =
        scenarios::ALL.map(|(name, _)| Trial::test(name, move || host::run(name)).with_ignored_flag(true));
    let mut arguments = Arguments::from_args();
    // One machine at a time: each takes what it can of this one's processors.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials.into()).exit();
}
