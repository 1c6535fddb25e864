//! The first program of the discovery ramdisk: it must never end, as the kernel would stop the machine.

use crate::bastion::Bastion;
use crate::console::{self, say, show};
use crate::kernel_arguments::{self, KernelArguments};
use crate::neighbours::Neighbours;
use crate::{network, observe};
use lab_client::chain;
use lab_host::command::Processes;
use lab_host::modules::Modules;
use lab_host::{rescue, start};
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_node::install::{Machine, carry_out};
use lab_wire::site::{Discovery, Installation, Orders, Rescue};
use std::{
    fs, panic,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Modules that no hardware asks for: file systems and what they are made of.
const ALWAYS: [&str; 11] = [
    "crc32c_generic",
    "crc32c_intel",
    "dm_mod",
    "xfs",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859_1",
    "ipmi_devintf",
    "sd_mod",
];

/// How long a machine that failed stands still, so that a person can read its console, before it starts again.
const STAND_STILL: Duration = Duration::from_secs(120);

/// How long a machine that is rescued waits until it asks whether its keys have changed.
const ASKS_AGAIN: Duration = Duration::from_secs(60);

/// Whatever failed does not get better at once.
const AFTER_A_FAILURE: Duration = Duration::from_secs(30);

/// Does what a boot is for, for ever.
pub fn run() -> ! {
    let failed = panic::catch_unwind(|| {
        if let Err(error) = boot() {
            say(&format!("failed: {error:#}"));
        }
    });
    if failed.is_err() {
        say("failed: see above");
    }
    say(&format!("restarting in {} s", STAND_STILL.as_secs()));
    thread::sleep(STAND_STILL);
    loop {
        say(&format!("cannot restart: {}", start::restart()));
        thread::sleep(STAND_STILL);
    }
}

fn boot() -> anyhow::Result<()> {
    start::mount_kernel_file_systems()?;
    // The kernel's own messages would stand between ours.
    let _ = fs::write("/proc/sys/kernel/printk", "4");
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(|| console::Log)
        .init();
    say(&format!(
        "Lab {} on Linux {}",
        env!("CARGO_PKG_VERSION"),
        rustix::system::uname().release().to_string_lossy()
    ));
    let modules = Modules::of_running_kernel();
    let refused = modules.load_for_hardware();
    let always = ALWAYS.iter().filter_map(|name| modules.load(name).err());
    always.chain(refused).for_each(|error| say(&format!("{error}")));
    if Path::new("/sys/firmware/efi").exists() {
        modules.load("efivarfs").unwrap_or_else(|error| say(&format!("{error}")));
        if let Err(error) = start::mount_firmware_variables() {
            say(&format!("the firmware's variables cannot be mounted: {error}"));
        }
    }
    settle();
    let arguments = kernel_arguments::parse(&fs::read_to_string("/proc/cmdline")?);
    let neighbours = Neighbours::listen();
    network::configure(&arguments, &say)?;
    match (&arguments.site, &arguments.token) {
        (Some(site), Some(token)) => {
            let bastion = Bastion::new(site, token);
            console::tell(bastion.clone());
            serve(&arguments, &bastion, &neighbours)
        }
        (None, _) => anyhow::bail!("the kernel argument lab.site names no bastion"),
        (_, None) => {
            anyhow::bail!("the kernel argument lab.token is missing, by which the bastion knows this boot")
        }
    }
}

/// Disks appear a while after their controller's module was loaded: waits until none has appeared for a second.
fn settle() {
    let count = || fs::read_dir("/sys/block").map(|entries| entries.count()).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(20);
    let (mut before, mut since) = (count(), Instant::now());
    while since.elapsed() < Duration::from_secs(1) && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        let now = count();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

/// Reports, and does what the bastion says, until it says to end.
fn serve(arguments: &KernelArguments, bastion: &Bastion, neighbours: &Neighbours) -> anyhow::Result<()> {
    let look = || look(arguments, neighbours);
    let mut found = look();
    let mut report = true;
    let (mut waited, mut opened) = (String::new(), false);
    loop {
        let orders = if report { bastion.report(&found) } else { bastion.orders() };
        match orders {
            Ok(Orders::Wait { seconds, why }) => {
                if why != waited {
                    say(&format!("waiting: {why}"));
                    waited = why;
                }
                thread::sleep(Duration::from_secs(seconds.clamp(1, 600).into()));
                report = neighbours.enter(&mut found.nics);
            }
            Ok(Orders::Discover) => {
                found = look();
                report = true;
            }
            Ok(Orders::Install(installation)) => {
                install(&installation, &found, bastion);
                found = look();
                report = true;
            }
            Ok(Orders::Wipe(wiping)) => {
                let names: Vec<_> = wiping.disks.iter().map(|disk| disk.name.as_str()).collect();
                say(&format!("wiping {}", names.join(", ")));
                let outcome = lab_node::wipe::wipe(&wiping, &Processes, &bastion.site("", &show));
                if let Err(error) = outcome {
                    say(&error.to_string());
                    thread::sleep(AFTER_A_FAILURE);
                }
                found = look();
                report = true;
            }
            Ok(Orders::Rescue(who)) => {
                opened = let_in(&who, opened);
                thread::sleep(ASKS_AGAIN);
                report = neighbours.enter(&mut found.nics);
            }
            Ok(Orders::Reboot) => {
                say("restarting, as told");
                anyhow::bail!("the machine cannot restart: {}", start::restart());
            }
            Ok(Orders::PowerOff) => {
                say("switching off, as told");
                anyhow::bail!("the machine cannot be switched off: {}", start::power_off());
            }
            Err(error) => {
                say(&format!("{error}; trying again"));
                report = true;
                thread::sleep(Duration::from_secs(5));
            }
        }
    }
}

fn look(arguments: &KernelArguments, neighbours: &Neighbours) -> Discovery {
    let mut found = observe::discovery(arguments.nic);
    neighbours.enter(&mut found.nics);
    say(&observe::summary(&found));
    found
}

/// Lets the operator in, with the keys as they are now. Returns whether the door is open.
fn let_in(who: &Rescue, opened: bool) -> bool {
    let admitted = rescue::admit(Path::new("/"), &who.user, &who.keys);
    let done = admitted.and_then(|()| if opened { Ok(()) } else { rescue::open() });
    match done {
        Ok(()) if !opened => {
            let keys = who.keys.len();
            say(&format!(
                "rescue: {keys} keys may log in over SSH as root or {}; a restart ends it",
                who.user
            ));
            true
        }
        Ok(()) => true,
        Err(error) => {
            say(&chain(&error));
            opened
        }
    }
}

/// Carries out a plan. How it ended is told by its progress; the bastion then says what comes next.
fn install(installation: &Installation, found: &Discovery, bastion: &Bastion) {
    let plan = installation.plan.hash.as_deref().unwrap_or_default();
    say(&format!("installing {}, plan {plan}", installation.plan.operating_system));
    let machine = Machine {
        run: &Processes,
        firmware: found.hardware.firmware.kind.unwrap_or(FirmwareType::Bios),
        uuid: found.uuid.clone(),
        target: "/mnt/target".into(),
        agent: "/proc/self/exe".into(),
    };
    let site = bastion.site(&installation.image, &show);
    match carry_out(installation, &machine, &site) {
        Ok(()) => say("installed"),
        Err(error) => {
            say(&error.sentence());
            thread::sleep(AFTER_A_FAILURE);
        }
    }
}
