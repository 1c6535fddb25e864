//! `labctl iso`: a boot medium for machines that cannot boot from the network.

use crate::{
    failure::{Exit, Failure, Outcome},
    output,
    session::Session,
};
use lab_client::ListParams;
use lab_host::command::{Call, CallError, Processes, Run};
use lab_kinds::metal::Bastion;
use lab_machine::boot::medium::{self, Fixed, Medium};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

/// Make a boot medium for machines that cannot boot from the network
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl iso --bastion home --file boot.iso
  labctl iso --address 10.9.0.50/24 --gateway 10.9.0.254      where there is no DHCP

Needs GRUB for both kinds of firmware, iPXE, xorriso and mtools on this machine. Packages of Debian
and Ubuntu: grub-common grub-pc-bin grub-efi-amd64-bin ipxe xorriso mtools")]
pub struct Args {
    /// The bastion that machines are to find; only needed where there are several
    #[arg(long, value_name = "NAME", add = crate::complete::names_of("bastions"))]
    bastion: Option<String>,
    /// Address and prefix length of the machine, where no DHCP server gives it one
    #[arg(long, value_name = "ADDRESS/LENGTH", value_parser = fixed)]
    address: Option<(Ipv4Addr, u8)>,
    /// The gateway, where the bastion is on another network
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    gateway: Option<Ipv4Addr>,
    /// Where to write it
    #[arg(long, value_name = "FILE", default_value = "lab.iso", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

fn fixed(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let understood = text.split_once('/').and_then(|(address, length)| {
        Some((address.parse().ok()?, length.parse().ok().filter(|length| *length <= 32)?))
    });
    understood.ok_or_else(|| "an IPv4 address and a prefix length are needed, such as 10.9.0.50/24".into())
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let bastions = session.client.resource::<Bastion>().list_all(&ListParams::default()).await?.items;
    let bastion = chosen(&bastions, args.bastion.as_deref())?;
    let servers = addresses(bastion);
    if servers.is_empty() {
        let name = bastion.metadata.name.as_deref().unwrap_or_default();
        let failure =
            Failure::new(Exit::NotServed, format!("bastion {name:?} has no address that machines could ask"));
        return Err(failure.with_hint("set its spec.address, or start it"));
    }
    let fixed = args.address.map(|(address, prefix)| Fixed { address, prefix, gateway: args.gateway });
    let medium = Medium { servers, fixed };
    let file = args.file.clone();
    let made = tokio::task::spawn_blocking(move || made(&medium, &file, &Processes)).await;
    made.map_err(|error| Failure::new(Exit::Failed, error.to_string()))??;
    output::line(&format!("{} was written", args.file.display()))?;
    Ok(())
}

fn chosen<'a>(bastions: &'a [Bastion], wanted: Option<&str>) -> Outcome<&'a Bastion> {
    let name = |bastion: &'a Bastion| bastion.metadata.name.as_deref().unwrap_or_default();
    let names = || bastions.iter().map(name).collect::<Vec<_>>().join(", ");
    match (wanted, bastions) {
        (_, []) => Err(Failure::new(Exit::NotServed, "no bastion has joined that machines could find")),
        (None, [one]) => Ok(one),
        (None, _) => Err(Failure::usage(format!("which bastion? {}", names()))),
        (Some(wanted), all) => all.iter().find(|bastion| name(bastion) == wanted).ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("no bastion is called {wanted:?}; there are {}", names()))
        }),
    }
}

/// Where machines ask the bastion: at the address that its object names, or else at those on the networks that it serves.
fn addresses(bastion: &Bastion) -> Vec<Ipv4Addr> {
    let own: Vec<IpAddr> = bastion.spec.address.into_iter().collect();
    let served = bastion.status.interfaces.iter().filter(|interface| interface.network.is_some());
    let served = served.flat_map(|interface| interface.addresses.iter().copied());
    let all = if own.is_empty() { served.collect() } else { own };
    let ipv4 = |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    all.into_iter().filter_map(ipv4).collect()
}

/// Where the package `ipxe` has the program for BIOS.
const IPXE: &str = "/usr/lib/ipxe/ipxe.lkrn";

/// Puts the medium's files into a folder and has GRUB's own tool make the image.
fn made(medium: &Medium, file: &Path, run: &dyn Run) -> Outcome {
    let folder = tempfile::tempdir().map_err(|error| unwritable(Path::new("a temporary folder"), &error))?;
    let grub = folder.path().join("boot/grub");
    let write =
        |path: PathBuf, text: String| std::fs::write(&path, text).map_err(|error| unwritable(&path, &error));
    std::fs::create_dir_all(&grub).map_err(|error| unwritable(&grub, &error))?;
    write(grub.join("grub.cfg"), medium::grub(medium))?;
    write(folder.path().join("boot/script.ipxe"), medium::ipxe(medium))?;
    std::fs::copy(IPXE, folder.path().join("boot/ipxe.lkrn")).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read {IPXE}: {error}"))
            .with_hint("on Debian and Ubuntu the package ipxe brings it")
    })?;
    let arguments = [
        "--output".to_owned(),
        file.display().to_string(),
        "--compress=xz".into(),
        "--locales=".into(),
        "--fonts=".into(),
        "--themes=".into(),
        folder.path().display().to_string(),
    ];
    run.succeed(&Call::new("grub-mkrescue", arguments)).map_err(|error| match error {
        CallError::NotStarted { source, .. } => Failure::new(
            Exit::Failed,
            format!("grub-mkrescue cannot be started: {source}"),
        )
        .with_hint(
            "on Debian and Ubuntu: apt-get install grub-common grub-pc-bin grub-efi-amd64-bin xorriso mtools",
        ),
        error => Failure::new(Exit::Failed, error.to_string())
            .with_hint("it needs xorriso, mtools, grub-pc-bin and grub-efi-amd64-bin"),
    })?;
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::Define;
    use lab_kinds::metal::bastion::BastionInterface;

    #[test]
    fn where_machines_ask() {
        let mut bastion = Bastion::example();
        bastion.spec.address = None;
        let interface = |network: Option<&str>, address: &str| BastionInterface {
            name: "eth".into(),
            mac: None,
            addresses: vec![address.parse().expect("it is an address")],
            network: network.map(Into::into),
        };
        bastion.status.interfaces = vec![
            interface(None, "192.168.1.2"),
            interface(Some("rack"), "10.9.0.2"),
            interface(Some("six"), "fd00::2"),
        ];
        assert_eq!(addresses(&bastion), [Ipv4Addr::new(10, 9, 0, 2)]);
        bastion.spec.address = Some([10, 1, 1, 1].into());
        assert_eq!(addresses(&bastion), [Ipv4Addr::new(10, 1, 1, 1)]);
    }

    #[test]
    fn addresses_as_they_are_said() {
        assert_eq!(fixed("10.9.0.50/24"), Ok(([10, 9, 0, 50].into(), 24)));
        for bad in ["10.9.0.50", "10.9.0.50/33", "fd00::1/64", "/24"] {
            assert!(fixed(bad).is_err(), "{bad}");
        }
    }
}
