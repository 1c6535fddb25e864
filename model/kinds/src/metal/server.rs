//! `Server`: a machine, what it is to be and what it is.

pub mod hardware;
pub mod plan;
pub mod status;

mod example;
mod registration;

pub use hardware::{Disk, Hardware, Nic, Transport, VolumeGroup};
pub use plan::{DiskPlan, Fate, FileSystemFate, PartitionPlan, Plan, VolumeGroupPlan, VolumePlan};
pub use registration::canonical;
pub use status::{AgentStatus, Phase, ServerStatus, Stage};

use super::size::Size;
use crate::core::secret::SecretReference;
use crate::typed::{ApiVersion, KindName, resource, unset};
use lab_object::{ObjectMeta, mac::MacAddress};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Server is a machine. Its name is its MAC address with dashes until a person names it. Wherever a server is asked for,
/// its name, hostname, UID, MAC addresses and IP addresses all work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Server {
    /// Group and version of the object's form: `metal.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Server`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// What the machine is to be; written by people.
    #[serde(skip_serializing_if = "unset")]
    pub spec: ServerSpec,
    /// What the machine is; written by its bastion and its agent.
    #[serde(skip_serializing_if = "unset")]
    pub status: ServerStatus,
}

resource!(Server, "metal.lab", "v1alpha1", "servers", namespaced: false);

/// What a machine is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerSpec {
    /// Name the machine gives itself once it is installed: an RFC 1123 subdomain, such as `db-1` or `db-1.lab.example`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$")
    )]
    pub hostname: Option<String>,
    /// What the machine is for. It decides which volumes of its layout it gets and how it is prepared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<MachineRole>,
    /// Where the machine stands, as permissions name it: a word of your own, such as `baremetal` or `hetzner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub cloud: Option<String>,
    /// What the machine belongs to, as permissions name it: a word of your own, such as `production` or `dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub environment: Option<String>,
    /// MAC addresses by which a machine is recognised that was entered before it was first seen. Discovery finds the
    /// others; all of them are in `status.nics`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub macs: Vec<MacAddress>,
    /// SMBIOS UUID by which a machine is recognised that was entered before it was first seen, in lower case, such as
    /// `4c4c4544-0042-3510-8054-b4c04f564433`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"))]
    pub uuid: Option<String>,
    /// Addresses the machine is to have. DHCP offers it these, and an installed system is configured with them where it
    /// is configured statically. Without any, a network's DHCP ranges decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    pub addresses: Vec<ServerAddress>,
    /// How the machine's power is switched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc: Option<Bmc>,
    /// Whether the machine is to be on.
    #[serde(skip_serializing_if = "unset")]
    pub power: Power,
    /// Who may log in to the installed system and to the rescue system.
    #[serde(skip_serializing_if = "unset")]
    pub admin: Admin,
    /// What is to be installed. Without it a machine is discovered and then waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// How the machine is answered when it boots from the network.
    #[serde(skip_serializing_if = "unset")]
    pub boot: Boot,
    /// The agent that is to run on the machine.
    #[serde(skip_serializing_if = "unset")]
    pub agent: Agent,
    /// What becomes of the machine's disks when this object is deleted: `keep` (the default) or `wipe`. A machine that
    /// is to be wiped boots once more to do so; the object stays until that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<WhenDeleted>,
}

/// The agent that is to run on a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Agent {
    /// Its version, such as `0.2.0`. labd sends its executable, `agents/lab-agent-VERSION-ARCHITECTURE` of its data directory,
    /// to agents that run another one. They try it first, and stay what they are where it does not report in; the condition
    /// `AgentUpgraded` says what came of it. Without a version they stay what they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9A-Za-z][-+.0-9A-Za-z]{0,62}$"))]
    pub version: Option<String>,
}

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MachineRole {
    /// The operating system and nothing else.
    Vanilla,
    /// Runs workloads.
    Worker,
    /// Runs a cluster's control plane.
    Infra,
    /// Runs a control plane and this platform itself.
    Labcontroller,
}

/// An address a machine is to have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerAddress {
    /// The IP address, such as `10.20.0.11`. It lies in the network's `cidr`.
    pub address: IpAddr,
    /// Name of the Network object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The NIC that gets it, by MAC address; by default the one that boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
}

/// How a machine's power is switched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bmc {
    /// What is spoken: `redfish`, `ipmi`, or `ssh` to the running operating system, which can only switch off and
    /// restart.
    pub protocol: BmcProtocol,
    /// Host name or IP address, with a port where it is not the usual one: `10.20.1.11`, `bmc-1.lab.example:8443`.
    #[schemars(length(min = 1, max = 260))]
    pub address: String,
    /// The Secret with keys `username` and `password` (or `ssh-privatekey` for `ssh`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretReference>,
    /// SHA-256 of the BMC's certificate (DER), as `sha256:` and 64 hexadecimal digits. Most BMCs have a certificate of
    /// their own making; without this, one must be signed by an authority that the bastion trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub certificate: Option<String>,
}

/// What a BMC speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BmcProtocol {
    /// DMTF Redfish over HTTPS.
    Redfish,
    /// IPMI 2.0 over LAN.
    Ipmi,
    /// Commands over SSH, on the machine itself.
    Ssh,
}

/// Whether a machine is to be on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Power {
    /// `on` or `off`. Without it the power is left as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PowerState>,
    /// Raise this number to have the machine switched off and on again once; compared with `status.power.cycle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cycle: Option<i64>,
}

/// Whether a machine's power is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// It is on.
    On,
    /// It is off.
    Off,
}

/// Who may log in to a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Admin {
    /// Name of the account with sudo on the installed system. Without it, `lab`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z_][-a-z0-9_]{0,30}$"))]
    pub user: Option<String>,
    /// OpenSSH public keys that may log in, one per entry, such as `ssh-ed25519 AAAA… me@desk`. There is no password.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"), inner(length(max = 16384)))]
    pub authorized_keys: Vec<String>,
}

impl Admin {
    /// The name of the account.
    pub fn name(&self) -> &str {
        self.user.as_deref().unwrap_or("lab")
    }
}

/// What is to be installed on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// Name of the OperatingSystem object, such as `debian-13`.
    #[schemars(length(min = 1, max = 253))]
    pub operating_system: String,
    /// Name of the DiskLayout object.
    #[serde(default = "Install::default_layout")]
    #[schemars(length(min = 1, max = 253))]
    pub layout: String,
    /// Which disk is taken. By default the first NVMe, then SATA or SAS, then virtio disk that is large enough; never USB
    /// or a removable one.
    #[serde(default, skip_serializing_if = "unset")]
    pub disk_selector: DiskSelector,
    /// Hash of the plan that is approved (`status.plan.hash`). Nothing is written to a disk before this names the plan
    /// as it stands; when the disks or the wishes change, so does the hash, and approval is needed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub approve: Option<String>,
    /// Raise this number to have an installed machine installed again, keeping what its layout preserves; compared with
    /// `status.install.reprovision`. A plan is made and must be approved as for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reprovision: Option<i64>,
    /// Kernel arguments of the installed system, besides those of the operating system, one per entry, such as
    /// `iommu=pt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"), inner(regex(pattern = r#"^[^\s"']+$"#)))]
    pub kernel_arguments: Vec<String>,
}

impl Install {
    /// The layout of a machine whose installation names none.
    pub fn default_layout() -> String {
        "labvg".into()
    }
}

/// Which disk is taken: one that has every property named here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskSelector {
    /// The disk with one of these serial numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub serials: Vec<String>,
    /// The disk with one of these world wide names, such as `eui.0025388b71b0a1c2` or `0x5000c500a1b2c3d4`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub wwns: Vec<String>,
    /// A disk on one of these transports, the first one preferred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub transports: Vec<Transport>,
    /// A disk whose model contains this text, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A disk of at least this size, such as `200Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_size: Option<Size>,
    /// A disk of at most this size, such as `2Ti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
}

/// How a machine is answered when it boots from the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Boot {
    /// What the next network boot gives the machine, once; taken away when it has been served. Without it, an approved
    /// installation that is waiting, or else the local disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<BootOnce>,
    /// In which form the boot server is offered beside another DHCP server. Without it the form follows the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferForm>,
    /// How the machine is sent to its local disk. Without it the way follows the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_disk: Option<LocalDiskBoot>,
    /// Kernel arguments of the discovery and rescue system, besides its own, one per entry, such as `console=ttyS1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"), inner(regex(pattern = r#"^[^\s"']+$"#)))]
    pub kernel_arguments: Vec<String>,
}

/// What one network boot gives a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootOnce {
    /// The rescue system, with SSH for the keys in `spec.admin`.
    Debug,
    /// Discovery: the hardware is read and reported anew.
    Discovery,
    /// The local disk, even if an installation is waiting.
    Local,
}

/// In which form a boot server is offered beside another DHCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OfferForm {
    /// The file's name at once, in the proxy offer (option 43 with discovery control).
    Direct,
    /// The file's name on port 4011, after the other server's address was taken.
    Binl,
}

/// How a machine is sent to its local disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LocalDiskBoot {
    /// iPXE leaves, and the firmware tries its next entry.
    Exit,
    /// iPXE starts the first disk itself (BIOS).
    Sanboot,
    /// The answer is 404, and the firmware tries its next entry.
    NotFound,
}

/// What becomes of a machine's disks when its object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenDeleted {
    /// They stay as they are.
    Keep,
    /// They are wiped.
    Wipe,
}
