//! What a machine consists of, as discovery reads it.

use crate::typed::unset;
use lab_object::mac::MacAddress;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a machine consists of, besides its disks and NICs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hardware {
    /// Who made the machine, as its firmware says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// The product's name, as its firmware says, such as `PowerEdge R650`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Serial number of the machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// The processors' architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// The processors.
    #[serde(skip_serializing_if = "unset")]
    pub cpu: Cpu,
    /// Memory that the operating system can use, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub memory_bytes: Option<i64>,
    /// The memory modules, one per filled slot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub dimms: Vec<Dimm>,
    /// The machine's firmware.
    #[serde(skip_serializing_if = "unset")]
    pub firmware: Firmware,
    /// The TPM; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<Tpm>,
    /// The BMC as the machine itself sees it; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc: Option<BmcHardware>,
}

/// Architecture of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "amd64")]
    Amd64,
    /// 64-bit ARM.
    #[serde(rename = "arm64")]
    Arm64,
}

/// A machine's processors, which are all alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cpu {
    /// The model's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// How many sockets are filled.
    #[serde(skip_serializing_if = "unset")]
    #[schemars(range(min = 0))]
    pub sockets: i32,
    /// How many cores there are, over all sockets.
    #[serde(skip_serializing_if = "unset")]
    #[schemars(range(min = 0))]
    pub cores: i32,
    /// How many threads run at once, over all sockets: what the operating system counts as processors.
    #[serde(skip_serializing_if = "unset")]
    #[schemars(range(min = 0))]
    pub threads: i32,
    /// Highest clock rate, in MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_mhz: Option<i32>,
}

/// A memory module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dimm {
    /// The slot as the board names it, such as `DIMM_A1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub slot: String,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// Type of memory, such as `DDR5`.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Rate it runs at, in million transfers a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub speed_mts: Option<i32>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// The maker's part number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Serial number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
}

/// A machine's firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Firmware {
    /// `uefi` or `bios`: how the machine was started last.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<FirmwareType>,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its release date, as it says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Whether Secure Boot is enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
}

/// How a machine's firmware starts a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FirmwareType {
    /// UEFI.
    Uefi,
    /// PC BIOS, or UEFI's emulation of it.
    Bios,
}

/// A trusted platform module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tpm {
    /// Version of its specification: `1.2` or `2.0`.
    pub version: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// SHA-256 of its endorsement key's public part, by which this very chip is recognised: `sha256:` and 64
    /// hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub endorsement_key: Option<String>,
}

/// A BMC as the machine itself sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BmcHardware {
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manufacturer: String,
    /// Version of its firmware.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Its IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// The kernel's name for it at present, such as `nvme0n1`. It can be another one after the next boot: plans name disks
    /// by serial and WWN.
    pub name: String,
    /// Serial number; empty for disks that have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// World wide name, such as `eui.0025388b71b0a1c2`; empty for disks that have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wwn: String,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// Logical sector size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub sector_bytes: Option<i32>,
    /// The model's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// How it is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Whether it has turning platters.
    #[serde(default, skip_serializing_if = "unset")]
    pub rotational: bool,
    /// Whether its medium can be taken out.
    #[serde(default, skip_serializing_if = "unset")]
    pub removable: bool,
    /// Whether it refuses to be written to.
    #[serde(default, skip_serializing_if = "unset")]
    pub read_only: bool,
    /// What is on it.
    #[serde(default, skip_serializing_if = "unset")]
    pub contents: Contents,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// NVM Express.
    Nvme,
    /// Serial ATA.
    Sata,
    /// Serial attached SCSI.
    Sas,
    /// A disk of a virtual machine.
    Virtio,
    /// USB; never chosen for an installation.
    Usb,
    /// SD cards and eMMC.
    Mmc,
    /// iSCSI, Fibre Channel and the like.
    Network,
    /// Anything else.
    Other,
}

/// What is on a disk, or in a partition or volume: everything empty means that no known signature was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Contents {
    /// Form of the partition table: `gpt` or `mbr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<PartitionTable>,
    /// The partition table's identifier.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// The partitions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
    pub partitions: Vec<Partition>,
    /// What stands on the whole disk, without partitions.
    #[serde(skip_serializing_if = "unset")]
    pub signature: Signature,
}

impl Contents {
    /// What stands for contents that cannot be read, which may be anything: never the same as an empty disk.
    pub fn unreadable() -> Self {
        Self { signature: Signature { kind: "unreadable".into(), ..Signature::default() }, ..Self::default() }
    }
}

/// Form of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PartitionTable {
    /// GUID partition table.
    Gpt,
    /// Master boot record.
    Mbr,
}

/// A partition that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    /// Number in the table, from 1.
    #[schemars(range(min = 1))]
    pub number: i32,
    /// Name in the table (GPT only).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Type in the table: a GUID (GPT) or two hexadecimal digits (MBR).
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Identifier in the table.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// Where it begins, in bytes from the disk's beginning.
    #[schemars(range(min = 0))]
    pub start_bytes: i64,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// What stands in it.
    #[serde(default, skip_serializing_if = "unset")]
    pub signature: Signature,
}

/// What stands in a disk, partition or volume, as its first bytes say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Signature {
    /// What it is, by blkid's name: `ext4`, `xfs`, `vfat`, `swap`, `LVM2_member`, `linux_raid_member`, `crypto_LUKS`, ….
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Its identifier.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// The volume group or array it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub member_of: String,
}

/// An LVM volume group that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroup {
    /// Its identifier; names can stand twice on foreign disks.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// What is not given to a volume, in bytes.
    #[schemars(range(min = 0))]
    pub free_bytes: i64,
    /// Size of its extents in bytes; absent for LVM's own 4 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub extent_bytes: Option<i64>,
    /// The disks and partitions it lies on, by the kernel's names at present, such as `nvme0n1p3`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub devices: Vec<String>,
    /// Whether some of its disks are missing.
    #[serde(default, skip_serializing_if = "unset")]
    pub incomplete: bool,
    /// Its logical volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volumes: Vec<LogicalVolume>,
}

/// A logical volume that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogicalVolume {
    /// Its name.
    pub name: String,
    /// Size in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// What stands in it.
    #[serde(default, skip_serializing_if = "unset")]
    pub signature: Signature,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Nic {
    /// Its MAC address, the one burnt in.
    pub mac: MacAddress,
    /// The operating system's name for it at present, such as `enp1s0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The kernel's driver.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Whether a cable with a live other end is plugged in; absent while nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<bool>,
    /// Rate of the link, in Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub speed_mbps: Option<i32>,
    /// Whether the machine last booted from the network through it.
    #[serde(default, skip_serializing_if = "unset")]
    pub boot: bool,
    /// Name of the Network object it is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Addresses it has at present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Vec<IpAddr>,
    /// What is at the other end of the cable, as that says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lldp: Option<LldpNeighbour>,
}

/// What a switch says of itself (IEEE 802.1AB).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LldpNeighbour {
    /// Identifier of the switch, mostly its MAC address.
    pub chassis: String,
    /// Identifier of the port.
    pub port: String,
    /// Name of the switch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// Description of the port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub port_description: String,
    /// The port's own VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<i32>,
}
