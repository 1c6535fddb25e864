//! What is the case with a machine: where it is in its life, how far its installation has come, who serves it.

use super::hardware::{Disk, FirmwareType, Hardware, Nic, VolumeGroup};
use super::plan::Plan;
use super::{BootOnce, PowerState};
use crate::{Condition, typed::unset};
use lab_object::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is the case with a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerStatus {
    /// Where the machine is in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What is going on, or what went wrong, as one sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The `metadata.generation` that was last acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Name of the Bastion that answers the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bastion: Option<String>,
    /// SMBIOS UUID, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Name the machine gives itself at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Every address the machine has at present, the one it is best reached by first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<IpAddr>,
    /// What the machine consists of.
    #[serde(skip_serializing_if = "unset")]
    pub hardware: Hardware,
    /// Its disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub disks: Vec<Disk>,
    /// LVM volume groups on its disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["uuid"]))]
    pub volume_groups: Vec<VolumeGroup>,
    /// Its network interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mac"]))]
    pub nics: Vec<Nic>,
    /// Its last boot from the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootStatus>,
    /// Its power.
    #[serde(skip_serializing_if = "unset")]
    pub power: PowerStatus,
    /// What an installation would do to its disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The stage that is under way: the last of `stages` without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// How far the installation, or whatever else is under way, has come as a whole, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// When it is expected to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Time>,
    /// The stages of the newest installation, in the order in which they began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub stages: Vec<Stage>,
    /// What is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<InstallStatus>,
    /// The agent that runs on the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
    /// Aspects of the machine's state: `Discovered`, `PlanReady`, `Installed`, `Joined`, `Ready`, `AgentUpgraded`; `Wiped`, which names the disks;
    /// `NetworkBoot`, which says why a
    /// machine fell silent while it booted; `Recognised`, which is false where MAC address and UUID contradict each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<Condition>,
}

/// Where a machine is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Entered by a person, not seen yet.
    Registered,
    /// Seen on the network; its hardware is not known yet.
    Discovering,
    /// Its hardware is known; nothing is to be installed.
    Discovered,
    /// A plan was made and waits for approval.
    Planned,
    /// The plan is approved and waits for the machine to boot.
    Approved,
    /// The plan is being carried out.
    Installing,
    /// Installed; its agent has not joined yet.
    Installed,
    /// Installed or adopted, joined and in reach.
    Ready,
    /// Joined, but not in reach.
    Offline,
    /// In the rescue system.
    Debug,
    /// Its disks are being wiped.
    Wiping,
    /// Something went wrong that needs a person; `message` says what.
    Failed,
}

/// A machine's last boot from the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BootStatus {
    /// When it asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The firmware that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwareType>,
    /// Architecture number in its request (DHCP option 93, RFC 4578), such as 7 for UEFI x86-64 or 0 for BIOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub client_architecture: Option<i32>,
    /// What it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<BootAnswer>,
    /// How far it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<BootStep>,
    /// The one-shot answer that was served last (`spec.boot.once`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_once: Option<BootOnce>,
    /// The `metadata.generation` of which that was the answer. While it is the object's, `spec.boot.once` is spent and is taken
    /// away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_generation: Option<i64>,
}

/// How far a boot from the network came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootStep {
    /// Its firmware asked, and was not answered.
    Asked,
    /// It was answered.
    Answered,
    /// It fetches the boot program that it was sent for.
    Program,
    /// The boot program runs and asks what to start.
    Loader,
    /// It was told what to start, and fetches that.
    Told,
    /// It was sent to its local disk.
    Local,
    /// It fetched a kernel and its initial RAM disk.
    Started,
    /// What it started was heard.
    Heard,
}

/// What a machine is given when it boots from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootAnswer {
    /// The rescue system.
    Debug,
    /// The installer.
    Install,
    /// Its local disk.
    Local,
    /// The discovery system.
    Discovery,
}

/// A machine's power.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PowerStatus {
    /// `on` or `off`, as the BMC says; absent when nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PowerState>,
    /// The `spec.power.cycle` that was last carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cycle: Option<i64>,
}

/// A stage of an installation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Its name, such as `partition`.
    pub name: String,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When it ended; absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// How it ended; absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StageOutcome>,
    /// What it is doing, or why it failed, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Bytes it has written or fetched so far, where it counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub done_bytes: Option<i64>,
    /// Bytes it will have written or fetched at its end, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub total_bytes: Option<i64>,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StageOutcome {
    /// It did what it should.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It failed.
    Failed,
}

/// What is installed on a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallStatus {
    /// Name of the OperatingSystem object it was installed from.
    pub operating_system: String,
    /// Name of the DiskLayout object it was installed with.
    pub layout: String,
    /// Hash of the plan that was carried out.
    pub plan: String,
    /// The `spec.install.reprovision` that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reprovision: Option<i64>,
    /// When the installation ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

/// The agent that runs on a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Version of the agent.
    pub version: String,
    /// Whether it is connected.
    pub online: bool,
    /// Since when it has been connected, or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Its last heartbeat that was recorded. Heartbeats are recorded seldom while all is well; `online` is what counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Time>,
    /// When the machine was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<Time>,
    /// The running operating system, as it names itself, such as `Debian GNU/Linux 13 (trixie)`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operating_system: String,
    /// Release of the running kernel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
    /// End of the agent's certificate, which it renews well before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<Time>,
}
