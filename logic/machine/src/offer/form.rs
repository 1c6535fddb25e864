//! In which form a client is answered.

use super::{NoAnswer, Offer, Site, file::boot_file};
use crate::client::{Class, Client, Message, Request};
use lab_kinds::metal::Server;
use lab_kinds::metal::network::{DhcpMode, NetworkSpec};
use lab_kinds::metal::server::OfferForm;

/// The forms in which a boot server is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// An address, and nothing about booting.
    Address,
    /// An address and the boot file in one answer, without option 60. PXE firmware takes the file from a plain DHCP answer, as it
    /// always could; with option 60 and without option 43, EDK2 would ask on port 4011 too.
    Full,
    /// As `Full`, with option 60: iPXE then does not wait for proxy answers (0 s in place of 3 s).
    FullIpxe,
    /// An address or a proxy answer with an absolute URL, to UEFI's HTTP boot.
    Http,
    /// Beside another server: the file at once. Option 43 says by discovery control that nobody else is to be asked.
    ProxyDirect,
    /// Beside another server: only who the boot server is. The client asks for the file on port 4011, after it has its address.
    ProxyBinl,
    /// Beside another server, to iPXE: the script's URL.
    ProxyIpxe,
    /// The answer on port 4011, with the file.
    Binl,
    /// A Raspberry Pi's boot ROM, which wants to hear its own name.
    RaspberryPi,
}

/// PXE_DISCOVERY_CONTROL with bit 3: "use the file in this answer, ask no further" (PXE 2.1 section 2.2.3).
const JUST_THE_FILE: &[u8] = &[6, 1, 8, 255];
/// What a Raspberry Pi's ROM looks for: discovery control, a menu prompt of `PXE`, and a boot menu with its own name.
const RASPBERRY_PI: &[u8] = b"\x06\x01\x03\x0a\x04\0PXE\x09\x14\0\0\x11Raspberry Pi Boot\xff";
/// iPXE's `no-pxedhcp`: do not wait for proxy answers.
const NO_PROXY: &[u8] = &[0xb0, 1, 1];
/// Firmware, iPXE and installer each take an address, with different client identifiers; none of them needs it for long.
const BOOT_LEASE_SECONDS: u32 = 30;

/// What a client is answered on a network, as its Server may override.
pub fn offer(
    request: &Request,
    client: &Client,
    network: &NetworkSpec,
    server: Option<&Server>,
    site: &Site,
) -> Result<Offer, NoAnswer> {
    if matches!(request.message, Message::Decline | Message::Release) {
        return Err(NoAnswer::new("a release or refusal of an address is noted, not answered"));
    }
    match (network.dhcp.mode, request.port) {
        (DhcpMode::Off, _) => Err(NoAnswer::new("DHCP is off on this network")),
        (_, 4011) => second_answer(request, client, server, site),
        (DhcpMode::Full, _) => full(request, client, network, server, site),
        (DhcpMode::Proxy, _) => proxy(request, client, server, site),
    }
}

/// An answer with nothing in it.
fn plain(form: Form, client: &Client, why: impl Into<String>) -> Offer {
    Offer {
        form,
        assigns: false,
        lease_seconds: None,
        vendor_class: None,
        vendor_options: None,
        ipxe_options: None,
        file: None,
        next_server: None,
        echo_machine_id: client.echo_machine_id,
        why: why.into(),
    }
}

/// The whole answer: address and boot file.
fn full(
    request: &Request,
    client: &Client,
    network: &NetworkSpec,
    server: Option<&Server>,
    site: &Site,
) -> Result<Offer, NoAnswer> {
    if request.server.is_some_and(|chosen| chosen != site.address) {
        return Err(NoAnswer::new("the client chose another DHCP server"));
    }
    let assigns = request.message != Message::Inform;
    let seconds =
        if client.boots() { BOOT_LEASE_SECONDS } else { network.dhcp.lease_seconds.max(30).unsigned_abs() };
    let offer = Offer {
        assigns,
        lease_seconds: assigns.then_some(seconds),
        ..plain(Form::Address, client, "an address")
    };
    if !client.boots() {
        return Ok(offer);
    }
    if client.class == Class::RaspberryPi {
        return Ok(raspberry_pi(offer, site));
    }
    let file = boot_file(client, server, site);
    let Some(name) = file.name else {
        return Ok(Offer { why: format!("an address only: {}", file.why), ..offer });
    };
    let (form, vendor_class, ipxe_options, why) = match client.class {
        Class::Http => (Form::Http, Some("HTTPClient"), None, "an address and the URL of"),
        Class::Ipxe => (Form::FullIpxe, Some("PXEClient"), Some(NO_PROXY), "an address and the URL of"),
        _ => (Form::Full, None, None, "an address and the name of"),
    };
    Ok(Offer {
        form,
        vendor_class,
        ipxe_options,
        file: Some(name),
        next_server: Some(site.address),
        why: format!("{why} {}", file.why),
        ..offer
    })
}

/// The boot server's name, beside another server that gives the address.
fn proxy(
    request: &Request,
    client: &Client,
    server: Option<&Server>,
    site: &Site,
) -> Result<Offer, NoAnswer> {
    if !client.boots() {
        return Err(NoAnswer::new("it does not boot, and this network's addresses are another server's"));
    }
    if request.message != Message::Discover {
        return Err(NoAnswer::new("its request is to the server that gives the addresses"));
    }
    if client.class == Class::RaspberryPi {
        return Ok(raspberry_pi(plain(Form::Address, client, ""), site));
    }
    let file = boot_file(client, server, site);
    let Some(name) = file.name else { return Err(NoAnswer::new(file.why)) };
    let form = proxy_form(client, server);
    let (vendor_class, vendor_options) = match form {
        Form::Http => ("HTTPClient", None),
        Form::ProxyDirect => ("PXEClient", Some(JUST_THE_FILE)),
        _ => ("PXEClient", None),
    };
    let way = match form {
        Form::ProxyBinl => "by way of port 4011, which old and new UEFI firmware follows",
        Form::ProxyDirect => "at once, with discovery control",
        _ => "by its URL",
    };
    Ok(Offer {
        vendor_class: Some(vendor_class),
        vendor_options,
        // With BINL the client asks for the file on port 4011. Named here too, some take it at once; none is hurt by it.
        file: Some(name),
        next_server: Some(site.address),
        why: format!("{}, {way}", file.why),
        ..plain(form, client, "")
    })
}

/// UEFI firmware built before April 2017 drops every proxy answer with option 43, because of an inverted test in its cache
/// (edk2 issue 6944), and shipped in servers for years after; all of it asks on port 4011. BIOS ROMs follow discovery control,
/// and many of them know no other way.
fn proxy_form(client: &Client, server: Option<&Server>) -> Form {
    let wish = server.and_then(|server| server.spec.boot.offer);
    match (client.class, wish) {
        (Class::Http, _) => Form::Http,
        (Class::Ipxe, _) => Form::ProxyIpxe,
        (_, Some(OfferForm::Direct)) => Form::ProxyDirect,
        (_, Some(OfferForm::Binl)) => Form::ProxyBinl,
        (_, None) => match client.platform.map(crate::client::Platform::firmware) {
            Some(lab_kinds::metal::server::hardware::FirmwareType::Uefi) => Form::ProxyBinl,
            _ => Form::ProxyDirect,
        },
    }
}

/// The answer on port 4011: asked for by whoever saw option 60 without option 43.
fn second_answer(
    request: &Request,
    client: &Client,
    server: Option<&Server>,
    site: &Site,
) -> Result<Offer, NoAnswer> {
    if !matches!(request.message, Message::Request | Message::Inform) || !client.boots() {
        return Err(NoAnswer::new("only booting machines that have an address are answered on port 4011"));
    }
    let file = boot_file(client, server, site);
    let Some(name) = file.name else { return Err(NoAnswer::new(file.why)) };
    Ok(Offer {
        vendor_class: Some("PXEClient"),
        file: Some(name),
        next_server: Some(site.address),
        why: format!("{}, as asked for on port 4011", file.why),
        ..plain(Form::Binl, client, "")
    })
}

fn raspberry_pi(offer: Offer, site: &Site) -> Offer {
    Offer {
        form: Form::RaspberryPi,
        vendor_class: Some("PXEClient"),
        vendor_options: Some(RASPBERRY_PI),
        next_server: Some(site.address),
        why: "the words a Raspberry Pi's boot ROM looks for; it asks for its files by their own names".into(),
        ..offer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Message;
    use lab_kinds::metal::network::Dhcp;
    use lab_object::mac::MacAddress;
    use std::net::Ipv4Addr;

    fn site() -> Site {
        let programs = crate::program::PROGRAMS.iter().map(|program| program.path);
        // Debian has no iPXE for 32-bit UEFI.
        let programs = programs.filter(|path| *path != "snponly-ia32.efi").collect();
        Site { address: Ipv4Addr::new(10, 9, 0, 2), http_port: 80, programs }
    }
    const SCRIPT: &str = "http://10.9.0.2/boot/52-54-00-00-00-01/-/script.ipxe";

    fn network(mode: DhcpMode) -> NetworkSpec {
        let cidr = "10.9.0.0/24".parse().expect("it is a network");
        NetworkSpec { dhcp: Dhcp { mode, ..Dhcp::beside_another() }, ..NetworkSpec::new(cidr) }
    }

    fn request(message: Message, vendor: &str, architecture: u16) -> Request {
        let mut request = Request::new(message, MacAddress([0x52, 0x54, 0, 0, 0, 1]));
        request.vendor_class = (!vendor.is_empty()).then(|| vendor.into());
        request.architectures = (!vendor.is_empty()).then(|| architecture.to_be_bytes().to_vec());
        request
    }

    fn ipxe(mut request: Request, features: &[u8]) -> Request {
        request.user_class = Some(b"iPXE".to_vec());
        request.ipxe = Some(features.to_vec());
        request
    }

    /// Form, options 60 and 43, file and lease of an answer; nothing where there is none.
    #[track_caller]
    fn check(
        mode: DhcpMode,
        request: Request,
        server: Option<&Server>,
        expected: Option<(Form, &str, &[u8], &str, u32)>,
    ) {
        let client = Client::of(&request);
        let found = offer(&request, &client, &network(mode), server, &site());
        if let Ok(offer) = &found {
            assert!(!offer.why.is_empty());
            assert_eq!(offer.assigns, offer.lease_seconds.is_some());
        }
        let found = found.ok().map(|offer| {
            (
                offer.form,
                offer.vendor_class.unwrap_or_default(),
                offer.vendor_options.unwrap_or_default(),
                offer.file.unwrap_or_default(),
                offer.lease_seconds.unwrap_or_default(),
            )
        });
        let expected = expected
            .map(|(form, class, options, file, lease)| (form, class, options, file.to_owned(), lease));
        assert_eq!(found, expected, "{request:?}");
    }

    #[test]
    fn full() {
        use Message::*;
        let mode = DhcpMode::Full;
        let check = |request, expected| check(mode, request, None, expected);
        check(
            request(Discover, "PXEClient:Arch:00007:UNDI:003000", 7),
            Some((Form::Full, "", b"", "snponly.efi", 30)),
        );
        check(
            request(Request, "PXEClient:Arch:00000:UNDI:002001", 0),
            Some((Form::Full, "", b"", "undionly.kpxe", 30)),
        );
        check(
            request(Discover, "PXEClient:Arch:00011:UNDI:003000", 11),
            Some((Form::Full, "", b"", "snponly-arm64.efi", 30)),
        );
        check(
            request(Discover, "HTTPClient:Arch:00016:UNDI:003000", 16),
            Some((Form::Http, "HTTPClient", b"", "http://10.9.0.2/snponly.efi", 30)),
        );
        check(
            ipxe(request(Discover, "PXEClient", 7), b""),
            Some((Form::FullIpxe, "PXEClient", b"", SCRIPT, 30)),
        );
        check(
            ipxe(request(Discover, "PXEClient", 0), &[0xeb, 3, 1, 0, 0, 0x15, 1, 1]),
            Some((Form::FullIpxe, "PXEClient", b"", "boot/52-54-00-00-00-01/-/script.ipxe", 30)),
        );
        check(request(Discover, "U-Boot.armv8", 22), Some((Form::Full, "", b"", "snponly-arm64.efi", 30)));
        check(
            request(Discover, "PXEClient", 41),
            Some((Form::RaspberryPi, "PXEClient", RASPBERRY_PI, "", 30)),
        );
        check(request(Discover, "PXEClient", 12), Some((Form::Address, "", b"", "", 30)));
        check(request(Discover, "PXEClient", 6), Some((Form::Address, "", b"", "", 30)));
        check(request(Discover, "", 0), Some((Form::Address, "", b"", "", 3600)));
        check(request(Inform, "", 0), Some((Form::Address, "", b"", "", 0)));
        check(request(Release, "", 0), None);
        check(request(Decline, "PXEClient", 7), None);
        let elsewhere = crate::client::Request {
            server: Some(Ipv4Addr::new(10, 9, 0, 1)),
            ..request(Request, "PXEClient", 7)
        };
        check(elsewhere, None);
    }

    #[test]
    fn beside_another_server() {
        use Message::*;
        let mode = DhcpMode::Proxy;
        let check = |request, expected| check(mode, request, None, expected);
        check(
            request(Discover, "PXEClient:Arch:00007:UNDI:003000", 7),
            Some((Form::ProxyBinl, "PXEClient", b"", "snponly.efi", 0)),
        );
        check(
            request(Discover, "PXEClient:Arch:00000:UNDI:002001", 0),
            Some((Form::ProxyDirect, "PXEClient", JUST_THE_FILE, "undionly.kpxe", 0)),
        );
        check(
            request(Discover, "HTTPClient:Arch:00016:UNDI:003000", 16),
            Some((Form::Http, "HTTPClient", b"", "http://10.9.0.2/snponly.efi", 0)),
        );
        check(
            ipxe(request(Discover, "PXEClient", 7), b""),
            Some((Form::ProxyIpxe, "PXEClient", b"", SCRIPT, 0)),
        );
        check(
            request(Discover, "PXEClient", 41),
            Some((Form::RaspberryPi, "PXEClient", RASPBERRY_PI, "", 0)),
        );
        check(request(Request, "PXEClient:Arch:00007:UNDI:003000", 7), None);
        check(request(Discover, "PXEClient", 12), None);
        check(request(Discover, "", 0), None);
    }

    #[test]
    fn on_port_4011() {
        let at = |message, vendor: &str| crate::client::Request { port: 4011, ..request(message, vendor, 7) };
        for mode in [DhcpMode::Full, DhcpMode::Proxy] {
            check(
                mode,
                at(Message::Request, "PXEClient"),
                None,
                Some((Form::Binl, "PXEClient", b"", "snponly.efi", 0)),
            );
            check(
                mode,
                at(Message::Inform, "PXEClient"),
                None,
                Some((Form::Binl, "PXEClient", b"", "snponly.efi", 0)),
            );
            check(mode, at(Message::Discover, "PXEClient"), None, None);
            check(mode, at(Message::Request, ""), None, None);
        }
        check(DhcpMode::Off, at(Message::Request, "PXEClient"), None, None);
    }

    #[test]
    fn as_a_server_wishes() {
        let discover = || request(Message::Discover, "PXEClient:Arch:00007:UNDI:003000", 7);
        let mut server = Server::default();
        server.spec.boot.offer = Some(OfferForm::Direct);
        check(
            DhcpMode::Proxy,
            discover(),
            Some(&server),
            Some((Form::ProxyDirect, "PXEClient", JUST_THE_FILE, "snponly.efi", 0)),
        );
        server.spec.boot.offer = Some(OfferForm::Binl);
        let bios = request(Message::Discover, "PXEClient:Arch:00000:UNDI:002001", 0);
        check(
            DhcpMode::Proxy,
            bios,
            Some(&server),
            Some((Form::ProxyBinl, "PXEClient", b"", "undionly.kpxe", 0)),
        );
        server.status.hardware.firmware.secure_boot = Some(true);
        check(DhcpMode::Full, discover(), Some(&server), Some((Form::Full, "", b"", "shimx64.efi", 30)));
        let http = request(Message::Discover, "HTTPClient:Arch:00016:UNDI:003000", 16);
        check(
            DhcpMode::Full,
            http,
            Some(&server),
            Some((Form::Http, "HTTPClient", b"", "http://10.9.0.2/shimx64.efi", 30)),
        );
        let ia32 = request(Message::Discover, "PXEClient", 6);
        check(DhcpMode::Full, ia32, Some(&server), Some((Form::Address, "", b"", "", 30)));
    }

    #[test]
    fn every_file_that_can_be_advertised_is_a_program_or_a_script() {
        for mode in [DhcpMode::Full, DhcpMode::Proxy] {
            for (class, architecture, port) in (0..64).flat_map(|n| {
                [("PXEClient", n, 67), ("PXEClient", n, 4011), ("HTTPClient", n, 67), ("U-Boot", n, 67)]
            }) {
                for message in [Message::Discover, Message::Request] {
                    for ipxe_too in [false, true] {
                        let mut asked =
                            crate::client::Request { port, ..request(message, class, architecture) };
                        if ipxe_too {
                            asked = ipxe(asked, &[0xeb, 3, 1, 0, 0]);
                        }
                        let Ok(answer) = offer(&asked, &Client::of(&asked), &network(mode), None, &site())
                        else {
                            continue;
                        };
                        let Some(file) = answer.file else { continue };
                        let path = file.strip_prefix("http://10.9.0.2/").unwrap_or(&file);
                        let known = crate::program::PROGRAMS.iter().any(|program| program.path == path);
                        assert!(known || crate::program::ScriptPath::parse(path).is_some(), "{file}");
                    }
                }
            }
        }
    }
}
