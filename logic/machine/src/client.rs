//! Who asks: what a DHCP request says of the firmware that sent it.
//!
//! Options are handed in as bytes, because what firmware puts into them is often not what the RFCs say.

use crate::uuid::machine_uuid;
use lab_kinds::metal::server::hardware::{Architecture, FirmwareType};
use lab_object::mac::MacAddress;
use std::net::Ipv4Addr;

/// A DHCP request, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it asks for (option 53).
    pub message: Message,
    /// The client's hardware address.
    pub mac: MacAddress,
    /// The UDP port it came in on: 67, or 4011 for a PXE boot server's second answer.
    pub port: u16,
    /// The relay it came through (giaddr).
    pub relay: Option<Ipv4Addr>,
    /// The address the client has (ciaddr).
    pub client_address: Option<Ipv4Addr>,
    /// The address it wants (option 50).
    pub requested_address: Option<Ipv4Addr>,
    /// The server it chose (option 54).
    pub server: Option<Ipv4Addr>,
    /// Option 60.
    pub vendor_class: Option<Vec<u8>>,
    /// Option 77, with or without RFC 3004's lengths.
    pub user_class: Option<Vec<u8>>,
    /// Option 93: one or several numbers of 16 bits.
    pub architectures: Option<Vec<u8>>,
    /// Option 97: a type and 16 bytes.
    pub machine_id: Option<Vec<u8>>,
    /// Option 175: iPXE's own options, encapsulated.
    pub ipxe: Option<Vec<u8>>,
}

impl Request {
    /// A request that says nothing but who sent it.
    pub fn new(message: Message, mac: MacAddress) -> Self {
        Self {
            message,
            mac,
            port: 67,
            relay: None,
            client_address: None,
            requested_address: None,
            server: None,
            vendor_class: None,
            user_class: None,
            architectures: None,
            machine_id: None,
            ipxe: None,
        }
    }
}

/// What a DHCP client asks for (RFC 2132 section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// Who is there?
    Discover,
    /// I take, or keep, this address.
    Request,
    /// Somebody else has this address.
    Decline,
    /// I no longer need this address.
    Release,
    /// I have an address; tell me the rest.
    Inform,
}

/// What kind of firmware or program asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Firmware that boots by TFTP (PXE).
    Pxe,
    /// UEFI firmware that boots by HTTP.
    Http,
    /// iPXE, from a ROM or loaded by us.
    Ipxe,
    /// U-Boot.
    UBoot,
    /// The boot ROM of a Raspberry Pi.
    RaspberryPi,
    /// Not booting: an operating system, a switch, a BMC.
    Other,
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pxe => "PXE firmware",
            Self::Http => "UEFI HTTP firmware",
            Self::Ipxe => "iPXE",
            Self::UBoot => "U-Boot",
            Self::RaspberryPi => "a Raspberry Pi's boot ROM",
            Self::Other => "a client that does not boot",
        })
    }
}

/// The processor and firmware a boot program must be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// PC BIOS.
    Bios,
    /// UEFI on 32-bit x86.
    UefiIa32,
    /// UEFI on 64-bit x86.
    UefiX64,
    /// UEFI on 32-bit ARM.
    UefiArm32,
    /// UEFI on 64-bit ARM.
    UefiArm64,
    /// UEFI on 64-bit RISC-V.
    UefiRiscV64,
    /// A Raspberry Pi's boot ROM, before any firmware that could be called UEFI.
    RaspberryPi,
}

impl Platform {
    /// How the platform's firmware starts a system.
    pub fn firmware(self) -> FirmwareType {
        if self == Self::Bios { FirmwareType::Bios } else { FirmwareType::Uefi }
    }

    /// The processors for which a kernel is served, where there is one.
    pub fn architecture(self) -> Option<Architecture> {
        match self {
            // BIOS is what 64-bit machines of before 2012 have, and IA32 UEFI stands on 64-bit Atoms.
            Self::Bios | Self::UefiIa32 | Self::UefiX64 => Some(Architecture::Amd64),
            Self::UefiArm64 | Self::RaspberryPi => Some(Architecture::Arm64),
            Self::UefiArm32 | Self::UefiRiscV64 => None,
        }
    }
}

/// What iPXE can do, as it says itself (option 175).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IpxeFeatures {
    /// It fetches over HTTP.
    pub http: bool,
    /// It fetches over HTTPS.
    pub https: bool,
    /// It starts Linux kernels (BIOS).
    pub bzimage: bool,
    /// It starts UEFI programs.
    pub efi: bool,
    /// It speaks of VLANs.
    pub vlan: bool,
    /// It shows menus.
    pub menu: bool,
    /// Its version: major, minor, patch.
    pub version: Option<[u8; 3]>,
    /// The NIC it drives, as PCI vendor and device.
    pub pci: Option<(u16, u16)>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its hardware address.
    pub mac: MacAddress,
    /// Its SMBIOS UUID, in lower case; absent where the firmware sends none, or nonsense.
    pub uuid: Option<String>,
    /// What kind of firmware or program it is.
    pub class: Class,
    /// What a boot program must be built for; absent for what does not boot, and for numbers nobody knows.
    pub platform: Option<Platform>,
    /// The number in option 93 that the platform was read from.
    pub architecture_number: Option<u16>,
    /// What iPXE can do; absent for everything else.
    pub ipxe: Option<IpxeFeatures>,
    /// Whether it sent option 97, which is then sent back.
    pub echo_machine_id: bool,
}

/// Hardware address prefixes of the Raspberry Pi's makers. A Raspberry Pi 5 says architecture 0, as a BIOS does.
const RASPBERRY_PI: &[[u8; 3]] =
    &[[0xb8, 0x27, 0xeb], [0xdc, 0xa6, 0x32], [0xe4, 0x5f, 0x01], [0x28, 0xcd, 0xc1], [0xd8, 0x3a, 0xdd]];

impl Client {
    /// Reads what a request says of its sender.
    pub fn of(request: &Request) -> Self {
        let numbers = numbers(request.architectures.as_deref().unwrap_or_default());
        let known = numbers.iter().find_map(|&n| Some((n, platform(n)?)));
        let vendor = request.vendor_class.as_deref().unwrap_or_default();
        let class = class(request, vendor, known.map(|(number, _)| number));
        let platform = match class {
            Class::Other => None,
            Class::RaspberryPi => Some(Platform::RaspberryPi),
            // What firmware does not say in option 93 it may still say in its vendor class.
            _ => known.map(|(_, platform)| platform).or_else(|| platform(named_architecture(vendor)?)),
        };
        Self {
            mac: request.mac,
            uuid: request.machine_id.as_deref().and_then(machine_uuid),
            class,
            platform,
            architecture_number: known.map(|(number, _)| number).or(numbers.first().copied()),
            ipxe: (class == Class::Ipxe)
                .then(|| IpxeFeatures::read(request.ipxe.as_deref().unwrap_or_default())),
            echo_machine_id: request.machine_id.is_some(),
        }
    }

    /// Whether it boots from the network.
    pub fn boots(&self) -> bool {
        self.class != Class::Other
    }
}

fn class(request: &Request, vendor: &[u8], architecture: Option<u16>) -> Class {
    let pxe = vendor.starts_with(b"PXEClient");
    let http = vendor.starts_with(b"HTTPClient");
    if is_ipxe(request) {
        return Class::Ipxe;
    }
    if vendor.starts_with(b"U-Boot") || (pxe && matches!(architecture, Some(21 | 22))) {
        return Class::UBoot;
    }
    // Boot ROMs of the Pi say PXEClient too; U-Boot and UEFI on a Pi have an architecture of their own.
    let pi = RASPBERRY_PI.iter().any(|prefix| request.mac.0.starts_with(prefix));
    if pxe && (architecture == Some(41) || (pi && matches!(architecture, Some(0) | None))) {
        return Class::RaspberryPi;
    }
    match (pxe, http) {
        // A 4011 request comes from nobody but PXE firmware, whatever it left out.
        (true, _) => Class::Pxe,
        (_, true) => Class::Http,
        _ => Class::Other,
    }
}

/// iPXE puts `iPXE` bare into option 77; other programs follow RFC 3004 and put a length before it. A build with another user
/// class is still known by its own options.
fn is_ipxe(request: &Request) -> bool {
    let user = request.user_class.as_deref().unwrap_or_default();
    let named = user == b"iPXE" || user.get(1..).is_some_and(|rest| rest.starts_with(b"iPXE"));
    named || request.ipxe.as_ref().is_some_and(|options| !options.is_empty())
}

/// The numbers in option 93. Some firmware sends several.
fn numbers(option: &[u8]) -> Vec<u16> {
    option.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

/// The architecture in `PXEClient:Arch:00007:UNDI:003016`. iPXE may send the first word alone, so that this is only for
/// clients without option 93.
fn named_architecture(vendor: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(vendor).ok()?;
    text.split(':').skip_while(|word| *word != "Arch").nth(1)?.parse().ok()
}

/// What a processor architecture number means (IANA's registry for RFC 4578 and RFC 5970), as firmware uses it.
fn platform(number: u16) -> Option<Platform> {
    match number {
        0 | 20 => Some(Platform::Bios),
        6 | 15 => Some(Platform::UefiIa32),
        // RFC 4578's text has 7 as EFI byte code and 9 as x86-64; firmware uses 7, and a few vendors 9, for x86-64.
        7 | 9 | 16 => Some(Platform::UefiX64),
        10 | 18 | 21 | 23 => Some(Platform::UefiArm32),
        11 | 19 | 22 | 24 => Some(Platform::UefiArm64),
        27 | 28 => Some(Platform::UefiRiscV64),
        41 => Some(Platform::RaspberryPi),
        _ => None,
    }
}

impl IpxeFeatures {
    /// Reads encapsulated options; stops at what is cut off.
    fn read(options: &[u8]) -> Self {
        let mut features = Self::default();
        for (code, value) in Encapsulated(options) {
            let on = value.first().is_some_and(|&byte| byte != 0);
            match (code, value) {
                (0x13, _) => features.http = on,
                (0x14, _) => features.https = on,
                (0x18, _) => features.bzimage = on,
                (0x24, _) => features.efi = on,
                (0x26, _) => features.vlan = on,
                (0x27, _) => features.menu = on,
                (0xeb, &[major, minor, patch]) => features.version = Some([major, minor, patch]),
                // Bus type 1 is PCI.
                (0xb1, &[1, a, b, c, d]) => {
                    features.pci = Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
                }
                _ => {}
            }
        }
        features
    }
}

/// Options within an option: code, length, value; ended by 255 or by the bytes' end.
struct Encapsulated<'a>(&'a [u8]);

impl<'a> Iterator for Encapsulated<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&code, rest) = self.0.split_first()?;
            self.0 = rest;
            match code {
                0 => continue,
                255 => return None,
                _ => {
                    let (&length, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(length.into())?;
                    self.0 = rest;
                    return Some((code, value));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IPXE_BIOS: &str =
        "b105011af41000eb03010000170101220101130101110101270101190101290101100102210101150101180101120101";
    const IPXE_EFI: &str = "b105011af41000eb03010000170101240101130101110101270101290101150101120101";

    fn hex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("it is hexadecimal");
        (0..text.len()).step_by(2).map(byte).collect()
    }

    fn request(vendor: &str, architectures: &str) -> Request {
        let mut request = Request::new(Message::Discover, MacAddress([0x52, 0x54, 0, 0, 0, 1]));
        request.vendor_class = (!vendor.is_empty()).then(|| vendor.into());
        request.architectures = (!architectures.is_empty()).then(|| hex(architectures));
        request
    }

    #[test]
    fn classes_and_platforms() {
        use Class::*;
        let check = |vendor: &str, architectures: &str, class, platform| {
            let client = Client::of(&request(vendor, architectures));
            assert_eq!((client.class, client.platform), (class, platform), "{vendor} {architectures}");
        };
        check("PXEClient:Arch:00007:UNDI:003000", "0007", Pxe, Some(Platform::UefiX64));
        check("PXEClient:Arch:00009:UNDI:003000", "0009", Pxe, Some(Platform::UefiX64));
        check("PXEClient:Arch:00000:UNDI:002001", "0000", Pxe, Some(Platform::Bios));
        check("PXEClient:Arch:00011:UNDI:003000", "000b", Pxe, Some(Platform::UefiArm64));
        check("PXEClient", "0006", Pxe, Some(Platform::UefiIa32));
        check("PXEClient:Arch:00007:UNDI:003000", "", Pxe, Some(Platform::UefiX64));
        check("PXEClient", "", Pxe, None);
        check("PXEClient", "000c", Pxe, None);
        check("PXEClient", "000c0007", Pxe, Some(Platform::UefiX64));
        check("PXEClient", "00", Pxe, None);
        check("HTTPClient:Arch:00016:UNDI:003000", "0010", Http, Some(Platform::UefiX64));
        check("HTTPClient:Arch:00019:UNDI:003000", "0013", Http, Some(Platform::UefiArm64));
        check("U-Boot.armv8", "0016", UBoot, Some(Platform::UefiArm64));
        check("PXEClient:Arch:00022:UNDI:003000", "0016", UBoot, Some(Platform::UefiArm64));
        check("PXEClient:Arch:00041:UNDI:002001", "0029", RaspberryPi, Some(Platform::RaspberryPi));
        check("MSFT 5.0", "", Other, None);
        check("anaconda-Linux 6.11", "0007", Other, None);
        check("", "", Other, None);
    }

    #[test]
    fn a_raspberry_pi_that_calls_itself_a_bios() {
        let check = |mac, architectures: &str, class| {
            let request = Request {
                mac: MacAddress(mac),
                ..request("PXEClient:Arch:00000:UNDI:002001", architectures)
            };
            assert_eq!(Client::of(&request).class, class);
        };
        check([0xd8, 0x3a, 0xdd, 1, 2, 3], "0000", Class::RaspberryPi);
        check([0xdc, 0xa6, 0x32, 1, 2, 3], "0000", Class::RaspberryPi);
        check([0xdc, 0xa6, 0x32, 1, 2, 3], "000b", Class::Pxe);
        check([0x52, 0x54, 0, 0, 0, 1], "0000", Class::Pxe);
    }

    #[test]
    fn ipxe_in_every_dress() {
        let check = |user: &[u8], options: &str, class| {
            let mut request = request("PXEClient", "0007");
            request.user_class = Some(user.to_vec());
            request.ipxe = Some(hex(options));
            assert_eq!(Client::of(&request).class, class, "{user:?} {options}");
        };
        check(b"iPXE", IPXE_EFI, Class::Ipxe);
        check(b"\x04iPXE", "", Class::Ipxe);
        check(b"Lab", IPXE_EFI, Class::Ipxe);
        check(b"", "", Class::Pxe);
        check(b"PXE", "", Class::Pxe);
    }

    #[test]
    fn what_ipxe_can_do() {
        let bios = IpxeFeatures::read(&hex(IPXE_BIOS));
        let expected = IpxeFeatures {
            http: true,
            bzimage: true,
            menu: true,
            version: Some([1, 0, 0]),
            pci: Some((0x1af4, 0x1000)),
            ..Default::default()
        };
        assert_eq!(bios, expected);
        let efi = IpxeFeatures::read(&hex(IPXE_EFI));
        assert_eq!(efi, IpxeFeatures { efi: true, bzimage: false, ..expected });
        assert_eq!(
            IpxeFeatures::read(&hex("130101ff140101")),
            IpxeFeatures { http: true, ..Default::default() }
        );
        assert_eq!(IpxeFeatures::read(&hex("1301")), IpxeFeatures::default());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(vendor: Vec<u8>, user: Vec<u8>, arch: Vec<u8>, id: Vec<u8>, ipxe: Vec<u8>) {
            let mut request = Request::new(Message::Discover, MacAddress([0; 6]));
            request.vendor_class = Some(vendor);
            request.user_class = Some(user);
            request.architectures = Some(arch);
            request.machine_id = Some(id);
            request.ipxe = Some(ipxe);
            let client = Client::of(&request);
            prop_assert!(client.boots() || client.platform.is_none());
        }
    }
}
