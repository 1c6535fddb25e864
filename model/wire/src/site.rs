//! The discovery system and its bastion: JSON over plain HTTP, below the address in the kernel argument `lab.site`.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /discovery/<token>` | [`Discovery`] | [`Orders`] |
//! | `GET /orders/<token>` | – | [`Orders`] |
//! | `POST /progress/<token>` | [`Progress`] | 204 |
//!
//! The token is that of the machine's newest boot (kernel argument `lab.token`): it says which machine speaks, and is worth
//! nothing after the next boot: then the answers are 403 and 404. What is not understood is 400 with a sentence. Unknown fields are ignored on both sides, so that either can be newer.

use lab_kinds::metal::server::hardware::Hardware;
use lab_kinds::metal::server::{Disk, Nic, Plan, VolumeGroup, status::Stage};
use lab_kinds::metal::{OperatingSystem, Server};
use lab_object::Time;
use serde::{Deserialize, Serialize};

/// Where a machine reports what it consists of, followed by its token.
pub const DISCOVERY: &str = "/discovery/";
/// Where a machine asks what to do, followed by its token.
pub const ORDERS: &str = "/orders/";
/// Where a machine tells how far it has come, followed by its token.
pub const PROGRESS: &str = "/progress/";

/// What progress names as its plan while disks are wiped.
pub const WIPE: &str = "wipe";

/// What a machine consists of. It becomes the Server's status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Discovery {
    /// Version of the agent that reports.
    pub agent: String,
    /// Release of the kernel that it runs on.
    pub kernel: String,
    /// SMBIOS UUID, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// What the machine consists of, besides disks and NICs.
    pub hardware: Hardware,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// The volume groups on them.
    pub volume_groups: Vec<VolumeGroup>,
    /// Its network interfaces.
    pub nics: Vec<Nic>,
    /// What could not be read, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What a machine is to do next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum Orders {
    /// Ask again.
    #[serde(rename_all = "camelCase")]
    Wait {
        /// After so many seconds.
        seconds: u32,
        /// Why, as a clause for the console, such as `a plan waits for approval`.
        why: String,
    },
    /// Read and report the hardware anew.
    Discover,
    /// Carry out an approved plan, then report and ask again.
    Install(Box<Installation>),
    /// Wipe disks, then report and ask again.
    Wipe(Wiping),
    /// Let the operator in, and ask again after a minute: a restart ends it.
    Rescue(Rescue),
    /// Restart.
    Reboot,
    /// Switch off.
    PowerOff,
}

/// All that carrying out a plan needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// The machine, whose `spec.install.approve` names the plan.
    pub server: Server,
    /// The operating system that its plan names.
    pub operating_system: OperatingSystem,
    /// The plan.
    pub plan: Plan,
    /// Where the bastion has the operating system's image: a path on itself, beginning with a slash.
    pub image: String,
    /// How the installed system's agent joins; absent where none is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Joining>,
}

/// How the agent of an installed system joins labd.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joining {
    /// labd's URL, as the machine reaches it.
    pub server: String,
    /// SHA-256 of the key of labd's authority: `sha256:` and 64 hexadecimal digits.
    pub ca_hash: String,
    /// A token that is good for this machine, once.
    pub token: String,
}

impl std::fmt::Debug for Joining {
    /// Does not show the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joining")
            .field("server", &self.server)
            .field("caHash", &self.ca_hash)
            .finish_non_exhaustive()
    }
}

/// Who is let into a machine that boots to be rescued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rescue {
    /// The name by which they log in, besides root's.
    pub user: String,
    /// OpenSSH public keys, one per entry.
    pub keys: Vec<String>,
}

/// The disks that are to be wiped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wiping {
    /// Each of them, as the machine reported it in this boot.
    pub disks: Vec<WipedDisk>,
}

/// A disk that is to be wiped. One that differs in anything is not touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WipedDisk {
    /// The kernel's name for it.
    pub name: String,
    /// Serial number; empty where it has none.
    pub serial: String,
    /// World wide name; empty where it has none.
    pub wwn: String,
    /// Size in bytes.
    pub size_bytes: i64,
}

/// How far a machine has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The hash of the plan that is carried out, or [`WIPE`].
    pub plan: String,
    /// The stage that began, goes on or ended, as it stands.
    pub stage: Stage,
    /// How far the whole has come, in percent.
    pub percent: i32,
    /// When the whole is expected to end; absent while nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<Time>,
    /// Whether the whole plan has been carried out.
    #[serde(default)]
    pub finished: bool,
    /// The machine's clock as it said this, to which its other times are related: clocks of new machines are often wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_as_they_are_written() {
        let check = |orders: Orders, expected: serde_json::Value| {
            assert_eq!(serde_json::to_value(&orders).expect("its keys are texts"), expected);
            assert_eq!(serde_json::from_value::<Orders>(expected).expect("it is what was written"), orders);
        };
        check(Orders::Wait { seconds: 5, why: "w".into() }, json!({"do": "wait", "seconds": 5, "why": "w"}));
        check(Orders::Reboot, json!({"do": "reboot"}));
        let rescue = Rescue { user: "ops".into(), keys: vec!["ssh-ed25519 A".into()] };
        check(Orders::Rescue(rescue), json!({"do": "rescue", "user": "ops", "keys": ["ssh-ed25519 A"]}));
        check(Orders::PowerOff, json!({"do": "powerOff"}));
    }

    #[test]
    fn an_older_agent_is_understood() {
        let found: Discovery =
            serde_json::from_value(json!({"agent": "0.1.0", "later": 1})).expect("all has a default");
        assert_eq!(found, Discovery { agent: "0.1.0".into(), ..Discovery::default() });
    }
}
