//! `bastion rehearse`: a site's configuration tried on simulated firmware, before machines are.

use crate::config::{Flags, Settings};
use crate::labd::reach;
use anyhow::{Context, bail};
use ipnet::IpNet;
use lab_boot_site::rehearse::{Actor, Rehearsal, actor, rehearse};
use lab_boot_site::{Knowledge, Site, System};
use lab_client::{Client, ListParams};
use lab_firmware::{End, Kind};
use lab_kinds::metal::{Bastion, Network, OperatingSystem, Server};
use lab_machine::serving::{Attached, Served, serving};
use lab_object::mac::MacAddress;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is rehearsed, and what with.
#[derive(Debug, clap::Args)]
pub struct Rehearse {
    #[command(flatten)]
    flags: Flags,
    /// Objects from a file of YAML or JSON, or a folder of such files; those of labd without
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Only this network [default: every one that would be served]
    #[arg(long, value_name = "NAME")]
    network: Vec<String>,
    /// As this Server would boot [default: a machine that nobody knows]
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// Only this firmware: bios, bios-pxe, uefi-pxe, uefi-pxe-2016, uefi-http, secure-boot, secure-boot-http [default: each]
    #[arg(long, value_name = "FIRMWARE", value_parser = kind)]
    firmware: Vec<Kind>,
    /// Show every step
    #[arg(long)]
    steps: bool,
}

fn kind(name: &str) -> Result<Kind, String> {
    let all = || Kind::ALL.map(Kind::name).join(", ");
    Kind::named(name).ok_or_else(|| format!("it is none of {}", all()))
}

/// The objects that a site answers from.
#[derive(Default)]
struct Objects {
    networks: Vec<Network>,
    servers: Vec<Server>,
    systems: Vec<OperatingSystem>,
    bastions: Vec<Bastion>,
}

/// Rehearses everything and says how it went; false where a machine would be left behind.
pub fn run(arguments: Rehearse) -> anyhow::Result<bool> {
    let settings = Settings::load(arguments.flags.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(all(&arguments, &settings))
}

async fn all(arguments: &Rehearse, settings: &Settings) -> anyhow::Result<bool> {
    let objects = match arguments.from.as_slice() {
        [] => of_labd(&reach(settings).await?.0).await?,
        paths => of_files(paths)?,
    };
    let bastion =
        objects.bastions.iter().find(|bastion| bastion.metadata.name.as_ref() == Some(&settings.name));
    let served = places(&objects, bastion)?;
    let wanted = |network: &&Network| {
        let name = network.metadata.name.as_deref().unwrap_or_default();
        served.contains_key(name)
            && (arguments.network.is_empty() || arguments.network.iter().any(|only| only == name))
    };
    let networks: Vec<&Network> = objects.networks.iter().filter(wanted).collect();
    if networks.is_empty() {
        bail!(
            "the bastion {} would serve none of {} networks{}; a Network is served whose DHCP is not off, and whose site is the Bastion's",
            settings.name,
            objects.networks.len(),
            if arguments.network.is_empty() { "" } else { " that are named" }
        );
    }
    let kinds = if arguments.firmware.is_empty() { Kind::ALL.to_vec() } else { arguments.firmware.clone() };
    let mut well = true;
    for network in networks {
        let name = network.metadata.name.as_deref().unwrap_or_default();
        let (address, here) = served[name];
        let whose = if here { "" } else { ", assumed: this machine has none in it" };
        println!(
            "network {name}: {}, DHCP {:?}, boot server {address}{whose}",
            network.spec.cidr, network.spec.dhcp.mode
        );
        for kind in &kinds {
            let rehearsal = one(arguments, settings, &objects, network, address, *kind).await?;
            well &= !matches!(rehearsal.end, End::Stopped { .. });
            show(*kind, &rehearsal, arguments.steps);
        }
    }
    Ok(well)
}

/// One boot, from a site that knows nothing of the others.
async fn one(
    arguments: &Rehearse,
    settings: &Settings,
    objects: &Objects,
    network: &Network,
    address: Ipv4Addr,
    kind: Kind,
) -> anyhow::Result<Rehearsal> {
    let folder = settings.files.clone();
    let of_site = lab_boot_site::Settings { http_port: settings.http_port, folder, labd: None };
    let site = Site::new(of_site, Arc::new(System));
    let artefacts = tempfile::tempdir().context("cannot make a folder for artefacts")?;
    site.keep_artefacts(artefacts.path()).context("cannot keep artefacts")?;
    site.with(|known| objects.put(known));
    let unknown = Actor { firmware: kind, mac: MacAddress([0x02, 0, 0, 0, 0, 1]), uuid: [0x0f; 16] };
    let acting = match &arguments.machine {
        None => unknown,
        Some(name) => {
            let named = |server: &&Server| server.metadata.name.as_ref() == Some(name);
            let server =
                objects.servers.iter().find(named).with_context(|| format!("there is no Server {name:?}"))?;
            actor(server, kind)
                .with_context(|| format!("Server {name:?} has no MAC address: add one to spec.macs"))?
        }
    };
    Ok(rehearse(&site, network, address, acting).await)
}

fn show(kind: Kind, rehearsal: &Rehearsal, steps: bool) {
    let end = match &rehearsal.end {
        End::Kernel { kernel, initrds, .. } => match initrds.len() {
            1 => format!("runs {kernel} with its ramdisk"),
            count => format!("runs {kernel} with {count} ramdisks"),
        },
        End::LocalDisk => "starts its own disk".into(),
        End::Program { path } => format!("runs {path}"),
        End::Stopped { why } => format!("STOPS: {why}"),
    };
    println!("  {kind:17} {end}");
    let stopped = matches!(rehearsal.end, End::Stopped { .. });
    for line in rehearsal.lines.iter().filter(|_| steps || stopped) {
        println!("    {line}");
    }
}

/// The boot server's address on each network that it would serve: this machine's own where it has one there, or else the network's first
/// one that is neither the gateway's nor given out.
fn places(
    objects: &Objects,
    bastion: Option<&Bastion>,
) -> anyhow::Result<BTreeMap<String, (Ipv4Addr, bool)>> {
    let interfaces = lab_netboot::interface::interfaces().context("cannot list this machine's interfaces")?;
    let own: Vec<Attached> = interfaces
        .into_iter()
        .map(|interface| Attached { name: interface.name, addresses: interface.addresses })
        .collect();
    let mut found = BTreeMap::new();
    for network in &objects.networks {
        let name = network.metadata.name.clone().unwrap_or_default();
        let assumed = || {
            let address = free(network)?;
            let attached =
                Attached { name: name.clone(), addresses: vec![(address, network.spec.cidr.prefix_len())] };
            let unnamed = bastion.cloned().map(unplaced);
            Some(serving(&[attached], unnamed.as_ref(), [network]))
        };
        let place =
            |served: Vec<Served>, here| served.into_iter().next().map(|served| (served.address, here));
        let place = place(serving(&own, bastion, [network]), true).or_else(|| place(assumed()?, false));
        found.extend(place.map(|place| (name, place)));
    }
    Ok(found)
}

/// A Bastion whose networks are on any interface.
fn unplaced(mut bastion: Bastion) -> Bastion {
    bastion.spec.networks.iter_mut().for_each(|network| network.interface = None);
    bastion
}

fn free(network: &Network) -> Option<Ipv4Addr> {
    let IpNet::V4(cidr) = network.spec.cidr else { return None };
    let taken = |host: &Ipv4Addr| {
        network.spec.gateway == Some(IpAddr::V4(*host))
            || network.spec.dhcp.ranges.iter().any(|range| range.start <= *host && *host <= range.end)
    };
    cidr.hosts().find(|host| !taken(host))
}

impl Objects {
    fn put(&self, known: &mut Knowledge) {
        self.networks.iter().cloned().for_each(|network| known.put_network(network));
        self.systems.iter().cloned().for_each(|system| known.put_operating_system(system));
        self.servers.iter().cloned().for_each(|server| known.put_server(server));
    }
}

async fn of_labd(client: &Client) -> anyhow::Result<Objects> {
    let all = ListParams::default();
    Ok(Objects {
        networks: client.resource::<Network>().list(&all).await?.items,
        servers: client.resource::<Server>().list(&all).await?.items,
        systems: client.resource::<OperatingSystem>().list(&all).await?.items,
        bastions: client.resource::<Bastion>().list(&all).await?.items,
    })
}

fn of_files(paths: &[PathBuf]) -> anyhow::Result<Objects> {
    let mut objects = Objects::default();
    for path in paths {
        let mut files = vec![path.clone()];
        if path.is_dir() {
            let entries =
                std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
            let named = |path: &PathBuf| {
                path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
            };
            files = entries.flatten().map(|entry| entry.path()).filter(named).collect();
            files.sort();
        }
        for file in files {
            objects.read(&file)?;
        }
    }
    Ok(objects)
}

impl Objects {
    /// Takes a file's objects in; those that a boot server does not look at are left out.
    fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let documents: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is not YAML", path.display()))?;
        for document in documents {
            match document["kind"].as_str() {
                Some("Network") => self.networks.push(object(document, path)?),
                Some("Server") => self.servers.push(object(document, path)?),
                Some("OperatingSystem") => self.systems.push(object(document, path)?),
                Some("Bastion") => self.bastions.push(object(document, path)?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn object<T: DeserializeOwned>(document: serde_json::Value, path: &Path) -> anyhow::Result<T> {
    let name = format!("{} {}", document["kind"], document["metadata"]["name"]);
    serde_json::from_value(document)
        .with_context(|| format!("{}: {name} is not as it should be", path.display()))
}
