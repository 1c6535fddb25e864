//! Addresses and routes of this machine, where nothing else sees to them, as in a ramdisk.

use rtnetlink::RouteMessageBuilder;
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// Why an interface was not configured.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The interface is not there, or cannot be set up.
    #[error("setting up {interface}")]
    Interface {
        /// The interface.
        interface: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused the address or the route.
    #[error("giving {interface} the {what}")]
    Refused {
        /// The interface.
        interface: String,
        /// What it was to be given.
        what: &'static str,
        /// Why.
        source: rtnetlink::Error,
    },
}

/// The flag of an interface that is up (`IFF_UP`, netdevice(7)).
const UP: u32 = 1;
/// The flag of one that takes all multicast (`IFF_ALLMULTI`).
const ALL_MULTICAST: u32 = 0x200;

fn file(interface: &str, name: &str) -> PathBuf {
    ["/sys/class/net", interface, name].iter().collect()
}

/// Brings an interface up, so that it has a link.
///
/// # Errors
/// There is no such interface, or it refuses.
pub fn bring_up(interface: &str) -> Result<(), NetworkError> {
    set(interface, UP)
}

/// Has an interface take frames to every group, such as those by which switches tell who they are.
///
/// # Errors
/// There is no such interface, or it refuses.
pub fn hear_multicast(interface: &str) -> Result<(), NetworkError> {
    set(interface, ALL_MULTICAST)
}

fn set(interface: &str, flag: u32) -> Result<(), NetworkError> {
    let path = file(interface, "flags");
    let flags = || {
        let text = fs::read_to_string(&path)?;
        let flags =
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).map_err(io::Error::other)?;
        fs::write(&path, format!("{:#x}", flags | flag))
    };
    flags().map_err(|source| NetworkError::Interface { interface: interface.into(), source })
}

/// Whether something answers at the other end of an interface's cable.
pub fn has_link(interface: &str) -> bool {
    fs::read_to_string(file(interface, "carrier")).is_ok_and(|text| text.trim() == "1")
}

/// Gives an interface an address, and the machine a way out. What is there already stays.
///
/// # Errors
/// The interface is not there, or the kernel refuses.
pub fn configure(
    interface: &str,
    address: Ipv4Addr,
    prefix: u8,
    gateway: Option<Ipv4Addr>,
) -> Result<(), NetworkError> {
    let failed = |source| NetworkError::Interface { interface: interface.into(), source };
    let index = fs::read_to_string(file(interface, "ifindex")).map_err(failed)?;
    let index: u32 = index.trim().parse().map_err(|error| failed(io::Error::other(error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(failed)?;
        let connection = tokio::spawn(connection);
        let refused =
            |what| move |source| NetworkError::Refused { interface: interface.into(), what, source };
        let added = handle.address().add(index, IpAddr::V4(address), prefix).replace().execute().await;
        added.map_err(refused("address"))?;
        if let Some(gateway) = gateway {
            let route =
                RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).build();
            handle.route().add(route).replace().execute().await.map_err(refused("route"))?;
        }
        connection.abort();
        Ok(())
    })
}
