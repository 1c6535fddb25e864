//! The way to the bastion: the NIC that booted, with an address.

use crate::kernel_arguments::KernelArguments;
use anyhow::{Context, bail};
use lab_host::network as host;
use lab_netboot::dhcp::client::{self, Lease};
use lab_object::mac::MacAddress;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How long a NIC may take until it has a link: switches with spanning tree take half a minute.
const LINK: Duration = Duration::from_secs(45);

/// The machine's Ethernet interfaces with their addresses, the one that booted first.
pub fn interfaces(boot: Option<MacAddress>) -> Vec<(String, MacAddress)> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().join("device").exists());
    let mut found: Vec<_> = names
        .filter_map(|entry| {
            let mac = fs::read_to_string(entry.path().join("address")).ok()?.trim().parse().ok()?;
            Some((entry.file_name().into_string().ok()?, mac))
        })
        .collect();
    found.sort_by_key(|(name, mac)| (boot != Some(*mac), name.clone()));
    found
}

/// Brings up every NIC, and gives the first one an address that gets one.
pub fn configure(arguments: &KernelArguments, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    let all = interfaces(arguments.nic);
    if all.is_empty() {
        bail!("this machine has no NIC that the kernel knows");
    }
    for (name, _) in &all {
        if let Err(error) = host::bring_up(name).and_then(|()| host::hear_multicast(name)) {
            say(&format!("{error}"));
        }
    }
    let end = Instant::now() + LINK;
    while Instant::now() < end && !host::has_link(&all[0].0) {
        thread::sleep(Duration::from_millis(200));
    }
    for (name, mac) in &all {
        if !host::has_link(name) {
            say(&format!("{name} ({mac}) has no link"));
            continue;
        }
        match address(name, *mac, arguments) {
            Ok(text) => {
                say(&format!("{name} ({mac}) has {text}"));
                return Ok(());
            }
            Err(error) => say(&format!("{error:#}")),
        }
    }
    bail!("no NIC got an address")
}

fn address(name: &str, mac: MacAddress, arguments: &KernelArguments) -> anyhow::Result<String> {
    if let Some((address, prefix)) = arguments.address {
        host::configure(name, address, prefix, arguments.gateway)?;
        return Ok(format!("{address}/{prefix}, as its kernel arguments say"));
    }
    let lease = client::ask(name, mac, rand::random(), None, Duration::from_secs(60))?;
    apply(name, &lease).with_context(|| format!("configuring {name}"))?;
    let text = format!("{}/{} from {}", lease.address, lease.prefix, lease.server);
    let name = name.to_owned();
    thread::spawn(move || keep(&name, mac, lease));
    Ok(text)
}

fn apply(name: &str, lease: &Lease) -> Result<(), host::NetworkError> {
    host::configure(name, lease.address, lease.prefix, lease.gateway)
}

/// Keeps an address for as long as the machine runs: asks for more time at half of it.
fn keep(name: &str, mac: MacAddress, mut lease: Lease) {
    loop {
        let half = Duration::from_secs((u64::from(lease.seconds) / 2).max(10));
        thread::sleep(half);
        match client::ask(name, mac, rand::random(), Some(&lease), half / 2) {
            Ok(renewed) => {
                if renewed.address != lease.address
                    && let Err(error) = apply(name, &renewed)
                {
                    tracing::warn!(%error, "the new address was not taken");
                }
                lease = renewed;
            }
            Err(error) => tracing::warn!(%error, "the address was not renewed"),
        }
    }
}
