//! The inside: the first and only program of the virtual machine.

use crate::scenarios;
use lab_host::{modules::Modules, start};
use std::{fs, io::Write, panic};

pub fn main() -> ! {
    start::mount_kernel_file_systems().unwrap();
    let modules = Modules::of_running_kernel();
    let refused = modules.load_for_hardware();
    println!("refused modules: {refused:?}");
    for name in ["crc32c_generic", "dm_mod", "xfs", "ext4", "vfat", "nls_cp437", "nls_ascii"] {
        modules.load(name).unwrap();
    }
    let arguments = fs::read_to_string("/proc/cmdline").unwrap();
    let wanted =
        arguments.split_whitespace().find_map(|argument| argument.strip_prefix("lab.scenario=")).unwrap();
    let (_, scenario) = scenarios::ALL.into_iter().find(|(name, _)| *name == wanted).unwrap();
    let began = std::time::Instant::now();
    let passed = panic::catch_unwind(scenario).is_ok();
    println!("{wanted}: {} s", began.elapsed().as_secs());
    println!("{}", if passed { "PASSED" } else { "FAILED" });
    std::io::stdout().flush().unwrap();
    panic!("{}", start::power_off());
}
